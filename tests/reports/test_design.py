"""`harness compare --design`: the worked example from records, other designs, and what is refused."""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import yaml
from scipy import stats

from harness.stats import holm
from harness.stats.noncentral import detectable_effect
from tests.factorial_example import example_tasks, expected_figures
from tests.reports.conftest import Command
from tests.reports.small_designs import FACTORS, Values, answers, lineage, manifest, rows_of, write_study
from tests.reports.study_records import RunTask, write_design, write_study_run

KEYS = ("task", "contrast", "estimate", "se", "se_items", "se_seeds", "df", "low", "high", "p", "p_corrected", "mde")


@pytest.fixture(scope="session")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The worked example as run folders; returns the design file."""
    folder = tmp_path_factory.mktemp("example")
    tasks, runs = example_tasks(), []
    seeds = next(iter(tasks.values())).values.shape[2]
    for p, pretrain in enumerate(FACTORS["pretrain"]):
        for t, tune in enumerate(FACTORS["tune"]):
            for seed in range(seeds):
                name = f"{'NC'[p]}{'NC'[t]}-{seed}"
                own = {
                    task: RunTask(
                        values=one.values[p, t, seed], clusters=one.clusters.tolist(), chance=one.chance, domain=task
                    )
                    for task, one in tasks.items()
                }
                write_study_run(folder / "runs", name, own)
                parent = f"pre-{pretrain}-{seed}"
                runs.append({"run": f"runs/{name}", "pretrain": pretrain, "tune": tune, "parent": parent, "seed": seed})
    return write_design(folder / "design.yaml", FACTORS, runs)


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_study(tmp_path_factory.mktemp("small"))


def test_the_worked_example_is_reproduced_from_records(command: Command, example: Path) -> None:
    rows, expected = rows_of(command, "--design", example), expected_figures()
    assert rows.keys() == expected.keys()
    for key, figures in expected.items():
        assert set(KEYS) <= rows[key].keys()
        for name in ("estimate", "se", "se_items", "se_seeds"):
            assert rows[key][name] == pytest.approx(figures[name], abs=1e-4), (key, name)
        if key[1] not in ("NC-NN", "CC-CN") or figures["se_seeds"] > 0.0:  # for those see tests/stats/test_factorial.py
            for name in ("df", "low", "high", "p"):
                assert rows[key][name] == pytest.approx(figures[name], abs=1e-4), (key, name)


def test_p_is_corrected_within_each_family(command: Command, small: Path) -> None:
    rows = rows_of(command, "--design", small)
    for family, size in (("primary", 3), ("secondary", 6), ("exploratory", 12)):
        members = [row for row in rows.values() if row["family"] == family]
        assert len(members) == size
        assert [row["p_corrected"] for row in members] == pytest.approx(list(holm([row["p"] for row in members])))
        # No wild bootstrap here, so both effects are those of the noncentral t, the second at Holm's first step.
        for row in members:
            assert row["mde"] == pytest.approx(detectable_effect(row["se"], row["df"]))
            corrected = detectable_effect(row["se"], row["df"], alpha=0.05 / size)
            assert row["mde_corrected"] == pytest.approx(corrected)
    assert {task for task, name in rows if rows[task, name]["family"] == "primary"} == {"overall"}


@pytest.mark.parametrize("kind", ["table", "md", "csv", "json", "latex", "html"])
def test_every_format_has_the_rows_and_the_same_bytes(kind: str, command: Command, small: Path, tmp_path: Path) -> None:
    files = [tmp_path / "one", tmp_path / "two"]
    for file in files:
        assert command("compare", "--design", small, "--format", kind, "--output_path", file)[0] == 0
    text = files[0].read_text(encoding="utf-8")
    assert text == files[1].read_text(encoding="utf-8")
    for words in ("interaction", "CC-NC", "overall", "second"):
        assert words in text
    if kind == "csv":
        rows = list(csv.DictReader(io.StringIO(text)))
        assert set(KEYS) <= rows[0].keys()
        assert len(rows) == 21
    if kind == "html":
        assert text.count("<circle") == 13  # primary and secondary rows, and the overall simple effects
        assert "<script" not in text


def test_charts_are_written(command: Command, small: Path, tmp_path: Path) -> None:
    code, _, err = command("compare", "--design", small, "--charts", tmp_path / "charts")
    assert code == 0, err
    assert (tmp_path / "charts" / "effects.svg").read_text().startswith("<svg")


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


def test_control_domains_have_rows_of_their_own_and_are_exploratory(command: Command, tmp_path: Path) -> None:
    """Three tasks outside the study's question; overall is that of `logic`."""
    domains = {"logic": "logic", "boolq": "general", "hellaswag": "general", "plain": "other"}
    runs = []
    for p, t, seed in itertools.product(*[(0, 1)] * 3):
        name = f"{'NC'[p]}{'NC'[t]}-{seed}"
        tasks = {task: RunTask(values=answers((p, t), seed + 10 * at), domain=domain)
                 for at, (task, domain) in enumerate(domains.items())}  # fmt: skip
        write_study_run(tmp_path / "runs", name, tasks)
        levels = {"pretrain": FACTORS["pretrain"][p], "tune": FACTORS["tune"][t]}
        runs.append({"run": f"runs/{name}", "parent": f"{p}-{seed}", "seed": seed} | levels)
    rows = rows_of(command, "--design", write_design(tmp_path / "design.yaml", FACTORS, runs))
    means = [rows[task, "tune"]["estimate"] for task in ("boolq", "hellaswag")]
    assert rows["general", "tune"]["estimate"] == pytest.approx(np.mean(means) / 0.75)
    assert rows["other", "tune"]["estimate"] == pytest.approx(rows["plain", "tune"]["estimate"] / 0.75)
    families = {task: rows[task, "tune"]["family"] for task in ("overall", "general", "other", *domains)}
    assert families == {
        "overall": "primary", "logic": "secondary", "general": "exploratory", "other": "exploratory",
        "boolq": "exploratory", "hellaswag": "exploratory", "plain": "exploratory",
    }  # fmt: skip


