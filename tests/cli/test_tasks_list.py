"""`harness tasks list` shows whole names at any width, as a table, as Markdown and as JSON."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import HarnessCommand
from tests.tasks_for_tests import write_tasks

LONG = "t_" + "a_very_long_name_" * 8
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Tasks with a long name, a name with a bar in it, and a tag."""
    folder = write_tasks(tmp_path / "tasks", items=4)
    text = (folder / "choice.yaml").read_text(encoding="utf-8")
    for file, name in (("long", LONG), ("bar", "t_a|b")):
        (folder / f"{file}.yaml").write_text(text.replace("t_choice", name) + "tag: t_tag\n", encoding="utf-8")
    return folder


def test_the_formats_name_the_same_tasks(folder: Path, harness_here: HarnessCommand) -> None:
    printed = {}
    for form in ("table", "md", "json"):
        done = harness_here("tasks", "list", "--include_path", folder, "--format", form)
        assert (done.returncode, done.stderr) == (0, "")
        printed[form] = done.stdout
    rows = json.loads(printed["json"])
    names = [row["name"] for row in rows]
    assert {LONG, "t_a|b", "t_choice", "mini_logic", "reasoning_mini", "t_tag"} <= set(names)
    kinds = {row["name"]: row["kind"] for row in rows}
    assert (kinds["t_all"], kinds["t_choice"], kinds["t_tag"]) == ("group", "task", "tag")
    # The table folds only the last column, so each name begins a line.
    table = [line for line in printed["table"].splitlines()[1:] if not line.startswith("Not shown")]
    assert [line.split()[0] for line in table if line[:1] not in ("", " ")] == names
    lines = printed["md"].splitlines()
    assert lines[:2] == ["| name | kind | domain | output type | about |", "|---|---|---|---|---|"]
    cells = [re.split(r"(?<!\\)\|", line) for line in lines[2:]]
    assert {len(row) for row in cells} == {7}
    assert [row[1].strip().replace("\\|", "|") for row in cells] == names


@pytest.mark.parametrize("columns", [20, 80, 300])
def test_names_are_whole_on_a_terminal_of_any_width(columns: int, folder: Path, tmp_path: Path) -> None:
    leader, follower = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(columns), "TERM": "dumb", "HARNESS_CACHE_DIR": str(tmp_path / "cache")}
    command = [sys.executable, "-m", "harness", "tasks", "list", "--include_path", str(folder), "--domain", "logic"]
    process = subprocess.Popen(command, stdout=follower, stderr=follower, env=environment)
    os.close(follower)
    printed = b""
    while True:
        try:
            part = os.read(leader, 65536)
        except OSError:  # the command has ended
            break
        if not part:
            break
        printed += part
    os.close(leader)
    assert process.wait() == 0
    lines = ESCAPES.sub("", printed.decode()).splitlines()
    assert [line for line in lines if line.startswith(f"{LONG} ")]
    assert [line for line in lines if line.startswith("t_a|b ")]


def test_kinds_and_domains_are_selected(folder: Path, harness_here: HarnessCommand) -> None:
    words = ["tasks", "list", "--include_path", folder, "--format", "json"]
    for kind in ("task", "group", "tag"):
        rows = json.loads(harness_here(*words, "--kind", kind).stdout)
        assert rows
        assert {row["kind"] for row in rows} == {kind}
    assert harness_here(*words, "--domain", "logik").returncode == 2
