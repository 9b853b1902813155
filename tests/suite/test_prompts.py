"""The rendered prompt of each task's first item, as a golden file that holds no data set's text.

For each task the file has the prompt with the values of the item replaced by the names of their fields, and the sha256
of the prompt as rendered, for each kind of data. The first synthetic item has the shape of the first public one, so the
template is the same. After an intended change: ``UPDATE_GOLDEN=1 pytest tests/suite/test_prompts.py`` where the public
files are, and raise the task's version.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from lm_eval.api.task import Task

from .suites import TASKS, Suite, on_both

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


def template(task: Task) -> list[str]:
    return rendered(task, without_values(task.eval_docs[0]))


def digest(task: Task) -> str:
    return hashlib.sha256("\x1e".join(rendered(task, task.eval_docs[0])).encode()).hexdigest()


def golden() -> dict[str, Any]:
    known: dict[str, Any] = json.loads(GOLDEN.read_text(encoding="utf-8")) if GOLDEN.is_file() else {}
    return known


@on_both(sorted(TASKS))
def test_the_first_prompt_is_the_golden_one(suite: Suite, name: str) -> None:
    task = suite.load(name)
    if os.environ.get("UPDATE_GOLDEN"):
        known = golden()
        digests = known.get(name, {}).get("sha256", {}) | {suite.kind: digest(task)}
        known[name] = {"template": template(task), "sha256": dict(sorted(digests.items()))}
        text = json.dumps(dict(sorted(known.items())), ensure_ascii=False, indent=1)
        GOLDEN.write_text(f"{text}\n", encoding="utf-8")
    expected = golden()[name]
    assert template(task) == expected["template"]
    assert digest(task) == expected["sha256"][suite.kind]


@on_both(sorted(TASKS))
def test_the_context_of_the_question_is_in_the_prompt(suite: Suite, name: str) -> None:
    task = suite.load(name)
    doc = next((doc for doc in task.eval_docs if doc.get("context")), None)
    if doc is not None:
        context = "".join(doc["context"].split())
        assert all(context in "".join(text.split()) for text in rendered(task, doc))


def test_every_golden_prompt_belongs_to_a_task() -> None:
    assert golden().keys() == TASKS.keys()


def prompts_of(task: Task, doc: dict[str, Any]) -> list[str]:
    """What stands before each continuation."""
    return [text.split("⟶")[0] for text in rendered(task, doc)]


@on_both(sorted(TASKS))
def test_no_prompt_gives_its_answer_away(suite: Suite, name: str) -> None:
    """The prompts are the same whichever answer is right. A supplied rationale is of the data, not of the key."""
    task = suite.load(name)
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
