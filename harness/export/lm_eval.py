"""lm-eval's layout of today: ``MODEL/results_<time>.json`` and ``MODEL/samples_<task>_<time>.jsonl``.

It differs from a copy of the runs in four ways: each model has the latest run of each task only; ``pretrained`` is the
model's ``org/name`` instead of a path of this machine, as converters of other projects expect; folders of older
releases of lm-eval come out in today's layout; and hidden or unfinished files are left behind. ``run_<time>.json``
is written too, if there is one: lm-eval ignores it, and this project reads failures and lineage from it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from harness.errors import InputError
from harness.export.naming import MODEL_ID
from harness.export.registry import ExportFile, ExportOptions
from harness.export.runs import ExportedRun, exported_runs, malformed_is_damage
from harness.records import Records
from harness.records.older_layouts import iterate_lines
from harness.records.results_file import model_arguments
from harness.records.run_folder import RunRecord, sanitized

_BY_TASK = (
    "results", "configs", "versions", "n-shot", "n-samples", "higher_is_better", "task_hashes", "groups",
    "group_subtasks",
)  # fmt: skip


def export(records: Records, options: ExportOptions) -> Iterator[ExportFile]:
    """Yield the files of all models; the results file of a run last, as lm-eval writes it."""
    places: set[PurePosixPath] = set()
    for run in exported_runs(records, options):
        with malformed_is_damage(run.file):
            name = options.model_id or run.model.recorded_name
            given = {} if options.model_id is None else {MODEL_ID: options.model_id}
            results = json.dumps({**_results(run, name), **given}, indent=2, ensure_ascii=False).encode()
            record = _record(run, name)
        folder = PurePosixPath(sanitized(options.model_id or run.model.name))
        place = folder / f"results_{run.contents.time}.json"
        if place in places:
            raise InputError(f"{run.file}: another run of {run.model.name} has the same time; export each on its own.")
        places.add(place)
        for task in run.tasks.values():
            lines = iterate_lines(task.samples_file)
            yield ExportFile(path=folder / f"samples_{task.task}_{run.contents.time}.jsonl", content=lines)
        if record is not None:
            text = record.model_dump_json(indent=2, by_alias=True) + "\n"
            yield ExportFile(path=folder / f"run_{run.contents.time}.json", content=[text.encode()])
        yield ExportFile(path=place, content=[results])


def _superseded(run: ExportedRun) -> set[str]:
    """Tasks of the run's file that a later run of the model replaces, or that were not selected."""
    return set(run.contents.results["configs"]) - set(run.tasks)


def _groups_over(members: Mapping[str, Sequence[str]], left_out: set[str]) -> set[str]:
    """Groups of which a task is left out, also through an inner group: their scores are over tasks that are gone."""
    found: set[str] = set()
    while True:
        more = {group for group, names in members.items() if not (left_out | found).isdisjoint(names)} - found
        if not more:
            return found
        found |= more


def _results(run: ExportedRun, name: str) -> dict[str, Any]:
    """The results file without superseded tasks and the groups over them, under the model's id."""
    contents, left_out = run.contents.results, _superseded(run)
    left_out = left_out | _groups_over(contents.get("group_subtasks") or {}, left_out)
    parts = {part: _without(contents[part], left_out) for part in _BY_TASK if isinstance(contents.get(part), dict)}
    arguments = {**model_arguments(contents), "pretrained": run.model_id}
    return {
        **contents,
        **parts,
        "config": {**contents["config"], "model_args": arguments},
        "model_name": name,
        "model_name_sanitized": sanitized(name),
    }


def _without(part: Mapping[str, Any], names: set[str]) -> dict[str, Any]:
    return {name: value for name, value in part.items() if name not in names}


def _record(run: ExportedRun, name: str) -> RunRecord | None:
    """The run record without superseded tasks, under the model's name."""
    record = run.contents.record
    if record is None:
        return None
    tasks = _without(record.tasks, _superseded(run))
    return record.model_copy(update={"tasks": tasks, "model": {**record.model, "name": name}})
