"""The records whose loss is measured during training: read once, kept in memory, left out of the training stream.

evaluate: {sources: {books: {path: held_out/*.txt}}, every: 50}
->  HeldOut(name="books", examples=[{"input_ids": ..., "labels": ...}, ...], text_bytes=41_230, ...)
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.errors import InputError, SpecError
from harness.trainers.data.chat import Tokenizer
from harness.trainers.data.consumed import record_digest
from harness.trainers.data.encoding import packed_alone
from harness.trainers.data.examples import IGNORED, Encode, EncodedRecord
from harness.trainers.data.hub_reader import HubReader
from harness.trainers.data.ledger import NAMED
from harness.trainers.data.opening import held_out_source, open_source
from harness.trainers.data.source_iterator import encoded_record
from harness.trainers.data.sources import Source, SourcePosition
from harness.trainers.data.spec import SourceSpec
from harness.trainers.data.task_reader import TaskReader
from harness.trainers.stage.spec import StageSpec

TOKENS = "eval_tokens"  # key in the library's log: tokens trained on so far


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """One source of held-out records.

    Attributes:
        name: Its name in the stage file.
        location: Path, hub id or task, as the stage file says.
        examples: What the trainer reads.
        records: Records in it.
        cut: Those of them that were truncated.
        dropped: Those of them that are not measured, because truncation left nothing to learn.
        skipped: Location of each wrong record, which is left out.
        text_bytes: UTF-8 bytes of the tokens that have a loss; 0 if the loss is not per token.
        digests: Of its records; the training stream leaves out every record with one of them.
        commit: Of a hub data set.
    """

    name: str
    location: str
    examples: tuple[dict[str, Any], ...]
    records: int
    cut: int
    dropped: int
    skipped: tuple[str, ...]
    text_bytes: int
    digests: frozenset[str]
    commit: str | None

    def counts(self) -> dict[str, Any]:
        """Return what the manifest says of it."""
        return {
            "location": self.location, "records": self.records, "cut": self.cut, "dropped": self.dropped,
            "skipped": len(self.skipped), "first_skipped": list(self.skipped[:NAMED]), "text_bytes": self.text_bytes,
            "digest": self.digest(),
        }  # fmt: skip

    def digest(self) -> str:
        """Return what identifies the records, whatever their order."""
        return hashlib.sha256("".join(sorted(self.digests)).encode()).hexdigest()


def open_held_out(
    spec: StageSpec, tokenizer: Tokenizer, encode: Encode, packed_length: int | None, commits: Mapping[str, str]
) -> list[HeldOut]:
    """Read the held-out sources of a stage; an empty list if it has none.

    Args:
        spec: The stage.
        tokenizer: Its tokenizer.
        encode: Its encoder.
        packed_length: Tokens per packed sequence; None for one record per example.
        commits: Commits of hub data sets that the stage began with, as ``evaluate.NAME``.

    Raises:
        InputError: a source is missing, endless, or holds a record that is wrong or has nothing to learn.
    """
    if spec.evaluate is None:
        return []
    return [
        _read(_opened(name, source, spec, commits.get(f"evaluate.{name}")), spec, tokenizer, encode, packed_length)
        for name, source in spec.evaluate.sources.items()
    ]


def _read(source: Source, spec: StageSpec, tokenizer: Tokenizer, encode: Encode, packed_length: int | None) -> HeldOut:
    with held_out_source():
        encoded, digests, skipped = _encoded(source, encode, skip_bad=spec.data.when_bad == "skip")
    kept = [record for record in encoded if record is not None and record.tokens]
    examples = [record.columns for record in kept] if packed_length is None else packed_alone(kept, packed_length)
    if not any(_has_loss(example) for example in examples):
        raise SpecError(
            f"evaluate.sources.{source.name}: no record of {source.location} has anything to learn within "
            "trainer.max_length; raise it, or give other records."
        )
    return HeldOut(
        name=source.name,
        location=source.location,
        examples=tuple(examples),
        records=len(digests),
        cut=sum(record.cut for record in kept),
        dropped=len(encoded) - len(kept),
        skipped=tuple(skipped),
        text_bytes=sum(_learned_bytes(example, tokenizer) for example in examples if "labels" in example),
        digests=frozenset(digests),
        commit=source.reader.revision if isinstance(source.reader, HubReader) else None,
    )


def _has_loss(example: Mapping[str, Any]) -> bool:
    return "labels" not in example or any(label != IGNORED for label in example["labels"][1:])


def _opened(name: str, given: SourceSpec, spec: StageSpec, commit: str | None) -> Source:
    with held_out_source():
        source = open_source(
            name,
            given,
            stage=spec.stage,
            rationale=spec.data.rationale,
            seed=None,
            allow_test_split=spec.allow_eval_data,
            commit=commit,
            skip_bad=spec.data.when_bad == "skip",
        )
    if given.limit is None and isinstance(source.reader, TaskReader):
        raise SpecError(
            f"evaluate.sources.{name}.limit: is missing; {given.location} has no end; give a number of items."
        )
    return source


def _encoded(
    source: Source, encode: Encode, *, skip_bad: bool
) -> tuple[list[EncodedRecord | None], list[str], list[str]]:
    """Return the records as tokens, their digests, and the location of each wrong one."""
    encoded, digests, skipped = [], [], []
    for raw, _ in source.read_raw(SourcePosition()):
        try:
            record = source.convert(raw)
            kept = encoded_record(record, raw.where, encode)
        except InputError:
            if not skip_bad:
                raise
            skipped.append(raw.where)
            continue
        digests.append(record_digest(record))
        encoded.append(kept)
    return encoded, digests, skipped


def _learned_bytes(example: dict[str, Any], tokenizer: Tokenizer) -> int:
    """Return the bytes of the text of all tokens that have a loss."""
    # The token before a run is decoded with it, because some tokenizers drop a space at the beginning of a text:
    #   labels  -100 -100 "▁the" "▁cat"    decode("▁saw ▁the ▁cat") minus decode("▁saw")  ->  " the cat", 8 bytes
    ids, labels = example["input_ids"], example["labels"]
    return sum(
        _bytes_of(ids[begin - 1 : end], tokenizer) - _bytes_of(ids[begin - 1 : begin], tokenizer)
        for begin, end in _runs(labels)
    )


def _runs(labels: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield where the runs of labels with a loss begin and end; the first token of a sequence has none."""
    begin = None
    for place in range(1, len(labels) + 1):
        learned = place < len(labels) and labels[place] != IGNORED
        if learned and begin is None:
            begin = place
        elif not learned and begin is not None:
            yield begin, place
            begin = None


def _bytes_of(ids: Sequence[int], tokenizer: Tokenizer) -> int:
    text = tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return len(text.encode("utf-8", errors="replace"))


def curve(sources: Sequence[HeldOut], log_history: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the measurements of a training for the manifest, by step: mean loss, and per source loss and bits."""
    by_step = {entry["step"]: entry for entry in log_history if "eval_loss" in entry}
    return [
        {
            "step": step,
            "tokens": entry[TOKENS],
            "loss": entry["eval_loss"],
            "sources": {held_out.name: _of_source(held_out, entry) for held_out in sources},
        }
        for step, entry in sorted(by_step.items())
    ]


def _of_source(held_out: HeldOut, entry: dict[str, Any]) -> dict[str, float]:
    names = {"loss": f"eval_{held_out.name}_loss", "bits_per_byte": f"eval_{held_out.name}_bits_per_byte"}
    return {name: entry[key] for name, key in names.items() if key in entry}
