"""The tasks whose answers are programs: reference solutions pass, corrupted ones fail, pass@k counts samples."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.records.run_folder import read_record
from harness.sandbox import Program, SandboxError, run_programs
from harness.suite import metrics
from tests.conftest import HarnessCommand
from tests.tasks_for_tests import write_code_task

from .scripted_lm import ScriptedLM
from .suites import Suite, on_both
from .test_tasks import evaluate

NAMES = ["mbpp_test", "mbpp_full", "mbpp_sanitized", "mbpp_paper", "humaneval_python"]
LIMIT = 12


@pytest.fixture(scope="module", autouse=True)
def _sandbox() -> None:
    """Any backend serves; in CI, which has one, none is a failure."""
    try:
        run_programs([Program("x = 1", "assert x == 1")])
    except SandboxError as error:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"no sandbox on this machine: {error}")


def as_answered(name: str, solution: str) -> str:
    """A whole program as a model would give it, in a fenced block; a body as the continuation of its signature."""
    return solution if name.startswith("humaneval") else f"```python\n{solution}\n```"


@on_both(["mbpp_full", "mbpp_sanitized", "mbpp_test", "mbpp_paper"])
def test_the_function_that_the_tests_call_is_the_programs_own(suite: Suite, name: str) -> None:
    import ast

    for doc in suite.load(name).eval_docs:
        defined = {getattr(node, "name", None) for node in ast.walk(ast.parse(doc["code"]))}
        assert doc["entry_point"] in defined, doc["id"]


def check_reference(suite: Suite, name: str, limit: int | None) -> None:
    task = suite.load(name)
    values, samples = evaluate(
        task, ScriptedLM({name: task}, lambda *_: 0, lambda _, text: as_answered(name, text)), limit
    )
    failed = [s["doc"]["id"] for s in samples if s["pass@1"] == 0.0]
    assert not failed
    if "bleu" in values:
        assert values["bleu"] == pytest.approx(100.0)
        assert values["bleu_file"] == pytest.approx(100.0)


@pytest.mark.parametrize("name", NAMES)
def test_reference_solutions_pass(name: str, synthetic: Suite) -> None:
    check_reference(synthetic, name, None)


@pytest.mark.parametrize("name", NAMES)
def test_corrupted_solutions_lower_the_score_by_their_share(name: str, synthetic: Suite) -> None:
    task = synthetic.load(name)

    def write(doc_id: int, text: str) -> str:
        return "raise SystemExit" if doc_id % 3 == 0 else as_answered(name, text)

    values, samples = evaluate(task, ScriptedLM({name: task}, lambda *_: 0, write), LIMIT)
    assert values["pass@1"] == pytest.approx(1 - len([s for s in samples if s["doc_id"] % 3 == 0]) / LIMIT)
    assert values.get("bleu", 0.0) < 100.0


def test_pass_at_k_counts_the_samples_that_pass(synthetic: Suite) -> None:
    task = synthetic.load("humaneval_python_pass10")
    asked: list[int] = []

    def write(doc_id: int, text: str) -> str:
        asked.append(doc_id)
        return text if asked.count(doc_id) <= 3 else "    pass\n"

    lm = ScriptedLM({task.task_name: task}, lambda *_: 0, write)
    values, samples = evaluate(task, lm, 3)
    assert [asked.count(i) for i in range(3)] == [10, 10, 10]
    for k in (1, 5, 10):
        assert values[f"pass@{k}"] == pytest.approx(metrics.pass_at_k(10, 3, k))
    assert all(sum(sample["filtered_resps"][0]["passed"]) == 3 for sample in samples)


@pytest.mark.slow
@on_both(["mbpp_full", "mbpp_paper", "humaneval_python"])
def test_every_reference_solution_passes(suite: Suite, name: str) -> None:
    check_reference(suite, name, None)


def test_an_unsupported_program_is_counted_and_is_neither_right_nor_wrong(
    tmp_path: Path, harness_here: HarnessCommand
) -> None:
    shared = {"program_prompt": "", "entry_point": "f", "setup": ""}
    rows = [
        {"question": f"Q{number}", "code": f"def f(x): return {answer}", "tests": tests, **shared}
        for number, (answer, tests) in enumerate(
            [
                ("1", "assert f(0) == 1"),
                ("2", "assert f(0) == 1"),
                ("1", "import threading\nassert f(threading.Lock()) == 1"),
            ]
        )
    ]
    write_code_task(tmp_path, "locked", rows)
    words = ["--tasks", "locked", "--include_path", tmp_path, "--output_path", tmp_path / "runs"]
    done = harness_here("eval", "--backend", "scripted", "--model", "oracle", *words)
    assert done.returncode == 0, done.stderr
    assert "locked: unsupported programs: 1." in done.stderr
    task = read_record(tmp_path / "runs" / "oracle").tasks["locked"]
    assert (task.value, task.unsupported, task.items, task.items_scored) == (0.5, 1, 3, 2)
    assert task.interval is not None
