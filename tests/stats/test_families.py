"""Dunnett's comparison with a reference, and Holm over sets."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from harness.stats import holm
from harness.stats.families import dunnett_p, holm_over_sets


def test_independent_groups_give_scipys_dunnett() -> None:
    rng = np.random.default_rng(1)
    control, *groups = (rng.normal(mean, 1, 6) for mean in (0.0, 0.8, 1.2, 0.1))
    pooled = np.mean([group.var(ddof=1) for group in (control, *groups)])
    t = [(group.mean() - control.mean()) / np.sqrt(pooled / 3) for group in groups]
    expected = stats.dunnett(*groups, control=control, rng=np.random.default_rng(0)).pvalue
    assert dunnett_p(t, 0.5 + 0.5 * np.eye(3), 20.0) == pytest.approx(expected, abs=2e-3)


def test_one_level_is_students_t_and_equal_levels_count_once() -> None:
    assert dunnett_p([2.5], [[1.0]], 7.0) == pytest.approx(2 * stats.t.sf(2.5, 7))
    assert dunnett_p([2.0, 2.0], np.ones((2, 2)), 1e9) == pytest.approx([2 * stats.norm.sf(2)] * 2, abs=1e-4)


def test_more_levels_and_less_correlation_raise_p() -> None:
    two, far = dunnett_p([2.0, 1.0], 0.5 + 0.5 * np.eye(2), 9.0), dunnett_p([2.0, 1.0], np.eye(2), 9.0)
    assert 2 * stats.t.sf(2, 9) < two[0] < far[0]


def test_wrong_shapes_raise() -> None:
    with pytest.raises(ValueError, match="one row and column per level"):
        dunnett_p([1.0, 2.0], [[1.0]], 5.0)


def test_sets_of_one_are_corrected_as_holm_does() -> None:
    rng = np.random.default_rng(2)
    for size in (1, 2, 5, 9):
        p = rng.random(size) ** 2
        assert [one[0] for one in holm_over_sets([[x] for x in p])] == pytest.approx(holm(p))


def test_a_set_counts_as_one_test_and_steps_down_only_as_a_whole() -> None:
    assert holm_over_sets([[0.01], [0.02, 0.4]]) == [[0.02], [0.02, 0.4]]
    assert holm_over_sets([[0.03], [0.001, 0.4]]) == [[0.06], [0.002, 0.4]]


def test_true_null_hypotheses_in_sets_are_seldom_rejected() -> None:
    """Two sets of two with one false hypothesis in the first: any false rejection in at most 5% of families."""
    rng, wrong = np.random.default_rng(3), 0
    for _ in range(4000):
        a, b = rng.random(2).min(), rng.random(2)
        sets = [[0.0, min(1.0, 2 * a)], [min(1.0, 2 * x) for x in b]]  # Bonferroni within the sets
        corrected = holm_over_sets(sets)
        wrong += corrected[0][1] <= 0.05 or min(corrected[1]) <= 0.05
    assert wrong / 4000 <= 0.05 + 3 * np.sqrt(0.05 / 4000)
