"""The command line starts fast, and its page is what the help prints."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from harness import cli
from harness.cli import commands
from tests.conftest import HarnessCommand

ROOT = Path(__file__).resolve().parents[2]


def _modules_after(code: str) -> set[str]:
    script = f"import sys\n{code}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(done.stdout.splitlines()[-1].split())


HEAVY = {"torch", "transformers", "lm_eval", "datasets", "pandas", "vllm", "trl", "peft"}


@pytest.mark.parametrize(
    "code",
    [
        "import harness",
        "from harness.cli import build_parser\nbuild_parser().format_help()",
        "from harness.cli import main\nmain(['tasks', 'list'])",
        "from harness.cli import main\nmain(['completion', 'bash'])",
    ],
    ids=["import", "help", "tasks list", "completion"],
)
def test_starting_imports_nothing_heavy(code: str) -> None:
    assert not _modules_after(code) & HEAVY


def test_help_is_quick() -> None:
    """In processor time, which other programs on the machine change little; the best of three."""
    command = [sys.executable, "-m", "harness", "--help"]
    seconds = []
    for _ in range(3):
        before = os.times()
        subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
        after = os.times()
        seconds.append(after.children_user + after.children_system - before.children_user - before.children_system)
    assert min(seconds) < 0.3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("eval --modle x --tasks t", "harness eval: --modle: unknown flag. Did you mean --model?"),
        ("eval --task t", "harness eval: --task: unknown flag. Did you mean --tasks?"),
        ("eval --limt=3 --model x --tasks t", "harness eval: --limt: unknown flag. Did you mean --limit?"),
        ("tasks list --fromat json", "harness tasks list: --fromat: unknown flag. Did you mean --format?"),
        ("tasks list --dom logic", "harness tasks list: --dom: unknown flag."),
        ("compare a b --metrics acc", "harness compare: --metrics: unknown flag. Did you mean --metric?"),
        ("run study.yaml --jbos 2", "harness run: --jbos: unknown flag. Did you mean --jobs?"),
        ("doctor --zzz", "harness doctor: --zzz: unknown flag. (see"),
        ("eval -q --model x --tasks t", "harness eval: -q: unknown flag."),
        ("evla --model x", "harness: evla: unknown command"),
        ("run --modle hf", "harness run: --modle: unknown flag. Did you mean --model?"),
    ],
)
def test_an_unknown_flag_names_the_command_and_the_nearest_flag(
    words: str, message: str, harness_here: HarnessCommand
) -> None:
    done = harness_here(*words.split())
    assert done.returncode == 2
    assert done.stderr.startswith(message)
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("ls foo", "harness tasks list: foo: not expected here; leave it out (see harness tasks list --help)"),
        ("doctor a b", "harness doctor: a b: not expected here; leave it out (see harness doctor --help)"),
        (
            "export r --format cvs --output_path o",
            "'lm-eval', 'parquet'). Did you mean csv? (see harness export --help)",
        ),
        ("tasks lst", "). Did you mean list? (see harness tasks --help)"),
    ],
)
def test_a_wrong_word_names_the_command_and_the_nearest_choice(
    words: str, message: str, harness_here: HarnessCommand
) -> None:
    done = harness_here(*words.split())
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.endswith(f"{message}\n")


def test_values_that_look_like_flags_are_values(harness_here: HarnessCommand) -> None:
    done = harness_here("eval", "--model", "oracle", "--tasks", "mini_logic", "--seed", "-1")
    assert "argument --seed: -1: give a whole number" in done.stderr
    done = harness_here("eval", "--model", "oracle", "--tasks", "mini_logic", "--gen_kwargs", "-- x")
    assert "unknown flag" not in done.stderr


def test_a_dash_works_where_lm_eval_has_an_underscore() -> None:
    from harness.cli import with_underscores

    words = ["eval", "--num-fewshot", "5", "--output-path=a-b", "--", "--not-a-flag"]
    assert with_underscores(words) == ["eval", "--num_fewshot", "5", "--output_path=a-b", "--", "--not-a-flag"]


def test_the_command_line_page_is_what_help_prints() -> None:
    from docs.make_cli_page import page

    assert (ROOT / "docs" / "cli.md").read_text(encoding="utf-8") == page(), "run `python docs/make_cli_page.py`"


def test_a_command_that_the_installed_version_lacks_says_to_install_again(
    monkeypatch: pytest.MonkeyPatch, harness_here: HarnessCommand
) -> None:
    stale = EntryPoint("gone", "harness.cli.gone_command", commands.GROUP)
    known = {**commands.command_names(), "gone": stale}
    for module in (cli, commands):
        monkeypatch.setattr(module, "command_names", lambda: known)
    done = harness_here("gone", "--any", "word")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith("harness gone: harness.cli.gone_command: does not exist; the installed commands are")
    assert "install stage-harness again" in done.stderr
    assert harness_here("tasks", "list").returncode == 0
    assert "harness.cli.gone_command: does not exist" in cli.build_parser().format_help().replace("\n", " ")


def test_help_fits_80_columns_and_explains_every_word(monkeypatch: pytest.MonkeyPatch) -> None:
    from docs.make_cli_page import commands_of

    monkeypatch.setenv("COLUMNS", "80")
    for name, parser in commands_of(cli.build_parser()):
        text = parser.format_help()
        assert max(map(len, text.splitlines())) <= 80, name
        for action in parser._actions:
            assert action.help or isinstance(action, argparse._SubParsersAction), (name, action.dest)
    run = dict(commands_of(cli.build_parser()))["harness run"].format_help()
    assert "[--output_path DIR] [--dry_run]" in run
    assert "\n  --dry_run             print the graph" in run
