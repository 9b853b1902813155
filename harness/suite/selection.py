"""Select the tasks of a group that can run here: those whose data is on this machine or can be fetched.

A task given by name must run; missing data is an error. Of a group, the tasks without data are left out, with a note,
because some benchmarks' data is not publicly available.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from harness.data.fetching import fetch, how_to_get
from harness.data.manifest import MismatchError, all_files, fetch_command, find
from harness.data.store import missing
from harness.errors import TaskError, did_you_mean
from harness.suite.catalogue import Catalogue

ALL = "all"  # every task of the project and the user's folders


def with_files(names: Sequence[str], catalogue: Catalogue) -> list[str]:
    """Return the names with globs of YAML files, and folders of them, replaced by the files, as lm-eval allows.

    A folder counts only if no task or group has its name.

    Raises:
        TaskError: there is no such file.
    """
    found: list[str] = []
    for name in names:
        is_folder = os.path.isdir(name)  # noqa: PTH112 - false for a word too long for a path, too
        is_path = name.endswith(".yaml") or is_folder
        if not is_path or name in catalogue.entries or (is_folder and catalogue.knows(name)):
            found.append(name)
            continue
        pattern = str(Path(name) / "*.yaml") if is_folder else name
        files = sorted(glob.glob(pattern))  # noqa: PTH207 - the pattern may be absolute
        if not files:
            raise TaskError(f"{name}: no YAML file there; give a file, a glob or a folder of task files, or a task.")
        found += files
    return found


def with_data(names: Sequence[str], catalogue: Catalogue) -> tuple[list[str], list[str]]:
    """Return the names to load and one note per task left out. `ALL` is a group of all tasks.

    A group that lacks a task is replaced by its remaining tasks, because a mean over fewer tasks must not appear under
    the name of the group.

    Raises:
        TaskError: No task of a group has its data; the message has the command that fetches it.
    """
    names_to_load: list[str] = []
    notes: list[str] = []
    for name in names:
        members = _members(name, catalogue)
        unavailable = _unavailable(members, catalogue)
        if not unavailable:
            names_to_load += members if name == ALL and name not in catalogue.entries else [name]
            continue
        present = [task for task in members if task not in unavailable]
        files = sorted({file for its_files in unavailable.values() for file in its_files})
        if not present:
            raise TaskError(
                f"{name}: no data for any of its tasks; run "
                f"`{fetch_command(files, catalogue.folders)}`, or give the folder "
                "with the data as --data_dir or HARNESS_DATA."
            )
        names_to_load += present
        pinned = all_files(catalogue.folders)
        for task, its_files in unavailable.items():
            remedy = how_to_get({file: find(file, pinned) for file in its_files}, catalogue.folders)
            notes.append(f"{task} of {name} left out: it needs {', '.join(its_files)}; {remedy}.")
    return list(dict.fromkeys(names_to_load)), notes


def _members(name: str, catalogue: Catalogue) -> list[str]:
    """Return the tasks of a group, or of `ALL`; none of a task."""
    entry = catalogue.entries.get(name)
    if entry is None and name == ALL:
        return [task.name for task in catalogue.entries.values() if task.kind == "task"]
    return [task.name for task in catalogue.tasks_below(name)] if entry is not None and entry.kind == "group" else []


def _unavailable(members: Sequence[str], catalogue: Catalogue) -> dict[str, list[str]]:
    """The tasks whose data is missing and cannot be fetched, each with its missing files."""
    unavailable: dict[str, list[str]] = {}
    without = {task: files for name in members for task, files in tasks_without_data(name, catalogue).items()}
    for task, files in without.items():
        try:
            fetch(files, folders=catalogue.folders)
        except MismatchError:
            raise  # the file is here, but is not the pinned one
        except TaskError:
            unavailable[task] = files
    return unavailable


def data_files_of(names: Iterable[str], catalogue: Catalogue) -> list[str]:
    """Return the names of the data files of tasks and groups; a data file's own name is allowed too.

    Raises:
        TaskError: A name is neither a task, a group nor a data file.
    """
    files = all_files(catalogue.folders)
    data_files: dict[str, None] = {}
    for name in names:
        if name in files:
            data_files[name] = None
            continue
        if name not in catalogue.entries:
            raise unknown_name(name, catalogue, "task, group or data file", also=files)
        for entry in catalogue.tasks_below(name):
            data_files |= dict.fromkeys(entry.metadata.get("data", []))
    return list(data_files)


def unknown_name(name: str, catalogue: Catalogue, kind: str, *, also: Iterable[str] = ()) -> TaskError:
    """Return the error for an unknown name, with similar known ones and the files that were left out."""
    hint = did_you_mean(name, [*catalogue.entries, *also]) + catalogue.skipped_files()
    return TaskError(f"{name}: no {kind} has this name.{hint} `harness tasks list` shows the known ones.")


def tasks_without_data(name: str, catalogue: Catalogue) -> dict[str, list[str]]:
    """Return the tasks of `name` whose data is not on this machine, each with its missing files."""
    missing_by_task = {
        entry.name: missing(entry.metadata["data"], entry.path.parent)
        for entry in catalogue.tasks_below(name)
        if entry.metadata.get("data")
    }
    return {task: files for task, files in missing_by_task.items() if files}
