"""Check task definitions: the YAML loads, the metadata is complete, the data is the pinned data, the keys are valid.

Works offline: if the data of a task is not on this machine, only its YAML is checked. Nothing is evaluated; the tests
check scoring.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from harness.data.fetching import how_to_get
from harness.data.manifest import DataFile, all_files, find, load_manifest
from harness.data.store import missing
from harness.errors import HarnessError, TaskError, one_line
from harness.paths import tasks_dir
from harness.sandbox import SandboxError
from harness.suite.catalogue import Catalogue, task_manager
from harness.suite.code_filter import runs_programs
from harness.suite.consent import CodeNotRunError, no_code_of_others, refused_code
from harness.suite.data_files import check_data_files
from harness.suite.definitions import DOMAINS, Entry
from harness.suite.item_faults import item_faults, reference_faults
from harness.suite.selection import unknown_name
from harness.wording import counted

if TYPE_CHECKING:
    from lm_eval.api.task import Task
    from lm_eval.tasks import TaskManager

METADATA = ("version", "domain", "items")
OF_THIS_PROJECT = ("domain", "items")  # those that lm-eval does not know: for other tasks they are optional
MOST_FAULTS = 10  # shown of one task


@dataclass(frozen=True, kw_only=True)
class Finding:
    """The result of checking one task or group.

    Attributes:
        name: The task or group.
        status: ``ok``, ``known`` (one of lm-eval's own, which is checked when it is evaluated), ``no data`` (its data
            is not on this machine, so only the YAML was checked), ``not run`` (it needs Python of the user's folder,
            which was not run, so only the YAML was checked) or ``wrong``.
        message: What is wrong or missing, with the remedy; for ``ok`` the number of items or tasks, and a remark if
            the metadata of another project's task lacks what only this project reads.
        more: For ``wrong``, the further faults. At most ten are listed; a last entry counts the rest.
    """

    name: str
    status: Literal["ok", "known", "no data", "not run", "wrong"]
    message: str
    more: tuple[str, ...] = ()


def validate(
    names: Sequence[str] | None = None, *, include_paths: Sequence[Path] = (), run_code: bool = False
) -> list[Finding]:
    """Check tasks and groups without a network.

    Args:
        names: Tasks and groups; by default all of the project's own and those in `include_paths`.
        include_paths: The user's folders of task YAML.
        run_code: Whether the Python of these folders may be run, and the reference solutions of their code tasks.

    Raises:
        TaskError: A YAML file does not parse, or a name is unknown.
    """
    catalogue = Catalogue(include_paths)
    all_files([tasks_dir(), *include_paths])
    names_to_check = names or list(catalogue.entries)
    for name in names_to_check:
        if name not in catalogue.entries and not catalogue.is_lm_evals(name):
            raise unknown_name(name, catalogue, "task or group")
    # One index for all names, without lm-eval's own tasks; `Catalogue.load` would build an index per name.
    manager = task_manager(catalogue.folders)
    with no_code_of_others(not run_code):
        return [
            _check(catalogue.entries[name], catalogue, manager, run_code=run_code)
            if name in catalogue.entries
            else Finding(name=name, status="known", message="lm-eval's own; it is checked when it is evaluated")
            for name in names_to_check
        ]


def _check(entry: Entry, catalogue: Catalogue, manager: TaskManager, *, run_code: bool) -> Finding:
    if entry.kind == "group":
        return _check_group(entry, catalogue)
    return _check_task(entry, catalogue, manager, run_code=run_code)


def _check_group(entry: Entry, catalogue: Catalogue) -> Finding:
    try:
        catalogue.check_members(entry)
    except TaskError as error:
        return Finding(name=entry.name, status="wrong", message=str(error))
    return Finding(name=entry.name, status="ok", message=counted(len(catalogue.tasks_below(entry.name)), "task"))


def _check_task(entry: Entry, catalogue: Catalogue, manager: TaskManager, *, run_code: bool) -> Finding:
    faults = list(_metadata_faults(entry))
    try:
        needed = entry.metadata.get("data", [])
        missing_files = missing(needed, entry.path.parent) if needed else []
        if missing_files and not faults:
            return _no_data(entry, missing_files, catalogue)
        if not faults:
            check_data_files(entry.path, entry.config)
            task = manager.load([entry.name])["tasks"][entry.name]
            faults = _faults_of_items(entry, task, run_references=run_code and not _is_own(entry))
            if not faults:
                return Finding(
                    name=entry.name, status="ok", message=counted(len(task.eval_docs), "item") + _remark(entry)
                )
    except CodeNotRunError as error:
        return _not_run(entry, error)
    except SandboxError as error:
        message = f"{entry.path}: the reference solutions were not run ({error})"
        return Finding(name=entry.name, status="not run", message=message)
    except HarnessError as error:
        faults.append(str(error))
    # Loaders and templates are the task author's code and may raise anything; report it as a finding about that task.
    except Exception as error:
        refused = refused_code(error)
        if refused is not None:
            return _not_run(entry, refused)
        faults.append(f"cannot be built ({type(error).__name__}: {one_line(error, max_characters=200)}).")
    return _wrong(entry, faults)


def _faults_of_items(entry: Entry, task: Task, *, run_references: bool) -> list[str]:
    """Return what is wrong with the items. With the user's consent, the reference solutions run in the sandbox."""
    faults = list(item_faults(task, entry.metadata))
    if not faults and run_references and runs_programs(task):
        faults = list(reference_faults(task))
    return faults


