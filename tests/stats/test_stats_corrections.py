"""Corrections over tasks and power, against statsmodels and published figures."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats
from statsmodels.stats.multitest import multipletests

from harness.stats import (
    benjamini_hochberg,
    correct,
    holm,
    items_needed,
    minimum_detectable_effect,
    minimum_detectable_effect_binary,
)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_corrections_equal_statsmodels(p_values: list[float]) -> None:
    for name, theirs in (("holm", "holm"), ("bh", "fdr_bh")):
        assert correct(p_values, name) == pytest.approx(multipletests(p_values, method=theirs)[1], abs=1e-10)


def test_corrections_keep_the_order_of_the_p_values() -> None:
    assert holm([0.04, 0.01, 0.03]).tolist() == pytest.approx([0.06, 0.03, 0.06])
    assert benjamini_hochberg([0.04, 0.01, 0.03]).tolist() == pytest.approx([0.04, 0.03, 0.04])
    assert holm([]).size == 0


@pytest.mark.parametrize("bad", [[0.1, math.nan], [1.1], [-0.1], [[0.1]]])
def test_invalid_p_values_raise_an_error(bad: list[float]) -> None:
    with pytest.raises(ValueError, match="p-values"):
        holm(bad)


def test_the_error_of_an_unknown_correction_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match="holm, bh"):
        correct([0.1], "bonferroni")


def test_items_needed_equals_millers_worked_example() -> None:
    """arXiv 2411.00640, section 5: w^2 = 1/9, effect 0.03, 5% and 80% power: about 969 questions."""
    assert items_needed(0.03, 1 / 9) == pytest.approx(969, abs=1)


def test_minimum_detectable_effect_equals_millers_worked_example() -> None:
    """Section 5: n = 198, w^2 = 1/9, s^2 = 1/6 each: ten answers a question instead of one, 13.2% to 7.5%."""
    for answers_each, expected in ((1, 0.132), (10, 0.075)):
        error = math.sqrt((1 / 9 + 2 * (1 / 6) / answers_each) / 198)
        assert minimum_detectable_effect(error) == pytest.approx(expected, abs=1e-3)


def test_mcnemar_has_80_percent_power_at_the_minimum_detectable_effect() -> None:
    items, disagreement = 500, 0.2
    effect = minimum_detectable_effect_binary(items, disagreement)
    rng = np.random.default_rng(1)
    chances = [(disagreement + effect) / 2, (disagreement - effect) / 2, 1 - disagreement]
    gained, lost, _ = rng.multinomial(items, chances, size=20_000).T
    significant = np.abs(gained - lost) / np.sqrt(np.maximum(gained + lost, 1)) > scipy_stats.norm.ppf(0.975)
    assert significant.mean() == pytest.approx(0.80, abs=0.015)


def test_a_difference_needs_at_least_as_much_disagreement() -> None:
    effect = minimum_detectable_effect_binary(22, 0.0)
    assert effect == pytest.approx(minimum_detectable_effect_binary(22, effect), rel=1e-9)
    assert 6 <= 22 * effect <= 8
    assert minimum_detectable_effect_binary(2, 0.5) == math.inf


@given(items=st.integers(10, 5000), share=st.floats(0, 1))
def test_more_items_detect_smaller_effects(items: int, share: float) -> None:
    assert minimum_detectable_effect_binary(2 * items, share) < minimum_detectable_effect_binary(items, share)


def test_few_clusters_raise_the_detectable_effect() -> None:
    assert minimum_detectable_effect(0.01, 5) > minimum_detectable_effect(0.01) == pytest.approx(0.028016, abs=1e-6)


def test_impossible_power_raises_an_error() -> None:
    with pytest.raises(ValueError, match="power"):
        minimum_detectable_effect(0.01, power=1.0)
    with pytest.raises(ValueError, match="effect is 0"):
        items_needed(0.0, 0.1)


def test_a_larger_family_is_as_if_the_other_tests_had_p_1() -> None:
    at_hand = [0.001, 0.01, 0.2]
    for method in (holm, benjamini_hochberg):
        whole = method([*at_hand, *([1.0] * 7)])[:3]
        np.testing.assert_allclose(method(at_hand, 10)[:2], whole[:2])
        assert (method(at_hand, 10) >= whole - 1e-12).all()
    with pytest.raises(ValueError, match="family of 2"):
        holm(at_hand, 2)
