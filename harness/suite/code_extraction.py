r"""Extract the program from a model's text: the continuation of a function, or a code block in an answer.

Nothing here runs or judges code; `harness.sandbox` does. Text without a program is returned unchanged, so that it fails
its tests and the failure is recorded.

    >>> extract_program("", "Sure:\n```python\ndef f(x):\n    return x\n```", "f")
    'def f(x):\n    return x\n'
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
    """Return the program in `answer`.

    Tried in this order: a fenced block that defines `entry_point`; an indented continuation of `prompt`; the first
    fenced block; a definition of `entry_point` in plain text; any other continuation of `prompt`.

    Args:
        prompt: The start of a program that the answer continues, such as a signature and docstring; empty if the prompt
            describes a whole program in words.
        answer: The model's text, without stop strings.
        entry_point: The function that the tests call; empty if unknown.
    """
    blocks = [textwrap.dedent(code) for language, code in _FENCE.findall(answer) if language.lower() in _LANGUAGES]
    whole = next((block for block in blocks if _definition(block, entry_point) is not None), None)
    if whole is not None:
        return _preamble(prompt) + whole
    if prompt and _starts_indented(answer):  # a fence after the continuation closes one that the prompt opened
        return complete(prompt, answer.split("```")[0])
    if blocks:
        return complete(prompt, blocks[0]) if prompt else blocks[0]
    if _definition(answer, entry_point) is not None:
        return _preamble(prompt) + _program_in(answer, entry_point)
    return complete(prompt, answer) if prompt else parsing_prefix(answer)


def _program_in(text: str, entry_point: str) -> str:
    """The text from the first import, constant or helper such that everything up to the function parses."""
    for start in _PROGRAM_START.finditer(text):
        program = parsing_prefix(text[start.start() :])
        if _definition(program, entry_point) is not None and _parses(program):
            return program
    return parsing_prefix(text[_definition(text, entry_point) or 0 :])


def complete(prompt: str, answer: str) -> str:
    r"""Return `prompt` followed by the part of `answer` that completes its function.

    The function ends at the first line that starts at the left margin. Lost indentation is restored: of the first line
    only, if the answer was stripped (``return a\n    # end``), or of all lines, if a block has just the body
    (``x = 1\nreturn x``).
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
    """Return the longest prefix of whole lines of `text` that parses as Python; `text` itself if there is none."""
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
    """The position of a top-level definition of this function; None if there is none, or if no name is given."""
    match = re.search(rf"^(?:async )?def {re.escape(entry_point)}\b", code, re.MULTILINE) if entry_point else None
    return match.start() if match else None


def _preamble(prompt: str) -> str:
    """The part of the prompt before its last function: imports and helpers that the answer may use."""
    places = [match.start() for match in _TOP_LEVEL_FUNCTION.finditer(prompt)]
    before = prompt[: places[-1]] if places else ""
    return before if before.strip() and _parses(before) else ""


def _parses(code: str) -> bool:
    try:
        ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True
