"""`harness eval` and the leaderboard print one overall value, with one error and one interval."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from harness.evaluation.summary import ItemValues, aggregates
from harness.records import ModelRecords
from harness.records.run_folder import TaskRecord
from harness.reports.analysis.domains import board_estimates
from harness.reports.analysis.intervals import IntervalCache
from harness.reports.analysis.leaderboard import rank
from harness.reports.documents.comparison import comparison_document
from harness.stats import (
    estimate_mean,
    interval,
)
from harness.stats.item_sets import ItemLabels
from tests.reports.models_for_tests import answers, model, versus


def in_eval(one: ModelRecords, task: str) -> tuple[TaskRecord, ItemValues]:
    """What `harness eval` keeps of this task of a model."""
    run = one.tasks[task]
    scored = np.isfinite(run.headline_values)
    clusters = None if run.items.cluster is None else run.items.cluster[scored].tolist()
    labels = ItemLabels(
        docs=run.items.doc_hash[scored].tolist(),
        positions=np.flatnonzero(scored).tolist(),
        rows=scored.size,
        clusters=clusters,
    )
    kept = run.headline_values[scored]
    counts = dict.fromkeys(("items", "items_scored", "asked", "answered", "failed", "cut", "empty"), 0)
    record = TaskRecord(
        domain=run.domain, chance=run.chance, metric=run.metric, value=float(kept.mean()), interval=None,
        stderr=estimate_mean(kept, clusters).standard_error, interval_method="", items_from=run.items_from,
        failures={}, **counts,
    )  # fmt: skip
    return record, ItemValues(values=kept.tolist(), labels=labels)


@pytest.mark.parametrize("case", ["same documents", "clusters", "a failed item", "other documents", "another number"])
def test_eval_and_leaderboard_print_one_overall_value_with_one_error(case: str) -> None:
    """Letters and cloze of the same items, another task of the domain and one of another domain."""
    rng = np.random.default_rng(11)
    difficulty = rng.normal(0.0, 1.5, 60)
    letter, cloze = (answers(rng, difficulty + rng.normal(0.0, 0.5, 60)) for _ in range(2))
    if case == "a failed item":
        letter[7] = math.nan
    if case == "another number":
        cloze = cloze[:40]
    columns = {"science/x": letter, "science/x_cloze@x": cloze, "science/y": answers(rng, np.zeros(50)),
               "legal/z": answers(rng, np.ones(40))}  # fmt: skip
    labels = {"science/x": [str(k // 3) for k in range(60)]} if case == "clusters" else None
    one = model("a", columns, clusters=labels)
    if case in ("other documents", "another number"):
        table = one.tasks["x_cloze"].items
        other = replace(table, doc_hash=np.array([b"zh" + doc for doc in table.doc_hash.tolist()], dtype="S64"))
        one.tasks["x_cloze"] = replace(one.tasks["x_cloze"], items=other)  # type: ignore[index]
    kept = {task: in_eval(one, task) for task in one.tasks}
    printed = aggregates({t: record for t, (record, _) in kept.items()}, {t: items for t, (_, items) in kept.items()})
    standing = rank([one, replace(one, name="b", identity=("b",))]).standings[0]
    assert printed["reasoning"]["centred"] == pytest.approx(standing.overall, rel=1e-12)
    assert printed["reasoning"]["centred_error"] == pytest.approx(standing.standard_error, rel=1e-12)


def test_eval_and_leaderboard_print_no_error_of_0_and_the_same_intervals() -> None:
    """All 20 items of one task are right, and all 30 of another wrong; the third has both."""
    rng = np.random.default_rng(13)
    columns = {"science/x": np.ones(20), "science/y": answers(rng, np.zeros(50)), "legal/z": np.zeros(30)}
    one = model("a", columns, chance=0.25)
    kept = {task: in_eval(one, task) for task in one.tasks}
    records = {}
    for task, (record, _) in kept.items():
        ends = interval(columns[f"{record.domain}/{task}"])
        records[task] = record.model_copy(update={"interval": (ends.low, ends.high)})
    total = aggregates(records, {t: items for t, (_, items) in kept.items()})["reasoning"]
    board = rank([one, replace(one, name="b", identity=("b",))])
    estimates = board_estimates(board, IntervalCache())
    expected = estimates.overall["a"]
    assert total["centred_interval"] == pytest.approx((expected.low, expected.high), rel=1e-12)
    for domain in total["domains"]:
        own = next(d.estimates["a"] for d in estimates.domains if d.domain == domain["domain"])
        assert domain["mean_interval"] == pytest.approx((own.low, own.high), rel=1e-12)
    wilson = {name: (ends[1] - ends[0]) / 2 / 1.959964 for name, ends in {
        "x": records["x"].interval or (0, 0), "z": records["z"].interval or (0, 0)}.items()}  # fmt: skip
    error = estimate_mean(columns["science/y"]).standard_error
    science, legal = (domain["mean_error"] for domain in total["domains"])
    assert legal == pytest.approx(wilson["z"], rel=1e-6)
    assert science == pytest.approx(math.hypot(wilson["x"], error) / 2, rel=1e-6)
    assert total["centred_error"] == pytest.approx(math.hypot(science, legal) / 2 / 0.75, rel=1e-6)
    assert board.standings[0].standard_error == pytest.approx(total["centred_error"], rel=1e-12)


def test_the_error_of_a_domain_is_that_of_the_weighted_mean_of_its_tasks() -> None:
    """By hand: two tasks of logic and one of legal, chance 0.25, in five clusters, whose t-quantile is 2.78."""
    rng = np.random.default_rng(1)
    names = ("logic/x", "logic/y", "legal/z")
    labels = {name: [str(item // 24) for item in range(120)] for name in names}
    sides = [
        model(side, {name: answers(rng, np.full(120, gain)) for name in names}, clusters=labels, chance=0.25)
        for side, gain in (("a", 0.0), ("b", 0.5))
    ]
    comparison = versus([sides[0]], [sides[1]])
    variances = {}
    for one in comparison.differences:
        gains = sides[1].tasks[one.task].headline_values - sides[0].tasks[one.task].headline_values
        sums = gains.reshape(5, 24).sum(axis=1)
        variances[one.task] = ((sums - sums.mean()) ** 2).sum() * 5 / 4 / 120**2
        assert one.standard_error == pytest.approx(math.sqrt(variances[one.task]), rel=1e-9)
    rows = {part.domain: part.standard_error for part in comparison.overall["B"]}
    x, y, z = (variances[name] for name in "xyz")
    assert rows["logic"] == pytest.approx(math.sqrt(x + y) / 2 / 0.75, rel=1e-9)
    assert rows["legal"] == pytest.approx(math.sqrt(z) / 0.75, rel=1e-9)
    assert rows["overall"] == pytest.approx(math.sqrt((x + y) / 4 + z) / 2 / 0.75, rel=1e-9)
    assert "divided by 1 - chance" in comparison_document(comparison, "").notes[-1]


def test_the_error_that_eval_prints_is_that_of_the_mean_of_the_variants() -> None:
    rng = np.random.default_rng(12)
    difficulty = rng.normal(0.0, 1.5, 80)
    first, second = (answers(rng, difficulty + rng.normal(0.0, 0.5, 80)) for _ in range(2))
    one = model("a", {"science/x": first, "science/x_zh@x": second})
    kept = {task: in_eval(one, task) for task in one.tasks}
    printed = aggregates({t: record for t, (record, _) in kept.items()}, {t: items for t, (_, items) in kept.items()})
    expected = estimate_mean((first + second) / 2).standard_error
    assert printed["reasoning"]["mean_error"] == pytest.approx(expected, rel=1e-12)
    separate = (estimate_mean(first).standard_error + estimate_mean(second).standard_error) / 2
    assert expected < 0.95 * separate, "which is the error if the variants were fully correlated"
