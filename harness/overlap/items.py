"""The texts of an item by which it is recognised in training data.

    multiple choice, generation   question, with its passage;  question followed by the right answer
    code                          prompt;  the program (prompt followed by solution);  tests

The wrong choices are no part of it. GPT-4 (arXiv 2303.08774, appendix C) looks for the question only; datatrove's
decontamination for the answer and n-grams across question and answer. lm-eval's
``doc_to_decontamination_query`` is used where a task names it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.errors import TaskError, one_line
from harness.overlap.letters import Unit
from harness.suite.choice_keys import CHOICES, choices_and_keys, right_choices
from harness.suite.item_faults import name_of

if TYPE_CHECKING:
    from lm_eval.api.task import Task

PASSAGES = ("context", "passage")
PROMPTS = ("program_prompt", "prompt", "question", "text")
SOLUTIONS = ("code", "canonical_solution")
TESTS = ("tests", "test", "test_list")
CODE_DOMAINS = ("code_qa", "code_gen")
CHINESE = re.compile(r"[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
CHINESE_SHARE = 0.3  # of characters, from which on a text is Chinese


@dataclass(frozen=True, kw_only=True)
class OverlapItem:
    """An item of a task.

    Attributes:
        task: Name of the task.
        name: The item's id, or its number.
        doc_hash: Digest of its document, as in samples files.
        unit: Whether its n-grams are of words or characters.
        texts: The question or prompt, then the texts that hold more.
    """

    task: str
    name: str
    doc_hash: str
    unit: Unit
    texts: tuple[str, ...]


def items_of(tasks: Mapping[str, Task]) -> list[OverlapItem]:
    """Return all items that the tasks evaluate, without a model.

    Raises:
        TaskError: The texts of an item cannot be rendered.
    """
    return [_item(name, task, doc, at) for name, task in tasks.items() for at, doc in enumerate(task.eval_docs)]


def _item(name: str, task: Task, doc: Mapping[str, Any], number: int) -> OverlapItem:
    try:
        texts = _texts(task, doc)
    # Templates and functions are the task author's code and may raise anything.
    except Exception as error:
        raise TaskError(
            f"task {name}: item {name_of(doc, number)}: its text cannot be rendered ({type(error).__name__}: "
            f"{one_line(error, max_characters=200)}); correct the item, doc_to_text or doc_to_target."
        ) from error
    domain = (task.get_config("metadata") or {}).get("domain")
    is_code = domain in CODE_DOMAINS or _is_program(doc)
    unit: Unit = "characters" if is_code or _is_chinese(texts[0]) else "words"
    return OverlapItem(task=name, name=name_of(doc, number), doc_hash=_doc_hash(doc), unit=unit, texts=texts)


def _doc_hash(doc: Mapping[str, Any]) -> str:
    """Return the digest that lm-eval's `evaluate` writes into a samples file (lm_eval 0.4.13, ``evaluator.py``)."""
    from lm_eval.utils import handle_non_serializable

    text = json.dumps(doc, indent=2, default=handle_non_serializable, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _is_program(doc: Mapping[str, Any]) -> bool:
    return bool(_first(doc, SOLUTIONS) and _first(doc, TESTS))


def _is_chinese(text: str) -> bool:
    return len(CHINESE.findall(text)) >= CHINESE_SHARE * max(1, len(text))


def _texts(task: Task, doc: Mapping[str, Any]) -> tuple[str, ...]:
    if _is_program(doc):
        prompt, solution = _first(doc, PROMPTS), _first(doc, SOLUTIONS)
        return (prompt, f"{_first(doc, PROMPTS[:2])}\n{solution}", _first(doc, TESTS))
    question = _question(task, doc)
    return (question, f"{question}\n{_right_answer(task, doc)}")


def _first(doc: Mapping[str, Any], names: tuple[str, ...]) -> str:
    """Return the first of these fields that holds text; a list of texts counts as lines."""
    for name in names:
        value = doc.get(name)
        if isinstance(value, str) and value.strip():
            return value
        if isinstance(value, list) and value and all(isinstance(line, str) for line in value):
            return "\n".join(value)
    return ""


def _question(task: Task, doc: Mapping[str, Any]) -> str:
    """The question field with its passage; otherwise the task's decontamination query, or its whole prompt."""
    if getattr(task.config, "doc_to_decontamination_query", None):
        return str(task.doc_to_decontamination_query(doc))
    if question := _first(doc, ("question",)):
        return "\n".join(filter(None, (_first(doc, PASSAGES), question)))
    if task.OUTPUT_TYPE == CHOICES and task.multiple_input:  # one prompt per choice, the same text after each
        return str(task.doc_to_target(doc))
    return str(task.doc_to_text(doc))


def _right_answer(task: Task, doc: Mapping[str, Any]) -> str:
    choices, gold = doc.get("choices"), doc.get("gold")
    if isinstance(choices, list) and isinstance(gold, int) and 0 <= gold < len(choices):
        return str(choices[gold])
    if isinstance(doc.get("answer"), str):
        return str(doc["answer"])
    if task.OUTPUT_TYPE == CHOICES:
        right = sorted(right_choices(task, doc))
        return str(choices_and_keys(task, doc)[0][right[0]]) if right else ""
    target = task.doc_to_target(doc)
    return str(target[0] if isinstance(target, list) and target else target)
