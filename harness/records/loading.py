"""Find the runs below some folders and load each model with the latest run of each task.

A run is a ``results_<time>.json`` and the samples files next to it, in lm-eval's layout; `results_file` reads one, and
`older_layouts` converts what older releases of lm-eval wrote. Name and weights identify a model, so runs of the same
model in several folders are merged.
"""

from __future__ import annotations

import fnmatch
import math
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from harness.errors import RecordError, did_you_mean
from harness.natural_order import natural_key
from harness.records.items import ItemTable, damaged_file, read_item_table
from harness.records.naming import with_distinct_names
from harness.records.older_layouts import FLAT_NAME, is_flat_results
from harness.records.results_file import RESULTS, ModelRecords, TaskRun, read_results

PARALLEL_FROM_BYTES = 200_000_000

# Cluster labels by document digest, so that each document is parsed once, not once per model. Each `read` empties it.
# It is global so that a worker process keeps the labels from one run to the next.
_labels: dict[tuple[str, str], dict[bytes, str]] = {}


@dataclass(frozen=True, kw_only=True, eq=False)
class Records:
    """The loaded models, and what was left out.

    Attributes:
        models: Sorted by name.
        skipped: One sentence per file that was left out as broken.
        empty: One sentence per model without a task: all its requests failed, or it was not run on the selected tasks.
    """

    models: tuple[ModelRecords, ...]
    skipped: tuple[str, ...]
    empty: tuple[str, ...] = ()


def load(
    paths: Sequence[Path], *, tasks: Sequence[str] = (), all_runs: bool = False, skip_broken: bool = False
) -> Records:
    """Load the runs below `paths` with their items: `index`, then `read`."""
    return read(index(paths, tasks=tasks, all_runs=all_runs, skip_broken=skip_broken), skip_broken=skip_broken)


def index(
    paths: Sequence[Path], *, tasks: Sequence[str] = (), all_runs: bool = False, skip_broken: bool = False
) -> Records:
    """Find the latest run of each model and task below `paths`, without items.

    Args:
        paths: Folders, searched at any depth, or results files.
        tasks: Names of the tasks to select, or patterns such as ``mini_*``; empty for all.
        all_runs: Include older runs, each as a model of its own.
        skip_broken: List damaged results files in `Records.skipped` instead of raising.

    Raises:
        RecordError: No runs exist, a task is unknown, or a file is truncated or damaged.
    """
    skipped: list[str] = []
    by_identity: dict[tuple[str, ...], ModelRecords] = {}
    seen: set[str] = set()
    for file in sorted(set(_results_files(paths))):
        try:
            model = read_results(file)
        except RecordError as error:
            if not skip_broken:
                raise
            skipped.append(_left_out_as_broken(error))
            continue
        seen |= model.tasks.keys() | model.unscored.keys()
        time = file.stem.removeprefix("results_")
        key = (*model.identity, time) if all_runs else model.identity
        by_identity[key] = _merged(by_identity.get(key), _only(model, tasks))
    if seen and (unknown := [name for name in tasks if not fnmatch.filter(seen, name)]):
        raise RecordError(
            f"--tasks {','.join(unknown)}: no run of this task; give one of {', '.join(sorted(seen))}."
            f"{did_you_mean(unknown[0], seen, limit=1)}"
        )
    named = with_distinct_names(list(by_identity.values()))
    empty = [_empty(model) for model in named if not model.tasks]
    models = sorted((model for model in named if model.tasks), key=lambda model: (natural_key(model.name), model.name))
    if not models:
        raise _nothing(paths, [*skipped, *empty])
    return Records(models=tuple(models), skipped=tuple(skipped), empty=tuple(empty))


def _only(model: ModelRecords, tasks: Sequence[str]) -> ModelRecords:
    """The model with only these tasks; with all tasks if `tasks` is empty."""
    if not tasks:
        return model
    return replace(
        model,
        tasks={name: run for name, run in model.tasks.items() if _is_selected(name, tasks)},
        unscored={name: failed for name, failed in model.unscored.items() if _is_selected(name, tasks)},
        unscored_items={name: one for name, one in model.unscored_items.items() if _is_selected(name, tasks)},
    )


def _is_selected(name: str, tasks: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in tasks)


def _empty(model: ModelRecords) -> str:
    if model.unscored and not any(model.unscored.values()):
        return f"Left out: {model.name}, its runs are answers without scores; `harness rescore RUN` scores them."
    if model.unscored:
        return f"Left out: {model.name}, every request of its latest run failed ({', '.join(model.unscored)})."
    return f"Left out: {model.name}, it was not run on the selected tasks."


