"""Item values grouped by cluster: the mean, its clustered standard error and the effective sample size.

A cluster is a set of items that may be correlated, such as the questions about one passage or the items of one
template. Clusters are independent. Example: values 1 1 0 with clusters ``a a b`` have totals 2 0 and sizes 2 1. The
rest of this package builds on `ClusteredValues`. No intervals or tests here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import special

FloatArray: TypeAlias = npt.NDArray[np.float64]
Values: TypeAlias = npt.ArrayLike
Clusters: TypeAlias = Sequence[object] | npt.NDArray[np.generic]

FEW_CLUSTERS = 10
"""With fewer clusters, the clustered error is too uncertain for t-quantiles; see `wild`."""
# A design effect below 1 is a weighted mean of the estimate and 1, where 1 counts as much as this many clusters.
_PRIOR_CLUSTERS = 2.0
# The same for degrees of freedom that are estimated from the data.
_PRIOR_OF_FREEDOM = 4.0


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ClusteredValues:
    """Values summed by cluster. Without clusters, each item is its own cluster.

    Attributes:
        values: One number per item, in the given order, shape (items,).
        totals: Sum of each cluster's values, shape (clusters,).
        sizes: Number of items of each cluster, shape (clusters,).
        squares: Sum of each cluster's squared values, shape (clusters,).
        has_clusters: Whether any cluster holds more than one item.
    """

    values: FloatArray
    totals: FloatArray
    sizes: FloatArray
    squares: FloatArray
    has_clusters: bool

    @property
    def mean(self) -> float:
        """Mean over items."""
        return float(self.values.mean())

    @property
    def residuals(self) -> FloatArray:
        """Each cluster's total minus its size times the mean; they sum to 0."""
        return self.totals - self.sizes * self.mean

    @property
    def binary(self) -> bool:
        """Whether every value is 0 or 1."""
        return bool(np.isin(self.values, (0.0, 1.0)).all())


@dataclass(frozen=True, kw_only=True, slots=True)
class MeanEstimate:
    """A mean and its standard error.

    Attributes:
        mean: Mean over items.
        standard_error: Clustered standard error; NaN with fewer than two clusters.
        degrees_of_freedom: Of `standard_error`, for t-quantiles; 0 with fewer than two clusters.
        items: Number of items.
        clusters: Number of clusters; equals `items` when unclustered.
    """

    mean: float
    standard_error: float
    degrees_of_freedom: float
    items: int
    clusters: int


