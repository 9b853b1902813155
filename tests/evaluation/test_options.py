"""Options are arguments: nothing of one evaluation is in force after it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.engines.spec import EngineSpec
from harness.evaluation.requests import PromptSpec
from harness.evaluation.run import evaluate_all
from harness.evaluation.spec import EvaluationSpec
from harness.paths import data_dir
from harness.sandbox import backends
from tests.conftest import HarnessCommand

SCRIPTED = EngineSpec(backend="scripted")


def code_gen(output: Path, *, unsafe_code: bool) -> EvaluationSpec:
    return EvaluationSpec(
        models=("oracle", "uniform"), tasks=("mini_code_gen",), output=output, engine=SCRIPTED, unsafe_code=unsafe_code
    )


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The sandbox backends that programs were started with."""
    names: list[str] = []
    for name, start in backends.BACKENDS.items():

        def started_with(limits: object, name: str = name, start: object = start) -> object:
            names.append(name)
            return start(limits)  # type: ignore[operator]

        monkeypatch.setitem(backends.BACKENDS, name, started_with)
    return names


def test_a_safe_evaluation_after_an_unsafe_one_uses_the_sandbox(
    tmp_path: Path, own_cache: Path, bubblewrap: str, started: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HARNESS_SANDBOX", raising=False)
    for unsafe_code, backend in ((True, "unsafe"), (False, bubblewrap), (True, "unsafe"), (False, bubblewrap)):
        started.clear()
        for done in evaluate_all(code_gen(tmp_path / "out", unsafe_code=unsafe_code)):
            assert done.record.complete
            assert backends.choose(None) == bubblewrap, "the caller between two models is under no option of theirs"
        assert set(started) == {backend}
        assert "HARNESS_SANDBOX" not in os.environ


def test_an_evaluation_that_is_left_half_way_leaves_no_option_in_force(
    tmp_path: Path, own_cache: Path, bubblewrap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HARNESS_SANDBOX", raising=False)
    runs = evaluate_all(code_gen(tmp_path / "out", unsafe_code=True))
    next(runs)
    assert backends.choose(None) == bubblewrap
    del runs
    assert backends.choose(None) == bubblewrap


def test_the_data_folder_of_one_evaluation_is_not_the_next_ones(
    tmp_path: Path, harness_here: HarnessCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HARNESS_DATA", raising=False)
    words = ["eval", "--backend", "scripted", "--model", "uniform", "--tasks", "mini_logic", "--limit", 2]
    done = harness_here(*words, "--data_dir", tmp_path, "--output_path", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "HARNESS_DATA" not in os.environ
    assert data_dir() is None


@pytest.mark.parametrize("read_only", ["", "1"])
def test_a_named_journal_gets_the_answers_instead_of_the_cache(
    read_only: str, tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARNESS_CACHE_READ_ONLY", read_only)
    spec = EvaluationSpec(
        models=("uniform",), tasks=("mini_logic",), output=tmp_path / "out", engine=SCRIPTED,
        prompt=PromptSpec(limit=2), journal=tmp_path / "answers.sqlite",
    )  # fmt: skip
    counts = [done.record.from_journal for _ in range(2) for done in evaluate_all(spec)]
    assert counts[0] == 0 < counts[1]
    assert not list(own_cache.glob("journal*"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--use_cache", ".", "--no_cache"], "--no_cache: keeps no answers, but --use_cache names a file for them"),
        (["--use_cache", "."], "--use_cache .: is a folder; give a file"),
    ],
)
def test_a_journal_that_cannot_be_used_gives_a_one_line_error(
    words: list[str], message: str, harness_here: HarnessCommand, tmp_path: Path
) -> None:
    done = harness_here("eval", "--model", "uniform", "--tasks", "mini_logic", "--output_path", tmp_path / "o", *words)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
