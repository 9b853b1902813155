"""Two models on the same items: exact tests, intervals, non-inferiority, published examples."""

from __future__ import annotations

import itertools
import math

import numpy as np
import numpy.typing as npt
import pytest
import statsmodels.api as sm
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats
from statsmodels.stats.contingency_tables import mcnemar

from harness.stats import compare_paired, non_inferiority, paired_score_interval, sign_flip
from harness.stats.proportions import paired_score
from tests.conftest import ROOT

Floats = npt.NDArray[np.float64]


def answers(both: int, gained: int, lost: int, neither: int) -> tuple[Floats, Floats]:
    """0/1 answers of A and B with these counts."""
    a = np.repeat([1.0, 0.0, 1.0, 0.0], [both, gained, lost, neither])
    b = np.repeat([1.0, 1.0, 0.0, 0.0], [both, gained, lost, neither])
    return a, b


@pytest.mark.parametrize(("gained", "lost"), [(0, 0), (1, 0), (1, 1), (7, 1), (6, 16), (30, 30), (0, 40), (211, 260)])
def test_exact_mcnemar_equals_statsmodels(gained: int, lost: int) -> None:
    expected = mcnemar([[5, lost], [gained, 9]], exact=True).pvalue
    comparison = compare_paired(*answers(5, gained, lost, 9))
    assert comparison.test == "mcnemar"
    assert comparison.p_exact == pytest.approx(expected, abs=1e-10)


def test_mid_p_counts_half_the_probability_of_the_observed_table() -> None:
    for gained, lost in [(7, 1), (3, 12), (1, 0), (20, 25)]:
        total, fewer = gained + lost, min(gained, lost)
        expected = 2 * scipy_stats.binom.cdf(fewer, total, 0.5) - scipy_stats.binom.pmf(fewer, total, 0.5)
        assert compare_paired(*answers(4, gained, lost, 4)).p == pytest.approx(expected, abs=1e-10)


def test_published_example_of_mid_p_and_tango_interval() -> None:
    """Complete response before and after consolidation therapy, 161 patients (Cavo et al. 2012).

    Fagerland, Lydersen and Laake, Statistical Analysis of Contingency Tables (2017), ch. 8: difference -0.0621, Tango's
    interval -0.1240 to -0.0054, mid-p 0.034690.
    """
    a, b = answers(both=59, gained=6, lost=16, neither=80)
    comparison = compare_paired(a, b)
    assert (comparison.gained, comparison.lost, comparison.items) == (6, 16, 161)
    assert comparison.difference == pytest.approx(-0.0621, abs=5e-5)
    assert (comparison.low, comparison.high) == pytest.approx((-0.1240, -0.0054), abs=5e-5)
    assert comparison.p == pytest.approx(0.034690, abs=5e-7)


def test_score_statistic_at_no_difference_is_mcnemars() -> None:
    for gained, lost, items in [(7, 1, 21), (6, 16, 161), (0, 5, 22)]:
        expected = (gained - lost) / math.sqrt(gained + lost)
        assert paired_score(gained, lost, items, 0.0) == pytest.approx(expected, rel=1e-12)


def test_at_the_ends_of_the_score_interval_the_statistic_equals_the_quantile() -> None:
    for gained, lost, items in [(7, 1, 21), (0, 0, 22), (22, 0, 22), (3.7, 1.2, 11.4), (0, 22, 22)]:
        low, high = paired_score_interval(gained, lost, items, 1.96)
        if high < 1.0 - 1e-9:
            assert paired_score(gained, lost, items, high) == pytest.approx(-1.96, abs=1e-6)
        if low > -1.0 + 1e-9:
            assert paired_score(gained, lost, items, low) == pytest.approx(1.96, abs=1e-6)


