"""The filter of tasks whose answers are programs. It runs all programs of a task in one call of the sandbox.

lm-eval passes a filter all generations of a task; the filter returns, per item, which of them passed. `code_extraction`
extracts the programs, `harness.sandbox` runs them, `metrics` computes pass@k.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.sandbox import Program

Doc = Mapping[str, Any]


def run_tests(responses: Iterable[Sequence[str]], docs: Sequence[Doc]) -> list[dict[str, Any]]:
    """Run each generation against its item's tests.

    Args:
        responses: For each item its generations.
        docs: The items, each with ``program_prompt`` (the text that a completion continues; empty if the completion is
            the whole program), ``entry_point``, ``tests`` (run after the program) and ``setup`` (run before it).

    Returns:
        For each item, one value per generation of ``passed``, ``status``, ``detail`` (the assertion, exception or
        limit) and ``solutions`` (the program that was run).
    """
    from harness.sandbox import run_programs
    from harness.suite.code_extraction import extract_program

    solutions = [
        [extract_program(doc["program_prompt"], text, doc["entry_point"]) for text in texts]
        for texts, doc in zip(responses, docs, strict=True)
    ]
    programs = [_program(text, doc) for texts, doc in zip(solutions, docs, strict=True) for text in texts]
    all_verdicts = run_programs(programs)
    verdicts = iter(all_verdicts)
    results = []
    for texts in solutions:
        ended = [next(verdicts) for _ in texts]
        results.append(
            {
                "passed": [verdict.status == "passed" for verdict in ended],
                "status": [verdict.status for verdict in ended],
                "detail": [verdict.detail for verdict in ended],
                "solutions": texts,
            }
        )
    return results


def _program(solution: str, doc: Doc) -> Program:
    from harness.sandbox import Program

    return Program(solution, doc["tests"], setup=doc["setup"])
