"""Read the items that this project's generated tasks produce: an endless source of training records."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from harness.errors import InputError, did_you_mean
from harness.paths import tasks_dir
from harness.trainers.data.readers import Cursor, RawRecord

PROBLEM_FIELDS = {"program_prompt": "prompt", "code": "solution"}  # a generated item's field -> the format's
ITEMS_PER_CALL = 64


@dataclass(frozen=True, kw_only=True)
class TaskReader:
    """The endless stream of one generated task.

    Attributes:
        task: For example ``mini_logic``.
        split: ``train``, or ``test`` where evaluation data is allowed.
    """

    task: str
    split: str = "train"

    @property
    def files(self) -> Sequence[Path]:
        """Empty: the items are generated."""
        return ()

    def read(self, cursor: Cursor) -> Iterator[RawRecord]:
        """Yield the items from `cursor` on, without end."""
        generate = generator_of(self.task).generate
        while True:
            offset = cursor.offset
            for item in generate(self.split, ITEMS_PER_CALL, start=offset):
                offset += 1
                fields = {PROBLEM_FIELDS.get(name, name): value for name, value in asdict(item).items()}
                yield RawRecord(fields, f"{self.task}, {self.split} item {offset}", Cursor(0, offset, offset))
            cursor = Cursor(0, offset, offset)


@lru_cache(maxsize=16)
def generator_of(task: str) -> Any:
    """Return the module that generates a task's items.

    Raises:
        InputError: there is no such task.
    """
    folder = tasks_dir() / "reasoning_mini"
    known = {f"mini_{path.parent.name}": path for path in sorted(folder.glob("*/generator.py"))}
    if task not in known:
        raise InputError(
            f"task {task!r}: generates no training items; give one of {', '.join(known)}.{did_you_mean(task, known)}"
        )
    name = f"trainers_tasks.{task}"
    spec = importlib.util.spec_from_file_location(name, known[task])
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
