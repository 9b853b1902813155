"""The statements that people read first hold: overall, families of tests, pre-training runs, variants."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from harness.records import ModelRecords
from harness.reports.analysis.differences import Comparison, DomainDifference
from harness.reports.analysis.domains import board_estimates
from harness.reports.analysis.intervals import IntervalCache
from harness.reports.analysis.leaderboard import rank
from harness.reports.analysis.parents import chain_of, parents_of, whole_plots
from harness.reports.commands.terminal import plain
from harness.reports.documents import tables
from harness.reports.documents.comparison import comparison_document
from harness.reports.documents.latex import latex
from harness.reports.documents.leaderboard import leaderboard_document
from harness.stats import (
    TaskScores,
    compare_over_tasks,
    compare_paired,
    estimate_mean,
    minimum_detectable_effect,
    rank_models,
)
from tests.reports.models_for_tests import Floats, answers, link, model, tuned, versus


def row(comparison: Comparison, domain: str = "overall", arm: str = "B") -> DomainDifference:
    return next(part for part in comparison.overall[arm] if part.domain == domain)


def arms_of_runs(
    rng: np.random.Generator, seeds: int, scatter: float, tasks: int, items: int
) -> list[list[ModelRecords]]:
    """Two equal arms; the luck of a run is the same on all tasks."""
    luck = rng.normal(0.0, scatter, (2, seeds, 1))
    columns = {f"t{k}": answers(rng, rng.normal(0.0, 1.0, items) + luck) for k in range(tasks)}
    return [
        [
            model(f"{'ab'[arm]}{run}", {task: column[arm, run] for task, column in columns.items()})
            for run in range(seeds)
        ]
        for arm in range(2)
    ]


def test_overall_of_several_runs_averages_the_tasks_within_each_run_first() -> None:
    first, second = arms_of_runs(np.random.default_rng(0), 3, 0.3, 4, 60)
    overall = row(versus(first, second))
    scores = [
        TaskScores(a=values(first, task), b=values(second, task), weight=0.25) for task in ("t0", "t1", "t2", "t3")
    ]
    expected = compare_over_tasks(scores)
    assert overall.difference == pytest.approx(expected.difference)
    assert overall.interval == pytest.approx((expected.low, expected.high))
    assert (overall.p, overall.seed_error) == pytest.approx((expected.p, expected.seed_error))


def values(models: Sequence[ModelRecords], task: str) -> Floats:
    return np.stack([one.tasks[task].headline_values for one in models])


@pytest.mark.parametrize("scatter", [0.15, 0.3])
def test_overall_intervals_of_several_runs_cover(scatter: float) -> None:
    """They covered 78.5 and 69.0% when tasks counted as independent."""
    rng, covered, claims = np.random.default_rng(1), 0, 0
    for _ in range(120):
        comparison = versus(*arms_of_runs(rng, 3, scatter, 6, 200))
        low, high = row(comparison).interval or (0.0, 0.0)
        covered += low <= 0.0 <= high
        claims += any(one.significant for one in comparison.differences) or row(comparison).significant
    assert covered / 120 > 0.95 - 3 * math.sqrt(0.05 * 0.95 / 120)
    assert claims / 120 < 0.05 + 3 * math.sqrt(0.05 * 0.95 / 120)


def test_a_task_on_which_all_runs_agree_stays_in_the_overall_value() -> None:
    first, second = arms_of_runs(np.random.default_rng(2), 3, 0.3, 2, 80)
    with_tied = [
        [
            model(one.name, {t: run.headline_values for t, run in one.tasks.items()} | {"tied": np.ones(80)})
            for one in arm
        ]
        for arm in (first, second)
    ]
    comparison = versus(*with_tied)
    tied = next(one for one in comparison.differences if one.task == "tied")
    assert (tied.p, tied.difference) == (1.0, 0.0)
    low, high = tied.interval or (0.0, 0.0)
    assert low < 0.0 < high
    assert row(comparison).tasks == 3
    assert row(comparison).difference == pytest.approx(row(versus(first, second)).difference * 2 / 3)


def nested(
    rng: np.random.Generator, parents: Sequence[Sequence[str]], tokens: Sequence[int] = (1000, 1000)
) -> Comparison:
    """Two equal arms tuned from pre-training runs whose luck varies by 0.4 logits, that of tuning by 0.05."""
    luck = {name: rng.normal(0.0, 0.4) for name in sorted({name for arm in parents for name in arm})}
    difficulty, sides = rng.normal(0.0, 1.0, 200), []
    for arm, names in enumerate(parents):
        lucky = [difficulty + luck[name] + rng.normal(0.0, 0.05) for name in names]
        sides.append(
            [
                model(
                    f"{'ab'[arm]}{run}",
                    {"t": answers(rng, logits)},
                    lineage=tuned(f"{arm}-{run}", name, tokens=tokens[arm]),
                )
                for run, (name, logits) in enumerate(zip(names, lucky, strict=True))
            ]
        )
    return versus(*sides)


def test_six_tuning_runs_from_two_pretraining_runs_count_as_two() -> None:
    rng, covered = np.random.default_rng(3), 0
    for _ in range(120):
        comparison = nested(rng, (["p0", "p0", "p0", "p1", "p1", "p1"], ["q0", "q0", "q0", "q1", "q1", "q1"]))
        low, high = row(comparison).interval or (0.0, 0.0)
        covered += low <= 0.0 <= high
    assert covered / 120 > 0.95 - 3 * math.sqrt(0.05 * 0.95 / 120)
    assert any("come from 2 and 2 pre-training runs" in note for note in comparison.notes)


def test_shared_pretraining_runs_pair_the_arms() -> None:
    rng = np.random.default_rng(4)
    shared = [nested(rng, (["p0", "p1", "p2"], ["p0", "p1", "p2"])) for _ in range(60)]
    apart = [nested(rng, (["p0", "p1", "p2"], ["q0", "q1", "q2"])) for _ in range(60)]
    widths = [np.mean([np.ptp(row(one).interval or (0, 9)) for one in many]) for many in (shared, apart)]
    assert widths[0] < 0.6 * widths[1]
    covered = np.mean([(row(one).interval or (0, 0))[0] <= 0 <= (row(one).interval or (0, 0))[1] for one in shared])
    assert covered > 0.86
    assert any("the same 3 pre-training runs" in note for note in shared[0].notes)


def test_partly_shared_pretraining_runs_are_mentioned() -> None:
    comparison = nested(np.random.default_rng(4), (["p0", "p1", "p2"], ["p0", "p1", "q2"]))
    assert any("come from 3 and 3 pre-training runs, which are the units; they share 2" in n for n in comparison.notes)
    apart = nested(np.random.default_rng(4), (["p0", "p1", "p2"], ["q0", "q1", "q2"]))
    assert not any("share" in note for note in apart.notes)


def test_one_pretraining_run_per_arm_gives_no_p() -> None:
    comparison = nested(np.random.default_rng(5), (["p0"] * 3, ["q0"] * 3))
    (task,) = comparison.differences
    assert (task.interval, task.p, row(comparison).interval, row(comparison).p) == (None, None, None, None)
    assert any("cannot be separated from that run" in note for note in comparison.notes)
    for writer in (tables.markdown, tables.csv, tables.json, latex, plain):
        assert writer(comparison_document(comparison, "harness compare"))


def test_tuning_runs_of_one_pretraining_run_are_compared_for_that_run() -> None:
    comparison = nested(np.random.default_rng(6), (["p0"] * 3, ["p0"] * 3))
    assert comparison.differences[0].p is not None
    assert any("holds for training from that checkpoint" in note for note in comparison.notes)


def test_an_unknown_lineage_is_mentioned() -> None:
    first, second = arms_of_runs(np.random.default_rng(7), 2, 0.0, 1, 40)
    assert any("lineage of A and B is not recorded" in note for note in versus(first, second).notes)
    assert not any("lineage" in note for note in versus(first[:1], second[:1]).notes)


def test_parents_are_read_from_both_schemas_of_a_manifest() -> None:
    one, several = link("t", "p"), link("m")
    several["manifest"] |= {"parents": [{"digest": "x"}, {"digest": "y"}]}
    del several["manifest"]["parent"]
    assert parents_of(one) == ("p",)
    assert parents_of(several) == ("x", "y")
    assert parents_of(link("p")) == parents_of(link("hub", published=True)) == ()
    chain = chain_of(
        model("m", {"t": np.ones(2)}, lineage=[link("t", "p"), link("p", "hub"), link("hub", published=True)])
    )
    assert chain is not None
    assert (chain.digests, chain.root_is_external) == (("hub", "p", "t"), True)


def test_runs_of_two_published_models_are_compared_for_these_models() -> None:
    def side(root: str) -> list[ModelRecords]:
        return [model(f"{root}{k}", {"t": np.ones(2)}, lineage=[link(f"{root}-{k}", root), link(root, published=True)])
                for k in range(3)]  # fmt: skip

    plots = whole_plots(("A", side("x")), ("B", side("y")))
    assert plots.separable
    assert plots.names == (("x-0", "x-1", "x-2"), ("y-0", "y-1", "y-2"))
    assert "these two models only" in plots.note


def test_variants_of_the_same_items_count_once() -> None:
    rng = np.random.default_rng(8)
    a, b, other = (answers(rng, np.zeros(100)) for _ in range(3))
    c = answers(rng, np.zeros(100))
    once = versus([model("a", {"x": a, "y": other})], [model("b", {"x": b, "y": c})])
    copied = {"x": a, "x_letter@x": a, "x_cloze@x": a, "y": other}, {"x": b, "x_letter@x": b, "x_cloze@x": b, "y": c}
    thrice = versus([model("a", copied[0])], [model("b", copied[1])])
    for name in ("difference", "standard_error", "p"):
        assert getattr(row(thrice), name) == pytest.approx(getattr(row(once), name))
    assert row(thrice).interval == pytest.approx(row(once).interval)
    assert row(thrice).tasks == 4
    boards = [
        rank([model("a", one[0]), model("b", one[1])]) for one in (copied, ({"x": a, "y": other}, {"x": b, "y": c}))
    ]
    for one, two in zip(boards[0].standings, boards[1].standings, strict=True):
        assert (one.overall, one.standard_error) == pytest.approx((two.overall, two.standard_error))


def test_the_covariance_of_variants_is_that_of_their_items() -> None:
    """Two variants of the same items in one mean are one task whose value is the mean of both.

    The standard error is that of the interval, which is combined from the variants' own and so agrees to 1%. As
    independent tasks they would have 3% more, as fully correlated ones 46% more.
    """
    rng = np.random.default_rng(9)
    difficulty = rng.normal(0.0, 1.5, 150)
    first, second, third, fourth = (answers(rng, difficulty + rng.normal(0.0, 0.5, 150)) for _ in range(4))
    both = versus([model("a", {"x": first, "x_zh@x": second})], [model("b", {"x": third, "x_zh@x": fourth})])
    expected = compare_paired((first + second) / 2, (third + fourth) / 2)
    assert row(both).standard_error == pytest.approx(expected.standard_error, rel=0.01)
    apart = [compare_paired(first, third).standard_error, compare_paired(second, fourth).standard_error]
    assert math.hypot(*apart) / 2 > 1.02 * expected.standard_error
    ranking = rank_models([np.stack([(first + second) / 2, (third + fourth) / 2])])
    board = rank([model("a", {"x": first, "x_zh@x": second}), model("b", {"x": third, "x_zh@x": fourth})])
    errors = {one.model.name: one.standard_error for one in board.standings}
    assert [errors["a"], errors["b"]] == pytest.approx(ranking.standard_errors.tolist())


def family(rng: np.random.Generator, tasks: int, items: int) -> Comparison:
    columns = {f"t{k}": answers(rng, np.zeros((2, items))) for k in range(tasks)}
    return versus(*([model(name, {t: c[k] for t, c in columns.items()})] for k, name in enumerate("ab")))


@pytest.mark.parametrize("tasks", [6, 20])
def test_at_most_five_percent_of_documents_without_a_difference_claim_one(tasks: int) -> None:
    """7.0% (6 tasks) and 9.9% (20 tasks) did when the overall interval was consulted after Holm's correction."""
    rng, repetitions, claims = np.random.default_rng(10), 150, 0
    for _ in range(repetitions):
        comparison = family(rng, tasks, 100)
        claims += row(comparison).significant or any(one.significant for one in comparison.differences)
        assert all((one.p_corrected or 0) >= (row(comparison).p_corrected or 0) for one in comparison.differences)
    assert claims / repetitions < 0.05 + 3 * math.sqrt(0.05 * 0.95 / repetitions)


