"""The question of a report, and its answer in one or two sentences that hold for all arms and tasks.

Each sentence rests on the corrected p-values of the report's own family: a sentence says that something differs only if
its test survives the correction for all tests of the report.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from harness.reports.analysis.contrasts import PRIMARY, main_factors
from harness.reports.analysis.counting import counted
from harness.reports.analysis.differences import OVERALL, Comparison, DomainDifference, TaskDifference
from harness.reports.analysis.factorial import SECONDARY, ContrastRow, FactorialAnalysis
from harness.reports.analysis.leaderboard import Leaderboard
from harness.reports.analysis.metric import Direction, direction, directions, with_judgement

NAMED = 4  # names in a list, before "and 3 more"
CORRECTIONS = {"holm": "Holm", "bh": "Benjamini-Hochberg"}


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a reader should know first.

    Attributes:
        question: The question of the report.
        sentences: One or two.
    """

    question: str
    sentences: tuple[str, ...]


def comparison_answer(comparison: Comparison) -> Answer:
    """Return whether the arms differ from the first one, overall and by task."""
    baseline, *arms = comparison.arms
    models = [model for arm in comparison.arms for model in arm.models]
    verb = "Does" if len(arms) == 1 else "Do"
    question = f"{verb} {listed([arm.name for arm in arms])} differ from {baseline.name}{direction(models)}?"
    parts = [
        (arm, part)
        for arm, own in comparison.overall.items()
        for part in own
        if part.domain == OVERALL and part.tasks > 1 and part.p_corrected is not None
    ]
    tasks = [one for one in comparison.differences if one.p_corrected is not None]
    if not tasks:
        return Answer(question=question, sentences=("No task could be tested; the notes say why.",))
    metrics = directions(models)
    sentences = [_overall_sentence(parts, list(metrics.values()), baseline.name)] if parts else []
    return Answer(question=question, sentences=(*sentences, _tasks_sentence(tasks, comparison)))


def _overall_sentence(
    parts: Sequence[tuple[str, DomainDifference]], metrics: Sequence[Direction], baseline: str
) -> str:
    found = [f"{arm} ({with_judgement(part.difference, metrics)})" for arm, part in parts if part.significant]
    if len(parts) == 1:
        ((arm, part),) = parts
        interval = f", 95% interval {part.interval[0]:+.3f} to {part.interval[1]:+.3f}" if part.interval else ""
        value = f"{with_judgement(part.difference, metrics)}{interval}"
        verb = "differs" if part.significant else "does not differ significantly"
        return f"Overall, {arm} {verb} from {baseline} ({value})."
    if not found:
        none = "neither" if len(parts) == 2 else f"none of the {len(parts)}"
        return f"Overall, {none} differs significantly from {baseline}."
    others = len(parts) - len(found)
    rest = f"; {_others(others)} {'does' if others == 1 else 'do'} not" if others else ""
    return f"Overall, {listed(found)} {'differs' if len(found) == 1 else 'differ'} from {baseline}{rest}."


def _tasks_sentence(tasks: Sequence[TaskDifference], comparison: Comparison) -> str:
    several = len(comparison.arms) > 2
    correction = CORRECTIONS[comparison.correction]
    found = [
        f"{f'{one.arm} on ' if several else ''}{one.task} "
        f"({with_judgement(one.difference, [(one.metric.partition(',')[0], one.higher_is_better)])})"
        for one in tasks
        if one.significant
    ]
    what = f"{counted(len(tasks), 'difference')} by task"
    if not found:
        needed = _power([one.detectable for one in tasks if one.detectable is not None], "difference")
        power = f"; {needed}" if needed else ""
        return f"Of {what}, none survives {correction}'s correction{power}."
    return f"Of {what}, {len(found)} {_survive(len(found))} {correction}'s correction: {listed(found)}."


def leaderboard_answer(board: Leaderboard, headlines: Sequence[str], comparison: Comparison) -> Answer:
    """Return who leads, how many models are behind, and how many differences by task survive the correction.

    Args:
        board: The ranks.
        headlines: The sentences of its document: who leads, then with ``--against`` who differs from that model.
        comparison: The models against that model, otherwise against the leader.
    """
    n = len(board.standings)
    behind = n - sum(row.tied_with_leader for row in board.standings)
    baseline = comparison.arms[0].name
    leads = [row.model.name for row in board.standings if row.rank == 1] == [baseline]
    last = []
    if len(headlines) == 1 and 0 < behind < n - 1:
        last = [f"{behind} of {n} models {'is' if behind == 1 else 'are'} significantly behind the leader"]
    last += _count_by_task(comparison, "it" if leads and last else "the leader" if leads else baseline)
    sentence = "; ".join(last)
    return Answer(
        question=f"Which of {n} models is best, and which cannot be told apart?",
        sentences=(*headlines, *([f"{sentence[0].upper()}{sentence[1:]}."] if last else [])),
    )


