"""`harness power`: plans from a file and from flags, components from earlier runs, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from harness.reports.analysis.plan import PlanFlags, read_plan
from harness.stats.planning import PlannedTask, plan_contrast
from harness.stats.shapes import Components, Shape
from tests.reports.conftest import Command
from tests.reports.study_records import RunTask, write_design, write_study_run

FACTORS = {"pretrain": ["text", "code"], "tune": ["plain", "code"]}
SIZES = ["10m", "30m", "100m"]


def write_plan(folder: Path, **content: Any) -> Path:
    path = folder / "plan.yaml"
    path.write_text(yaml.safe_dump({"factors": FACTORS, **content}), encoding="utf-8")
    return path


def table(command: Command, *words: object, key: str = "power") -> list[dict[str, Any]]:
    code, out, err = command("power", *words, "--format", "json")
    assert (code, err) == (0, ""), err
    rows: list[dict[str, Any]] = json.loads(out)["tables"][key]
    return rows


def test_the_table_is_that_of_the_planning_formulas(command: Command, tmp_path: Path) -> None:
    plan = write_plan(tmp_path, seeds=3, effect=4, tasks={"logic": {"items": 1000}})
    rows = {(row["task"], row["contrast"]): row for row in table(command, plan)}
    for name, kind in (("pretrain", "first"), ("tune", "second"), ("interaction", "interaction")):
        planned = plan_contrast(kind, [PlannedTask(items=1000, clusters=1000)], 3)
        for task in ("logic", "overall"):
            assert rows[task, name]["mde"] == pytest.approx(100 * planned.mde)
            assert rows[task, name]["power"] == pytest.approx(planned.power(0.04))
    # The published figures for this plan are 4.0, 2.8 and 5.3 points by the simple formula; ours are a little larger.
    assert rows["logic", "pretrain"]["mde"] == pytest.approx(4.0, rel=0.12)
    assert rows["logic", "tune"]["mde"] == pytest.approx(2.8, rel=0.12)


def test_flags_replace_the_file_and_more_seeds_find_smaller_effects(command: Command, tmp_path: Path) -> None:
    plan = write_plan(tmp_path, seeds=3, tasks={"logic": {"items": 100}})
    few = table(command, plan)[0]
    many = table(command, plan, "--seeds", "6", "--items", "900", "--clusters", "300")[0]
    assert (many["items"], many["clusters"], many["seeds"]) == (900, 300, 6)
    assert many["mde"] < few["mde"]
    assert "power" not in few
    assert table(command, plan, "--effect", "50")[0]["power"] > 0.99


def test_needed_seeds_and_items_reach_80_percent(command: Command, tmp_path: Path) -> None:
    plan = write_plan(tmp_path, seeds=3, effect=5, tasks={"logic": {"items": 300}})
    row = next(r for r in table(command, plan) if (r["task"], r["contrast"]) == ("logic", "tune"))
    assert row["power"] < 0.80
    enough = table(command, plan, "--seeds", row["seeds_needed"])
    assert next(r for r in enough if (r["task"], r["contrast"]) == ("logic", "tune"))["power"] >= 0.80
    larger = table(command, plan, "--items", row["items_needed"])
    assert next(r for r in larger if (r["task"], r["contrast"]) == ("logic", "tune"))["power"] >= 0.80


def test_the_footnote_explains_the_dash_of_overall(command: Command, tmp_path: Path) -> None:
    plan = write_plan(tmp_path, seeds=3, effect=5, tasks={"a": {"items": 300}, "b": {"items": 300}})
    content = json.loads(command("power", plan, "--format", "json")[1])
    assert {r["items_needed"] for r in content["tables"]["power"] if r["task"] == "overall"} == {None}
    assert "for overall, items needed are not computed" in content["notes"][-1]


def test_components_of_the_file_are_used(command: Command, tmp_path: Path) -> None:
    plan = write_plan(tmp_path, seeds=3, components={"plot": 0.01}, tasks={"a": {"items": 50}, "b": {"items": 60}})
    for row in table(command, plan, key="components"):
        assert row["plot"] == pytest.approx(0.01)
        assert row["residual"] == pytest.approx(Components().residual)


def test_variants_of_the_same_items_find_no_smaller_effects_than_one(command: Command, tmp_path: Path) -> None:
    task = {"items": 1000, "clusters": 500, "chance": 0.25, "domain": "science"}
    other = {"items": 300, "domain": "legal"}
    variants = {name: {**task, "items_from": "a"} for name in ("a_letter", "a_cot")}
    one = table(command, write_plan(tmp_path, seeds=3, tasks={"a": task, "b": other}))
    three = table(command, write_plan(tmp_path, seeds=3, tasks={"a": task, **variants, "b": other}))
    for single, several in zip(one[:3], three[:3], strict=True):
        assert several["task"] == "overall"
        assert several["mde"] == pytest.approx(single["mde"])
        assert (several["items"], several["clusters"]) == (single["items"], single["clusters"]) == (1300, 800)


def test_tasks_in_fewer_than_ten_clusters_are_named(command: Command, tmp_path: Path) -> None:
    for clusters, named in ((9, True), (10, False)):
        plan = write_plan(tmp_path, seeds=3, tasks={"logic": {"items": 90, "clusters": clusters}})
        code, out, _ = command("power", plan)
        assert code == 0
        assert ("Fewer than 10 clusters (logic)" in out) == named


@pytest.mark.parametrize("kind", ["table", "md", "csv", "latex", "html"])
def test_every_format_has_the_contrasts(kind: str, command: Command, tmp_path: Path) -> None:
    plan = write_plan(tmp_path, seeds=3, tasks={"logic": {"items": 100}})
    code, out, err = command("power", plan, "--format", kind)
    assert (code, err) == (0, ""), err
    for words in ("pretrain", "tune", "interaction", "overall"):
        assert words in out
    assert ("<svg" in out) == (kind == "html")


def test_the_chart_is_written(command: Command, tmp_path: Path) -> None:
    plan = write_plan(tmp_path, seeds=3, tasks={"logic": {"items": 100}})
    code, _, err = command("power", plan, "--charts", tmp_path / "charts")
    assert code == 0, err
    assert (tmp_path / "charts" / "power.svg").read_text().startswith("<svg")


def write_earlier(folder: Path, seeds: int = 4) -> Path:
    """Write the runs of an earlier 2 x 2 on the task `logic`, and return its design file."""
    rng, runs = np.random.default_rng(4), []
    difficulty = rng.random(200)
    for p, pretrain in enumerate(FACTORS["pretrain"]):
        for seed in range(seeds):
            luck = rng.normal(0, 0.1)
            for t, tune in enumerate(FACTORS["tune"]):
                name = f"{p}{t}-{seed}"
                values = (rng.random(200) < np.clip(difficulty + luck, 0, 1)).astype(np.float64)
                write_study_run(folder / "runs", name, {"logic": RunTask(values=values)})
                runs.append({"run": f"runs/{name}", "pretrain": pretrain, "tune": tune, "parent": f"{pretrain}-{seed}"})
    return write_design(folder / "earlier.yaml", FACTORS, runs)


def test_components_are_measured_in_earlier_runs(command: Command, tmp_path: Path) -> None:
    earlier = write_earlier(tmp_path)
    plan = write_plan(tmp_path, seeds=3)
    (measured,) = table(command, plan, "--from", earlier, key="components")
    assert 0.002 < measured["plot"] < 0.03  # 0.1 squared is 0.01
    assert measured["run"] < measured["plot"]
    assert 0.1 < measured["residual"] < 0.2
    rows = table(command, plan, "--from", earlier)
    assert {row["items"] for row in rows} == {200}
    # The design file of the earlier study is a plan too: it has four runs in each cell.
    assert table(command, earlier, "--from", earlier)[0]["seeds"] == 4


@pytest.mark.parametrize("seeds", [1, 2])
def test_the_effect_of_size_is_no_luck_of_the_earlier_runs(seeds: int, command: Command, tmp_path: Path) -> None:
    """Runs without any luck; the mean of a size is 15 points from the next one's."""
    rng, runs = np.random.default_rng(0), []
    difficulty = rng.random(200)
    for run in (one for size in SIZES for one in grid(seeds, size=size)):
        right = np.clip(0.05 + 0.6 * difficulty + 0.15 * SIZES.index(run["size"]), 0, 1)
        name = f"{run['run']}-{run['size']}"
        write_study_run(tmp_path / "runs", name, {"logic": RunTask(values=(rng.random(200) < right).astype(float))})
        runs.append({**run, "run": f"runs/{name}", "parent": f"{run['parent']}-{run['size']}"})
    earlier = write_design(tmp_path / "earlier.yaml", {**FACTORS, "size": SIZES}, runs)
    code, out, err = command("power", write_plan(tmp_path, seeds=3), "--from", earlier, "--format", "json")
    if seeds == 1:
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert "some level has 1 pre-training run tuned at both levels of tune at one level of size" in err
        return
    (measured,) = json.loads(out)["tables"]["components"]
    assert measured["plot"] < 0.001  # the variance of the sizes' means is 0.022
    assert any("in 6 pre-training runs per level, so they are uncertain" in note for note in json.loads(out)["notes"])