def test_auto_needs_a_lineage(command: Command, small: Path) -> None:
    code, _, err = command("compare", "--design", "auto", small.parent / "runs")
    assert (code, err.count("\n")) == (2, 1)
    assert "lineage of CC-0" in err
    assert "design file" in err


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


def test_an_unbalanced_design_is_analysed(command: Command, small: Path) -> None:
    content = [block for block in small.read_text().split("\n- ") if "runs/CC-1" not in block]
    other = small.with_name("unbalanced.yaml")
    other.write_text("\n- ".join(content) + "\n")
    rows = rows_of(command, "--design", other)
    full = rows_of(command, "--design", small)
    assert rows["first", "NC-NN"]["estimate"] == full["first", "NC-NN"]["estimate"]
    assert rows["first", "tune"]["estimate"] != full["first", "tune"]["estimate"]
    assert rows["first", "CC-CN"]["se"] > 0


def further(folder: Path, levels: list[object], gains: list[float]) -> Path:
    """A 2 x 2 whose tuned-with-code arms have a third factor; the others have its reference level only."""
    runs = []
    for p, pretrain in enumerate(FACTORS["pretrain"]):
        for t, tune in enumerate(FACTORS["tune"]):
            for number, (level, gain) in enumerate(zip(levels, gains, strict=True)):
                for seed in range(3):
                    if t == 0 and number:
                        continue
                    name = f"{p}{t}{number}-{seed}"
                    values = answers((p, t), 10 * number + seed, items=200, gain=gain)
                    write_study_run(folder / "runs", name, {"first": RunTask(values=values)})
                    runs.append({"run": f"runs/{name}", "pretrain": pretrain, "tune": tune, "share": level,
                                 "parent": f"{pretrain}-{seed}", "seed": seed})  # fmt: skip
    return write_design(folder / "design.yaml", FACTORS | {"share": levels}, runs)


def test_a_further_factor_is_compared_with_its_reference_and_by_its_slope(command: Command, tmp_path: Path) -> None:
    rows = rows_of(command, "--design", further(tmp_path, [0, 0.3, 0.5], [0.0, 0.06, 0.10]))
    assert {name for task, name in rows if task == "overall"} >= {"share: 0.3-0", "share: 0.5-0", "share: slope"}
    one, two = rows["first", "share: 0.3-0"], rows["first", "share: 0.5-0"]
    assert one["estimate"] == pytest.approx(0.06, abs=0.06)
    assert two["estimate"] == pytest.approx(0.10, abs=0.06)
    for row in (one, two):
        assert row["family"] == "exploratory"
        assert row["p"] < row["p_dunnett"] < 2.01 * row["p"]
        assert row["p_dunnett"] <= row["p_corrected"]
    doses = np.array([0, 0.3, 0.5])
    weights = (doses - doses.mean()) / ((doses - doses.mean()) ** 2).sum()
    expected = weights[1] * one["estimate"] + weights[2] * two["estimate"]
    assert rows["first", "share: slope"]["estimate"] == pytest.approx(expected)
    # The main effects stay at the only level of the further factor that has all four cells: its reference.
    assert rows["first", "tune"]["runs"] == 12


