"""``harness completion bash|zsh``: a script with which the shell completes commands, flags and paths.

harness completion bash > ~/.local/share/bash-completion/completions/harness
harness completion zsh > ~/.zfunc/_harness          (a folder in fpath)
"""

from __future__ import annotations

import argparse
from pathlib import Path

from harness.errors import InputError

PURPOSE = "Print a script that lets bash or zsh complete commands and flags."
SHELLS = ("bash", "zsh")
FOLDERS = ("DIR",)  # metavars of flags that take a folder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument("shell", choices=SHELLS, help="the shell")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = (
        "install:\n"
        "  harness completion bash > ~/.local/share/bash-completion/completions/harness\n"
        "  harness completion zsh > ~/.zfunc/_harness      (a folder of fpath)"
    )


def run(args: argparse.Namespace) -> int:
    """Print the script."""
    try:
        import shtab
    except ImportError:
        raise InputError("completion: needs the library shtab; run `pip install shtab`.") from None
    from harness.cli import build_parser, sub_parsers

    parser = build_parser()
    waiting: list[argparse.ArgumentParser] = [parser]
    while waiting:
        each = waiting.pop()
        waiting += sub_parsers(each).values()
        for action in each._actions:  # noqa: SLF001 - argparse offers no other way to the flags
            _complete(action, shtab.FILE, shtab.DIRECTORY)
    print(shtab.complete(parser, shell=args.shell))
    return 0


def _complete(action: argparse.Action, file: object, folder: object) -> None:
    """Let the shell complete paths for a flag or word that takes one."""
    if isinstance(action.metavar, tuple):  # the library takes one word
        action.metavar = action.metavar[0]
    if action.metavar in FOLDERS:
        action.complete = folder  # type: ignore[attr-defined]  # where shtab looks
    elif action.type is Path or action.metavar in PATHS:
        action.complete = file  # type: ignore[attr-defined]


# Metavars of words that name a file or folder without being a `Path`.
PATHS = ("CKPT", "RUN", "MODEL", "EXPERIMENT.yaml", "JSON|FILE", "PATH_OR_ID", "PLACE", "FILE")
