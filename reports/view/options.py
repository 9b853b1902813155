"""What the user asked for, and the command lines with which `harness compare` gives the same numbers."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace

from harness.reports.analysis.differences import Arm

MEANS, SINGLE = "means", "single"  # what a page shows of runs that differ in their seed only
_SIGNS = re.compile("[=,]")  # of NAME=run1,run2


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the user asked for.

    Attributes:
        runs: Folders as typed, for the command lines on the pages.
        flags: Flags that `leaderboard` and `compare` share, for the same; `--tasks` first.
        force: Rank and compare runs even if their prompts differ.
        skip_broken: Leave damaged files out.
    """

    runs: tuple[str, ...]
    flags: tuple[str, ...]
    force: bool
    skip_broken: bool

    def on_tasks(self, tasks: Sequence[str]) -> Options:
        """Return a copy for some tasks only."""
        others = self.flags[2:] if self.flags[:1] == ("--tasks",) else self.flags
        return replace(self, flags=("--tasks", ",".join(tasks), *others))


def compare_words(arms: Sequence[Arm], options: Options, *flags: str) -> str:
    """Return the command line that compares arms; an arm of several runs is written ``NAME=run1,run2``.

    Names with one of these signs cannot be written so: runs are then given by their folders, and arms get other signs.
    """
    models = [model for arm in arms for model in arm.models]
    by_name = len(options.runs) == 1 and not any(_SIGNS.search(model.name) for model in models)
    words = []
    for arm in arms:
        runs = [model.name if by_name else str(model.folders[0]) for model in arm.models]
        words.append(f"{_SIGNS.sub('-', arm.name)}={','.join(runs)}" if len(runs) > 1 else runs[0])
    where = ("--runs", options.runs[0]) if by_name else ()
    return shlex.join(["harness", "compare", *words, *where, *flags, *options.flags])
