"""Each stage against its parent in chains of three stages, named in the design file or read from the lineage."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from tests.reports.conftest import Command
from tests.reports.small_designs import FACTORS, Values, answers, rows_of, write_study
from tests.reports.study_records import RunTask, write_design, write_study_run

STAGES = ("pretrain", "sft", "dpo")


def task_of(values: Values) -> Mapping[str, RunTask]:
    return {"first": RunTask(values=values, clusters=np.repeat(range(20), 2))}


def chain_of_three(p: int, t: int, seed: int) -> list[tuple[str, Values]]:
    """Names and answers of a pre-training run, the model tuned from it, and the model of the third stage."""
    return [
        (f"pre-{p}-{seed}", answers((p, 5), seed)),
        (f"sft-{p}-{seed}", answers((p, 6), seed, gain=0.1)),
        (f"dpo-{p}{t}-{seed}", answers((p, t), seed, gain=0.3)),
    ]


def lineage_of(names: list[str], sources: list[str]) -> list[dict[str, Any]]:
    """Links as run.json holds them, the checkpoint first."""
    links = []
    for at, name in enumerate(names):
        parents = [{"name": names[at - 1], "digest": f"sha256:{names[at - 1]}"}] if at else []
        own = {"stage": STAGES[at], "name": name, "seed": 0, "finished": True, "step": 10, "parents": parents}
        own |= {"spec": {"stage": STAGES[at]}, "sources": [{"name": sources[at]}]}
        links.append({"name": name, "digest": f"sha256:{name}", "location": "x", "status": "verified", "manifest": own})
    return links[::-1]


def write_three_stages(
    folder: Path,
    *,
    lineages: bool = False,
    in_file: bool = True,
    evaluated: int = 2,
    dpo_runs: tuple[int, int] = (1, 1),
) -> Path:
    """A 2 x 2 of pre-training and the third stage, with two seeds; returns the design file.

    Args:
        folder: For the runs.
        lineages: Whether the records have one.
        in_file: Whether the file names parents.
        evaluated: 2 for pre-training and tuning runs, 1 for pre-training runs only.
        dpo_runs: Third stages of each arm from the tuning run of seed 0 and of seed 1.
    """
    runs, parents = [], {}
    for p, t, seed in itertools.product((0, 1), (0, 1), (0, 1)):
        (pre, pre_answers), (sft, sft_answers), (dpo, dpo_answers) = chain_of_three(p, t, seed)
        sources = [FACTORS["pretrain"][p], "chat", FACTORS["tune"][t]]
        line = lineage_of([pre, sft, dpo], sources) if lineages else []
        write_study_run(folder / "runs", pre, task_of(pre_answers), line[2:])
        parents[pre] = {"run": f"runs/{pre}", "name": pre}
        if evaluated == 2:
            write_study_run(folder / "runs", sft, task_of(sft_answers), line[1:])
            parents[sft] = {"run": f"runs/{sft}", "name": sft} | ({"parent": pre} if in_file else {})
        for copy in range(dpo_runs[seed]):
            name = f"{dpo}-{copy}"
            own = lineage_of([pre, sft, name], sources) if lineages else []
            values = np.abs(dpo_answers - (np.arange(40) < 2 * copy))
            write_study_run(folder / "runs", name, task_of(values), own)
            entry = {"run": f"runs/{name}", "pretrain": FACTORS["pretrain"][p], "tune": FACTORS["tune"][t]}
            runs.append(entry | ({"parent": sft if evaluated == 2 else pre} if in_file else {}))
    return write_design(folder / "design.yaml", FACTORS, runs, parents=list(parents.values()))


def mean_gain(p: int, t: int, stages: tuple[int, int]) -> float:
    """The mean over seeds of one stage minus another."""
    chains = [[values for _, values in chain_of_three(p, t, seed)] for seed in (0, 1)]
    return float(np.mean([chain[stages[1]] - chain[stages[0]] for chain in chains]))


@pytest.mark.parametrize(("lineages", "in_file"), [(False, True), (True, True), (True, False)])
def test_each_stage_of_three_is_compared_with_its_own_parent(
    lineages: bool, in_file: bool, command: Command, tmp_path: Path
) -> None:
    rows = rows_of(command, "--design", write_three_stages(tmp_path, lineages=lineages, in_file=in_file))
    stages = {name: row for (task, name), row in rows.items() if task == "first" and "parent" in name}
    assert set(stages) == {*(f"{arm}-parent" for arm in ("NN", "NC", "CN", "CC")), "text parent-grandparent",
                           "code parent-grandparent"}  # fmt: skip
    for p, t in itertools.product((0, 1), (0, 1)):
        row = stages[f"{'NC'[p]}{'NC'[t]}-parent"]
        assert row["estimate"] == pytest.approx(mean_gain(p, t, (1, 2)))
        assert (row["covers"], row["runs"]) == ("items, runs", 2)
    for p, level in enumerate(FACTORS["pretrain"]):
        row = stages[f"{level} parent-grandparent"]
        assert row["estimate"] == pytest.approx(mean_gain(p, 0, (0, 1)))
        assert (row["covers"], row["runs"], row["family"]) == ("items, runs", 2, "exploratory")
    assert rows["overall", "CC-parent"]["estimate"] == pytest.approx(mean_gain(1, 1, (1, 2)) / 0.75)


def test_auto_compares_each_stage_of_three_with_its_own_parent(command: Command, tmp_path: Path) -> None:
    design = write_three_stages(tmp_path, lineages=True)
    by_file = rows_of(command, "--design", design)
    automatic = rows_of(command, "--design", "auto", tmp_path / "runs")
    for name in ("CC-parent", "NN-parent", "text parent-grandparent"):
        for key in ("estimate", "se", "p"):
            assert automatic["first", name][key] == pytest.approx(by_file["first", name][key])


def test_the_pretraining_runs_stay_the_units_of_a_chain_of_three(command: Command, tmp_path: Path) -> None:
    """Main effects do not change when the file also names the stage between."""
    whole = rows_of(command, "--design", write_three_stages(tmp_path / "a"))
    roots = rows_of(command, "--design", write_three_stages(tmp_path / "b", evaluated=1))
    for contrast in ("pretrain", "tune", "interaction"):
        assert whole["overall", contrast] == roots["overall", contrast] | {
            "p_corrected": whole["overall", contrast]["p_corrected"]
        }


def test_a_parent_counts_once_for_each_of_its_runs(command: Command, tmp_path: Path) -> None:
    """Three runs from one parent and one from another: each run minus its own parent, not mean minus mean."""
    rows = rows_of(command, "--design", write_three_stages(tmp_path, dpo_runs=(3, 1)))
    gains = []
    for seed, copies in ((0, 3), (1, 1)):
        (_, (_, above), (_, own)) = chain_of_three(1, 1, seed)
        gains += [float(np.mean(np.abs(own - (np.arange(40) < 2 * copy)) - above)) for copy in range(copies)]
    assert rows["first", "CC-parent"]["estimate"] == pytest.approx(np.mean(gains))


def test_an_unevaluated_parent_is_replaced_by_the_nearest_ancestor_with_a_note(
    command: Command, tmp_path: Path
) -> None:
    design = write_three_stages(tmp_path, lineages=True, evaluated=1)
    rows = rows_of(command, "--design", design)
    assert rows["first", "CC-parent"]["estimate"] == pytest.approx(mean_gain(1, 1, (0, 2)))
    words = " ".join(command("compare", "--design", design)[1].split())
    assert "the parents of 8 runs are not evaluated, so these are compared with the nearest ancestor that is" in words


def test_a_parent_that_is_its_own_ancestor_is_refused(command: Command, tmp_path: Path) -> None:
    design = write_three_stages(tmp_path)
    content = yaml.safe_load(design.read_text())
    for entry in content["parents"]:
        if entry["name"] == "pre-0-0":
            entry["parent"] = "sft-0-0"
    design.write_text(yaml.safe_dump(content, sort_keys=False))
    code, _, err = command("compare", "--design", design)
    assert (code, err.count("\n")) == (2, 1)
    assert "sft-0-0 comes from itself (sft-0-0 <- pre-0-0 <- sft-0-0)" in err


def test_each_stage_is_compared_with_its_parent(command: Command, tmp_path: Path) -> None:
    design = write_study(tmp_path)
    parents = []
    for p, pretrain in enumerate(FACTORS["pretrain"]):
        for seed in range(2):
            tasks = {"first": RunTask(values=answers((p, 5), seed), clusters=np.repeat(range(20), 2))}
            write_study_run(tmp_path / "runs", f"pre-{pretrain}-{seed}", tasks)
            parents.append({"run": f"runs/pre-{pretrain}-{seed}", "name": f"pre-{pretrain}-{seed}"})
    design.write_text(design.read_text() + "parents:\n" + "".join(f"- {json.dumps(one)}\n" for one in parents))
    rows = rows_of(command, "--design", design)
    for label, p, t in (("NN", 0, 0), ("NC", 0, 1), ("CN", 1, 0), ("CC", 1, 1)):
        own = np.mean([answers((p, t), seed, gain=0.2 * (p + t) - 0.2) for seed in range(2)])
        above = np.mean([answers((p, 5), seed) for seed in range(2)])
        row = rows["first", f"{label}-parent"]
        assert row["estimate"] == pytest.approx(own - above)
        assert row["family"] == "exploratory"
        assert row["covers"] == "items, runs"


def test_a_stage_that_only_some_runs_have_is_counted_once(command: Command, tmp_path: Path) -> None:
    """Plain runs come from `pre`, code runs from `mid`, which comes from `pre`; `pre` comes from `base`."""
    values = {"base": answers((0, 9), 0)}
    parents: list[dict[str, str]] = [{"run": "runs/base", "name": "base"}]
    runs = []
    for p, pretrain in enumerate(FACTORS["pretrain"]):
        for seed in range(2):
            pre, mid = f"pre-{p}-{seed}", f"mid-{p}-{seed}"
            values |= {pre: answers((p, 7), seed, gain=0.1), mid: answers((p, 8), seed, gain=0.2)}
            parents += [{"run": f"runs/{pre}", "name": pre, "parent": "base"}]
            parents += [{"run": f"runs/{mid}", "name": mid, "parent": pre}]
            for t, (tune, parent) in enumerate(zip(FACTORS["tune"], (pre, mid), strict=True)):
                values[f"run-{p}{t}-{seed}"] = answers((p, t), seed, gain=0.3)
                runs.append({"run": f"runs/run-{p}{t}-{seed}", "pretrain": pretrain, "tune": tune, "parent": parent})
    for name, own in values.items():
        write_study_run(tmp_path / "runs", name, task_of(own))
    rows = rows_of(command, "--design", write_design(tmp_path / "design.yaml", FACTORS, runs, parents=parents))
    stages = {name: row for (task, name), row in rows.items() if task == "first" and "parent" in name}
    assert set(stages) == {
        "NN-parent", "NC-parent", "CN-parent", "CC-parent", "text/plain parent-grandparent",
        "text/code parent-grandparent", "code/plain parent-grandparent", "code/code parent-grandparent",
    }  # fmt: skip
    assert {row["runs"] for row in stages.values()} == {2}
    for p, pretrain in enumerate(FACTORS["pretrain"]):
        before = np.mean([values[f"pre-{p}-{seed}"] - values["base"] for seed in (0, 1)])
        between = np.mean([values[f"mid-{p}-{seed}"] - values[f"pre-{p}-{seed}"] for seed in (0, 1)])
        assert stages[f"{pretrain}/plain parent-grandparent"]["estimate"] == pytest.approx(before)
        assert stages[f"{pretrain}/code parent-grandparent"]["estimate"] == pytest.approx(between)
