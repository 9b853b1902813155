"""The average of checkpoints, without training: the mean of late states of a training, or an EMA over them.

    harness train stage.yaml --output_path runs/base-averaged

    stage: average
    name: base-averaged
    checkpoints: [runs/base/training/checkpoint-*]
    last: 5

Averaged weights vary less from step to step than those of a single checkpoint (Izmailov et al. 2018, arXiv 1803.05407).
This adds no tokens: the average has as many as its parent with the most.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.checkpoints.checkpoint import Checkpoint
from harness.checkpoints.resolver import resolve
from harness.errors import HarnessError, SpecError
from harness.trainers.averaging.agreement import check_agreement
from harness.trainers.averaging.members import Member, find_members
from harness.trainers.averaging.output import begin, finish, folder_status, give_up, new_manifest
from harness.trainers.averaging.spec import AverageSpec, parse
from harness.trainers.averaging.tensors import Tensors, common_tensors
from harness.trainers.averaging.writing import Part, write_average


def train(spec_fields: Mapping[str, Any], out_dir: Path) -> Checkpoint:
    """Write the average; see `harness.training.Trainer`. After an interruption it is written from the start.

    Raises:
        InputError: any part of the user's input is wrong, or the output folder holds another stage.
    """
    from accelerate import PartialState  # type: ignore[import-untyped]

    began = time.monotonic()
    out_dir = out_dir.expanduser().resolve()
    with PartialState().main_process_first():  # the other processes of a launch find it finished
        spec, members, tensors = _prepare(spec_fields, out_dir)
        manifest = new_manifest(spec, members)
        if folder_status(out_dir, manifest) == "finished":
            return resolve(str(out_dir))
        begin(out_dir, manifest)
        try:
            write_average(_parts(spec, members, tensors), out_dir, spec.dtype)
        except HarnessError:
            give_up(out_dir)
            raise
        return finish(out_dir, members[-1].checkpoint, manifest, began)


def plan(
    spec_fields: Mapping[str, Any],
    *,
    estimate: bool = False,
    keep: Path | None = None,  # noqa: ARG001 - of `harness.training.Planner`
) -> Mapping[str, Any]:
    """Return the resolved spec, and the checkpoints with their steps and weights. Writes nothing.

    Raises:
        InputError: `train` would refuse the stage file, unless because of the values of a tensor; or `estimate`.
    """
    if estimate:
        raise SpecError("--estimate: an average has no steps to time; remove it.")
    spec, members, tensors = _prepare(spec_fields, None)
    rows = [
        {
            "checkpoint": member.place,
            "step": "unknown" if member.step is None else f"{member.step:,}",
            "weight": f"{weight:.4f}",
            "digest": member.digest.removeprefix("sha256:")[:12],
        }
        for member, weight in zip(members, spec.weights(len(members)), strict=True)
    ]
    return {"spec": spec.resolved(), "checkpoints": rows, "stage": {"tensors": f"{len(tensors[0]):,}"}}


def _prepare(
    spec_fields: Mapping[str, Any], out_dir: Path | None
) -> tuple[AverageSpec, Sequence[Member], Sequence[Tensors]]:
    """Check everything that can be checked without reading the weights."""
    spec = parse(spec_fields)
    members = find_members(spec, out_dir)
    check_agreement(members)
    return spec, members, common_tensors(members, any_dtype=spec.dtype != "auto")


def _parts(spec: AverageSpec, members: Sequence[Member], tensors: Sequence[Tensors]) -> list[Part]:
    return [
        Part(place=member.place, weight=weight, tensors=of_member)
        for member, weight, of_member in zip(members, spec.weights(len(members)), tensors, strict=True)
    ]