def _wrong(entry: Entry, faults: Sequence[str]) -> Finding:
    first, *more = faults[:MOST_FAULTS]
    if len(faults) > MOST_FAULTS:
        more.append(f"and {len(faults) - MOST_FAULTS} more.")
    return Finding(name=entry.name, status="wrong", message=f"{entry.path}: {first}", more=tuple(more))


def _no_data(entry: Entry, missing_files: Sequence[str], catalogue: Catalogue) -> Finding:
    pinned = load_manifest(entry.path.parent)
    remedy = how_to_get({name: find(name, pinned) for name in missing_files}, catalogue.folders)
    return Finding(
        name=entry.name, status="no data", message=f"not on this machine: {', '.join(missing_files)}; {remedy}"
    )


def _not_run(entry: Entry, refused: CodeNotRunError) -> Finding:
    return Finding(name=entry.name, status="not run", message=f"{entry.path} {refused}")


def _is_own(entry: Entry) -> bool:
    return tasks_dir() in entry.path.parents


def _remark(entry: Entry) -> str:
    """Return what the metadata of a task of another project may have besides; empty if it has all."""
    lacking = [key for key in OF_THIS_PROJECT if key not in entry.metadata]
    return f"; metadata lacks {' and '.join(lacking)}, which reports and this check use" if lacking else ""


def _metadata_faults(entry: Entry) -> Iterator[str]:
    for key in METADATA:
        if key not in entry.metadata and (_is_own(entry) or key not in OF_THIS_PROJECT):
            yield f"metadata lacks {key}; add it."
    if entry.domain and entry.domain not in DOMAINS:
        yield f"domain {entry.domain!r} is none of {', '.join(DOMAINS)}; correct it."
    items = entry.metadata.get("items")
    if items is not None and not (isinstance(items, int) and items > 0):
        yield f"items {items!r} must be a number of items, or null if the number is unknown until the data is read."
    chance = entry.metadata.get("chance", 0.0)
    if not isinstance(chance, int | float) or not 0 <= chance <= 1:
        yield f"chance {chance!r} must be a number from 0 to 1."
    if entry.metadata.get("data"):
        try:
            files: dict[str, DataFile] = load_manifest(entry.path.parent)
            for name in entry.metadata["data"]:
                find(name, files)
        except TaskError as error:
            yield str(error)
