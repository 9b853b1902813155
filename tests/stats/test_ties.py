"""Contrasts of nearly equal answers: the exact binomial bound, in a search over small data, and its error rate."""

from __future__ import annotations

import itertools
import math

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from harness.stats import TaskScores, compare_over_tasks, compare_paired, paired_score_interval
from harness.stats.factorial import ContrastEstimate, ItemTable, Runs, estimate_contrast, two_by_two
from harness.stats.levels import levels_p
from harness.stats.ties import Tie, tie_bound, tie_p

CONTRASTS = two_by_two((0, 1), (0, 1), ("pretrain", "tune"))
CELLS = list(itertools.product((0, 1), (0, 1)))
Values = npt.NDArray[np.float64]


def single_runs(values: Values, contrast: str, **more: object) -> ContrastEstimate:
    """One run per arm."""
    table = ItemTable(values=values, span=(0.0, 1.0), **more)  # type: ignore[arg-type]
    return estimate_contrast([table], Runs(cells=CELLS, plots=range(4)), CONTRASTS[contrast])


def check(one: ContrastEstimate) -> None:
    assert math.isfinite(one.low + one.high + one.p)
    assert max(map(abs, one.limits)) >= one.mde or one.mde == math.inf
    assert one.low <= one.estimate <= one.high
    assert (one.p <= 0.05) == (not one.low <= 0.0 <= one.high)
    assert one.high > one.low
    assert one.mde > 0.0