def test_tasks_that_the_earlier_runs_lack_are_named_as_assumed(command: Command, tmp_path: Path) -> None:
    earlier = write_earlier(tmp_path, seeds=2)
    new, known, mixed = {"items": 50}, {"items": 60}, {"items": 60, "components": {"plot": 0.01}}
    for tasks, sources, part in (
        (
            {"new": new, "logic": known},
            ["assumed", "measured"],
            "except for new: assumed, because those",
        ),
        ({"new": new}, ["assumed"], "are assumed: the runs of --from have no task of the plan (new)"),
        ({"logic": known}, ["measured"], "are measured in the runs of --from: in 2 pre-training runs per level"),
        ({"logic": mixed}, ["measured, except plot"], "are measured in the runs of --from: in 2"),
    ):
        plan = write_plan(tmp_path, seeds=3, tasks=tasks)
        content = json.loads(command("power", plan, "--from", earlier, "--format", "json")[1])
        rows = {row["task"]: row for row in content["tables"]["components"]}
        assert [rows[name]["source"] for name in tasks] == sources
        if "new" in rows:
            assert rows["new"]["residual"] == Components().residual
        if "logic" in rows:
            assert rows["logic"]["residual"] != Components().residual
        assert any(part in note for note in content["notes"])


def grid(parents: int, **more: object) -> list[dict[str, Any]]:
    """Return a run for each of the four arms and each parent."""
    return [
        {"run": f"{p}-{t}-{seed}", "pretrain": p, "tune": t, "parent": f"{p}-{seed}", "seed": seed, **more}
        for p in FACTORS["pretrain"]
        for t in FACTORS["tune"]
        for seed in range(parents)
    ]


