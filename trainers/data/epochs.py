"""A budget in epochs: as many tokens as all sources hold, times the number of epochs; each record equally often.

sources of 700 and 300 tokens, 2 epochs  ->  budget 2000, shares 0.7 and 0.3
"""

from __future__ import annotations

from collections.abc import Sequence

from harness.errors import SpecError
from harness.trainers.data.examples import Encode
from harness.trainers.data.ledger import Ledger
from harness.trainers.data.schedules import Schedule
from harness.trainers.data.source_iterator import SourceExhausted, SourceIterator
from harness.trainers.data.sources import Source
from harness.trainers.data.task_reader import TaskReader


def budget_of_epochs(
    sources: Sequence[Source], epochs: float, encode: Encode, *, skip_bad: bool, held_out: frozenset[str]
) -> tuple[int, Schedule]:
    """Return the tokens of a number of epochs, and shares with which all sources run out together.

    Reads all sources once.

    Raises:
        InputError: a source has no end, or a record is wrong and bad records are not skipped.
    """
    tokens = [_tokens(source, encode, skip_bad=skip_bad, held_out=held_out) for source in sources]
    schedule = Schedule(
        kind="static",
        sources=tuple(source.name for source in sources),
        weights=(tuple(count / sum(tokens) for count in tokens),),
    )
    return round(epochs * sum(tokens)), schedule


def _tokens(source: Source, encode: Encode, *, skip_bad: bool, held_out: frozenset[str]) -> int:
    if isinstance(source.reader, TaskReader) and source.limit is None:
        raise SpecError(
            f"data.sources.{source.name}: {source.location} has no end, so it has no epochs; give a limit there, or "
            "data.budget_tokens."
        )
    ledger = Ledger.empty(1, 1)
    iterator = SourceIterator(
        source, encode=encode, repeat=False, index=0, ledger=ledger, skip_bad=skip_bad, held_out=held_out
    )
    total = 0
    try:
        while True:
            total += (tokens := iterator.current().tokens)
            iterator.take(tokens)
    except SourceExhausted:
        return total