@pytest.mark.parametrize("contrast", CONTRASTS)
def test_no_contrast_of_tied_answers_is_without_an_interval(contrast: str) -> None:
    """Every pattern of right and wrong of four arms, equal on all items, or with one item that differs."""
    for items, pattern in itertools.product((2, 3, 12), itertools.product((0.0, 1.0), repeat=4)):
        values = np.repeat(np.array(pattern)[:, None], items, axis=1)
        check(single_runs(values, contrast))
        check(single_runs(values, contrast, clusters=np.arange(items) // 2 if items > 3 else None))
        for arm in range(4):
            other = values.copy()
            other[arm, 0] = 1.0 - other[arm, 0]
            check(single_runs(other, contrast))


def test_runs_and_variants_that_agree_on_everything_have_an_interval() -> None:
    runs = Runs(cells=CELLS * 2, plots=[(p, seed) for seed in (0, 1) for p, _ in CELLS])
    values = np.tile(np.array([1.0, 0.0, 1.0, 1.0, 0.0]), (8, 1))
    tables = [
        ItemTable(values=values, clusters=np.arange(5), weight=0.5, item_set="x", span=(0.0, 1.0)) for _ in range(2)
    ]
    for name, contrast in CONTRASTS.items():
        one, both = (estimate_contrast(some, runs, contrast) for some in (tables[:1], tables))
        check(both)
        # Two variants of the same items say no more than one, of twice the weight.
        assert both.high == pytest.approx(2 * one.high), name


def test_one_gained_and_one_lost_item_give_no_narrower_interval_than_none() -> None:
    widths = []
    for gained, lost in ((0, 0), (1, 1), (2, 2), (3, 3)):
        values = np.zeros((4, 100))
        values[0, :lost] = 1.0
        values[1, lost : lost + gained] = 1.0
        widths.append(np.ptp([(one := single_runs(values, "NC-NN")).low, one.high]))
    assert widths == sorted(widths)
    # Tango's interval of the same counts, which a comparison of two models has.
    tango = np.ptp(paired_score_interval(0, 0, 100, stats.norm.ppf(0.975)))
    assert widths[0] == pytest.approx(tango, rel=0.05)


def test_the_bound_is_clopper_and_pearsons_and_p_its_inverse() -> None:
    exact = stats.binomtest(0, 40).proportion_ci(0.95, "exact").high
    tie = Tie(items=40.0, below=1.0, above=2.0)
    assert tie_bound([[tie]], 0.05) == pytest.approx((exact, 2 * exact))
    assert tie_bound([[tie], [tie]], 0.05)[0] == pytest.approx(math.sqrt(2) * exact)
    for distance in (0.03, 0.08, 0.4):
        p = tie_p([[tie]], distance)
        assert p == pytest.approx(min(1.0, 2.0 * (1.0 - distance) ** 40))
        assert tie_p([[tie]], -2 * distance) == pytest.approx(p)
    assert tie_p([[tie]], 1.0) < 1e-100


def test_rare_differences_are_seldom_called_real() -> None:
    """One item in a hundred differs, in either direction: Student's t alone rejects too often in few items."""
    rng, rejected = np.random.default_rng(3), 0
    for _ in range(400):
        differs = rng.random(80) < 0.02
        values = np.zeros((4, 80))
        values[0], values[1] = differs & (up := rng.random(80) < 0.5), differs & ~up
        one = single_runs(values, "NC-NN")
        check(one)
        rejected += one.p <= 0.05
    assert rejected / 400 < 0.05


def test_levels_of_a_factor_that_agree_count_by_bonferroni() -> None:
    rng = np.random.default_rng(4)
    base = (rng.random(50) < 0.5).astype(float)
    table = ItemTable(values=np.stack([base, base, (rng.random(50) < 0.6).astype(float)]), span=(0.0, 1.0))
    runs = Runs(cells=[0, 1, 2], plots=[0, 1, 2])
    contrasts = [{0: -1.0, level: 1.0} for level in (1, 2)]
    estimates = [estimate_contrast([table], runs, one) for one in contrasts]
    tied, other = levels_p([table], runs, contrasts, estimates)
    assert tied == 1.0
    assert other == pytest.approx(min(1.0, 2 * estimates[1].p))


@pytest.mark.parametrize(("clusters", "half"), [(5, 0.072), (10, 0.049), (50, 0.039)])
def test_several_runs_that_agree_in_the_same_clusters_are_not_surer_than_one(clusters: int, half: float) -> None:
    """100 items without any difference."""
    answers, labels = np.tile([1.0, 0.0], 50), np.arange(100) % clusters
    single = compare_paired(answers, answers, labels)
    assert (single.low, single.high) == pytest.approx((-half, half), abs=5e-4)
    arms = np.tile(answers, (3, 1))
    several = compare_over_tasks([TaskScores(a=arms, b=arms, units=labels, span=(0.0, 1.0))])
    runs = Runs(cells=["a"] * 3 + ["b"] * 3, plots=range(6))
    table = ItemTable(values=np.concatenate([arms, arms]), clusters=labels, span=(0.0, 1.0))
    contrast = estimate_contrast([table], runs, {"a": -1.0, "b": 1.0})
    for one in (several, contrast):
        assert one.low <= single.low + 1e-9
        assert one.high >= single.high - 1e-9
        assert one.high < 1.02 * half
        assert one.p == 1.0


def test_p_of_tied_clusters_agrees_with_their_bound() -> None:
    tie = Tie(items=40.0, below=1.0, above=1.0, df=4.0)
    for alpha in (1e-9, 0.01, 0.05, 0.5):
        assert tie_p([[tie]], tie_bound([[tie]], alpha)[0]) == pytest.approx(alpha)
    assert tie_p([[tie]], 0.999999) < 1e-8


def test_levels_whose_p_another_test_than_students_sets_are_corrected_for_their_number() -> None:
    """Of 60 items one, two or three differ from the reference, so the binomial bound sets every p."""
    values = (np.arange(60) < np.arange(4)[:, None]).astype(float)
    table = ItemTable(values=values, span=(0.0, 1.0))
    runs = Runs(cells=[0, 1, 2, 3], plots=range(4))
    contrasts = [{0: -1.0, level: 1.0} for level in (1, 2, 3)]
    estimates = [estimate_contrast([table], runs, one) for one in contrasts]
    corrected = levels_p([table], runs, contrasts, estimates)
    for one, p in zip(estimates, corrected, strict=True):
        assert one.method == "binomial"
        assert p >= levels_p([table], runs, [contrasts[0]], [one])[0]
        assert 1.1 * one.p < p <= 1.0
    # The correlation of the levels is at least 0, so Sidak's p of three is the largest.
    assert corrected[2] <= 1.0 - (1.0 - estimates[2].p) ** 3 + 1e-3
