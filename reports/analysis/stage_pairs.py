"""Each stage against its parent: the answers of a checkpoint minus those of the checkpoint that it was trained from.

    base     sft-0     dpo-0          dpo-0 - sft-0   NC-parent           one row per run
    base  -> sft-1  -> dpo-1          sft-0 - base    parent-grandparent  one row per parent

The differences of each stage form a cell of their own, with the pre-training runs as plots. So the comparison is paired
item by item and checkpoint by checkpoint, even if parents have different numbers of runs.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from harness.reports.analysis.contrasts import EXPLORATORY, Cell, ContrastSpec, cell_label
from harness.reports.analysis.counting import counted
from harness.reports.analysis.study import Study, TrainingRun
from harness.reports.analysis.task_values import TaskValues, collect, difference_span

_ANCESTORS = ("", "parent", "grandparent", "great-grandparent")


@dataclass(frozen=True, kw_only=True, eq=False)
class StageDifferences:
    """The differences of all checkpoints and their parents.

    Attributes:
        tasks: Their values are differences, one row per pair.
        runs: The later checkpoint of each pair, with its cell and plot.
        specs: One contrast per cell.
    """

    tasks: Sequence[TaskValues]
    runs: Sequence[TrainingRun]
    specs: Sequence[ContrastSpec]


@dataclass(frozen=True, kw_only=True)
class _Pair:
    """A checkpoint and its nearest evaluated ancestor, by name; a training run is named by its number."""

    child: str
    parent: str
    generation: int  # of the child: 0 for a run of the design, 1 for its parent, ...; the least if runs differ


def stage_differences(
    study: Study, runs: Sequence[TrainingRun], notes: list[str], *, force: bool
) -> StageDifferences | None:
    """Return the differences of all stages whose parents are evaluated; None if there are none.

    Args:
        study: The study.
        runs: Its runs, each with the checkpoints to average.
        notes: Remarks are added to it.
        force: Use runs even if their prompts differ.

    Raises:
        RecordError: There is no common task, or the prompts differ (unless `force`).
    """
    lines = {f"\0{number}": run for number, run in enumerate(runs)}
    pairs = _pairs(study, lines)
    if not pairs:
        if study.parents:
            joined = ", ".join(study.parents)
            notes.append(f"No run was trained from {joined}, so no stage is compared with its parent.")
        return None
    notes += _remarks(study, lines)
    children = {pair.child: pair.generation for pair in pairs}
    cells = _cells(study, lines, children)
    everything = {name: lines[name] for name in children if name in lines}
    for name in dict.fromkeys(name for pair in pairs for name in (pair.child, pair.parent) if name not in lines):
        cell = cells.get(name, ("",))
        everything[name] = TrainingRun(cell=cell, plot=_plot(name, lines), checkpoints=(study.parents[name],))
    at = {name: position for position, name in enumerate(everything)}
    own, above = (
        np.array([at[name] for name in side]) for side in zip(*((p.child, p.parent) for p in pairs), strict=True)
    )
    return StageDifferences(
        tasks=[
            replace(
                task,
                values=task.values[own] - task.values[above],
                is_difference=True,
                span=difference_span(task.span, task.span),
            )
            for task in collect(list(everything.values()), notes, force=force)
        ],
        runs=[replace(everything[pair.child], cell=cells[pair.child]) for pair in pairs],
        specs=_specs(study.factors, {cells[name]: generation for name, generation in children.items()}),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Ancestors:
    """The evaluated ancestors of the runs of a study, as rows of their own.

    Attributes:
        runs: One per ancestor, with a cell such as ``("parent", "text")``; the oldest generation first.
        parents: Cell of the nearest evaluated ancestors by cell, for each cell whose runs agree on it.
    """

    runs: Sequence[TrainingRun]
    parents: Mapping[Cell, Cell]


def ancestors_of(study: Study, runs: Sequence[TrainingRun]) -> Ancestors:
    """Return the evaluated ancestors of all runs."""
    lines = {f"\0{number}": run for number, run in enumerate(runs)}
    pairs = _pairs(study, lines)
    generations: dict[str, int] = {}
    for pair in pairs:
        generations[pair.parent] = min(pair.generation + 1, generations.get(pair.parent, pair.generation + 1))
    cells = {name: run.cell for name, run in lines.items()} | _cells(study, lines, generations)
    above: dict[Cell, set[Cell]] = {}
    for pair in pairs:
        above.setdefault(cells[pair.child], set()).add(cells[pair.parent])
    return Ancestors(
        runs=[
            TrainingRun(cell=cells[name], plot=_plot(name, lines), checkpoints=(study.parents[name],))
            for name in sorted(generations, key=lambda one: -generations[one])
        ],
        parents={cell: own.pop() for cell, own in above.items() if len(own) == 1},
    )


def ancestor_label(cell: Cell) -> str:
    """Return the name of a cell of ancestors: ``text parent``."""
    return " ".join(filter(None, ["/".join(cell[1:]), cell[0]]))


def _evaluated(study: Study, run: TrainingRun) -> list[str]:
    return [name for name in run.ancestors if name in study.parents]


def _pairs(study: Study, lines: Mapping[str, TrainingRun]) -> list[_Pair]:
    """Return each pair once, the runs of the design first."""
    generations: dict[tuple[str, str], int] = {}
    for name, run in lines.items():
        chain = [name, *_evaluated(study, run)]
        for generation, (child, parent) in enumerate(itertools.pairwise(chain)):
            known = generations.setdefault((child, parent), generation)
            generations[child, parent] = min(known, generation)
    pairs = [_Pair(child=one, parent=above, generation=least) for (one, above), least in generations.items()]
    return sorted(pairs, key=lambda pair: pair.generation)


def _plot(name: str, lines: Mapping[str, TrainingRun]) -> str:
    """Return the plot of an ancestor: the plot of its runs; an ancestor of several plots is its own plot."""
    plots = {run.plot for run in lines.values() if name in run.ancestors}
    return plots.pop() if len(plots) == 1 else name


def _cells(study: Study, lines: Mapping[str, TrainingRun], children: Mapping[str, int]) -> dict[str, Cell]:
    """Return the cell of each child: a run's own; of an ancestor, the levels that never differ within its runs.

    Its runs are those that have it as an ancestor of its generation: with an optional stage between (`mid`), `pre` is
    the parent of the plain runs and the grandparent of the others, and counts as the parent of the plain ones::

        pre -> plain run         pre - base: text/plain parent-grandparent
        pre -> mid -> code run   mid - pre:  text/code parent-grandparent
    """
    cells = {name: lines[name].cell for name in children if name in lines}
    for generation in {generation for generation in children.values() if generation}:
        below = {
            name: [run.cell for run in lines.values() if _evaluated(study, run)[generation - 1 : generation] == [name]]
            for name, own in children.items()
            if own == generation
        }
        constant = [
            k for k in range(len(study.factors)) if all(len({c[k] for c in own}) == 1 for own in below.values())
        ]
        cells |= {name: (_ancestor(generation), *(own[0][k] for k in constant)) for name, own in below.items()}
    return cells


def _specs(factors: Mapping[str, Sequence[str]], generations: Mapping[Cell, int]) -> list[ContrastSpec]:
    specs = []
    for cell, generation in generations.items():
        above = _ancestor(generation + 1)
        if generation:
            levels = "/".join(cell[1:])
            name, which = f"{cell[0]}-{above}", f"the {cell[0]}s of the runs{f' with {levels}' if levels else ''}"
            name = f"{levels} {name}" if levels else name
        else:
            name = f"{cell_label(cell, factors)}-{above}"
            which = ", ".join(f"{factor} {level}" for factor, level in zip(factors, cell, strict=True))
        specs.append(
            ContrastSpec(
                name=name, kind=EXPLORATORY, coefficients={cell: 1.0}, meaning=f"{which} against their own parents"
            )
        )
    return specs


def _ancestor(generation: int) -> str:
    return _ANCESTORS[generation] if generation < len(_ANCESTORS) else f"ancestor {generation}"


def _remarks(study: Study, lines: Mapping[str, TrainingRun]) -> list[str]:
    notes = []
    left = [run for run in lines.values() if not _evaluated(study, run)]
    if left:
        names = dict.fromkeys(run.ancestors[0] for run in left if run.ancestors)
        listed = f" ({', '.join(list(names)[:4])})" if names else ""
        notes.append(
            f"Stage against parent: {counted(len(left), 'run')} left out, because no parent is evaluated{listed}."
        )
    far = [run for run in lines.values() if (near := _evaluated(study, run)) and near[0] != run.ancestors[0]]
    if far:
        nearest = ", ".join(dict.fromkeys(_evaluated(study, run)[0] for run in far))
        notes.append(
            f"Stage against parent: the parents of {counted(len(far), 'run')} are not evaluated, so these are "
            f"compared with the nearest ancestor that is ({nearest})."
        )
    return notes
