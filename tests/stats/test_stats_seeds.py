"""Seeds as a factor: variance components, arms of several seeds, dose and response."""

from __future__ import annotations

import itertools
import math

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf
from scipy import stats as scipy_stats

from harness.stats import compare_arms, compare_paired, dose_response, variance_components


def arm(seeds: int, items: int, seed_sd: float, item_sd: float, rest_sd: float, draw: int) -> npt.NDArray[np.float64]:
    rng = np.random.default_rng(draw)
    rest = rng.normal(0, rest_sd, (seeds, items))
    return rng.normal(0, seed_sd, (seeds, 1)) + rng.normal(0, item_sd, items) + rest


def test_variance_components_equal_the_two_way_analysis_of_variance() -> None:
    values = arm(4, 50, 0.5, 1.0, 0.3, 1)
    frame = pd.DataFrame([(s, i, values[s, i]) for s in range(4) for i in range(50)], columns=["s", "i", "y"])
    table = sm.stats.anova_lm(smf.ols("y ~ C(s) + C(i)", frame).fit())
    seed, item, residual = (table["sum_sq"] / table["df"])[["C(s)", "C(i)", "Residual"]]
    components = variance_components(values)
    assert components.residual == pytest.approx(residual, rel=1e-9)
    assert components.seed == pytest.approx((seed - residual) / 50, rel=1e-9)
    assert components.item == pytest.approx((item - residual) / 4, rel=1e-9)


def test_variance_components_recover_simulated_values() -> None:
    components = variance_components(arm(200, 300, 0.5, 1.0, 0.3, 2))
    assert math.sqrt(components.seed) == pytest.approx(0.5, rel=0.15)
    assert math.sqrt(components.item) == pytest.approx(1.0, rel=0.15)
    assert math.sqrt(components.residual) == pytest.approx(0.3, rel=0.05)


def test_seeds_that_only_differ_by_items_have_almost_no_seed_variance() -> None:
    components = [variance_components(arm(5, 400, 0.0, 1.0, 0.5, draw)).seed for draw in range(40)]
    # The residual of 0.25 alone scatters seed means by 0.25 / 400; what is left beyond it must be near nothing.
    assert np.mean(components) < 0.25 / 400


def test_equal_seeds_reduce_to_the_paired_comparison() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.random(60), rng.random(60)
    arms, paired = compare_arms([a, a, a], [b, b]), compare_paired(a, b)
    assert arms.seed_error == 0.0
    assert arms.difference == pytest.approx(paired.difference)
    assert arms.standard_error == pytest.approx(paired.standard_error)
    assert (arms.low, arms.high) == pytest.approx((paired.low, paired.high), abs=0.1 * (paired.high - paired.low))


def test_item_and_seed_variance_are_separated() -> None:
    noisy_seeds = compare_arms(arm(4, 2000, 0.2, 1.0, 0.1, 4), arm(4, 2000, 0.2, 1.0, 0.1, 5))
    noisy_items = compare_arms(arm(4, 50, 0.0, 1.0, 1.0, 6), arm(4, 50, 0.0, 1.0, 1.0, 7))
    assert noisy_seeds.seed_error > 2 * noisy_seeds.item_error
    assert noisy_items.item_error > 2 * noisy_items.seed_error
    for arms in (noisy_seeds, noisy_items):
        assert arms.standard_error == pytest.approx(math.hypot(arms.item_error, arms.seed_error))
        assert arms.low < arms.difference < arms.high


def test_interval_and_p_are_those_of_students_t() -> None:
    comparison = compare_arms(arm(6, 300, 0.1, 1.0, 0.5, 8), arm(6, 300, 0.1, 1.0, 0.5, 9))
    student = scipy_stats.t(comparison.degrees_of_freedom, comparison.difference, comparison.standard_error)
    assert (comparison.low, comparison.high) == pytest.approx(student.interval(0.95))
    assert comparison.p == pytest.approx(2 * min(student.cdf(0.0), student.sf(0.0)))


