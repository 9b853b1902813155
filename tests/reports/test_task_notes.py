"""One short run, or one metric of all tasks, makes one note that names the tasks, not a note per task."""

from __future__ import annotations

import numpy as np

from harness.reports.analysis.leaderboard import rank
from harness.reports.analysis.study import TrainingRun
from harness.reports.analysis.task_notes import TaskNote, joined
from harness.reports.analysis.task_values import collect
from tests.reports.models_for_tests import Floats, model, versus

SIZES = {"a": 40, "b": 40, "c": 60}


def short(items: int) -> dict[str, Floats]:
    """Values of at most so many items of each task."""
    return {task: (np.arange(min(items, size)) % 3 > 0).astype(float) for task, size in SIZES.items()}


def test_a_leaderboard_with_a_short_run_has_one_note_on_it() -> None:
    board = rank([model("long", short(99)), model("short", short(10))])
    notes = [note for note in board.notes if "that every model answered" in note]
    assert notes == ["Ranked on the items that every model answered: a (10 of 40), b (10 of 40), c (10 of 60)."]


def test_a_comparison_with_a_short_run_has_one_note_on_it() -> None:
    comparison = versus([model("long", short(40))], [model("short", short(10))])
    notes = [note for note in comparison.notes if "only one side answered" in note]
    assert notes == ["Items that only one side answered are left out, 30 and 0 each: a, b, c."]


def test_a_study_with_a_short_run_has_one_note_on_it() -> None:
    runs = [
        TrainingRun(cell=("x",), plot=f"{number}", checkpoints=(model(f"m{number}", short(items)),))
        for number, items in enumerate((99, 10))
    ]
    notes: list[str] = []
    collect(runs, notes, force=False)
    assert notes == [
        "Items of a run are left out, because another run did not answer them: "
        "a (up to 30), b (up to 30), c (up to 50)."
    ]


def test_a_note_on_one_task_is_a_sentence_of_its_own() -> None:
    board = rank([model("long", {"a": short(99)["a"], "b": short(10)["b"]}), model("short", short(10))])
    assert "a: ranked on the 10 of 40 items that every model answered." in board.notes


def test_different_notes_stay_apart_in_the_order_of_their_first_tasks() -> None:
    notes = [
        TaskNote(task=task, alone=f"{task} {what}.", shared=what.capitalize(), counts=counts)
        for task, what, counts in (
            ("a", "failed", "1"),
            ("b", "missing", ""),
            ("c", "failed", "2"),
            ("d", "missing", ""),
        )
    ]
    assert joined(notes) == ["Failed: a (1), c (2).", "Missing: b, d."]
