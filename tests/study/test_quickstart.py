"""The quickstart study: its data and its graph."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from experiments import quickstart_data
from harness.study.experiment import read_experiment
from harness.study.graph import build_graph
from tests.conftest import ROOT

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
