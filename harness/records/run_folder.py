"""Run folders in lm-eval's layout: their schema and names, lines of their files, and reading their run records.

``DIR/<model>/results_<time>.json`` and ``samples_<task>_<time>.jsonl`` have lm-eval's format, so tools for lm-eval can
read them. ``run_<time>.json`` next to them has the fields of `RunRecord`, which lm-eval's files have no place for. The
link ``run.json`` points to the latest one.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from harness.errors import InputError, RecordError, one_line
from harness.records.recorded_lineage import lineage_fault

SCHEMA_VERSION = 1
NESTED = (list, tuple)  # `isinstance` takes a tuple of types five times as fast as ``list | tuple``
MAX_NAME = 200  # bytes of a task's name: its samples file adds some forty, and file systems allow 255
TIME = r"\d{4}-\d{2}-\d{2}T\d{2}-\d{2}-\d{2}(?:\.\d+)?"


class _Schema(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=(), populate_by_name=True)


class TaskRecord(_Schema):
    """One task of a run: its headline value, and counts of its requests."""

    domain: str = Field(description="Reasoning domain; empty for a task without one.")
    chance: float = Field(description="Expected value of a uniform guess, from 0 to 1.")
    metric: str = Field(description="Headline metric, as `name,filter` in the results file.")
    value: float | None = Field(description="Its value; null if no item could be scored.")
    stderr: float | None = Field(
        description="Its standard error: clustered for a mean over items, lm-eval's for others; null if there is none."
    )
    interval: tuple[float, float] | None = Field(description="95% interval of the value.")
    interval_method: str = Field(description="Method of the interval.")
    items_from: str = Field(default="", description="Name of its items, shared by variants of them; empty for its own.")
    items: int = Field(description="Items requested.")
    items_scored: int = Field(
        description="Items in the value; the others have a failed request, or no program that the sandbox supports."
    )
    asked: int = Field(description="Requests made.")
    answered: int = Field(description="Requests with an answer.")
    failed: int = Field(description="Requests without an answer; their items are left out of every metric.")
    cut: int = Field(description="Requests answered after the input was truncated on the left to fit the model.")
    unclosed_thoughts: int = Field(
        default=0, description="Generations that end within the model's reasoning, so that they have no answer."
    )
    encoded_apart: int = Field(
        default=0,
        description="Continuations encoded without their context, because the tokenizer merges them with its end.",
    )
    empty: int = Field(description="Empty generations.")
    unparsed: int | None = Field(default=None, description="Answers without a readable choice, if any are read.")
    unsupported: int | None = Field(
        default=None, description="Programs that count as neither right nor wrong: the sandbox cannot run their tests."
    )
    failures: dict[str, int] = Field(description="Failed requests by reason.")


class RunRecord(_Schema):
    """The data about a run that lm-eval's results file has no place for."""

    schema_version: int = Field(default=SCHEMA_VERSION, description="Version of this schema.")
    time: str = Field(pattern=f"^{TIME}$", description="Start of the run, local time, as in the file names.")
    command: str = Field(description="The command line of the run, with `***` in place of keys, tokens and passwords.")
    harness_version: str = Field(description="Release that wrote it.")
    model: dict[str, Any] = Field(description="Name, source, kind, digest of the weights, revision, lineage.")
    fingerprint: dict[str, Any] = Field(
        validation_alias="answerer",  # the file keeps the keys of earlier releases
        serialization_alias="answerer",
        description="What identifies the model's answers in the journal.",
    )
    engine: dict[str, Any] | None = Field(description="Engine that answered; null if the journal had all answers.")
    from_journal: int = Field(description="Distinct requests answered from the journal.")
    restarts: int = Field(description="How often the engine died and was reopened.")
    prompt: dict[str, Any] = Field(description="Limit, few-shot, chat template, generation arguments, seeds.")
    task_arguments: dict[str, Any] = Field(
        validation_alias="asked_for",
        serialization_alias="asked_for",
        description="Task names, --include_path folders and --metadata as given.",
    )
    tasks: dict[str, TaskRecord] = Field(description="By task name.")
    aggregate: dict[str, Any] = Field(description="Means by domain and overall, with the version of their definition.")
    allowed_failures: int = Field(description="Number of failed requests that the user allowed.")
    complete: bool = Field(description="Whether at most the allowed number of requests failed.")
    notes: list[str] = Field(default_factory=list, description="Notes for readers of the numbers.")
    versions: dict[str, str] = Field(description="Python and packages.")

    @model_validator(mode="after")
    def _has_what_is_read(self) -> RunRecord:
        """Check the parts of free form that other code reads. Raises: ValueError, which pydantic reports."""
        if not isinstance(self.model.get("name"), str):
            raise ValueError("model lacks its name")
        if fault := lineage_fault(self.model.get("lineage") or []):
            raise ValueError(f"model.{fault}")
        given = self.task_arguments
        for key in ("tasks", "include_paths"):
            words = given.get(key, [])
            if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
                raise ValueError(f"asked_for.{key} is not a list of words")
        if not isinstance(given.get("metadata") or {}, dict):
            raise ValueError("asked_for.metadata is not an object")
        for name in self.tasks:
            if "/" in name or "\0" in name or len(name.encode(errors="replace")) > MAX_NAME:
                raise ValueError(f"tasks has the name {name[:40]!r}, which no file can have")
        return self


