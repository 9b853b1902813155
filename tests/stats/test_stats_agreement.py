"""Interval, p, standard error and detectable effect of one comparison come from one error model."""

from __future__ import annotations

import itertools
import math

import numpy as np
import numpy.typing as npt
import pytest
from scipy import special
from scipy import stats as scipy_stats

from harness.stats import compare_paired, minimum_detectable_effect, non_inferiority
from harness.stats.clustered import cautious_freedom, degrees_of_freedom, group_by_cluster
from harness.stats.wild import wild_interval, wild_p

Floats = npt.NDArray[np.float64]


def comparison(draw: int) -> tuple[Floats, Floats, npt.NDArray[np.intp] | None]:
    """Answers of two models: right/wrong or shares, 5 to 150 items, without clusters or in 2 to 40, equal or not."""
    rng = np.random.default_rng(draw)
    items, count = int(rng.choice([5, 12, 22, 60, 150])), int(rng.choice([0, 3, 8, 12, 20, 40]))
    clusters = rng.integers(0, count, items) if count else None
    shift = rng.choice([0.0, 0.05, 0.2, 0.4]) * rng.choice([-1.0, 1.0])
    shifts = shift + (0.0 if clusters is None else rng.normal(0.0, 0.2, count)[clusters])
    base = rng.random(items)
    if rng.random() < 0.7:
        later = base + rng.normal(0.0, rng.choice([0.02, 0.2]), items) + shifts
        return (base < 0.5).astype(float), (later < 0.5).astype(float), clusters
    return base, base + rng.normal(0.0, 0.3, items) + shifts, clusters


def contradictions(draws: range) -> list[int]:
    found = []
    for draw in draws:
        a, b, clusters = comparison(draw)
        test = compare_paired(a, b, clusters, resamples=199)
        if (test.low > 0.0 or test.high < 0.0) != (test.p <= 0.05):
            found.append(draw)
    return found


def test_interval_and_p_never_disagree() -> None:
    assert contradictions(range(300)) == []


@pytest.mark.slow
def test_interval_and_p_never_disagree_in_ten_thousand_comparisons() -> None:
    assert contradictions(range(10_000)) == []


def test_a_difference_called_real_has_an_interval_above_zero() -> None:
    """The audit's case: clusters that resemble each other more than by chance; p was 0.008, the interval held 0."""
    rng = np.random.default_rng(0)
    clusters = np.repeat(np.arange(12), 5)
    # In each cluster one item is lost and one or two are gained: the sums 0 and 1 vary less than independent items.
    gained = np.tile([1.0, 1.0, -1.0, 0.0, 0.0], 12)
    gained[::10] = 0.0
    order = np.concatenate([rng.permutation(5) + 5 * cluster for cluster in range(12)])
    difference = gained[order]
    test = compare_paired((difference < 0).astype(float), (difference > 0).astype(float), clusters)
    assert test.p < 0.05
    assert test.low > 0.0
    assert test.low < test.difference - test.standard_error < test.difference + test.standard_error < test.high


def test_non_inferiority_agrees_with_its_bound_in_few_clusters() -> None:
    for draw in range(40):
        a, b, _ = comparison(draw)
        test = non_inferiority(a, b, margin=0.1, clusters=np.arange(a.size) % 6)
        assert (test.p <= 0.05) == (test.bound > -0.1 - 1e-9) or math.isclose(test.bound, -0.1)
        assert (test.conclusion == "inferior") == (test.p_inferior < 0.05 <= test.p)


def test_identical_answers_have_a_narrower_interval_than_one_gained_and_one_lost() -> None:
    for clusters in (None, np.repeat(np.arange(20), 5), np.repeat(np.arange(8), 13)[:100]):
        widths = []
        for changed in (0, 1, 2, 3):
            a = np.zeros(100)
            b = a.copy()
            a[np.arange(changed) * 20], b[np.arange(changed) * 20 + 10] = 1.0, 1.0
            test = compare_paired(a, b, clusters)
            widths.append(test.high - test.low)
        assert widths == sorted(widths)
        # The exact binomial: no disagreement among 100 items rules out more than 3.6%; few clusters widen that.
        assert 1.0 <= widths[0] / 2 / (1 - 0.025 ** (1 / 100)) < 1.5
        assert widths[1] < 3.5 * widths[0], "no jump when the first items differ"


