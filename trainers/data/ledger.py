"""Tokens per source and phase, as they were streamed. It counts; deciding what comes next is `mixture.py`'s."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.checkpoints.stage_manifest import LedgerRow


@dataclass
class Ledger:
    """Counts of one stream; changes as it goes on.

    Attributes:
        tokens: ``[phase][source]``.
        records: Records drawn, by source.
        dropped: Of those, records that gave no sequence.
        cut: Of those, records that lost their end.
    """

    tokens: list[list[int]]
    records: list[int]
    dropped: list[int] = field(default_factory=list)
    cut: list[int] = field(default_factory=list)

    @classmethod
    def empty(cls, phases: int, sources: int) -> Ledger:
        """Return one with zeros."""
        zeros = [0] * sources
        return cls([zeros[:] for _ in range(phases)], zeros[:], zeros[:], zeros[:])

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
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over the counts of `state`, in place: others hold this ledger."""
        self.tokens[:] = [list(row) for row in state["tokens"]]
        for name in ("records", "dropped", "cut"):
            getattr(self, name)[:] = state[name]
