"""Parses and checks the command lines of a study's nodes before the study starts."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, cast

from harness.errors import InputError

if TYPE_CHECKING:
    from harness.evaluation.counting import TaskSize
    from harness.evaluation.spec import EvaluationSpec
    from harness.study.nodes import Evaluation, Node


def check_words(node: Node) -> None:
    """Check the flags of a node's command. Raises: InputError: one is unknown, or its value is wrong."""
    from harness.study.nodes import Evaluation, Overlap, Report

    if isinstance(node.work, Evaluation):
        parsed(["eval", *_eval_words(node.work)], "evaluate.flags")
    elif isinstance(node.work, Overlap):
        _check_values("overlap", parsed(["overlap", "checkpoint", *node.work.words], "overlap"))
    elif isinstance(node.work, Report):
        parsed([*node.work.words, "--format", "html"], "compare")


def _check_values(command: str, args: argparse.Namespace) -> None:
    from harness.cli.commands import CheckedCommand, load_command

    try:
        cast("CheckedCommand", load_command(command)).check(args)
    except InputError as error:
        raise InputError(f"{command}: {error}") from None


def _eval_words(work: Evaluation, model: str = "checkpoint") -> list[str]:
    return ["--model", model, "--tasks", ",".join(work.tasks), "--output_path", "records", *work.flags]


def parsed(words: Sequence[str], section: str) -> argparse.Namespace:
    """Return the parsed words of a command.

    Args:
        words: The command and its words.
        section: Of the experiment file, for the message.

    Raises:
        InputError: it has no such flag, or the value is wrong.
    """
    from harness.cli.commands import load_command
    from harness.cli.parser import RaisingParser

    parser = RaisingParser(prog=section, allow_abbrev=False, help_at=f"harness {words[0]} --help")
    load_command(words[0]).add_arguments(parser)
    return parser.parse_args(words[1:])


def _evaluation(words: Sequence[str]) -> EvaluationSpec:
    from harness.cli.eval_spec import evaluation_spec

    return evaluation_spec(parsed(["eval", *words], "evaluate.flags"))


def sizes_of(node: Node) -> Mapping[str, TaskSize]:
    """Return the sizes of an evaluation's tasks. Raises: InputError: `harness eval` would refuse them."""
    from harness.study.nodes import Evaluation

    assert isinstance(node.work, Evaluation)
    return _sizes(node.work.set_key, tuple(_eval_words(node.work)))


@cache
def _sizes(_set_key: str, words: tuple[str, ...]) -> dict[str, TaskSize]:
    """Cached by the set's key, which changes with the definitions of its tasks."""
    from harness.evaluation.counting import task_sizes

    return task_sizes(_evaluation(words))


def time_batch(node: Node, checkpoint: Path) -> float:
    """Return the seconds per request when this checkpoint answers one batch."""
    from harness.evaluation.timing import seconds_per_request
    from harness.study.nodes import Evaluation

    assert isinstance(node.work, Evaluation)
    return seconds_per_request(_evaluation(_eval_words(node.work, str(checkpoint))))
