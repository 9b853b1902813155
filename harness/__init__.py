"""stage-harness: which training stage, and which data, made this checkpoint better, and is the difference real?

    import harness

    harness.evaluate(model="runs/sft", tasks=["reasoning_mini"], output_path="runs/eval").frame()

Importing this package imports nothing heavy: a name below is imported when it is first used. ``__init__.pyi`` declares
them for type checkers.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_MODULES = {
    "evaluate": "harness.api.evaluating",
    "EvaluationResults": "harness.api.evaluation_results",
    "IncompleteEvaluation": "harness.api.evaluation_results",
    "compare": "harness.api.reporting",
    "Comparison": "harness.api.reporting",
    "leaderboard": "harness.api.reporting",
    "Leaderboard": "harness.api.reporting",
    "train": "harness.api.training",
    "StageResult": "harness.api.training",
    "StagePlan": "harness.api.training",
    "run": "harness.api.studying",
    "Study": "harness.api.studying",
    "StudyPlan": "harness.api.studying",
    "load": "harness.api.loading",
    "LoadedRecords": "harness.api.loading",
    "HarnessError": "harness.errors",
    "InputError": "harness.errors",
    "lm_eval_models": "harness.lm_eval_models",
}

__all__ = ["__version__", *_MODULES]


def __getattr__(name: str) -> Any:
    """Import the module that has a name, when the name is first used."""
    if name not in _MODULES:
        raise AttributeError(f"module 'harness' has no attribute {name!r}")
    module = import_module(_MODULES[name])
    value = module if _MODULES[name] == f"harness.{name}" else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the names that are imported when they are used, too."""
    return sorted({*globals(), *__all__})
