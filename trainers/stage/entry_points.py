"""The two functions that a trainer of this project exports: `train` and `plan`, both made from its `Method`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.checkpoints.checkpoint import Checkpoint
from harness.trainers.stage.job import Method
from harness.trainers.stage.planning import plan_stage
from harness.trainers.stage.run import run
from harness.training import Planner, Trainer


def entry_points(method: Method) -> tuple[Trainer, Planner]:
    """Return `train` and `plan` of a method, for the entry points in pyproject.toml.

    A trainer's module ends with ``train, plan = entry_points(METHOD)``.
    """

    def train(spec: Mapping[str, Any], out_dir: Path) -> Checkpoint:
        return run(method, spec, out_dir)

    def plan(spec: Mapping[str, Any], *, estimate: bool = False, keep: Path | None = None) -> Mapping[str, Any]:
        return plan_stage(method, spec, estimate=estimate, keep=keep)

    return train, plan
