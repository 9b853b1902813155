"""The page of one item as data for the template: prompts, choices side by side, texts with their differences marked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from harness.records import Sample
from harness.reports.view.details import Answer, pretty
from harness.reports.view.marking import Part, Spans, differences, marked
from harness.reports.view.sample_lines import question_of

LONGEST_TEXT = 100_000  # characters that a page shows of one text
MOST_REPEATS = 20  # generated texts of one item and model that a page shows


def item_context(answers: Sequence[Answer]) -> dict[str, Any]:
    """Return what the page shows of the answers, in their order."""
    samples = [answer.sample for answer in answers if answer.sample is not None]
    first = samples[0] if samples else None
    has_choices = any(sample.choices for sample in samples)
    row = next((answer.row for answer in answers if answer.row), {})
    texts = [] if has_choices else _texts(answers)
    return {
        "answers": answers,
        "question": shortened(question_of(row)),
        "is_code": any(answer.programs for answer in answers),
        "metrics": sorted({name for answer in answers for name in answer.metrics}),
        "prompts": _prompts(answers),
        "choices": _choices(answers, first) if first and has_choices else [],
        "texts": texts,
        "marks": {mark for one in texts for parts in one["parts"] for part in parts for mark in part.marks.split()},
        "target": shortened(first.target) if first else "",
        "rationale": shortened(first.rationale) if first else "",
        "document": shortened(pretty(row["doc"])) if "doc" in row else "",
    }


def shortened(text: str) -> str:
    """Replace the middle of a very long text by the number of characters left out."""
    half = LONGEST_TEXT // 2
    if len(text) <= LONGEST_TEXT:
        return text
    return f"{text[:half]}\n[... {len(text) - 2 * half:,} characters left out ...]\n{text[-half:]}"


def _prompts(answers: Sequence[Answer]) -> list[dict[str, Any]]:
    """The prompts, each with the models that were asked it; they differ if a chat template or the examples do."""
    by_text: dict[str, list[str]] = {}
    for answer in answers:
        if answer.sample is not None:
            by_text.setdefault(answer.sample.prompt, []).append(answer.model)
    return [{"models": models, "text": shortened(text)} for text, models in by_text.items()]


def _choices(answers: Sequence[Answer], first: Sample) -> list[dict[str, Any]]:
    """One row per choice, with the log-likelihood under each model and its share of the probability of all choices."""
    columns = [_choice_cells(answer.sample) for answer in answers]
    return [
        {
            "text": shortened(choice),
            "is_key": at == first.key,
            "cells": [column[at] if at < len(column) else None for column in columns],
        }
        for at, choice in enumerate(first.choices)
    ]


def _choice_cells(sample: Sample | None) -> list[dict[str, Any]]:
    if sample is None:
        return []
    shares = _shares(sample.log_likelihoods)
    return [
        {
            "value": value,
            "text": f"{value:.2f}" if math.isfinite(value) else "–",
            "share": share,
            "chosen": at == sample.chosen,
        }
        for at, (value, share) in enumerate(zip(sample.log_likelihoods, shares, strict=True))
    ]


def _shares(log_likelihoods: Sequence[float]) -> list[int]:
    """Return the probability of each choice among the choices, in percent; 0 for one without a log-likelihood."""
    highest = max((value for value in log_likelihoods if math.isfinite(value)), default=0.0)
    weights = [math.exp(value - highest) if math.isfinite(value) else 0.0 for value in log_likelihoods]
    total = sum(weights) or 1.0
    return [round(100 * weight / total) for weight in weights]


def _texts(answers: Sequence[Answer]) -> list[dict[str, Any]]:
    """One column per model: its texts, the words that differ from the first model's text, and how its answer was read.

    The first text has marks only if there is one other: several differ from it in other words each.
    """
    generated = [answer for answer in answers if answer.texts]
    others = {answer.model: differences(generated[0].texts[0], answer.texts[0]) for answer in generated[1:]}
    changes = {model: pair[1] for model, pair in others.items() if pair is not None}
    if len(others) == 1:
        (pair,) = others.values()
        changes[generated[0].model] = pair[0] if pair is not None else []
    return [
        {
            "answer": answer,
            "parts": _parts(answer, changes.get(answer.model, [])),
            "too_long": answer.model in others and others[answer.model] is None,
            "left_out": max(0, len(answer.texts) - MOST_REPEATS),
        }
        for answer in answers
    ]


def _parts(answer: Answer, changes: Spans) -> list[list[Part]]:
    """The texts of an answer, each cut where marks begin and end; only the first has marks."""
    marks = {"changed": changes, "read": _read_span(answer.sample)}
    return [
        marked(text, marks) if number == 0 and len(text) <= LONGEST_TEXT else [Part(text=shortened(text), marks="")]
        for number, text in enumerate(answer.texts[:MOST_REPEATS])
    ]


def _read_span(sample: Sample | None) -> Spans:
    """Where the answer was read, if that is recorded."""
    return [] if sample is None or sample.span is None else [sample.span]
