"""The checkpoints of an average: find them, verify them, and order them by training step."""

from __future__ import annotations

import glob
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.checkpoints.checkpoint import Checkpoint
from harness.checkpoints.folders import TRAINER_STEP, step_number
from harness.checkpoints.identity import checkpoint_digest
from harness.checkpoints.lineage import manifest_of, verify
from harness.checkpoints.resolver import expand, resolve
from harness.checkpoints.stage_manifest import StageManifest
from harness.digests import file_digest
from harness.errors import CheckpointError, SpecError
from harness.trainers.averaging.spec import AverageSpec

MERGE = ("python", "-m", "harness.trainers.averaging.merge")


@dataclass(frozen=True, kw_only=True)
class Member:
    """A checkpoint of an average.

    Attributes:
        checkpoint: Its files.
        digest: Its digest.
        manifest: Its manifest; None for a checkpoint from elsewhere.
        step: Training steps; None if neither its manifest nor its folder's name says.
    """

    checkpoint: Checkpoint
    digest: str
    manifest: StageManifest | None
    step: int | None

    @property
    def place(self) -> str:
        """What errors call it."""
        return self.checkpoint.source

    @property
    def training(self) -> object:
        """What checkpoints of one training have in common; only their steps can be compared."""
        if self.manifest is None:
            return self.checkpoint.weights.resolve().parent
        return self.manifest.stage, self.manifest.name, self.manifest.seed, self.manifest.parents


def find_members(spec: AverageSpec, out_dir: Path | None) -> list[Member]:
    """Return the checkpoints to average, in the order of their training steps.

    If they are not of one training, or a step is unknown, the order is that of the stage file.

    Args:
        spec: The stage file.
        out_dir: The stage's own folder, which a glob must not match; None in a dry run.

    Raises:
        InputError: there are fewer than two, one is missing, damaged or an adapter, two have the same weights, or the
            order matters and is unknown.
    """
    own = out_dir.resolve() if out_dir is not None else None
    places = list(dict.fromkeys(place for text in spec.checkpoints for place in _places(text)))
    members = [_member(place) for place in places if Path(place).resolve() != own]
    if len(members) < 2:
        raise SpecError(
            f"checkpoints: {', '.join(spec.checkpoints)} is {len(members)} checkpoint; an average needs at least two."
        )
    _check_distinct(members)
    problem = _unordered(members)
    if problem is None:
        members.sort(key=lambda member: member.step or 0)
    elif spec.last is not None:
        raise SpecError(f"last: {problem}; remove last, and list the checkpoints to use.")
    elif spec.method == "ema":
        raise SpecError(f"method: {problem}; set method: mean, which needs no order.")
    if spec.last is not None and spec.last > len(members):
        raise SpecError(f"last: is {spec.last}, but checkpoints has {len(members)}; give at most that number.")
    return members[-spec.last :] if spec.last is not None else members


def _places(text: str) -> Iterator[str]:
    """Yield the folders or the hub id that an entry of the stage file stands for."""
    path = str(Path(text).expanduser()) if text.startswith("~") else text
    if not glob.has_magic(path) or Path(path).exists():
        yield from expand(path)
        return
    folders = [place for place in glob.glob(path) if Path(place).is_dir()]  # noqa: PTH207 - also takes absolute paths
    if not folders:
        raise SpecError(f"checkpoints: {text} matches no folder; correct the glob.")
    for folder in sorted(folders, key=_natural):
        yield from expand(folder)


def _natural(path: str) -> list[tuple[int, str]]:
    """Sort key by which checkpoint-20 stands before checkpoint-100."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", path)]


def _member(place: str) -> Member:
    try:
        checkpoint = resolve(place)
        if checkpoint.adapter is not None:
            raise SpecError(_adapter_refused(checkpoint.adapter))
        verify(checkpoint)
        manifest = manifest_of(checkpoint)
    except CheckpointError as error:
        raise SpecError(f"checkpoints: {error}") from None
    step = manifest.step if manifest is not None and manifest.step else step_number(checkpoint.weights, TRAINER_STEP)
    return Member(checkpoint=checkpoint, digest=checkpoint_digest(checkpoint), manifest=manifest, step=step)


def _adapter_refused(adapter: Path) -> str:
    merged = adapter.parent / f"merged-{adapter.absolute().name}"
    return (
        f"checkpoints: {adapter} is an adapter; the average of LoRA's factors A and B is not the average of their "
        f"products. Merge each adapter: `{shlex.join([*MERGE, str(adapter), str(merged)])}`; give the merged folders."
    )


def _check_distinct(members: Sequence[Member]) -> None:
    """Raises: InputError: two have the same weights, as a finished stage and its last saved state do."""
    seen: dict[tuple[str, ...], Member] = {}
    for member in members:
        weights = tuple(map(file_digest, member.checkpoint.weight_files))
        if weights in seen:
            raise SpecError(
                f"checkpoints: {seen[weights].place} and {member.place} have the same weights, which would count "
                "twice; leave one out."
            )
        seen[weights] = member


def _unordered(members: Sequence[Member]) -> str | None:
    """Return why the members have no order by training step; None if they have one."""
    first = members[0]
    for number, member in enumerate(members):
        if member.step is None:
            return f"{member.place} has no training step (no stage.json, and its folder is not called checkpoint-N)"
        if member.training != first.training:
            return f"{first.place} and {member.place} are of two trainings, so their steps cannot be compared"
        for other in members[:number]:
            if other.step == member.step:
                return f"{other.place} and {member.place} both have step {member.step}"
    return None
