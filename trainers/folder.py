"""The output folder: it belongs to one stage; what was saved whole in it is where that stage goes on."""

from __future__ import annotations

import json
import os
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.digests import checkpoint_digest
from harness.errors import InputError
from harness.lineage import MANIFEST_NAME, read_manifest
from trainers.manifest import Described
from trainers.spec import TokenizerSpec

if TYPE_CHECKING:
    from trainers.common import Job

WORK = "training"  # below the checkpoint's folder: trainer states, the stream's log, the spec


def is_main() -> bool:
    return int(os.environ.get("RANK", "0")) == 0


def claim(job: Job) -> bool:
    """Take the output folder for this stage; returns whether the stage is finished in it.

    Raises:
        InputError: it holds another stage, or something else.
    """
    out_dir, parent = job.out_dir, job.parent
    mine = {"spec": job.spec.resolved(), "parent": checkpoint_digest(parent) if parent is not None else None}
    held = out_dir / WORK / "spec.json"
    if held.is_file():
        other = json.loads(held.read_text(encoding="utf-8"))
        if other != mine:
            raise InputError(
                f"--output_path {out_dir}: holds another stage ({other['spec'].get('name')!r}, "
                f"{_difference(other, mine)}); give another folder, or remove it."
            )
        done = read_manifest(out_dir)
        return done is not None and done.finished
    if out_dir.exists() and any(out_dir.iterdir()):
        raise InputError(f"--output_path {out_dir}: is not empty and holds no stage; give a new folder.")
    if is_main():
        held.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(job.spec.tokenizer, TokenizerSpec):
            job.tokenizer.save_pretrained(out_dir / WORK / "tokenizer")
        part = held.with_suffix(".part")
        part.write_text(json.dumps(mine, indent=2), encoding="utf-8")
        part.replace(held)
    return False


def _difference(other: Any, mine: Any, path: str = "") -> str:
    """Return the first place where two specs differ."""
    if isinstance(other, dict) and isinstance(mine, dict):
        for key in sorted({*other, *mine}):
            if other.get(key) != mine.get(key):
                return _difference(other.get(key), mine.get(key), f"{path}.{key}")
    return f"{path.removeprefix('.spec').lstrip('.')} {other!r} instead of {mine!r}"


def last_saved(job: Job) -> tuple[Path | None, Described]:
    """Return the last state that was saved whole, and remove those that a kill cut off."""
    whole: list[tuple[int, Path]] = []
    for folder in (job.out_dir / WORK).glob("checkpoint-*"):
        if (folder / MANIFEST_NAME).is_file():
            whole.append((int(folder.name.removeprefix("checkpoint-")), folder))
        elif is_main():
            shutil.rmtree(folder, ignore_errors=True)
    if not whole:
        return None, Described(started=datetime.now(UTC).isoformat(timespec="seconds"), began=time.monotonic())
    step, folder = max(whole)
    before = read_manifest(folder)
    assert before is not None
    return folder, Described(
        started=before.started,
        began=time.monotonic(),
        seconds_before=before.wall_seconds,
        resumed=before.resumed + 1,
        step=step,
    )
