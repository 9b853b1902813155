"""What a comparison says, as plain records: arms, differences by task, by domain and overall."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from harness.records import ModelRecords

ALPHA = 0.05
OVERALL = "overall"


@dataclass(frozen=True, kw_only=True)
class Arm:
    """A model, or the runs of one recipe with several seeds.

    Attributes:
        name: In tables.
        models: Its runs.
    """

    name: str
    models: tuple[ModelRecords, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class TaskDifference:
    """One task, one arm against the baseline. Differences are this arm less the baseline, in the metric's own sign.

    Attributes:
        task: Its name.
        domain: Its domain.
        metric: As ``name,filter``.
        chance: Value that guessing reaches.
        higher_is_better: Of the metric.
        baseline: The arm compared with.
        arm: The arm.
        items: Items in the comparison.
        clusters: Clusters of them; None for arms of several seeds.
        mean_baseline: Mean of the baseline over these items.
        mean_arm: Mean of the arm.
        difference: `mean_arm` - `mean_baseline`.
        standard_error: Of the difference, clustered; with several seeds over items and seeds.
        interval: 95%.
        p: Two-sided; None where the task cannot be tested.
        p_exact: McNemar's exact or the sign-flip p; None for several seeds.
        p_corrected: `p` corrected over all tests of the document.
        detectable: Smallest true difference found 4 times out of 5; None for several seeds.
        gained: Items on which the arm is better; None for several seeds.
        lost: Items on which the baseline is better.
        margin_p: One-sided p of "worse by the margin or more"; None without a margin.
        conclusion: ``non-inferior``, ``inferior`` or ``inconclusive``; empty without a margin.
        seed_error: Share of `standard_error` that comes from seeds; None for single runs.
        left_out: Items that only one of them answered: baseline, arm.
        failed: Failed requests: baseline, arm.
        warnings: Why it would have been refused without ``--force``.
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

    @property
    def significant(self) -> bool:
        """Whether the corrected p is at most 5%."""
        return self.p_corrected is not None and self.p_corrected <= ALPHA


@dataclass(frozen=True, kw_only=True)
class DomainDifference:
    """A domain, or all of them: the mean of the tasks' differences, each divided by 1 - chance.

    Attributes:
        domain: Its name; ``overall`` for the mean of the domains.
        tasks: Tasks in it.
        difference: The mean.
        standard_error: Of it, tasks taken as independent.
        interval: 95%, joined from the tasks' own.
    """

    domain: str
    tasks: int
    difference: float
    standard_error: float
    interval: tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class TaskSlope:
    """How one task's value moves with a numeric factor of training; see `stats.dose_response`.

    Attributes:
        task: Its name.
        domain: Its domain.
        items: Items that all runs answered.
        runs: Training runs.
        slope: Change of the value for one unit of the factor.
        standard_error: Over runs; NaN with two.
        item_error: Over items, clustered.
        interval: 95%, over runs; None with two.
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
        """Return the same with the corrected p."""
        return replace(self, p_corrected=p)


@dataclass(frozen=True, kw_only=True, eq=False)
class Comparison:
    """All pairs, task by task.

    Attributes:
        arms: Baseline first.
        differences: By arm, then domain and task.
        overall: By arm: mean difference by domain, then overall; empty where no task is on a scale from 0 to 1.
        correction: ``holm`` or ``bh``.
        tests: How many tests the p-values are corrected for.
        margin: For non-inferiority; None when not asked.
        notes: What a reader must know.
        slopes: By task, where each arm has a dose.
    """

    arms: tuple[Arm, ...]
    differences: tuple[TaskDifference, ...]
    overall: Mapping[str, tuple[DomainDifference, ...]]
    correction: str
    tests: int
    margin: float | None
    notes: tuple[str, ...]
    slopes: tuple[TaskSlope, ...] = ()
