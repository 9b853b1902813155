"""Ranks of many models, with rank intervals and groups of models that do not differ significantly.

One simultaneous test of all pairs of models gives both. A model that k others beat significantly has a rank of k + 1 at
best. Models are ranked by `Aggregate.centred`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.stats.aggregate import AGGREGATE, aggregate_weights
from harness.stats.clustered import Clusters, FloatArray, as_values, cluster_codes, degrees_of_freedom, satterthwaite
from harness.stats.combining import covariance_with_ties
from harness.stats.item_sets import Units, weighted_variance
from harness.stats.resampling import block_rows


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Ranking:
    """Models in the order they were given, ranks from 1 (best).

    Attributes:
        definition: Definition of the ranked number, as in `Aggregate.definition`.
        values: Chance-centred macro mean of each model, shape (models,).
        standard_errors: Clustered standard error of each value, as `Aggregate.centred_error`; item sets are
            independent.
        ranks: Rank by value; equal values share the best rank.
        rank_low: Best rank in the rank interval.
        rank_high: Worst rank in the rank interval.
        differ: Whether two models differ significantly, shape (models, models), symmetric.
        tied_with_leader: Whether a model does not differ significantly from the one with the highest value.
        groups: Indices of the models of each maximal run of adjacent ranks without a significant pair, best first.
            Groups may overlap. A group of one is a model that differs from both its neighbours.
        level: Probability that all statements above about pairs and ranks are true simultaneously.
    """

    definition: str
    values: FloatArray
    standard_errors: FloatArray
    ranks: npt.NDArray[np.intp]
    rank_low: npt.NDArray[np.intp]
    rank_high: npt.NDArray[np.intp]
    differ: npt.NDArray[np.bool_]
    tied_with_leader: npt.NDArray[np.bool_]
    groups: tuple[tuple[int, ...], ...]
    level: float


def rank_models(
    scores: Sequence[npt.ArrayLike],
    *,
    domains: Sequence[str] | None = None,
    chances: npt.ArrayLike | None = None,
    clusters: Sequence[Clusters | None] | None = None,
    item_sets: Sequence[str] | None = None,
    level: float = 0.95,
    draws: int = 5_000,
    seed: int = 0,
) -> Ranking:
    """Rank models that answered the same items of the same tasks.

    Let d_ij be the difference of two models and s_ij its clustered standard error under the null hypothesis, that is,
    about 0 and not about d_ij, as in McNemar's test (if one model is right and the other wrong on every item, their
    differences do not vary, but the models differ). Two models differ if |d_ij| > q s_ij, where q is the `level`
    quantile, under the null, of the largest such ratio over all pairs. This single-step max-t test controls the
    family-wise error rate (Hothorn, Bretz and Westfall 2008, Biometrical Journal 50). q comes from the multiplier
    bootstrap over clusters, with tasks as strata (Chernozhukov, Chetverikov and Kato 2013, Annals of Statistics 41).
    It multiplies cluster residuals by normal weights. The result is exactly normal with the models' covariance, so the
    draws are taken from that distribution directly, and divided by a chi variable (Student's t) for few clusters.

    A model's rank is between 1 + (models significantly better) and models - (models significantly worse), for all
    models simultaneously (Mogstad, Romano, Shaikh and Wilhelm 2024, Review of Economic Studies 91). Percentiles of
    bootstrapped ranks would be too narrow for near ties.

    Args:
        scores: One matrix per task, shape (models, items of the task).
        domains: Domain of each task; by default each task is a domain of its own.
        chances: Chance level of each task; by default 0.
        clusters: Labels of each task's items, or None for a task without clusters; by default no clusters. Tasks of one
            item set share their labels, as numbered by `item_sets.shared_units`.
        item_sets: Name of the items of each task, the same for variants of them; by default every task has its own.
        level: Probability that all statements are true simultaneously.
        draws: Bootstrap draws.
        seed: Seed of the draws.

    Raises:
        ValueError: No tasks, different numbers of models per task, NaN, a task of one cluster, different lengths, or an
            impossible level.
    """
    if not 0.0 < level < 1.0:
        raise ValueError(f"level is {level}; it must be between 0 and 1, such as 0.95.")
    tables = _as_tables(scores)
    names = [str(task) for task in range(len(tables))] if domains is None else list(domains)
    chance = np.zeros(len(tables)) if chances is None else np.asarray(chances, dtype=np.float64)
    sets = [str(task) for task in range(len(tables))] if item_sets is None else list(item_sets)
    weights = aggregate_weights(names, chance, sets)
    labels = [None] * len(tables) if clusters is None else list(clusters)
    if not len(tables) == weights.size == len(labels):
        raise ValueError(
            f"{len(tables)} tasks, {weights.size} domains, {len(labels)} clusters; give one of each per task."
        )
    values = np.sum(
        [weight * (table.mean(axis=1) - guess) for table, weight, guess in zip(tables, weights, chance, strict=True)],
        axis=0,
    )
    null_parts: list[FloatArray] = []
    dfs = []
    for name in dict.fromkeys(sets):
        members = [index for index, one in enumerate(sets) if one == name]
        grouped = [_clusters(tables[index], labels[index]) for index in members]
        scaled = [weights[k] * _null_residuals(tables[k], *own) for k, own in zip(members, grouped, strict=True)]
        totals = _sum_by_unit(scaled, [labels[k] for k in members])
        null_parts.append(np.asarray(totals @ totals.T, dtype=np.float64))
        dfs.append(min(degrees_of_freedom(sizes) for _, sizes in grouped))
    null_covariance = np.sum(null_parts, axis=0)
    df = satterthwaite([float(part.trace()) for part in null_parts], dfs)
    differ = _differ(values, null_covariance, df, level, draws=draws, seed=seed)
    better = values[None, :] > values[:, None]
    return Ranking(
        definition=AGGREGATE,
        values=values,
        standard_errors=_standard_errors(tables, labels, sets, weights),
        ranks=1 + better.sum(axis=1),
        rank_low=1 + (differ & better).sum(axis=1),
        rank_high=values.size - (differ & better.T).sum(axis=1),
        differ=differ,
        tied_with_leader=~differ[int(values.argmax())],
        groups=_groups(values, differ),
        level=level,
    )


def _as_tables(scores: Sequence[npt.ArrayLike]) -> list[FloatArray]:
    tables = [np.asarray(score, dtype=np.float64) for score in scores]
    if not tables or any(table.ndim != 2 or table.shape[1] == 0 for table in tables):
        raise ValueError(
            f"scores have shapes {[t.shape for t in tables]}; give a models x items matrix for at least one task."
        )
    if len({table.shape[0] for table in tables}) > 1:
        raise ValueError(f"tasks have {[t.shape[0] for t in tables]} models; give the models that answered all tasks.")
    for index, table in enumerate(tables):
        as_values(table.ravel(), f"scores[{index}]")
    return tables


def _clusters(table: FloatArray, labels: Clusters | None) -> tuple[npt.NDArray[np.intp], FloatArray]:
    """The cluster number of each item, and the sizes of the clusters."""
    items = table.shape[1]
    codes = np.arange(items) if labels is None else cluster_codes(labels, items)
    sizes = np.bincount(codes).astype(np.float64)
    if sizes.size < 2:
        raise ValueError(
            "a task has only one cluster or item, so its ranks have no error estimate; leave the task out."
        )
    return codes, sizes


def _standard_errors(
    tables: Sequence[FloatArray], labels: Sequence[Clusters | None], sets: list[str], weights: FloatArray
) -> FloatArray:
    # Variants share integer labels; a task by itself may have labels of any kind.
    units: list[Units] = [
        None if own is None else np.asarray(own) if sets.count(name) > 1 else cluster_codes(own, len(own))
        for own, name in zip(labels, sets, strict=True)
    ]
    variances = [
        weighted_variance(covariance_with_ties([table[model] for table in tables], units, sets), weights)
        for model in range(tables[0].shape[0])
    ]
    return np.asarray(np.sqrt(variances), dtype=np.float64)


def _null_residuals(table: FloatArray, codes: npt.NDArray[np.intp], sizes: FloatArray) -> FloatArray:
    """Scaled cluster residuals under the null hypothesis of equal means: about the mean of all models.

    Their products are the models' covariance. For the difference of a pair of models they give the sum of squared
    differences of cluster totals.
    """
    return np.asarray(_totals(table - table.mean(), codes, sizes) / table.shape[1], dtype=np.float64)


def _sum_by_unit(parts: Sequence[FloatArray], labels: Sequence[Clusters | None]) -> FloatArray:
    """Sum the residuals of the variants of one item set, unit by unit, shape (models, units).

    Variants that share no unit are correlated too, but it is unknown how. The variance of a sum of k of them is at most
    k times the sum of their variances (equal if they are copies), so their residuals are multiplied by sqrt(k).
    """
    if len(parts) == 1:
        return parts[0]
    named = [
        np.arange(part.shape[1]) if own is None else np.unique(np.asarray(own))
        for part, own in zip(parts, labels, strict=True)
    ]
    union = np.unique(np.concatenate(named))
    total = np.zeros((parts[0].shape[0], union.size))
    for part, own in zip(parts, named, strict=True):
        total[:, np.searchsorted(union, own)] += part
    return np.asarray(total * math.sqrt(_apart(named)), dtype=np.float64)


def _apart(named: Sequence[npt.NDArray[np.generic]]) -> int:
    """Return the number of sets of variants that have no unit in common. Example: {1 2}, {2 3}, {9} are 2 sets."""
    joined: list[set[object]] = []
    for one in named:
        own = set(one.tolist())
        touching = [other for other in joined if other & own]
        joined = [other for other in joined if not other & own] + [own.union(*touching)]
    return len(joined)


def _totals(residuals: FloatArray, codes: npt.NDArray[np.intp], sizes: FloatArray) -> FloatArray:
    if sizes.size == residuals.shape[1]:
        return residuals
    return np.stack([np.bincount(codes, weights=row) for row in residuals])


def _differ(
    values: FloatArray, covariance: FloatArray, df: float, level: float, *, draws: int, seed: int
) -> npt.NDArray[np.bool_]:
    first, second = np.triu_indices(values.size, k=1)
    differ = np.zeros((values.size, values.size), dtype=np.bool_)
    if first.size == 0:
        return differ
    variances = covariance.diagonal()
    spread = np.sqrt(np.maximum(variances[first] + variances[second] - 2.0 * covariance[first, second], 0.0))
    # Models with the same answers have a spread of about 1e-17 from rounding; it must not count as evidence.
    known = spread > 1e-7 * math.sqrt(float(variances.max()))
    scale = np.where(known, 1.0 / np.where(known, spread, 1.0), 0.0)
    rng = np.random.default_rng(seed)
    # Models with the same answers make the covariance singular. The ridge makes it positive definite, and is far below
    # any real spread.
    factor = np.linalg.cholesky(covariance + 1e-15 * float(variances.max() or 1.0) * np.eye(values.size))
    largest = []
    for rows in block_rows(first.size, draws):
        normal = rng.standard_normal((rows, values.size)) @ factor.T
        ratios = np.abs(normal[:, first] - normal[:, second]) * scale
        largest.append(ratios.max(axis=1) / np.sqrt(rng.chisquare(df, rows) / df))
    critical = float(np.quantile(np.concatenate(largest), level))
    differ[first, second] = np.abs(values[first] - values[second]) * scale > critical
    return differ | differ.T


def _groups(values: FloatArray, differ: npt.NDArray[np.bool_]) -> tuple[tuple[int, ...], ...]:
    order = np.argsort(-values, kind="stable")
    groups: list[tuple[int, ...]] = []
    start = 0
    for end in range(order.size):
        # Drop members from the start of the run until the new model differs from none of them.
        # Example: order A B C; only A and C differ: the groups are (A, B) and (B, C).
        while differ[order[start:end], order[end]].any():
            start += 1
        run = tuple(int(index) for index in order[start : end + 1])
        if groups and set(groups[-1]) <= set(run):
            groups[-1] = run
        else:
            groups.append(run)
    return tuple(groups)
