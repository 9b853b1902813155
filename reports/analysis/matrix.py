"""Every arm on every task: its value with an interval, and its difference from every other arm.

    Matrix            overall        logic          legal
    NN (3 runs)       0.41 ±..       0.52 ±..       0.31 ±..      cells
    NC (3 runs)       0.43 ±..       0.53 ±..       0.35 ±..
    pairs:            NC - NN, and every other pair, with interval, p and detectable effect

`all_pairs` makes it from a comparison of models, `study_matrix` from a factorial study. Both only call the tests that
the tables have, so that a number is the same in both places.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from harness.reports.analysis.differences import ALPHA
from harness.stats.limits import Limits

Key = tuple[str, str]
"""An arm and a task; or an arm and its baseline."""


@dataclass(frozen=True, kw_only=True)
class MatrixArm:
    """One row.

    Attributes:
        name: Its name.
        runs: Training runs, or checkpoints, that are averaged.
        parent: Name of the row with its parents; empty if they are not evaluated.
    """

    name: str
    runs: int
    parent: str = ""


@dataclass(frozen=True, kw_only=True)
class MatrixColumn:
    """One column: a task, or ``overall``.

    Attributes:
        task: Its name.
        domain: Its domain; empty for overall.
        chance: Value that guessing reaches.
        higher_is_better: Whether more is better.
    """

    task: str
    domain: str
    chance: float
    higher_is_better: bool


@dataclass(frozen=True, kw_only=True)
class MatrixCell:
    """The value of an arm on a task.

    Attributes:
        value: Mean over runs and items; overall is chance-centred.
        low: Lower end of the 95% interval; NaN without one.
        high: Upper end.
        failed: Requests without an answer, over all runs.
        cut: Requests whose input was truncated, over all runs.
    """

    value: float
    low: float
    high: float
    failed: int = 0
    cut: int = 0

    def within(self, limits: Limits) -> MatrixCell:
        """Return the cell with its interval cut to the smallest and the largest possible value."""
        if math.isnan(self.low):
            return self
        return replace(self, low=max(self.low, limits[0]), high=min(self.high, limits[1]))


@dataclass(frozen=True, kw_only=True)
class PairDifference:
    """The difference of two arms on one task: arm minus baseline.

    Attributes:
        baseline: Name of the arm that is subtracted.
        arm: Name of the other arm.
        task: Task, or ``overall``.
        difference: In the metric's units; overall is chance-centred.
        low: Lower end of the 95% interval; NaN if there is no test.
        high: Upper end.
        p: Two-sided; NaN if there is no test.
        p_corrected: Corrected, see `Matrix`.
        detectable: True difference found with 80% power; NaN if there is no test, infinite if none is possible.
        gained: Items on which the arm is better; None for arms of several runs, and for overall.
        lost: Items on which the baseline is better.
    """

    baseline: str
    arm: str
    task: str
    difference: float
    low: float
    high: float
    p: float
    p_corrected: float
    detectable: float
    gained: int | None = None
    lost: int | None = None

    @property
    def significant(self) -> bool:
        """Whether the corrected p is at most 5%."""
        return self.p_corrected <= ALPHA

    @property
    def turned(self) -> PairDifference:
        """The same pair with the arms exchanged."""
        return replace(
            self,
            baseline=self.arm,
            arm=self.baseline,
            difference=-self.difference,
            low=-self.high,
            high=-self.low,
            gained=self.lost,
            lost=self.gained,
        )

    @property
    def relative(self) -> float:
        """The difference in units of the detectable one, from -2 to 2; 0 if that is unknown."""
        ratio = self.difference / self.detectable if self.detectable > 0.0 else 0.0
        return min(2.0, max(-2.0, ratio)) if math.isfinite(ratio) else 0.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Matrix:
    """All arms and tasks.

    Attributes:
        arms: Rows from top to bottom.
        columns: Overall first, then tasks by domain and name.
        cells: By arm and task; a task that an arm lacks is missing.
        reference: Name of the arm that the others are compared with at first.
        against_reference: Differences from it, with p corrected as in the tables of the report; empty if these have no
            correction of their own, and `pairs` holds them.
        pairs: Differences of every pair of arms, each once: the later arm minus the earlier one. p is corrected for all
            pairs, because the reader chooses among them.
        tests: Number of tests that the p of `pairs` are corrected for.
    """

    arms: tuple[MatrixArm, ...]
    columns: tuple[MatrixColumn, ...]
    cells: Mapping[Key, MatrixCell]
    reference: str
    against_reference: tuple[PairDifference, ...]
    pairs: tuple[PairDifference, ...]
    tests: int
