"""Definitions of tasks and groups as their YAML files say them, read and checked without building a task."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any, Literal

import yaml

from harness.errors import TaskError, one_line
from harness.plain_yaml import check_yaml
from harness.records.run_folder import MAX_NAME
from harness.suite.task_files import task_files

MOST_LEVELS, MOST_MEMBERS = 50, 100_000
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
        return found + list(dict.fromkeys(functions_in(self.config)))

    @property
    def members(self) -> list[str]:
        """Names in a group's task list; empty for a task."""
        listed = self.config.get("task", []) if self.kind == "group" else []
        return [str(m.get("group") or m.get("task")) if isinstance(m, dict) else str(m) for m in listed]


def functions_in(value: Any) -> Iterator[str]:
    """Yield the functions in a field's value, such as ``!function utils.process_docs``."""
    if isinstance(value, str) and value.startswith("!function "):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from functions_in(part)


class TaskYamlLoader(yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader):  # type: ignore[misc]
    """Reads YAML with lm-eval's ``!function`` as text."""


TaskYamlLoader.add_constructor("!function", lambda loader, node: f"!function {loader.construct_scalar(node)}")


def read_definition(path: Path) -> Entry:
    """Return the definition in one YAML file.

    Raises:
        TaskError: The file is invalid; the message names file and line.
    """
    return _entry(path, _Files().merged(path))


def with_includes(path: Path) -> dict[Path, dict[str, Any]]:
    """Return a definition's file and those that it includes, at any depth, each with its own fields.

    Raises:
        TaskError: one of them is invalid or missing.
    """
    files = _Files()
    files.merged(path)
    return files.read


class _Files:
    """YAML files, each of them read and merged once. Functions stay unresolved."""

    def __init__(self) -> None:
        self._loaded: dict[Path, dict[str, Any]] = {}
        self._merged: dict[Path, dict[str, Any]] = {}

    @property
    def read(self) -> dict[Path, dict[str, Any]]:
        """The files read so far, each with its own fields."""
        return dict(self._loaded)

    def merged(self, path: Path, above: tuple[Path, ...] = ()) -> dict[str, Any]:
        """Return a file's fields with those of its includes, as lm-eval merges them: its own come last."""
        if path in above or len(above) > MOST_LEVELS:
            raise TaskError(
                f"{path}: includes itself, or is included over more than {MOST_LEVELS} levels; remove an include."
            )
        if path not in self._merged:
            merged: dict[str, Any] = {}
            for target in self.includes(path):
                if not target.is_file():
                    raise TaskError(
                        f"{path}: includes {target.name!r}, which does not exist in its folder; correct the include "
                        "line."
                    )
                merged |= self.merged(target, (*above, path))
            own = {key: value for key, value in self.loaded(path).items() if key != "include"}
            self._merged[path] = merged | own
        return self._merged[path]

    def includes(self, path: Path) -> list[Path]:
        """Return the files that a file includes."""
        names = self.loaded(path).get("include") or []
        if not isinstance(names, str | list):
            raise TaskError(
                f"{path}: field include is a {type(names).__name__}, must be a file name or a list of them."
            )
        return [path.parent / str(name) for name in ([names] if isinstance(names, str) else names)]

    def loaded(self, path: Path) -> dict[str, Any]:
        """Return what a file holds."""
        if path not in self._loaded:
            self._loaded[path] = _load(path)
        return self._loaded[path]


def _load(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        check_yaml(text, TaskYamlLoader)
        config = yaml.load(text, Loader=TaskYamlLoader)  # noqa: S506 - a SafeLoader subclass
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or one_line(error, max_characters=160)
        raise TaskError(f"{path}{where}: not valid YAML ({problem}); correct it there.") from None
    except OSError as error:
        raise TaskError(f"{path}: cannot be read ({error.strerror}); check the path in --include_path.") from None
    if not isinstance(config, dict):
        raise TaskError(f"{path}: is a {type(config).__name__}, must be a mapping of task fields.")
    return config


def read_folder(folder: Path) -> dict[str, Entry]:
    """Read every task and group below `folder`.

    Raises:
        TaskError: For the first file that does not parse, lacks a required field or repeats a name.
    """
    if not folder.is_dir():
        raise TaskError(f"--include_path {folder}: no such folder; give a folder with task YAML files.")
    paths = task_files(folder).used
    files = _Files()
    parsed = {path: files.merged(path) for path in paths}
    included = {target.resolve() for path in paths for target in files.includes(path)}
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


def check_groups(entries: Mapping[str, Entry]) -> None:
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
