"""Tasks by name, group and domain: the project's own, those in `--include_path`, and every task of lm-eval.

lm-eval's `TaskManager` builds the task objects. It silently skips an invalid YAML file, so this module reads the user's
files first and raises an error that names the file. Indexing lm-eval's own 14,000 definitions takes seconds, so it only
happens if a name is unknown here.
"""

from __future__ import annotations

import fnmatch
import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import yaml

from harness.errors import HarnessError, TaskError, did_you_mean, one_line
from harness.paths import tasks_dir
from harness.plain_yaml import check_yaml
from harness.records.run_folder import MAX_NAME
from harness.suite.consent import refused_code
from harness.suite.data_files import check_data_files
from harness.suite.lm_eval_names import lm_eval_names

if TYPE_CHECKING:
    from lm_eval.api.group import Group
    from lm_eval.api.task import Task
    from lm_eval.tasks import TaskManager

DOMAINS = ("logic", "legal", "science", "analogy", "code_qa", "code_gen", "general")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One YAML definition, read without building the task."""

    name: str
    kind: Literal["task", "group"]
    path: Path
    config: dict[str, Any] = field(repr=False)

    @property
    def domain(self) -> str:
        """The reasoning domain in its metadata, or an empty string."""
        return str(self.metadata.get("domain", ""))

    @property
    def metadata(self) -> dict[str, Any]:
        """The `metadata` block; empty if there is none."""
        return self.config.get("metadata") or {}

    @property
    def code(self) -> list[str]:
        """The Python that the file refers to: a class, functions such as ``!function utils.process_docs``."""
        if self.kind == "group":
            return []
        found = [f"class {self.config['class']}"] if "class" in self.config else []
        return found + list(dict.fromkeys(_functions_in(self.config)))

    @property
    def members(self) -> list[str]:
        """Names in a group's task list; empty for a task."""
        listed = self.config.get("task", []) if self.kind == "group" else []
        return [str(m.get("group") or m.get("task")) if isinstance(m, dict) else str(m) for m in listed]


@dataclass(frozen=True, kw_only=True)
class LoadedTasks:
    """Task objects ready to build requests, in the order of the requested names."""

    tasks: dict[str, Task]
    groups: dict[str, Group]
    group_map: dict[str, list[str]]


def _functions_in(value: Any) -> Iterator[str]:
    if isinstance(value, str) and value.startswith("!function "):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _functions_in(part)


class _TaskYamlLoader(yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader):  # type: ignore[misc]
    """Reads YAML with lm-eval's ``!function`` as text."""


_TaskYamlLoader.add_constructor("!function", lambda loader, node: f"!function {loader.construct_scalar(node)}")


def read_yaml(path: Path) -> dict[str, Any]:
    """Read one task file and merge its ``include`` as lm-eval does. Functions stay unresolved.

    Raises:
        TaskError: The file is invalid; the message names file and line.
    """
    return _read(path, seen=())


def _read(path: Path, seen: tuple[Path, ...]) -> dict[str, Any]:
    if path in seen:
        raise TaskError(f"{path}: includes itself; remove the circular include.")
    try:
        text = path.read_text(encoding="utf-8")
        check_yaml(text, _TaskYamlLoader)
        config = yaml.load(text, Loader=_TaskYamlLoader)  # noqa: S506 - a SafeLoader subclass
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or one_line(error, max_characters=160)
        raise TaskError(f"{path}{where}: not valid YAML ({problem}); correct it there.") from None
    except OSError as error:
        raise TaskError(f"{path}: cannot be read ({error.strerror}); check the path in --include_path.") from None
    if not isinstance(config, dict):
        raise TaskError(f"{path}: is a {type(config).__name__}, must be a mapping of task fields.")
    merged: dict[str, Any] = {}
    includes = config.pop("include", None) or []
    if not isinstance(includes, str | list):
        raise TaskError(f"{path}: field include is a {type(includes).__name__}, must be a file name or a list of them.")
    for name in [includes] if isinstance(includes, str) else includes:
        target = Path(str(name)) if Path(str(name)).is_absolute() else path.parent / str(name)
        if not target.is_file():
            raise TaskError(f"{path}: includes {name!r}, which does not exist in its folder; correct the include line.")
        merged |= _read(target, (*seen, path))
    return merged | config


def read_folder(folder: Path) -> dict[str, Entry]:
    """Read every task and group below `folder`.

    Raises:
        TaskError: For the first file that does not parse, lacks a required field or repeats a name.
    """
    if not folder.is_dir():
        raise TaskError(f"--include_path {folder}: no such folder; give a folder with task YAML files.")
    paths = [p for p in sorted(folder.rglob("*.yaml")) if "__pycache__" not in p.parts]
    parsed = {path: read_yaml(path) for path in paths}
    included = _included(paths)
    entries: dict[str, Entry] = {}
    for path, config in parsed.items():
        if _is_fragment(path, folder, config, included):
            continue
        entry = _entry(path, config)
        if entry.name in entries:
            raise TaskError(f"{path}: the name {entry.name!r} is also used in {entries[entry.name].path}; rename one.")
        entries[entry.name] = entry
    return entries


NOT_TASKS = {"data.yaml"}  # the manifest of data files; see harness.data.manifest


def _is_fragment(path: Path, folder: Path, config: Mapping[str, Any], included: set[Path]) -> bool:
    """Whether a file only serves as an include: it defines no task, and is included or marked by an underscore."""
    if path.name in NOT_TASKS:
        return True
    marked = any(part.startswith("_") for part in path.relative_to(folder).parts)
    return not ({"task", "group", "class"} & config.keys()) and (marked or path.resolve() in included)


