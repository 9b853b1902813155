"""Other values than the accuracy of the last checkpoint: late checkpoints, likelihoods, with and without a design."""

from __future__ import annotations

import itertools
import json
import math
import re
from pathlib import Path

import numpy as np
import pytest

from tests.reports.conftest import Command
from tests.reports.small_designs import FACTORS, Values, answers, rows_of
from tests.reports.study_records import RunTask, write_design, write_study_run


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


@pytest.mark.parametrize(("metric", "loss"), [("gold_log_likelihood", 2.0), ("bits_per_byte", 2.0 / math.log(2) / 4)])
def test_a_margin_may_be_above_1_where_values_may(metric: str, loss: float, command: Command, tmp_path: Path) -> None:
    rng = np.random.default_rng(8)
    base = -3.0 - rng.random(50)
    for name, values in (("a", base), ("b", base - 2.0 + rng.normal(0, 0.1, 50))):
        pairs = [(float(one), -9.0) for one in values]
        write_study_run(tmp_path, name, {"first": RunTask(values=np.ones(50), likelihoods=pairs)})
    for margin, conclusion in ((1.5 * loss, "non-inferior"), (0.5 * loss, "inferior")):
        words = ["compare", tmp_path / "a", tmp_path / "b", "--metric", metric, "--margin", margin, "--format", "json"]
        code, out, err = command(*words)
        assert (code, err) == (0, "")
        assert [row["conclusion"] for row in json.loads(out)["tables"]["differences"]] == [conclusion]


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


def likelihoods_of(gold: Values) -> RunTask:
    """A task with these log-likelihoods of the right choice; all answers are right."""
    return RunTask(values=(gold < 0).astype(np.float64), likelihoods=[(float(one), -99.0) for one in gold])


@pytest.mark.parametrize("metric", ["gold_log_likelihood", "bits_per_byte"])
def test_sentences_say_whether_a_difference_is_better_or_worse(metric: str, command: Command, tmp_path: Path) -> None:
    """Tuning with code costs one nat of each item's log-likelihood."""
    rng, runs = np.random.default_rng(3), []
    for p, t, seed in itertools.product((0, 1), (0, 1), range(3)):
        tasks = {task: likelihoods_of(-2.0 - t - rng.random(60)) for task in ("a", "b")}
        levels = {"pretrain": FACTORS["pretrain"][p], "tune": FACTORS["tune"][t]}
        write_study_run(tmp_path, f"{p}{t}{seed}", tasks)
        runs.append({"run": f"{p}{t}{seed}", "parent": f"{p}{seed}", "seed": seed} | levels)
    design = write_design(tmp_path / "d.yaml", FACTORS, runs)
    first, second = tmp_path / "000", tmp_path / "010"

    def sentences(*words: object) -> str:
        return " ".join(json.loads(command("compare", *words, "--metric", metric, "--format", "json")[1])["notes"])

    difference = r"[+-][0-9.]+"
    worse = sentences(first, second)
    assert re.search(rf"all 2 tasks together differ: {difference} \(worse; {difference} to", worse)
    assert re.search(rf"2 of 2 tasks differ .*: a \({difference}, worse\), b \({difference}, worse\)", worse)
    assert re.search(rf"differ: {difference} \(better; ", sentences(second, first))
    of_design = sentences("--design", design)
    assert re.search(r"tune, overall: .*: differs from 0 \(worse\)\.", of_design)
    assert re.search(rf"main effects and interactions differ: a tune \({difference}, worse\), b tune", of_design)


def test_sentences_about_accuracies_leave_it_to_the_sign(command: Command, tmp_path: Path) -> None:
    for name, values in (("old", np.zeros(60)), ("new", np.ones(60))):
        write_study_run(tmp_path, name, {"a": RunTask(values=values)})
    notes = " ".join(json.loads(command("compare", tmp_path / "old", tmp_path / "new", "--format", "json")[1])["notes"])
    assert "1 of 1 task differs after Holm's correction: a (+1.000)." in notes


@pytest.mark.parametrize("metric", ["gold_log_likelihood", "bits_per_byte"])
def test_no_page_calls_a_metric_without_chance_chance_centred(metric: str, command: Command, tmp_path: Path) -> None:
    for name in ("old", "new"):
        pairs = [(-1.0 - 0.01 * item, -2.0) for item in range(30)]
        write_study_run(tmp_path, name, {"first": RunTask(values=np.ones(30), likelihoods=pairs)})
    design = write_design(
        tmp_path / "d.yaml", {"tune": ["old", "new"]}, [{"run": name, "tune": name} for name in ("old", "new")]
    )
    for words in ([tmp_path / "old", tmp_path / "new"], ["--design", design]):
        page = tmp_path / "page.html"
        code, _, err = command("compare", *words, "--metric", metric, "--format", "html", "--output_path", page)
        assert (code, err.count("Traceback")) == (0, 0), err
        text = page.read_text(encoding="utf-8")
        assert "of accuracies, chance-centred" in text
        assert text.lower().count("chance-centred") == text.count("of accuracies, chance-centred")
        title = text.partition("</h1>")[0].rpartition("<h1")[2]
        assert ("by bits_per_byte (lower is better)" in title) == (metric == "bits_per_byte")
