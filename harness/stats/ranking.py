"""Ranks of many models with rank intervals, and which models cannot be told apart.

One bootstrap over items gives both: every pair of models is tested at once, and a model's rank can be no better than
one below the models that surely beat it. The number ranked is the aggregate of `aggregate`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.stats.aggregate import AGGREGATE, aggregate_weights
from harness.stats.resampling import BLOCK_CELLS, bootstrap_counts
from harness.stats.samples import Clusters, FloatArray, as_values, cluster_codes

Single = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Ranking:
    """Models in the order they were given, ranks from 1 (best).

    Attributes:
        definition: Of the number ranked, as in `Aggregate.definition`.
        values: Chance-centred macro mean of each model, shape (models,).
        standard_errors: Bootstrap standard error of each value.
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
    resamples: int = 2_000,
    seed: int = 0,
) -> Ranking:
    """Rank models that answered the same items of the same tasks.

    Whole clusters are drawn with replacement within each task (tasks are strata), the same draw for all models. With
    d_ij the difference of two models and s_ij its bootstrap standard error, two models differ when |d_ij| > q s_ij,
    where q is the `level` quantile of the largest |d*_ij - d_ij| / s_ij over all pairs: single-step max-t, which keeps
    the chance of any false difference (Westfall and Young 1993). A model's rank lies between 1 + (models surely better)
    and models - (models surely worse), for all models at once (Mogstad, Romano, Shaikh and Wilhelm
    2024, Review of Economic Studies 91). Percentiles of bootstrapped ranks would be too short among near ties.

    Args:
        scores: One matrix a task, shape (models, items of the task).
        domains: Domain of each task; by default each task is its own.
        chances: Chance level of each task; by default 0.
        clusters: Labels of each task's items, or None for a task without; by default none.
        level: Chance that all statements hold at once.
        resamples: Bootstrap draws.
        seed: Of the bootstrap.

    Raises:
        ValueError: No tasks, models that differ between tasks, NaN, lengths that differ, or an impossible level.
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
    rng = np.random.default_rng(seed)
    values = np.zeros(tables[0].shape[0])
    draws = np.zeros((resamples, values.size), dtype=np.float32)
    for table, weight, guess, label in zip(tables, weights, chance, labels, strict=True):
        values += weight * (table.mean(axis=1) - guess)
        draws += np.float32(weight) * _task_draws(table, label, resamples, rng)
    differ = _differ(values, draws, level)
    better = values[None, :] > values[:, None]
    return Ranking(
        definition=AGGREGATE,
        values=values,
        standard_errors=draws.std(axis=0, dtype=np.float64),
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


def _task_draws(table: FloatArray, labels: Clusters | None, resamples: int, rng: np.random.Generator) -> Single:
    """Resampled mean less mean of every model, shape (resamples, models); NaN-free even for one cluster (zeros)."""
    codes = np.arange(table.shape[1]) if labels is None else cluster_codes(labels, table.shape[1])
    sizes = np.bincount(codes).astype(np.float32)
    centred = table - table.mean(axis=1, keepdims=True)
    residuals = np.stack([np.bincount(codes, weights=row) for row in centred], axis=1).astype(np.float32)
    draws = []
    for block in bootstrap_counts(sizes.size, resamples, rng):
        counts = block.astype(np.float32)
        draws.append((counts @ residuals) / (counts @ sizes)[:, None])
    # n of n with replacement has (n - 1) / n of the variance wanted.
    widen = math.sqrt(sizes.size / (sizes.size - 1)) if sizes.size > 1 else 0.0
    return np.concatenate(draws) * np.float32(widen)


def _differ(values: FloatArray, draws: Single, level: float) -> npt.NDArray[np.bool_]:
    models = values.size
    first, second = np.triu_indices(models, k=1)
    covariance = np.atleast_2d(np.cov(draws, rowvar=False))
    spread = np.sqrt(
        np.maximum(covariance[first, first] + covariance[second, second] - 2.0 * covariance[first, second], 0.0)
    )
    # float32 leaves a trace of spread between models with the same answers; theirs is no evidence.
    known = spread > 1e-6 * math.sqrt(float(covariance.diagonal().max(initial=0.0)))
    scale = np.where(known, 1.0 / np.where(known, spread, 1.0), 0.0).astype(np.float32)
    largest = np.zeros(draws.shape[0], dtype=np.float32)
    step = max(1, BLOCK_CELLS // max(1, first.size))
    for start in range(0, draws.shape[0] if first.size else 0, step):
        block = draws[start : start + step]
        largest[start : start + step] = (np.abs(block[:, first] - block[:, second]) * scale).max(axis=1)
    critical = float(np.quantile(largest, level))
    differ = np.zeros((models, models), dtype=np.bool_)
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