@pytest.mark.parametrize(
    ("factors", "runs", "seeds"),
    [
        ({}, grid(2), 2),
        ({}, [one for step in (500, 900, 1000) for one in grid(2, step=step)], 2),
        ({}, [{**one, "seed": again} for again in range(3) for one in grid(2)], 2),
        ({"size": SIZES}, [one for size in SIZES for one in grid(2, size=size)], 2),
        ({"share": ["0", "10", "25"]}, [*grid(3, share="0"), {**grid(1)[0], "share": "10"}], 3),
        ({}, [{key: value for key, value in one.items() if key != "parent"} for one in grid(3)], 3),
    ],
    ids=["parents", "checkpoints", "tunings", "sizes", "one arm at a further level", "no parents"],
)
def test_the_runs_of_a_design_give_its_pretraining_runs(
    factors: dict[str, Any], runs: list[dict[str, Any]], seeds: int, command: Command, tmp_path: Path
) -> None:
    design = write_design(tmp_path / "design.yaml", {**FACTORS, **factors}, runs)
    assert {row["seeds"] for row in table(command, design, "--items", "100")} == {seeds}


def test_checkpoints_of_one_run_are_no_seeds(command: Command, tmp_path: Path) -> None:
    runs = [one for step in (500, 900, 1000) for one in grid(1, step=step)]
    design = write_design(tmp_path / "design.yaml", FACTORS, runs)
    code, out, err = command("power", design, "--items", "100")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "seeds: 1; give the pre-training runs of each level, 2 or more" in err


