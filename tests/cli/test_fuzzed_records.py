"""Any field of a record may have any type: commands that read it end with exit code 0 or 1, or 2 and one line."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.cli import main
from tests.reports.conftest import evaluate
from tests.tasks_for_tests import write_tasks

# Text that JSON has no Python value for is put in afterwards: nesting without end, a number of 400 digits, NaN.
RAW = {"DEEP": "[" * 20_000 + "]" * 20_000, "BIG": "9" * 400, "NAN": "NaN"}
VALUES: list[Any] = [
    *(None, True, 3, -1, 0.5, "x", "\ud800", "", [], {}, [1], {"a": 1}, [None], {"x": {"y": [{}]}}, "a/b", "x" * 300),
    *RAW,
]
Keys = tuple[str | int, ...]


def places(value: Any, above: Keys = ()) -> Iterator[Keys]:
    """Yield the keys to every field; of a list, to those of its first entry."""
    yield above
    if isinstance(value, dict):
        for key, part in value.items():
            yield from places(part, (*above, key))
    elif isinstance(value, list) and value:
        yield from places(value[0], (*above, 0))


def changed(value: Any, keys: Keys, new: Any) -> Any:
    if not keys:
        return new
    copy = json.loads(json.dumps(value))
    inner = copy
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = new
    return copy


def dumped(value: Any) -> bytes:
    text = json.dumps(value)
    for name, raw in RAW.items():
        text = text.replace(f'"{name}"', raw)
    return text.encode("utf-8", "surrogatepass")


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tasks(tmp_path_factory.mktemp("tasks"), items=8)


@pytest.fixture(scope="module")
def runs(tasks: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return evaluate(tmp_path_factory.mktemp("runs"), tasks, "--model", "oracle", "uniform", names="t_choice")


def damage(runs: Path, rng: random.Random) -> str:
    """Change one field of one file of the first model; returns what was changed."""
    files = sorted(file for file in (runs / "oracle").iterdir() if not file.is_symlink())
    file = rng.choice([file for file in files if file.suffix in (".json", ".jsonl")])
    lines = file.read_text().splitlines() if file.suffix == ".jsonl" else [file.read_text()]
    number = rng.randrange(len(lines))
    content = json.loads(lines[number])
    keys, value = rng.choice(list(places(content))), rng.choice(VALUES)
    ends = [line.encode() for line in lines]
    ends[number] = dumped(changed(content, keys, value))
    file.write_bytes(b"\n".join(ends) + b"\n")
    return f"{file.name} {keys} {value!r:.40}"


def check(seed: int, runs: Path, tasks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    work = tmp_path / "work"
    shutil.copytree(runs, work, symlinks=True)
    what = damage(work, random.Random(seed))
    out = tmp_path / "out"
    for words in (
        ["leaderboard", work, "--format", "json", "--output_path", out],
        ["compare", work / "oracle", work / "uniform", "--format", "md", "--output_path", out],
        ["rescore", work / "oracle", "--include_path", tasks],
    ):
        capsys.readouterr()
        code = main([str(word) for word in words])
        errors = capsys.readouterr().err
        assert code in (0, 1, 2), what
        if code == 2:
            assert errors.count("\n") == 1, (what, errors)


@pytest.mark.parametrize("seed", range(40))
def test_a_changed_field_is_read_or_refused_in_one_line(
    seed: int, runs: Path, tasks: Path, own_cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    check(seed, runs, tasks, tmp_path, capsys)


@pytest.mark.slow  # reduced twin: the test above
@pytest.mark.parametrize("seed", range(40, 500))
def test_460_more_changed_fields(
    seed: int, runs: Path, tasks: Path, own_cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    check(seed, runs, tasks, tmp_path, capsys)
