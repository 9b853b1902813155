"""Data sets of tasks on the hub: without a network the hub's cache is read, and one that is not there is one line.

lm-eval's `download` loads a task's data set. `install` puts a function around it, in this process.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.errors import TaskError
from harness.hub_access import cache_only_without_hub

Download = Callable[..., None]


def install() -> None:
    """Put the function around lm-eval's, once."""
    from lm_eval.api.task import ConfigurableTask, Task

    for kind in (Task, ConfigurableTask):
        own = kind.download
        if not hasattr(own, "__wrapped__"):
            kind.download = _around(own)


def _around(own: Download) -> Download:
    @functools.wraps(own)
    def download(task: Any, *arguments: Any, **keywords: Any) -> None:
        if not _on_hub(task):
            own(task, *arguments, **keywords)
            return
        with cache_only_without_hub() as reason:
            try:
                own(task, *arguments, **keywords)
            except (OSError, ValueError) as error:  # of `datasets`, for what its cache does not have
                if not reason:
                    raise
                raise TaskError(
                    f"task {task.config.task or ''}: its data set {task.DATASET_PATH} is not on this machine, and "
                    f"{reason}; connect to the network, or set HF_DATASETS_CACHE to a cache that holds it. Tasks of "
                    "`harness tasks list` can read HARNESS_DATA instead."
                ) from error

    return download


def _on_hub(task: Any) -> bool:
    name = task.DATASET_PATH
    if not isinstance(name, str) or callable(getattr(task.config, "custom_dataset", None)) or Path(name).exists():
        return False
    from datasets.packaged_modules import _PACKAGED_DATASETS_MODULES  # takes a second, which the data set needs anyway

    return name not in _PACKAGED_DATASETS_MODULES
