"""A progress bar for text that is read, of which nobody knows how much there is."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Self

from rich.progress import Progress, TextColumn, TimeElapsedColumn

from harness.console import stderr


class CharactersProgress:
    """Shows millions of characters and their rate; hidden if standard error is no terminal."""

    def __init__(self) -> None:
        self._bar = Progress(
            TextColumn("searching"),
            TextColumn("{task.fields[shown]}"),
            TimeElapsedColumn(),
            console=stderr(),
            transient=True,
            disable=not sys.stderr.isatty(),
        )
        self._task = self._bar.add_task("searching", total=None, shown="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._bar.stop()

    def advance(self, characters: int) -> None:
        """Add characters that were read."""
        speed = self._bar.tasks[0].speed or 0.0
        done = (self._bar.tasks[0].completed + characters) / 1e6
        self._bar.update(self._task, advance=characters, shown=f"{done:,.1f} million characters, {speed / 1e6:.1f}/s")
