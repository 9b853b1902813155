"""The rendered prompt of each task's first item, as a golden file that holds no data set's text.

For each task the file has the prompt with the values of the item replaced by the names of their fields, and the sha256
of the prompt as rendered. After a meant change: ``UPDATE_GOLDEN=1 pytest tests/suite/test_prompts.py``, and raise the
task's version.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from lm_eval.api.task import Task
from lm_eval.tasks import TaskManager

from .test_tasks import TASKS, load

GOLDEN = Path(__file__).with_name("golden_prompts.json")
OURS = ("letters", "gold", "subsets", "marks", "id")  # fields whose values are the project's, not the data set's


def rendered(task: Task, doc: dict[str, Any]) -> list[str]:
    """Every text that is sent for one item: prompts and continuations, joined by a mark that no text contains."""
    context = task.fewshot_context(doc, num_fewshot=0, gen_prefix=task.doc_to_prefix(doc))
    requests = task.construct_requests(doc, context, metadata=(task.task_name, 0, 1))
    listed = requests if isinstance(requests, list) else [requests]
    if task.OUTPUT_TYPE == "generate_until":
        return [request.args[0] for request in listed]
    return [f"{request.args[0]}⟶{request.args[1]}" for request in listed]


def without_values(doc: dict[str, Any]) -> dict[str, Any]:
    """The item with each text replaced by its field's name."""
    blank: dict[str, Any] = {}
    for field, value in doc.items():
        if field in OURS:
            blank[field] = value
        elif isinstance(value, str):
            blank[field] = f"{{{field}}}" if value else ""
        elif isinstance(value, list):
            blank[field] = [f"{{{field}[{n}]}}" for n, _ in enumerate(value)]
        else:
            blank[field] = value
    if "subsets" in doc:
        blank["answer"] = doc["answer"]
    return blank


def entry(task: Task) -> dict[str, Any]:
    doc = task.eval_docs[0]
    digest = hashlib.sha256("\x1e".join(rendered(task, doc)).encode()).hexdigest()
    return {"template": rendered(task, without_values(doc)), "sha256": digest}


def golden() -> dict[str, Any]:
    known: dict[str, Any] = json.loads(GOLDEN.read_text(encoding="utf-8")) if GOLDEN.is_file() else {}
    return known


@pytest.mark.parametrize("name", sorted(TASKS))
def test_the_first_prompt_is_the_golden_one(name: str, manager: TaskManager) -> None:
    found = entry(load(manager, name))
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text(
            json.dumps(dict(sorted((golden() | {name: found}).items())), ensure_ascii=False, indent=1) + "\n",
            encoding="utf-8",
        )
    assert found == golden()[name]


@pytest.mark.parametrize("name", sorted(TASKS))
def test_what_must_be_read_before_the_question_is_in_the_prompt(name: str, manager: TaskManager) -> None:
    task = load(manager, name)
    doc = next((doc for doc in task.eval_docs if doc.get("context")), None)
    if doc is not None:
        context = "".join(doc["context"].split())
        assert all(context in "".join(text.split()) for text in rendered(task, doc))


def test_every_golden_prompt_belongs_to_a_task() -> None:
    assert golden().keys() == TASKS.keys()


def prompts_of(task: Task, doc: dict[str, Any]) -> list[str]:
    """What stands before each continuation."""
    return [text.split("⟶")[0] for text in rendered(task, doc)]


@pytest.mark.parametrize("name", sorted(TASKS))
def test_no_prompt_gives_its_answer_away(name: str, manager: TaskManager) -> None:
    """The prompts are the same whichever answer is right. A supplied rationale is of the data, not of the key."""
    task = load(manager, name)
    for doc in task.eval_docs.select(range(min(3, len(task.eval_docs)))):
        others = []
        if "gold" in doc:
            others += [doc | {"gold": gold} for gold in range(len(doc["choices"]))]
        others += [doc | {"answer": answer} for answer in doc.get("subsets", ["another answer"]) if "answer" in doc]
        if TASKS[name].domain == "code_gen":
            others.append(doc | {"code": "another program"})
        if not name.endswith("_cot") and "rationale" in doc:
            others.append(doc | {"rationale": "another reason"})
        assert others
        assert all(prompts_of(task, other) == prompts_of(task, doc) for other in others)
