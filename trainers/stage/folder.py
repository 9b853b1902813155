"""The output folder: it belongs to one stage; what was saved whole in it is where that stage goes on."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from harness.checkpoints.stage_manifest import MANIFEST_NAME, read_manifest
from harness.errors import InputError
from harness.trainers.data.hub_reader import HubReader
from harness.trainers.data.sources import Source
from harness.trainers.stage.job import WORK
from harness.trainers.stage.manifest import Described
from harness.trainers.stage.spec import TokenizerSpec

if TYPE_CHECKING:
    from harness.trainers.stage.job import Job


def is_main() -> bool:
    """Say whether this process is the one of its launch that writes."""
    return int(os.environ.get("RANK", "0")) == 0


def spec_file(out_dir: Path) -> Path:
    """Return the file whose presence makes the folder a stage's."""
    return out_dir / WORK / "spec.json"


def identity(job: Job) -> dict[str, Any]:
    """Return what must be the same for a stage to go on in a folder, beside the code: spec, parent, data, processes."""
    return {
        "spec": job.spec.resolved(),
        "parent": job.parent_digest,
        "commits": commits(job.mixture.sources),
        "bytes": {s.name: sum(path.stat().st_size for path in s.reader.files) for s in job.mixture.sources},
        "processes": job.config.world_size,
    }


def commits(sources: Sequence[Source]) -> dict[str, str]:
    """Return the commits of the hub data sets among `sources`, by source."""
    found = {source.name: source.reader.revision for source in sources if isinstance(source.reader, HubReader)}
    return {name: commit for name, commit in found.items() if commit is not None}


def kept_commits(out_dir: Path) -> dict[str, str]:
    """Return the commits that the folder's stage began with: a branch may have moved since."""
    held = spec_file(out_dir)
    kept: dict[str, str] = json.loads(held.read_text(encoding="utf-8")).get("commits", {}) if held.is_file() else {}
    return kept


def look(job: Job) -> Literal["free", "begun", "finished"]:
    """Say what the output folder is to this stage; writes nothing.

    Raises:
        InputError: it holds another stage, or something else.
    """
    out_dir, held = job.out_dir, spec_file(job.out_dir)
    if held.is_file():
        other, mine = json.loads(held.read_text(encoding="utf-8")), identity(job)
        if other != mine:
            raise InputError(
                f"--output_path {out_dir}: holds another stage ({other['spec'].get('name')!r}, "
                f"{_told(other, mine)}); give another folder, or remove it."
            )
        done = read_manifest(out_dir)
        return "finished" if done is not None and done.finished else "begun"
    if out_dir.exists() and any(path.name != WORK for path in out_dir.iterdir()):
        raise InputError(f"--output_path {out_dir}: is not empty and holds no stage; give a new folder.")
    return "free"


def claim(job: Job) -> None:
    """Make the output folder this stage's; done when nothing more of the user's input can be wrong."""
    held = spec_file(job.out_dir)
    held.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(job.spec.tokenizer, TokenizerSpec):
        job.tokenizer.save_pretrained(trained_tokenizer(job.out_dir))
    part = held.with_suffix(".part")
    part.write_text(json.dumps(identity(job), indent=2), encoding="utf-8")
    part.replace(held)


def trained_tokenizer(out_dir: Path) -> Path:
    """Return where a tokenizer trained for the stage is kept."""
    return out_dir / WORK / "tokenizer"


def _told(other: Any, mine: Any) -> str:
    """Say what the other is: another kind of stage, another name, or else the first field that differs."""
    for key in ("stage", "name"):
        if other["spec"].get(key) != mine["spec"].get(key):
            return f"{key} {other['spec'].get(key)!r} instead of {mine['spec'].get(key)!r}"
    return _difference(other, mine)


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
