"""One number over many tasks: the macro mean over domains, raw and centred on chance.

The definition has a version, which is stored with the number, because numbers with different definitions must not be
compared. A change to a rule here raises the version.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.stats.clustered import FloatArray, as_values
from harness.stats.item_sets import covariance_of_errors, weighted_variance

AGGREGATE = "macro-chance-centred/2"
"""Version 2: each task's value v becomes (v - chance) / (1 - chance); variants of the same items are averaged first; a
domain is the plain mean of its item sets, the overall number the plain mean of the domains. Tasks are not weighted by
size, and values below 0 are not clipped. Version 1 knew no item sets: every task counted as one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DomainScore:
    """The means of one domain.

    Attributes:
        domain: Its name.
        tasks: Number of tasks in it, variants included.
        mean: Mean of the tasks' values.
        mean_error: Standard error of `mean`; NaN if the error of any task is NaN.
        centred: Mean of the chance-centred values: 0 is guessing, 1 is perfect, below 0 is worse than guessing.
        centred_error: Standard error of `centred`.
    """

    domain: str
    tasks: int
    mean: float
    mean_error: float
    centred: float
    centred_error: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Aggregate:
    """A model's overall number and the definition used.

    Attributes:
        definition: The value of `AGGREGATE` when it was computed.
        mean: Macro mean over domains of the raw task values.
        mean_error: Standard error of `mean`.
        centred: Macro mean over domains of the chance-centred values; models are ranked by it.
        centred_error: Standard error of `centred`.
        domains: The domains, in order of first appearance.
    """

    definition: str
    mean: float
    mean_error: float
    centred: float
    centred_error: float
    domains: tuple[DomainScore, ...]


def aggregate(
    values: npt.ArrayLike,
    errors: npt.ArrayLike,
    domains: Sequence[str],
    chances: npt.ArrayLike,
    item_sets: Sequence[str] | None = None,
) -> Aggregate:
    """Aggregate one model's tasks.

    The error of a weighted mean of tasks is sqrt(w' C w), with C the covariance of the tasks' values; item sets are
    independent. Chance is a known constant, so centring divides an error by 1 - chance. For the difference of two
    models, divide the differences and their errors by 1 - chance and give chances of zero.

    Args:
        values: One value per task, on a scale where 1 is perfect.
        errors: Covariance of the values, shape (tasks, tasks), from `item_sets.covariance_of_means`. Or only their
            standard errors, shape (tasks,); the variants of one item set then count as fully correlated. NaN if
            unknown, which makes the errors of domain and overall NaN.
        domains: Domain of each task.
        chances: Expected value of guessing, below 1; 0 for generation.
        item_sets: Name of the items of each task, the same for variants of them; None if every task has its own.

    Raises:
        ValueError: Different lengths, no tasks, NaN values, or a chance of 1 or more.
    """
    value = as_values(values)
    weights = aggregate_weights(domains, chances, item_sets)
    sets = [str(task) for task in range(len(domains))] if item_sets is None else list(item_sets)
    given, chance = np.asarray(errors, dtype=np.float64), np.asarray(chances, dtype=np.float64)
    if not value.shape == weights.shape == given.shape[:1] == given.shape[-1:]:
        raise ValueError(
            f"{value.size} values, errors of shape {given.shape} and {weights.size} domains; give one of each per task."
        )
    covariance = given if given.ndim == 2 else covariance_of_errors(given, sets)
    centred = (value - chance) / (1.0 - chance)
    raw_weights = weights * (1.0 - chance)
    scores = []
    for domain in dict.fromkeys(domains):
        own = [name if name_of == domain else None for name, name_of in zip(sets, domains, strict=True)]
        share = _shares_of_sets(own)
        scores.append(
            DomainScore(
                domain=domain,
                tasks=sum(name is not None for name in own),
                mean=float(share @ value),
                mean_error=_error_of_sum(share, covariance),
                centred=float(share @ centred),
                centred_error=_error_of_sum(share / (1.0 - chance), covariance),
            )
        )
    return Aggregate(
        definition=AGGREGATE,
        mean=float(np.mean([score.mean for score in scores])),
        mean_error=_error_of_sum(raw_weights, covariance),
        centred=float(np.mean([score.centred for score in scores])),
        centred_error=_error_of_sum(weights, covariance),
        domains=tuple(scores),
    )


def aggregate_weights(
    domains: Sequence[str], chances: npt.ArrayLike, item_sets: Sequence[str] | None = None
) -> FloatArray:
    """Return the weights w for which `Aggregate.centred` is sum w (value - chance).

    For a task in an item set of v variants, in a domain of k sets, one of D domains: w = 1 / (D k v (1 - chance)).

    Raises:
        ValueError: Different lengths, no tasks, or a chance outside [0, 1).
    """
    chance = as_values(chances, "chances")
    sets = [str(task) for task in range(len(domains))] if item_sets is None else list(item_sets)
    if not chance.size == len(domains) == len(sets):
        raise ValueError(
            f"{len(domains)} domains, {chance.size} chances and {len(sets)} item sets; give one of each per task."
        )
    if not ((chance >= 0.0) & (chance < 1.0)).all():
        raise ValueError(f"chances {chance.tolist()} must be at least 0 and below 1.")
    names = list(dict.fromkeys(domains))
    shares = sum(
        _shares_of_sets([name if own == domain else None for name, own in zip(sets, domains, strict=True)])
        for domain in names
    )
    return np.asarray(shares / len(names) / (1.0 - chance), dtype=np.float64)


def _shares_of_sets(sets: Sequence[str | None]) -> FloatArray:
    """Shares of a mean over item sets of the mean over their tasks; 0 for a task whose set is None.

    Example: a, a, b, None become 1/4, 1/4, 1/2, 0.
    """
    counts = {name: list(sets).count(name) for name in sets if name is not None}
    return np.array([0.0 if name is None else 1.0 / (len(counts) * counts[name]) for name in sets])


def _error_of_sum(weights: FloatArray, covariance: FloatArray) -> float:
    """Error of a weighted sum; an unknown error of a task without weight does not matter."""
    used = np.flatnonzero(weights)
    return math.sqrt(weighted_variance(covariance[np.ix_(used, used)], weights[used]))
