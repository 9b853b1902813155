"""The runs of an export: each results file once, with the tasks of which it has the latest run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from harness.checkpoints.lineage import training_tokens
from harness.errors import MALFORMED, InputError, one_line
from harness.export.naming import check_model_id, default_id
from harness.export.registry import ExportOptions
from harness.records import ModelRecords, Records, TaskRun
from harness.records.items import damaged_file
from harness.records.results_file import RunContents, read_contents


@dataclass(frozen=True, kw_only=True, eq=False)
class ExportedRun:
    """One run of one model.

    Attributes:
        model: The model.
        model_id: ``org/name``.
        training_tokens: Tokens that the model was trained on since its root; None if it has no lineage.
        file: The results file.
        contents: What the run wrote.
        tasks: The tasks of this run that are exported.
    """

    model: ModelRecords
    model_id: str
    training_tokens: int | None
    file: Path
    contents: RunContents
    tasks: Mapping[str, TaskRun]


def exported_runs(records: Records, options: ExportOptions) -> Iterator[ExportedRun]:
    """Yield the runs of all models, in the order of models and tasks.

    Raises:
        InputError: `model_id` is none, or there are several models.
        RecordError: A file was damaged after the records were loaded.
    """
    _check_one_model(records, options)
    for model in records.models:
        by_file: dict[Path, dict[str, TaskRun]] = {}
        for name, run in model.tasks.items():
            by_file.setdefault(run.results, {})[name] = run
        for file, tasks in by_file.items():
            contents = read_contents(file)
            with malformed_is_damage(file):
                identity = options.model_id or default_id(model, contents)
                tokens = training_tokens(model.lineage)
            yield ExportedRun(
                model=model, model_id=identity, training_tokens=tokens, file=file, contents=contents, tasks=tasks
            )


def named_models(records: Records, options: ExportOptions) -> list[ModelRecords]:
    """Return the models; with `model_id` the only one, under this name.

    Raises:
        InputError: `model_id` is none, or there are several models.
    """
    _check_one_model(records, options)
    if options.model_id is None:
        return list(records.models)
    return [replace(model, name=options.model_id) for model in records.models]


def _check_one_model(records: Records, options: ExportOptions) -> None:
    if options.model_id is None:
        return
    check_model_id(options.model_id)
    if len(records.models) > 1:
        names = ", ".join(model.name for model in records.models[:5])
        raise InputError(
            f"--model_id {options.model_id}: names one model, but there are {len(records.models)} ({names}); give "
            "the folder of one model, or leave --model_id out."
        )


@contextmanager
def malformed_is_damage(file: Path) -> Iterator[None]:
    """Turn what reading malformed fields raises into an error that names the results file. Raises: RecordError."""
    try:
        yield
    except MALFORMED as error:
        problem = f"a field of it, or of its run record, is malformed ({one_line(error, max_characters=100)})"
        raise damaged_file(file, problem) from None
