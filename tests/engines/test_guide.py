"""The guide in docs/add_an_engine.md, followed to the letter: its package is installed, evaluated with and tested."""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path

import pytest

from harness.cli import main
from harness.engines import base
from harness.records.run_folder import RunRecord
from tests.models import save_tiny_llama

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "docs" / "add_an_engine.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"`([\w.]+)`:\n\n```\w+\n(.*?)```", GUIDE, re.DOTALL))


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which the guide's package is installed."""
    site = tmp_path / "site"
    project = tomllib.loads(FILES["pyproject.toml"])["project"]
    info = site / f"rows_engine-{project['version']}.dist-info"
    info.mkdir(parents=True)
    for name in ("rows_engine.py", "test_rows.py"):
        (site / name).write_text(FILES[name])
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    groups = project["entry-points"]
    lines = [f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in points.items()) for group, points in groups.items()]
    (info / "entry_points.txt").write_text("\n".join(lines))
    monkeypatch.setattr(sys, "path", [str(site), *sys.path])
    monkeypatch.delitem(sys.modules, "rows_engine", raising=False)
    return site


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return save_tiny_llama(tmp_path / "model")


def test_the_guide_has_three_files_and_the_engine_takes_about_thirty_lines() -> None:
    assert set(FILES) == {"rows_engine.py", "pyproject.toml", "test_rows.py"}
    assert len([line for line in FILES["rows_engine.py"].splitlines() if line.strip()]) <= 36


def test_an_evaluation_with_the_guides_engine_gives_the_results_of_hf(site: Path, model: Path, tmp_path: Path) -> None:
    records = {}
    for backend in ("rows", "hf"):
        out = tmp_path / backend
        words = ["--model", str(model), "--tasks", "mini_logic", "--limit", "4", "--backend", backend]
        assert main(["eval", *words, "--output_path", str(out), "--no_cache"]) == 0
        (path,) = out.rglob("run.json")
        records[backend] = RunRecord.model_validate_json(path.read_text(encoding="utf-8"))
    rows, hf = records["rows"], records["hf"]
    assert rows.model_dump()["engine"]["engine"] == "rows"
    assert rows.model_dump()["tasks"] == hf.model_dump()["tasks"]


def test_the_guides_test_passes(site: Path, model: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(site / "test_rows.py")]
    path = os.pathsep.join(filter(None, [str(site), str(ROOT), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": path, "CKPT": str(model)},
        cwd=site,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_example_in_the_contract_is_an_engine() -> None:
    assert base.__doc__
    example = textwrap.dedent(base.__doc__.split("1/2:\n")[1].split("docs/add_an_engine.md")[0])
    names = {"Answer": base.Answer, "Failure": base.Failure, "math": math}
    exec(example, names)  # noqa: S102 - the module's own docstring
    engine: base.Engine = names["CoinEngine"]()  # type: ignore[operator]
    requests = [
        base.Request(kind="loglikelihood", context="a", continuation="bc"),
        base.Request(kind="generate_until", context="a"),
    ]
    (scored, text) = [pair for batch in engine.answer(requests) for pair in batch]
    assert scored == (0, base.Answer(logprob=2 * math.log(0.5), is_greedy=False))
    assert isinstance(text[1], base.Failure)
    engine.close()


def test_an_unknown_name_lists_the_guides_engine_too(
    site: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["eval", "--model", str(model), "--tasks", "mini_logic", "--backend", "rowz", "--dry_run"]) == 2
    assert "give one of auto, hf, lm-eval, rows, scripted, vllm. Did you mean rows?" in capsys.readouterr().err