def test_models_that_agree_on_every_item_have_an_interval_with_width() -> None:
    """b = c = 0 solves in closed form: the score interval is +- z^2 / (n + z^2)."""
    comparison = compare_paired(*answers(9, 0, 0, 13))
    end = 1.959963984540054**2 / (22 + 1.959963984540054**2)
    assert (comparison.low, comparison.high) == pytest.approx((-end, end), abs=1e-9)
    assert (comparison.p, comparison.p_exact) == (1.0, 1.0)
    assert comparison.minimum_detectable_effect > 0.25


def test_paired_clustered_error_equals_statsmodels() -> None:
    rng = np.random.default_rng(1)
    clusters = np.repeat(np.arange(40), 5)
    a, b = rng.random(200) + rng.normal(size=40)[clusters], rng.random(200)
    fitted = sm.OLS(b - a, np.ones(200)).fit(cov_type="cluster", cov_kwds={"groups": clusters}, use_t=True)
    comparison = compare_paired(a, b, clusters)
    assert comparison.standard_error == pytest.approx(float(fitted.bse[0]), rel=1e-10)
    assert (comparison.low, comparison.high) == pytest.approx(tuple(fitted.conf_int()[0]), rel=1e-9)
    assert comparison.interval_method == "student-t"


def test_unclustered_interval_of_other_values_equals_the_paired_t_test() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.random(50), rng.random(50)
    expected = scipy_stats.ttest_rel(b, a).confidence_interval()
    comparison = compare_paired(a, b)
    assert (comparison.low, comparison.high) == pytest.approx((expected.low, expected.high), rel=1e-10)
    assert comparison.correlation == pytest.approx(np.corrcoef(a, b)[0, 1])


def test_paired_variance_follows_millers_identity() -> None:
    """Eq. 7: Var(B - A) = Var(A) + Var(B) - 2 Cov; with his MATH row, errors 0.7, 0.7 and correlation 0.5 give 0.7."""
    rng = np.random.default_rng(3)
    a = rng.random(300)
    b = 0.6 * a + 0.4 * rng.random(300)
    comparison = compare_paired(a, b)
    error_a, error_b = (x.std(ddof=1) / math.sqrt(300) for x in (a, b))
    expected = math.sqrt(error_a**2 + error_b**2 - 2 * comparison.correlation * error_a * error_b)
    assert comparison.standard_error == pytest.approx(expected, rel=1e-10)


def test_answers_with_the_errors_of_millers_math_row_give_its_paired_error() -> None:
    """Errors of 0.7 points each and correlation 0.5 give a paired error of 0.7 points, not the unpaired 1.0."""
    rng = np.random.default_rng(0)
    shared, own = rng.standard_normal((2, 5000)), rng.standard_normal((2, 5000))
    basis, _ = np.linalg.qr(np.stack([np.ones(5000), shared[0], own[0]]).T)
    a, c = basis[:, 1], basis[:, 2]  # mean 0, orthogonal
    scale = 0.007 * math.sqrt(5000) * math.sqrt(4999)
    b = 0.5 * a + math.sqrt(0.75) * c
    comparison = compare_paired(scale * a + 0.5, scale * b + 0.5)
    for values in (scale * a, scale * b):
        assert values.std(ddof=1) / math.sqrt(5000) == pytest.approx(0.007, rel=1e-9)
    assert comparison.correlation == pytest.approx(0.5, abs=1e-9)
    assert comparison.standard_error == pytest.approx(0.007, rel=1e-9)


def brute_force_sign_flip(totals: Floats) -> tuple[float, float]:
    sums = [abs(float(np.dot(signs, totals))) for signs in itertools.product((-1, 1), repeat=totals.size)]
    observed = abs(float(totals.sum()))
    above = np.mean([s > observed + 1e-9 for s in sums])
    at = np.mean([abs(s - observed) <= 1e-9 for s in sums])
    return float(above + at), float(above + at / 2)


