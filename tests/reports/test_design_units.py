"""Which runs and items count as independent in a design, and what the output says where they are too few."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from scipy import stats

from tests.reports.conftest import Command
from tests.reports.small_designs import FACTORS, answers, lineage, manifest, rows_of, write_study
from tests.reports.study_records import RunTask, write_design, write_study_run


def test_with_one_base_for_all_the_runs_of_the_next_stage_are_the_units(
    command: Command, small: Path, tmp_path: Path
) -> None:
    """A base trained once, then two training runs per level, each tuned: not eight independent tunings of one run."""
    base = {"name": "base", "digest": "sha256:base", "location": "x", "status": "verified"}
    lineages = {}
    for p, t, seed in itertools.product((0, 1), (0, 1), (0, 1)):
        own, middle = lineage(p, t, seed)
        middle["manifest"] = manifest("sft", middle["name"], None, seed, [["text"], ["text", "code"]][p])
        middle["manifest"]["parents"] = [{"name": "base", "digest": "sha256:base"}]
        root = base | {"manifest": manifest("pretrain", "base", None, 0, ["web"])}
        lineages[f"{'NC'[p]}{'NC'[t]}-{seed}"] = [own, middle, root]
    design = write_study(tmp_path, parents=False, lineages=lineages)
    expected = rows_of(command, "--design", small)
    by_file = rows_of(command, "--design", design)
    automatic = rows_of(command, "--design", "auto", tmp_path / "runs")
    for contrast, name in {"pretrain": "sft", "tune": "sft 3", "interaction": "interaction"}.items():
        for other in (by_file["overall", contrast], automatic["overall", name]):
            assert other["covers"] == "items, runs"
            for key in ("estimate", "se", "se_seeds", "p"):
                assert other[key] == pytest.approx(expected["overall", contrast][key]), (contrast, key)


def test_runs_tuned_from_one_base_model_are_not_independent_of_it(command: Command, tmp_path: Path) -> None:
    """The parent is recorded, but it is a root without a manifest: the same base model for all runs."""
    lineages = {}
    for t in (0, 1):
        for seed in range(3):
            own = lineage(0, t, seed)[0]
            own["manifest"]["parents"] = [{"name": "base", "digest": "sha256:base"}]
            root = {"name": "base", "digest": "sha256:base", "location": "x", "status": "root", "manifest": None}
            name = f"{FACTORS['tune'][t]}-{seed}"
            lineages[name] = [own, root]
            write_study_run(tmp_path / "runs", name, {"first": RunTask(values=answers((0, t), seed))}, lineages[name])
    rows = rows_of(command, "--design", "auto", tmp_path / "runs")
    assert rows["first", "sft"]["covers"] == "items, tuning runs"
    words = " ".join(command("compare", "--design", "auto", tmp_path / "runs")[1].split())
    assert "sft: interval and p hold for these pre-training runs" in words
    assert "unknown" not in words


def test_a_base_that_only_some_parents_name_does_not_change_the_units(command: Command, tmp_path: Path) -> None:
    design = write_study(tmp_path, seeds=3)
    expected = rows_of(command, "--design", design)
    content = yaml.safe_load(design.read_text())
    parents = {run["parent"] for run in content["runs"]}
    for name in [*parents, "base"]:
        write_study_run(tmp_path / "runs", name, {"first": RunTask(values=answers((0, 5), 0))})
    content["parents"] = [
        {"run": f"runs/{name}", "name": name} | ({"parent": "base"} if "text" in name else {})
        for name in [*sorted(parents), "base"]
    ]
    design.write_text(yaml.safe_dump(content, sort_keys=False))
    _, out, _ = command("compare", "--design", design, "--format", "json")
    assert [arm["plots"] for arm in json.loads(out)["tables"]["arms"]] == [3, 3, 3, 3]
    rows = rows_of(command, "--design", design)
    for contrast in ("pretrain", "tune", "interaction"):
        for key in ("se", "se_seeds", "p"):
            assert rows["first", contrast][key] == expected["first", contrast][key]


def test_unknown_parents_are_noted(command: Command, tmp_path: Path) -> None:
    design = write_study(tmp_path, parents=False)
    code, out, _ = command("compare", "--design", design)
    assert code == 0
    assert "The parents of 8 of 8 runs are unknown" in " ".join(out.split())


def test_one_pretraining_run_per_level_cannot_be_separated_from_it(command: Command, tmp_path: Path) -> None:
    design = write_study(tmp_path)
    text = design.read_text()
    design.write_text(text.replace("pre-text-1", "pre-text-0").replace("pre-code-1", "pre-code-0"))
    code, out, _ = command("compare", "--design", design)
    assert code == 0
    words = " ".join(out.split())
    assert "pretrain: one pre-training run per level, so the main effect cannot be separated from that run." in words
    rows = rows_of(command, "--design", design)
    assert rows["overall", "pretrain"]["covers"] == "items, tuning runs"


def test_a_single_run_per_arm_covers_items_only(command: Command, tmp_path: Path) -> None:
    design = write_study(tmp_path, seeds=1)
    rows = rows_of(command, "--design", design)
    assert {row["covers"] for row in rows.values()} == {"items only"}
    assert {row["se_seeds"] for row in rows.values()} == {None}
    words = " ".join(command("compare", "--design", design)[1].split())
    assert "cannot be separated from that run" in words
    assert "tune: some arm has a single run, so its effect cannot be separated from that run." in words
    document = json.loads(command("compare", "--design", design, "--format", "json")[1])
    assert any("some arm has a single run" in caution for caution in document["not_comparable"])
    latex = command("compare", "--design", design, "--format", "latex")[1]
    assert "with the error of items only" in " ".join(latex.split())
    assert "one training run per arm" in " ".join(latex.split())


def test_an_unbalanced_design_is_analysed(command: Command, small: Path) -> None:
    content = [block for block in small.read_text().split("\n- ") if "runs/CC-1" not in block]
    other = small.with_name("unbalanced.yaml")
    other.write_text("\n- ".join(content) + "\n")
    rows = rows_of(command, "--design", other)
    full = rows_of(command, "--design", small)
    assert rows["first", "NC-NN"]["estimate"] == full["first", "NC-NN"]["estimate"]
    assert rows["first", "tune"]["estimate"] != full["first", "tune"]["estimate"]
    assert rows["first", "CC-CN"]["se"] > 0


def test_a_tied_task_has_the_exact_binomial_bound(command: Command, tmp_path: Path) -> None:
    """All runs give the same answers, or code at tuning gets every item right: 30 items without an exception."""
    bound = 1.0 - 0.025 ** (1.0 / 30.0)
    for gain, folder in ((0.0, tmp_path / "tied"), (1.0, tmp_path / "all")):
        folder.mkdir()
        runs = []
        for p, t, seed in itertools.product(*[(0, 1)] * 3):
            name = f"{'NC'[p]}{'NC'[t]}-{seed}"
            write_study_run(folder / "runs", name, {"logic": RunTask(values=np.full(30, gain * t))})
            levels = {"pretrain": FACTORS["pretrain"][p], "tune": FACTORS["tune"][t]}
            runs.append({"run": f"runs/{name}", "parent": f"{p}-{seed}", "seed": seed} | levels)
        design = write_design(folder / "design.yaml", FACTORS, runs)
        row = rows_of(command, "--design", design)["logic", "tune"]
        assert row["estimate"] == gain
        assert (row["se"], row["method"]) == (0.0, "binomial")
        assert (row["low"], row["high"]) == pytest.approx((gain - bound * (1.0 + gain), gain + bound * (1.0 - gain)))
        # An item can gain or lose 1: at a gain of 1 it can lose 2, and 0 is excluded by (1 - 1/2)^30.
        assert row["p"] == pytest.approx(2.0 * 0.5**30 if gain else 1.0)
        assert row["mde"] > max(row["high"] - gain, gain - row["low"])
        words = " ".join(command("compare", "--design", design)[1].split())
        assert "Few items differ (logic, overall): interval and p use the exact binomial bound" in words


def test_fewer_than_ten_clusters_are_named_and_widen_interval_and_p(command: Command, tmp_path: Path) -> None:
    # A task of its own: digests of documents are of the question only, and clusters are read once per digest.
    rng, runs = np.random.default_rng(31), []
    labels = [str(item // 10) for item in range(60)]
    shift = rng.normal(0.0, 0.2, (2, 2, 6))
    for p, pretrain in enumerate(FACTORS["pretrain"]):
        for t, tune in enumerate(FACTORS["tune"]):
            name = f"{'NC'[p]}{'NC'[t]}-0"
            values = (rng.random(60) < 0.5 + np.repeat(shift[p, t], 10)).astype(float)
            write_study_run(tmp_path / "runs", name, {"deduction": RunTask(values=values, clusters=labels)})
            runs.append({"run": f"runs/{name}", "pretrain": pretrain, "tune": tune, "parent": pretrain, "seed": 0})
    design = write_design(tmp_path / "design.yaml", FACTORS, runs)
    rows = rows_of(command, "--design", design)
    for row in rows.values():
        assert (row["method"], row["clusters"]) == ("wild", 6)
        half = max(row["high"] - row["estimate"], row["estimate"] - row["low"])
        assert half >= stats.t.ppf(0.975, row["df"]) * row["se"] - 1e-9
        assert row["mde"] > half
        assert (row["p"] <= 0.05) == (not row["low"] <= 0.0 <= row["high"])
    code, out, _ = command("compare", "--design", design)
    assert code == 0
    assert "Fewer than 10 clusters (deduction, overall): p and interval are the more cautious of Student's t" in out
