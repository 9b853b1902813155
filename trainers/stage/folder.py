"""The output folder: it belongs to one stage, and training resumes from the last complete state in it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
import zipfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from harness.checkpoints.checkpoint import check_safetensors
from harness.checkpoints.stage_manifest import MANIFEST_NAME, StageManifest, read_manifest
from harness.errors import MALFORMED, InputError
from harness.trainers.data.hub_reader import HubReader
from harness.trainers.data.record_fields import IGNORE
from harness.trainers.data.sources import Source
from harness.trainers.stage.job import WORK_FOLDER
from harness.trainers.stage.manifest import RunHistory
from harness.trainers.stage.spec import TokenizerSpec

if TYPE_CHECKING:
    from harness.trainers.stage.job import StageJob

STREAM_STATE = "stream.json"


def is_main_process() -> bool:
    """Whether this is the process of its launch that writes."""
    return int(os.environ.get("RANK", "0")) == 0


def spec_file(out_dir: Path) -> Path:
    """Return the file that marks a folder as a stage's."""
    return out_dir / WORK_FOLDER / "spec.json"


def identity(job: StageJob) -> dict[str, Any]:
    """Return what must be equal for a stage to resume in a folder: spec, parent, data and number of processes."""
    template = job.tokenizer.chat_template if job.spec.chat_template is not None else None
    return {
        "spec": _what_matters(job.spec.resolved()),
        "chat_template": hashlib.sha256(str(template).encode()).hexdigest() if template is not None else None,
        "parent": job.parent_digest,
        "commits": hub_commits(job.mixture.sources)
        | {f"evaluate.{one.name}": one.commit for one in job.held_out if one.commit is not None},
        "processes": job.config.world_size,
        "held_out": {one.name: one.digest() for one in job.held_out} or None,
    }


def _what_matters(spec: dict[str, Any]) -> dict[str, Any]:
    """Return a stage file without what may change before resuming: which bad records and fields are left out, and
    whether an adapter is merged at the end. What an earlier release did not write is left out where it is the default.
    """
    data = {name: value for name, value in spec["data"].items() if name != "when_bad"}
    data["sources"] = {name: _source_that_matters(source) for name, source in data["sources"].items()}
    if spec.get("evaluate"):
        held_out = {name: _source_that_matters(source) for name, source in spec["evaluate"]["sources"].items()}
        spec = {**spec, "evaluate": {**spec["evaluate"], "sources": held_out}}
    adapter = {name: value for name, value in spec.get("adapter", {}).items() if name != "merge"}
    return {**spec, "data": data, **({"adapter": adapter} if adapter else {})}


def _source_that_matters(source: dict[str, Any]) -> dict[str, Any]:
    fields = {field: name for field, name in source.get("fields", {}).items() if name != IGNORE}
    new = {name: source[name] for name in ("columns", "only_last") if source.get(name)}
    kept = {name: value for name, value in source.items() if name not in ("columns", "only_last", "fields")}
    return {**kept, "fields": fields, **new}


def _files(job: StageJob) -> dict[str, list[list[Any]]]:
    """Return name, size and time of change of every local file, by source."""
    return {
        source.name: [[path.name, path.stat().st_size, path.stat().st_mtime_ns] for path in source.reader.files]
        for source in job.mixture.sources
    }


def hub_commits(sources: Sequence[Source]) -> dict[str, str]:
    """Return the commits of the hub data sets among `sources`, by source."""
    revisions = {source.name: source.reader.revision for source in sources if isinstance(source.reader, HubReader)}
    return {name: commit for name, commit in revisions.items() if commit is not None}


def recorded_commits(out_dir: Path) -> dict[str, str]:
    """Return the commits that the folder's stage began with: the branch may have moved since."""
    path = spec_file(out_dir)
    commits: dict[str, str] = _recorded_identity(path)["commits"] if path.is_file() else {}
    return commits


def folder_status(job: StageJob) -> Literal["free", "begun", "finished"]:
    """Return what the output folder holds of this stage; write nothing.

    Raises:
        InputError: it holds another stage, or something else.
    """
    out_dir, path = job.out_dir, spec_file(job.out_dir)
    if path.is_file():
        recorded, current = _recorded_identity(path), identity(job)
        recorded = {name: recorded.get(name) for name in current} | {"spec": _what_matters(recorded["spec"])}
        if recorded["parent"] is not None and recorded["parent"] == current["parent"]:
            # The same weights, wherever they are now: the parent's folder may have been moved.
            for each in (recorded, current):
                each["spec"].pop("from", None)
        if recorded != current:
            raise InputError(
                f"--output_path {out_dir}: holds another stage ({recorded['spec'].get('name')!r}, "
                f"{_difference(recorded, current)}); give another folder, or remove it."
            )
        stage_manifest = read_manifest(out_dir)
        if stage_manifest is None or not stage_manifest.finished:
            return "begun"
        _check_same_data(job, stage_manifest)
        return "finished"
    if out_dir.exists() and any(path.name != WORK_FOLDER for path in out_dir.iterdir()):
        raise InputError(f"--output_path {out_dir}: is not empty and holds no stage; give a new folder.")
    return "free"


def _check_same_data(job: StageJob, finished: StageManifest) -> None:
    """Raises: InputError: a source of a finished stage has changed."""
    digests = {source.name: source.digest for source in finished.sources}
    for source in job.mixture.sources:
        if source.reader.files and digests.get(source.name) not in (None, source.digest()):
            raise InputError(
                f"--output_path {job.out_dir}: holds this stage, finished with other data (source {source.name!r} has "
                "changed since); give another folder, or remove it."
            )


