"""The commands, found by entry points, so that any package can add one.

A command is a module with three names::

    # my_package/hello.py
    PURPOSE = "Say hello."

    def add_arguments(parser):
        parser.add_argument("name")

    def run(args):
        print("hello", args.name)
        return 0

    # pyproject.toml
    [project.entry-points."harness.commands"]
    hello = "my_package.hello"
"""

from __future__ import annotations

import argparse
import functools
from importlib.metadata import EntryPoint, entry_points
from typing import Protocol, cast

from harness.errors import InputError, first_line

GROUP = "harness.commands"
# The order of the help; commands of other packages follow by name.
ORDER = (
    "eval", "compare", "leaderboard", "view", "power", "rescore", "train", "run", "status", "lineage", "overlap",
    "export", "tasks", "cache", "doctor", "completion",
)  # fmt: skip


class Command(Protocol):
    """A module that is a command."""

    PURPOSE: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the command's flags. Imports nothing heavy: `harness --help` calls it for every command."""

    def run(self, args: argparse.Namespace) -> int:
        """Do the work; returns the exit code."""


class CheckedCommand(Command, Protocol):
    """A command that `harness run` runs, whose values it checks long before."""

    def check(self, args: argparse.Namespace) -> None:
        """Check the values of the flags; imports nothing heavy. Raises: InputError: a value is wrong."""


@functools.cache
def command_names() -> dict[str, EntryPoint]:
    """Return the entry points of all installed commands, in the order of the help."""
    found = {point.name: point for point in entry_points(group=GROUP)}
    first = [name for name in ORDER if name in found]
    return {name: found[name] for name in [*first, *sorted(found.keys() - set(first))]}


def load_command(name: str) -> Command:
    """Import a command's module.

    Raises:
        InputError: the package that brings it cannot be imported, or is another version than the installed commands.
    """
    point = command_names()[name]
    try:
        return cast("Command", point.load())
    except Exception as error:
        if point.value.startswith("harness."):
            if isinstance(error, ModuleNotFoundError) and point.value.startswith(str(error.name)):
                raise InputError(
                    f"{point.value}: does not exist; the installed commands are of another version, so install "
                    "stage-harness again with `pip install`."
                ) from None
            raise
        raise InputError(
            f"{point.value}: cannot be imported ({type(error).__name__}: {first_line(error)}); repair or remove the "
            "package that provides this command."
        ) from error