@pytest.mark.parametrize(
    ("totals", "method"),
    [
        ([1.0, -1.0, 1.0, 1.0, 1.0], "mcnemar"),
        ([3.0, -1.0, 2.0, 2.0, -2.0, 1.0, 5.0], "convolution"),
        ([0.3, -0.1, 0.25, 0.7, 0.1, 0.2], "enumeration"),
        ([0.1, 0.2, 0.3, -0.6, 0.6], "enumeration"),
    ],
)
def test_permutation_p_is_the_share_of_all_sign_patterns(totals: list[float], method: str) -> None:
    test = sign_flip(np.array(totals))
    exact, mid = brute_force_sign_flip(np.array(totals))
    assert test.method == method
    assert (test.p_exact, test.p_mid) == pytest.approx((exact, mid), abs=1e-12)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.integers(-4, 4), min_size=1, max_size=9).filter(any))
def test_convolution_equals_brute_force(totals: list[int]) -> None:
    test = sign_flip(np.array(totals, dtype=np.float64))
    assert (test.p_exact, test.p_mid) == pytest.approx(brute_force_sign_flip(np.array(totals, dtype=np.float64)))


def test_sign_flip_equals_scipys_permutation_test() -> None:
    differences = np.random.default_rng(4).normal(0.3, 1.0, 12)
    expected = scipy_stats.permutation_test(
        [differences], np.sum, permutation_type="samples", n_resamples=2**12, alternative="two-sided"
    )
    assert sign_flip(differences).p_exact == pytest.approx(float(expected.pvalue), abs=1e-10)


def test_monte_carlo_p_is_close_to_the_exact_one_and_never_zero() -> None:
    rng = np.random.default_rng(5)
    few = rng.normal(0.4, 1.0, 16)
    exact = sign_flip(few)
    # Seventeen clusters, one of them without weight in practice, take the other path.
    drawn = sign_flip(np.append(few, 1e-9), resamples=40_000)
    assert (exact.method, drawn.method) == ("enumeration", "monte-carlo")
    assert drawn.p_exact == pytest.approx(exact.p_exact, abs=4 * math.sqrt(exact.p_exact / 40_000))
    assert sign_flip(rng.normal(0.12, 1.0, 200), resamples=9).p_exact >= 1 / 10


def test_p_of_a_difference_beyond_all_draws_is_not_limited_by_their_number() -> None:
    """Hoeffding's bound is never below the true p: with equal magnitudes that is known."""
    far = np.full(200, 0.5)
    far[:30] *= -1.0
    assert (
        sign_flip(far * 2.0).p_exact < sign_flip(far * np.linspace(1.0, 1.0 + 1e-9, 200), resamples=999).p_exact < 1e-10
    )


def test_clusters_flip_together() -> None:
    """Ten items gained in one passage are one piece of evidence: two sign patterns, both as extreme."""
    a, b = answers(0, 10, 0, 12)
    clusters = ["p"] * 10 + [f"q{i}" for i in range(12)]
    assert compare_paired(a, b).p_exact < 0.01
    assert compare_paired(a, b, clusters).p_exact == 1.0


def test_clustering_widens_the_interval_of_copied_items() -> None:
    a, b = answers(8, 3, 1, 10)
    copies = compare_paired(np.repeat(a, 5), np.repeat(b, 5), np.repeat(np.arange(22), 5))
    single = compare_paired(a, b)
    naive = compare_paired(np.repeat(a, 5), np.repeat(b, 5))
    assert copies.interval_method == "tango-effective"
    assert copies.high - copies.low >= single.high - single.low > naive.high - naive.low
    assert copies.p_exact == pytest.approx(single.p_exact, abs=1e-12)
    assert copies.minimum_detectable_effect > naive.minimum_detectable_effect


