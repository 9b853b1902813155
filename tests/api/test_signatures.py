"""The functions have every argument of their commands, with the commands' defaults and real types."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import harness
from harness.api.arguments import TERMINAL, actions
from tests.conftest import ROOT

COMMANDS: dict[str, Callable[..., Any]] = {
    "eval": harness.evaluate,
    "compare": harness.compare,
    "leaderboard": harness.leaderboard,
    "train": harness.train,
    "run": harness.run,
}
HEAVY = ("torch", "transformers", "lm_eval", "pandas", "datasets", "numpy", "altair", "harness.cli")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_flag_of_a_command_is_an_argument_of_its_function(command: str) -> None:
    """A new flag needs a line in `harness.api.flags`."""
    flags = set(actions(command)) - TERMINAL[command]
    assert set(inspect.signature(COMMANDS[command]).parameters) == flags


@pytest.mark.parametrize("command", COMMANDS)
def test_defaults_are_the_parsers(command: str) -> None:
    """The plain ones; where the parser knows only that a word is missing, the function has None or False."""
    for name, parameter in inspect.signature(COMMANDS[command]).parameters.items():
        default = actions(command)[name].default
        if parameter.default is inspect.Parameter.empty:
            assert default in (None, [])
        elif parameter.default is False:
            assert default in (False, None)
        else:
            assert parameter.default == (tuple(default) if isinstance(default, list) else default), name


def test_flags_for_the_terminal_alone_exist() -> None:
    for command, names in TERMINAL.items():
        assert names <= set(actions(command)), "a name that the command no longer has"


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_each_flag_with_its_meaning(command: str) -> None:
    text = inspect.getdoc(COMMANDS[command])
    assert text is not None
    for name, action in actions(command).items():
        if name not in TERMINAL[command]:
            assert f"{name}: {action.help}" in text


def test_every_argument_has_a_type() -> None:
    for function in COMMANDS.values():
        signature = inspect.signature(function)
        assert signature.return_annotation is not inspect.Signature.empty
        for parameter in signature.parameters.values():
            assert parameter.annotation not in (inspect.Parameter.empty, Any), parameter


def test_the_names_for_type_checkers_are_those_at_run_time() -> None:
    stub = ast.parse(Path(harness.__file__).with_suffix(".pyi").read_text(encoding="utf-8"))
    imported = {
        alias.asname: "harness.lm_eval_models" if alias.name == "lm_eval_models" else node.module
        for node in stub.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    at_run_time: dict[str, Any] = vars(harness)
    assert imported == at_run_time["_MODULES"]
    assert set(at_run_time["__all__"]) == {*imported, "__version__"}
    assert set(at_run_time["__all__"]) <= set(dir(harness))
    for name in at_run_time["__all__"]:
        assert getattr(harness, name) is not None


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'evalute'"):
        _ = harness.evalute  # type: ignore[attr-defined]


def test_import_takes_less_than_a_tenth_of_a_second_and_imports_nothing_heavy() -> None:
    """The best of five, because another process may take the core for a moment."""
    code = (
        "import sys, time\nbegan = time.perf_counter()\nimport harness\nprint(time.perf_counter() - began)\n"
        f"print(*(name for name in {HEAVY} if name in sys.modules))"
    )
    seconds = []
    for _ in range(5):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
        took, loaded = done.stdout.split("\n")[:2]
        assert not loaded
        seconds.append(float(took))
    assert min(seconds) < 0.1
