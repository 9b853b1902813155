"""From a stage file to the trainer that can do it, found by entry point, so that any package can bring one.

Nothing here knows what a stage means: a spec is a mapping, and the trainer checks it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Protocol

import yaml

from harness.checkpoints.checkpoint import Checkpoint
from harness.errors import InputError, did_you_mean

TRAINERS = "harness.trainers"
PLANNERS = "harness.planners"
Spec = Mapping[str, Any]
# YAML 1.1 reads 2e-4 as a word; the numbers of a stage file are often written so.
EXPONENT = re.compile(r"^[-+]?\d+(\.\d*)?[eE][-+]?\d+$")


class Trainer(Protocol):
    """Makes a checkpoint from a spec. Called again with the same spec and folder, it goes on where it was stopped."""

    def __call__(self, spec: Spec, out_dir: Path) -> Checkpoint:
        """Train as `spec` says and leave weights, tokenizer and `stage.json` in `out_dir`."""


Planner = Callable[[Spec], Mapping[str, Any]]
"""Says what a trainer would do with a spec: tables by title, each a list of rows; trains and writes nothing."""


def read_stage(path: Path, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Read a stage file and apply ``key=value`` overrides, dotted keys for nested fields, values in YAML.

    Raises:
        InputError: no such file, not YAML, or an override that is not ``key=value``.
    """
    try:
        spec = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error}); give a stage file, see docs/training.md.") from None
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not valid YAML ({' '.join(str(error).split())}).") from None
    if not isinstance(spec, dict):
        raise InputError(f"{path}: holds no mapping; a stage file has stage, name, data and more.")
    for word in overrides:
        _override(spec, word)
    numbers: dict[str, Any] = _numbers(spec)
    return numbers


def _override(spec: dict[str, Any], word: str) -> None:
    key, equals, text = word.partition("=")
    if not equals or not all(key.split(".")):
        raise InputError(f"override {word!r}: give key=value, for example data.budget_tokens=100000.")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        raise InputError(f"override {word!r}: the value is not valid YAML.") from None
    *parents, last = key.split(".")
    place: Any = spec
    for depth, part in enumerate(parents):
        place = place.setdefault(part, {})
        if not isinstance(place, dict):
            raise InputError(f"override {word!r}: {'.'.join(parents[: depth + 1])} is not a mapping.")
    place[last] = value


def _numbers(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _numbers(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_numbers(inner) for inner in value]
    return float(value) if isinstance(value, str) and EXPONENT.match(value) else value


def find_trainer(spec: Spec) -> Trainer:
    """Return the trainer of the spec's stage.

    Raises:
        InputError: the spec names no stage, or one that no installed package can train.
    """
    trainer: Trainer = _find(spec, TRAINERS).load()
    return trainer


def find_planner(spec: Spec) -> Planner | None:
    """Return what plans the spec's stage without training; None when its package brings none."""
    _find(spec, TRAINERS)
    planners = {found.name: found for found in entry_points(group=PLANNERS)}
    return planners[spec["stage"]].load() if spec["stage"] in planners else None


def _find(spec: Spec, group: str) -> EntryPoint:
    known = {found.name: found for found in entry_points(group=group)}
    stage = spec.get("stage")
    if stage not in known:
        hint = did_you_mean(str(stage), known)
        raise InputError(f"stage: {stage!r} is not one that can be trained; give one of {', '.join(known)}.{hint}")
    return known[stage]
