"""Ranks of many models with rank intervals, and which models cannot be told apart.

One test of all pairs of models at once gives both: a model's rank can be no better than one below the models that
surely beat it. The number ranked is the aggregate of `aggregate`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.stats.aggregate import AGGREGATE, aggregate_weights
from harness.stats.clustered import Clusters, FloatArray, as_values, cluster_codes, degrees_of_freedom, satterthwaite
from harness.stats.resampling import block_rows


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Ranking:
    """Models in the order they were given, ranks from 1 (best).

    Attributes:
        definition: Of the number ranked, as in `Aggregate.definition`.
        values: Chance-centred macro mean of each model, shape (models,).
        standard_errors: Clustered standard error of each value, tasks taken as independent.
        ranks: Rank by value; equal values share the best rank.
        rank_low: Best rank that the data allow.
        rank_high: Worst rank that the data allow.
        differ: Whether two models can be told apart, shape (models, models), symmetric.
        tied_with_leader: Whether a model cannot be told apart from the one of highest value.
        groups: Indices of each longest run of neighbours in rank in which no pair can be told apart, best first.
            Groups may overlap; a group of one is a model apart from both its neighbours.
        level: Chance that every statement above about pairs and ranks holds at once.
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
    level: float = 0.95,
    draws: int = 5_000,
    seed: int = 0,
) -> Ranking:
    """Rank models that answered the same items of the same tasks.

    With d_ij the difference of two models and s_ij its clustered standard error were they the same (about 0 and not
    about d_ij, as in McNemar's test: two models of which one is right and the other wrong on every item do differ),
    two models differ when |d_ij| > q s_ij, where q is the `level` quantile of the largest such ratio over all pairs
    when no models differ: single-step max-t, which keeps the chance of any false difference (Hothorn, Bretz and
    Westfall 2008, Biometrical Journal 50). It is found by the multiplier bootstrap over clusters, tasks as strata
    (Chernozhukov, Chetverikov and Kato 2013, Annals of Statistics 41): cluster residuals times normal weights. Those
    draws are exactly normal with the models' covariance, so they are drawn from it directly, and made Student's for
    few clusters.

    A model's rank lies between 1 + (models surely better) and models - (models surely worse), for all models at once
    (Mogstad, Romano, Shaikh and Wilhelm 2024, Review of Economic Studies 91). Percentiles of bootstrapped ranks would
    be too short among near ties.

    Args:
        scores: One matrix a task, shape (models, items of the task).
        domains: Domain of each task; by default each task is its own.
        chances: Chance level of each task; by default 0.
        clusters: Labels of each task's items, or None for a task without; by default none.
        level: Chance that all statements hold at once.
        draws: Bootstrap draws.
        seed: Of the draws.

    Raises:
        ValueError: No tasks, models that differ between tasks, NaN, a task of one cluster, lengths that differ, or an
            impossible level.
    """
    if not 0.0 < level < 1.0:
        raise ValueError(f"level is {level}; it must lie between 0 and 1, such as 0.95.")
    tables = _as_tables(scores)
    names = [str(task) for task in range(len(tables))] if domains is None else list(domains)
    chance = np.zeros(len(tables)) if chances is None else np.asarray(chances, dtype=np.float64)
    weights = aggregate_weights(names, chance)
    labels = [None] * len(tables) if clusters is None else list(clusters)
    if not len(tables) == weights.size == len(labels):
        raise ValueError(
            f"{len(tables)} tasks, {weights.size} domains, {len(labels)} clusters; give one of each a task."
        )
    values, parts, null_parts, dfs = np.zeros(tables[0].shape[0]), [], [], []
    for table, weight, guess, label in zip(tables, weights, chance, labels, strict=True):
        values += weight * (table.mean(axis=1) - guess)
        codes, sizes = _clusters(table, label)
        parts.append(weight**2 * _covariance(table, codes, sizes))
        null_parts.append(weight**2 * _null_covariance(table, codes, sizes))
        dfs.append(degrees_of_freedom(sizes))
    covariance, null_covariance = np.sum(parts, axis=0), np.sum(null_parts, axis=0)
    df = satterthwaite([float(part.trace()) for part in null_parts], dfs)
    differ = _differ(values, null_covariance, df, level, draws=draws, seed=seed)
    better = values[None, :] > values[:, None]
    return Ranking(
        definition=AGGREGATE,
        values=values,
        standard_errors=np.sqrt(covariance.diagonal()),
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
        raise ValueError(f"scores have shapes {[t.shape for t in tables]}; give models x items for at least one task.")
    if len({table.shape[0] for table in tables}) > 1:
        raise ValueError(f"tasks have {[t.shape[0] for t in tables]} models; give the models that answered all tasks.")
    for index, table in enumerate(tables):
        as_values(table.ravel(), f"scores[{index}]")
    return tables


def _clusters(table: FloatArray, labels: Clusters | None) -> tuple[npt.NDArray[np.intp], FloatArray]:
    """Each item's cluster, and the clusters' sizes."""
    items = table.shape[1]
    codes = np.arange(items) if labels is None else cluster_codes(labels, items)
    sizes = np.bincount(codes).astype(np.float64)
    if sizes.size < 2:
        raise ValueError("a task has one cluster or item; how sure its ranks are cannot be said, leave it out.")
    return codes, sizes


def _covariance(table: FloatArray, codes: npt.NDArray[np.intp], sizes: FloatArray) -> FloatArray:
    """Clustered covariance of the models' means (CR2, as in `clustered.estimate_mean`)."""
    totals = _totals(table - table.mean(axis=1, keepdims=True), codes, sizes)
    scaled: FloatArray = totals / (np.sqrt(1.0 - sizes / table.shape[1]) * table.shape[1])
    return np.asarray(scaled @ scaled.T, dtype=np.float64)


def _null_covariance(table: FloatArray, codes: npt.NDArray[np.intp], sizes: FloatArray) -> FloatArray:
    """The same if all models had one mean: of a pair's difference it gives the sum of its squares over clusters."""
    totals = _totals(table - table.mean(), codes, sizes) / table.shape[1]
    return np.asarray(totals @ totals.T, dtype=np.float64)


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
    # Rounding leaves a trace of spread between models with the same answers; theirs is no evidence.
    known = spread > 1e-7 * math.sqrt(float(variances.max()))
    scale = np.where(known, 1.0 / np.where(known, spread, 1.0), 0.0)
    rng = np.random.default_rng(seed)
    # The ridge lets models with the same answers through the factorisation; it is far below any real spread.
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
        # The first member that the newcomer differs from, and all before it, leave the run.
        while differ[order[start:end], order[end]].any():
            start += 1
        run = tuple(int(index) for index in order[start : end + 1])
        if groups and set(groups[-1]) <= set(run):
            groups[-1] = run
        else:
            groups.append(run)
    return tuple(groups)
