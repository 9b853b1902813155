"""Item values and their clusters: the mean, its clustered standard error, and the size the sample is worth.

A cluster is a template, a passage or a group whose items share luck; clusters are independent, items within one need
not be. Everything else in this package starts from a `ClusteredValues`. No interval and no test here.
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


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ClusteredValues:
    """Values summed by cluster; an unclustered sample has one item a cluster.

    Attributes:
        values: One number an item, in the given order, shape (items,).
        totals: Sum of each cluster's values, shape (clusters,).
        sizes: Items of each cluster, shape (clusters,).
        clustered: Whether any cluster holds more than one item.
    """

    values: FloatArray
    totals: FloatArray
    sizes: FloatArray
    has_clusters: bool

    @property
    def mean(self) -> float:
        """Mean over items."""
        return float(self.values.mean())

    @property
    def residuals(self) -> FloatArray:
        """Each cluster's total less what its size and the mean foretell; sums to 0."""
        return self.totals - self.sizes * self.mean

    @property
    def binary(self) -> bool:
        """Whether every value is 0 or 1."""
        return bool(np.isin(self.values, (0.0, 1.0)).all())


@dataclass(frozen=True, kw_only=True, slots=True)
class MeanEstimate:
    """A mean and how far it may be off.

    Attributes:
        mean: Mean over items.
        standard_error: Clustered standard error; NaN with fewer than two clusters.
        degrees_of_freedom: Of `standard_error`, for a t-quantile; 0 with fewer than two clusters.
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
        ValueError: Empty, not one-dimensional, or holding NaN or infinity.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"{name} has shape {array.shape}; give one number an item, at least one item.")
    if not np.isfinite(array).all():
        count = int((~np.isfinite(array)).sum())
        raise ValueError(f"{name} holds {count} NaN or infinite values; leave failed items out and count them.")
    return array


def group_by_cluster(values: Values, clusters: Clusters | None = None, name: str = "values") -> ClusteredValues:
    """Sum `values` by cluster.

    Raises:
        ValueError: `values` as in `as_values`, or `clusters` of another length.
    """
    array = as_values(values, name)
    if clusters is None:
        return ClusteredValues(values=array, totals=array, sizes=np.ones_like(array), has_clusters=False)
    codes = cluster_codes(clusters, array.size)
    sizes = np.bincount(codes).astype(np.float64)
    return ClusteredValues(
        values=array,
        totals=np.bincount(codes, weights=array).astype(np.float64),
        sizes=sizes,
        has_clusters=bool(sizes.max() > 1),
    )


def cluster_codes(clusters: Clusters, items: int) -> npt.NDArray[np.intp]:
    """Number the clusters 0, 1, ..., one code an item; any hashable labels will do.

    Raises:
        ValueError: `clusters` does not have one label an item.
    """
    if len(clusters) != items:
        raise ValueError(f"clusters has {len(clusters)} labels for {items} items; give one label an item.")
    if isinstance(clusters, np.ndarray) and clusters.dtype != object:
        return np.unique(clusters, return_inverse=True)[1].astype(np.intp)
    first_seen: dict[object, int] = {}
    return np.array([first_seen.setdefault(label, len(first_seen)) for label in clusters], dtype=np.intp)


def estimate_mean(values: Values, clusters: Clusters | None = None) -> MeanEstimate:
    """Mean of `values` with its clustered standard error.

    The error is the cluster-robust one of Miller (arXiv 2411.00640, eq. 4) with the small-sample correction CR2 of Bell
    and McCaffrey (2002, Survey Methodology 28): with cluster totals S_c, sizes n_c, n items and mean m,

        SE^2 = sum_c (S_c - n_c m)^2 / (1 - n_c / n) / n^2,

    unbiased when items are in fact independent. Clusters of equal size give the usual factor G / (G - 1), unclustered
    items s^2 / n. The degrees of freedom are Bell and McCaffrey's (G - 1 when sizes are equal, fewer otherwise), in the
    closed form that a mean allows.

    Raises:
        ValueError: See `group_by_cluster`.
    """
    return clustered_mean(group_by_cluster(values, clusters))


def clustered_mean(grouped: ClusteredValues) -> MeanEstimate:
    """As `estimate_mean`, of a sample already made."""
    items, count = grouped.values.size, grouped.totals.size
    if count < 2:
        error, df = math.nan, 0.0
    else:
        unexplained = 1.0 - grouped.sizes / items
        error = math.sqrt(float((grouped.residuals**2 / unexplained).sum())) / items
        df = degrees_of_freedom(grouped.sizes)
    return MeanEstimate(mean=grouped.mean, standard_error=error, degrees_of_freedom=df, items=items, clusters=count)


def degrees_of_freedom(sizes: FloatArray) -> float:
    """Bell and McCaffrey's degrees of freedom of a mean's clustered error, from the cluster sizes (two or more).

    (tr M)^2 / tr M^2 with M the covariance of the scaled cluster residuals under independent items.
    """
    items = sizes.sum()
    shares = sizes**2 / (items - sizes)
    return float(items**2 / ((sizes**2).sum() + shares.sum() ** 2 - (shares**2).sum()))


def satterthwaite(variances: Sequence[float], dfs: Sequence[float]) -> float:
    """Degrees of freedom of a sum of independent variance estimates (Satterthwaite 1946, Biometrics Bulletin 2)."""
    weight = sum(v**2 / f for v, f in zip(variances, dfs, strict=True))
    return sum(variances) ** 2 / weight if weight > 0.0 else min(dfs)


def effective_size(grouped: ClusteredValues) -> float:
    """How many independent items the sample is worth: items / design effect (Kish 1965; Rao and Scott 1992).

    The design effect is the clustered variance of the mean over the variance that independent items would give, and at
    least 1: clusters that happen to be more alike than chance make no item worth more than one. Where all values are
    equal there is nothing to estimate it from, and full correlation within clusters is assumed: n^2 / sum n_c^2.
    """
    items = grouped.values.size
    if not grouped.has_clusters:
        return float(items)
    error, independent = clustered_mean(grouped).standard_error, float(grouped.values.var(ddof=1)) / items
    if grouped.totals.size < 2 or not independent > 1e-18 * float(np.abs(grouped.values).max()) ** 2:
        return float(items**2 / (grouped.sizes**2).sum())
    return items * min(1.0, independent / error**2) if error > 0.0 else float(items)


def two_sided_quantile(level: float, degrees_of_freedom: float = math.inf) -> float:
    """The quantile that leaves (1 - level) / 2 above it: normal at infinite degrees of freedom, else Student's t.

    Raises:
        ValueError: `level` is not between 0 and 1.
    """
    if not 0.0 < level < 1.0:
        raise ValueError(f"level is {level}; it must lie between 0 and 1, such as 0.95.")
    return quantile((1.0 + level) / 2.0, degrees_of_freedom)


def quantile(probability: float, degrees_of_freedom: float = math.inf) -> float:
    """Quantile of the standard normal (infinite degrees of freedom) or of Student's t."""
    if math.isinf(degrees_of_freedom):
        return float(special.ndtri(probability))
    return float(special.stdtrit(degrees_of_freedom, probability))
