"""Families of runs: ``NN`` may stand for NN-0 and NN-1, which `compare` takes as one arm, ``NN=NN-0,NN-1``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import RecordError

if TYPE_CHECKING:
    from harness.records import ModelRecords

# What stands between the name of a recipe and the number of a seed: NN-0, NN_seed1, NN.run-2, NNs3.
_BETWEEN = r"[-_.]?(?:seed|run|s)?[-_.]?"
_NUMBERED = re.compile(rf"(.+?){_BETWEEN}\d+")
CHECKPOINT = "checkpoint"  # checkpoint-10 and checkpoint-20 are steps of one run, and no seeds


def members(name: str, known: Iterable[str]) -> list[str]:
    """Return the names that are `name` and a number, in the order of the numbers; none if there are fewer than two."""
    if name.endswith(CHECKPOINT):
        return []
    needed = "(?=[-_.])" if name[-1:].isdigit() else ""  # NN1 is no recipe of the run NN10
    pattern = re.compile(rf"{re.escape(name)}{needed}{_BETWEEN}(\d+)")
    numbers = {one: int(match[1]) for one in known if (match := pattern.fullmatch(one))}
    return sorted(numbers, key=numbers.__getitem__) if len(numbers) > 1 else []


def folders_like(place: Path) -> list[str]:
    """Return the folders beside `place` with its name and a number: ``runs/NN`` -> ``runs/NN-0``, ``runs/NN-1``."""
    try:
        names = [folder.name for folder in place.parent.iterdir() if folder.is_dir()]
    except OSError:
        return []
    return [str(place.parent / name) for name in members(place.name, names)]


def are_seeds(models: Sequence[ModelRecords]) -> bool:
    """Whether models are runs of one recipe: by their names, or by the stage that made them and its seed."""
    matches = [_NUMBERED.fullmatch(model.name) for model in models]
    stems = {match[1] if match else "" for match in matches}
    if len(stems) == 1 and not stems & {"", CHECKPOINT} and not any(stem.endswith(f"/{CHECKPOINT}") for stem in stems):
        return True
    from harness.reports.analysis.stages import stages_of

    try:
        last = [stages[-1] for model in models if (stages := stages_of(model))]
    except RecordError:
        return False
    recipes = {(stage.kind, stage.name, stage.step) for stage in last}
    return len(last) == len(models) and len(recipes) == 1 and len({stage.seed for stage in last}) == len(last)


def arm_of(place: str, runs: Sequence[str]) -> str:
    """Return the word that makes one arm of several runs: ``NN=NN-0,NN-1``."""
    return f"{Path(place).name}={','.join(runs)}"