def _count_by_task(comparison: Comparison, baseline: str) -> list[str]:
    """Return how many differences by task survive the correction; nothing if no task was tested."""
    tested = [one for one in comparison.differences if one.p_corrected is not None]
    survive = sum(one.significant for one in tested)
    if not tested:
        return []
    verb = "survive" if survive > 1 else "survives"
    differences = f"{survive or 'none'} of {counted(len(tested), 'difference')}"
    return [f"by task, {differences} from {baseline} {verb} {CORRECTIONS[comparison.correction]}'s correction"]


def factorial_answer(analysis: FactorialAnalysis) -> Answer:
    """Return which main effects and interactions differ from 0, overall and by task."""
    names = main_factors(analysis.study.factors)
    by = direction([model for run in analysis.study.runs for model in run.checkpoints])
    question = f"What {'does' if len(names) == 1 else 'do'} {listed(names)} change{by}?"
    primary = [row for row in analysis.rows if row.family == PRIMARY and row.p_corrected is not None]
    secondary = [row for row in analysis.rows if row.family == SECONDARY and row.p_corrected is not None]
    sentences = [_effects_sentence("Overall", primary, analysis)] if primary else []
    sentences += [_effects_sentence("By task", secondary, analysis)] if secondary else []
    if not sentences:
        sentences = ["No effect could be tested; the notes say why."]
    return Answer(question=question, sentences=tuple(sentences))


def _effects_sentence(where: str, rows: Sequence[ContrastRow], analysis: FactorialAnalysis) -> str:
    metrics = directions([model for run in analysis.study.runs for model in run.checkpoints])
    by_task = where == "By task"
    found = [_effect(row, by_task, metrics) for row in rows if row.significant]
    others = [row for row in rows if not row.significant]
    needed = _power([row.estimate.mde for row in others], "effect")
    power = f" ({needed})" if needed else ""
    named = listed([row.spec.name for row in others]) if others and not by_task else ""
    if not found:
        what = f"none of {len(rows)} main effects and interactions" if by_task else f"none of {named}"
        return f"{where}, {what} differs significantly from 0{power}."
    verb = "does" if len(others) == 1 else "do"
    rest = f"; {_others(len(others)) if by_task else named} {verb} not{power}" if others else ""
    return f"{where}, {listed(found)} {'differs' if len(found) == 1 else 'differ'} from 0{rest}."


def _effect(row: ContrastRow, with_task: bool, metrics: dict[str, Direction]) -> str:
    used = [metrics[row.task]] if row.task in metrics else list(metrics.values())
    judged = with_judgement(row.estimate.estimate, [] if row.spec.name.startswith("interaction") else used)
    return f"{f'{row.task} ' if with_task else ''}{row.spec.name} ({judged})"


def listed(names: Sequence[str]) -> str:
    """Return ``a``, ``a and b``, ``a, b and c``; of more than `NAMED` + 1 names, the first ones and how many follow."""
    if len(names) > NAMED + 1:
        names = [*names[:NAMED], f"{len(names) - NAMED} more"]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _power(detectable: Sequence[float], what: str) -> str:
    """Return the range of the detectable differences or effects, and how many cannot be found at any size."""
    finite = [one for one in detectable if math.isfinite(one)]
    never = len(detectable) - len(finite)
    if not finite:
        return f"no {what} of any size has 80% power with these runs" if never else ""
    cut = f"; {never} of {len(detectable)} cannot be found with these runs, whatever their size" if never else ""
    return f"80% power needs a true {what} of {_range(finite)}{cut}"


def _range(values: Sequence[float]) -> str:
    least, most = f"{min(values):.3f}", f"{max(values):.3f}"
    return least if least == most else f"{least} to {most}"


def _others(count: int) -> str:
    return "the other" if count == 1 else f"the other {count}"


def _survive(count: int) -> str:
    return "survives" if count == 1 else "survive"