def data_changed(job: StageJob) -> bool:
    """Whether a file of a begun stage was written since `remember_files`."""
    return _recorded_identity(spec_file(job.out_dir)).get("files") != _files(job)


def remember_files(job: StageJob) -> None:
    """Note size and time of change of the present files."""
    path = spec_file(job.out_dir)
    _write_spec(path, {**_recorded_identity(path), "files": _files(job)})


def _recorded_identity(path: Path) -> dict[str, Any]:
    """Return what `claim_folder` wrote. Raises: InputError if the file is damaged."""
    try:
        recorded = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(recorded["spec"], dict) and isinstance(recorded["commits"], dict):
            return dict(recorded)
    except MALFORMED:
        pass
    raise InputError(
        f"{path}: is damaged, so training in {path.parent.parent} cannot resume; restore the file or remove the folder."
    )


def claim_folder(job: StageJob) -> None:
    """Make the output folder this stage's; called when all of the user's input has been checked."""
    path = spec_file(job.out_dir)
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(job.spec.tokenizer, TokenizerSpec):
        job.tokenizer.save_pretrained(trained_tokenizer(job.out_dir))
    _write_spec(path, {**identity(job), "files": _files(job)})


def _write_spec(path: Path, content: dict[str, Any]) -> None:
    part = path.with_suffix(".part")
    part.write_text(json.dumps(content, indent=2), encoding="utf-8")
    part.replace(path)


def trained_tokenizer(out_dir: Path) -> Path:
    """Return the folder of a tokenizer that was trained for the stage."""
    return out_dir / WORK_FOLDER / "tokenizer"


def _difference(recorded: Any, current: Any) -> str:
    """Return how two identities differ: the stage, otherwise the name, otherwise the first field that differs."""
    for key in ("stage", "name"):
        if recorded["spec"].get(key) != current["spec"].get(key):
            return f"{key} {recorded['spec'].get(key)!r} instead of {current['spec'].get(key)!r}"
    return _first_difference(recorded, current)


def _first_difference(recorded: Any, current: Any, path: str = "") -> str:
    # {"spec": {"seed": 0}, ...} and {"spec": {"seed": 1}, ...}  ->  "seed 0 instead of 1"
    if isinstance(recorded, dict) and isinstance(current, dict):
        for key in sorted({*recorded, *current}):
            if recorded.get(key) != current.get(key):
                return _first_difference(recorded.get(key), current.get(key), f"{path}.{key}")
    return f"{path.removeprefix('.spec').lstrip('.')} {recorded!r} instead of {current!r}"


def last_complete_state(job: StageJob) -> tuple[Path | None, RunHistory]:
    """Return the last complete state and the history up to it; remove the states that a kill left incomplete."""
    complete: list[tuple[int, Path]] = []
    for folder in (job.out_dir / WORK_FOLDER).glob("checkpoint-*"):
        if (folder / MANIFEST_NAME).is_file():  # the manifest is written last
            complete.append((int(folder.name.removeprefix("checkpoint-")), folder))
        elif is_main_process():
            shutil.rmtree(folder, ignore_errors=True)
    if not complete:
        return None, RunHistory(started=datetime.now(UTC).isoformat(timespec="seconds"), began=time.monotonic())
    step, folder = max(complete)
    _check_state(folder)
    state_manifest = read_manifest(folder)
    assert state_manifest is not None
    return folder, RunHistory(
        started=state_manifest.started,
        began=time.monotonic(),
        seconds_before=state_manifest.wall_seconds,
        resumed=state_manifest.resumed + 1,
        step=step,
        notes=list(state_manifest.notes),
        stream=_stream_state(folder),
    )


def _stream_state(folder: Path) -> dict[str, Any] | None:
    path = folder / STREAM_STATE
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else None


def save_stream_state(folder: Path, state: dict[str, Any]) -> None:
    """Write the stream's state into a saved state; resuming starts there, and checks what was consumed before it."""
    (folder / STREAM_STATE).write_text(json.dumps(state), encoding="utf-8")


def _check_state(folder: Path) -> None:
    """Check that the files of a saved state are complete: the library's own errors do not name the file.

    Raises:
        InputError: a file is damaged; an earlier state may be complete.
    """
    for file in sorted(folder.iterdir()):
        if file.name == "trainer_state.json":
            whole = _is_trainer_state(file)
        elif file.suffix == ".json":
            whole = _is_json_object(file)
        elif file.suffix in (".pt", ".pth", ".bin"):  # a zip archive, whose table of contents is at the end
            whole = zipfile.is_zipfile(file)
        elif file.suffix == ".safetensors":
            check_safetensors(file)
            continue
        else:
            continue
        if not whole:
            raise InputError(
                f"{file}: is damaged; remove {folder} and run the same command again: training resumes from the state "
                "before it, or from the start."
            )


def _is_trainer_state(file: Path) -> bool:
    from transformers import TrainerState

    try:
        return isinstance(TrainerState.load_from_json(str(file)).global_step, int)
    except Exception:
        return False


def _is_json_object(file: Path) -> bool:
    try:
        return isinstance(json.loads(file.read_text(encoding="utf-8")), dict)
    except (OSError, ValueError, RecursionError):
        return False
