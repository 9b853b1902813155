"""Tasks by name, group and domain: the project's own, those in `--include_path`, and every task of lm-eval.

lm-eval's `TaskManager` builds the task objects. It silently skips an invalid YAML file, so `definitions` reads the
user's files first and raises an error that names the file. Indexing lm-eval's own 14,000 definitions takes seconds, so
it only happens for names that are unknown here and may be lm-eval's.
"""

from __future__ import annotations

import fnmatch
import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import HarnessError, TaskError, did_you_mean, one_line
from harness.paths import tasks_dir
from harness.suite.consent import refused_code
from harness.suite.data_files import check_data_files
from harness.suite.definitions import Entry, check_groups, read_definition, read_folder
from harness.suite.item_table import keep_items
from harness.suite.lm_eval_names import lm_eval_names
from harness.suite.task_files import task_files

if TYPE_CHECKING:
    from lm_eval.api.group import Group
    from lm_eval.api.task import Task
    from lm_eval.tasks import TaskManager

MOST_SKIPPED = 5  # files that a message names


@dataclass(frozen=True, kw_only=True)
class LoadedTasks:
    """Task objects ready to build requests, in the order of the requested names."""

    tasks: dict[str, Task]
    groups: dict[str, Group]
    group_map: dict[str, list[str]]


def task_manager(
    folders: Sequence[Path], *, defaults: bool = False, metadata: dict[str, Any] | None = None
) -> TaskManager:
    """Return lm-eval's task manager, with templates in the sandbox.

    Args:
        folders: Folders of task YAML.
        defaults: Whether to index lm-eval's own tasks too, which takes seconds.
        metadata: For the tasks' own code.
    """
    from harness.suite import consent, hub_datasets, lm_eval_shortcuts, task_files, templates
    from harness.suite.lm_eval_imports import import_lm_eval

    import_lm_eval()
    from lm_eval.tasks import TaskManager

    templates.install()
    consent.install()
    task_files.install()
    lm_eval_shortcuts.install()
    hub_datasets.install()
    return TaskManager(include_path=[str(folder) for folder in folders], include_defaults=defaults, metadata=metadata)