def time_id(moment: datetime) -> str:
    """Return lm-eval's spelling of a moment in file names."""
    return moment.isoformat().replace(":", "-")


def readable_time(time: str) -> str:
    """Return a time of a file name for people: ``2025-01-31T09-30-00.1`` is ``2025-01-31 09:30:00``."""
    return f"{time[:10]} {time[11:19].replace('-', ':')}".strip()


def sanitized(name: str) -> str:
    """Return lm-eval's folder name for a model (``lm_eval.utils.sanitize_model_name``)."""
    return re.sub(r"[\"<>:/|\\?*\[\]]+", "__", name)


def check_output(path: Path) -> None:
    """Check that runs can be written below `path`, without writing.

    Raises:
        InputError: The path is a file, is below one, or is not writable.
    """
    nearest = next(p for p in (path, *path.absolute().parents) if p.exists())
    if not nearest.is_dir():
        raise InputError(f"--output_path {path}: {nearest} is a file; give a folder.")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise InputError(f"--output_path {path}: {nearest} is not writable; give a writable folder.")


def claim(path: Path) -> list[Path]:
    """Create the output folder and test that it is writable, before hours are spent on answers.

    Returns:
        The folders that were created, the deepest first; `unclaim` removes those that are still empty.

    Raises:
        InputError: The folder cannot be created or written.
    """
    created = [folder for folder in (path, *path.parents) if not folder.exists()]
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise InputError(f"--output_path {path}: cannot be written ({error.strerror}); give another folder.") from None
    return created


