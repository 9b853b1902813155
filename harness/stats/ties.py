"""Interval and p when nearly all items agree, so that the standard error is too small.

If no item differs, the standard error is 0, but the items are only a sample. If n items show no difference, at most
1 - (alpha / 2)^(1 / n) of all items differ, at level 1 - alpha: the exact binomial bound (Clopper and Pearson 1934,
Biometrika 26), about 3.7 / n at 95%. Times the largest change that one item can make, this bounds the mean::

    Tie(items=100.0, below=1.0, above=1.0)    # 100 items, all with the difference 0, which could be -1 to 1
    tie_bound([[tie]], 0.05)                  # (0.036, 0.036)

In clusters, "no difference" is less certain. As for two single models (`paired`), the score bound with Student's
quantile of the clusters' degrees of freedom counts if it is wider: q^2 / (n + q^2), 0.072 for 100 items in 5 clusters.

The bound also holds for a few differing items, so that one gained and one lost do not give a narrower interval than
none. Several tasks: those of one item set are added; sets are independent, so that the squares of their bounds are
added (MOVER, as `combining` does).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize, special

from harness.stats.clustered import ClusteredValues, effective_size
from harness.stats.paired import score_freedom
from harness.stats.wild import TestedMean

FEW_DIFFERING = 10
"""From this number of differing items on, Student's interval is the wider one."""
FOUND = 1.0 + float(special.ndtri(0.8) / special.ndtri(0.975))
"""A true effect of this multiple of the 95% bound is found with 80% power."""
_SMALLEST_P = 1e-300
_ROUNDING = 1e-12


@dataclass(frozen=True, kw_only=True, slots=True)
class Tie:
    """One task with few differing items.

    Attributes:
        items: Number of independent items.
        below: Mean minus the smallest value that an item could have.
        above: Largest such value minus the mean.
        df: Degrees of freedom of its clusters; infinite without clusters.
    """

    items: float
    below: float
    above: float
    df: float = math.inf

    def share(self, alpha: float) -> float:
        """Return how large a share of all items may differ, at level 1 - `alpha`."""
        exact = -math.expm1(math.log(alpha / 2.0) / self.items)
        if math.isinf(self.df):
            return exact
        critical = -float(special.stdtrit(self.df, alpha / 2.0))
        return max(exact, 1.0 / (1.0 + self.items / critical / critical) if critical > 0.0 else 0.0)


Ties = Sequence[Sequence[Tie]]
"""Tasks by item set, each with its weight already in `below` and `above`."""


def few_differing(
    tasks: Sequence[ClusteredValues], limits: Sequence[tuple[float, float] | None], sets: Sequence[str]
) -> Ties | None:
    """Return the tasks if fewer than ten of their items differ from the others, and all values have limits; else None.

    Args:
        tasks: The weighted differences of each task's items.
        limits: The smallest and the largest difference that an item of the task could have.
        sets: For each task, the name of its item set.
    """
    differing = sum(int((np.abs(one.values - np.median(one.values)) > _ROUNDING).sum()) for one in tasks)
    if differing >= FEW_DIFFERING:
        return None
    by_set: dict[str, list[Tie]] = {}
    for one, limit, name in zip(tasks, limits, sets, strict=True):
        if limit is None:
            return None
        # Without any difference there is nothing to correlate, as in `paired.effective_counts`.
        items = effective_size(one) if (np.abs(one.values) > _ROUNDING).any() else float(one.values.size)
        below, above = max(0.0, one.mean - limit[0]), max(0.0, limit[1] - one.mean)
        by_set.setdefault(name, []).append(Tie(items=items, below=below, above=above, df=score_freedom(one)))
    return list(by_set.values())


def widened_by_ties(tested: TestedMean, ties: Ties, mean: float, level: float, null: float = 0.0) -> TestedMean:
    """Combine a test with the bound: return the larger p, and the interval of all means that either accepts.

    Args:
        tested: The test by its standard error; NaN without one, and the bound alone then decides.
        ties: From `few_differing`.
        mean: The observed mean.
        level: Coverage of the interval.
        null: The mean that p tests.
    """
    below, above = tie_bound(ties, 1.0 - level)
    if math.isnan(tested.low):
        tested = TestedMean(low=mean, high=mean, p=0.0)
    return TestedMean(
        low=min(tested.low, mean - below),
        high=max(tested.high, mean + above),
        p=max(tested.p, tie_p(ties, mean - null)),
    )


def tie_bound(sets: Ties, alpha: float) -> tuple[float, float]:
    """Return how far the true mean may be below and above the observed one.

    Args:
        sets: The tasks.
        alpha: 1 - coverage.
    """
    below = math.sqrt(sum(sum(tie.share(alpha) * tie.below for tie in own) ** 2 for own in sets))
    above = math.sqrt(sum(sum(tie.share(alpha) * tie.above for tie in own) ** 2 for own in sets))
    return below, above


def tie_p(sets: Ties, distance: float) -> float:
    """Return the two-sided p of a mean that is `distance` below the observed one: the alpha whose bound ends there.

    Args:
        sets: As for `tie_bound`.
        distance: Observed minus tested mean.
    """

    def excess(log_alpha: float) -> float:
        below, above = tie_bound(sets, math.exp(log_alpha))
        return (below if distance > 0.0 else above) - abs(distance)

    if excess(0.0) >= 0.0:
        return 1.0
    smallest = math.log(_SMALLEST_P)
    return _SMALLEST_P if excess(smallest) <= 0.0 else math.exp(optimize.brentq(excess, smallest, 0.0, xtol=1e-12))
