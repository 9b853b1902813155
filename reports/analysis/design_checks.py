"""Finds likely mistakes in a valid design file: two runs with one seed, unused levels, suspicious parents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from harness.errors import InputError
from harness.reports.analysis.design import Design, DesignRun

_NAMED = 3


def check_runs(path: Path, runs: Sequence[DesignRun]) -> None:
    """Refuse two training runs with the same cell, parent and seed, and a run with a step for only some checkpoints.

    Raises:
        InputError: There are such runs.
    """
    seen: dict[tuple[object, ...], list[DesignRun]] = {}
    for run in runs:
        if run.seed and run.parent is not None:
            seen.setdefault((run.cell, run.parent, run.seed), []).append(run)
    for same in seen.values():
        if len(same) > 1 and any(run.step is None for run in same):
            names = " and ".join(run.run for run in same[:2])
            raise InputError(
                f"{same[1].where or path}: {names}: the same levels, parent {same[0].parent} and seed {same[0].seed}; "
                "correct one of them, or give each its step if they are checkpoints of one training run."
            )


def used_levels(design: Design, notes: list[str]) -> Design:
    """Return the design without levels and further factors that no run varies, with a note on each.

    A main factor of two levels keeps both, since the 2 x 2 refuses an empty cell.

    Raises:
        InputError: No run has the reference level of a factor.
    """
    factors: dict[str, tuple[str, ...]] = {}
    for at, (name, levels) in enumerate(design.factors.items()):
        used = [level for level in levels if any(run.cell[at] == level for run in design.runs)]
        unused = [level for level in levels if level not in used]
        if unused and len(used) == 1 and name not in design.main:
            notes.append(f"{name}: all runs have {used[0]}, so it is left out of the factors.")
            continue
        if unused and len(levels) > 2 and len(used) > 1:
            if unused[0] == levels[0]:
                raise InputError(
                    f"factors.{name}: no run has {levels[0]}, the reference level; put a level first that has runs."
                )
            notes.append(f"{name}: no run has {', '.join(unused)}; left out.")
            levels = tuple(used)
        factors[name] = levels
    kept = [at for at, name in enumerate(design.factors) if name in factors]
    runs = tuple(replace(run, cell=tuple(run.cell[at] for at in kept)) for run in design.runs)
    return replace(design, factors=factors, runs=runs)


def odd_parents(
    factors: Mapping[str, Sequence[str]], cells_of_parents: Mapping[str, Sequence[tuple[str, ...]]]
) -> list[str]:
    """Return notes on parents whose runs have several levels of a factor that most parents' runs share.

    Example: of six pre-training runs, five have runs of one level of ``pretrain`` each, and one has runs of both.

    Args:
        factors: Levels by factor.
        cells_of_parents: The cells of each parent's runs.
    """
    notes = []
    for at, name in enumerate(factors):
        odd = [parent for parent, cells in cells_of_parents.items() if len({cell[at] for cell in cells}) > 1]
        if odd and 2 * len(odd) < len(cells_of_parents):
            more = f" and {len(odd) - _NAMED} more" if len(odd) > _NAMED else ""
            listed = ", ".join(odd[:_NAMED]) + more
            notes.append(
                f"{name}: the runs of {listed} have several levels of it, those of every other parent one; is a parent "
                "or a level wrong?"
            )
    return notes
