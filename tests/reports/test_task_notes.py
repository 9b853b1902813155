"""One short run, or one metric of all tasks, makes one note that names the tasks, not a note per task."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from harness.errors import RecordError
from harness.records import ItemTable, ModelRecords, TaskRun
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
    assert notes == ["Items that only one side answered are left out: a (30 and 0), b (30 and 0), c (30 and 0)."]


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


def test_failed_requests_of_several_tasks_are_named_as_such() -> None:
    values = {"a": short(40)["a"], "b": short(40)["b"]}
    comparison = versus([model("x", values, failed={"a": 3, "b": 1})], [model("y", values)])
    notes = [note for note in comparison.notes if "failed" in note]
    assert notes == ["Items of failed requests are left out, not scored 0: a (3 and 0 requests), b (1 and 0 requests)."]


@pytest.mark.parametrize(
    ("tasks", "expected"),
    [
        (
            ("a", "b"),
            "Left out, with fewer than two independent items or clusters in common: a (1), b (1).",
        ),
        (("a",), "Left out: a, with fewer than two independent items or clusters in common (1)."),
    ],
)
def test_a_study_names_the_tasks_with_too_few_items_in_common(tasks: tuple[str, ...], expected: str) -> None:
    values = {"c": short(40)["c"], **{task: np.ones(1) for task in tasks}}
    runs = [
        TrainingRun(cell=("x",), plot=f"{number}", checkpoints=(model(f"m{number}", values),)) for number in range(2)
    ]
    notes: list[str] = []
    collect(runs, notes, force=False)
    assert notes == [expected]


def with_metric(name: str, metric: str) -> ModelRecords:
    """A model with the tasks a and b, both with this metric."""
    one = model(name, {"a": short(40)["a"], "b": short(40)["b"]})
    runs = {task: replace(run, metric=f"{metric},none", items=items_of(run, metric)) for task, run in one.tasks.items()}
    return replace(one, tasks=runs)


def items_of(run: TaskRun, metric: str) -> ItemTable:
    return replace(run.items, values={metric: run.items.values["acc"]})


@pytest.mark.parametrize("metric", ["bleu", "perplexity"])
def test_a_leaderboard_without_tasks_on_its_scale_says_so(metric: str) -> None:
    with pytest.raises(RecordError) as error:
        rank([with_metric("x", metric), with_metric("y", metric)])
    assert str(error.value).startswith(
        f"no task can be ranked: Left out, because {metric} is not on a scale from 0 to 1 where more is better: "
        "a, b. Give other tasks with --tasks, "
    )


def test_a_leaderboard_without_items_in_common_says_so() -> None:
    with pytest.raises(RecordError) as error:
        rank([model("x", {"a": np.array([1.0, np.nan])}), model("y", {"a": np.array([np.nan, 1.0])})])
    assert "no task can be ranked: a is left out: the models have no item in common. " in str(error.value)


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
