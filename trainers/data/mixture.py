"""The stream of a stage: sources mixed by shares of tokens, phase after phase, until the budget is spent.

The rule is a deficit: the next record always comes from the source that is furthest behind its share. So the stream
depends on nothing but the stage file, the data and the seed; it is made as it is read, and where it stands is a few
numbers, from which it goes on. Two forms: *packed*, where documents fill sequences of one length and are cut at their
ends (a sequence knows where its documents begin), and *whole*, one record a sequence. It knows no tokenizer and no
trainer: an `Encode` makes tokens of a record.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from harness.errors import InputError
from harness.trainers.data.ledger import Ledger
from harness.trainers.data.readers import Cursor
from harness.trainers.data.records import Record
from harness.trainers.data.schedules import Schedule
from harness.trainers.data.sources import Place, Source

IGNORED = -100  # the label of a token that is not learned, in every library here


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """A record as tokens.

    Attributes:
        columns: What the trainer reads; for a packed stream ``input_ids`` and ``labels``, of equal length.
        tokens: How many tokens the ledger counts for it.
        cut: Whether it lost its end.
    """

    columns: dict[str, Any]
    tokens: int
    cut: bool = False


Encode = Callable[[Record, str], Encoded | None]
"""``(record, where) -> tokens``; None when nothing is left to learn from."""


@dataclass(frozen=True, kw_only=True)
class Sequence:
    """One item of the stream.

    Attributes:
        columns: What the trainer reads.
        tokens: Counted by the ledger.
        phase: From 0; that of its first token.
        sources: Names of the sources it was made of, in order.
    """

    columns: dict[str, Any]
    tokens: int
    phase: int
    sources: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """Everything that decides a stream.

    Attributes:
        schedule: Shares over the stage.
        sources: Opened, in the schedule's order.
        encode: Makes tokens of a record.
        budget_tokens: When it ends; a whole stream ends before the record that would exceed it.
        packed_length: Tokens of every sequence; None: one record a sequence.
        repeat: Begin a source that ran out anew; else the stream ends there.
    """

    schedule: Schedule
    sources: tuple[Source, ...]
    encode: Encode
    budget_tokens: int
    packed_length: int | None = None
    repeat: bool = True

    @property
    def target_tokens(self) -> int:
        """The budget, cut to whole sequences when they are packed."""
        return self.budget_tokens - (self.budget_tokens % self.packed_length if self.packed_length else 0)

    def stream(self, state: dict[str, Any] | None = None) -> Stream:
        """Return the stream from its beginning, or from where `Stream.state` was taken."""
        return Stream(self, state)

    def target_shares(self) -> list[tuple[float, ...]]:
        """Return the schedule's shares in each phase, ``[phase][source]``."""
        return [self.schedule.target_shares(begin, end) for begin, end in itertools.pairwise(self.schedule.bounds)]


class RanOut(Exception):  # noqa: N818 - a signal inside this module
    """A source has no more records, and is not to be repeated."""


class Tap:
    """One source's records as tokens, one after the other; the document that is begun stays until it is used up."""

    def __init__(self, source: Source, mixture: Mixture, index: int, ledger: Ledger) -> None:
        self.source, self.mixture, self.index, self.ledger = source, mixture, index, ledger
        self.place = Place()  # before the document in hand
        self.after = Place()  # behind it
        self.document: Encoded | None = None
        self.used = 0  # tokens of the document in hand that were given out
        self._records: Iterator[tuple[Record, str, Place]] | None = None
        self._useful = False  # whether this turn gave anything; taken for granted when it was entered in its middle

    def current(self) -> Encoded:
        """Return the document in hand, drawing one when there is none.

        Raises:
            RanOut: there are no more, and the source is not to be repeated.
            InputError: a whole turn gave no record that can be used.
        """
        while self.document is None:
            if self._records is None:
                self._records = self.source.turn(self.place)
            drawn = next(self._records, None)
            if drawn is None:
                self._begin_anew()
                continue
            record, where, self.after = drawn
            self._count(self.mixture.encode(record, where))
        return self.document

    def _count(self, encoded: Encoded | None) -> None:
        if encoded is None or encoded.tokens == 0:
            self.ledger.records[self.index] += 1
            self.ledger.dropped[self.index] += 1
            self.place = self.after
        else:
            self.document, self.used, self._useful = encoded, 0, True

    def _begin_anew(self) -> None:
        if not self._useful:
            raise InputError(
                f"data.sources.{self.source.name}: no record of {self.source.location} can be used: each is empty, or "
                "its prompt alone fills trainer.max_length. Raise it, or give other data."
            )
        if not self.mixture.repeat:
            raise RanOut
        self.place, self._records, self._useful = Place(turn=self.place.turn + 1), None, False

    def take(self, tokens: int) -> None:
        """Count `tokens` of the document in hand as used, and put it away when none is left."""
        assert self.document is not None
        if self.used == 0:
            self.ledger.records[self.index] += 1
            self.ledger.cut[self.index] += self.document.cut
        self.used += tokens
        if self.used >= self.document.tokens:
            self.document, self.used, self.place = None, 0, self.after

    def state(self) -> dict[str, Any]:
        """Return where the tap stands."""
        return {"place": asdict(self.place) | {"cursor": list(self.place.cursor)}, "used": self.used}

    def restore(self, state: dict[str, Any]) -> None:
        """Go to where a tap of the same source stood."""
        place = dict(state["place"])
        self.place = Place(**{**place, "cursor": Cursor(*place["cursor"])})
        self._useful = True
        if state["used"]:
            self.current()
            self.used = state["used"]


