"""Dose-response: the slope of the mean over a numeric training factor, such as the share of code.

The unit is the training run, because runs were given the dose. `seeds` compares two arms without a numeric factor.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.stats.clustered import Clusters, FloatArray, as_values, clustered_mean, group_by_cluster
from harness.stats.clustered import two_sided_quantile as two_sided
from harness.stats.resampling import block_rows
from harness.stats.seeds import as_table

# All orders of the doses are enumerated up to 8 checkpoints (8! = 40,320); above, orders are sampled.
_ENUMERATED_CHECKPOINTS = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class DoseResponse:
    """The slope of the mean over items, per unit of dose.

    Attributes:
        slope: Least squares; change of the mean for one unit of dose.
        standard_error: Over training runs, from the residuals of the line; NaN with two checkpoints.
        item_error: Clustered standard error over items.
        low: Lower end of `slope` +- t(checkpoints - 2) x `standard_error`; infinite with two checkpoints.
        high: Upper end.
        level: Coverage of the interval.
        p: Two-sided, from permuting the doses among the checkpoints.
        exact: True if all orders were enumerated (up to 8 checkpoints), false if they were sampled.
    """

    slope: float
    standard_error: float
    item_error: float
    low: float
    high: float
    level: float
    p: float
    exact: bool


def dose_response(
    doses: npt.ArrayLike,
    values: npt.ArrayLike,
    clusters: Clusters | None = None,
    *,
    level: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> DoseResponse:
    """Return the slope of the mean over a numeric factor, with a permutation test over checkpoints.

    Doses are permuted among training runs, because runs, not items, were given the dose. The smallest possible p is
    therefore one over the number of orders of the doses.

    Args:
        doses: Dose of each checkpoint, such as its share of code, shape (checkpoints,).
        values: Values, shape (checkpoints, items).
        clusters: One label per item, or None.
        level: Coverage of the interval.
        resamples: Number of random orders m for more than 8 checkpoints; p = (b + 1) / (m + 1), where b of them have a
            slope at least as steep.
        seed: Seed of the random orders.

    Raises:
        ValueError: Fewer than two checkpoints, equal doses, different lengths, NaN, or an impossible level.
    """
    dose, table = as_values(doses, "doses"), as_table(values, "values")
    if dose.size != table.shape[0]:
        raise ValueError(f"{dose.size} doses for {table.shape[0]} checkpoints; give one dose per checkpoint.")
    if np.ptp(dose) == 0.0:
        raise ValueError(f"all doses are {dose[0]}; a slope needs at least two different doses.")
    contrast = (dose - dose.mean()) / float(((dose - dose.mean()) ** 2).sum())
    means = table.mean(axis=1)
    slope = float(contrast @ means)
    residuals = means - means.mean() - slope * (dose - dose.mean())
    df = dose.size - 2
    error = math.sqrt(float(residuals @ residuals) / df * float(contrast @ contrast)) if df else math.nan
    half = two_sided(level, df) * error if df else math.inf
    p, exact = _permuted_slope(contrast, means, resamples, seed)
    return DoseResponse(
        slope=slope,
        standard_error=error,
        item_error=clustered_mean(group_by_cluster(contrast @ table, clusters)).standard_error,
        low=slope - half,
        high=slope + half,
        level=level,
        p=p,
        exact=exact,
    )


def _permuted_slope(contrast: FloatArray, means: FloatArray, resamples: int, seed: int) -> tuple[float, bool]:
    observed = abs(float(contrast @ means))
    slack = 1e-9 * float(np.abs(contrast) @ np.abs(means - means.mean()))
    if contrast.size <= _ENUMERATED_CHECKPOINTS:
        orders = np.array(list(itertools.permutations(contrast)))
        return float((np.abs(orders @ (means - means.mean())) >= observed - slack).mean()), True
    rng, extreme = np.random.default_rng(seed), 0
    for rows in block_rows(contrast.size, resamples):
        orders = rng.permuted(np.tile(contrast, (rows, 1)), axis=1)
        extreme += int((np.abs(orders @ (means - means.mean())) >= observed - slack).sum())
    return (extreme + 1) / (resamples + 1), False
