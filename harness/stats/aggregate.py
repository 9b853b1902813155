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

AGGREGATE = "macro-chance-centred/1"
"""Version 1: each task's value v becomes (v - chance) / (1 - chance); a domain is the plain mean of its tasks, the
overall number the plain mean of the domains. Tasks are not weighted by size, and values below 0 are not clipped."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DomainScore:
    """The means of one domain.

    Attributes:
        domain: Its name.
        tasks: Number of tasks in it.
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
    values: npt.ArrayLike, standard_errors: npt.ArrayLike, domains: Sequence[str], chances: npt.ArrayLike
) -> Aggregate:
    """Aggregate one model's tasks.

    The standard errors treat tasks as independent: for a domain of k tasks, sqrt(sum SE^2) / k. Chance is a known
    constant, so centring divides an error by 1 - chance. For the difference of two models, divide the differences and
    their errors by 1 - chance and give chances of zero.

    Args:
        values: One value per task, on a scale where 1 is perfect.
        standard_errors: One per task; NaN if unknown, which makes the errors of domain and overall NaN.
        domains: Domain of each task.
        chances: Expected value of guessing, below 1; 0 for generation.

    Raises:
        ValueError: Different lengths, no tasks, NaN values, or a chance of 1 or more.
    """
    value = as_values(values)
    weights = aggregate_weights(domains, chances)
    error = np.asarray(standard_errors, dtype=np.float64)
    chance = np.asarray(chances, dtype=np.float64)
    if not value.shape == error.shape == weights.shape:
        raise ValueError(
            f"{value.size} values, {error.size} errors and {weights.size} domains; give one of each per task."
        )
    range_above_chance = 1.0 - chance
    scores = []
    for domain in dict.fromkeys(domains):
        members = np.array([name == domain for name in domains])
        share = members / members.sum()
        centred = (value - chance) / range_above_chance
        scores.append(
            DomainScore(
                domain=domain,
                tasks=int(members.sum()),
                mean=float(share @ value),
                mean_error=_error_of_sum(share[members], error[members]),
                centred=float(share @ centred),
                centred_error=_error_of_sum(share[members], (error / range_above_chance)[members]),
            )
        )
    equal = np.full(len(scores), 1.0 / len(scores))
    return Aggregate(
        definition=AGGREGATE,
        mean=float(np.mean([score.mean for score in scores])),
        mean_error=_error_of_sum(equal, np.array([score.mean_error for score in scores])),
        centred=float(np.mean([score.centred for score in scores])),
        centred_error=_error_of_sum(equal, np.array([score.centred_error for score in scores])),
        domains=tuple(scores),
    )


def aggregate_weights(domains: Sequence[str], chances: npt.ArrayLike) -> FloatArray:
    """Return the weights w for which `Aggregate.centred` is sum w (value - chance).

    For a task in a domain of k tasks, one of D domains: w = 1 / (D k (1 - chance)).

    Raises:
        ValueError: Different lengths, no tasks, or a chance outside [0, 1).
    """
    chance = as_values(chances, "chances")
    if chance.size != len(domains):
        raise ValueError(f"{len(domains)} domains and {chance.size} chances; give one of each per task.")
    if not ((chance >= 0.0) & (chance < 1.0)).all():
        raise ValueError(f"chances {chance.tolist()} must be at least 0 and below 1.")
    counts = {domain: list(domains).count(domain) for domain in domains}
    shares = np.array([1.0 / (len(counts) * counts[domain]) for domain in domains])
    return shares / (1.0 - chance)


def _error_of_sum(weights: FloatArray, errors: FloatArray) -> float:
    return math.sqrt(float(((weights * errors) ** 2).sum()))
