"""The sign-flip test: under the null hypothesis of equal models, each cluster's difference has a random sign.

Example: cluster sums 2, 1, -1 have the sum 2. Of the 8 sign patterns of +-2, +-1, +-1, six have a sum of at least 2 in
absolute value, so p_exact = 6/8. For unclustered 0/1 answers this is McNemar's exact test. `dose` permutes training
runs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from harness.stats.clustered import FloatArray
from harness.stats.resampling import block_rows

# All 2^k sign patterns are enumerated for up to this many non-zero clusters.
_ENUMERATED_CLUSTERS = 16
# Above this sum of integer differences, the exact distribution takes longer than resampling.
_CONVOLVED_SUM = 100_000


@dataclass(frozen=True, kw_only=True, slots=True)
class FlipTest:
    """Two-sided p-values of one sign-flip test.

    Attributes:
        p_exact: Probability of a difference at least as large as observed. Never too small; conservative if the
            difference can take few values.
        p_mid: The same, with half the probability of the observed difference (Lancaster 1961, JASA 56): its rejection
            rate is closer to the nominal one. Equal to `p_exact` for ``monte-carlo``.
        method: ``mcnemar``, ``convolution`` (integer cluster sums), ``enumeration`` or ``monte-carlo``.
    """

    p_exact: float
    p_mid: float
    method: str


def sign_flip(cluster_differences: FloatArray, *, resamples: int = 10_000, seed: int = 0) -> FlipTest:
    """Return the two-sided sign-flip test of the sum of `cluster_differences`.

    The test is exact if that is cheap: by convolution of binomials for integers (sums of 0/1 answers), by enumeration
    for up to 16 non-zero clusters. Otherwise it is Monte Carlo with p = (b + 1) / (m + 1) (Phipson and Smyth 2010,
    Statistical Applications in Genetics and Molecular Biology 9), or Hoeffding's bound 2 exp(-s^2 / (2 sum x^2)) if
    that is smaller (Hoeffding 1963, JASA 58). The true p never exceeds the bound, and unlike the Monte Carlo p, the
    bound can be smaller than 1 / (m + 1).

    Args:
        cluster_differences: Sum of second minus first model within each cluster, shape (clusters,).
        resamples: Number of Monte Carlo draws m.
        seed: Seed of the Monte Carlo draws.
    """
    magnitudes = np.abs(cluster_differences[cluster_differences != 0.0])
    observed = abs(float(cluster_differences.sum()))
    if magnitudes.size == 0:
        return FlipTest(p_exact=1.0, p_mid=1.0, method="mcnemar")
    whole = bool((magnitudes == np.round(magnitudes)).all())
    if whole and magnitudes.sum() <= _CONVOLVED_SUM:
        sums, chances = _whole_number_distribution(magnitudes.astype(np.intp))
        method = "mcnemar" if magnitudes.max() == 1.0 else "convolution"
    elif magnitudes.size <= _ENUMERATED_CLUSTERS:
        sums, chances = _enumerated_distribution(magnitudes)
        method = "enumeration"
    else:
        return _monte_carlo(magnitudes, observed, resamples, seed)
    # Sums that differ only by rounding count as equal.
    slack = 1e-9 * float(magnitudes.sum())
    above = float(chances[np.abs(sums) > observed + slack].sum())
    at = float(chances[np.abs(np.abs(sums) - observed) <= slack].sum())
    return FlipTest(p_exact=min(1.0, above + at), p_mid=min(1.0, above + at / 2.0), method=method)


def _whole_number_distribution(
    magnitudes: np.ndarray[tuple[int, ...], np.dtype[np.intp]],
) -> tuple[FloatArray, FloatArray]:
    """All sums of +-magnitudes and their probabilities.

    Equal magnitudes form a binomial; binomials of different magnitudes are convolved. Example: magnitudes 1, 1, 2 give
    the positive parts 0, 1, 2 with probabilities 1/4, 1/2, 1/4, convolved with 0, 2 with 1/2, 1/2.
    """
    chances: FloatArray = np.ones(1)
    for magnitude, count in zip(*np.unique(magnitudes, return_counts=True), strict=True):
        spaced = np.zeros(magnitude * count + 1)
        spaced[::magnitude] = _fair_coins(int(count))
        chances = np.convolve(chances, spaced).astype(np.float64)
    sums: FloatArray = 2.0 * np.arange(chances.size, dtype=np.float64) - float(magnitudes.sum())
    return sums, chances


def _fair_coins(count: int) -> FloatArray:
    """Probabilities of 0 to `count` heads. Uses log-gamma, because importing scipy.stats takes a second."""
    heads = np.arange(count + 1.0)
    logarithms = special.gammaln(count + 1.0) - special.gammaln(heads + 1.0) - special.gammaln(count - heads + 1.0)
    return np.asarray(np.exp(logarithms - count * np.log(2.0)), dtype=np.float64)


def _enumerated_distribution(magnitudes: FloatArray) -> tuple[FloatArray, FloatArray]:
    patterns = np.arange(2**magnitudes.size)
    heads = (patterns[:, None] >> np.arange(magnitudes.size)) & 1
    sums: FloatArray = 2.0 * (heads @ magnitudes) - float(magnitudes.sum())
    return sums, np.full(patterns.size, 1.0 / patterns.size)


def _monte_carlo(magnitudes: FloatArray, observed: float, resamples: int, seed: int) -> FlipTest:
    rng = np.random.default_rng(seed)
    total, extreme = float(magnitudes.sum()), 0
    byte_count = -(-magnitudes.size // 8)
    for rows in block_rows(magnitudes.size, resamples):
        random_bytes = rng.integers(0, 256, size=(rows, byte_count), dtype=np.uint8)
        heads = np.unpackbits(random_bytes, axis=1, count=magnitudes.size).astype(np.float64)
        sums = 2.0 * (heads @ magnitudes) - total
        extreme += int((np.abs(sums) >= observed - 1e-9 * total).sum())
    bound = 2.0 * float(np.exp(-(observed**2) / (2.0 * float(magnitudes @ magnitudes))))
    p = min((extreme + 1) / (resamples + 1), bound)
    return FlipTest(p_exact=p, p_mid=p, method="monte-carlo")
