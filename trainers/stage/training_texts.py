"""The text that a stage trains on, by source, for `harness overlap`; no tokenizer and no model is needed.

open_streams(["runs/base"])      an output folder: the records that were streamed up to its last manifest
open_streams(["stage.yaml"])     a stage file: the sources, with format, skip and limit
open_streams(["corpus/*.txt"])   data of any kind that training reads: all text in its records
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from glob import has_magic
from itertools import islice
from pathlib import Path
from typing import Any

from harness.checkpoints.stage_manifest import MANIFEST_NAME, StageManifest, StreamedSource, read_manifest
from harness.errors import MALFORMED, InputError, SpecError
from harness.overlap.streams import TextPiece, TextStream
from harness.trainers.data.formats import STAGE_FORMATS
from harness.trainers.data.opening import open_source, readers_of
from harness.trainers.data.readers import BadRecord, Cursor, RawRecord
from harness.trainers.data.sources import Source, SourcePosition
from harness.trainers.data.task_reader import TaskReader
from harness.trainers.stage.folder import spec_file
from harness.trainers.stage.models import STAGE_FILES
from harness.trainers.stage.spec import StageSpec, parse
from harness.trainers.stage.stream_history import drawn_records, histories, saved_states
from harness.training import read_stage

CHARACTERS_PER_TOKEN = 8  # more than tokens of text have, so that an endless source is read further than it is streamed
STUDY_FILE = "study.json"
NOT_TEXT = ("role", "learned", "label", "letters")


def open_streams(places: Sequence[str]) -> list[TextStream]:
    """Return one stream for each source of stage files and output folders, and for each other place; names are unique.

    Raises:
        InputError: a place does not exist, or holds nothing that training reads.
    """
    opened = [(place, stream) for place in dict.fromkeys(places) for stream in _open(place)]
    names = Counter(stream.name for _, stream in opened)
    return [
        stream if names[stream.name] == 1 else replace(stream, name=f"{place}: {stream.name}")
        for place, stream in opened
    ]


def _open(place: str) -> list[TextStream]:
    path = Path(place)
    _check_place(path)
    if path.suffix in STAGE_FILES and path.is_file():
        try:
            fields = read_stage(path)
            if "stages" in fields and "stage" not in fields:
                raise SpecError("is an experiment file; give a stage file, or the output folder of a stage.")
            return _of_stage(fields, None)
        except SpecError as error:
            raise SpecError(f"{place}: {error}") from None
    if (path / MANIFEST_NAME).is_file() or spec_file(path).is_file():
        return _of_folder(path)
    records = (raw for reader in readers_of(place) for raw in reader.read(Cursor()))
    return [TextStream(name=place, location=place, pieces=_pieces(records, None))]


def _check_place(path: Path) -> None:
    """Refuse a path that does not exist, unless it is a glob, and the output folder of a study."""
    if not path.expanduser().exists() and not has_magic(str(path)):
        raise InputError(f"{path}: does not exist; give a stage file, the output folder of a stage, or training data.")
    if (path / STUDY_FILE).is_file():
        raise InputError(
            f"{path}: is the output folder of a study; give that of a stage, such as {path}/nodes/KEY/LABEL."
        )


def _of_folder(folder: Path) -> list[TextStream]:
    """Return what was streamed up to the folder's last manifest; the whole sources before there is one."""
    manifest = read_manifest(folder) or next(iter(reversed(list(saved_states(folder)))), None)
    if manifest is not None:
        streams = _of_stage(_as_written(manifest.spec), manifest)
        by_source = dict(zip((source.name for source in manifest.sources), histories(folder, manifest), strict=True))
        return [replace(stream, history=by_source.get(stream.name)) for stream in streams]
    try:
        fields = _as_written(json.loads(spec_file(folder).read_text(encoding="utf-8"))["spec"])
    except (OSError, *MALFORMED):
        raise InputError(f"{spec_file(folder)}: is damaged; give the stage file instead of {folder}.") from None
    return _of_stage(fields, None)


