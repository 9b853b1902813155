"""What the user asked for, and the command lines with which `harness compare` gives the same numbers."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from harness.reports.analysis.differences import Arm

MEANS, SINGLE = "means", "single"  # what a page shows of runs that differ in their seed only


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the user asked for.

    Attributes:
        runs: Folders as typed, for the command lines on the pages.
        flags: Flags that `leaderboard` and `compare` share, for the same.
        force: Rank and compare runs even if their prompts differ.
        skip_broken: Leave damaged files out.
    """

    runs: tuple[str, ...]
    flags: tuple[str, ...]
    force: bool
    skip_broken: bool


def compare_words(arms: Sequence[Arm], options: Options, *flags: str) -> str:
    """Return the command line that compares arms; an arm of several runs is written ``NAME=run1,run2``."""
    one_folder = len(options.runs) == 1
    words = []
    for arm in arms:
        runs = [model.name if one_folder else str(model.folders[0]) for model in arm.models]
        words.append(f"{arm.name}={','.join(runs)}" if len(runs) > 1 else runs[0])
    where = ("--runs", options.runs[0]) if one_folder else ()
    return shlex.join(["harness", "compare", *words, *where, *flags, *options.flags])
