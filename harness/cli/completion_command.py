"""``harness completion bash|zsh|fish``: a script with which the shell completes commands, flags, names and paths.

harness completion bash > ~/.local/share/bash-completion/completions/harness
harness completion zsh > ~/.zfunc/_harness          (a folder in fpath)
harness completion fish > ~/.config/fish/completions/harness.fish

The script holds all words itself, so a key press starts no Python. `completion_words` has what follows a flag.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from harness.errors import InputError

PURPOSE = "Print a script that lets bash, zsh or fish complete commands, flags and names."
SHELLS = ("bash", "zsh", "fish")
FOLDERS = ("DIR",)  # metavars of flags that take a folder
OF_FLAGS = ("--tasks", "--model")
OF_TASKS = ("harness tasks show", "harness tasks fetch", "harness tasks validate")  # their words are tasks


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument("shell", choices=SHELLS, help="the shell")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = (
        "install:\n"
        "  harness completion bash > ~/.local/share/bash-completion/completions/harness\n"
        "  harness completion zsh > ~/.zfunc/_harness      (a folder of fpath)\n"
        "  harness completion fish > ~/.config/fish/completions/harness.fish"
    )


def run(args: argparse.Namespace) -> int:
    """Print the script."""
    try:
        import shtab
    except ImportError:
        raise InputError("completion: needs the library shtab; run `pip install shtab`.") from None
    from harness.cli import build_parser, sub_parsers
    from harness.cli.completion_words import models, path, tasks, values_of_flags

    parser = build_parser()
    waiting: list[argparse.ArgumentParser] = [parser]
    words, names, known = values_of_flags(), tasks(), models()
    file, folder = path("file", shtab.FILE), path("dir", shtab.DIRECTORY)
    while waiting:
        each = waiting.pop()
        waiting += sub_parsers(each).values()
        for action in each._actions:  # noqa: SLF001 - argparse offers no other way to the flags
            if isinstance(action.metavar, tuple):  # shtab takes one word
                action.metavar = action.metavar[0]
            flag = next((one for one in action.option_strings if one in (*words, *OF_FLAGS)), "")
            if flag in words:
                action.choices = words[flag]
            elif flag == "--tasks" or (each.prog in OF_TASKS and action.dest in ("name", "names")):
                action.complete = names  # type: ignore[attr-defined]  # where shtab looks
            elif flag == "--model":
                action.complete = known  # type: ignore[attr-defined]
            else:
                _complete(action, file, folder)
    print(shtab.complete(parser, shell=args.shell))
    return 0


def _complete(action: argparse.Action, file: object, folder: object) -> None:
    """Let the shell complete paths for a flag or word that takes one."""
    if action.metavar in FOLDERS:
        action.complete = folder  # type: ignore[attr-defined]
    elif action.type is Path or action.metavar in PATHS:
        action.complete = file  # type: ignore[attr-defined]


# Metavars of words that name a file or folder without being a `Path`.
PATHS = ("CKPT", "RUN", "RUNS", "MODEL", "EXPERIMENT.yaml", "JSON|FILE", "PATH_OR_ID", "PLACE", "FILE")
