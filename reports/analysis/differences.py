"""The results of a comparison as plain records: arms, differences by task, by domain and overall."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from harness.records import ModelRecords

ALPHA = 0.05
# Domains that are shown, but not part of the overall value when a reasoning domain is present.
CONTROLS = ("general", "other")
OVERALL = "overall"


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One side of a comparison: a model, or the runs of one recipe with several seeds.

    Attributes:
        name: Its name in tables.
        models: Its runs.
    """

    name: str
    models: tuple[ModelRecords, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class TaskDifference:
    """One task of one arm against the baseline. A difference is arm minus baseline, on the metric's own scale.

    Attributes:
        task: Its name.
        domain: Its domain.
        metric: As ``name,filter``.
        chance: Value that guessing reaches.
        higher_is_better: Whether more is better in this metric.
        baseline: Name of the baseline.
        arm: Name of the arm.
        items: Items in the comparison.
        clusters: Number of their clusters; None for arms of several seeds.
        mean_baseline: Mean of the baseline over these items.
        mean_arm: Mean of the arm.
        difference: `mean_arm` - `mean_baseline`.
        standard_error: Of the difference, clustered; for several seeds, of items and seeds together.
        interval: 95% interval of the difference; None where the task cannot be tested.
        p: Two-sided; None where the task cannot be tested.
        p_exact: p of McNemar's exact test or the sign-flip test; None for several seeds.
        p_corrected: `p` corrected over all tests of the comparison.
        detectable: Smallest true difference found with 80% power, before correction.
        detectable_corrected: The same after correction for all tests of the comparison.
        degrees_of_freedom: Of the test's critical value; infinite for a normal one.
        gained: Items on which the arm is better; None for several seeds.
        lost: Items on which the baseline is better; None for several seeds.
        margin_p: One-sided p against "worse by the margin or more"; None without a margin.
        inferior_p: Two-sided p against "worse by exactly the margin", if it is worse by more; None without a margin.
        margin_p_corrected: `margin_p` corrected over all tasks and overall values, so that any false claim is rare.
        conclusion: ``non-inferior``, ``inferior`` or ``inconclusive``, after correction; empty without a margin.
        seed_error: Share of `standard_error` that comes from seeds; None for single runs.
        left_out: Items that only this side answered: baseline, arm.
        failed: Requests that failed: baseline, arm.
        warnings: Why this comparison would be refused without ``--force``.
        items_from: Name of its items, shared by variants of one benchmark.
    """

    task: str
    domain: str
    metric: str
    chance: float
    higher_is_better: bool
    baseline: str
    arm: str
    items: int
    clusters: int | None
    mean_baseline: float
    mean_arm: float
    difference: float
    standard_error: float
    interval: tuple[float, float] | None
    p: float | None
    p_exact: float | None
    p_corrected: float | None
    detectable: float | None
    gained: int | None
    lost: int | None
    margin_p: float | None
    conclusion: str
    seed_error: float | None
    left_out: tuple[int, int]
    failed: tuple[int, int]
    warnings: tuple[str, ...] = ()
    items_from: str = ""
    detectable_corrected: float | None = None
    degrees_of_freedom: float = math.inf
    inferior_p: float | None = None
    margin_p_corrected: float | None = None

    @property
    def significant(self) -> bool:
        """Whether the corrected p is at most 5%."""
        return self.p_corrected is not None and self.p_corrected <= ALPHA

    @property
    def is_control(self) -> bool:
        """Whether its domain shows negative transfer and is no part of the overall value."""
        return self.domain in CONTROLS


@dataclass(frozen=True, kw_only=True)
class DomainDifference:
    """A domain, or all domains: the mean of the tasks' differences, each divided by 1 - chance.

    Attributes:
        domain: Its name; ``overall`` for the mean of the domains.
        tasks: Number of tasks.
        difference: The mean.
        standard_error: Of the mean; item sets are independent, and one run answers all tasks.
        interval: 95%: of single runs combined from the tasks' intervals, of several runs Student's t. None if the
            difference cannot be separated from that of two runs.
        seed_error: Share of `standard_error` that comes from runs; None for single runs.
        p: Two-sided, in agreement with `interval`; None for a domain that is not tested by itself.
        p_corrected: `p` corrected for all tests of the comparison; tasks are tested only after it.
        detectable: Smallest true difference found with 80% power, after correction; infinite if none is possible.
        degrees_of_freedom: Of the test's critical value; infinite for a normal one.
        names: The tasks.
        largest: The largest possible difference; infinite if values are not limited.
        detectable_alone: `detectable` before correction.
        margin_p: As `TaskDifference.margin_p`, for a loss of the margin on every task; None but for overall.
        inferior_p: As `TaskDifference.inferior_p`.
        margin_p_corrected: `margin_p` corrected over all tasks and overall values of the comparison.
        conclusion: As `TaskDifference.conclusion`; empty but for overall of two tasks or more.
    """

    domain: str
    tasks: int
    difference: float
    standard_error: float
    interval: tuple[float, float] | None
    seed_error: float | None = None
    p: float | None = None
    p_corrected: float | None = None
    detectable: float | None = None
    degrees_of_freedom: float = math.inf
    names: tuple[str, ...] = ()
    largest: float = math.inf
    detectable_alone: float | None = None
    margin_p: float | None = None
    inferior_p: float | None = None
    margin_p_corrected: float | None = None
    conclusion: str = ""

    @property
    def significant(self) -> bool:
        """Whether the corrected p is at most 5%."""
        return self.p_corrected is not None and self.p_corrected <= ALPHA


@dataclass(frozen=True, kw_only=True)
class TaskSlope:
    """How one task's value changes with a numeric factor of training; see `stats.dose_response`.

    Attributes:
        task: Its name.
        domain: Its domain.
        items: Items that all runs answered.
        runs: Number of training runs.
        slope: Change of the value per unit of the factor.
        standard_error: Over runs; NaN with two runs.
        item_error: Over items, clustered.
        interval: 95%, over runs; None with two runs.
        p: Two-sided, by permuting the doses among the runs.
        p_corrected: Corrected over the tasks.
    """

    task: str
    domain: str
    items: int
    runs: int
    slope: float
    standard_error: float
    item_error: float
    interval: tuple[float, float] | None
    p: float
    p_corrected: float

    def with_corrected(self, p: float) -> TaskSlope:
        """Return a copy with the corrected p."""
        return replace(self, p_corrected=p)


@dataclass(frozen=True, kw_only=True, eq=False)
class Comparison:
    """All arms against the baseline, task by task.

    Attributes:
        arms: Baseline first.
        differences: By arm, then domain and task.
        overall: By arm, the mean difference of each domain, then of all, then of domains that are no part of it; empty
            if no task is on a scale from 0 to 1, unless `any_scale`.
        correction: ``holm`` or ``bh``.
        tests: Number of tests that the p-values are corrected for.
        margin: For the non-inferiority test; None without one.
        notes: Warnings and remarks for the reader.
        caveats: What is not comparable between the arms; stands above every table.
        agreements: How closely their training tokens agree; shown there too.
        slopes: By task; empty unless each arm has a dose.
        any_scale: Whether all tasks have one metric that need not lie between 0 and 1.
    """

    arms: tuple[Arm, ...]
    differences: tuple[TaskDifference, ...]
    overall: Mapping[str, tuple[DomainDifference, ...]]
    correction: str
    tests: int
    margin: float | None
    notes: tuple[str, ...]
    slopes: tuple[TaskSlope, ...] = ()
    caveats: tuple[str, ...] = ()
    agreements: tuple[str, ...] = ()
    any_scale: bool = False
