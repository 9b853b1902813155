"""Python values mean what the same words mean to the command, and a wrong one raises the command's line."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import harness
from harness.api.arguments import call
from harness.cli import build_parser
from harness.errors import HarnessError, InputError
from tests.conftest import HarnessCommand

EVAL = {"model": "m", "tasks": "t"}
SAME: list[tuple[str, dict[str, Any], str]] = [
    ("eval", {"model": ["a", Path("b")], "tasks": ["t", "u"]}, "--model a b --tasks t u"),
    ("eval", EVAL | {"limit": 20}, "--model m --tasks t --limit 20"),
    ("eval", EVAL | {"limit": 0.5, "num_fewshot": 0}, "--model m --tasks t --limit 0.5 --num_fewshot 0"),
    ("eval", EVAL | {"include_path": ["a", "b"]}, "--model m --tasks t --include_path a --include_path b"),
    ("eval", EVAL | {"apply_chat_template": True}, "--model m --tasks t --apply_chat_template"),
    ("eval", EVAL | {"apply_chat_template": "tools"}, "--model m --tasks t --apply_chat_template tools"),
    ("eval", EVAL | {"fewshot_as_multiturn": False}, "--model m --tasks t --fewshot_as_multiturn false"),
    ("eval", EVAL | {"gen_kwargs": {"do_sample": True}}, """--model m --tasks t --gen_kwargs '{"do_sample": true}'"""),
    ("eval", EVAL | {"model_args": ["a=1", "b=2"]}, "--model m --tasks t --model_args a=1 b=2"),
    ("eval", EVAL | {"metadata": {"k": [1]}}, """--model m --tasks t --metadata '{"k": [1]}'"""),
    ("eval", EVAL | {"seed": (0, None, 3, 4)}, "--model m --tasks t --seed 0,None,3,4"),
    ("eval", EVAL | {"system_instruction": "--be brief"}, "--model m --tasks t '--system_instruction=--be brief'"),
    ("eval", EVAL | {"verify": True, "no_cache": False, "dtype": "auto"}, "--model m --tasks t --verify"),
    ("compare", {"models": ("a", "n=b,c"), "doses": [0, 0.5]}, "a n=b,c --doses 0,0.5"),
    ("compare", {"models": ("-a", "b"), "tasks": ["x", "mini_*"], "all": True}, "--tasks 'x,mini_*' --all -- -a b"),
    ("leaderboard", {"runs": ("a",), "overlap": "o.json"}, "a --overlap o.json"),
    ("train", {"stage_file": "s.yaml", "output_path": "o"}, "s.yaml --output_path o"),
    (
        "train",
        {"stage_file": "s.yaml", "overrides": {"a.b": 1e-4, "c": "x", "d": [1]}, "dry_run": True},
        "s.yaml a.b=0.0001 c=x 'd=[1]' --dry_run",
    ),
    ("run", {"experiment": "e.yaml", "output_path": "o", "jobs": 2}, "e.yaml --output_path o --jobs 2"),
    ("run", {"experiment": "e.yaml", "overrides": ["name=b"], "no_estimate": True}, "e.yaml name=b --no_estimate"),
    ("run", {"experiment": "e.yaml", "executor_args": {"a": 1, "b": "x"}}, "e.yaml --executor_args a=1 b=x"),
]


@pytest.mark.parametrize(("command", "arguments", "words"), SAME, ids=[words for _, _, words in SAME])
def test_values_are_read_as_the_words_are(command: str, arguments: dict[str, Any], words: str) -> None:
    expected = vars(build_parser().parse_args([command, *shlex.split(words)]))
    asked = call(command, arguments)
    assert vars(asked.args) == {name: expected[name] for name in vars(asked.args)}
    again = vars(build_parser().parse_args(shlex.split(asked.command_line)[1:]))
    assert again == expected, "the recorded command line means the same"


WRONG: list[tuple[Callable[..., object], dict[str, Any], str]] = [
    (harness.evaluate, EVAL | {"limit": 0, "output_path": "o"}, "eval --model m --tasks t --limit 0 --output_path o"),
    (harness.evaluate, EVAL, "eval --model m --tasks t"),
    (harness.evaluate, EVAL | {"dtype": "int8", "dry_run": True}, "eval --model m --tasks t --dtype int8 --dry_run"),
    (harness.evaluate, {"model": "oracle", "backend": "scripted", "tasks": "mini_logik", "output_path": "o"},
     "eval --model oracle --backend scripted --tasks mini_logik --output_path o"),
    (harness.evaluate, {"model": "no/such/folder", "tasks": "mini_logic", "output_path": "o"},
     "eval --model no/such/folder --tasks mini_logic --output_path o"),
    (harness.compare, {}, "compare"),
    (harness.leaderboard, {"output_path": "no/such/board.html"}, "leaderboard --output_path no/such/board.html"),
    (harness.train, {"stage_file": "no.yaml", "output_path": "o"}, "train no.yaml --output_path o"),
    (harness.train, {"stage_file": "no.yaml"}, "train no.yaml"),
    (harness.run, {"experiment": "no.yaml", "output_path": "o"}, "run no.yaml --output_path o"),
    (harness.run, {"experiment": "no.yaml", "output_path": "o", "jobs": 0}, "run no.yaml --output_path o --jobs 0"),
]  # fmt: skip


@pytest.mark.parametrize(("function", "arguments", "words"), WRONG, ids=[words for _, _, words in WRONG])
def test_a_wrong_value_raises_the_line_that_the_command_prints(
    function: Callable[..., object],
    arguments: dict[str, Any],
    words: str,
    harness_here: HarnessCommand,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    command, *rest = shlex.split(words)
    done = harness_here(command, *rest)
    assert done.returncode == 2, done.stderr
    printed = done.stderr.removeprefix(f"harness {command}: ").replace(f" (see harness {command} --help)", "").strip()
    with pytest.raises(InputError) as raised:
        function(**arguments)
    assert str(raised.value) == printed
    assert not (tmp_path / "o").exists(), "nothing half-written"


@pytest.mark.parametrize(
    ("function", "arguments", "name"),
    [
        (harness.evaluate, EVAL | {"output_path": "o", "write_out": True}, "write_out"),
        (harness.evaluate, EVAL | {"output_path": "o", "show_config": False}, "show_config"),
        (harness.evaluate, EVAL | {"output_path": "o", "verbosity": "DEBUG"}, "verbosity"),
        (harness.compare, {"format": "json"}, "format"),
        (harness.leaderboard, {"wide": True}, "wide"),
        (harness.run, {"experiment": "e.yaml", "output_path": "o", "wide": True}, "wide"),
    ],
)
def test_a_flag_that_only_prints_is_refused(
    function: Callable[..., object], arguments: dict[str, Any], name: str
) -> None:
    with pytest.raises(InputError, match=f"^{name}: is for the command only; run `harness "):
        function(**arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"limt": 3}, "limt: no such argument of harness eval. Did you mean limit?"),
        ({"verify": 1}, "--verify 1: give True or False."),
        ({"system_instruction": "\ud83d"}, "is not UTF-8"),
    ],
)
def test_what_words_cannot_say_is_one_line_too(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(HarnessError) as raised:
        harness.evaluate(**(EVAL | {"output_path": "o"} | arguments))
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)
