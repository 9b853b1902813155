"""The stream of a stage: sources mixed by shares of tokens, phase after phase, until the budget is spent.

The next record always comes from the source that is furthest behind its share of the tokens. The stream therefore
depends only on the stage file, the data and the seed. It is made lazily, and its state is a few numbers, from which an
equal stream continues.

There are two forms. *Packed*: documents fill sequences of one length; a document may be split between two sequences,
and a sequence records where its documents begin. *Unpacked*: each record is one example.

This module knows no tokenizer and no trainer: an `Encode` turns a record into tokens.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from harness.trainers.data.examples import IGNORED, Encode, TrainingExample
from harness.trainers.data.ledger import Ledger
from harness.trainers.data.schedules import Schedule
from harness.trainers.data.source_iterator import SourceExhausted, SourceIterator
from harness.trainers.data.sources import Source


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """Everything that determines a stream.

    Attributes:
        schedule: Shares of the sources over the stage.
        sources: Opened sources, in the schedule's order.
        encode: Turns a record into tokens.
        budget_tokens: Where the stream ends; an unpacked stream ends before the record that would exceed it.
        packed_length: Tokens per packed sequence; None for one record per example.
        repeat: Start an exhausted source again; otherwise the stream ends there.
        skip_bad: Skip and count records that are wrong, instead of raising an error.
        held_out: Digests of records that are left out and counted (`consumed.record_digest`).
    """

    schedule: Schedule
    sources: tuple[Source, ...]
    encode: Encode
    budget_tokens: int
    packed_length: int | None = None
    repeat: bool = True
    skip_bad: bool = False
    held_out: frozenset[str] = frozenset()

    @property
    def target_tokens(self) -> int:
        """The budget, rounded down to whole sequences when they are packed."""
        return self.budget_tokens - (self.budget_tokens % self.packed_length if self.packed_length else 0)

    def stream(self, state: dict[str, Any] | None = None) -> Stream:
        """Return the stream from its beginning, or from where `Stream.state` was taken."""
        return Stream(self, state)

    def target_shares(self) -> list[tuple[float, ...]]:
        """Return the schedule's shares in each phase, ``[phase][source]``."""
        return [self.schedule.target_shares(begin, end) for begin, end in itertools.pairwise(self.schedule.bounds)]


