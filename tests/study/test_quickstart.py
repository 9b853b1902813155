"""The quickstart study: its data and its graph."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
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
    assert {"code", "tuning-NN-base_N", "design", "accuracy-design"} <= pages


def test_a_tiny_quickstart_compares_an_arm_with_its_parent(
    folder: Path, harness_here: HarnessCommand, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(folder)
    small = ["factors.seed=[0]", "stages.base.data.budget_tokens=2000", "stages.tuned.data.budget_tokens=2000"]
    only = ("--only", "tuning-NN-base_N")
    pages = _run(
        harness_here,
        tmp_path / "study",
        *only,
        *small,
        "evaluate.flags.limit=4",
        "evaluate.tasks=mini_logic",
        "overlap=false",
    )
    assert [page.name for page in pages] == ["tuning-NN-base_N.html"]
    answers = Answers(harness_here, tmp_path / "study", seeds=[0])
    assert [row["task"] for row in answers.against_parent("NN")] == ["mini_logic"]


@pytest.mark.slow
def test_three_other_seeds_give_the_verdicts_of_the_comments(
    harness_here: HarnessCommand, own_cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Tuning helps with legal, logic and science in three arms; code in pre-training helps with code."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["quickstart_data.py", str(DATA)])
    quickstart_data.main()
    _run(harness_here, tmp_path / "study", "factors.seed=[3,4,5]")
    answers = Answers(harness_here, tmp_path / "study", seeds=[3, 4, 5])
    for arm in ("NN", "CN", "CC"):
        rows = {row["task"]: row for row in answers.against_parent(arm)}
        for domain in ("legal", "logic", "science"):
            assert rows[f"mini_{domain}"]["difference"] < 0.0
            assert rows[f"mini_{domain}"]["p_corrected"] < 0.05
        assert rows["mini_analogy"]["p_corrected"] > 0.05
    (code,) = answers.of_code_in_pretraining()
    assert code["difference"] < 0.0
    assert code["p_corrected"] < 0.05
    for page, significant in (("design", {"pretrain", "tune"}), ("accuracy-design", set())):
        primary = [row for row in answers.of_design(tmp_path / "study", page) if row["task"] == "overall"]
        assert {row["contrast"] for row in primary[:2] if row["p_corrected"] < 0.05} == significant


def _run(harness: HarnessCommand, output: Path, *words: str) -> list[Path]:
    """Run the experiment, and return its pages."""
    done = harness("run", EXPERIMENT, "--output_path", output, "--jobs", "2", *words)
    assert done.returncode == 0, done.stderr
    return [Path(line) for line in done.stdout.splitlines()]


class Answers:
    """The comparisons of a finished study, as data."""

    def __init__(self, harness: HarnessCommand, output: Path, seeds: Sequence[int]) -> None:
        self._harness, self._seeds = harness, seeds
        (self._records,) = (output / "evaluations").iterdir()

    def against_parent(self, arm: str) -> list[dict[str, Any]]:
        """Return a row per task of the comparison of a tuned arm with its parent."""
        base, tuned = self._runs(f"base-{arm[0]}"), self._runs(f"tuned-{arm[0]}-{arm[1]}")
        return self._compare(f"parent={base}", f"tuned={tuned}", "mini_*")

    def of_code_in_pretraining(self) -> list[dict[str, Any]]:
        """Return the row of held-out code in the comparison of the pre-trained arms."""
        return self._compare(f"N={self._runs('base-N')}", f"C={self._runs('base-C')}", "held_out_code")

    def of_design(self, output: Path, page: str) -> list[dict[str, Any]]:
        """Return the contrasts of a factorial page."""
        design = (output / f"{page}.html").resolve().parent / "design.yaml"
        metric = () if page == "accuracy-design" else ("--metric", "bits_per_byte")
        done = self._harness("compare", "--design", design, *metric, "--format", "json")
        assert done.returncode == 0, done.stderr
        rows: list[dict[str, Any]] = json.loads(done.stdout)["tables"]["contrasts"]
        return rows

    def _runs(self, name: str) -> str:
        return ",".join(str(self._records / f"{name}-{seed}") for seed in self._seeds)

    def _compare(self, baseline: str, arm: str, tasks: str) -> list[dict[str, Any]]:
        done = self._harness(
            "compare", baseline, arm, "--tasks", tasks, "--metric", "bits_per_byte", "--format", "json"
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        rows: list[dict[str, Any]] = json.loads(done.stdout)["tables"]["differences"]
        return rows
