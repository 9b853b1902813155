"""What `harness.evaluate` returns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.api import values
from harness.errors import HarnessError, InputError
from harness.notebook import ShownTable, fragment

if TYPE_CHECKING:
    import pandas as pd
    from altair.typing import ChartType

    from harness.records.run_folder import RunRecord


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class EvaluationResults:
    """The records of one evaluation, a model after the other.

    It can be given where run folders are expected: ``harness.compare(base, tuned)``. If it holds several models, only
    `harness.load`, `compare` and `leaderboard` take it.

    Attributes:
        records: What was written to ``run.json``, one per model.
        files: The results file of each model; empty if none was written, as in a dry run.
    """

    records: tuple[RunRecord, ...]
    files: tuple[Path, ...]

    @property
    def complete(self) -> bool:
        """Whether no model has more failed requests than were allowed."""
        return all(record.complete for record in self.records)

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the models."""
        return tuple(record.model["name"] for record in self.records)

    def frame(self) -> pd.DataFrame:
        """Return one row per model and task: value, standard error, 95% interval, chance, items, failed requests."""
        return values.frame(self._values)

    def domains(self) -> pd.DataFrame:
        """Return one row per model and domain, and one per model for ``overall``, which is chance-centred."""
        import pandas as pd

        columns = ["model", "domain", "tasks", "mean", "mean_error", "centred", "centred_error"]
        return pd.DataFrame([row for record in self.records for row in _domain_rows(record)], columns=columns)

    def items(self) -> pd.DataFrame:
        """Return one row per model, task, filter and item, with the columns of `records.ITEMS_COLUMNS`.

        Raises:
            InputError: no record was written, as in a dry run.
        """
        from harness.records import items_frame, load

        if not self.files:
            raise InputError("items: no record was written; give output_path, and leave dry_run out.")
        return items_frame(load(self.files).models)

    def plot(self) -> ChartType:
        """Return dots with their 95% intervals, one panel per model."""
        return values.chart(self._values, "How good is each model on each task, and how sure is that?")

    @property
    def failures(self) -> tuple[str, ...]:
        """A sentence per model and task with failed requests, and the records' notes."""
        return tuple(sentence for record in self.records for sentence in _failures(record))

    @property
    def _values(self) -> list[values.Value]:
        return [value for record in self.records for value in _values_of(record)]

    def __fspath__(self) -> str:
        """Return the folder of the only model's runs."""
        if len(self.files) != 1:
            what = (
                f"holds {len(self.records)} models ({', '.join(self.models)})"
                if self.files
                else "no record was written"
            )
            raise InputError(f"EvaluationResults: {what}, so it is no run folder; give the folder of one model.")
        return str(self.files[0].parent)

    def __repr__(self) -> str:
        """Return the values, a line per model and task."""
        lines = [f"{one.model}  {one.task}  {one.metric} {_short(one.value)}" for one in self._values]
        return "\n".join([f"EvaluationResults of {', '.join(self.models)}", *lines, *self.failures])

    def _repr_html_(self) -> str:
        tables: Sequence[ShownTable] = [values.shown(self._values)]
        return fragment(f"Evaluation of {', '.join(self.models)}", tables, self.failures)


class IncompleteEvaluation(HarnessError):  # noqa: N818 - named after what it is about
    """More requests failed than were allowed. The records are written; the same call sends the rest again.

    Attributes:
        results: The results, without the items whose requests failed.
    """

    def __init__(self, results: EvaluationResults) -> None:
        self.results = results
        failed = sum(task.failed for record in results.records for task in record.tasks.values())
        allowed = results.records[0].allowed_failures
        super().__init__(
            f"incomplete: {failed} requests failed, {allowed} allowed. The same call sends them again; "
            "allow_failures=N accepts them."
        )


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _values_of(record: RunRecord) -> Iterator[values.Value]:
    for name, task in record.tasks.items():
        metric, _, filter_name = task.metric.partition(",")
        low, high = task.interval or (None, None)
        yield values.Value(
            model=record.model["name"],
            domain=task.domain,
            task=name,
            metric=metric,
            filter=filter_name,
            value=task.value,
            stderr=task.stderr,
            low=low,
            high=high,
            chance=task.chance,
            items=task.items_scored,
            failed=task.failed,
        )


def _domain_rows(record: RunRecord) -> Iterator[dict[str, object]]:
    name = record.model["name"]
    for kind in record.aggregate.values():
        yield from ({"model": name, **row} for row in kind["domains"])
    if "reasoning" in record.aggregate:
        total = record.aggregate["reasoning"]
        tasks = sum(row["tasks"] for row in total["domains"])
        yield {"model": name, "domain": "overall", "tasks": tasks, **total}


def _failures(record: RunRecord) -> Iterator[str]:
    for name, task in record.tasks.items():
        if task.failed:
            reasons = ", ".join(f"{count} {reason}" for reason, count in task.failures.items())
            yield f"{record.model['name']}, {name}: {task.failed} of {task.asked} requests failed ({reasons})."
    yield from record.notes
