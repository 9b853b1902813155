"""Which tasks of a group can be asked here: those whose data is on this machine or can be fetched.

A task that was named must run or be an error. A group is run as far as its data goes, and what was left out is said:
no public machine holds the data of every benchmark.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from harness.data.fetching import fetch, how_to_get
from harness.data.manifest import MismatchError, all_files, fetch_command, find
from harness.data.store import missing
from harness.errors import TaskError, did_you_mean
from harness.suite.catalogue import Catalogue


def with_data(names: Sequence[str], catalogue: Catalogue) -> tuple[list[str], list[str]]:
    """Return the names to load and one note for each task left out.

    A group with a task left out is replaced by its remaining tasks: its mean over fewer would be another number under
    the same name.

    Raises:
        TaskError: when no task of a group has its data, with the command that gets it.
    """
    names_to_load: list[str] = []
    notes: list[str] = []
    for name in names:
        entry = catalogue.entries.get(name)
        unavailable = _unavailable(name, catalogue) if entry is not None and entry.kind == "group" else {}
        if not unavailable:
            names_to_load.append(name)
            continue
        present = [task.name for task in catalogue.tasks_below(name) if task.name not in unavailable]
        files = sorted({file for its_files in unavailable.values() for file in its_files})
        if not present:
            raise TaskError(
                f"--tasks {name}: the data of none of its tasks is here; run "
                f"`{fetch_command(files, catalogue.folders)}`, or name a folder "
                "that holds it with --data_dir or HARNESS_DATA."
            )
        names_to_load += present
        pinned = all_files(catalogue.folders)
        for task, its_files in unavailable.items():
            remedy = how_to_get({file: find(file, pinned) for file in its_files}, catalogue.folders)
            notes.append(f"{task} of {name} left out: needs {', '.join(its_files)}, not here; {remedy}.")
    return list(dict.fromkeys(names_to_load)), notes


def _unavailable(group: str, catalogue: Catalogue) -> dict[str, list[str]]:
    """Tasks of a group with the data files that are neither here nor to be fetched."""
    unavailable: dict[str, list[str]] = {}
    for task, files in tasks_without_data(group, catalogue).items():
        try:
            fetch(files, folders=catalogue.folders)
        except MismatchError:
            raise  # it is here, and wrong
        except TaskError:
            unavailable[task] = files
    return unavailable


def data_files_of(names: Iterable[str], catalogue: Catalogue) -> list[str]:
    """Return the data files that tasks and groups need; the name of a data file stands for itself.

    Raises:
        TaskError: a name that is neither a task, a group nor a data file.
    """
    files = all_files(catalogue.folders)
    data_files: dict[str, None] = {}
    for name in names:
        if name in files:
            data_files[name] = None
            continue
        if name not in catalogue.entries:
            raise unknown_name(name, [*catalogue.entries, *files], "task, group or data file")
        for entry in catalogue.tasks_below(name):
            data_files |= dict.fromkeys(entry.metadata.get("data", []))
    return list(data_files)


def unknown_name(name: str, known: Iterable[str], kind: str) -> TaskError:
    """Return the error for a name that stands for nothing, with near ones."""
    return TaskError(f"{name}: no {kind} of that name.{did_you_mean(name, known)} `harness tasks list` shows them.")


def tasks_without_data(name: str, catalogue: Catalogue) -> dict[str, list[str]]:
    """Return the tasks at or below `name` whose data is not on this machine, each with the files that are missing."""
    missing_by_task = {
        entry.name: missing(entry.metadata["data"], entry.path.parent)
        for entry in catalogue.tasks_below(name)
        if entry.metadata.get("data")
    }
    return {task: files for task, files in missing_by_task.items() if files}
