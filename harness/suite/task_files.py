"""Which YAML files of a folder define tasks, and which are left out: hidden ones, and those of other programs.

A folder of tasks may also hold an editor's leftovers (``.ipynb_checkpoints``), a ``docker-compose.yaml`` or a file for
CI. lm-eval indexes hidden files too, and takes the first file of a name. So within this process it lists the files
with `task_files`; that is a run-time patch, and `install` raises an error if it does not fit.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from harness.errors import HarnessError
from harness.plain_yaml import check_yaml

# A line that starts with a field of a task, a group or what they include; files of other programs have none.
_FIELD = re.compile(
    rb"""^["']?(task|task_list|group|dataset_\w+|custom_dataset|\w+_split|doc_to_\w+|process_\w+|output_type|use_prompt"""
    rb"""|fewshot_\w+|num_fewshot|target_delimiter|metric_list|aggregate_metric_list|filter_list|generation_kwargs"""
    rb"""|repeats|gen_prefix)["']?[ \t]*:""",
    re.MULTILINE,
)


@dataclass(frozen=True, kw_only=True)
class TaskFiles:
    """The YAML files below a folder, sorted by path.

    Attributes:
        used: Files that define tasks or groups, or are included by others.
        skipped: Files that were left out; users see their names.
    """

    used: tuple[Path, ...]
    skipped: tuple[Path, ...]


def task_files(folder: Path) -> TaskFiles:
    """List the YAML files below `folder`, at any depth."""
    used: list[Path] = []
    skipped: list[Path] = []
    for path in sorted(folder.rglob("*.yaml")):
        parts = path.relative_to(folder).parts
        if "__pycache__" in parts:
            continue
        hidden = any(part.startswith(".") for part in parts)
        fragment = any(part.startswith("_") for part in parts) or path.name == "data.yaml"
        foreign = not hidden and not fragment and _is_foreign(path)
        (skipped if hidden or foreign else used).append(path)
    return TaskFiles(used=tuple(used), skipped=tuple(skipped))


def _is_foreign(path: Path) -> bool:
    try:
        content = path.read_bytes()
    except OSError:
        return False  # reading it as a task gives the reason
    content = content.removeprefix(codecs.BOM_UTF8)
    # A file with such a line is a task even if it is no valid YAML: its error is the user's to see.
    if not content.strip() or _FIELD.search(content):
        return False
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return False  # perhaps a task in another encoding, such as UTF-16
    try:  # fields may also be indented, or stand in braces
        check_yaml(text, yaml.SafeLoader)
        config = yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506 - makes text, lists and mappings only
    except (yaml.YAMLError, ValueError, RecursionError):
        return True
    return not isinstance(config, dict) or not any(_FIELD.match(f"{key}:".encode()) for key in config)


def install() -> None:
    """Let lm-eval index the files of `task_files` only, in this process. Raises: HarnessError if it lists otherwise."""
    from lm_eval.tasks._index import TaskIndex

    if not hasattr(TaskIndex, "_iter_yaml_files"):
        raise HarnessError(
            "this version of lm-eval lists task files in another way than expected; install the version that "
            "pyproject.toml names"
        )
    if not hasattr(TaskIndex, "lists_visible_files"):
        own = TaskIndex._iter_yaml_files  # noqa: SLF001 - see above
        TaskIndex._iter_yaml_files = staticmethod(lambda root: _visible(root, own))  # noqa: SLF001
        TaskIndex.lists_visible_files = True


def _visible(root: Path, own: object) -> Iterator[Path]:
    from harness.suite.lm_eval_names import lm_eval_folder

    if root.resolve().is_relative_to(lm_eval_folder()):
        yield from own(root)  # type: ignore[operator]
    else:
        yield from task_files(root).used