def read(records: Records, *, skip_broken: bool = False, parallel: bool = True) -> Records:
    """Read the items of every model in `records`.

    Args:
        records: What `index` returned.
        skip_broken: Leave damaged files out, and list them in `Records.skipped`.
        parallel: Read large files in forked processes. Turn it off in a process with threads, which must not fork.

    Raises:
        RecordError: A samples file is missing, truncated or damaged; with `skip_broken`, only if no model is left.
    """
    first: dict[str, ItemTable] = {}
    skipped, models = list(records.skipped), []
    tables = _items_of([run for model in records.models for run in model.tasks.values()], parallel=parallel)
    for model in records.models:
        runs = {}
        for name, run in model.tasks.items():
            items = next(tables)
            if isinstance(items, ItemTable):
                runs[name] = _with_items(run, items, first.setdefault(name, items))
            elif skip_broken:
                skipped.append(_left_out_as_broken(items))
            else:
                raise items
        if runs:
            models.append(replace(model, tasks=runs))
    if not models:
        raise _nothing([folder for model in records.models for folder in model.folders], skipped)
    return Records(models=tuple(models), skipped=tuple(skipped), empty=records.empty)


def _items_of(runs: Sequence[TaskRun], *, parallel: bool) -> Iterator[ItemTable | RecordError]:
    """Read the items of each run, in order; in parallel, if that is allowed and the files are large."""
    _labels.clear()
    size = sum(run.samples.stat().st_size for run in runs if run.samples.exists())
    workers = min(len(os.sched_getaffinity(0)), len(runs)) if sys.platform == "linux" else 1
    if not parallel or size < PARALLEL_FROM_BYTES or workers < 2:
        yield from map(_read_one, runs)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("fork")) as pool:
        yield from pool.map(_read_one, runs, chunksize=max(1, min(16, len(runs) // (4 * workers))))


def _read_one(run: TaskRun) -> ItemTable | RecordError:
    try:
        items = read_item_table(
            run.samples_file,
            cluster=run.cluster,
            labels=_labels.setdefault((run.task, run.cluster), {}),
            guess=run.guessing,
        )
        _check_headline(replace(run, items=items))
    except RecordError as error:
        return error
    return items


def _check_headline(run: TaskRun) -> None:
    """Check the items' values of the headline metric, and their mean. Raises: RecordError."""
    metric = run.metric.partition(",")[0]
    if fault := run.items.faults.get(metric):
        raise damaged_file(run.samples, fault)
    if run.averaged and run.value is not None and not run.is_mean:
        values = run.headline_values
        mean = float(np.nanmean(values)) if np.isfinite(values).any() else math.nan
        raise damaged_file(
            run.samples, f"its items have {metric} {mean:.6g} on average, but its results file has {run.value:.6g}"
        )


def _left_out_as_broken(error: RecordError) -> str:
    reason = str(error).partition("; the file")[0].partition("; restore")[0]
    return f"Left out as broken: {reason}."


def _nothing(paths: Sequence[Path], skipped: Sequence[str]) -> RecordError:
    return RecordError(
        f"{', '.join(map(str, paths))}: no runs found (no results_<time>.json at any depth). "
        f"{''.join(f'{one} ' for one in skipped)}Give "
        "folders that `harness eval` or `lm_eval --log_samples --output_path` wrote."
    )


def _results_files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_file() and _is_results(path):
            yield path
        elif path.is_dir():
            for file in path.rglob("*.json"):
                hidden = any(part.startswith(".") for part in file.relative_to(path).parts)
                if not hidden and _is_results(file):
                    yield file
        else:
            raise RecordError(f"{path}: no such run folder or results file; give a folder with runs.")


def _is_results(file: Path) -> bool:
    return bool(RESULTS.fullmatch(file.name)) or (file.name == FLAT_NAME and is_flat_results(file))


def _merged(known: ModelRecords | None, more: ModelRecords) -> ModelRecords:
    """Merge another run of the same model; of each task, keep the later run."""
    if known is None:
        return more
    tasks, unscored, unscored_at = dict(known.tasks), dict(known.unscored), dict(known.unscored_at)
    items = dict(known.unscored_items)
    for name, run in more.tasks.items():
        if max(tasks[name].time if name in tasks else "", unscored_at.get(name, "")) < run.time:
            tasks[name] = run
            unscored.pop(name, None)
            unscored_at.pop(name, None)
    for name, failed in more.unscored.items():
        time = more.unscored_at.get(name, "")
        if max(tasks[name].time if name in tasks else "", unscored_at.get(name, "")) < time:
            tasks.pop(name, None)  # do not use an older successful run instead of the failed one
            unscored[name], unscored_at[name], items[name] = failed, time, more.unscored_items[name]
    folders = tuple(dict.fromkeys(run.results.parent for run in tasks.values())) or known.folders
    return replace(
        known,
        tasks=dict(sorted(tasks.items())),
        folders=folders,
        unscored=unscored,
        unscored_at=unscored_at,
        unscored_items=items,
    )


def _with_items(run: TaskRun, items: ItemTable, first: ItemTable) -> TaskRun:
    chance = items.guess if run.guessing and math.isfinite(items.guess) else run.chance
    return replace(run, items=_shared(items, first), chance=chance)


def _shared(items: ItemTable, first: ItemTable) -> ItemTable:
    """Share the arrays of digests that are equal for all models; they take most of the memory."""
    same = {
        name: getattr(first, name)
        for name in ("doc_hash", "prompt_hash", "target_hash")
        if getattr(first, name).tobytes() == getattr(items, name).tobytes()
    }
    return replace(items, **same)