@pytest.mark.parametrize(
    ("content", "words", "part"),
    [
        ({}, [], "seeds: missing; give the pre-training runs of each level"),
        ({"seeds": 1}, [], "seeds: 1; give"),
        ({"seeds": 3}, [], "no tasks; give tasks with their items, or --items N"),
        ({"seeds": 3, "tasks": ["logic"]}, [], "tasks is list ['logic']; give names with their items"),
        ({"seeds": 3, "tasks": {"a": {}}}, [], "tasks.a.items: missing; give the number of items"),
        ({"seeds": 3, "tasks": {"a": {"item": 5}}}, [], "'item' is unknown; give only items"),
        ({"seeds": 3, "tasks": {"a": {"items": 5, "clusters": 9}}}, [], "9 clusters of 5 items"),
        ({"seeds": 3, "tasks": {"a": {"items": 5, "chance": 1.0}}}, [], "tasks.a.chance: 1.0; give"),
        ({"seeds": 3, "components": {"luck": 1}}, ["--items", "9"], "'luck' is unknown; give only item_first"),
        ({"seeds": 3, "components": {"plot": -1}}, ["--items", "9"], "components.plot: -1; give a variance"),
        ({"seeds": 3}, ["--items", "9", "--effect", "0"], "--effect 0: give points above 0"),
        ({"seeds": 3}, ["--from", "nowhere"], "--from nowhere: does not exist"),
        ({"runs": 5}, ["--items", "9"], "runs is 5; give a list of runs"),
        ({"runs": 5}, ["--items", "9", "--seeds", "3"], "runs is 5; give a list of runs"),
        ({"runs": ["NN"]}, ["--items", "9"], "runs[0]: is 'NN'; give a mapping with run and a level of each factor"),
        ({"seeds": 3, "pretraining": ["size"]}, ["--items", "9"], "pretraining is ['size']; give a list of factors of"),
        ({"seeds": 3, "pretraining": "tune"}, ["--items", "9"], "pretraining is 'tune'; give a list of factors of"),
        (
            {"seeds": 3, "pretraining": [["tune"]]},
            ["--items", "9"],
            "pretraining is [['tune']]; give a list of factors",
        ),
    ],
)
def test_a_wrong_plan_is_refused_in_one_line(
    content: dict[str, Any], words: list[str], part: str, command: Command, tmp_path: Path
) -> None:
    code, out, err = command("power", write_plan(tmp_path, **content), *words)
    assert (code, out, err.count("\n")) == (2, "", 1), err
    assert part in err


@pytest.mark.parametrize(
    ("field", "words", "part"),
    [
        ("seeds: one", (), "{plan}, line 3: seeds: 'one'; give the pre-training runs"),
        ("effect: -1", ("--seeds", "3"), "{plan}, line 3: effect: -1; give points above 0"),
        ("effect: 3", (), "{plan}: seeds: missing; give the pre-training runs"),
        ("seeds: 3", ("--seeds", "1"), " --seeds: 1; give the pre-training runs"),
        ("seeds: 3", ("--items", "1"), " --items: 1; give the number of items, 2 or more"),
        ("seeds: 3", ("--clusters", "1"), " --clusters: 1; give the number of independent clusters"),
    ],
)
def test_a_wrong_field_of_a_plan_is_named_by_file_and_line_and_a_wrong_flag_by_its_name(
    field: str, words: tuple[str, ...], part: str, command: Command, tmp_path: Path
) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text(f"factors: {{tune: [plain, code]}}\ntasks: {{a: {{items: 90}}}}\n{field}\n", encoding="utf-8")
    code, out, err = command("power", plan, *words)
    assert (code, out, err.count("\n")) == (2, "", 1), err
    assert part.format(plan=plan) in err