def unclaim(created: Sequence[Path]) -> None:
    """Remove the folders that `claim` created, if they are still empty."""
    with contextlib.suppress(OSError):  # stop at the first folder that is not empty
        for folder in created:
            folder.rmdir()


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a run is written.

    Attributes:
        folder: The folder.
        stem: What the name of the results file begins with.
    """

    folder: Path
    stem: str = "results"


def is_results_file(output: Path) -> bool:
    """Whether ``--output_path`` names a results file, as lm-eval allows, instead of a folder."""
    return output.suffix == ".json" and not output.is_dir()


def folder_of(output: Path) -> Path:
    """Return the folder that ``--output_path`` means. Raises: InputError: it is a file whose name is taken."""
    if not is_results_file(output):
        return output
    if output.stem == "run" or output.stem.startswith(("run_", "samples_")):
        raise InputError(
            f"--output_path {output}: run.json, run_* and samples_* are names of other files of a run; give another, "
            "such as results.json."
        )
    return output.parent


def place_of(output: Path, name: str, digest: str) -> Place:
    """Return where a run of a model is written: ``DIR/<model>/results_<time>.json``, or for a file as lm-eval does::

    out/tiny.json   ->   out/tiny_<time>.json, out/samples_<task>_<time>.jsonl, out/run_<time>.json
    """
    if is_results_file(output):
        return Place(folder=output.parent, stem=output.stem)
    return Place(folder=model_folder(output, name, digest))


def model_folder(output: Path, name: str, digest: str) -> Path:
    """Return the folder of a model's runs. If another checkpoint uses the name, the folder's name includes the digest.

    Two checkpoints must never share a folder, because readers could not tell their runs apart.
    """
    folder = output / sanitized(name)
    try:
        latest = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        name_is_taken = latest["model"]["digest"] != digest
    except (OSError, ValueError, KeyError, TypeError):
        name_is_taken = False
    return output / f"{sanitized(name)}-{digest.removeprefix('sha256:')[:8]}" if name_is_taken else folder


def to_json(value: Any, *, indent: int | None = None) -> str:
    """Serialise as lm-eval does: numpy numbers as numbers, sets as lists, other objects as text."""
    return _encoder(indent).encode(value)


@functools.cache
def _encoder(indent: int | None) -> json.JSONEncoder:
    from lm_eval.utils import handle_non_serializable

    options: dict[str, Any] = {"default": handle_non_serializable, "ensure_ascii": False}
    return json.JSONEncoder(indent=indent, check_circular=False, **options)  # a tenth faster; samples hold no cycles


def json_line(sample: Mapping[str, Any]) -> str:
    """Return one line of a samples file, in the format of lm-eval's `EvaluationTracker`."""
    arguments = sample["arguments"]
    responses = _as_texts(sample["resps"])
    changed = {
        "resps": responses,
        "filtered_resps": _filtered_as_texts(sample, responses),
        "arguments": {
            request: dict(zip(_numbered("arg_", len(texts)), texts, strict=True))
            for request, texts in zip(_numbered("gen_args_", len(arguments)), arguments, strict=True)
        },
        "target": str(sample["target"]),
    }
    return to_json({**sample, **changed}) + "\n"


@functools.cache
def _numbered(name: str, count: int) -> tuple[str, ...]:
    """Return ``("arg_0", "arg_1")`` for ``"arg_"`` and 2."""
    return tuple(f"{name}{number}" for number in range(count))


def _filtered_as_texts(sample: Mapping[str, Any], responses: Any) -> Any:
    """Return the filtered responses as texts; those that a filter left as they are have their texts already.

    Args:
        sample: A sample.
        responses: Its responses as texts.
    """
    filtered, own = sample["filtered_resps"], sample["resps"]
    has_pairs = isinstance(filtered, list) and len(filtered) == len(own)
    if has_pairs and all(len(repeats) == 1 and repeats[0] is one for repeats, one in zip(own, filtered, strict=True)):
        return [repeats[0] for repeats in responses]
    return _as_texts(filtered)


def _as_texts(value: Any) -> Any:
    """Do what ``lm_eval.utils.sanitize_list`` does, in half the time: every number in nested lists becomes a text."""
    if isinstance(value, NESTED):
        return [_as_texts(each) if isinstance(each, NESTED) else str(each) for each in value]
    return str(value)


def read_record(path: Path) -> RunRecord:
    """Read a ``run_<time>.json``, or the latest of a run folder.

    Raises:
        RecordError: There is none, or it is damaged or from a different release.
    """
    file = path / "run.json" if path.is_dir() else path
    try:
        return RunRecord.model_validate_json(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RecordError(f"{path}: no run.json; give a folder that `harness eval` wrote.") from None
    except (OSError, UnicodeDecodeError, RecursionError) as error:
        raise RecordError(f"{file}: cannot be read ({one_line(error, max_characters=100)}); check the file.") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        problem = f"{where + ': ' if where else ''}{first['msg'].removeprefix('Value error, ')}"
        raise RecordError(f"{file}: {problem}; the file is damaged or from another release.") from None
