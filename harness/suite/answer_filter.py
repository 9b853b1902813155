"""The filters that read the final answer of each generation; task YAML refers to them through `harness.answers`.

lm-eval passes a filter all generations of a task. The response that it writes holds the value, its span and the rule,
so that the record of each item shows how its answer was read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from harness.suite.extraction import extract_letter, extract_number, to_response

Doc = Mapping[str, Any]


def letter(responses: Iterable[Sequence[str]], docs: Sequence[Doc]) -> list[list[str]]:
    """Read one of the item's `letters` from each generation."""
    return [
        [to_response(extract_letter(text, doc["letters"])) for text in texts]
        for texts, doc in zip(responses, docs, strict=True)
    ]


def number(responses: Iterable[Sequence[str]], _docs: Sequence[Doc]) -> list[list[str]]:
    """Read a number from each generation."""
    return [[to_response(extract_number(text)) for text in texts] for texts in responses]