def _as_written(spec: dict[str, Any]) -> dict[str, Any]:
    """Return a resolved stage file with what matters for its text, and without defaults that it could not have."""
    sources = {
        name: {field: value for field, value in source.items() if field != "split" or "path" not in source}
        for name, source in spec["data"]["sources"].items()
    }
    data = {name: value for name, value in spec["data"].items() if name != "mixture"}
    return {name: value for name, value in spec.items() if name != "evaluate"} | {"data": data | {"sources": sources}}


def _of_stage(fields: dict[str, Any], manifest: StageManifest | None) -> list[TextStream]:
    stage = fields.get("stage")
    if stage is None:
        raise SpecError("stage: missing; give a stage file, the output folder of a stage, or training data.")
    if stage not in STAGE_FORMATS:
        raise SpecError(
            f"stage: {stage!r} reads no data that can be searched; give a stage of {', '.join(STAGE_FORMATS)}, or the "
            "stages of its parents."
        )
    spec = parse(fields, str(stage))
    streamed = {source.name: source for source in manifest.sources} if manifest is not None else {}
    return [_of_source(name, spec, streamed.get(name)) for name in spec.data.sources]


def _of_source(name: str, spec: StageSpec, streamed: StreamedSource | None) -> TextStream:
    source = open_source(
        name,
        spec.data.sources[name],
        stage=spec.stage,
        rationale=spec.data.rationale,
        seed=spec.seed if spec.data.shuffle and streamed is not None else None,
        allow_test_split=True,
        commit=_commit(streamed),
        skip_bad=True,
    )
    records: Iterator[RawRecord] = (raw for raw, _ in source.read_raw(SourcePosition()))
    note = ""
    if streamed is not None and not streamed.repeats:
        drawn = drawn_records(streamed)
        records, note = islice(records, drawn), f"the {drawn:,} records that were streamed"
    pieces = _pieces(records, source)
    if isinstance(source.reader, TaskReader) and source.limit is None and not note:
        assert spec.data.budget_tokens is not None, "an endless source has no epochs"
        characters = CHARACTERS_PER_TOKEN * spec.data.budget_tokens
        pieces, note = _first_characters(pieces, characters), f"its first {characters:,} characters; it has no end"
    return TextStream(name=name, location=source.location, pieces=pieces, note=note)


def _commit(streamed: StreamedSource | None) -> str | None:
    kind, _, commit = ((streamed.digest if streamed is not None else None) or "").partition(":")
    return commit if kind == "commit" else None


def _first_characters(pieces: Iterator[TextPiece], count: int) -> Iterator[TextPiece]:
    for piece in pieces:
        if count <= 0:
            return
        count -= len(piece.text)
        yield piece


def _pieces(records: Iterator[RawRecord], source: Source | None) -> Iterator[TextPiece]:
    """Yield the text of each record that can be parsed."""
    lines = 0
    for number, raw in enumerate(records, start=1):
        if isinstance(raw.value, BadRecord):
            continue
        if isinstance(raw.value, dict) and raw.value.keys() == {"text", "begins", "ends"}:  # a piece of a text file
            begins, text = raw.value["begins"], raw.value["text"]
            lines = 1 if begins else lines
            where = raw.where.rpartition(", piece ")[0]
            yield TextPiece(text, where, lines, continues=not begins, record=number)
            lines += text.count("\n")
        else:
            yield TextPiece("\n".join(_strings(_learned(raw, source))), raw.where, record=number)


def _learned(raw: RawRecord, source: Source | None) -> Any:
    """Return what training reads of a record; all of it if no stage says how, or if it cannot be converted."""
    if source is None:
        return raw.value
    try:
        return source.convert(raw)
    except InputError:
        return raw.value


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, held in value.items():
            if name not in NOT_TEXT:
                yield from _strings(held)
    elif isinstance(value, list | tuple):
        for held in value:
            yield from _strings(held)
