"""One item under several models, read from the lines of their samples files."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.errors import MALFORMED, RecordError
from harness.records import ModelRecords, Sample
from harness.records.items import NOT_METRICS
from harness.records.samples import sample_of
from harness.reports.view.index import Index, Item
from harness.reports.view.outcomes import ABSENT, CODE, CUT, FAILED, UNPARSED, WORDS
from harness.reports.view.sample_lines import generated_texts, line_at, verdicts_of

DAMAGED = "its line in the samples file is damaged"


@dataclass(frozen=True, kw_only=True)
class Program:
    """A model-written program and what the sandbox said.

    Attributes:
        solution: The program that was run.
        status: Such as ``passed`` or ``failed``.
        detail: The assertion, exception or limit that ended it; empty if it passed.
    """

    solution: str
    status: str
    detail: str


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a model made of an item.

    Attributes:
        model: Its name.
        outcome: In words, such as "right" or "failed".
        value: The headline metric; None without a value.
        cut: Whether its input was cut on the left.
        unparsed: Whether no answer could be read from its text.
        problem: Why a value has no text: its line is damaged; empty otherwise.
        sample: Prompt, choices and answer; None without a readable line: it failed, was not asked, or has a problem.
        texts: The generated texts, one per repeat; empty for choices.
        programs: One per text, if the texts are programs.
        metrics: Its metrics, as recorded; a metric over the whole corpus, such as BLEU, has none for an item.
        row: The line of the samples file.
        place: File and byte of that line.
    """

    model: str
    outcome: str
    value: float | None
    cut: bool
    unparsed: bool
    problem: str = ""
    sample: Sample | None = None
    texts: tuple[str, ...] = ()
    programs: tuple[Program, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    row: Mapping[str, Any] = field(default_factory=dict)
    place: str = ""


class Details:
    """Reads answers of items.

    Args:
        index: The index.
        models: The records that it was built from, by name.
    """

    def __init__(self, index: Index, models: Mapping[str, ModelRecords]) -> None:
        self._index, self._models = index, models

    def answers(self, item: Item, models: Sequence[str]) -> list[Answer]:
        """Return the answers of some models to an item.

        Raises:
            RecordError: A samples file is missing, or has changed since the index was built.
        """
        return [self._answer(item, model) for model in models]

    def _answer(self, item: Item, model: str) -> Answer:
        code, value, offset = self._index.task_of(item.number).answer(item.number, model)
        outcome: dict[str, Any] = {
            "model": model,
            "outcome": WORDS[code & CODE],
            "value": value if math.isfinite(value) else None,
            "cut": bool(code & CUT),
            "unparsed": bool(code & UNPARSED),
        }
        if offset is not None:
            return self._read(outcome, item, offset)
        return Answer(**outcome, problem="" if code & CODE in (ABSENT, FAILED) else DAMAGED)

    def _read(self, outcome: Mapping[str, Any], item: Item, offset: int) -> Answer:
        run = self._models[outcome["model"]].tasks[item.task]
        path, row = run.samples, line_at(run.samples_file, offset)
        if row.get("doc_hash") != item.digest:
            raise RecordError(f"{path}: changed since the index was built; end `harness view` and start it again.")
        try:
            sample = sample_of(item.digest, row, run.think_end)
            verdicts = verdicts_of(row)
            lists = [verdicts.get(key, []) for key in ("solutions", "status", "detail")]
            programs = [
                Program(solution=str(solution), status=str(status), detail=str(detail or ""))
                for solution, status, detail in zip(*lists, strict=False)
            ]
        except MALFORMED:
            return Answer(**outcome, problem=DAMAGED, place=f"{path}, byte {offset}")
        return Answer(
            **outcome,
            sample=sample,
            texts=() if sample.choices else tuple(generated_texts(row)),
            programs=tuple(programs),
            metrics={n: v for n, v in row.items() if n not in NOT_METRICS and isinstance(v, int | float)},
            row=row,
            place=f"{path}, byte {offset}",
        )


def pretty(value: Any) -> str:
    """Return JSON for people."""
    return json.dumps(value, ensure_ascii=False, indent=2, default=str)
