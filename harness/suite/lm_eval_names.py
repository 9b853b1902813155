"""The names of lm-eval's own tasks, groups and tags, without building its index, which takes about 15 s."""

from __future__ import annotations

import functools
import os
import re
from importlib.util import find_spec
from pathlib import Path

# task: arc_easy          tag: [a, b]          - hellaswag          - task: winogrande
NAMES = re.compile(
    rb"""^["']?(?:task|group|tag)["']?:[ \t]*(\S.*?)[ \t\r]*$"""
    rb"""|^[ \t]*-[ \t]+(?:["']?(?:task|group|tag)["']?:[ \t]*)?(\S.*?)[ \t\r]*$""",
    re.MULTILINE,
)


def lm_eval_folder() -> Path:
    """Return the folder of the installed lm-eval, without importing it."""
    package = find_spec("lm_eval")
    assert package is not None
    assert package.origin is not None
    return Path(package.origin).resolve().parent


@functools.cache
def lm_eval_names() -> frozenset[str]:
    """Return every word in lm-eval's task files that can be a name: all names, and some other words."""
    found: set[str] = set()
    for folder, _, files in os.walk(lm_eval_folder() / "tasks"):
        for file in files:
            if file.endswith((".yaml", ".yml")) or "." not in file:  # included files may have no extension
                found.update(_names(Path(folder, file).read_bytes()))
    return frozenset(found)


def _names(content: bytes) -> list[str]:
    places = (direct or listed for direct, listed in NAMES.findall(content))
    return [name.strip(" \"'") for place in places for name in place.decode("utf-8", "replace").strip("[]").split(",")]