def test_one_more_right_answer_of_22_is_not_significant() -> None:
    """8 against 9 right of 22: whatever the overlap, p is at least 1/2 and the interval holds 0."""
    for lost in range(9):
        gained = lost + 1
        if gained + 8 - lost > 22 - (8 - lost) + gained:
            continue
        comparison = compare_paired(*answers(8 - lost, gained, lost, 22 - 8 - gained))
        assert (round(22 * comparison.mean_a), round(22 * comparison.mean_b)) == (8, 9)
        assert comparison.p_exact == pytest.approx(1.0)
        assert comparison.p >= 0.5
        assert comparison.low < -0.1 < 0.2 < comparison.high
        assert comparison.minimum_detectable_effect > 0.3


def test_six_disagreements_allow_no_test_of_a_size_near_five_percent() -> None:
    """docs/statistics.md: p is 0.016 at 6:0 and 0.125 at 5:1, so a test rejects in 3.1% or, with 5:1 too, in 21.9%."""
    p_values = [compare_paired(*answers(0, gained, 6 - gained, 54)).p for gained in range(4)]
    assert p_values[:2] == pytest.approx([1 / 64, 1 / 64 + 6 / 64 + 1 / 64], abs=1e-9)
    chances = scipy_stats.binom.pmf(np.arange(7), 6, 0.5)
    assert chances[[0, 6]].sum() == pytest.approx(0.03125)
    assert chances[[0, 1, 5, 6]].sum() == pytest.approx(0.21875)


def test_one_item_or_one_cluster_gives_no_interval() -> None:
    one = compare_paired([0], [1])
    assert (one.p_exact, one.minimum_detectable_effect) == (1.0, math.inf)
    assert one.low < 0 < one.high
    cluster = compare_paired([0, 0, 1], [1, 1, 1], ["p"] * 3)
    assert (cluster.low, cluster.high, cluster.interval_method) == (-1.0, 1.0, "none")
    values = compare_paired([0.1, 0.2], [0.3, 0.5], ["p", "p"])
    assert (values.low, values.high, values.minimum_detectable_effect) == (-math.inf, math.inf, math.inf)


def test_nan_and_unpaired_items_raise_an_error() -> None:
    with pytest.raises(ValueError, match="b holds 1 NaN"):
        compare_paired([0.0, 1.0], [math.nan, 1.0])
    with pytest.raises(ValueError, match="a has 2 items and b 3"):
        compare_paired([0, 1], [0, 1, 1])


