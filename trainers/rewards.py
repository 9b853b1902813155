"""Verifiable rewards: the right choice, the exact answer, or a program that passes its tests.

    verified(["Answer: B"], answer=["B"], letters=["ABCD"], tests=[""], ...)  ->  [1.0]

Each record carries the columns that its reward needs, and a mixture may hold all kinds. The programs of a batch run
together in the sandbox.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from harness.sandbox import Program, run_programs
from harness.suite.code_extraction import extract_program

SIGNS = " $,;!?\"'`*()（）。，"  # may surround an answer


def verified(
    completions: Sequence[Any], answer: Sequence[str], tests: Sequence[str], setup: Sequence[str],
    entry_point: Sequence[str], letters: Sequence[str], begun: Sequence[str], **_more: Any,
) -> list[float | None]:  # fmt: skip
    """Return 1 for a right completion and 0 for any other; a reward function with TRL's signature.

    None, which TRL leaves out, stands for a program whose tests the sandbox does not support. `begun` is the beginning
    of a program that the completion may continue; empty where the prompt asks for a whole program in words.
    """
    texts = [completion if isinstance(completion, str) else completion[-1]["content"] for completion in completions]
    rewards: list[float | None] = [
        float(bool(right) and (chosen_letter(text, choices) == right if choices else matches(text, right)))
        for text, right, choices in zip(texts, answer, letters, strict=True)
    ]
    programs = [index for index, test in enumerate(tests) if test]
    verdicts = run_programs(
        [
            Program(
                solution=extract_program(begun[index], texts[index], entry_point[index]),
                tests=tests[index],
                setup=setup[index],
            )
            for index in programs
        ]
    )
    for index, verdict in zip(programs, verdicts, strict=True):
        rewards[index] = None if verdict.status == "unsupported" else float(verdict.status == "passed")
    return rewards


def chosen_letter(text: str, letters: str) -> str | None:
    """Return the last stand-alone letter of the choices in the last line; None when there is none."""
    named = re.findall(rf"\b([{letters}])\b", _last_line(text))
    return named[-1] if named else None


def matches(text: str, right: str) -> bool:
    """Whether the last line gives the right answer: the same number, or the same words."""
    # GSM8K puts "####" before the result: "6 times 12 is 72.\n#### 72"  ->  72
    given, expected = _bare(_last_line(text)), _bare(right.rpartition("####")[2])
    number = _number(expected)
    return bool(given) and (given == expected if number is None else _number(given) == number)


def _last_line(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")


def _bare(text: str) -> str:
    """The text after the last colon, without surrounding signs, case and repeated spaces; ``.5`` keeps its point."""
    return re.sub(r"\s+", " ", text.rpartition(":")[2]).lstrip(SIGNS).rstrip(f"{SIGNS}.").casefold()


def _number(text: str) -> float | None:
    try:
        number = float(re.sub(r"(?<=\d),(?=\d{3}\b)", "", text))
    except ValueError:
        return None
    return number if math.isfinite(number) else None  # "nan" and "infinity" are compared as words
