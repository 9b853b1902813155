"""Correction for all tests of one comparison: the overall value first, then its tasks.

With one overall test and twenty task tests, each at 5%, far more than 5% of comparisons of equal models would claim
some difference. Here every p belongs to one family, and any false claim occurs in at most 5% of documents:

1. The top tests of all arms share the 5% equally: each overall value, each control domain, each task outside both.
2. A task of an overall value is tested only after it, with the 5% / (number of top tests) that its overall value had,
   by Holm's method among the tasks of that value. So its corrected p is never below that of its overall value.

This is serial gatekeeping (Westfall and Krishen 2001, Journal of Statistical Planning and Inference 99) with Bonferroni
shares. Benjamini and Hochberg's correction has no gates: all p form one list.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from harness.reports.analysis.differences import ALPHA, DomainDifference, TaskDifference
from harness.reports.analysis.value_limits import item_limits
from harness.stats import correct, holm, minimum_detectable_effect
from harness.stats.corrections import hochberg

Overall = Mapping[str, tuple[DomainDifference, ...]]


@dataclass(frozen=True, kw_only=True)
class Corrected:
    """The results of a comparison with corrected p-values.

    Attributes:
        differences: In the given order.
        overall: By arm.
        tests: Number of p-values in the family.
    """

    differences: tuple[TaskDifference, ...]
    overall: dict[str, tuple[DomainDifference, ...]]
    tests: int


@dataclass(frozen=True, kw_only=True, eq=False)
class _Gate:
    """A tested row of an arm, and the tasks behind it; a task alone has no row."""

    row: DomainDifference | None
    tasks: tuple[TaskDifference, ...]

    @property
    def p(self) -> float:
        p = self.tasks[0].p if self.row is None else self.row.p
        return 1.0 if p is None else p

    @property
    def single(self) -> bool:
        return len(self.tasks) == 1


def correct_all(
    differences: Sequence[TaskDifference], overall: Overall, correction: str, *, among: int = 0
) -> Corrected:
    """Fill in the corrected p and the corrected detectable effects.

    Args:
        differences: All tasks of all arms.
        overall: By arm, as `overall.overall` returns them.
        correction: ``holm`` or ``bh``.
        among: Number of arms, if any pair of them could have been compared here: then all pairs are counted. So it is
            if the baseline was chosen by its values, like the leader of a leaderboard, which is the largest of many
            noisy values, and if a reader chooses both arms. 0 if the arms were fixed before.
    """
    gates = [gate for arm, rows in overall.items() for gate in _gates(rows, [d for d in differences if d.arm == arm])]
    # The leader of 50 models makes 49 comparisons, but 49 x 50 / 2 pairs could have been compared: 25 times as many.
    pairs = among * (among - 1) / 2.0 / len(overall) if among and overall else 1.0
    n_tests = math.ceil(pairs * sum(len(gate.tasks) + (not gate.single) for gate in gates))
    n_top = math.ceil(pairs * len(gates))
    by_task, by_row = (_gated if correction == "holm" else _listed)(gates, n_top, n_tests)
    shares = {id(task): n_top * len(gate.tasks) for gate in gates for task in gate.tasks}
    return Corrected(
        differences=tuple(_with_p(one, by_task, shares.get(id(one), 1)) for one in differences),
        overall={arm: tuple(_row_with_p(row, by_row, n_top) for row in rows) for arm, rows in overall.items()},
        tests=n_tests,
    )


def _gates(rows: Sequence[DomainDifference], tasks: Sequence[TaskDifference]) -> list[_Gate]:
    tested = {one.task: one for one in tasks if one.p is not None}
    gates = []
    for row in rows:
        behind = tuple(tested.pop(name) for name in row.names if name in tested) if row.p is not None else ()
        if behind:
            gates.append(_Gate(row=row, tasks=behind))
    return gates + [_Gate(row=None, tasks=(one,)) for one in tested.values()]


def _gated(gates: Sequence[_Gate], n_top: int, n_tests: int) -> tuple[dict[int, float], dict[int, float]]:
    del n_tests
    by_task, by_row = {}, {}
    singles = [gate for gate in gates if gate.single]
    # A single task passes its share on when it is rejected, as Holm's method does; an overall value passes it to its
    # tasks instead.
    for gate, p in zip(singles, holm([gate.p for gate in singles], max(n_top, len(singles))), strict=True):
        by_task[id(gate.tasks[0])] = float(p)
        by_row[id(gate.row)] = float(p)
    for gate in gates:
        if not gate.single:
            own = min(1.0, n_top * gate.p)
            by_row[id(gate.row)] = own
            within = holm([one.p for one in gate.tasks if one.p is not None])
            by_task |= {id(t): max(own, min(1.0, n_top * float(p))) for t, p in zip(gate.tasks, within, strict=True)}
    return by_task, by_row


def _listed(gates: Sequence[_Gate], n_top: int, n_tests: int) -> tuple[dict[int, float], dict[int, float]]:
    del n_top
    keys = [id(task) for gate in gates for task in gate.tasks] + [id(g.row) for g in gates if not g.single]
    p_values = [t.p or 0.0 for gate in gates for t in gate.tasks] + [g.p for g in gates if not g.single]
    corrected = dict(zip(keys, correct(p_values, "bh", n_tests).tolist(), strict=True))
    by_row = {id(g.row): corrected[id(g.tasks[0] if g.single else g.row)] for g in gates}
    return corrected, by_row


def _with_p(one: TaskDifference, corrected: Mapping[int, float], share: int) -> TaskDifference:
    return replace(one, p_corrected=corrected.get(id(one)), detectable_corrected=_raised(one, share))


def _row_with_p(row: DomainDifference, corrected: Mapping[int, float], tops: int) -> DomainDifference:
    before = replace(row, detectable=row.detectable_alone)
    return replace(row, p_corrected=corrected.get(id(row)), detectable=_raised(before, tops))


def _raised(one: TaskDifference | DomainDifference, tests: int) -> float | None:
    """Return the detectable effect at 5% / `tests`; infinite if no difference can be so large."""
    if one.detectable is None or not math.isfinite(one.detectable):
        return one.detectable
    df = one.degrees_of_freedom
    ratio = minimum_detectable_effect(1.0, df, alpha=ALPHA / tests) / minimum_detectable_effect(1.0, df)
    raised = one.detectable * ratio
    if isinstance(one, DomainDifference):
        return math.inf if raised > one.largest else raised
    means = np.array([one.mean_baseline, one.mean_arm])
    least, most = item_limits(one.metric, means, is_loss=not one.higher_is_better)
    return math.inf if raised > most - least else raised


def with_conclusions(corrected: Corrected) -> Corrected:
    """Fill in the conclusions of the non-inferiority tests, corrected over all of them by Hochberg's method.

    The two conclusions are corrected apart. At most 5% of documents call a loss of the margin or more `non-inferior`.
    About 2.5% call a loss of exactly the margin `inferior`, because its p is two-sided; but up to 6% if the arm only
    loses items (docs/statistics.md). The overall value of two tasks or more is one more claim of the same list. If
    every claim of all arms rules the loss out at the uncorrected 5%, all corrected p are at most 5% too, so "all of
    them" costs nothing.
    """
    claims: list[TaskDifference | DomainDifference] = [*corrected.differences]
    claims += [row for own in corrected.overall.values() for row in own]
    tested = [one for one in claims if one.margin_p is not None and one.inferior_p is not None]
    harmless = hochberg(np.array([one.margin_p for one in tested], dtype=np.float64))
    harmful = hochberg(np.array([one.inferior_p for one in tested], dtype=np.float64))
    concluded: dict[int, dict[str, Any]] = {}
    for one, safe, harm in zip(tested, harmless.tolist(), harmful.tolist(), strict=True):
        conclusion = "non-inferior" if safe < ALPHA else "inferior" if harm < ALPHA else "inconclusive"
        concluded[id(one)] = {"margin_p_corrected": safe, "conclusion": conclusion}
    return replace(
        corrected,
        differences=tuple(replace(one, **concluded.get(id(one), {})) for one in corrected.differences),
        overall={
            arm: tuple(replace(row, **concluded.get(id(row), {})) for row in own)
            for arm, own in corrected.overall.items()
        },
    )
