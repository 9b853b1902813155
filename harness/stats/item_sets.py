"""Tasks that share items: variants of one benchmark, such as letters and cloze, or two languages.

Variants of the same items are not independent evidence: a model that finds an item hard in one variant mostly finds
it hard in the other. `units_of_tasks` says which items belong together, `covariance_of_means` gives the covariance of
the tasks' means::

    units = units_of_tasks(["arc", "arc"], [labels_of_letter, labels_of_cloze])
    covariance = covariance_of_means([letter, cloze], units, ["arc", "arc"])
    error = sqrt(weights @ covariance @ weights)  # of the weighted mean of both tasks
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse import csgraph

from harness.stats.clustered import (
    Clusters,
    FloatArray,
    cluster_codes,
    degrees_of_freedom,
    group_by_cluster,
    satterthwaite,
)

Units: TypeAlias = npt.NDArray[np.intp] | None
"""The independent unit of each item, shape (items,); None if each item is its own."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ItemLabels:
    """What identifies the items of one task that have a value.

    Attributes:
        docs: Digest of each item's document.
        positions: Position of each item in the task.
        rows: Number of items of the task, with or without a value.
        clusters: Cluster label of each item; None without clusters.
    """

    docs: Sequence[Hashable]
    positions: Sequence[int]
    rows: int
    clusters: Clusters | None


def units_of_tasks(sets: Sequence[str], tasks: Sequence[ItemLabels]) -> list[Units]:
    """Return the independent unit of each item of each task; tasks of one item set share their units.

    Items correspond if they have the same document. If variants share no document, as two languages do, items at the
    same position correspond, provided that the variants have equally many. Otherwise no unit is shared, which counts as
    full correlation. So does a set whose clusters join all items of a variant into one unit, such as passages in one
    variant and templates across all passages in another: each variant then keeps its own clusters.

    Args:
        sets: For each task, the name of its item set.
        tasks: For each task, its items.
    """
    units: list[Units] = [None if one.clusters is None else cluster_codes(one.clusters, len(one.docs)) for one in tasks]
    for name in dict.fromkeys(sets):
        members = [index for index, one in enumerate(sets) if one == name]
        if len(members) > 1:
            variants = [tasks[index] for index in members]
            shared = shared_units(_keys(variants), [one.clusters for one in variants])
            if min(np.unique(own).size for own in shared) < 2:
                shared = _apart([units[index] for index in members], variants)
            for index, own in zip(members, shared, strict=True):
                units[index] = own
    return units


def _apart(units: Sequence[Units], variants: Sequence[ItemLabels]) -> list[npt.NDArray[np.intp]]:
    """Return the variants' own units, numbered so that no two variants share a number."""
    numbered, start = [], 0
    for own, one in zip(units, variants, strict=True):
        numbers = (np.arange(len(one.docs)) if own is None else own) + start
        numbered.append(numbers.astype(np.intp))
        start = int(numbers.max(initial=start)) + 1
    return numbered


def _keys(variants: Sequence[ItemLabels]) -> list[list[object]]:
    documents = [_numbered(one.docs) for one in variants]
    if len(set().union(*documents)) < sum(len(set(one)) for one in documents):
        return [list(one) for one in documents]
    if len({one.rows for one in variants}) == 1:
        return [list(one.positions) for one in variants]
    return [[(variant, item) for item in range(len(one))] for variant, one in enumerate(documents)]


def _numbered(docs: Sequence[Hashable]) -> list[tuple[Hashable, int]]:
    """Number the copies of each document from 0, so that two copies in one task are two items."""
    counts: dict[Hashable, int] = {}
    numbered = []
    for digest in docs:
        counts[digest] = counts.get(digest, -1) + 1
        numbered.append((digest, counts[digest]))
    return numbered


def shared_units(keys: Sequence[Sequence[object]], clusters: Sequence[Clusters | None]) -> list[npt.NDArray[np.intp]]:
    """Number the independent units of several variants of the same items.

    Items with the same key are the same item in two variants. Items of one cluster are correlated. So a unit is all
    that is joined by a key or by a cluster. Example: the keys 1 2 3 in both variants, and 1 and 2 in one cluster of the
    first variant: the units are {1, 2} and {3} in both.

    Args:
        keys: For each variant, what identifies each item.
        clusters: For each variant, one label per item, or None.

    Returns:
        For each variant, the number of the unit of each item.
    """
    numbers: dict[tuple[object, ...], int] = {}
    items, groups, rows = [], [], []
    for variant, (own_keys, labels) in enumerate(zip(keys, clusters, strict=True)):
        named = range(len(own_keys)) if labels is None else cluster_codes(labels, len(own_keys)).tolist()
        own = [numbers.setdefault(("item", key), len(numbers)) for key in own_keys]
        rows.append(np.array(own, dtype=np.intp))
        items += own
        groups += [numbers.setdefault(("cluster", variant, label), len(numbers)) for label in named]
    edges = sparse.coo_array((np.ones(len(items)), (items, groups)), shape=(len(numbers), len(numbers)))
    labels_of = csgraph.connected_components(edges, directed=False)[1]
    return [np.asarray(labels_of[row], dtype=np.intp) for row in rows]