class Stream:
    """An iterator over the training examples of a mixture; `state` is taken between two of them."""

    def __init__(self, mixture: Mixture, state: dict[str, Any] | None) -> None:
        self.mixture = mixture
        self.phases = len(mixture.schedule.bounds) - 1
        self.ledger = Ledger.empty(self.phases, len(mixture.sources))
        self.iterators = [
            SourceIterator(
                source,
                encode=mixture.encode,
                repeat=mixture.repeat,
                index=index,
                ledger=self.ledger,
                skip_bad=mixture.skip_bad,
                held_out=mixture.held_out,
            )
            for index, source in enumerate(mixture.sources)
        ]
        self.index = 0  # examples given so far
        self.phase = 0
        # Numbers of the current phase. Budget 1000, two phases, text : code 7:3 and then 1:1. In the second phase:
        #   phase_start 500   phase_end 1000   target_before [350, 150]   quota [250, 250]
        # An unpacked record of the first phase may end past the boundary, at token 512, say. The second phase then
        # starts at 512 with its own shares, target_before [356, 156] and quota [244, 244]: it does not compensate.
        self.phase_start = 0
        self.phase_end = 0
        self.target_before: list[float] = []  # per source, the schedule's tokens before this phase
        self.quota: list[float] = []  # per source, the schedule's tokens within this phase
        if state is not None:
            # The state's keys are those of the log on disk, which older versions wrote.
            for iterator, iterator_state in zip(self.iterators, state["taps"], strict=True):
                iterator.restore(iterator_state)
            self.ledger.restore(state["ledger"])
            self.index, self.phase, self.phase_start = state["index"], state["phase"], state["phase_began"]
        self.total = self.ledger.total
        self._set_phase_targets()

    def state(self) -> dict[str, Any]:
        """Return plain values from which an equal stream continues."""
        return {
            "index": self.index,
            "phase": self.phase,
            "phase_began": self.phase_start,
            "taps": [iterator.state() for iterator in self.iterators],
            "ledger": self.ledger.state(),
        }

    @property
    def repeats(self) -> list[int]:
        """How often each source was started again."""
        return [iterator.repeats for iterator in self.iterators]

    def __iter__(self) -> Iterator[TrainingExample]:
        """Yield examples until the budget is spent or a source that is not repeated runs out."""
        make = self._next_packed if self.mixture.packed_length else self._next_unpacked
        try:
            while (example := make()) is not None:
                self.index += 1
                yield example
        except SourceExhausted:
            return

    def _enter_phase(self) -> None:
        """Move to the phase of the next token."""
        while self.phase < self.phases - 1 and self.total >= self.phase_end:
            self.phase += 1
            self.phase_start = self.total
            self._set_phase_targets()

    def _set_phase_targets(self) -> None:
        budget, schedule = self.mixture.target_tokens, self.mixture.schedule
        begin, end = schedule.bounds[self.phase], schedule.bounds[self.phase + 1]
        self.phase_end = round(end * budget)
        self.target_before = [share * budget for share in schedule.cumulative(max(self.phase_start / budget, begin))]
        self.quota = [
            share * budget - before for share, before in zip(schedule.cumulative(end), self.target_before, strict=True)
        ]

    def _deficits(self) -> list[float]:
        """Return how many tokens each source is behind its share of this phase, the next token included."""
        # Budget 100, text : code 5:3. Drawing at random by weight would match the shares only on average, and would
        # count records, whose lengths differ between sources; the deficit keeps shares of *tokens* at every point:
        #   total  0: targets at token  1 [0.6, 0.4], drawn [ 0, 0] -> deficits [  0.6,  0.4], text gives 40 tokens
        #   total 40: targets at token 41 [25.6, 15.4], drawn [40, 0] -> deficits [-14.4, 15.4], code is next
        budget = self.mixture.target_tokens
        targets = self.mixture.schedule.cumulative(min(1.0, (self.total + 1) / budget))
        drawn = self.ledger.tokens[self.phase]
        return [
            share * budget - before - tokens
            for before, share, tokens in zip(self.target_before, targets, drawn, strict=True)
        ]

    def _most_behind(self) -> SourceIterator:
        deficits = self._deficits()
        return self.iterators[max(range(len(deficits)), key=deficits.__getitem__)]

    def _use(self, iterator: SourceIterator, tokens: int) -> None:
        self.ledger.tokens[self.phase][iterator.index] += tokens
        self.total += tokens
        iterator.take(tokens)

    def _next_unpacked(self) -> TrainingExample | None:
        self._enter_phase()
        iterator = self._most_behind()
        document = iterator.current()
        # The first record that does not fit ends the stream, even where a shorter one would still fit: a search for
        # short records would change the mixture at its end.
        if self.total + document.tokens > self.mixture.target_tokens:
            return None
        self._use(iterator, document.tokens)
        name = iterator.source.name
        return TrainingExample(columns=document.columns, tokens=document.tokens, phase=self.phase, sources=(name,))

    def _next_packed(self) -> TrainingExample | None:
        length = self.mixture.packed_length
        assert length is not None
        if self.total + length > self.mixture.target_tokens:
            return None
        self._enter_phase()
        # Length 8, documents [a b c d e] and [x y z w]; the rest of the second begins the next sequence:
        #   input_ids  a b c d e x y z      labels  - b c d e - y z      seq_lengths  5 3       (- is IGNORED)
        # The source is chosen anew for every piece, not for every sequence: a sequence may hold several sources, and
        # may begin in one phase and end in the next.
        ids: list[int] = []
        labels: list[int] = []
        lengths: list[int] = []
        names: list[str] = []
        first_phase = self.phase
        while len(ids) < length:
            self._enter_phase()
            iterator = self._most_behind()
            document = iterator.current()
            begin = iterator.used
            end = begin + min(length - len(ids), document.tokens - begin, self._left_in_phase(iterator))
            ids += document.columns["input_ids"][begin:end]
            # The first token of a piece has no loss: the token before it in the sequence is another document's.
            labels += [IGNORED, *document.columns["labels"][begin + 1 : end]]
            lengths.append(end - begin)
            names.append(iterator.source.name)
            self._use(iterator, end - begin)
        columns = {"input_ids": ids, "labels": labels, "seq_lengths": lengths}
        return TrainingExample(columns=columns, tokens=length, phase=first_phase, sources=tuple(names))

    def _left_in_phase(self, iterator: SourceIterator) -> int:
        """Return how many tokens a source may still give in this phase, at least one."""
        # Text has a quota of 350 and has given 340; its document has 60 more tokens. It gives 10 now, the other sources
        # fill the rest of the phase, and the 50 follow when text is chosen again. At least 1: a quota that rounds
        # down must not give an empty piece, or the loop above would not end.
        return max(1, round(self.quota[iterator.index]) - self.ledger.tokens[self.phase][iterator.index])
