"""The quickstart study: its data, its graph, and its verdicts with other seeds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from experiments import quickstart_data
from harness.study.experiment import read_experiment
from harness.study.graph import build_graph
from tests.conftest import ROOT, HarnessCommand

EXPERIMENT = ROOT / "experiments" / "quickstart.yaml"
DATA = Path("runs", "quickstart-data")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder with the study's data, of few items."""
    folder = tmp_path_factory.mktemp("quickstart")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(quickstart_data, "TRAIN_ITEMS", 5)
        patch.setattr(sys, "argv", ["quickstart_data.py", str(DATA)])
        quickstart_data.main()
    return folder


def _texts(path: Path, field: str) -> list[str]:
    return [json.loads(line)[field] for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("name", ["text", "code"])
def test_held_out_documents_are_not_among_the_sources(folder: Path, name: str) -> None:
    sources = "\n".join(_texts(folder / DATA / f"{name}.jsonl", "text"))
    held_out = folder / DATA / "tasks" / f"held_out_{name}.jsonl"
    rows = [json.loads(line) for line in held_out.read_text(encoding="utf-8").splitlines()]
    assert len(rows) > 90
    assert not [row for row in rows if row["beginning"] + row["choices"][0] in sources]


def test_both_tunings_and_both_pretrainings_of_three_seeds_are_compared(
    folder: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    graph = build_graph(read_experiment(EXPERIMENT))
    kinds = [node.kind for node in graph.values()]
    assert (kinds.count("train"), kinds.count("evaluate")) == (6 + 12, 6 + 12)
    pages = {node.label for node in graph.values() if node.kind == "report"}
    assert {"design", "accuracy-design"} <= pages


@pytest.mark.slow
def test_three_other_seeds_give_the_same_verdicts(harness_command: HarnessCommand, tmp_path: Path) -> None:
    """Those that the comments of the experiment state; the seeds were not chosen by outcome."""
    words = [sys.executable, str(ROOT / "experiments" / "quickstart_data.py"), str(DATA)]
    subprocess.run(words, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=True)
    run = ["run", EXPERIMENT, "--output_path", "study", "--jobs", 2, "factors.seed=[3,4,5]"]
    done = harness_command(*run, cwd=tmp_path, timeout=3600)
    assert done.returncode == 0, done.stderr
    rows = _contrasts(harness_command, tmp_path, "design", "--metric", "bits_per_byte")
    code = rows["held_out_code", "pretrain"]
    assert code["p_corrected"] <= 0.05
    assert code["estimate"] < 0, "fewer bits per byte with code in pre-training"
    tuned = {task for (task, contrast), row in rows.items() if contrast == "tune" and row["p_corrected"] <= 0.05}
    assert len(tuned & {f"mini_{domain}" for domain in ("logic", "legal", "science", "analogy", "code_qa")}) >= 3
    assert rows["mini_logic", "interaction"]["p_corrected"] > 0.05


def _contrasts(harness: HarnessCommand, folder: Path, page: str, *words: str) -> dict[tuple[str, str], dict[str, Any]]:
    """The contrasts of a page's design, by task and name."""
    nodes = json.loads((folder / "study" / "study.json").read_text())["nodes"]
    key = next(node["key"] for node in nodes if node["label"] == page)
    design = folder / "study" / "nodes" / key / "design.yaml"
    done = harness("compare", "--design", design, *words, "--format", "json", cwd=folder)
    assert done.returncode == 0, done.stderr
    return {(row["task"], row["contrast"]): row for row in json.loads(done.stdout)["tables"]["contrasts"]}
