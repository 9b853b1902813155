"""Every `harness` command that a page shows exists, with every flag that it gives."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.cli import build_parser, with_underscores
from tests.conftest import ROOT

PAGES = [ROOT / "README.md", *sorted(path for path in (ROOT / "docs").glob("*.md") if path.name != "cli.md")]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
COMMAND = re.compile(r"(?:^|[ '(])harness ([a-z].*)$")


def _commands(page: str) -> Iterator[list[str]]:
    """Yield the words of each command in the fences of a page, without its comment."""
    for fence in (text for language, text in FENCE.findall(page) if language in ("", "bash", "text")):
        for line in fence.replace("\\\n", " ").splitlines():
            found = COMMAND.search(line)
            if found and "=" not in line.split("harness")[0]:
                yield shlex.split(found[1].replace("'", "").replace("(", "").replace(")", ""), comments=True)


def _parser_of(words: list[str]) -> argparse.ArgumentParser:
    """The parser of a command and its sub-command."""
    parser = build_parser()
    for word in words:
        choices = [action.choices for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
        if not choices or word not in choices[0]:
            break
        parser = choices[0][word]
    return parser


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_commands_and_flags_of_a_page_exist(page: Path) -> None:
    for words in _commands(page.read_text(encoding="utf-8")):
        parser = _parser_of(words)
        assert parser.prog != "harness", f"{words[0]}: no such command"
        flags = [word.partition("=")[0] for word in with_underscores(words) if re.match(r"--?[a-z]", word)]
        known = {flag for action in parser._actions for flag in action.option_strings}
        assert set(flags) <= known, f"{page}: harness {' '.join(words)}"


def test_the_pages_show_many_commands() -> None:
    assert sum(len(list(_commands(page.read_text(encoding="utf-8")))) for page in PAGES) > 60
