"""The output folder of an average: it belongs to one average, and is written again after an interruption.

stage.json (unfinished), model.safetensors, config.json, tokenizer.json, ..., stage.json (finished)
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from harness.checkpoints.checkpoint import Checkpoint
from harness.checkpoints.identity import TOKENIZER_PATTERNS, checkpoint_digest
from harness.checkpoints.resolver import GENERATION_CONFIG, resolve
from harness.checkpoints.stage_manifest import MANIFEST_NAME, StageManifest, read_manifest, write_manifest
from harness.errors import InputError
from harness.trainers.averaging.members import Member
from harness.trainers.averaging.spec import AverageSpec
from harness.trainers.stage.manifest import PACKAGES, as_parent
from harness.versions import installed_versions

COMPARED = ("stage", "name", "method", "decay", "dtype")  # of the stage file: what must be equal in a folder
WEIGHTS = ("model*.safetensors", "model.safetensors.index.json", "*.part")


def new_manifest(spec: AverageSpec, members: Sequence[Member]) -> StageManifest:
    """Return the manifest of an average that is not finished. Its step and tokens are 0: it trains nothing."""
    seen = [
        data
        for member in members
        if member.manifest is not None
        for data in (*member.manifest.eval_data, *member.manifest.inherited_eval_data)
    ]
    return StageManifest(
        stage=spec.stage,
        name=spec.name,
        finished=False,
        step=0,
        parents=tuple(as_parent(member.checkpoint, member.digest) for member in members),
        trainer={"entry_point": "harness.trainers.average:train"},
        arguments={
            "method": spec.method,
            "weights": spec.weights(len(members)),
            "steps": [member.step for member in members],
        },
        seed=0,
        spec=spec.resolved(),
        mixture={},
        budget_tokens=0,
        tokens=0,
        sequences=0,
        sources=(),
        ledger=(),
        inherited_eval_data=tuple(dict.fromkeys(seen)),
        wall_seconds=0,
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        device="cpu",
        versions=installed_versions(PACKAGES),
    )


def folder_status(out_dir: Path, manifest: StageManifest) -> Literal["free", "begun", "finished"]:
    """Return what the output folder holds of this average; write nothing.

    Raises:
        InputError: it holds another stage, or something else.
    """
    if not out_dir.exists() or (out_dir.is_dir() and not any(out_dir.iterdir())):
        return "free"
    if not out_dir.is_dir():
        raise InputError(f"--output_path {out_dir}: is a file; give a new folder.")
    recorded = read_manifest(out_dir)
    if recorded is None:
        raise InputError(f"--output_path {out_dir}: is not empty and holds no average; give a new folder.")
    difference = _difference(recorded, manifest)
    if difference is not None:
        raise InputError(
            f"--output_path {out_dir}: holds another stage ({recorded.name!r}, {difference}); give another folder, or "
            "remove it."
        )
    return "finished" if recorded.finished else "begun"


def _difference(recorded: StageManifest, current: StageManifest) -> str | None:
    """Return the first difference of two averages: ``method 'mean' instead of 'ema'``; None if they are the same."""
    for key in COMPARED:
        if recorded.spec.get(key) != current.spec.get(key):
            return f"{key} {recorded.spec.get(key)!r} instead of {current.spec.get(key)!r}"
    if [parent.digest for parent in recorded.parents] != [parent.digest for parent in current.parents]:
        names = (", ".join(parent.name for parent in one.parents) for one in (recorded, current))
        return "checkpoints {} instead of {}, or their weights changed".format(*names)
    return None


def begin(out_dir: Path, manifest: StageManifest) -> None:
    """Claim the folder, and remove the weights that an interrupted run left in it."""
    out_dir.mkdir(parents=True, exist_ok=True)
    write_manifest(out_dir, manifest)
    for pattern in WEIGHTS:
        for path in out_dir.glob(pattern):
            path.unlink()


def give_up(out_dir: Path) -> None:
    """Remove what was written of an average that cannot be made; the folder too, if nothing else is in it."""
    for pattern in (*WEIGHTS, MANIFEST_NAME):
        for path in out_dir.glob(pattern):
            path.unlink()
    if not any(out_dir.iterdir()):
        out_dir.rmdir()


def finish(out_dir: Path, newest: Checkpoint, manifest: StageManifest, began: float) -> Checkpoint:
    """Write configuration, tokenizer and manifest; the manifest last, because it declares the average finished.

    Args:
        out_dir: The folder, with the averaged weights.
        newest: The checkpoint whose configuration and tokenizer are taken.
        manifest: The manifest of the unfinished average.
        began: When this run began, on the monotonic clock.
    """
    for path in (*tokenizer_files(newest), *newest.weights.glob(GENERATION_CONFIG), *newest.weights.glob("*.py")):
        shutil.copyfile(path, out_dir / path.name)
    config: dict[str, Any] = json.loads((newest.weights / "config.json").read_text(encoding="utf-8"))
    dtype = manifest.spec["dtype"]
    if dtype != "auto":
        config = {**config, "torch_dtype" if "torch_dtype" in config else "dtype": dtype}
    (out_dir / "config.json").write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    checkpoint = resolve(str(out_dir))
    done = {
        "finished": True,
        "digest": checkpoint_digest(checkpoint),
        "wall_seconds": round(time.monotonic() - began, 3),
    }
    write_manifest(out_dir, manifest.model_copy(update=done))
    return checkpoint


def tokenizer_files(checkpoint: Checkpoint) -> list[Path]:
    """Return the files of a checkpoint's tokenizer, sorted by name."""
    folder = checkpoint.tokenizer
    found = {path for pattern in TOKENIZER_PATTERNS for path in folder.glob(pattern) if path.is_file()}
    return sorted(found, key=lambda path: path.name)
