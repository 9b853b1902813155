"""Tokens per source and phase, as streamed. The ledger only counts; `mixture` decides what comes next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.checkpoints.stage_manifest import LedgerRow

NAMED = 10  # wrong records of a source whose location is recorded


@dataclass
class Ledger:
    """Running counts of one stream.

    Attributes:
        tokens: ``[phase][source]``.
        records: Records drawn, by source.
        dropped: Those of them that gave no training example, by source.
        cut: Those of them that were truncated, by source.
        skipped: Records that are wrong and were skipped, by source; each counts once, as do the next three.
        first_skipped: Location of the first of those, by source.
        held_out: Records left out because their loss is measured, by source.
        unanswered: Conversations whose last turns have no answer, which are left out, by source.
    """

    # Two phases, sources text and code; code has no weight in the first phase, and one of its records was too long:
    #   tokens [[500, 0], [250, 250]]   records [31, 9]   dropped [0, 0]   cut [0, 1]
    tokens: list[list[int]]
    records: list[int]
    dropped: list[int] = field(default_factory=list)
    cut: list[int] = field(default_factory=list)
    skipped: list[int] = field(default_factory=list)
    first_skipped: list[list[str]] = field(default_factory=list)
    held_out: list[int] = field(default_factory=list)
    unanswered: list[int] = field(default_factory=list)

    @classmethod
    def empty(cls, phases: int, sources: int) -> Ledger:
        """Return a ledger of zeros."""
        zeros = [0] * sources
        names: list[list[str]] = [[] for _ in range(sources)]
        return cls(
            tokens=[zeros[:] for _ in range(phases)],
            records=zeros[:],
            dropped=zeros[:],
            cut=zeros[:],
            skipped=zeros[:],
            first_skipped=names,
            held_out=zeros[:],
            unanswered=zeros[:],
        )

    def skip(self, source: int, where: str) -> None:
        """Count a wrong record of a source."""
        self.skipped[source] += 1
        if len(self.first_skipped[source]) < NAMED:
            self.first_skipped[source].append(where)

    @property
    def total(self) -> int:
        """All tokens."""
        return sum(map(sum, self.tokens))

    def by_source(self) -> list[int]:
        """Return the tokens of each source over all phases."""
        return [sum(column) for column in zip(*self.tokens, strict=True)]

    def rows(self, sources: Sequence[str], target_shares: Sequence[Sequence[float]]) -> tuple[LedgerRow, ...]:
        """Return the manifest's rows; `target_shares` are ``[phase][source]``."""
        return tuple(
            LedgerRow(
                phase=phase + 1,
                source=name,
                tokens=tokens[index],
                share=round(tokens[index] / sum(tokens), 6) if any(tokens) else 0.0,
                target_share=round(target_shares[phase][index], 6),
            )
            for phase, tokens in enumerate(self.tokens)
            for index, name in enumerate(sources)
        )

    def state(self) -> dict[str, Any]:
        """Return the counts as plain values."""
        return {
            "tokens": [row[:] for row in self.tokens],
            "records": self.records[:],
            "dropped": self.dropped[:],
            "cut": self.cut[:],
            "skipped": self.skipped[:],
            "first_skipped": [names[:] for names in self.first_skipped],
            "held_out": self.held_out[:],
            "unanswered": self.unanswered[:],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Replace the counts by those of `state`."""
        # In place: the stream and its source iterators share these lists.
        self.tokens[:] = [list(row) for row in state["tokens"]]
        for name in ("records", "dropped", "cut", "skipped", "held_out", "unanswered"):
            counts = getattr(self, name)
            counts[:] = state.get(name, counts)  # logs of earlier releases lack some
        self.first_skipped[:] = [list(names) for names in state.get("first_skipped", self.first_skipped)]
