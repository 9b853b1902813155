"""Which Python a task file may run: without the user's consent, only that of this project and of lm-eval.

A task file names functions (``!function utils.load``), classes and metric scripts, which lm-eval imports while it loads
the task. `harness eval --include_path DIR` is the user's consent for DIR, as in lm-eval; `harness tasks show` and
``validate`` only look. Within `no_code_of_others`, an import of anything else raises `CodeNotRunError`.

The check stands where lm-eval imports, because what a file says before that can be hidden: by an include, by a second
key of the same name, in a group, as a key instead of a value. This is a run-time patch of lm-eval; `install` raises an
error if it does not fit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from harness.errors import HarnessError, TaskError
from harness.paths import tasks_dir
from harness.suite.lm_eval_names import lm_eval_folder

# Modules that hold nothing but functions for task files.
_FOR_TASKS = ("harness.answers", "harness.code_tasks", "harness.task_results")

_allowed: ContextVar[bool] = ContextVar("code_of_others_allowed", default=True)


class CodeNotRunError(TaskError):
    """A task needs Python that the user has not consented to. `code` says which: ``!function utils.load``."""

    def __init__(self, code: str) -> None:
        super().__init__(f"needs {code}; add --run_code if you trust it.")
        self.code = code


def refused_code(error: BaseException) -> CodeNotRunError | None:
    """Return the refusal behind an error: a library may have raised its own error because of it."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, CodeNotRunError):
        cause = cause.__cause__ or cause.__context__
    return cause


@contextmanager
def no_code_of_others(refused: bool = True) -> Iterator[None]:
    """Refuse all Python but this project's and lm-eval's inside the block, unless `refused` is false."""
    token = _allowed.set(not refused)
    try:
        yield
    finally:
        _allowed.reset(token)


def install() -> None:
    """Put the checks into lm-eval, in this process. Raises: HarnessError if it imports in another way."""
    from lm_eval.api import registry
    from lm_eval.api import task as task_module
    from lm_eval.tasks import _yaml_loader as loader

    if getattr(loader, "asks_for_consent", False):
        return
    checks: dict[str, Callable[[Callable[..., Any]], Callable[..., Any]]] = {
        "_import_func_in_yml": _checked_function,
        "_load_module_with_cache": _checked_module,
    }
    if not all(hasattr(loader, name) for name in checks) or not hasattr(task_module, "get_metric"):
        raise HarnessError(
            "this version of lm-eval imports the code of tasks in another way than expected; install the version that "
            "pyproject.toml names"
        )
    for name, check in checks.items():
        setattr(loader, name, check(getattr(loader, name)))
    registry.get_metric = task_module.get_metric = _checked_metric(registry.get_metric, registry)
    loader.asks_for_consent = True


def _is_trusted(path: Path) -> bool:
    resolved = path.expanduser().resolve()
    return any(resolved.is_relative_to(folder) for folder in (tasks_dir(), lm_eval_folder()))


def _is_for_tasks(qual: str, base_dir: Path) -> bool:
    """Whether a `!function` name refers to this project's functions for tasks.

    lm-eval would import a file of that name next to the YAML instead, so there must be none.
    """
    module, _, name = qual.rpartition(".")
    shadow = base_dir / f"{module.replace('.', '/')}.py"
    return module in _FOR_TASKS and not name.startswith("_") and not shadow.exists()


def _checked_function(import_function: Callable[..., Any]) -> Callable[..., Any]:
    def checked(qual: str, base_dir: Path) -> Any:
        if not (_allowed.get() or _is_trusted(base_dir) or _is_for_tasks(qual, base_dir)):
            raise CodeNotRunError(f"!function {qual}")
        return import_function(qual, base_dir)

    return checked


def _checked_module(load_module: Callable[[Path], Any]) -> Callable[[Path], Any]:
    def checked(module_path: Path) -> Any:
        if not _allowed.get() and not _is_trusted(module_path):
            raise CodeNotRunError(f"the module {module_path}")
        return load_module(module_path)

    return checked


def _checked_metric(get_metric: Callable[..., Any], registry: Any) -> Callable[..., Any]:
    """A metric that lm-eval does not know is a script, here or on the hub, which `evaluate` runs."""

    def checked(name: str, hf_evaluate_metric: bool = False) -> Any:
        if not _allowed.get() and (hf_evaluate_metric or name not in registry.METRIC_REGISTRY):
            raise CodeNotRunError(f"the metric {name}")
        return get_metric(name, hf_evaluate_metric)

    return checked
