"""Rewards that can be verified: the right choice, the exact answer, a program that passes its tests.

A record brings what its reward needs; a mixture may hold all kinds. Programs run in the sandbox, a whole batch at
once.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from harness.sandbox import Program, run_programs
from harness.suite.code_extraction import extract_program

SIGNS = " $,;!?\"'`*()（）。，"  # around an answer, no part of it


def verified(
    prompts: Sequence[Any], completions: Sequence[Any], answer: Sequence[str], tests: Sequence[str],
    setup: Sequence[str], entry_point: Sequence[str], letters: Sequence[str], **_more: Any,
) -> list[float]:  # fmt: skip
    """Return 1 for a completion that is right and 0 for one that is not; TRL's signature of a reward function."""
    texts = [completion if isinstance(completion, str) else completion[-1]["content"] for completion in completions]
    rewards = [
        float(bool(right) and (chosen(text, among) == right if among else matches(text, right)))
        for text, right, among in zip(texts, answer, letters, strict=True)
    ]
    programs = [index for index, test in enumerate(tests) if test]
    verdicts = run_programs(
        [
            Program(
                solution=extract_program(_text(prompts[index]), texts[index], entry_point[index]),
                tests=tests[index],
                setup=setup[index],
            )
            for index in programs
        ]
    )
    for index, verdict in zip(programs, verdicts, strict=True):
        rewards[index] = float(verdict.status == "passed")
    return rewards


def _text(prompt: Any) -> str:
    """The program that a completion goes on with; a prompt in messages asks for a whole one."""
    return prompt if isinstance(prompt, str) else ""


def chosen(text: str, letters: str) -> str | None:
    """Return the last of the choices' letters that the last line names, standing alone; None when it names none."""
    found = re.findall(rf"\b([{letters}])\b", _last_line(text))
    return found[-1] if found else None


def matches(text: str, right: str) -> bool:
    """Say whether the last line gives the right answer: the same number, or the same words."""
    given, wanted = _bare(_last_line(text)), _bare(right.rpartition("####")[2])  # GSM8K's mark before the result
    number = _number(wanted)
    return bool(given) and (given == wanted if number is None else _number(given) == number)


def _last_line(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")


def _bare(text: str) -> str:
    """Without what is said before a colon, signs around it, case and runs of space; ``.5`` keeps its point."""
    return re.sub(r"\s+", " ", text.rpartition(":")[2]).lstrip(SIGNS).rstrip(f"{SIGNS}.").casefold()


def _number(text: str) -> float | None:
    try:
        number = float(re.sub(r"(?<=\d),(?=\d{3}\b)", "", text))
    except ValueError:
        return None
    return number if math.isfinite(number) else None  # "nan" and "infinity" are words here