Items = st.lists(
    st.tuples(st.sampled_from([0.0, 0.3, 1.0]), st.sampled_from([0.0, 0.3, 1.0]), st.integers(0, 5)),
    min_size=1,
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@given(items=Items, binary=st.booleans(), clustered=st.booleans())
@example(items=[(0.0, 0.0, 0)] * 5 + [(1.0, 0.0, 0), (1.0, 0.0, 1)], binary=False, clustered=True)
@example(
    items=[(0.0, 0.0, k) for k in (0, 0, 1)] + [(0.0, 1.0, 2), (0.0, 1.0, 4), (1.0, 0.0, 2), (1.0, 0.0, 3)],
    binary=False,
    clustered=True,
)
def test_swapping_the_models_mirrors_everything(
    items: list[tuple[float, float, int]], binary: bool, clustered: bool
) -> None:
    a, b = (np.array([item[k] for item in items]) for k in (0, 1))
    if binary:
        a, b = np.round(a), np.round(b)
    clusters = [item[2] for item in items] if clustered else None
    forth = compare_paired(a, b, clusters, resamples=200)
    back = compare_paired(b, a, clusters, resamples=200)
    assert 0.0 <= forth.p <= 1.0
    assert forth.p <= forth.p_exact <= 1.0
    assert forth.low - 1e-12 <= forth.difference <= forth.high + 1e-12
    assert (forth.gained, forth.lost) == (back.lost, back.gained)
    assert forth.difference == -back.difference
    assert (forth.p, forth.p_exact) == (back.p, back.p_exact)
    assert (forth.low, forth.high) == pytest.approx((-back.high, -back.low), abs=1e-9)


def test_non_inferiority_is_claimed_exactly_if_the_bound_is_above_the_margin() -> None:
    for gained, lost, margin in [(10, 12, 0.1), (10, 30, 0.1), (30, 10, 0.02), (0, 0, 0.1), (5, 5, 0.05), (2, 60, 0.1)]:
        verdict = non_inferiority(*answers(100, gained, lost, 200 - 100 - gained - lost), margin=margin)
        assert (verdict.p < 0.05) == (verdict.bound > -margin) == (verdict.conclusion == "non-inferior")


def test_non_inferiority_bound_is_the_one_sided_score_bound() -> None:
    a, b = answers(100, 10, 12, 78)
    low, _ = paired_score_interval(10, 12, 200, 1.6448536269514722)
    assert non_inferiority(a, b, margin=0.1).bound == pytest.approx(low, abs=1e-9)


def test_non_inferiority_of_other_values_equals_the_shifted_t_test() -> None:
    rng = np.random.default_rng(6)
    a, b = rng.random(80), rng.random(80)
    expected = scipy_stats.ttest_rel(b + 0.05, a, alternative="greater").pvalue
    assert non_inferiority(a, b, margin=0.05).p == pytest.approx(float(expected), rel=1e-10)


def test_a_loss_beyond_the_margin_is_inferior_and_an_uncertain_one_inconclusive() -> None:
    assert non_inferiority(*answers(100, 0, 60, 40), margin=0.1).conclusion == "inferior"
    assert non_inferiority(*answers(8, 1, 0, 13), margin=0.02).conclusion == "inconclusive"
    assert non_inferiority(*answers(500, 40, 40, 420), margin=0.05).conclusion == "non-inferior"


def test_a_loss_of_the_margin_by_lost_items_alone_is_called_inferior_as_often_as_the_docs_say() -> None:
    """The exact rate: the binomial probability of the lost items from which on the verdict is ``inferior``."""
    rates = []
    for items, loss in itertools.product((60, 100, 150, 200, 300, 400, 604, 1000, 2000), (0.02, 0.03, 0.05, 0.07, 0.1)):
        lost = int(items * loss)
        while non_inferiority(*answers(0, 0, lost, items - lost), margin=loss).conclusion != "inferior":
            lost += 1
        rates.append(float(scipy_stats.binom.sf(lost - 1, items, loss)))
    stated = f"{100 * min(rates):.1f} to {100 * max(rates):.1f}% for one task of 60 to 2,000 items"
    assert stated in " ".join((ROOT / "docs" / "statistics.md").read_text(encoding="utf-8").split())


def test_a_margin_must_be_above_zero() -> None:
    for margin in (0.0, -0.02, math.nan):
        with pytest.raises(ValueError, match="margin"):
            non_inferiority([0, 1], [0, 1], margin=margin)


def test_other_values_in_eight_equal_clusters_are_tested_with_student_t_too() -> None:
    """The bootstrap alone rejected 6.2% of equal models."""
    rng, labels = np.random.default_rng(41), np.repeat(np.arange(8), 20)
    for _ in range(20):
        difference = rng.normal(size=160) + rng.normal(0.0, 1.0, 8)[labels]
        test = compare_paired(np.zeros(160), difference, labels)
        sums = np.bincount(labels, difference) / 20
        student = scipy_stats.ttest_1samp(sums, 0.0)
        assert test.p >= float(student.pvalue) - 1e-12
        low, high = student.confidence_interval(0.95)
        assert test.low <= low + 1e-12
        assert test.high >= high - 1e-12
        assert (test.p <= 0.05) == (not test.low <= 0.0 <= test.high)


@pytest.mark.parametrize("binary", [True, False])
def test_nothing_is_detectable_with_so_few_items_that_no_result_is_significant(binary: bool) -> None:
    scale = 1.0 if binary else 0.7
    four, five = (compare_paired(np.full(items, scale), np.zeros(items)) for items in (4, 5))
    assert four.p > 0.05
    assert math.isinf(four.minimum_detectable_effect)
    if binary:
        assert five.p < 0.05
