"""Rewards that can be verified: the right choice, the exact answer, a program that passes its tests.

A record brings what its reward needs; a mixture may hold all kinds. Programs run in the sandbox, a whole batch at
once.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from harness.code_answers import extract_program
from harness.sandbox import Program, run_programs

CHOICE = re.compile(r"\b([A-J])\b")


def verified(
    prompts: Sequence[Any], completions: Sequence[Any], answer: Sequence[str], tests: Sequence[str],
    setup: Sequence[str], entry_point: Sequence[str], **_more: Any,
) -> list[float]:  # fmt: skip
    """Return 1 for a completion that is right and 0 for one that is not; TRL's signature of a reward function."""
    texts = [completion if isinstance(completion, str) else completion[-1]["content"] for completion in completions]
    rewards = [float(bool(right) and matches(text, right)) for text, right in zip(texts, answer, strict=True)]
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


def matches(text: str, right: str) -> bool:
    """Say whether the last line that says something gives the right answer: the same letter, number or words."""
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    if not lines:
        return False
    if len(right) == 1 and right.isalpha():
        letters = CHOICE.findall(lines[-1])
        return bool(letters) and letters[-1] == right
    return _bare(lines[-1]) == _bare(right)


def _bare(text: str) -> str:
    return re.sub(r"[\s,$.]+", " ", text.rpartition(":")[2]).strip().casefold()
