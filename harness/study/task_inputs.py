"""The digest of everything that given tasks read, so that an edited file changes only the evaluations that read it.

tasks_digest(["t_choice"], Catalogue([Path("my_tasks")]), None)
->  my_tasks/choice.yaml and the YAML files that it includes
    my_tasks/utils.py, if it says `!function utils.NAME`, and the modules beside it that utils.py imports
    my_tasks/items.jsonl, if that is its data; of a task with a loader of its own, all data beside the loader
    the YAML of t_choice's group, its entries in data.yaml
    all Python and data of this project's tasks, and the code that extracts and scores answers
"""

from __future__ import annotations

import ast
import fnmatch
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.data.manifest import find, load_manifest
from harness.errors import TaskError
from harness.paths import data_dir, tasks_dir
from harness.study.files import digest_of_files, files_at, files_in
from harness.study.nodes import digest_of
from harness.suite.catalogue import Catalogue
from harness.suite.definitions import Entry, functions_in, read_definition, with_includes
from harness.suite.selection import ALL, with_files

DATA_SUFFIXES = (".json", ".jsonl", ".csv", ".tsv", ".txt", ".parquet", ".gz")
LOADERS = ("class", "custom_dataset")  # fields with a function that may read any file
# `dataset_path` may hold one of these file formats instead of a folder.
FILE_KINDS = ("json", "csv", "parquet", "text", "arrow", "pandas", "xml", "webdataset")


def tasks_digest(names: Sequence[str], catalogue: Catalogue, data_folder: Path | None) -> str:
    """Return the digest of what these tasks read.

    Args:
        names: Tasks, groups, tags, globs, YAML files, folders of them, or ``all``. lm-eval's own tasks change only with
            its version.
        catalogue: All tasks, with those of the user's folders.
        data_folder: The folder of benchmark data; None for the usual one.

    Raises:
        TaskError: a YAML file among the names is missing or invalid.
    """
    roots = [Path(__file__).parent.parent / "suite", *catalogue.folders]
    files = {path for root in (roots[0], tasks_dir()) for path in files_in(root, (".py", *DATA_SUFFIXES))}
    pinned: set[str] = set()
    for entry in (entry for name in with_files(names, catalogue) for entry in _entries(name, catalogue)):
        for path, fields in with_includes(entry.path).items():
            files |= {path, *_code(path, fields)}
        files |= _data(entry)
        for file, its_pin in _manifest_files(entry, data_folder or data_dir()):
            files |= file
            pinned.add(its_pin)
    named = sorted({(_name(path, roots), path) for path in files})
    return digest_of({"files": digest_of_files(named), "pinned": sorted(pinned)})


def _entries(name: str, catalogue: Catalogue) -> Iterator[Entry]:
    """Yield the tasks and groups that a name stands for, and the members of the groups; none for lm-eval's own."""
    if name == ALL and name not in catalogue.entries:
        yield from catalogue.entries.values()
        return
    if Path(name).suffix == ".yaml":
        named = [read_definition(Path(name))]
    else:
        named = [entry for each, entry in catalogue.entries.items() if fnmatch.fnmatchcase(each, name)]
        named += [entry for entry in catalogue.entries.values() if name in _tags(entry)]
    for entry in named:
        yield entry
        for member in (entry.name, *entry.members):
            yield from catalogue.groups_below(member)
            yield from catalogue.tasks_below(member)


def _tags(entry: Entry) -> Sequence[str]:
    tags = entry.config.get("tag") or ()
    return [tags] if isinstance(tags, str) else tags


def _code(path: Path, fields: Mapping[str, Any]) -> Iterator[Path]:
    """Yield the modules that hold a YAML file's functions, and the data beside a loader's module."""
    for field, value in fields.items():
        for function in functions_in(value):
            module = function.removeprefix("!function ").rpartition(".")[0]
            file = path.parent / f"{module.replace('.', '/')}.py"
            if file.is_file():
                yield from _imported(file, set())
                if field in LOADERS:
                    yield from files_in(file.parent, DATA_SUFFIXES)


def _imported(file: Path, seen: set[Path]) -> set[Path]:
    """Return a module and the modules beside it that it imports, directly or indirectly."""
    if file in seen:
        return seen
    seen.add(file)
    try:
        tree = ast.parse(file.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):  # importing it gives the reason
        return seen
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            base = node.module or ""
            names = [base, *(f"{base}.{alias.name}".strip(".") for alias in node.names)]
        for name in filter(None, names):
            beside = file.parent / name.replace(".", "/")
            for module in (beside.with_suffix(".py"), beside / "__init__.py"):
                if module.is_file():
                    _imported(module, seen)
    return seen


def _data(entry: Entry) -> set[Path]:
    """Return the local files that a task's fields name as its data."""
    kwargs = entry.config.get("dataset_kwargs")
    kwargs = kwargs if isinstance(kwargs, dict) else {}
    folder, kind = kwargs.get("data_dir"), entry.config.get("dataset_path")
    texts = [folder, *([kind] if kind not in FILE_KINDS else [])]
    for text in _texts(kwargs.get("data_files")):
        texts += [text, str(Path(folder) / text)] if isinstance(folder, str) else [text]
    return {path for text in texts if isinstance(text, str) and text for path in files_at(text)[0]}


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner)


def _manifest_files(entry: Entry, folder: Path | None) -> Iterator[tuple[set[Path], str]]:
    """Yield each data file of a task that is not pinned and in the data folder, and its entry in the manifest.

    The content of a pinned file never changes. A fetched file keeps the content of the first download.
    """
    for name in _texts(entry.metadata.get("data")):
        try:
            file = find(name, load_manifest(entry.path.parent))
        except TaskError:  # loading the task gives the reason
            continue
        local = folder / file.path if folder is not None and not file.sha256 else None
        yield {local} if local is not None and local.is_file() else set(), f"{name}: {file.model_dump_json()}"


def _name(path: Path, roots: Sequence[Path]) -> str:
    """Return a file's path relative to the folder of tasks that it is in, the same on each machine; else its name."""
    root = next((root for root in roots if path.is_relative_to(root)), None)
    return path.name if root is None else str(path.relative_to(root))
