"""`harness compare --design auto`: factors, parents and levels are read from the lineage."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.reports.conftest import Command
from tests.reports.small_designs import answers, lineage, rows_of, write_study
from tests.reports.study_records import RunTask, write_study_run


def test_auto_reads_factors_and_parents_from_the_lineage(command: Command, small: Path, tmp_path: Path) -> None:
    lineages = {f"{'NC'[p]}{'NC'[t]}-{seed}": lineage(p, t, seed) for p in (0, 1) for t in (0, 1) for seed in range(2)}
    design = write_study(tmp_path, parents=False, lineages=lineages)
    expected = rows_of(command, "--design", small)
    by_file = rows_of(command, "--design", design)
    automatic = rows_of(command, "--design", "auto", tmp_path / "runs")
    names = {"pretrain": "pretrain", "tune": "sft"}
    for (task, contrast), row in expected.items():
        for other in (by_file[task, contrast], automatic[task, names.get(contrast, contrast)]):
            for key in ("estimate", "se", "se_seeds", "p"):
                assert other[key] == pytest.approx(row[key]), (task, contrast, key)
    code, out, _ = command("compare", "--design", "auto", tmp_path / "runs")
    assert code == 0
    assert "pretrain: text, code+text; sft: chat, chat+code" in " ".join(out.split())


def test_auto_takes_models_with_fewer_stages_as_parents(command: Command, tmp_path: Path) -> None:
    lineages = {f"{'NC'[p]}{'NC'[t]}-{seed}": lineage(p, t, seed) for p in (0, 1) for t in (0, 1) for seed in (0, 1)}
    write_study(tmp_path, lineages=lineages)
    for p in (0, 1):
        for seed in (0, 1):
            task = RunTask(values=answers((p, 5), seed), clusters=np.repeat(range(20), 2))
            write_study_run(tmp_path / "runs", f"pre-{p}-{seed}", {"first": task}, lineage(p, 0, seed)[1:])
    rows = rows_of(command, "--design", "auto", tmp_path / "runs")
    own = np.mean([answers((1, 1), seed, gain=0.2) for seed in (0, 1)])
    above = np.mean([answers((1, 5), seed) for seed in (0, 1)])
    assert rows["first", "CC-parent"]["estimate"] == pytest.approx(own - above)
    assert ("second", "CC-parent") not in rows


def test_auto_needs_a_lineage(command: Command, small: Path) -> None:
    code, _, err = command("compare", "--design", "auto", small.parent / "runs")
    assert (code, err.count("\n")) == (2, 1)
    assert "lineage of CC-0" in err
    assert "design file" in err


def test_auto_refuses_a_lineage_whose_pretraining_run_was_missing(command: Command, tmp_path: Path) -> None:
    lineages = {f"{'NC'[p]}{'NC'[t]}-{seed}": lineage(p, t, seed) for p in (0, 1) for t in (0, 1) for seed in (0, 1)}
    for links in lineages.values():
        links[1] |= {"manifest": None, "status": "missing"}
    write_study(tmp_path, lineages=lineages)
    code, _, err = command("compare", "--design", "auto", tmp_path / "runs")
    assert (code, err.count("\n")) == (2, 1)
    assert "pre-1-0, an ancestor of CC-0, was missing when that was evaluated" in err
