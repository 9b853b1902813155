"""The samples of a task: what lm-eval does not write into them, and what is kept of them in memory."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.engines.thoughts import ThinkTags
from harness.evaluation.answering import Outcome
from harness.evaluation.pieces import Piece

if TYPE_CHECKING:
    from lm_eval.api.task import Task

    from harness.engines.base import Answer, Request

Row = dict[str, Any]

ENCODING_FIELDS = ("cut_tokens", "encoded_apart")  # of `Answer`


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredItem:
    """What reports need of a sample.

    Attributes:
        filter: Name of the filter.
        doc_hash: lm-eval's digest of the document.
        cluster: Cluster label; empty if the task has no clusters.
        statuses: Status of each program, as `suite.code_filter` recorded it; empty if there are none.
        values: By metric.
    """

    filter: str
    doc_hash: str
    cluster: str
    statuses: tuple[str, ...]
    values: Mapping[str, Any]


class ItemLog:
    """Collects what is kept of a task's samples.

    Args:
        task: lm-eval's task object; its ``metadata: cluster`` names the field with an item's cluster label.

    Attributes:
        task: The same.
        items: One per sample.
        values: By metric and filter, the values of all items, as lm-eval aggregates them.
        digest: Of all documents, prompts and targets (``task_hashes`` in lm-eval's results).
    """

    def __init__(self, task: Task) -> None:
        self.task = task
        self.items: list[ScoredItem] = []
        self.values: dict[tuple[str, str], list[Any]] = defaultdict(list)
        self.digest = hashlib.sha256()
        self._cluster = (task.get_config("metadata") or {}).get("cluster")

    def add(self, rows: Sequence[Row]) -> None:
        """Add samples."""
        for row in rows:
            name, values = row["filter"], {metric: row[metric] for metric in row["metrics"]}
            for metric, value in values.items():
                self.values[metric, name].append(value)
            self.digest.update((row["doc_hash"] + row["prompt_hash"] + row["target_hash"]).encode())
            cluster = str(row["doc"][self._cluster]) if self._cluster else ""
            self.items.append(
                ScoredItem(
                    filter=name, doc_hash=row["doc_hash"], cluster=cluster, statuses=_statuses(row), values=values
                )
            )


def _statuses(row: Row) -> tuple[str, ...]:
    answers = row["filtered_resps"]
    first = answers[0] if isinstance(answers, list) and answers else None
    return tuple(first.get("status") or ()) if isinstance(first, dict) else ()


class FinishedSamples:
    """Adds to lm-eval's samples what it does not know.

    Args:
        outcome: The answers.
        think_tags: The tags around the model's thoughts; None if it has none.
    """

    def __init__(self, outcome: Outcome, think_tags: ThinkTags | None) -> None:
        self._answers = outcome.answers
        self._think_tags = think_tags
        self._has_encoding = any(answer.cut_tokens or answer.encoded_apart for answer in outcome.answers.values())

    def __call__(self, rows: list[Row], piece: Piece) -> list[Row]:
        """Return the samples of a piece, completed."""
        if self._has_encoding:
            self._add_encoding(rows, piece.item_requests)
        if self._think_tags is not None:
            self._restore_thoughts(rows, piece.item_requests)
        return rows

    def _add_encoding(self, rows: Sequence[Row], item_requests: Sequence[tuple[int, Request]]) -> None:
        """Add how the requests of each sample were encoded, where that is out of the ordinary; `rescore` reads it.

        ``cut_tokens`` holds the tokens that each request lost on the left, ``encoded_apart`` whether its continuation
        was encoded without its context.
        """
        by_item: dict[int, list[Answer]] = defaultdict(list)
        for item, request in item_requests:
            if request.repeat == 0 and request in self._answers:
                by_item[item].append(self._answers[request])
        for field in ENCODING_FIELDS:
            for row in rows:
                values = [getattr(answer, field) for answer in by_item[row["doc_id"]]]
                if any(values):
                    row[field] = values

    def _restore_thoughts(self, rows: Sequence[Row], item_requests: Sequence[tuple[int, Request]]) -> None:
        """Put the whole generated texts back; what was scored is in filtered_resps."""
        texts: dict[int, list[str | None]] = defaultdict(list)
        for item, request in item_requests:
            if request.kind == "generate_until" and request in self._answers:
                texts[item].append(self._answers[request].text)
        for row in rows:
            whole = texts.get(row["doc_id"])
            if whole:
                repeats = len(row["resps"][0])
                row["resps"] = [whole[start : start + repeats] for start in range(0, len(whole), repeats)]