def test_a_factor_of_words_has_no_slope(command: Command, tmp_path: Path) -> None:
    rows = rows_of(command, "--design", further(tmp_path, ["uniform", "up", "down"], [0.0, 0.0, 0.0]))
    names = {name for _, name in rows}
    assert {"share: up-uniform", "share: down-uniform"} <= names
    assert not any("slope" in name for name in names)


def test_one_factor_alone_has_its_main_effect(command: Command, tmp_path: Path) -> None:
    runs = []
    for t, tune in enumerate(("plain", "code")):
        for seed in range(3):
            write_study_run(tmp_path, f"{tune}-{seed}", {"first": RunTask(values=answers((0, t), seed))})
            runs.append({"run": f"{tune}-{seed}", "tune": tune, "parent": f"base-{seed}"})
    rows = rows_of(command, "--design", write_design(tmp_path / "d.yaml", {"tune": ["plain", "code"]}, runs))
    assert set(rows) == {("overall", "tune"), ("first", "tune")}
    assert rows["overall", "tune"]["family"] == "primary"


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


def test_chain_of_thought_is_a_factor_within_runs(command: Command, tmp_path: Path) -> None:
    runs, raised = [], {}
    for p, pretrain in enumerate(FACTORS["pretrain"]):
        for t, tune in enumerate(FACTORS["tune"]):
            for seed in range(2):
                name = f"{'NC'[p]}{'NC'[t]}-{seed}"
                direct = answers((p, t), seed)
                cot = np.maximum(direct, answers((p, t), 70 + seed))
                raised[name] = float((cot - direct).mean())
                tasks = {"riddle": RunTask(values=direct), "riddle_cot": RunTask(values=cot, items_of="riddle")}
                write_study_run(tmp_path, name, tasks)
                runs.append({"run": name, "pretrain": pretrain, "tune": tune, "parent": f"{pretrain}-{seed}"})
    rows = rows_of(command, "--design", write_design(tmp_path / "d.yaml", FACTORS, runs))
    assert rows["riddle_cot", "cot"]["estimate"] == pytest.approx(np.mean(list(raised.values())))
    arm = {label: np.mean([raised[f"{label}-{seed}"] for seed in range(2)]) for label in ("NN", "NC", "CN", "CC")}
    for label, gain in arm.items():
        assert rows["riddle_cot", f"cot {label}"]["estimate"] == pytest.approx(gain)
    expected = (arm["CN"] + arm["CC"] - arm["NN"] - arm["NC"]) / 2
    assert rows["riddle_cot", "cot x pretrain"]["estimate"] == pytest.approx(expected)
    assert rows["riddle_cot", "cot x interaction"]["family"] == "exploratory"
    # Both tasks have the same items, so overall they count once: half the sum of their effects, over 1 - chance.
    both = (rows["riddle", "tune"]["estimate"] + rows["riddle_cot", "tune"]["estimate"]) / 2
    assert rows["overall", "tune"]["estimate"] == pytest.approx(both / 0.75)


def test_the_last_checkpoints_are_averaged_and_give_signal_and_noise(command: Command, tmp_path: Path) -> None:
    runs = []
    values: dict[tuple[str, int, int], Values] = {}
    for t, tune in enumerate(FACTORS["tune"]):
        for seed in range(2):
            for step in (100, 200, 300):
                name = f"{tune}-{seed}-{step}"
                values[tune, seed, step] = answers((step, t), seed)
                write_study_run(tmp_path, name, {"first": RunTask(values=values[tune, seed, step])})
                runs.append({"run": name, "tune": tune, "parent": f"base-{seed}", "seed": seed, "step": step})
    design = write_design(tmp_path / "d.yaml", {"tune": FACTORS["tune"]}, runs)
    last = rows_of(command, "--design", design)["first", "tune"]
    two = rows_of(command, "--design", design, "--last_checkpoints", "2")["first", "tune"]

    def mean(tune: str, steps: tuple[int, ...]) -> float:
        return float(np.mean([values[tune, seed, step] for seed in range(2) for step in steps]))

    assert last["estimate"] == pytest.approx(mean("code", (300,)) - mean("plain", (300,)))
    assert two["estimate"] == pytest.approx(mean("code", (200, 300)) - mean("plain", (200, 300)))
    code, out, _ = command("compare", "--design", design, "--format", "json")
    assert code == 0
    (signal,) = json.loads(out)["tables"]["signal"]
    finals = [float(values[tune, seed, 300].mean()) for tune in FACTORS["tune"] for seed in range(2)]
    assert signal["signal"] == pytest.approx((max(finals) - min(finals)) / np.mean(finals))
    spreads = []
    for tune in FACTORS["tune"]:
        for seed in range(2):
            late = [float(values[tune, seed, step].mean()) for step in (100, 200, 300)]
            spreads.append(np.std(late, ddof=1) / np.mean(late))
    assert signal["noise"] == pytest.approx(math.sqrt(np.mean(np.square(spreads))))