def test_fewer_items_than_two_measured_clusters_are_refused_in_one_line(command: Command, tmp_path: Path) -> None:
    rng, clusters = np.random.default_rng(0), [str(item // 100) for item in range(400)]
    for run in grid(2):
        task = RunTask(values=(rng.random(400) < 0.5).astype(float), clusters=clusters)
        write_study_run(tmp_path, run["run"], {"logic": task})
    earlier = write_design(tmp_path / "earlier.yaml", FACTORS, grid(2))
    bare, named = write_plan(tmp_path, seeds=3), tmp_path / "named.yaml"
    named.write_text(yaml.safe_dump({"factors": FACTORS, "seeds": 3, "tasks": {"logic": None}}), encoding="utf-8")
    for plan in (bare, named):
        code, out, err = command("power", plan, "--from", earlier, "--items", "100")
        assert (code, out, err.count("\n")) == (2, "", 1), err
        assert "100 items are one cluster of the size that the runs of --from have, 100 items; give 150 items" in err
    assert table(command, bare, "--from", earlier, "--items", "150")[0]["clusters"] == 2
    code, _, err = command("power", bare, "--from", earlier, "--clusters", "1")
    assert (code, err.count("\n")) == (2, 1)
    assert "--clusters: 1; give the number of independent clusters, 2 or more" in err


def test_a_plan_of_several_levels_has_dunnetts_level_the_slope_and_further_factors(
    command: Command, tmp_path: Path
) -> None:
    factors = {"share": ["0", "10", "25", "50"], "tune": ["N", "C"], "size": ["125m", "350m"]}
    plan = write_plan(
        tmp_path,
        factors=factors,
        main=["share", "tune"],
        pretraining=["share", "size"],
        seeds=3,
        tasks={"logic": {"items": 500}},
    )
    rows = {row["contrast"]: row for row in table(command, plan) if row["task"] == "logic"}
    task = PlannedTask(items=500, clusters=500, correlation=0.1)
    quarter, half = (0.25,) * 4, (0.5, 0.5)
    doses = np.array([0.0, 10.0, 25.0, 50.0])
    slope = tuple(((doses - doses.mean()) / ((doses - doses.mean()) ** 2).sum() * 50.0).tolist())
    expected = {
        "share: each level-0": Shape(between=((-1.0, 1.0, 0.0, 0.0),), within=(half,), tests=3),
        "share: slope, whole range": Shape(between=(slope,), within=(half,)),
        "tune": Shape(between=(quarter,), within=((-1.0, 1.0),)),
        "interaction: share slope, whole range x tune": Shape(between=(slope,), within=((-1.0, 1.0),)),
        "size: 350m-125m": Shape(between=(quarter, (-1.0, 1.0)), within=(half,)),
    }
    assert list(rows) == list(expected)
    for name, shape in expected.items():
        assert rows[name]["mde"] == pytest.approx(100 * plan_contrast(shape, [task], 3).mde), name
    out = command("power", plan)[1]
    assert "Power of a 4 x 2 study with 3 seeds: share, tune" in out
    assert "at Dunnett's level. A slope is the change from the lowest to the highest level." in " ".join(out.split())


def test_one_factor_alone_can_be_planned(command: Command, tmp_path: Path) -> None:
    plan = write_plan(tmp_path, factors={"tune": ["a", "b"]}, seeds=4)
    (row, _) = table(command, plan, "--items", 300)
    shape = Shape(between=((-1.0, 1.0),), within=())
    assert row["mde"] == pytest.approx(100 * plan_contrast(shape, [PlannedTask(items=300, clusters=300)], 4).mde)


@pytest.mark.parametrize(
    ("parents", "within"), [({"a": "p{seed}", "b": "p{seed}"}, True), ({"a": "a{seed}", "b": "b{seed}"}, False)]
)
def test_the_runs_of_a_design_say_which_factors_are_of_pretraining(
    parents: dict[str, str], within: bool, command: Command, tmp_path: Path
) -> None:
    runs = [
        {
            "run": f"{tune}-{size}-{seed}",
            "tune": tune,
            "size": size,
            "parent": parents[tune].format(seed=f"{seed}{size}"),
        }
        for tune in "ab"
        for size in ("s", "m", "l")
        for seed in range(3)
    ]
    plan = write_plan(tmp_path, factors={"tune": ["a", "b"], "size": ["s", "m", "l"]}, runs=runs)
    rows = {row["contrast"]: row for row in table(command, plan, "--items", 300)}
    own, mean = ((-1.0, 1.0),), ((1 / 3,) * 3,)
    shape = Shape(between=mean, within=own) if within else Shape(between=own + mean, within=())
    planned = plan_contrast(shape, [PlannedTask(items=300, clusters=300)], 3)
    assert rows["tune"]["mde"] == pytest.approx(100 * planned.mde)


def test_a_missing_file_is_named(command: Command, tmp_path: Path) -> None:
    code, _, err = command("power", tmp_path / "none.yaml")
    assert (code, err.count("\n")) == (2, 1)
    assert "none.yaml: cannot be read" in err


def write_constant(folder: Path, tasks: list[str]) -> Path:
    """Write a 2 x 2 in which the named tasks have 0 for all items, and return its design file."""
    rng, runs = np.random.default_rng(1), grid(3)
    for run in runs:
        values = {"logic": (rng.random(50) < 0.4).astype(float), "code": np.zeros(40)}
        write_study_run(folder, run["run"], {name: RunTask(values=values[name]) for name in tasks})
    return write_design(folder / "earlier.yaml", FACTORS, runs)


def test_a_task_that_was_constant_in_earlier_runs_is_named_and_not_planned(command: Command, tmp_path: Path) -> None:
    earlier = write_constant(tmp_path, ["logic", "code"])
    code, out, err = command("power", earlier, "--from", earlier, "--format", "json")
    assert (code, err) == (0, "")
    content = json.loads(out)
    rows = content["tables"]["power"]
    assert {row["task"] for row in rows} == {"overall", "logic"}
    assert [row["mde"] for row in rows if row["task"] == "overall"] == pytest.approx(
        [row["mde"] / 0.75 for row in rows if row["task"] == "logic"]  # chance-centred, with a chance of 0.25
    )
    (note,) = [note for note in content["notes"] if note.startswith("No plan for")]
    assert note.startswith("No plan for code: constant in the runs of --from (the same value in all items")


def test_earlier_runs_with_constant_tasks_only_are_refused_in_one_line(command: Command, tmp_path: Path) -> None:
    earlier = write_constant(tmp_path, ["code"])
    code, out, err = command("power", earlier, "--from", earlier)
    assert (code, out, err.count("\n")) == (2, "", 1), err
    assert "no item of code had different values in the earlier runs" in err
    zero = dict.fromkeys(Components.__dataclass_fields__, 0)
    plan = write_plan(tmp_path, seeds=3, tasks={"logic": {"items": 50, "components": zero}})
    code, out, err = command("power", plan)
    assert (code, out, err.count("\n")) == (2, "", 1), err
    assert "tasks.logic: its components leave some contrast without error; give residual > 0" in err


@pytest.mark.parametrize(("effect", "says"), [(3, False), (0.03, True)])
def test_the_unit_of_effects_stands_below_the_result(
    effect: float, says: bool, command: Command, tmp_path: Path
) -> None:
    plan = tmp_path / "plan.yaml"
    tasks = {"a": {"items": 300, "chance": 0.25}}
    plan.write_text(yaml.safe_dump({"factors": {"tune": ["plain", "code"]}, "seeds": 3, "tasks": tasks}))
    code, out, err = command("power", plan, "--effect", effect)
    assert (code, err) == (0, "")
    head = " ".join(out.partition("Power and detectable effects, in points")[0].split())
    assert "1 point is 0.01 of a task's accuracy" in head
    assert "not a standard deviation" in head
    assert ("An effect of 0.03 points is 0.0003; for 0.03, give 3." in head) == says


def test_three_points_are_a_difference_of_three_hundredths(command: Command, tmp_path: Path) -> None:
    """By task the points of accuracy; overall they are divided by 1 - chance, so that fewer are found."""
    plan = tmp_path / "plan.yaml"
    tasks = {"a": {"items": 300, "chance": 0.5}}
    plan.write_text(yaml.safe_dump({"factors": {"tune": ["plain", "code"]}, "seeds": 3, "tasks": tasks}))
    rows = json.loads(command("power", plan, "--format", "json")[1])["tables"]["power"]
    by_task = {row["task"]: row for row in rows}
    read = read_plan(plan, PlanFlags())
    (kind,) = read.contrasts.values()
    assert by_task["a"]["mde"] == pytest.approx(100 * plan_contrast(kind, [read.tasks["a"].planned], 3).mde)
    assert by_task["overall"]["mde"] == pytest.approx(2 * by_task["a"]["mde"])
