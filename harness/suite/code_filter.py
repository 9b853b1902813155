"""The filter of tasks whose answers are programs. It runs all programs of a task in one call of the sandbox.

lm-eval passes a filter all generations of a task; the filter returns, per item, which of them passed. `code_extraction`
extracts the programs, `harness.sandbox` runs them, `metrics` computes pass@k.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from harness.errors import TaskError
from harness.suite.code_items import CodeItem, code_item, faults_of

if TYPE_CHECKING:
    from lm_eval.api.task import Task

    from harness.sandbox import Program

Doc = Mapping[str, Any]


def run_tests(responses: Iterable[Sequence[str]], docs: Sequence[Doc]) -> list[dict[str, Any]]:
    """Run each generation against its item's tests.

    Args:
        responses: For each item its generations.
        docs: The items, each with the fields of `CodeItem`.

    Returns:
        For each item, one value per generation of ``passed``, ``status``, ``detail`` (the assertion, exception or
        limit) and ``solutions`` (the program that was run).
    """
    from harness.suite.code_extraction import extract_program

    return _run(responses, docs, lambda item, text: extract_program(item.program_prompt, text, item.entry_point))


def run_as_written(responses: Iterable[Sequence[str]], docs: Sequence[Doc]) -> list[dict[str, Any]]:
    """Run each generation as it is, after its item's `program_prompt`, as lm-eval's own code tasks do."""
    return _run(responses, docs, lambda item, text: item.program_prompt + text)


def _run(
    responses: Iterable[Sequence[str]], docs: Sequence[Doc], program_of: Callable[[CodeItem, str], str]
) -> list[dict[str, Any]]:
    from harness.sandbox import run_programs

    items = [code_item(doc) for doc in docs]
    solutions = [[program_of(item, text) for text in texts] for texts, item in zip(responses, items, strict=True)]
    programs = [_program(text, item) for texts, item in zip(solutions, items, strict=True) for text in texts]
    verdicts = iter(run_programs(programs))
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


def _program(solution: str, item: CodeItem) -> Program:
    from harness.sandbox import Program

    return Program(solution, item.tests, setup=item.setup)


def runs_programs(task: Task) -> bool:
    """Return whether a task's answers are programs that a filter here runs."""
    steps = [step for each in task.get_config("filter_list") or () for step in each.get("filter") or ()]
    return any(step.get("filter_fn") in (run_tests, run_as_written) for step in steps)


def check_code_items(name: str, task: Task) -> None:
    """Check that the items of a code task have tests that a program can pass. Raises: TaskError."""
    for number, doc in enumerate(task.eval_docs):
        for fault in faults_of(doc):
            item = number if doc.get("id") is None else doc["id"]
            raise TaskError(
                f"task {name}: item {item}: {fault}; correct it. `harness tasks validate` lists all faults."
            )
