"""Differences by domain and overall, from the items of all tasks and runs of one arm and the baseline.

Single runs: the tasks' intervals are combined (`stats.combining`). Several runs: the tasks are averaged within each run
before runs are compared (`stats.runs`), because one checkpoint answers all tasks. In both, variants of the same items
are averaged first, and their covariance is part of the error.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.reports.analysis.differences import CONTROLS, OVERALL, DomainDifference, TaskDifference
from harness.reports.analysis.item_units import item_units
from harness.reports.analysis.pairing import FloatArray, Paired
from harness.reports.analysis.value_limits import are_shares
from harness.stats import aggregate_weights, minimum_detectable_effect
from harness.stats.combining import Estimate, combine_correlated, implied_p, with_errors_of_ties
from harness.stats.item_sets import Units, correlation_of, covariance_of_means, weighted_variance
from harness.stats.noninferiority import both_sides
from harness.stats.runs import Plots, TaskScores, compare_over_tasks

_Z95 = 1.959964
INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, kw_only=True, eq=False)
class MeasuredTask:
    """One task of one arm and the baseline.

    Attributes:
        difference: Its difference, with the test.
        paired: Its items; the baseline's runs come first.
        n_baseline_runs: Number of the baseline's runs.
    """

    difference: TaskDifference
    paired: Paired
    n_baseline_runs: int

    @property
    def units_suffice(self) -> bool:
        """Whether it has two independent items or clusters, without which it has no error."""
        clusters = self.paired.clusters
        return self.paired.values.shape[1] > 1 and (clusters is None or np.unique(clusters).size > 1)

    @property
    def limited(self) -> bool:
        """Whether each item has a value from 0 to 1."""
        return self.difference.higher_is_better and are_shares(self.difference.metric, self.paired.values)

    @property
    def on_scale(self) -> bool:
        """Whether it can be part of the overall value: its scale is 0 to 1 with more is better."""
        one = self.difference
        return one.higher_is_better and are_shares(one.metric, np.array([one.mean_baseline, one.mean_arm]))


def overall(
    tasks: Sequence[MeasuredTask],
    plots: Plots | None,
    *,
    separable: bool,
    any_scale: bool = False,
    margin: float | None = None,
) -> tuple[DomainDifference, ...]:
    """Return mean chance-centred differences: by domain, overall, then of domains that are no part of it.

    Control domains count only if there is no reasoning domain.

    Args:
        tasks: All tasks of the arm with items.
        plots: For several runs, their pre-training runs; None if each has its own.
        separable: Whether the arms have enough pre-training runs for a test.
        any_scale: All tasks have one metric that need not lie between 0 and 1, such as a log-likelihood.
        margin: For the non-inferiority test of the overall value, in the metric's units; None for no test.
    """
    on_scale = [one for one in tasks if (one.on_scale or any_scale) and one.units_suffice]
    counted = [one for one in on_scale if one.difference.domain not in CONTROLS] or on_scale
    if not counted:
        return ()
    units = dict(
        zip(
            map(id, on_scale),
            item_units([one.difference.items_from for one in on_scale], [one.paired for one in on_scale]),
            strict=True,
        )
    )

    def row(name: str, members: Sequence[MeasuredTask], *, tested: bool) -> DomainDifference:
        own_margin = margin if name == OVERALL and len(members) > 1 else None  # one task has its own test
        part = _Part(
            name=name, tasks=members, units=[units[id(one)] for one in members], tested=tested, margin=own_margin
        )
        return part.of_runs(plots, separable) if members[0].paired.values.shape[0] > 2 else part.of_single_runs()

    domains = list(dict.fromkeys(one.difference.domain for one in counted))
    controls = [one for one in dict.fromkeys(o.difference.domain for o in on_scale) if one not in domains]
    by_domain = {name: [one for one in on_scale if one.difference.domain == name] for name in (*domains, *controls)}
    return (
        *(row(name, by_domain[name], tested=False) for name in domains),
        row(OVERALL, counted, tested=True),
        *(row(name, by_domain[name], tested=True) for name in controls),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Part:
    """Tasks that are averaged: a domain, or all that count."""

    name: str
    tasks: Sequence[MeasuredTask]
    units: Sequence[Units]
    tested: bool
    margin: float | None

    @property
    def _sets(self) -> list[str]:
        return [one.difference.items_from for one in self.tasks]

    @property
    def _weights(self) -> FloatArray:
        """A difference of 0.10 with chance 0.50 is a fifth of what is left above guessing: 0.10 / (1 - 0.50)."""
        domains = [one.difference.domain for one in self.tasks]
        return aggregate_weights(domains, [one.difference.chance for one in self.tasks], self._sets)

    @property
    def _largest(self) -> float:
        """The largest possible difference; infinite if a task's values are not limited."""
        return float(self._weights.sum()) if all(one.limited for one in self.tasks) else math.inf

    @property
    def _sign(self) -> float:
        """1 if more is better in every task, -1 if less is; one overall value has no other tasks."""
        return 1.0 if self.tasks[0].difference.higher_is_better else -1.0

    @property
    def _loss(self) -> float:
        """The margin on the scale of the difference: what it is if each task loses exactly the margin.

        With a margin of 0.02, one domain with chance 0.25 and one with chance 0: 0.02 x (1 / 0.75 + 1) / 2 = 0.0233.
        """
        return (self.margin or 0.0) * float(self._weights.sum())

    def _at_margin(self, two_sided: float | None, surplus: float) -> dict[str, Any]:
        """Return the fields of the non-inferiority test, before correction, from the p of a loss of the margin."""
        if self.margin is None:
            return {}
        if two_sided is None:
            return {"conclusion": INCONCLUSIVE}
        margin_p, inferior_p = both_sides(two_sided, surplus)
        return {"margin_p": margin_p, "inferior_p": inferior_p, "conclusion": INCONCLUSIVE}

    def of_single_runs(self) -> DomainDifference:
        values = [one.paired.values[1] - one.paired.values[0] for one in self.tasks]
        covariance = covariance_of_means(values, self.units, self._sets)
        rows = [one.difference for one in self.tasks]
        ends = [one.interval or (-math.inf, math.inf) for one in rows]
        whole = combine_correlated(
            [Estimate(value=r.difference, low=low, high=high) for r, (low, high) in zip(rows, ends, strict=True)],
            self._weights,
            correlation_of(covariance, self._sets),
        )
        half = (whole.high - whole.low) / 2.0
        known = math.isfinite(half)
        # Interval and p may use quantiles above 1.96, in few clusters, or an error that is not 0 where items are tied.
        p, detectable = implied_p(whole), minimum_detectable_effect(half / _Z95) if known else math.inf
        above = _above_margin(whole, self._sign, self._loss)
        error = math.sqrt(weighted_variance(self._with_ties(covariance, ends), self._weights)) if known else math.nan
        if len(rows) == 1:  # one task, on another scale
            p = 1.0 if rows[0].p is None else rows[0].p  # p may be 0, in thousands of items
            detectable = math.inf if rows[0].detectable is None else rows[0].detectable * float(self._weights[0])
        return DomainDifference(
            domain=self.name,
            tasks=len(rows),
            difference=whole.value,
            standard_error=error,
            interval=(whole.low, whole.high) if known else None,
            p=p if self.tested and known else None,
            detectable_alone=detectable if self.tested and known else None,
            names=tuple(one.task for one in rows),
            largest=self._largest,
            **self._at_margin(implied_p(above) if known else None, above.value),
        )

    def _with_ties(self, covariance: FloatArray, ends: Sequence[tuple[float, float]]) -> FloatArray:
        return with_errors_of_ties(covariance, [high - low for low, high in ends], self._sets)

    def of_runs(self, plots: Plots | None, separable: bool) -> DomainDifference:
        scores = [
            TaskScores(
                a=one.paired.values[: one.n_baseline_runs],
                b=one.paired.values[one.n_baseline_runs :],
                weight=float(weight),
                units=units,
                item_set=name,
                span=(0.0, 1.0) if one.limited else None,
            )
            for one, weight, units, name in zip(self.tasks, self._weights, self.units, self._sets, strict=True)
        ]
        test = compare_over_tasks(scores, plots if separable else None)
        known = separable and test.high > test.low
        # Unlimited values that all agree have no interval, as in `task_tests.runs_test`.
        p = test.p if known else 1.0 if test.difference == 0.0 else None
        at_margin = None
        if known and self.margin is not None:
            at_margin = compare_over_tasks(scores, plots, null=-self._sign * self._loss).p
        return DomainDifference(
            domain=self.name,
            tasks=len(self.tasks),
            difference=test.difference,
            standard_error=test.standard_error if separable else math.nan,
            interval=(test.low, test.high) if known else None,
            seed_error=test.seed_error if separable else None,
            p=p if self.tested and separable else None,
            detectable_alone=test.minimum_detectable_effect if self.tested and known else None,
            degrees_of_freedom=test.degrees_of_freedom,
            names=tuple(one.difference.task for one in self.tasks),
            largest=self._largest,
            **self._at_margin(at_margin, self._sign * test.difference + self._loss),
        )


def _above_margin(whole: Estimate, sign: float, margin: float) -> Estimate:
    """Return how far a difference lies above a loss of the margin, with its interval; more is better in the result."""
    low, high = sorted((sign * whole.low, sign * whole.high))
    return Estimate(value=sign * whole.value + margin, low=low + margin, high=high + margin)
