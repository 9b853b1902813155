"""`harness.load`: the records below some folders, for analysis."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from harness.api import values
from harness.api.flags import Place
from harness.api.places import run_places
from harness.errors import InputError
from harness.notebook import fragment

if TYPE_CHECKING:
    import pandas as pd
    from altair.typing import ChartType

    from harness.records import ModelRecords, TaskRun


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class LoadedRecords:
    """Records of this harness or of plain lm-eval.

    Attributes:
        models: The models with their runs, sorted by name.
        notes: What was left out, in sentences.
    """

    models: tuple[ModelRecords, ...]
    notes: tuple[str, ...]

    def frame(self) -> pd.DataFrame:
        """Return one row per model, task and metric, with the columns of `records.RESULTS_COLUMNS`."""
        from harness.records import results_frame

        return results_frame(self.models)

    def items(self) -> pd.DataFrame:
        """Return one row per model, task, filter and item, with the columns of `records.ITEMS_COLUMNS`."""
        from harness.records import items_frame

        return items_frame(self.models)

    def plot(self) -> ChartType:
        """Return the headline values with their 95% intervals, one panel per model."""
        return values.chart(self._values, "How good is each model on each task, and how sure is that?")

    def __fspath__(self) -> str:
        """Refuse to be taken for a folder. Raises: InputError: always."""
        raise InputError("LoadedRecords have no folder of their own; give the folders that they were loaded from.")

    def __repr__(self) -> str:
        """Return the models and their tasks."""
        lines = [f"{model.name}: {', '.join(model.tasks)}" for model in self.models]
        return "\n".join([f"LoadedRecords of {len(self.models)} models", *lines, *self.notes])

    def _repr_html_(self) -> str:
        return fragment(f"Records of {len(self.models)} models", [values.shown(self._values)], self.notes)

    @cached_property
    def _values(self) -> tuple[values.Value, ...]:
        return tuple(_value(model.name, run) for model in self.models for run in model.tasks.values())


def _value(model: str, run: TaskRun) -> values.Value:
    """Return a task's headline value; its interval is computed from the items, if it is their mean."""
    metric, _, filter_name = run.metric.partition(",")
    ends = _interval(run)
    return values.Value(
        model=model,
        domain=run.domain,
        task=run.task,
        metric=metric,
        filter=filter_name or "none",
        value=run.value,
        stderr=run.stderrs.get(run.metric),
        low=None if ends is None else ends[0],
        high=None if ends is None else ends[1],
        chance=run.chance,
        items=int(run.items.rows(filter_name).size),
        failed=run.failed,
    )


def _interval(run: TaskRun) -> tuple[float, float] | None:
    from harness.metric_ranges import range_of
    from harness.records.frames import averaged_items
    from harness.stats import interval

    if (items := averaged_items(run, run.metric)) is None:
        return None
    answered, clusters = items
    ends = interval(answered, clusters).within(range_of(run.metric.partition(",")[0]).limits(answered))
    return ends.low, ends.high


def load(
    *runs: Place,
    tasks: str | Sequence[str] = (),
    all: bool = False,  # noqa: A002 - the flag's name
    skip_broken: bool = False,
) -> LoadedRecords:
    """Load the runs below some folders, with their items; the arguments are those of ``harness leaderboard``.

    >>> import harness
    >>> _ = harness.evaluate(
    ...     model="oracle", backend="scripted", tasks="mini_logic", limit=20, output_path="runs/eval"
    ... )
    >>> records = harness.load("runs/eval")
    >>> records.frame()[["model", "task", "metric", "value"]].round(3)
        model        task         metric  value
    0  oracle  mini_logic            acc  1.000
    1  oracle  mini_logic       acc_norm  1.000
    2  oracle  mini_logic   gold_logprob -1.000
    3  oracle  mini_logic  bits_per_byte  0.173
    >>> len(records.items())
    20

    Args:
        *runs: Folders, searched at any depth, results files, or results of `harness.evaluate`.
        tasks: Names or patterns of tasks, such as ``mini_*``; all by default.
        all: Each run is a model of its own, not only the latest of each model.
        skip_broken: Leave damaged files out, with a note.

    Raises:
        InputError: no folder is given, or an argument is neither a path nor a result of `harness.evaluate`.
        RecordError: there are no runs, a task is unknown, or a file is damaged.
    """
    from harness.records import load as load_records

    if not runs:
        raise InputError("load: no run folders; give one or more, such as harness.load('runs').")
    folders = [Path(place) for place in run_places("load", runs)]
    names = tuple(_names(tasks))
    records = load_records(folders, tasks=names, all_runs=all, skip_broken=skip_broken)
    return LoadedRecords(models=records.models, notes=(*records.skipped, *records.empty))


def _names(tasks: str | Sequence[str]) -> Iterator[str]:
    for word in [tasks] if isinstance(tasks, str) else tasks:
        yield from (name.strip() for name in word.split(",") if name.strip())
