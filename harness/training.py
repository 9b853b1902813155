"""Read a stage file and find its trainer by entry point, so that any package can add one.

    spec = read_stage(Path("stage.yaml"), ["trainer.learning_rate=1e-4"])
    checkpoint = find_trainer(spec)(spec, Path("runs/sft"))

This module does not interpret the spec: it is a mapping, and the trainer validates it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import yaml

from harness.checkpoints.checkpoint import Checkpoint
from harness.errors import InputError, SpecError, did_you_mean, one_line
from harness.plain_yaml import UniqueKeyLoader, check_yaml

TRAINERS = "harness.trainers"
PLANNERS = "harness.planners"
Spec = Mapping[str, Any]
# YAML 1.1 reads 2e-4 as a string (it requires a dot), but learning rates are usually written so.
EXPONENT = re.compile(r"^[-+]?\d+(\.\d*)?[eE][-+]?\d+$")


class Trainer(Protocol):
    """Makes a checkpoint from a spec. Called again with the same spec and folder, it resumes training."""

    def __call__(self, spec: Spec, out_dir: Path) -> Checkpoint:
        """Train according to `spec`; write weights, tokenizer and `stage.json` into `out_dir`."""


Planner = Callable[..., Mapping[str, Any]]
"""``(spec, *, estimate=False, keep=None)``: returns what a trainer would do with a spec: tables by title.

Trains and writes nothing. `estimate` is passed only if requested: the table ``stage`` then has the rows ``steps`` and
``seconds per step``. `keep` is then a folder in which to save the model after the timed steps; a study uses it to time
the stages and evaluations that follow.
"""


def read_stage(path: Path, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Read a stage file and apply ``key=value`` overrides: dotted keys for nested fields, values in YAML.

    Raises:
        InputError: the file is missing or not YAML, or an override is not ``key=value``.
    """
    return read_spec(path, overrides, kind="a stage file with stage, name, data and more, see docs/training.md")


def read_spec(path: Path, overrides: Sequence[str], *, kind: str) -> dict[str, Any]:
    """Read a YAML file of this project's and apply ``key=value`` overrides.

    Args:
        path: The file.
        overrides: Dotted keys for nested fields, values in YAML.
        kind: What the file should be, for the messages: "a stage file, see docs/training.md".

    Raises:
        InputError: the file is missing, not YAML, no mapping, or has a key twice; or an override is not ``key=value``.
    """
    try:
        text = path.read_text(encoding="utf-8")
        check_yaml(text, yaml.SafeLoader)
        spec = yaml.load(text, Loader=UniqueKeyLoader)  # noqa: S506 - a SafeLoader
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error}); give {kind}.") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: nested too deep, a number too long
        raise InputError(f"{path}: not valid YAML ({one_line(error, max_characters=200)}); correct it there.") from None
    if not isinstance(spec, dict):
        raise InputError(f"{path}: is not a YAML mapping; give {kind}.")
    for override in overrides:
        _apply_override(spec, override)
    with_numbers: dict[str, Any] = _parse_exponents(spec)
    return with_numbers


def _apply_override(spec: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not all(key.split(".")):
        raise InputError(f"override {override!r}: give key=value, for example data.budget_tokens=100000.")
    try:
        check_yaml(text, yaml.SafeLoader)
        value = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        raise InputError(
            f"override {override!r}: the value is not valid YAML; quote it, or give a plain value."
        ) from None
    *parents, last = key.split(".")
    section: Any = spec
    for depth, part in enumerate(parents):
        section = section.setdefault(part, {})
        if not isinstance(section, dict):
            raise InputError(
                f"override {override!r}: {'.'.join(parents[: depth + 1])} is not a mapping; override it as a whole."
            )
    section[last] = value


def _parse_exponents(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _parse_exponents(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_parse_exponents(inner) for inner in value]
    return float(value) if isinstance(value, str) and EXPONENT.match(value) else value


def find_trainer(spec: Spec) -> Trainer:
    """Return the trainer for the spec's stage.

    Raises:
        InputError: the spec names no stage, or no installed package has a trainer for it.
    """
    trainer: Trainer = _find(spec, TRAINERS).load()
    return trainer


def find_planner(spec: Spec) -> Planner | None:
    """Return the planner for the spec's stage; None when its package has none.

    Raises:
        InputError: the spec names no stage, or no installed package has a trainer for it.
    """
    _find(spec, TRAINERS)
    planners = {entry.name: entry for entry in entry_points(group=PLANNERS)}
    return planners[spec["stage"]].load() if spec["stage"] in planners else None


def trainer_module(spec: Spec) -> ModuleType:
    """Return the module of the trainer for the spec's stage.

    Raises:
        InputError: the spec names no stage, or no installed package has a trainer for it.
    """
    return import_module(_find(spec, TRAINERS).module)


def _find(spec: Spec, group: str) -> EntryPoint:
    known = {entry.name: entry for entry in entry_points(group=group)}
    stage = spec.get("stage")
    if not isinstance(stage, str) or stage not in known:
        hint = did_you_mean(str(stage), known)
        raise SpecError(f"stage: no trainer for {stage!r}; give one of {', '.join(known)}.{hint}")
    return known[stage]