def test_no_sentence_claims_a_difference_that_its_interval_or_p_denies() -> None:
    rng = np.random.default_rng(11)
    for _ in range(40):
        shift = rng.choice([0.0, 0.4])
        columns = {f"t{k}": answers(rng, np.array([[0.0], [shift]]) + np.zeros((2, 80))) for k in range(3)}
        comparison = versus(*([model(name, {t: c[k] for t, c in columns.items()})] for k, name in enumerate("ab")))
        overall = row(comparison)
        low, high = overall.interval or (0.0, 0.0)
        assert overall.significant == (low > 0.0 or high < 0.0) == ((overall.p or 0.0) <= 0.05)
        text = " ".join(comparison_document(comparison, "").notes)
        assert ("tasks together differ:" in text) == overall.significant
        assert ("do not differ significantly" in text) == (not overall.significant)


def test_variants_whose_clusters_join_all_items_still_have_an_overall_value() -> None:
    """Their clusters link all items into one unit without an error; `compare` stopped with a traceback."""
    rng = np.random.default_rng(15)
    clusters = {
        "logic/x_letter@x": [str(k // 2) for k in range(60)],
        "logic/x_cloze@x": [str(k % 2) for k in range(60)],
    }
    for runs in (1, 2):
        arms = [
            [
                model(f"{n}{k}", {t: answers(rng, np.zeros(60)) for t in clusters}, clusters=clusters)
                for k in range(runs)
            ]
            for n in "ab"
        ]
        low, high = row(versus(*arms)).interval or (0.0, 0.0)
        assert low < high


def test_runs_that_agree_on_all_tasks_have_an_interval_of_overall() -> None:
    same = {f"t{k}": np.tile([1.0, 0.0, 0.0, 1.0], 10) for k in range(2)}
    comparison = versus(*([model(f"{n}{k}", same) for k in range(3)] for n in "ab"))
    low, high = row(comparison).interval or (0.0, 0.0)
    assert low < 0.0 < high
    assert row(comparison).p == 1.0


def test_arms_with_the_same_difference_on_every_item_have_the_exact_binomial_bound() -> None:
    """Each run answers half of the items, the other run of its arm the other half: no item and no mean differs."""
    first, second = np.tile([1.0, 0.0], 20), np.tile([0.0, 1.0], 20)
    comparison = versus(*([model(f"{n}0", {"t": first}), model(f"{n}1", {"t": second})] for n in "ab"), margin=0.2)
    (one,) = comparison.differences
    bound = 1.0 - 0.025 ** (1.0 / 40.0)
    assert one.interval == pytest.approx((-bound, bound))
    assert (one.p, one.conclusion) == (1.0, "non-inferior")
    assert one.margin_p == pytest.approx(0.8**40)


def test_margins_on_many_tasks_are_corrected_for_any_false_claim() -> None:
    """With eight tasks exactly at the margin, where both conclusions are false, 34% of documents held a false claim."""
    rng, repetitions, false = np.random.default_rng(12), 120, {"non-inferior": 0, "inferior": 0}
    for _ in range(repetitions):
        difference = rng.choice([1, -1, 0], p=[0.1, 0.2, 0.7], size=(8, 400))
        sides = [{f"t{k}": (sign * d > 0).astype(float) for k, d in enumerate(difference)} for sign in (-1, 1)]
        comparison = versus([model("a", sides[0])], [model("b", sides[1])], margin=0.1)
        for conclusion in {one.conclusion for one in comparison.differences} & set(false):
            false[conclusion] += 1
    for conclusion, share in (("non-inferior", 0.05), ("inferior", 0.025)):
        assert false[conclusion] / repetitions < share + 3 * math.sqrt(share * (1 - share) / repetitions)


def test_a_margin_held_on_all_tasks_is_stated_for_all_of_them() -> None:
    rng = np.random.default_rng(13)
    same = {f"t{k}": answers(rng, np.zeros(400)) for k in range(4)}
    document = comparison_document(versus([model("a", same)], [model("b", same)], margin=0.05), "")
    assert any("a loss of 0.05 or more is ruled out on all 4 tasks" in note for note in document.notes)


def test_general_tasks_have_their_own_row_and_p() -> None:
    rng = np.random.default_rng(14)
    tasks = ("logic/x", "legal/y", "general/g1", "general/g2")
    comparison = versus(*([model(n, {t: answers(rng, np.zeros(60)) for t in tasks})] for n in "ab"))
    names = [part.domain for part in comparison.overall["B"]]
    assert names == ["legal", "logic", "overall", "general"]
    assert row(comparison).tasks == row(comparison, "general").tasks == 2
    general = row(comparison, "general")
    assert general.p_corrected == pytest.approx(min(1.0, 2 * (general.p or 0.0)))


@pytest.mark.parametrize("changed", [0, 3])
def test_overall_of_single_runs_has_a_standard_error_even_if_all_tasks_are_tied(changed: int) -> None:
    """The error of tied tasks is half the width of their interval over 1.96; otherwise it is that of the mean."""
    first = {task: np.tile([1.0, 0.0], 30) for task in ("s", "t")}
    second = {task: np.where(np.arange(60) < changed, 1.0 - values, values) for task, values in first.items()}
    part = row(versus([model("a", first)], [model("b", second)]))
    assert part.interval is not None
    low, high = part.interval
    assert low < 0.0 < high
    by_interval = (high - low) / 2 / 1.959964
    gains = second["s"] - first["s"]
    expected = estimate_mean(gains).standard_error / math.sqrt(2) if changed else by_interval
    assert part.standard_error == pytest.approx(expected)
    assert part.detectable == pytest.approx(minimum_detectable_effect(by_interval))


def test_at_an_exact_tie_nobody_leads() -> None:
    rng = np.random.default_rng(15)
    right = answers(rng, np.zeros(50))
    board = rank([model("a", {"t": right}), model("b", {"t": right[::-1]}), model("c", {"t": np.zeros(50)})])
    notes = leaderboard_document(board, board_estimates(board, IntervalCache()), "").notes
    assert notes[0] == "a and b have exactly the same overall value, so nobody leads."
    assert "Domain columns are raw means, not centred on chance" in notes[-1]


def test_the_detectable_effect_rises_with_the_correction() -> None:
    comparison = family(np.random.default_rng(16), 5, 200)
    for one in comparison.differences:
        assert one.detectable_corrected is not None
        assert one.detectable is not None
        assert one.detectable < one.detectable_corrected < 2 * one.detectable
    first, second = arms_of_runs(np.random.default_rng(17), 3, 0.2, 2, 60)
    for one in versus(first, second).differences:
        assert (one.detectable or 0.0) > 2 * one.standard_error


def test_no_document_of_two_runs_per_arm_names_an_impossible_difference() -> None:
    rng = np.random.default_rng(19)
    first, second = (
        [
            model(f"{arm}{run}", {t: (rng.random(100) < rate).astype(float) for t in ("s", "t")})
            for run, rate in enumerate((0.1, 0.9))
        ]
        for arm in "ab"
    )
    comparison = versus(first, second)
    for one in comparison.differences:
        assert (one.interval, one.detectable) == ((-1.0, 1.0), math.inf)
    assert (row(comparison).interval, row(comparison).detectable) == ((-1.0, 1.0), math.inf)
    assert "No possible difference has 80% power." in " ".join(comparison_document(comparison, "").notes)


@pytest.mark.parametrize(("gain", "p"), [(0.0, 1.0), (0.5, None)])
def test_equal_runs_of_unlimited_values_have_no_interval(gain: float, p: float | None) -> None:
    first, second = (
        [model(f"{arm}{run}", {"t": np.full(30, value)}) for run in range(2)]
        for arm, value in (("a", -2.0), ("b", -2.0 + gain))
    )
    comparison = versus(first, second, any_scale=True)
    (task,), overall = comparison.differences, row(comparison)
    assert (task.difference, task.interval, task.p, task.detectable) == (gain, None, p, None)
    assert (overall.difference, overall.interval, overall.p, overall.detectable) == (gain, None, p, None)
    comparison_document(comparison, "")


def test_small_designs_are_named() -> None:
    rng = np.random.default_rng(18)
    columns = {name: answers(rng, np.zeros((2, n))) for name, n in (("tiny", 22), ("few", 80), ("large", 80))}
    labels = {"few": [f"p{k % 8}" for k in range(80)]}
    comparison = versus(
        *([model(n, {t: c[k] for t, c in columns.items()}, clusters=labels)] for k, n in enumerate("ab"))
    )
    (note,) = [one for one in comparison.notes if one.startswith("Small tasks")]
    assert note.endswith("only large differences show: few (8 clusters), tiny (22 items).")
    two = versus(*arms_of_runs(rng, 2, 0.1, 1, 80))
    assert any("With 2 runs per arm, intervals are conservative" in one for one in two.notes)


def test_one_task_whose_p_underflows_to_zero_differs() -> None:
    """3,000 items lost and none gained: 2 x 0.5^3000 is 0 in floating point, and stays 0 after correction."""
    comparison = versus([model("a", {"t": np.ones(3000)})], [model("b", {"t": np.zeros(3000)})])
    assert [(one.p, one.p_corrected) for one in comparison.differences] == [(0.0, 0.0)]
    assert (row(comparison).p, row(comparison).p_corrected) == (0.0, 0.0)
