"""From a model's text to the program that it meant: a completed function, or a block of code in an answer.

Nothing here runs or judges code; `harness.sandbox` does. Text without a program is passed on as it is, so that it fails
there and is seen to fail.
"""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Sequence

_FENCE = re.compile(r"^[ \t]*```[ \t]*([\w+-]*)[ \t]*\n(.*?)(?:^[ \t]*```|\Z)", re.MULTILINE | re.DOTALL)
_PROGRAM_START = re.compile(
    r"^(?:import \w|from \w+ import |def |async def |class |@\w|[A-Za-z_]\w* *=[^=])", re.MULTILINE
)
_TOP_LEVEL_FUNCTION = re.compile(r"^(?:async )?def ", re.MULTILINE)
_LANGUAGES = ("", "python", "py", "python3")
_INDENT = " " * 4


def extract_program(prompt: str, answer: str, entry_point: str) -> str:
    """Return the program that `answer` stands for.

    In order: a fenced block (the first that defines `entry_point`, else the first of all), a definition of
    `entry_point` in plain text, the continuation of `prompt`.

    Args:
        prompt: The beginning of a program that the answer continues, such as a signature and docstring; empty if the
            model was asked in words for a whole program.
        answer: What the model wrote, stop strings removed.
        entry_point: The function that the tests call; empty if unknown.
    """
    blocks = [textwrap.dedent(code) for language, code in _FENCE.findall(answer) if language.lower() in _LANGUAGES]
    whole = next((block for block in blocks if _definition(block, entry_point) is not None), None)
    if whole is not None:
        return _preamble(prompt) + whole
    if prompt and _starts_indented(answer):  # a continuation; a fence after it closes one that the prompt opened
        return complete(prompt, answer.split("```")[0])
    if blocks:
        return complete(prompt, blocks[0]) if prompt else blocks[0]
    if _definition(answer, entry_point) is not None:
        return _preamble(prompt) + _program_in(answer, entry_point)
    return complete(prompt, answer) if prompt else parsing_prefix(answer)


def _program_in(text: str, entry_point: str) -> str:
    """From the first import, constant or helper from which on it is Python as far as the function's definition."""
    for start in _PROGRAM_START.finditer(text):
        program = parsing_prefix(text[start.start() :])
        if _definition(program, entry_point) is not None and _parses(program):
            return program
    return parsing_prefix(text[_definition(text, entry_point) or 0 :])


def complete(prompt: str, answer: str) -> str:
    """Return `prompt` and the part of `answer` that belongs to the function which the prompt begins.

    The function ends where a line starts at the left margin. Indentation that was lost is given back: that of the first
    line, as when an answer is stripped, or that of the whole body, as in a block that holds the body alone.
    """
    lines = answer.split("\n")
    if _starts_indented(answer) or not answer.strip():
        return _join(prompt, _body(lines))
    first = next(i for i, line in enumerate(lines) if line.strip())
    first_only = _body([*lines[:first], _INDENT + lines[first], *lines[first + 1 :]])
    everything = [_INDENT + line if line.strip() else line for line in lines]
    rest = "\n".join(lines[first + 1 :])
    readings = [_join(prompt, first_only), parsing_prefix(_join(prompt, everything))]
    if rest.strip() and not _starts_indented(rest):
        readings.reverse()
    return next((program for program in readings if _parses(program)), readings[0])


def parsing_prefix(text: str) -> str:
    """Return the longest run of whole lines from the start of `text` that is Python; `text` itself if there is none."""
    lines = text.split("\n")
    for end in range(len(lines), 0, -1):
        candidate = "\n".join(lines[:end])
        if candidate.strip() and _parses(candidate):
            return candidate.rstrip() + "\n"
    return text


def _body(lines: Sequence[str]) -> list[str]:
    """The lines up to the first that starts at the left margin."""
    end = next((i for i, line in enumerate(lines) if line.strip() and not line[0].isspace()), len(lines))
    return list(lines[:end])


def _join(prompt: str, lines: Sequence[str]) -> str:
    separator = "" if prompt.endswith("\n") else "\n"
    return prompt + separator + "\n".join(lines).rstrip() + "\n"


def _starts_indented(text: str) -> bool:
    line = next((line for line in text.split("\n") if line.strip()), "")
    return line[:1].isspace()


def _definition(code: str, entry_point: str) -> int | None:
    """Where a function of this name is defined at the left margin; None if it is not, or if no name is given."""
    match = re.search(rf"^(?:async )?def {re.escape(entry_point)}\b", code, re.MULTILINE) if entry_point else None
    return match.start() if match else None


def _preamble(prompt: str) -> str:
    """What stands in the prompt before its last function: imports and helpers, which the answer may count on."""
    places = [match.start() for match in _TOP_LEVEL_FUNCTION.finditer(prompt)]
    before = prompt[: places[-1]] if places else ""
    return before if before.strip() and _parses(before) else ""


def _parses(code: str) -> bool:
    try:
        ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True