def test_gold_log_likelihood_and_bits_per_byte_are_tested_like_accuracy(command: Command, tmp_path: Path) -> None:
    runs, rng = [], np.random.default_rng(5)
    likelihoods: dict[str, Values] = {}
    for tune in FACTORS["tune"]:
        for seed in range(2):
            name = f"{tune}-{seed}"
            likelihoods[name] = -rng.random((30, 2)) * 5
            pairs = [(float(one), float(two)) for one, two in likelihoods[name]]
            write_study_run(tmp_path, name, {"first": RunTask(values=np.ones(30), likelihoods=pairs)})
            runs.append({"run": name, "tune": tune, "parent": f"base-{seed}"})
    design = write_design(tmp_path / "d.yaml", {"tune": FACTORS["tune"]}, runs)
    expected = np.mean([likelihoods[f"code-{s}"][:, 0] - likelihoods[f"plain-{s}"][:, 0] for s in range(2)])
    for task in ("first", "overall"):
        row = rows_of(command, "--design", design, "--metric", "gold_log_likelihood")[task, "tune"]
        assert row["estimate"] == pytest.approx(expected)
        bits = rows_of(command, "--design", design, "--metric", "bits_per_byte")[task, "tune"]
        assert bits["estimate"] == pytest.approx(-expected / (math.log(2) * len(" yes")))
        assert bits["p"] == pytest.approx(row["p"])
    code, out, err = command(
        "compare", tmp_path / "plain-0", tmp_path / "code-0", "--metric", "gold_log_likelihood", "--format", "json"
    )
    assert code == 0, err
    (pairwise,) = json.loads(out)["tables"]["differences"]
    gold = likelihoods["code-0"][:, 0] - likelihoods["plain-0"][:, 0]
    assert pairwise["difference"] == pytest.approx(gold.mean())


@pytest.mark.parametrize(("metric", "unit"), [("gold_log_likelihood", 1.0), ("bits_per_byte", -4 * math.log(2))])
def test_pairwise_likelihoods_have_an_overall_row_that_gates_the_tasks(
    metric: str, unit: float, command: Command, tmp_path: Path
) -> None:
    """The mean over two domains, of two tasks and of one; ` yes` has four bytes."""
    rng, gold = np.random.default_rng(6), {}
    for name in ("old", "new"):
        drawn = {task: -rng.random((30, 2)) * 5 + (name == "new") for task in ("a", "b", "c")}
        gold[name] = {task: one[:, 0] for task, one in drawn.items()}
        tasks = {
            task: RunTask(
                values=np.ones(30),
                domain="legal" if task == "c" else "logic",
                likelihoods=[(float(one), float(two)) for one, two in pairs],
            )
            for task, pairs in drawn.items()
        }
        write_study_run(tmp_path, name, tasks)
    code, out, err = command("compare", tmp_path / "old", tmp_path / "new", "--metric", metric, "--format", "json")
    assert code == 0, err
    tables = json.loads(out)["tables"]
    overall = {row["domain"]: row for row in tables["overall"]}
    a, b, c = (float((gold["new"][task] - gold["old"][task]).mean()) for task in ("a", "b", "c"))
    assert overall["overall"]["difference"] == pytest.approx(((a + b) / 2 + c) / 2 / unit)
    assert overall["overall"]["p"] < 0.05
    for row in tables["differences"]:
        assert row["p_corrected"] >= overall["overall"]["p_corrected"]


