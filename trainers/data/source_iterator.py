"""Draw one source's records as tokens, and keep the exact place to resume from, even in the middle of a document."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from harness.errors import InputError, SpecError
from harness.trainers.data.consumed import Consumed, record_digest
from harness.trainers.data.examples import Encode, EncodedRecord
from harness.trainers.data.formats import TrainingRecord
from harness.trainers.data.ledger import Ledger
from harness.trainers.data.readers import RawRecord
from harness.trainers.data.sources import Source, SourcePosition


def encoded_record(record: TrainingRecord, where: str, encode: Encode) -> EncodedRecord | None:
    """Return a record as tokens.

    Raises:
        InputError: it holds something that is not text, or that the encoder refuses.
    """
    try:
        return encode(record, where)
    except UnicodeEncodeError:
        raise InputError(f"{where}: holds half of a surrogate pair, so it is not text; correct it.") from None


class SourceExhausted(Exception):  # noqa: N818 - a signal to the stream, not an error
    """A source has no more records, and the stage does not repeat it."""


class SourceIterator:
    """One source's documents in order; the current document stays until all its tokens are used."""

    def __init__(
        self,
        source: Source,
        *,
        encode: Encode,
        repeat: bool,
        index: int,
        ledger: Ledger,
        skip_bad: bool = False,
        held_out: Collection[str] = (),
    ) -> None:
        """`index` is the source's column in `ledger`, which the stream's iterators share; `held_out` are digests."""
        self.source, self.encode, self.repeat, self.index, self.ledger = source, encode, repeat, index, ledger
        self.skip_bad, self.held_out = skip_bad, held_out
        # A packed sequence may end inside a document. Its tokens are not saved: the state holds the position before
        # the document and how many of its tokens are used, and resuming encodes the document again.
        #   position: epoch 0, record 7    used: 12    -> resume with token 12 of record 7
        self.position = SourcePosition()  # before the current document
        self.next_position = SourcePosition()  # after it
        self.consumed = Consumed()  # the records before `position`
        self._next_consumed = self.consumed
        self.document: EncodedRecord | None = None
        self.used = 0
        self._records: Iterator[tuple[RawRecord, SourcePosition]] | None = None
        # Whether this epoch gave a usable record; assumed when the epoch is entered in its middle.
        self._epoch_is_usable = False

    def current(self) -> EncodedRecord:
        """Return the current document; draw the next one when there is none.

        Raises:
            SourceExhausted: no records are left, and the source is not repeated.
            InputError: a record is wrong and bad records are not skipped, or a whole epoch gave no usable record.
        """
        while self.document is None:
            if self._records is None:
                self._records = self.source.read_raw(self.position)
            drawn = next(self._records, None)
            if drawn is None:
                self._start_next_epoch()
                continue
            raw, self.next_position = drawn
            self._next_consumed = self.consumed.and_then(raw)
            try:
                self._accept(raw)
            except InputError:
                if not self.skip_bad:
                    raise
                if self.position.epoch == 0:
                    self.ledger.skip(self.index, raw.where)
                self._move_on()
        return self.document

    def _accept(self, raw: RawRecord) -> None:
        """Make a drawn record the current document; count it as held out, or as dropped when no token of it is left."""
        record = self.source.convert(raw)
        if self.held_out and record_digest(record) in self.held_out:
            self.ledger.held_out[self.index] += self.position.epoch == 0
            self._move_on()
            return
        self.ledger.unanswered[self.index] += record.get("unanswered", 0) if self.position.epoch == 0 else 0
        encoded = encoded_record(record, raw.where, self.encode)
        if encoded is None or encoded.tokens == 0:
            self.ledger.records[self.index] += 1
            self.ledger.dropped[self.index] += 1
            self._move_on()
        else:
            self.document, self.used, self._epoch_is_usable = encoded, 0, True

    def _start_next_epoch(self) -> None:
        if not self._epoch_is_usable:
            raise SpecError(
                f"data.sources.{self.source.name}: no record of {self.source.location} can be used: each is empty, "
                "wrong or held out, or its prompt alone fills trainer.max_length. Raise trainer.max_length, or give "
                "other data."
            )
        if not self.repeat:
            raise SourceExhausted
        self.consumed = self.consumed.next_epoch()
        next_epoch = SourcePosition(epoch=self.position.epoch + 1)
        self.position, self._records, self._epoch_is_usable = next_epoch, None, False

    @property
    def repeats(self) -> int:
        """How often the source was started again and gave something; looking for its next record is no repetition."""
        begun = self.used > 0 or self.position.block > 0 or self.position.used_in_block > 0
        return self.position.epoch if begun else max(0, self.position.epoch - 1)

    def take(self, tokens: int) -> None:
        """Mark `tokens` of the current document as used; the document is done when none is left."""
        assert self.document is not None
        if self.used == 0:  # a record counts once, with its first token
            self.ledger.records[self.index] += 1
            self.ledger.cut[self.index] += self.document.cut
        self.used += tokens
        if self.used >= self.document.tokens:
            self.document, self.used = None, 0
            self._move_on()

    def _move_on(self) -> None:
        self.position, self.consumed = self.next_position, self._next_consumed

    def state(self) -> dict[str, Any]:
        """Return the place to resume from, as plain values."""
        # What must not change includes the document in use, of which some tokens were given out.
        in_use = self.used > 0
        read_to = self.next_position if in_use else self.position
        return {
            "place": self.position.to_json(),
            "used": self.used,
            "consumed": self.consumed.to_json(),
            "read": [(self._next_consumed if in_use else self.consumed).to_json(), read_to.to_json()],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue where an iterator of the same source took `state`."""
        self.position = SourcePosition.from_json(state["place"])
        self.consumed = Consumed.from_json(state.get("consumed"))
        self._epoch_is_usable = True
        if state["used"]:
            self.current()
            self.used = state["used"]