def as_values(values: Values, name: str = "values") -> FloatArray:
    """Return `values` as a one-dimensional float array.

    Raises:
        ValueError: Empty, not one-dimensional, or with NaN or infinity.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"{name} has shape {array.shape}; give one number per item, for at least one item.")
    if not np.isfinite(array).all():
        count = int((~np.isfinite(array)).sum())
        raise ValueError(f"{name} holds {count} NaN or infinite values; leave failed items out and count them.")
    return array


def group_by_cluster(values: Values, clusters: Clusters | None = None, name: str = "values") -> ClusteredValues:
    """Group `values` by cluster.

    Raises:
        ValueError: Invalid values (see `as_values`), or a different number of labels.
    """
    array = as_values(values, name)
    if clusters is None:
        return ClusteredValues(
            values=array, totals=array, sizes=np.ones_like(array), squares=array**2, has_clusters=False
        )
    codes = cluster_codes(clusters, array.size)
    sizes = np.bincount(codes).astype(np.float64)
    return ClusteredValues(
        values=array,
        totals=np.bincount(codes, weights=array).astype(np.float64),
        sizes=sizes,
        squares=np.bincount(codes, weights=array**2).astype(np.float64),
        has_clusters=bool(sizes.max() > 1),
    )


def cluster_codes(clusters: Clusters, items: int) -> npt.NDArray[np.intp]:
    """Return each item's cluster number 0, 1, ...; labels may be any hashable values.

    Raises:
        ValueError: `clusters` does not have one label per item.
    """
    if len(clusters) != items:
        raise ValueError(f"clusters has {len(clusters)} labels for {items} items; give one label per item.")
    if isinstance(clusters, np.ndarray) and clusters.dtype != object:
        return np.unique(clusters, return_inverse=True)[1].astype(np.intp)
    first_seen: dict[object, int] = {}
    return np.array([first_seen.setdefault(label, len(first_seen)) for label in clusters], dtype=np.intp)


def estimate_mean(values: Values, clusters: Clusters | None = None) -> MeanEstimate:
    """Return the mean of `values` with its clustered standard error.

    The error is the cluster-robust one of Miller (arXiv 2411.00640, eq. 4) with the small-sample correction CR2 of Bell
    and McCaffrey (2002, Survey Methodology 28). With cluster totals S_c, sizes n_c, n items and mean m:

        SE^2 = sum_c (S_c - n_c m)^2 / (1 - n_c / n) / n^2,

    It is unbiased if the items are independent. For G clusters of equal size, the correction is the usual factor
    G / (G - 1); without clusters, SE^2 is s^2 / n. The degrees of freedom are Bell and McCaffrey's (G - 1 for equal
    sizes, fewer otherwise), in closed form.

    Raises:
        ValueError: See `group_by_cluster`.
    """
    return clustered_mean(group_by_cluster(values, clusters))


def clustered_mean(grouped: ClusteredValues) -> MeanEstimate:
    """Return `estimate_mean` of values that are already grouped."""
    items, count = grouped.values.size, grouped.totals.size
    if count < 2:
        error, df = math.nan, 0.0
    else:
        unexplained = 1.0 - grouped.sizes / items
        error = math.sqrt(float((grouped.residuals**2 / unexplained).sum())) / items
        df = degrees_of_freedom(grouped.sizes)
    return MeanEstimate(mean=grouped.mean, standard_error=error, degrees_of_freedom=df, items=items, clusters=count)


def degrees_of_freedom(sizes: FloatArray) -> float:
    """Return the degrees of freedom of a mean's clustered error, from the sizes of two or more clusters.

    Bell and McCaffrey (2002): (tr M)^2 / tr M^2, where M is the covariance of the scaled cluster residuals if items are
    independent.
    """
    items = sizes.sum()
    shares = sizes**2 / (items - sizes)
    return float(items**2 / ((sizes**2).sum() + shares.sum() ** 2 - (shares**2).sum()))


def satterthwaite(variances: Sequence[float], dfs: Sequence[float]) -> float:
    """Return the degrees of freedom of a sum of independent variance estimates.

    Satterthwaite (1946, Biometrics Bulletin 2).
    """
    weight = sum(v**2 / f for v, f in zip(variances, dfs, strict=True))
    return sum(variances) ** 2 / weight if weight > 0.0 else min(dfs)


def cautious_freedom(grouped: ClusteredValues) -> float:
    """Return the degrees of freedom of the clustered error of 0/1 values, from the residuals themselves.

    `degrees_of_freedom` assumes independent items. If items of a cluster are correlated, or if few clusters hold all
    disagreements, the error is less certain. Satterthwaite's formula with the fourth moment from the data (Lipsitz,
    Ibrahim and Parzen 1999, JRSS C 48) allows for both. With the squared scaled residuals a_c it gives
    3 (sum a)^2 / sum a^2 - 3, whose expectation is G - 1 for normal residuals of equal variance. A few clusters with
    information say little about the fourth moment, so the result is drawn towards `degrees_of_freedom`. It is never
    above that, nor below 1. Needs two or more clusters.
    """
    assumed = degrees_of_freedom(grouped.sizes)
    squares = grouped.residuals**2 / (1.0 - grouped.sizes / grouped.values.size)
    fourth = float((squares**2).sum())
    if not fourth > 0.0:
        return assumed
    from_data = min(assumed, max(1.0, 3.0 * float(squares.sum()) ** 2 / fourth - 3.0))
    informative = _clusters_with_information(grouped)
    return (informative * from_data + _PRIOR_OF_FREEDOM * assumed) / (informative + _PRIOR_OF_FREEDOM)


def effective_size(grouped: ClusteredValues) -> float:
    """Return the effective sample size: items / design effect (Kish 1965, Survey Sampling; Rao and Scott 1992).

    The design effect is the clustered variance of the mean divided by the variance for independent items. It may be
    below 1, if clusters resemble each other more than by chance; the standard error says so too. Two limits keep an
    interval from becoming too narrow: if fewer than `FEW_CLUSTERS` clusters hold more than one value (for differences,
    if fewer have a disagreement) the design effect is at least 1, and otherwise it is drawn towards 1. If all values
    are equal, the design effect cannot be estimated, and full correlation within clusters is assumed: n^2 / sum n_c^2.
    """
    items = grouped.values.size
    if not grouped.has_clusters:
        return float(items)
    error, independent = clustered_mean(grouped).standard_error, float(grouped.values.var(ddof=1)) / items
    if grouped.totals.size < 2 or not independent > 1e-18 * float(np.abs(grouped.values).max()) ** 2:
        return float(items**2 / (grouped.sizes**2).sum())
    effect = error**2 / independent
    if effect >= 1.0:
        return items / effect
    informative = _clusters_with_information(grouped)
    if informative < FEW_CLUSTERS:
        return float(items)
    return items * (informative + _PRIOR_CLUSTERS) / (informative * effect + _PRIOR_CLUSTERS)


def _clusters_with_information(grouped: ClusteredValues) -> int:
    """Return the number of clusters with a value that is not 0, or of those with one that is not 1 if there are fewer.

    For differences of 0/1 answers: clusters with a disagreement. For answers: the rarer of right and wrong. Differences
    that all favour the second model look like answers; those that all favour the first must count the same.
    """
    # Example: clusters (1 1), (1 0), (1 1): three have a value that is not 0, one has a value that is not 1.
    sign = -1.0 if grouped.mean < 0.0 else 1.0
    if not np.isin(sign * grouped.values, (0.0, 1.0)).all():
        return int((grouped.squares > 0.0).sum())
    totals = sign * grouped.totals
    return int(min((totals > 0.0).sum(), (totals < grouped.sizes).sum()))


def two_sided_quantile(level: float, degrees_of_freedom: float = math.inf) -> float:
    """Return the (1 + level) / 2 quantile of the normal distribution, or of Student's t for finite degrees of freedom.

    Raises:
        ValueError: `level` is not between 0 and 1.
    """
    if not 0.0 < level < 1.0:
        raise ValueError(f"level is {level}; it must be between 0 and 1, such as 0.95.")
    return quantile((1.0 + level) / 2.0, degrees_of_freedom)


def quantile(probability: float, degrees_of_freedom: float = math.inf) -> float:
    """Return a quantile of the standard normal (infinite degrees of freedom) or of Student's t."""
    if math.isinf(degrees_of_freedom):
        return float(special.ndtri(probability))
    return float(special.stdtrit(degrees_of_freedom, probability))
