"""Runs over several tasks, nested runs, and tasks that share items, against definitions and simulation."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats
from statsmodels.stats.multitest import multipletests

from harness.stats import (
    TaskScores,
    aggregate,
    aggregate_weights,
    compare_arms,
    compare_over_tasks,
    estimate_mean,
    hochberg,
    rank_models,
)
from harness.stats.clustered import group_by_cluster
from harness.stats.combining import Estimate, combine_correlated, combine_intervals, implied_p
from harness.stats.item_sets import correlation_of, covariance_of_means, shared_units
from harness.stats.noninferiority import both_sides
from harness.stats.runs import Plots
from harness.stats.wild import wild_p

Floats = npt.NDArray[np.float64]


def table(draw: int, runs: int, items: int, scatter: float = 0.2) -> Floats:
    rng = np.random.default_rng(draw)
    return rng.normal(0.0, scatter, (runs, 1)) + rng.normal(0.0, 1.0, (runs, items))


def test_one_task_is_the_comparison_of_two_arms() -> None:
    a, b = table(1, 3, 50), table(2, 4, 50)
    arms, tasks = compare_arms(a, b), compare_over_tasks([TaskScores(a=a, b=b)])
    for name in ("difference", "standard_error", "item_error", "seed_error", "low", "high", "p"):
        assert getattr(arms, name) == getattr(tasks, name)


def test_tasks_that_share_runs_add_their_luck() -> None:
    """Runs that differ only by one shift, the same on both tasks: two tasks tell no more about it than one."""
    rng = np.random.default_rng(3)
    shift_a, shift_b = rng.normal(size=(3, 1)), rng.normal(size=(3, 1))
    base = [rng.normal(size=60) for _ in range(2)]
    tasks = [TaskScores(a=one + shift_a, b=one + shift_b, weight=0.5) for one in base]
    both, one = compare_over_tasks(tasks), compare_arms(tasks[0].a, tasks[0].b)
    expected = scipy_stats.ttest_ind(shift_b.ravel(), shift_a.ravel())
    assert both.seed_error == pytest.approx(one.seed_error)
    assert both.p == pytest.approx(float(expected.pvalue), rel=0.25)
    assert both.difference == pytest.approx(float(shift_b.mean() - shift_a.mean()))


def test_paired_plots_are_the_paired_t_test_of_their_means() -> None:
    rng = np.random.default_rng(4)
    luck, gain = rng.normal(0.0, 1.0, (4, 1)), rng.normal(0.3, 0.2, (4, 1))
    base = rng.normal(size=30)
    test = compare_arms(base + luck, base + luck + gain, plots=(list("pqrs"), list("pqrs")))
    expected = scipy_stats.ttest_rel((luck + gain).ravel(), luck.ravel())
    assert test.paired
    assert test.seeds == (4, 4)
    assert (test.difference, test.p) == pytest.approx((float(gain.mean()), float(expected.pvalue)))
    assert test.degrees_of_freedom == pytest.approx(3.0)


def test_runs_of_one_plot_are_averaged() -> None:
    a, b = table(5, 6, 40), table(6, 4, 40)
    nested = compare_arms(a, b, plots=(["p", "p", "p", "q", "q", "q"], ["x", "y", "x", "y"]))
    averaged = compare_arms(a.reshape(2, 3, 40).mean(axis=1), np.stack([b[::2].mean(axis=0), b[1::2].mean(axis=0)]))
    assert (nested.difference, nested.standard_error, nested.p) == pytest.approx(
        (averaged.difference, averaged.standard_error, averaged.p)
    )
    assert nested.seeds == (2, 2)


def test_partly_shared_plots_cancel_their_luck() -> None:
    """Arms of equal size: a shift of a shared plot moves both means alike, so it changes neither estimate nor error."""
    a, b = table(31, 4, 60), table(32, 4, 60)
    plots = (list("pqra"), list("pqrb"))
    test = compare_arms(a, b, plots=plots)
    assert test.paired
    assert test.seeds == (4, 4)
    assert (test.p <= 0.05) == (not test.low <= 0.0 <= test.high)
    shift = np.array([[5.0], [0.0], [0.0], [0.0]])
    # A shift of one plot only is scatter of whole plots: it stays in the error of unshared plots, not in the estimate.
    moved = compare_arms(a + shift, b + shift, plots=plots)
    assert moved.difference == pytest.approx(test.difference)
    assert moved.seed_error < compare_arms(a + shift, b + shift).seed_error / 1.3
    assert compare_arms(a[::-1], b[::-1], plots=(list("arqp"), list("brqp"))).p == pytest.approx(test.p)
    assert compare_arms(b, a, plots=plots[::-1]).difference == pytest.approx(-test.difference)


def test_partly_shared_plots_with_several_tunings_each_are_averaged() -> None:
    a, b = table(33, 6, 40), table(34, 3, 40)
    nested = compare_arms(a, b, plots=(list("ppqqrr"), list("pqx")))
    averaged = compare_arms(a.reshape(3, 2, 40).mean(axis=1), b, plots=(list("pqr"), list("pqx")))
    assert (nested.difference, nested.standard_error, nested.p) == pytest.approx(
        (averaged.difference, averaged.standard_error, averaged.p)
    )


def test_partly_shared_plots_of_equal_answers_have_no_error() -> None:
    same = np.tile([0.0, 0.5, 1.0, 0.0], (3, 1))
    test = compare_arms(same, same, plots=(list("pqa"), list("pqb")))
    assert (test.difference, test.standard_error) == (0.0, 0.0)
    assert all(map(math.isnan, (test.p, test.low, test.high)))


@pytest.mark.parametrize(("shared", "own"), [(2, 1), (1, 2)])
def test_partly_shared_plots_seldom_reject_equal_arms(shared: int, own: int) -> None:
    rng, rejected, names = np.random.default_rng(35), 0, [f"s{at}" for at in range(shared)]
    plots = tuple([*names, *(f"{arm}{at}" for at in range(own))] for arm in "ab")
    for _ in range(400):
        luck = {name: rng.normal(0.0, 0.3) for name in dict.fromkeys([*plots[0], *plots[1]])}
        a, b = (
            np.array([[luck[name]] for name in side])
            + rng.normal(0.0, 0.2, (len(side), 1))
            + rng.normal(size=(len(side), 40))
            for side in plots
        )
        rejected += compare_arms(a, b, plots=(plots[0], plots[1])).p <= 0.05
    assert rejected / 400 < 0.05 + 3 * math.sqrt(0.05 * 0.95 / 400)


@pytest.mark.parametrize("plots", [None, (list("pqr"), list("pqr")), (list("pqr"), list("pqx"))])
def test_in_few_clusters_p_at_a_margin_agrees_with_the_interval(plots: Plots | None) -> None:
    """A margin of 0.3, with either interval: 95% for a two-sided p, 90% for the one-sided test."""
    rng, labels, margin = np.random.default_rng(36), np.repeat(np.arange(6), 10), 0.3
    decided = 0
    for _ in range(40):
        a, b = rng.normal(size=(2, 3, 60)) + rng.normal(0.0, 0.25, (2, 1, 6))[:, :, labels]
        for level in (0.95, 0.9):
            test = compare_arms(a, b + 0.1, labels, plots=plots, level=level, null=-margin)
            assert (test.p <= 1.0 - level) == (not test.low <= -margin <= test.high)
            decided += test.p <= 1.0 - level
            student = 2.0 * scipy_stats.t.sf(
                abs(test.difference + margin) / test.standard_error, test.degrees_of_freedom
            )
            assert test.p >= student - 1e-12
    assert 10 < decided < 70


def test_in_few_clusters_a_loss_of_the_margin_is_seldom_called_non_inferior() -> None:
    rng, labels, margin, false = np.random.default_rng(37), np.repeat(np.arange(5), 12), 0.2, 0
    for _ in range(300):
        a, b = rng.normal(size=(2, 3, 60)) + rng.normal(0.0, 0.3, (2, 1, 5))[:, :, labels]
        test = compare_arms(a, b - margin, labels, null=-margin)
        false += both_sides(test.p, test.difference + margin)[0] < 0.05
    assert false / 300 < 0.05 + 3 * math.sqrt(0.05 * 0.95 / 300)


def test_one_plot_in_an_arm_is_an_error() -> None:
    with pytest.raises(ValueError, match="1 pre-training run in an arm"):
        compare_arms(table(7, 3, 20), table(8, 3, 20), plots=(["p"] * 3, ["q"] * 3))
    with pytest.raises(ValueError, match="plots for 2 and 3 runs"):
        compare_arms(table(7, 3, 20), table(8, 3, 20), plots=(["p", "q"], ["q"] * 3))
    with pytest.raises(ValueError, match="runs that answered all tasks"):
        compare_over_tasks([TaskScores(a=table(1, n, 9), b=table(2, 2, 9)) for n in (2, 3)])


def test_two_against_ten_seeds_reject_at_most_five_percent() -> None:
    """9.8% of tests of equal arms rejected: two runs tell almost nothing about their own scatter."""
    rng, rejected = np.random.default_rng(9), 0
    for _ in range(400):
        a, b = (rng.normal(0.0, 0.3, (runs, 1)) + rng.normal(0.0, 1.0, (runs, 40)) for runs in (2, 10))
        rejected += compare_arms(a, b).p <= 0.05
    assert rejected / 400 < 0.05 + 3 * math.sqrt(0.05 * 0.95 / 400)


def test_ten_seeds_are_not_conservative() -> None:
    rng, rejected = np.random.default_rng(10), 0
    for _ in range(600):
        a, b = (rng.normal(0.0, 0.3, (10, 1)) + rng.normal(0.0, 1.0, (10, 40)) for _ in range(2))
        rejected += compare_arms(a, b).p <= 0.05
    assert 0.035 - 2 * 0.009 < rejected / 600 < 0.05 + 3 * 0.009


def test_arms_of_several_runs_in_few_clusters_are_tested_with_the_wild_bootstrap_too() -> None:
    rng, labels = np.random.default_rng(15), np.repeat(np.arange(5), 12)
    for _ in range(6):
        a, b = rng.normal(size=(2, 3, 60)) + rng.normal(0.0, 0.7, (2, 1, 5))[:, :, labels]
        few = compare_over_tasks([TaskScores(a=a, b=b, units=labels)])
        grouped = group_by_cluster(b.mean(axis=0) - a.mean(axis=0), labels)
        assert few.p >= wild_p(grouped, 0.0, few.seed_error**2) - 1e-12
        assert (few.p <= 0.05) == (not few.low <= 0.0 <= few.high)
        half = max(few.high - few.difference, few.difference - few.low)
        assert half >= few.standard_error * 2.0
        assert few.minimum_detectable_effect > half


def test_units_join_what_shares_a_key_or_a_cluster() -> None:
    first, second = shared_units([["1", "2", "3", "4"], ["1", "2", "3", "9"]], [["p", "p", "q", "r"], None])
    assert first[0] == first[1] == second[0] == second[1]
    assert first[2] == second[2] != first[0]
    assert len({*first.tolist(), *second.tolist()}) == 4
    assert first[3] != second[3]


def test_the_covariance_of_copies_is_the_variance() -> None:
    rng = np.random.default_rng(11)
    values, clusters = rng.normal(size=60), np.repeat(np.arange(12), 5)
    covariance = covariance_of_means([values, values], [clusters, clusters], ["x", "x"])
    error = estimate_mean(values, clusters).standard_error
    assert covariance == pytest.approx(np.full((2, 2), error**2))
    apart = covariance_of_means([values, values], [clusters, clusters], ["x", "y"])
    assert apart == pytest.approx(np.diag([error**2, error**2]))


def test_the_covariance_of_correlated_variants_is_the_sample_covariance() -> None:
    rng = np.random.default_rng(12)
    common = rng.normal(size=80)
    one, two = common + rng.normal(size=80), common + rng.normal(size=80)
    units = shared_units([list(range(80)), list(range(80))], [None, None])
    assert covariance_of_means([one, two], units, ["x", "x"]) == pytest.approx(np.cov(one, two) / 80)


def test_variants_without_a_common_unit_count_as_fully_correlated() -> None:
    one, two = np.random.default_rng(13).normal(size=(2, 30))
    covariance = covariance_of_means([one, two[:20]], [np.arange(30), np.arange(100, 120)], ["x", "x"])
    assert correlation_of(covariance, ["x", "x"]) == pytest.approx(np.ones((2, 2)))


def test_variants_are_averaged_within_their_item_set_first() -> None:
    domains, sets = ["d", "d", "d", "e"], ["x", "x", "y", "z"]
    weights = aggregate_weights(domains, [0.0] * 4, sets)
    assert weights.tolist() == [0.125, 0.125, 0.25, 0.5]
    total = aggregate([0.2, 0.4, 0.9, 0.5], [0.1, 0.1, 0.2, 0.3], domains, [0.0] * 4, sets)
    assert total.centred == pytest.approx(float(weights @ [0.2, 0.4, 0.9, 0.5]))
    # The two variants count as fully correlated: their mean has an error of 0.1, not 0.1 / sqrt 2.
    assert total.domains[0].mean_error == pytest.approx(math.sqrt(0.1**2 + 0.2**2) / 2)


def test_a_copied_task_changes_neither_ranks_nor_errors() -> None:
    rng = np.random.default_rng(14)
    one, two = ((rng.random((4, 120)) < np.array([[0.4], [0.5], [0.6], [0.7]])).astype(float) for _ in range(2))
    once = rank_models([one, two])
    copied = rank_models([one, one, one, two], clusters=[np.arange(120)] * 3 + [None], item_sets=["x", "x", "x", "y"],
                         domains=["d", "d", "d", "e"])  # fmt: skip
    apart = rank_models([one, two], domains=["d", "e"])
    assert copied.values == pytest.approx(apart.values)
    assert copied.values == pytest.approx(once.values)
    assert copied.standard_errors == pytest.approx(apart.standard_errors)
    assert copied.differ.tolist() == apart.differ.tolist()


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_hochberg_equals_statsmodels(p_values: list[float]) -> None:
    assert hochberg(p_values) == pytest.approx(multipletests(p_values, method="simes-hochberg")[1], abs=1e-10)
    if max(p_values) <= 0.05:
        assert (hochberg(p_values) <= 0.05).all()


def test_correlated_intervals_combine_to_their_sum_and_independent_ones_to_less() -> None:
    ends = [Estimate(value=0.5, low=0.4, high=0.7), Estimate(value=0.7, low=0.6, high=0.9)]
    whole = combine_correlated(ends, np.array([0.5, 0.5]), np.ones((2, 2)))
    assert (whole.value, whole.low, whole.high) == pytest.approx((0.6, 0.5, 0.8))
    independent = combine_intervals(ends)
    assert independent.low == pytest.approx(0.6 - 0.1 / math.sqrt(2))
    assert combine_intervals([ends[0]]) == ends[0]


@settings(max_examples=100, deadline=None)
@given(value=st.floats(-1, 1), below=st.floats(0.001, 1), above=st.floats(0.001, 1))
def test_the_implied_p_agrees_with_its_interval(value: float, below: float, above: float) -> None:
    one = Estimate(value=value, low=value - below, high=value + above)
    if min(abs(one.low), abs(one.high)) > 1e-9:
        assert (implied_p(one) < 0.05) == (one.low > 0 or one.high < 0)


@pytest.mark.parametrize("plots", [None, (["p", "q", "s"], ["q", "r", "t"])])
def test_no_interval_or_detectable_effect_of_accuracies_is_larger_than_possible(plots: Plots | None) -> None:
    rng = np.random.default_rng(8)
    a, b = ((rng.random((3, 100)) < np.array([[0.05], [0.5], [0.95]])).astype(float) for _ in range(2))
    if plots is None:
        a, b = a[::2], b[::2]
    limited, free = (compare_over_tasks([TaskScores(a=a, b=b, span=span)], plots) for span in ((0.0, 1.0), None))
    assert (limited.low, limited.high) == (-1.0, 1.0)
    assert free.high > 1.0
    assert (limited.p, limited.standard_error) == (free.p, free.standard_error)
    assert (limited.minimum_detectable_effect, free.minimum_detectable_effect > 1.0) == (math.inf, True)


@pytest.mark.parametrize("plots", [None, (["p", "q"], ["p", "q"]), (["p", "q"], ["q", "r"])])
def test_unlimited_values_that_all_agree_have_no_interval_and_no_p(plots: Plots | None) -> None:
    """One third more on each item, in each run: nothing says how sure that is."""
    a, b = np.full((2, 30), 0.1), np.full((2, 30), 0.1 + 1.0 / 3.0)
    for test in (compare_arms(a, b, plots=plots), compare_over_tasks([TaskScores(a=a, b=b)] * 2, plots)):
        assert (test.standard_error, test.item_error, test.seed_error) == (0.0, 0.0, 0.0)
        assert all(map(math.isnan, (test.low, test.high, test.p, test.minimum_detectable_effect)))
    limited = compare_arms(a, b, plots=plots, span=(0.0, 1.0))
    assert limited.low < limited.difference < limited.high
    assert 0.0 < limited.p < 0.001


def test_arms_of_right_and_wrong_answers_that_agree_have_an_interval() -> None:
    same = np.tile([0.0, 1.0, 1.0, 0.0], (3, 1))
    test = compare_arms(same, same)
    bound = 1.0 - 0.025**0.25
    assert (test.low, test.high, test.p) == pytest.approx((-bound, bound, 1.0))


def test_runs_whose_scatter_is_that_of_their_items_have_no_error_of_runs() -> None:
    """One item of one run differs, so items explain all of the scatter, but for rounding."""
    rng = np.random.default_rng(0)
    for _ in range(60):
        runs, items = int(rng.integers(2, 4)), int(rng.integers(10, 60))
        a = np.tile((rng.random(items) < 0.5).astype(float), (runs, 1))
        b = a.copy()
        b[0, 0] = 1.0 - b[0, 0]
        for plots in (None, (list("pqr")[:runs], list("pqs")[:runs])):
            test = compare_over_tasks([TaskScores(a=a, b=b, weight=float(rng.random()), span=(0.0, 1.0))], plots)
            assert test.seed_error == 0.0 or test.seed_error > 1e-6


def test_the_detectable_effect_is_that_of_the_interval_that_the_bound_does_not_widen() -> None:
    """Eight items differ, in one of two runs: Student's interval is the wider one."""
    rng = np.random.default_rng(12)
    a = (rng.random((2, 40)) < 0.5).astype(float)
    a[1] = a[0]
    b = a.copy()
    b[0, :8] = 1.0 - b[0, :8]
    limited, free = (compare_over_tasks([TaskScores(a=a, b=b, span=span)]) for span in ((0.0, 1.0), None))
    assert (limited.low, limited.high) == (free.low, free.high)
    assert limited.minimum_detectable_effect == free.minimum_detectable_effect
