"""The choices of an item and which of them are right, as lm-eval's multiple-choice tasks define them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lm_eval.api.task import Task

CHOICES = "multiple_choice"  # lm-eval's output type


def choices_and_keys(task: Task, doc: Mapping[str, Any]) -> tuple[Sequence[str], list[Any]]:
    """Return an item's choices and its keys. A key is the position or the text of a right choice.

    If every choice has a prompt of its own, lm-eval keeps the key in ``doc_to_text``.
    """
    target = task.doc_to_text(doc) if task.multiple_input else task.doc_to_target(doc)
    return task.doc_to_choice(doc), target if isinstance(target, list) else [target]


def right_choices(task: Task, doc: Mapping[str, Any]) -> set[int]:
    """Return the positions of an item's right choices; empty if no key names a choice."""
    return positions(*choices_and_keys(task, doc))


def positions(choices: Sequence[str], keys: Sequence[Any]) -> set[int]:
    """Return the positions of the choices that `keys` name; a key that names none is left out."""
    named = {choices.index(key) if isinstance(key, str) and key in choices else key for key in keys}
    return {key for key in named if isinstance(key, int) and 0 <= key < len(choices)}


def key_fault(task: Task, doc: Mapping[str, Any]) -> str:
    """Return why none of an item's keys names one of its choices; empty if one does."""
    choices, keys = choices_and_keys(task, doc)
    if positions(choices, keys):
        return ""
    if not keys:
        return "there is no key"
    if isinstance(keys[0], str):
        return f"key {keys[0]!r:.60} is none of the {len(choices)} choices"
    return f"key {keys[0]} is out of range for {len(choices)} choices"
