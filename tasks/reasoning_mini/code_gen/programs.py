"""Filter and metric of the code-generation task: run all answers of the task in one batch, in the sandbox."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from harness.code_answers import extract_program


def run(responses: Iterable[Sequence[str]], docs: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Return, for each doc, how the program of each of its responses ended: ``passed``, ``failed``, ``error``, ..."""
    from harness.sandbox import Program, run_programs

    answers = [list(texts) for texts in responses]
    programs = [
        Program(extract_program(text, prompt=doc["prompt"], entry_point=doc["entry_point"]), doc["tests"])
        for texts, doc in zip(answers, docs, strict=True)
        for text in texts
    ]
    verdicts = iter(run_programs(programs))
    return [[next(verdicts).status for _ in texts] for texts in answers]


def process_results(doc: Mapping[str, Any], results: Sequence[Sequence[str]]) -> dict[str, float]:  # noqa: ARG001
    """Return pass@1: the share of the responses that passed, which is its unbiased estimate."""
    statuses = results[0]
    return {"pass@1": sum(status == "passed" for status in statuses) / len(statuses)}