def _included(paths: Iterable[Path]) -> set[Path]:
    included_files: set[Path] = set()
    for path in paths:
        config = yaml.load(path.read_text(encoding="utf-8"), Loader=_TaskYamlLoader)  # noqa: S506 - parsed before
        names = config.get("include") or []
        included_files.update((path.parent / str(n)).resolve() for n in ([names] if isinstance(names, str) else names))
    return included_files


MOST_LEVELS, MOST_MEMBERS = 50, 100_000


def _check_groups(entries: Mapping[str, Entry]) -> None:
    """Refuse groups that contain themselves, are nested too deep, or name too many tasks when written out."""
    groups = {name: entry.members for name, entry in entries.items() if entry.kind == "group"}
    try:
        order = list(TopologicalSorter(groups).static_order())  # members first
    except CycleError as error:
        circle = error.args[1]
        path = entries[circle[0]].path
        raise TaskError(
            f"{path}: group {circle[0]!r} contains itself ({' > '.join(circle[:10])}); remove one member."
        ) from None
    levels: dict[str, int] = {}
    sizes: dict[str, int] = {}
    for name in order:
        members = groups.get(name, ())
        levels[name] = 1 + max((levels[member] for member in members), default=0)
        sizes[name] = sum(sizes[member] for member in members) if members else 1
        if levels[name] > MOST_LEVELS or sizes[name] > MOST_MEMBERS:
            raise TaskError(
                f"{entries[name].path}: group {name!r} is nested more than {MOST_LEVELS} levels deep, or names more "
                f"than {MOST_MEMBERS:,} tasks through its members; remove members."
            )


def _entry(path: Path, config: dict[str, Any]) -> Entry:
    if not isinstance(config.get("metadata") or {}, dict):
        kind = type(config["metadata"]).__name__
        raise TaskError(f"{path}: field metadata is a {kind}, must be a mapping; correct it there.")
    if "group" in config:
        if not isinstance(config.get("task"), list) or not config["task"]:
            raise TaskError(
                f"{path}: group {str(config['group'])[:60]!r} lacks the field task, a list of its members; add it."
            )
        for member in config["task"]:
            if not isinstance(member, str | dict):
                raise TaskError(
                    f"{path}: field task: member {str(member)[:60]!r} is a {type(member).__name__}; give a name there."
                )
            _name(path, (member.get("group") or member.get("task")) if isinstance(member, dict) else member)
        return Entry(name=_name(path, config["group"]), kind="group", path=path, config=config)
    if "task" not in config:
        raise TaskError(f"{path}: lacks the field task (its name) or group; add `task: NAME`.")
    _check_task_fields(path, config)
    return Entry(name=_name(path, config["task"]), kind="task", path=path, config=config)


def _name(path: Path, value: object) -> str:
    """Return the name of a task or group, which is part of file names. Raises: TaskError."""
    if not isinstance(value, str | int | float):
        raise TaskError(f"{path}: the name is a {type(value).__name__}, must be text; correct it there.")
    name = str(value)
    if not name or "/" in name or "\0" in name or len(name.encode()) > MAX_NAME:
        raise TaskError(
            f"{path}: the name {name[:60]!r} cannot be part of a file name; use at most {MAX_NAME} bytes and no slash."
        )
    return name


def _check_task_fields(path: Path, config: Mapping[str, Any]) -> None:
    if "class" in config:
        return
    needs = {
        "dataset_path or custom_dataset": ("dataset_path", "custom_dataset"),
        "test_split or validation_split": ("test_split", "validation_split"),
        "doc_to_text": ("doc_to_text", "use_prompt"),
        "doc_to_target": ("doc_to_target", "use_prompt", "process_results"),
    }
    for needed, any_of in needs.items():
        if not any(config.get(key) is not None for key in any_of):
            raise TaskError(f"{path}: task {config['task']!r} lacks the field {needed}; add it.")


def task_manager(
    folders: Sequence[Path], *, defaults: bool = False, metadata: dict[str, Any] | None = None
) -> TaskManager:
    """Return lm-eval's task manager, with templates in the sandbox.

    Args:
        folders: Folders of task YAML.
        defaults: Whether to index lm-eval's own tasks too, which takes seconds.
        metadata: For the tasks' own code.
    """
    from lm_eval.tasks import TaskManager

    from harness.suite import consent, templates

    templates.install()
    consent.install()
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
        for folder in self._folders:
            self.entries |= read_folder(folder)
        _check_groups(self.entries)
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

    def lm_eval_names(self) -> list[str]:
        """Return the names of lm-eval's own tasks, groups and tags; takes seconds."""
        return [str(name) for name in self._full_manager().all_tasks if name not in self.entries]

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
            entry = _entry(Path(name), read_yaml(Path(name)))
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
            matches = [name] if name in lm_eval_names() and name in self._full_manager().all_tasks else []
        if not matches:
            hint = did_you_mean(name, [*self._local_names, *lm_eval_names()])
            raise TaskError(f"--tasks {name}: unknown task or group.{hint} `harness tasks list` shows the known ones.")
        return matches

    @functools.cached_property
    def _local_names(self) -> frozenset[str]:
        """The names in the folders, with the tags, which stand in no entry's name."""
        return frozenset(self._make_manager(defaults=False, metadata=None).all_tasks) | self.entries.keys()

    def knows(self, name: str) -> bool:
        """Whether a name is a task, group or tag here, or may be one of lm-eval's."""
        return name in self.entries or name in self._local_names or name in lm_eval_names()

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
