"""Failing requests change no value of any other item: scoring uses the requests that were asked."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.engines.base import Answer, Failure, Request
from harness.errors import TaskError
from harness.evaluation.answering import Outcome
from harness.evaluation.evaluation import Evaluation
from harness.evaluation.model_under_test import find_model
from harness.evaluation.requests import PromptSpec, configure
from harness.evaluation.scoring import score
from harness.evaluation.spec import EvaluationSpec
from harness.suite.catalogue import Catalogue
from tests.tasks_for_tests import ANIMALS

SAMPLERS = {
    "random": "",
    "first": "fewshot_config: {sampler: first_n}\n",
    "from the evaluated items": "fewshot_split: test\n",
}
KINDS = {
    "multiple_choice": "doc_to_choice: choices\ndoc_to_target: answer\n"
    "metric_list: [{metric: acc}, {metric: acc_norm}]\n",
    "acc_mutual_info": "doc_to_choice: choices\ndoc_to_target: answer\nmetric_list: [{metric: acc_mutual_info}]\n",
    "loglikelihood": "doc_to_target: right\n"
    "metric_list: [{metric: perplexity, aggregation: perplexity}, {metric: acc}]\n",
    "loglikelihood_rolling": "doc_to_target: right\nmetric_list: [{metric: word_perplexity}]\n",
    "generate_until": "doc_to_target: right\ngeneration_kwargs: {until: ['.'], do_sample: true, temperature: 1.0}\n"
    "repeats: 2\nmetric_list: [{metric: exact_match}]\n",
}  # fmt: skip


def write_task(folder: Path, kind: str, sampler: str) -> Path:
    folder.mkdir()
    drawn = random.Random(5)
    for split, count in (("train", 9), ("test", 12)):
        rows: list[dict[str, Any]] = []
        for number in range(count):
            choices = drawn.sample(ANIMALS, 4)
            right = drawn.randrange(4)
            prompt = f"{split} {number}: which?"
            rows.append({"prompt": prompt, "choices": choices, "answer": right, "right": choices[right]})
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    output_type = "multiple_choice" if kind == "acc_mutual_info" else kind
    (folder / "task.yaml").write_text(
        f"task: frozen\ndataset_path: json\noutput_type: {output_type}\n"
        f"dataset_kwargs: {{data_files: {{train: {folder}/train.jsonl, test: {folder}/test.jsonl}}}}\n"
        f"training_split: train\ntest_split: test\ndoc_to_text: prompt\n{SAMPLERS[sampler]}{KINDS[kind]}",
        encoding="utf-8",
    )
    return folder


def scripted_answer(request: Request) -> Answer:
    """An answer that depends on the request alone."""
    drawn = random.Random(repr(request))
    if request.kind == "generate_until":
        return Answer(text=drawn.choice(ANIMALS))
    return Answer(logprob=-drawn.random(), is_greedy=drawn.random() < 0.5 if request.kind == "loglikelihood" else None)


def begin(folder: Path, tmp_path: Path, kind: str, *, limit: int | None = None, shots: int = 2) -> Evaluation:
    """Render the prompts of the task in `folder`, with examples where its kind allows any."""
    prompt = PromptSpec(num_fewshot=0 if kind == "loglikelihood_rolling" else shots, limit=limit)
    spec = EvaluationSpec(models=("uniform",), tasks=("frozen",), output=tmp_path / "runs", prompt=prompt)
    spec = replace(spec, engine=replace(spec.engine, backend="scripted"))
    tasks = Catalogue([folder]).load(["frozen"])
    configure(tasks.tasks, prompt)
    return Evaluation.begin(spec, find_model("uniform", spec), tasks)


def _values(evaluation: Evaluation, failing: set[Request]) -> dict[int, dict[str, Any]]:
    """The samples of an evaluation, by item."""
    requests = evaluation.requests["frozen"].requests
    outcome = Outcome(
        answers={request: scripted_answer(request) for request in requests if request not in failing},
        failures=dict.fromkeys(failing, Failure(reason="error", message="made to fail")),
        from_journal=0,
        engine={},
    )
    rows: list[dict[str, Any]] = []
    score(evaluation, outcome, lambda _, some: rows.extend(some))
    return {row["doc_id"]: {key: repr(value) for key, value in row.items()} for row in rows}


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("kind", KINDS)
def test_other_items_keep_the_values_of_an_undisturbed_run(kind: str, sampler: str, tmp_path: Path) -> None:
    folder = write_task(tmp_path / "tasks", kind, sampler)
    evaluation = begin(folder, tmp_path, kind)
    undisturbed = _values(evaluation, set())
    assert len(undisturbed) == 12
    asked = evaluation.requests["frozen"]
    drawn = random.Random(f"{kind} {sampler}")
    subsets = [{asked.requests[0]}, {asked.requests[-1]}, set(asked.requests)]
    subsets += [set(drawn.sample(asked.requests, drawn.randrange(1, 9))) for _ in range(6)]
    for failing in subsets:
        lost = {item for item, request in zip(asked.items, asked.requests, strict=True) if request in failing}
        values = _values(evaluation, failing)
        assert values == {item: row for item, row in undisturbed.items() if item not in lost}
    assert _values(evaluation, set()) == undisturbed


def test_an_answer_that_is_no_text_is_the_tasks_error(tmp_path: Path) -> None:
    folder = write_task(tmp_path / "tasks", "loglikelihood", "first")
    text = (folder / "task.yaml").read_text().replace("doc_to_target: right", "doc_to_target: answer")
    (folder / "task.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(TaskError, match=r"frozen: item 0: the prompt or answer is int \d, not a string"):
        begin(folder, tmp_path, "loglikelihood", shots=0)
