"""A model that answers lm-eval's requests from the item itself: the oracle, a corrupted one, a guessing one."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.api.model import LM
from lm_eval.api.task import Task

WRONG_EVERY = 3
SILENT_EVERY = 5

Choose = Callable[[int, int, int], int]
"""``(doc_id, right, number of ways) -> chosen``"""
Write = Callable[[int, str], str]
"""``(doc_id, right text) -> written text``"""


class ScriptedLM(LM):  # type: ignore[misc]  # lm-eval ships no types
    """Chooses and writes what two functions say, given the right answer.

    Args:
        tasks: The tasks it will be asked, to render their right answers.
        choose: Which continuation is to be the most likely one.
        write: What is generated.
    """

    def __init__(self, tasks: dict[str, Task], choose: Choose, write: Write) -> None:
        super().__init__()
        self.tasks, self.choose, self.write = tasks, choose, write

    def loglikelihood(self, requests: list[Instance], disable_tqdm: bool = True) -> list[tuple[float, bool]]:
        return [self._score(request) for request in requests]

    def _score(self, request: Instance) -> tuple[float, bool]:
        doc = request.doc
        multiple = self.tasks[request.task_name].multiple_input
        ways = doc["subsets"] if "subsets" in doc else doc["choices"]
        right = ways.index(doc["answer"]) if "subsets" in doc else doc["gold"]
        chosen = self.choose(request.doc_id, right, len(ways))
        length = 1 if multiple else len(request.args[1])
        return (-0.001, True) if request.idx == chosen else (-10.0 * length, False)

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = True) -> list[str]:
        return [self.write(r.doc_id, right_text(self.tasks[r.task_name], r.doc)) for r in requests]

    def loglikelihood_rolling(self, requests: list[Instance], disable_tqdm: bool = True) -> list[float]:
        raise AssertionError("no task of the suite asks for this")


def right_text(task: Task, doc: dict[str, Any]) -> str:
    """The answer as a few-shot prompt would show it."""
    target = task.doc_to_target(doc)
    assert isinstance(target, str)
    return target


def oracle(tasks: dict[str, Task]) -> ScriptedLM:
    return ScriptedLM(tasks, lambda _, right, __: right, lambda _, text: text)


def corrupted(tasks: dict[str, Task]) -> ScriptedLM:
    """Wrong at each third item; says nothing at each fifth."""

    def write(doc_id: int, text: str) -> str:
        if doc_id % SILENT_EVERY == 0:
            return "I cannot tell"
        return wrong_text(text) if doc_id % WRONG_EVERY == 0 else text

    return ScriptedLM(tasks, lambda i, right, n: (right + 1) % n if i % WRONG_EVERY == 0 else right, write)


def wrong_text(text: str) -> str:
    """Another letter, another number, another literal."""
    for before, after in (("(A)", "(B)"), ("(B)", "(A)"), ("(C)", "(A)"), ("（A）", "（B）"), ("（B）", "（A）")):
        if before in text:
            return text.replace(before, after)
    for letter in "DEFGHIJ":
        text = text.replace(f"({letter})", "(A)").replace(f"（{letter}）", "（A）")
    text = text.replace("（C）", "（A）")
    if "####" in text:
        return f"{text}999"
    return text if "answer is" in text or "答案是" in text else "'quite another value'"


def guessing(tasks: dict[str, Task], seed: int, *, form: str = "The answer is ({}).") -> ScriptedLM:
    """Each way equally likely, from a seed; what is written is one of seven letters in `form`."""
    return ScriptedLM(
        tasks,
        lambda i, _, n: random.Random(f"{seed}/{i}").randrange(n),
        lambda i, _: form.format(random.Random(f"{seed}/{i}").choice("ABCDEFG")),
    )
