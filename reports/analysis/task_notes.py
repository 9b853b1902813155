"""Notes on tasks: those that say the same of several tasks, as after one short run, are one note that names the tasks.

a: ranked on the 10 of 40 items that every model answered.
b: ranked on the 10 of 60 items that every model answered.
->  Ranked on the items that every model answered: a (10 of 40), b (10 of 60).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class TaskNote:
    """A note on one task.

    Attributes:
        task: Its name.
        alone: The whole sentence, if it is true of this task only.
        shared: The sentence for several tasks, without its end; their names follow, each with its counts in brackets.
        counts: Counts of the task, with a unit unless `shared` names it, such as ``10 of 40``; empty without counts.
    """

    task: str
    alone: str
    shared: str
    counts: str = ""


def joined(notes: Sequence[TaskNote]) -> list[str]:
    """Return one sentence per kind of note, in order of first appearance."""
    by_sentence: dict[str, list[TaskNote]] = {}
    for note in notes:
        by_sentence.setdefault(note.shared, []).append(note)
    return [own[0].alone if len(own) == 1 else f"{shared}{_listed(own)}." for shared, own in by_sentence.items()]


def _listed(notes: Sequence[TaskNote]) -> str:
    """Return the tasks, each with its counts if it has any: ``: a (10 of 40), b (10 of 60)``."""
    return f": {', '.join(note.task + (f' ({note.counts})' if note.counts else '') for note in notes)}"