def test_swapping_arms_mirrors_the_difference() -> None:
    a, b = arm(3, 40, 0.2, 1.0, 0.5, 10), arm(5, 40, 0.2, 1.0, 0.5, 11)
    forth, back = compare_arms(a, b), compare_arms(b, a)
    assert forth.difference == pytest.approx(-back.difference)
    assert forth.standard_error == pytest.approx(back.standard_error)
    assert forth.seeds == (3, 5)


def test_clustered_items_raise_the_item_error_only() -> None:
    clusters = np.repeat(np.arange(50), 4)
    a = np.repeat(arm(3, 50, 0.0, 1.0, 0.5, 12), 4, axis=1)
    b = np.repeat(arm(3, 50, 0.0, 1.0, 0.5, 13), 4, axis=1)
    assert compare_arms(a, b, clusters).item_error == pytest.approx(
        compare_arms(a[:, ::4], b[:, ::4]).item_error, rel=1e-9
    )


def test_one_seed_or_different_items_raise_an_error() -> None:
    with pytest.raises(ValueError, match="at least two checkpoints"):
        compare_arms([[0.0, 1.0]], [[0.0, 1.0], [1.0, 1.0]])
    with pytest.raises(ValueError, match="2 items and b 3"):
        compare_arms([[0.0, 1.0]] * 2, [[0.0, 1.0, 1.0]] * 2)
    with pytest.raises(ValueError, match="NaN"):
        compare_arms([[0.0, math.nan]] * 2, [[0.0, 1.0]] * 2)


def test_dose_response_equals_least_squares() -> None:
    rng = np.random.default_rng(14)
    doses = np.array([0.0, 0.125, 0.25, 0.375, 0.5])
    values = rng.random((5, 80)) + 0.2 * doses[:, None]
    expected = scipy_stats.linregress(doses, values.mean(axis=1))
    response = dose_response(doses, values)
    assert response.slope == pytest.approx(expected.slope, rel=1e-10)
    assert response.standard_error == pytest.approx(expected.stderr, rel=1e-10)
    half = scipy_stats.t.ppf(0.975, 3) * expected.stderr
    assert (response.low, response.high) == pytest.approx((expected.slope - half, expected.slope + half))


def test_dose_permutation_p_is_the_share_of_all_orders() -> None:
    rng = np.random.default_rng(15)
    doses, values = np.array([0.0, 0.1, 0.1, 0.3, 0.5]), rng.random((5, 30))
    means = values.mean(axis=1)
    slopes = [abs(np.polyfit(order, means, 1)[0]) for order in itertools.permutations(doses)]
    observed = abs(np.polyfit(doses, means, 1)[0])
    response = dose_response(doses, values)
    assert response.exact
    assert response.p == pytest.approx(np.mean([s >= observed - 1e-9 for s in slopes]), abs=1e-12)


def test_p_of_four_doses_in_order_is_2_of_24() -> None:
    values = np.array([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6], [0.7, 0.8]])
    assert dose_response([0, 1, 2, 3], values).p == pytest.approx(2 / 24)


def test_many_checkpoints_are_permuted_at_random_and_p_is_above_zero() -> None:
    doses = np.arange(12.0)
    response = dose_response(doses, doses[:, None] + np.random.default_rng(16).random((12, 20)), resamples=999)
    assert not response.exact
    assert response.p == pytest.approx(1 / 1000)


def test_two_checkpoints_have_a_slope_without_an_error() -> None:
    response = dose_response([0.0, 0.5], [[0.0, 1.0, 1.0], [1.0, 1.0, 1.0]])
    assert response.slope == pytest.approx(2 / 3)
    assert math.isnan(response.standard_error)
    assert (response.low, response.high, response.p) == (-math.inf, math.inf, 1.0)


def test_equal_doses_raise_an_error() -> None:
    with pytest.raises(ValueError, match="at least two different doses"):
        dose_response([0.3, 0.3], [[0.0], [1.0]])
    with pytest.raises(ValueError, match="3 doses for 2 checkpoints"):
        dose_response([0.1, 0.2, 0.3], [[0.0], [1.0]])