class Catalogue:
    """All known tasks: those in `--include_path` first, then the project's own, then lm-eval's.

    Args:
        include_paths: The user's folders of task YAML; their names take precedence.

    Raises:
        TaskError: One of these folders is missing or has an invalid file.
    """

    def __init__(self, include_paths: Sequence[Path] = ()) -> None:
        self._folders = [tasks_dir(), *include_paths]
        self.entries: dict[str, Entry] = {}
        self._replaced: set[str] = set()
        for folder in self._folders:
            found = read_folder(folder)
            self._replaced |= self.entries.keys() & found.keys()
            self.entries |= found
        check_groups(self.entries)
        self._manager: TaskManager | None = None

    def load(self, names: Sequence[str], *, metadata: dict[str, Any] | None = None) -> LoadedTasks:
        """Build the task objects for names, globs or paths of YAML files.

        Raises:
            TaskError: A name is unknown, lm-eval cannot build a task, or data is unavailable.
        """
        task_names = self._resolve(names)
        for name in task_names:
            if name in self.entries:
                self.check_members(self.entries[name])
        manager = self._manager_for(task_names, metadata)
        tasks: dict[str, Task] = {}
        groups: dict[str, Group] = {}
        group_map: dict[str, list[str]] = {}
        for name in task_names:
            loaded = self._build(manager, name)
            tasks |= {key: task for key, task in loaded["tasks"].items() if key not in tasks}
            groups |= loaded.get("groups", {})
            group_map |= loaded.get("group_map", {})
        return LoadedTasks(tasks=tasks, groups=groups, group_map=group_map)

    def check(self, names: Sequence[str]) -> None:
        """Check that every name is known.

        Raises:
            TaskError: A name is unknown; the message suggests similar ones.
        """
        self._resolve(names)

    @property
    def folders(self) -> Sequence[Path]:
        """The folders of task YAML: the project's own, then the user's."""
        return self._folders

    def replaced(self, names: Iterable[str]) -> list[str]:
        """Return which of these tasks a later folder defines anew, each with that file: ``NAME in FILE``."""
        return [f"{name} in {self.entries[name].path}" for name in names if name in self._replaced]

    def skipped_files(self) -> str:
        """Return a sentence on the YAML files that are hidden or define no task; empty if there are none."""
        skipped = [str(path) for folder in self._folders[1:] for path in task_files(folder).skipped]
        if not skipped:
            return ""
        more = f" and {len(skipped) - MOST_SKIPPED} more" if len(skipped) > MOST_SKIPPED else ""
        return f" Skipped YAML files, hidden or without a task: {', '.join(skipped[:MOST_SKIPPED])}{more}."

    def lm_eval_kinds(self) -> dict[str, str]:
        """Return lm-eval's own ``group``, ``task`` and ``tag`` of each name; takes seconds."""
        manager = self._full_manager()
        named = {"group": manager.all_groups, "task": manager.all_subtasks, "tag": manager.all_tags}
        return {str(name): kind for kind, names in named.items() for name in names if name not in self._local_names}

    def tasks_below(self, name: str) -> list[Entry]:
        """Return the task itself, or all tasks of a group and its subgroups; an empty list for an unknown name."""
        return [entry for entry in self._below(name) if entry.kind == "task"]

    def groups_below(self, name: str) -> list[Entry]:
        """Return the subgroups of a group, at any depth."""
        return [entry for entry in self._below(name) if entry.kind == "group" and entry.name != name]

    def _below(self, name: str) -> list[Entry]:
        """Return an entry and all that it names, each once, in order."""
        found: dict[str, Entry] = {}
        waiting = [name]
        while waiting:
            entry = self.entries.get(waiting.pop())
            if entry is not None and entry.name not in found:
                found[entry.name] = entry
                waiting += reversed(entry.members)
        return list(found.values())

    def described(self, name: str) -> list[Entry]:
        """Return the entries that a name, a pattern or the path of a YAML file means, without building them."""
        if Path(name).suffix == ".yaml":
            entry = read_definition(Path(name))
            return [task for member in entry.members for task in self.tasks_below(member)] or [entry]
        names = fnmatch.filter(self.entries, name) if any(c in name for c in "*?[") else [name]
        found = {entry.name: entry for each in names for entry in self.tasks_below(each)}
        return list(found.values()) or [self.entries[each] for each in names if each in self.entries]

    def _resolve(self, names: Sequence[str]) -> list[str]:
        task_names: list[str] = []
        for name in names:
            matches = fnmatch.filter(self.entries, name) if any(c in name for c in "*?[") else []
            if name in self.entries or Path(name).suffix == ".yaml":
                matches = [name]
            task_names.extend(matches or self._from_lm_eval(name))
        return list(dict.fromkeys(task_names))

    def _from_lm_eval(self, name: str) -> list[str]:
        """Return the lm-eval names or tags that `name` matches; build lm-eval's index only if there can be one."""
        if any(c in name for c in "*?["):
            possible = fnmatch.filter(lm_eval_names(), name) or fnmatch.filter(self._local_names, name)
            matches = fnmatch.filter(self._full_manager().all_tasks, name) if possible else []
        elif name in self._local_names:
            matches = [name]
        else:
            matches = [name] if self.is_lm_evals(name) else []
        if not matches:
            hint = did_you_mean(name, [*self._local_names, *lm_eval_names()]) + self.skipped_files()
            raise TaskError(f"{name}: unknown task or group.{hint} `harness tasks list` shows the known ones.")
        return matches

    @functools.cached_property
    def _local_names(self) -> frozenset[str]:
        """The names in the folders, with the tags, which stand in no entry's name."""
        return frozenset(self._make_manager(defaults=False, metadata=None).all_tasks) | self.entries.keys()

    def knows(self, name: str) -> bool:
        """Whether a name is a task, group or tag here, or may be one of lm-eval's."""
        return name in self.entries or name in self._local_names or name in lm_eval_names()

    def is_lm_evals(self, name: str) -> bool:
        """Whether lm-eval has a task, group or tag of this name; takes seconds if its files hold the word."""
        return name in lm_eval_names() and name in self._full_manager().all_tasks

    def check_members(self, group: Entry) -> None:
        """Refuse a group with a member that neither this catalogue nor lm-eval knows. Raises: TaskError."""
        for entry in [group, *self.groups_below(group.name)]:
            for member in entry.config["task"] if entry.kind == "group" else ():
                if isinstance(member, dict) or Path(member).suffix == ".yaml":  # defined inline, or in another file
                    continue
                if not self.knows(member):
                    hint = did_you_mean(member, [*self._local_names, *lm_eval_names()])
                    raise TaskError(
                        f"{entry.path}: field task: no task or group {member[:60]!r}; correct the name.{hint}"
                    )

    def _manager_for(self, task_names: Sequence[str], metadata: dict[str, Any] | None) -> TaskManager:
        if self._manager is not None and not metadata:
            return self._manager
        all_local = all(self._is_local(name) for name in task_names)
        return self._full_manager(metadata) if not all_local else self._make_manager(defaults=False, metadata=metadata)

    def _is_local(self, name: str) -> bool:
        """Whether `name` and all its members are defined here, so that lm-eval's index is not needed."""
        if name not in self.entries:
            return name in self._local_names or Path(name).suffix == ".yaml"
        members = [member for entry in self._below(name) for member in entry.members]
        return all(member in self.entries or member in self._local_names for member in members)

    def _full_manager(self, metadata: dict[str, Any] | None = None) -> TaskManager:
        if self._manager is None or metadata:
            self._manager = self._make_manager(defaults=True, metadata=metadata)
        return self._manager

    def _make_manager(self, *, defaults: bool, metadata: dict[str, Any] | None) -> TaskManager:
        return task_manager(self._folders, defaults=defaults, metadata=metadata)

    def _build(self, manager: TaskManager, name: str) -> dict[str, Any]:
        for entry in self.tasks_below(name):
            check_data_files(entry.path, entry.config)
        try:
            loaded: dict[str, Any] = manager.load([name])
            for task in loaded["tasks"].values():
                keep_items(task)
        except HarnessError:
            raise
        # YAML, functions and loaders are the task author's code and may raise anything. Report it as an error of that
        # task and file, before any work is done.
        except Exception as error:
            refused = refused_code(error)
            if refused is not None:
                raise refused from error
            where = self.entries[name].path if name in self.entries else f"task {name}"
            reason = one_line(error, max_characters=300)
            raise TaskError(
                f"{where}: cannot be built ({type(error).__name__}: {reason}); correct the YAML, or provide its data "
                "(--data_dir, or a connection to the hub)."
            ) from error
        return loaded
