"""The fields of an item whose answer is a program, and checks that its tests can pass and fail.

{"question": "Add two numbers.", "entry_point": "add", "tests": "assert add(2, 3) == 5", "code": "def add(a, b): ..."}
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from harness.errors import one_line
from harness.sandbox.inside.parsed_tests import is_assertion

TEXT_FIELDS = ("tests", "setup", "program_prompt", "entry_point")


@dataclass(frozen=True, kw_only=True)
class CodeItem:
    """What is needed to run an answer to one item.

    Attributes:
        tests: Python that runs after the program.
        setup: Python that runs before the tests.
        program_prompt: The text that a completion continues; empty if the completion is the whole program.
        entry_point: The function that the tests call; empty if unknown.
    """

    tests: str
    setup: str = ""
    program_prompt: str = ""
    entry_point: str = ""


def code_item(doc: Mapping[str, Any]) -> CodeItem:
    """Return the fields of an item; all but `tests` may be missing."""
    return CodeItem(**{name: doc[name] for name in TEXT_FIELDS if doc.get(name) is not None})


def faults_of(doc: Mapping[str, Any]) -> Iterator[str]:
    """Yield why no program could pass the item's tests."""
    if doc.get("tests") is None:
        yield "lacks the field tests, the Python that a program must pass"
        return
    not_text = [name for name in TEXT_FIELDS if not isinstance(doc.get(name) or "", str)]
    if not_text:
        yield f"{not_text[0]} is {type(doc[not_text[0]]).__name__}, must be text"
        return
    trees = []
    for name in ("tests", "setup"):
        try:
            trees.append(ast.parse(doc.get(name) or ""))
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            yield f"{name} is not Python ({one_line(error, max_characters=100)})"
            return
    if "unittest" not in doc["tests"] and not any(map(is_assertion, ast.walk(trees[0]))):
        yield "the field tests has no assertion, so no program can pass"
