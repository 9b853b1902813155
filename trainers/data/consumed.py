"""A digest of the records that a stage has consumed: these must be unchanged when it resumes; later ones may change.

Records are drawn in a shuffled order, so the digest is over the records as they were drawn, not over the file:

    digest of records 7, 3, 5  =  sha256(sha256(sha256("" + record 7) + record 3) + record 5)
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from harness.errors import InputError
from harness.trainers.data.formats import TrainingRecord, as_completion
from harness.trainers.data.readers import BadRecord, RawRecord
from harness.trainers.data.sources import Source, SourcePosition


def record_digest(record: TrainingRecord) -> str:
    """Return what identifies a record's content, in whatever format it was written.

    It does not depend on what is learned: an instruction and the same conversation have one digest.
    """
    # {"prompt": [user "2 and 2?"], "completion": [assistant "4"]}   and   {"messages": [user ..., assistant ...]}
    #   ->  [["user", "2 and 2?"], ["assistant", "4"]]
    record = as_completion(record) if "answer" in record else record
    names = ("messages", "text", "prompt", "completion", "chosen", "rejected", "tests")
    held = [record[name] for name in names if name in record]
    if "messages" in record:
        last = max((place for place, message in enumerate(held[0]) if message["role"] == "assistant"), default=-1)
        held = [held[0][: last + 1]]
    if all(isinstance(part, str) for part in held):
        content: Any = "".join(held)
    else:
        content = [[message["role"], message["content"]] for part in held if isinstance(part, list) for message in part]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


@dataclass(frozen=True)
class Consumed:
    """What was drawn from a source.

    Attributes:
        digest: Of the records of this epoch; empty before the first.
        first_epoch: Of all records of the first epoch; empty during that epoch.
    """

    digest: str = ""
    first_epoch: str = ""

    def and_then(self, raw: RawRecord) -> Consumed:
        """Return the digest after another record."""
        value = raw.value.problem if isinstance(raw.value, BadRecord) else raw.value
        record = json.dumps(value, sort_keys=True, default=str)
        return Consumed(hashlib.sha256((self.digest + record).encode()).hexdigest(), self.first_epoch)

    def next_epoch(self) -> Consumed:
        """Return the digest at the start of the next epoch, which has the same records in another order."""
        return Consumed("", self.first_epoch or self.digest)

    def to_json(self) -> list[str]:
        """Return plain values."""
        return [self.digest, self.first_epoch]

    @classmethod
    def from_json(cls, state: list[str] | None) -> Consumed:
        """Return what `to_json` described; logs of earlier releases have none."""
        return cls(*state) if state is not None else cls()


def check_unchanged(source: Source, state: dict[str, Any]) -> None:
    """Read the records again that were drawn up to a state of a `SourceIterator`, and compare the digest.

    Raises:
        InputError: one of them has changed.
    """
    if not source.reader.files or "read" not in state:
        return  # a commit identifies a hub data set, and tasks are generated
    digests, place = state["read"]
    expected, position = Consumed.from_json(digests), SourcePosition.from_json(place)
    found = Consumed()
    if position.epoch:
        for raw, _ in source.read_raw(SourcePosition()):
            found = found.and_then(raw)
        found = found.next_epoch()
    if expected.digest:
        for raw, after in source.read_raw(SourcePosition(epoch=position.epoch)):
            found = found.and_then(raw)
            if after == position:
                break
    if found != expected:
        raise InputError(
            f"data.sources.{source.name}: {source.location} has changed where it was trained on, or has more or fewer "
            "records in the block being read, which changes their order; correct records in place only, or give "
            "another --output_path."
        )