class Stream:
    """An iterator over the sequences of a mixture; `state` says where it stands between two of them."""

    def __init__(self, mixture: Mixture, state: dict[str, Any] | None) -> None:
        self.mixture = mixture
        self.phases = len(mixture.schedule.bounds) - 1
        self.ledger = Ledger.empty(self.phases, len(mixture.sources))
        self.taps = [Tap(source, mixture, index, self.ledger) for index, source in enumerate(mixture.sources)]
        self.index = 0
        self.phase = 0
        self.phase_began = 0  # tokens streamed before this phase
        self.phase_ends = 0  # and when it is over
        self.offset: list[float] = []  # of each source, what was asked for before this phase
        self.quota: list[float] = []  # and what is asked for within it
        if state is not None:
            for tap, place in zip(self.taps, state["taps"], strict=True):
                tap.restore(place)
            self.ledger.restore(state["ledger"])
            self.index, self.phase, self.phase_began = state["index"], state["phase"], state["phase_began"]
        self.total = self.ledger.total
        self._begin_phase()

    def state(self) -> dict[str, Any]:
        """Return plain values from which an equal stream goes on."""
        return {
            "index": self.index,
            "phase": self.phase,
            "phase_began": self.phase_began,
            "taps": [tap.state() for tap in self.taps],
            "ledger": self.ledger.state(),
        }

    @property
    def repeats(self) -> list[int]:
        """How often each source was begun anew."""
        return [tap.place.turn for tap in self.taps]

    def __iter__(self) -> Iterator[Sequence]:
        """Yield sequences until the budget is spent or a source runs out."""
        try:
            while (sequence := self._packed() if self.mixture.packed_length else self._whole()) is not None:
                self.index += 1
                yield sequence
        except RanOut:
            return

    def _enter_phase(self) -> None:
        """Go to the phase that the tokens streamed so far belong to."""
        while self.phase < self.phases - 1 and self.total >= self.phase_ends:
            self.phase += 1
            self.phase_began = self.total
            self._begin_phase()

    def _begin_phase(self) -> None:
        budget, schedule = self.mixture.target_tokens, self.mixture.schedule
        begin, end = schedule.bounds[self.phase], schedule.bounds[self.phase + 1]
        self.phase_ends = round(end * budget)
        self.offset = [share * budget for share in schedule.cumulative(max(self.phase_began / budget, begin))]
        self.quota = [b * budget - a for a, b in zip(self.offset, schedule.cumulative(end), strict=True)]

    def _deficits(self) -> list[float]:
        """Return for each source how many tokens it is behind its share of this phase, the next token included."""
        budget = self.mixture.target_tokens
        asked = self.mixture.schedule.cumulative(min(1.0, (self.total + 1) / budget))
        drawn = self.ledger.tokens[self.phase]
        return [b * budget - a - tokens for a, b, tokens in zip(self.offset, asked, drawn, strict=True)]

    def _next_tap(self) -> Tap:
        deficits = self._deficits()
        return self.taps[max(range(len(deficits)), key=deficits.__getitem__)]

    def _count(self, tap: Tap, tokens: int) -> None:
        self.ledger.tokens[self.phase][tap.index] += tokens
        self.total += tokens
        tap.take(tokens)

    def _whole(self) -> Sequence | None:
        self._enter_phase()
        tap = self._next_tap()
        document = tap.current()
        if self.total + document.tokens > self.mixture.target_tokens:
            return None
        self._count(tap, document.tokens)
        return Sequence(columns=document.columns, tokens=document.tokens, phase=self.phase, sources=(tap.source.name,))

    def _packed(self) -> Sequence | None:
        length = self.mixture.packed_length
        assert length is not None
        if self.total + length > self.mixture.target_tokens:
            return None
        self._enter_phase()
        ids: list[int] = []
        labels: list[int] = []
        lengths: list[int] = []
        names: list[str] = []
        first_phase = self.phase
        while len(ids) < length:
            self._enter_phase()
            tap = self._next_tap()
            document = tap.current()
            begin = tap.used
            end = begin + min(length - len(ids), document.tokens - begin, self._left_in_phase(tap))
            ids += document.columns["input_ids"][begin:end]
            # Nothing in this sequence predicts the first token of a document.
            labels += [IGNORED, *document.columns["labels"][begin + 1 : end]]
            lengths.append(end - begin)
            names.append(tap.source.name)
            self._count(tap, end - begin)
        columns = {"input_ids": ids, "labels": labels, "seq_lengths": lengths}
        return Sequence(columns=columns, tokens=length, phase=first_phase, sources=tuple(names))

    def _left_in_phase(self, tap: Tap) -> int:
        """Return how many tokens the source may still give to this phase, at least one."""
        return max(1, round(self.quota[tap.index]) - self.ledger.tokens[self.phase][tap.index])
