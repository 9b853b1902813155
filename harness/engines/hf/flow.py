"""Continuous batching: rows that have ended make room for waiting ones, so that the batch stays full.

A batch alone computes its last rows by themselves, and a step of 3 rows takes nearly as long as one of 30. Here, after
each stage, waiting rows are read and join the batch (`.` is padding on the left):

    row 0   . a b c d   ended                  row 3   p q r s      joins
    row 1   e f g h i   goes on        ->      row 1   e f g h i | j k l m
                                               row 3   . p q r s | t u v w

Rows are admitted for half of the new tokens that they may write, because most end early. If the batch outgrows the
budget, its newest rows wait again, and what they have written is read as part of their prompts.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from harness.engines.hf.decoding import ROOM, STAGE, Batch, Decoder, Row
from harness.engines.hf.steps import join_caches, roomy_layers

# Waiting rows are read once this many can join: one pass for several prompts costs less than a pass for each. With room
# for fewer than 32 rows, a quarter of the room is enough: with room for 12, 8 free places would leave 4 rows computing.
FEWEST = 8
FREE_SHARE = 1 / 4
# A full batch is read in this many parts: reading takes further memory for each token that is read.
READ_PARTS = 3


class CannotFlowError(Exception):
    """The model has a cache that no row can join."""


def flow(decoder: Decoder, rows: Sequence[Row], budget: int) -> Iterator[list[Row]]:
    """Continue rows until all have ended; yields them as they end.

    Args:
        decoder: Continues them.
        rows: The rows, those with the longest prompts first.
        budget: Tokens, padding included, whose keys and values are held at a time, unless a single row has more.

    Raises:
        CannotFlowError: no row can join a batch of this model.
    """
    waiting = deque(rows)
    batch: Batch | None = None
    while waiting or batch is not None:
        if batch is not None:
            batch, late = _fitting(batch, budget)
            waiting.extendleft(late)
        while room := _room(decoder, batch, waiting, budget):
            most = max(1, budget // READ_PARTS // max(map(_tokens, waiting)))
            taken = [waiting.popleft() for _ in range(min(room, most))]
            read = decoder.advance(decoder.start(taken), 1)
            yield _ended(taken, read)
            batch = _joined(batch, read, decoder.padding)
        if batch is not None:
            before = batch.rows
            batch = decoder.advance(batch, min(STAGE, *(decoder.new - len(row.written) for row in before)))
            yield _ended(before, batch)
            batch = batch if batch.rows else None


def _tokens(row: Row) -> int:
    return len(row.prompt) + len(row.written)


def _ended(before: Sequence[Row], after: Batch) -> list[Row]:
    left = set(map(id, after.rows))
    return [row for row in before if id(row) not in left]


def _room(decoder: Decoder, batch: Batch | None, waiting: Sequence[Row], budget: int) -> int:
    """Return how many waiting rows can join the batch; 0 if they are too few to be read by themselves."""
    if not waiting:
        return 0
    longest = max(map(_tokens, waiting))
    ahead = max(ROOM, decoder.new // 2)  # at least what `_fitting` asks for, or rows would come and go
    if batch is None:
        return max(1, min(len(waiting), budget // (longest + ahead)))
    most = budget // (max(longest, batch.width) + ahead)
    room = most - len(batch.rows)
    enough = min(FEWEST, len(waiting), max(1, int(most * FREE_SHARE)))
    return min(room, len(waiting)) if room >= enough else 0


def _fitting(batch: Batch, budget: int) -> tuple[Batch, list[Row]]:
    """Return the rows that fit into the budget with the room that their cache makes, and the others, newest last."""
    batch = _without_padding(batch)
    most = max(1, budget // (batch.width + ROOM))
    if len(batch.rows) <= most:
        return batch, []
    places = sorted(range(len(batch.rows)), key=lambda place: -len(batch.rows[place].written))
    kept, late = sorted(places[:most]), places[most:]
    if batch.cache is not None:
        rows_kept: Any = torch.tensor(kept)
        batch.cache.reorder_cache(rows_kept)
    rows = batch.rows
    kept_rows = [rows[place] for place in kept]
    return (
        Batch(rows=kept_rows, ids=batch.ids[kept], mask=batch.mask[kept], cache=batch.cache),
        [rows[place] for place in late],
    )


def _without_padding(batch: Batch) -> Batch:
    """Drop columns that are padding in all rows, if there are many."""
    first = int(batch.mask.any(dim=0).int().argmax())
    if first < STAGE or batch.cache is None:
        return batch
    for layer in roomy_layers(batch.cache):
        layer.replace(layer.keys[:, :, first:], layer.values[:, :, first:])
    return Batch(rows=batch.rows, ids=batch.ids[:, first:], mask=batch.mask[:, first:], cache=batch.cache)


def _joined(batch: Batch | None, read: Batch, padding: int) -> Batch | None:
    if not read.rows:
        return batch
    if not roomy_layers(read.cache):
        raise CannotFlowError
    if batch is None:
        return read
    assert batch.cache is not None
    assert read.cache is not None
    width = max(batch.width, read.width)
    join_caches(batch.cache, read.cache, width - 1)
    return Batch(
        rows=batch.rows + read.rows,
        ids=torch.cat([_widened(one.ids, width, padding) for one in (batch, read)]),
        mask=torch.cat([_widened(one.mask, width, 0) for one in (batch, read)]),
        cache=batch.cache,
    )


def _widened(values: Tensor, width: int, filler: int) -> Tensor:
    return torch.nn.functional.pad(values, (width - values.shape[1], 0), value=filler)
