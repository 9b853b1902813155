"""The types between encoders and the mixture: a record as tokens, and one training example of the stream."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from harness.trainers.data.formats import TrainingRecord

IGNORED = -100  # the label of a token without loss, in torch and in every library used here


@dataclass(frozen=True, kw_only=True)
class EncodedRecord:
    """A record as tokens.

    Attributes:
        columns: What the trainer reads; for a packed stream ``input_ids`` and ``labels``, of equal length.
        tokens: Tokens that the ledger counts for it.
        cut: Whether it was truncated at its end.
    """

    columns: dict[str, Any]
    tokens: int
    cut: bool = False


Encode = Callable[[TrainingRecord, str], EncodedRecord | None]
"""``(record, where) -> tokens``; None when no token is left to learn from. `where` names the record in messages."""


@dataclass(frozen=True, kw_only=True)
class TrainingExample:
    """One row of a batch: a packed sequence, or one encoded record.

    Attributes:
        columns: What the trainer reads; a packed sequence also has ``seq_lengths``, the lengths of its documents.
        tokens: Tokens that the ledger counts for it.
        phase: Phase of its first token, from 0.
        sources: Names of the sources of its documents, in order.
    """

    columns: dict[str, Any]
    tokens: int
    phase: int
    sources: tuple[str, ...]
