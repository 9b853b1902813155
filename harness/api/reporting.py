"""`harness.compare` and `harness.leaderboard`: the commands as functions."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Unpack, cast

from harness.api.arguments import call
from harness.api.flags import CompareFlags, LeaderboardFlags, Place, mirrors
from harness.api.places import run_places
from harness.api.values import altair
from harness.cli.commands import load_command
from harness.errors import InputError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd
    from altair.typing import ChartType


class _Document(Protocol):
    title: str
    headlines: tuple[str, ...]
    notes: tuple[str, ...]
    caveats: tuple[str, ...]


class _Result(Protocol):
    """What the command found, before it is printed."""

    document: _Document
    tables: tuple[str, ...]

    def frame(self, table: str | None = None) -> pd.DataFrame: ...
    def html(self) -> str: ...
    def page(self) -> str: ...
    def specifications(self) -> dict[str, Any]: ...
    def save(self, args: argparse.Namespace) -> list[Path]: ...


class _ReportCommand(Protocol):
    """A command that makes a report; it is found by its entry point."""

    def result(self, args: argparse.Namespace, command: str) -> _Result: ...


class _Report:
    """A report with its tables, sentences and charts."""

    def __init__(self, result: _Result, files: list[Path]) -> None:
        self._result = result
        self.files = tuple(files)
        """The files that were written: the page or table of `output_path`, and the charts."""

    @property
    def title(self) -> str:
        """Title of the report."""
        return self._result.document.title

    @property
    def headlines(self) -> tuple[str, ...]:
        """The result in sentences."""
        return tuple(self._result.document.headlines)

    @property
    def notes(self) -> tuple[str, ...]:
        """The result, then warnings and remarks."""
        return tuple(self._result.document.notes)

    @property
    def caveats(self) -> tuple[str, ...]:
        """What is not comparable between the models."""
        return tuple(self._result.document.caveats)

    @property
    def tables(self) -> tuple[str, ...]:
        """Names of the tables, the result first."""
        return self._result.tables

    def frame(self, table: str | None = None) -> pd.DataFrame:
        """Return a table of raw values; by default the first one, the result.

        The columns are those of ``--format csv``.

        Raises:
            InputError: there is no such table.
        """
        return self._result.frame(table)

    def plot(self, chart: str | None = None) -> ChartType:
        """Return a chart; by default the one that shows the result.

        Raises:
            InputError: there is no such chart, or Altair is not installed.
        """
        made = self._result.specifications()
        name = next(iter(made)) if chart is None else chart
        if name not in made:
            raise InputError(f"plot {name}: no such chart; give one of {', '.join(made)}.{did_you_mean(name, made)}")
        drawn: ChartType = altair().Chart.from_dict(made[name])
        return drawn

    def page(self) -> str:
        """Return the page that ``--format html`` writes."""
        return self._result.page()

    def __repr__(self) -> str:
        """Return the title and the result in sentences."""
        return "\n".join([self.title, *self.headlines])

    def _repr_html_(self) -> str:
        return self._result.html()


class Comparison(_Report):
    """Differences of models from a baseline, or the effects of a factorial design."""


class Leaderboard(_Report):
    """Models by rank."""


@mirrors("compare", CompareFlags)
def compare(*models: Place, **flags: Unpack[CompareFlags]) -> Comparison:
    """Compare models on the same tasks, the first being the baseline; or analyse a factorial `design`.

    >>> import harness
    >>> for name in ("oracle", "uniform"):
    ...     _ = harness.evaluate(
    ...         model=name, backend="scripted", tasks="mini_logic", limit=40, output_path=f"runs/{name}"
    ...     )
    >>> comparison = harness.compare("runs/uniform", "runs/oracle")
    >>> comparison.headlines[0]
    "oracle against uniform: 1 of 1 task differs after Holm's correction: mini_logic (+0.675)."
    >>> comparison.frame()[["task", "items", "difference", "p_corrected"]].round(3)
             task  items  difference  p_corrected
    0  mini_logic     40       0.675        0.004

    Args:
        *models: Run folders, results of `harness.evaluate` with all their models, names below `runs`, or
            ``NAME=run1,run2`` for several seeds of one recipe.
        **flags: The flags of ``harness compare``, listed below.

    Raises:
        InputError: a flag is wrong; the message is the command's.
        RecordError: a run is missing or damaged, or runs cannot be compared.
    """
    return Comparison(*_made("compare", {"models": run_places("compare", models), **flags}))


@mirrors("leaderboard", LeaderboardFlags)
def leaderboard(*runs: Place, **flags: Unpack[LeaderboardFlags]) -> Leaderboard:
    """Rank the models whose runs are below some folders, and mark those that cannot be told apart.

    >>> import harness
    >>> _ = harness.evaluate(
    ...     model=["oracle", "uniform"], backend="scripted", tasks="mini_logic", limit=40, output_path="runs/both"
    ... )
    >>> harness.leaderboard("runs/both").frame()[["rank", "model", "groups"]]
       rank    model groups
    0     1   oracle      a
    1     2  uniform      b

    Args:
        *runs: Folders, searched at any depth, or results of `harness.evaluate`.
        **flags: The flags of ``harness leaderboard``, listed below.

    Raises:
        InputError: a flag is wrong; the message is the command's.
        RecordError: a run is missing or damaged, or the models have no task in common.
    """
    return Leaderboard(*_made("leaderboard", {"runs": run_places("leaderboard", runs), **flags}))


def _made(command: str, arguments: dict[str, object]) -> tuple[_Result, list[Path]]:
    parsed = call(command, arguments)
    module = cast("_ReportCommand", load_command(command))
    # With the tables that the JSON has, whichever file is written.
    result = module.result(argparse.Namespace(**{**vars(parsed.args), "format": "json"}), parsed.command_line)
    return result, result.save(parsed.args)