def test_the_wild_bootstrap_equals_its_definition() -> None:
    """Three clusters: all 216 draws of Webb's weights, with the studentised mean written out."""
    totals, sizes = np.array([4.0, 1.0, -1.0]), np.array([5.0, 3.0, 4.0])
    values = np.concatenate([np.full(int(n), s / n) for s, n in zip(totals, sizes, strict=True)])
    grouped = group_by_cluster(values, np.repeat(np.arange(3), sizes.astype(int)))

    def statistic(sums: Floats) -> float:
        mean = sums.sum() / 12
        variance = float((((sums - sizes * mean) ** 2) / (1 - sizes / 12)).sum()) / 144
        return abs(float(mean)) / math.sqrt(variance)

    webb = [sign * math.sqrt(size) for sign in (-1, 1) for size in (0.5, 1.0, 1.5)]
    drawn = [statistic(np.array(weights) * totals) for weights in itertools.product(webb, repeat=3)]
    expected = np.mean([one >= statistic(totals) - 1e-9 for one in drawn])
    assert wild_p(grouped, 0.0) == pytest.approx(expected, abs=1e-12)


def test_the_wild_interval_holds_exactly_what_is_not_rejected() -> None:
    rng = np.random.default_rng(1)
    grouped = group_by_cluster(rng.normal(0.4, 1.0, 60), np.repeat(np.arange(6), 10))
    low, high = wild_interval(grouped, 0.95, (-math.inf, math.inf))
    for end, outside in ((low, low - 1e-4), (high, high + 1e-4)):
        assert wild_p(grouped, end) > 0.05 - 1e-3
        assert wild_p(grouped, outside) <= 0.05 + 1e-3
    assert low < grouped.mean < high


def test_two_clusters_never_show_a_difference() -> None:
    a, b = np.zeros(40), np.ones(40)
    test = compare_paired(a, b, np.repeat([0, 1], 20))
    assert test.p > 0.05
    assert test.low <= 0.0 <= test.high


def test_the_detectable_effect_is_that_of_the_noncentral_t() -> None:
    for freedom in (2.0, 4.0, 19.0, 300.0):
        effect = minimum_detectable_effect(0.1, freedom)
        critical = scipy_stats.t.ppf(0.975, freedom)
        assert special.nctdtr(freedom, effect / 0.1, critical) == pytest.approx(0.20, abs=1e-6)
    assert minimum_detectable_effect(0.1, 5000.0) == pytest.approx(minimum_detectable_effect(0.1), rel=1e-3)


def test_a_true_difference_of_the_detectable_effect_is_found_in_four_of_five_data_sets() -> None:
    rng = np.random.default_rng(2)
    effect = minimum_detectable_effect(1.0 / math.sqrt(12), 11.0)
    draws = rng.normal(effect, 1.0, (20_000, 12))
    statistic = draws.mean(axis=1) / (draws.std(axis=1, ddof=1) / math.sqrt(12))
    assert (np.abs(statistic) > scipy_stats.t.ppf(0.975, 11)).mean() == pytest.approx(0.80, abs=0.01)


def test_correlated_items_of_uneven_clusters_lower_the_degrees_of_freedom() -> None:
    rng = np.random.default_rng(3)
    sizes = np.array([30, 20, 10, *([2] * 20)])
    clusters = np.repeat(np.arange(sizes.size), sizes)
    correlated = group_by_cluster(
        rng.normal(size=sizes.size)[clusters] + 0.1 * rng.normal(size=clusters.size), clusters
    )
    assert 1.0 <= cautious_freedom(correlated) < degrees_of_freedom(correlated.sizes)
    normal = [cautious_freedom(group_by_cluster(rng.normal(size=40), np.arange(40))) for _ in range(300)]
    assert 25 < np.mean(normal) <= 39


def test_the_order_of_clusters_changes_nothing() -> None:
    rng = np.random.default_rng(4)
    values, clusters = rng.normal(0.3, 1.0, 60), np.repeat(np.arange(8), [3, 9, 4, 8, 12, 10, 6, 8])
    renamed = np.array(list("hgfedcba"))[clusters]
    assert compare_paired(np.zeros(60), values, clusters) == compare_paired(np.zeros(60), values, renamed)