def test_unequal_training_tokens_are_said_first(command: Command, tmp_path: Path) -> None:
    lineages = {f"{'NC'[p]}{'NC'[t]}-{seed}": lineage(p, t, seed) for p in (0, 1) for t in (0, 1) for seed in (0, 1)}
    for name, links in lineages.items():
        for link in links:
            link["manifest"]["tokens"] = 60_000 if name[0] == "C" else 30_000
    design = write_study(tmp_path, lineages=lineages)
    words = " ".join(command("compare", "--design", design)[1].split())
    _, _, after = words.partition("Not trained on equally many tokens: ")
    assert after.startswith("NN 60k tokens, NC 60k tokens, CN 120k tokens")
    assert "interaction" in after, "it stands above the table"


def test_overlapping_items_are_left_out_of_a_second_table(command: Command, tmp_path: Path) -> None:
    """Files may be given for several arms: an item that is in any of them is left out."""
    design = write_study(tmp_path)
    files = [overlap_file(tmp_path / f"{n}.json", "first", items) for n, items in enumerate(([0, 1], [1, 2, 3]))]
    words = [word for file in files for word in ("--overlap", file)]
    _, out, _ = command("compare", "--design", design, *words, "--format", "json")
    tables = json.loads(out)["tables"]
    for row, clean in zip(tables["contrasts"], tables["contrasts_without"], strict=True):
        assert (row["task"], row["contrast"]) == (clean["task"], clean["contrast"])
        if row["task"] != "overall":
            assert row["items"] - clean["items"] == (4 if row["task"] == "first" else 0)
    main = next(row for row in tables["contrasts_without"] if (row["task"], row["contrast"]) == ("first", "pretrain"))
    cells = {
        (p, t): np.mean([answers((p, t), s, gain=0.2 * (p + t) - 0.2)[4:] for s in (0, 1)])
        for p in (0, 1)
        for t in (0, 1)
    }
    expected = (cells[1, 0] + cells[1, 1] - cells[0, 0] - cells[0, 1]) / 2
    assert main["estimate"] == pytest.approx(expected)


def overlap_file(path: Path, task: str, items: Sequence[int]) -> Path:
    hashes = [hashlib.sha256(f"{task} {item}".encode()).hexdigest() for item in items]
    rows = [{"task": task, "item": "", "doc_hash": digest} for digest in hashes]
    path.write_text(json.dumps({"tables": {"overlap": [{"task": "first"}, {"task": "second"}], "items": rows}}))
    return path


def test_the_page_of_a_design_says_what_is_not_comparable_on_its_first_screen(command: Command, tmp_path: Path) -> None:
    lineages = {f"{'NC'[p]}{'NC'[t]}-{seed}": lineage(p, t, seed) for p in (0, 1) for t in (0, 1) for seed in (0, 1)}
    for name, links in lineages.items():
        for link in links:
            link["manifest"]["tokens"] = 60_000 if name[0] == "C" else 30_000
    design = write_study(tmp_path, lineages=lineages)
    command("compare", "--design", design, "--output_path", tmp_path / "page.html")
    header, _, _ = (tmp_path / "page.html").read_text(encoding="utf-8").partition("</header>")
    assert "Not trained on equally many tokens" in header


def test_auto_refuses_a_lineage_whose_pretraining_run_was_missing(command: Command, tmp_path: Path) -> None:
    lineages = {f"{'NC'[p]}{'NC'[t]}-{seed}": lineage(p, t, seed) for p in (0, 1) for t in (0, 1) for seed in (0, 1)}
    for links in lineages.values():
        links[1] |= {"manifest": None, "status": "missing"}
    write_study(tmp_path, lineages=lineages)
    code, _, err = command("compare", "--design", "auto", tmp_path / "runs")
    assert (code, err.count("\n")) == (2, 1)
    assert "pre-1-0, an ancestor of CC-0, was missing when that was evaluated" in err


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


def test_the_pretraining_factor_comes_first_whatever_the_order_in_the_file(command: Command, small: Path) -> None:
    content = yaml.safe_load(small.read_text())
    content["factors"] = dict(reversed(content["factors"].items()))
    other = small.with_name("swapped.yaml")
    other.write_text(yaml.safe_dump(content, sort_keys=False))
    assert list(yaml.safe_load(other.read_text())["factors"]) == ["tune", "pretrain"]
    assert rows_of(command, "--design", other) == rows_of(command, "--design", small)


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