def covariance_of_means(values: Sequence[FloatArray], units: Sequence[Units], sets: Sequence[str]) -> FloatArray:
    """Return the covariance of the means of several tasks, shape (tasks, tasks).

    The diagonal has the squared clustered errors of `clustered.estimate_mean`. Tasks of different item sets are
    independent. For two tasks of one set it is the sum over units of the products of their scaled residuals, so that a
    copied task has the covariance of itself. If no unit is in both, it is unknown which items correspond, and full
    correlation is assumed. NaN for a task of one unit.

    Args:
        values: For each task, one number per item.
        units: For each task, from `shared_units`, or cluster numbers if it shares its items with no other task.
        sets: For each task, the name of its item set.
    """
    scores = [_unit_scores(*one) for one in zip(values, units, strict=True)]
    covariance = np.zeros((len(scores), len(scores)))
    for row, (labels, own) in enumerate(scores):
        covariance[row, row] = float(own @ own)
        for column in range(row):
            if sets[row] == sets[column]:
                other_labels, others = scores[column]
                _, here, there = np.intersect1d(labels, other_labels, assume_unique=True, return_indices=True)
                shared = float(own[here] @ others[there]) if here.size else math.sqrt((own @ own) * (others @ others))
                covariance[row, column] = covariance[column, row] = shared
    return covariance


def _unit_scores(values: FloatArray, units: Units) -> tuple[npt.NDArray[np.intp], FloatArray]:
    """The units of a task and what each adds to the deviation of its mean, scaled as in `clustered.estimate_mean`."""
    grouped = group_by_cluster(values, units)
    labels = np.arange(values.size, dtype=np.intp) if units is None else np.unique(units)
    if grouped.totals.size < 2:
        return labels, np.full(labels.size, math.nan)
    return labels, grouped.residuals / (np.sqrt(1.0 - grouped.sizes / values.size) * values.size)


def weighted_variance(covariance: FloatArray, weights: FloatArray) -> float:
    """Return the variance of the weighted sum of means; NaN if one of them has an unknown variance."""
    variance = float(weights @ covariance @ weights)
    return variance if math.isnan(variance) else max(0.0, variance)


def covariance_of_errors(errors: FloatArray, sets: Sequence[str]) -> FloatArray:
    """Return the covariance of means of which only the standard errors are known: full correlation within a set."""
    same = np.array([[one == other for other in sets] for one in sets])
    return np.asarray(np.where(same, np.outer(errors, errors), 0.0), dtype=np.float64)


def freedom_of_sum(
    covariance: FloatArray, weights: FloatArray, sizes: Sequence[FloatArray], sets: Sequence[str]
) -> float:
    """Return the degrees of freedom of `weighted_variance`: Satterthwaite's formula over item sets.

    A set has the degrees of freedom of its task with the fewest.

    Args:
        covariance: From `covariance_of_means`.
        weights: One per task.
        sizes: For each task, the number of items of each unit; two units or more.
        sets: For each task, the name of its item set.
    """
    variances, dfs = [], []
    for name in dict.fromkeys(sets):
        members = [index for index, one in enumerate(sets) if one == name]
        variances.append(weighted_variance(covariance[np.ix_(members, members)], weights[members]))
        dfs.append(min(degrees_of_freedom(sizes[index]) for index in members))
    return satterthwaite(variances, dfs)


def unit_sizes(items: int, units: Units) -> FloatArray:
    """Return the number of items of each unit."""
    if units is None:
        return np.ones(items)
    return np.unique(units, return_counts=True)[1].astype(np.float64)


def correlation_of(covariance: FloatArray, sets: Sequence[str]) -> FloatArray:
    """Return the correlations of a covariance; 1 within an item set where an error is 0, since nothing is known."""
    errors = np.sqrt(covariance.diagonal())
    scale = np.outer(errors, errors)
    same = np.array([[one == other for other in sets] for one in sets], dtype=np.float64)
    correlation = np.where(scale > 0.0, covariance / np.where(scale > 0.0, scale, 1.0), same)
    np.fill_diagonal(correlation, 1.0)
    return np.asarray(np.clip(correlation, -1.0, 1.0), dtype=np.float64)
