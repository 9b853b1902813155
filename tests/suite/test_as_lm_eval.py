"""Tasks whose prompts are lm-eval's own: compared with the definitions of the installed lm-eval."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
from lm_eval.api.task import ConfigurableTask, Task
from lm_eval.tasks._yaml_loader import load_yaml

from harness.code_tasks import run_as_written, run_tests
from harness.suite.lm_eval_names import lm_eval_folder
from tests.synthetic import code

from .suites import ALL_TASKS, Suite, on_both, with_public_data

# The task here, lm-eval's file, and the fields that differ on purpose.
CHOICES = {
    "arc_easy_lm_eval": ("arc/arc_easy.yaml", {"validation_split"}),
    "arc_challenge_lm_eval": ("arc/arc_challenge.yaml", {"validation_split"}),
    "hellaswag_lm_eval": ("hellaswag/hellaswag.yaml", set[str]()),
    # The data files have no train split, so there are no examples.
    "boolq_lm_eval": ("super_glue/boolq/default.yaml", {"training_split", "num_fewshot", "fewshot_config"}),
    "logiqa_en_lm_eval": (
        "logiqa/logiqa.yaml",
        {"training_split", "validation_split", "num_fewshot", "fewshot_config"},
    ),
}
NUMBERS = {"gsm8k_lm_eval": ("gsm8k/gsm8k.yaml", set[str]())}
# Programs run in the sandbox, and the target is the reference solution, which `tasks validate --run_code` runs.
SANDBOX = {"metric_list", "filter_list", "process_results", "doc_to_target"}
PROGRAMS = {
    "humaneval_lm_eval": ("humaneval/humaneval.yaml", SANDBOX | {"fewshot_config"}),
    "mbpp_lm_eval": ("mbpp/mbpp.yaml", SANDBOX | {"fewshot_config", "fewshot_split"}),
}
ALL = CHOICES | NUMBERS | PROGRAMS
# Where the data comes from, and fields that change no prompt and no value.
ELSEWHERE = {"task", "tag", "dataset_path", "dataset_name", "custom_dataset", "metadata", "unsafe_code"}
ELSEWHERE |= {"should_decontaminate", "doc_to_decontamination_query"}
# lm-eval's defaults, which some files write out.
DEFAULTS: dict[str, Any] = {"aggregation": "mean", "higher_is_better": True}


def definition(path: Path, *, import_functions: bool) -> dict[str, Any]:
    config = load_yaml(path, resolve_func=import_functions)
    config["metric_list"] = [DEFAULTS | metric for metric in config["metric_list"]]
    return {field: value for field, value in config.items() if value is not None}


def test_every_task_with_lm_evals_prompt_is_tested_here() -> None:
    assert {name for name in ALL_TASKS if name.endswith("_lm_eval")} == ALL.keys()


@pytest.mark.parametrize("name", sorted(ALL.keys() & with_public_data()))
def test_the_number_of_evaluated_items_is_that_of_the_definition(name: str, public: Suite) -> None:
    assert len(public.load(name).eval_docs) == ALL_TASKS[name].metadata["items"]


@pytest.mark.parametrize("name", ALL)
def test_the_definition_is_lm_evals(name: str) -> None:
    file, different = ALL[name]
    imported = name not in PROGRAMS  # lm-eval's functions for programs load a metric from the hub when imported
    theirs = definition(lm_eval_folder() / "tasks" / file, import_functions=imported)
    ours = definition(ALL_TASKS[name].path, import_functions=imported)
    left_out = ELSEWHERE | different
    assert {k: v for k, v in ours.items() if k not in left_out} == {
        k: v for k, v in theirs.items() if k not in left_out
    }
    assert different <= ours.keys() | theirs.keys()


def asked(task: Task, *, shots: int) -> list[Any]:
    task.set_config("num_fewshot", shots)
    task.set_fewshot_seed(1234)
    task.build_all_requests(limit=20)
    return [request.args for request in task.instances]


@on_both([*CHOICES, *NUMBERS])
def test_requests_are_those_of_lm_evals_task_over_the_same_items(suite: Suite, name: str) -> None:
    file, different = ALL[name]
    ours = suite.load(name)
    theirs = load_yaml(lm_eval_folder() / "tasks" / file)
    for field in ("dataset_path", "dataset_name"):
        theirs.pop(field, None)
    present = {split for split in ("train", "validation", "test") if split in ours.dataset}
    theirs = {k: v for k, v in theirs.items() if not (k.endswith("_split") and v not in present)}
    own = ConfigurableTask(config={**theirs, "custom_dataset": lambda **_: ours.dataset})
    for shots in (0,) if "num_fewshot" in different else (0, 3):
        assert asked(ours, shots=shots) == asked(own, shots=shots)


@on_both(["mbpp_lm_eval"])
def test_the_examples_of_mbpp_are_lm_evals(suite: Suite, name: str) -> None:
    prompt = suite.load(name).fewshot_context(suite.load(name).eval_docs[0], 3)
    assert prompt.count("[DONE]") == 3
    if suite.kind == "public":
        for example in _examples_of_lm_eval():
            assert f"{example['text']} Your code should pass these tests:" in prompt
            assert f"[BEGIN]\n{example['code']}\n[DONE]" in prompt


def _examples_of_lm_eval() -> list[dict[str, Any]]:
    """What the function `list_fewshot_samples` returns; importing its file would fetch a metric from the hub."""
    tree = ast.parse((lm_eval_folder() / "tasks" / "mbpp/utils.py").read_text(encoding="utf-8"))
    (function,) = (f for f in tree.body if isinstance(f, ast.FunctionDef) and f.name == "list_fewshot_samples")
    (returned,) = (line.value for line in function.body if isinstance(line, ast.Return))
    assert returned is not None
    examples: list[dict[str, Any]] = ast.literal_eval(returned)
    return examples


@on_both(list(PROGRAMS))
def test_reference_solutions_pass_as_they_are_written(suite: Suite, name: str) -> None:
    task = suite.load(name)
    docs = list(task.eval_docs)[:40]
    docs = [doc for doc in docs if doc["id"] != f"mbpp/{code.SET_UP}"]  # lm-eval does not run what tests need set up
    results = run_as_written([[task.doc_to_target(doc)] for doc in docs], docs)
    assert [result["passed"] for result in results] == [[True]] * len(docs)


def test_a_program_that_must_be_extracted_fails_as_written() -> None:
    doc = {"tests": "assert f(2) == 4"}
    answer = "```python\ndef f(x):\n    return 2 * x\n```"
    assert run_tests([[answer]], [doc])[0]["passed"] == [True]
    (result,) = run_as_written([[answer]], [doc])
    assert result["passed"] == [False]
    assert result["solutions"] == [answer]
