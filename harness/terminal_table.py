"""Tables that fit the terminal: names, values, intervals and verdicts stay whole, and other columns give way.

    columns = (
        TableColumn(heading="task", place="name"),
        TableColumn(heading="value", numbers=True, place="keep"),
        TableColumn(heading="s.e.", numbers=True, place="aside"),
    )
    print_table(TerminalTable(columns=columns, rows=(TableRow(cells=("arc_easy", "0.614", "0.010")),)), stdout())

Where a table is too wide for the terminal, its headings take several lines. If that is not enough, a column of place
``group`` becomes headings above its rows, empty columns go, columns of place ``below`` continue below the table, and
others are left out, which a line says. No number is ever cut.
In a pipe or a file, only columns ``aside`` are left out of lines that are longer than the console is wide.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from harness.console import print_sentence
from harness.visible import visible
from harness.wrapping import wrapped

Place = Literal["group", "name", "keep", "below", "last", "", "aside", "fold"]
GAP = 2  # blanks between two columns
LEAST_FOLDED = 20  # cells of a text that takes several lines
LONGEST_WORD = 11  # of a heading; a longer one, such as the name of a model, takes several lines
EMPTY = ("", "-")


@dataclass(frozen=True, kw_only=True)
class TableColumn:
    """One column.

    Attributes:
        heading: Its name.
        numbers: Whether its cells are aligned on the right and never take several lines.
        place: What a narrow terminal does with it. ``group`` is printed once above the rows that have it. ``name`` and
            ``keep`` stay, and a ``name`` is repeated where columns continue below. ``below`` moves there. ``aside`` is
            left out first, from the left; then columns without a place, from the right; then ``last``. ``fold`` stays,
            and takes several lines.
    """

    heading: str
    numbers: bool = False
    place: Place = ""


@dataclass(frozen=True, kw_only=True)
class TableRow:
    """One row: its cells as text, and rich's style for it."""

    cells: tuple[str, ...]
    style: str | None = None


@dataclass(frozen=True, kw_only=True)
class TerminalTable:
    """A table. Every row has a cell for each column."""

    columns: tuple[TableColumn, ...]
    rows: tuple[TableRow, ...]


def print_table(table: TerminalTable, console: Console, *, wide: bool = False) -> None:
    """Print a table.

    Args:
        table: The table.
        console: Where to print it.
        wide: Print every column side by side, even if the terminal has to wrap the lines.
    """
    sheet, width = _Sheet(table), console.width if console.is_terminal and not wide else None
    blocks, hidden = [sheet.all], list[int]()
    if width is not None:
        blocks, hidden = sheet.fitted(width)
    elif not wide:
        blocks, hidden = sheet.shortened(console.width)
    for number, block in enumerate(blocks):
        if number:
            console.print()
        _print_block(sheet, block, width, console)
    if hidden:
        names = ", ".join(table.columns[column].heading for column in hidden)
        print_sentence(console, f"Not shown, for lack of width: {names}; --wide shows them.", "dim")


class _Sheet:
    """The widths of a table's columns. A column is known by its number, counted from 0."""

    def __init__(self, table: TerminalTable) -> None:
        self.columns = table.columns
        self.styles = [row.style for row in table.rows]
        self.headings = [visible(column.heading, one_line=True) for column in table.columns]
        self.cells = [[visible(cell, one_line=True) for cell in row.cells] for row in table.rows]
        self.all = list(range(len(table.columns)))
        self._widest = [max((cell_len(row[column]) for row in self.cells), default=0) for column in self.all]
        self.group: int | None = None  # the column that is printed as headings above the rows

    def _natural(self, column: int) -> int:
        """Return the width of a column on one line."""
        return max(self._widest[column], cell_len(self.headings[column]))

    def _word(self, column: int) -> int:
        """Return the width of the longest word of a heading."""
        return max(map(cell_len, self.headings[column].split()), default=0)

    def _with_long_names_folded(self, column: int) -> int:
        """Return the width of a column whose heading takes several lines only if it is a long name."""
        return self._natural(column) if self._word(column) <= LONGEST_WORD else self._least(column)

    def _least(self, column: int) -> int:
        """Return the width of a column whose heading takes a line for each word."""
        least = max(self._widest[column], min(self._word(column), LONGEST_WORD))
        return min(least, LEAST_FOLDED) if self.columns[column].place == "fold" else least

    def _fits(self, block: Sequence[int], width: int) -> bool:
        return _total([self._least(column) for column in block]) <= width

    def _of(self, place: Place, among: Sequence[int]) -> list[int]:
        return [column for column in among if self.columns[column].place == place]

    def _is_empty(self, column: int) -> bool:
        return all(row[column] in EMPTY for row in self.cells)

    def group_of(self, row: int) -> str | None:
        """Return the heading above a row, such as ``model: llama``; None without headings."""
        return None if self.group is None else f"{self.headings[self.group]}: {self.cells[row][self.group]}"

    def fitted(self, width: int) -> tuple[list[list[int]], list[int]]:
        """Return the columns of each block, which stand below one another, and the columns that are left out."""
        shown, below, hidden = self.all, list[int](), list[int]()
        if not self._fits(shown, width):
            self.group = next(iter(self._of("group", shown)), None)
            shown = [column for column in shown if column != self.group]
        if not self._fits(shown, width):
            shown = [column for column in shown if self.columns[column].place == "name" or not self._is_empty(column)]
        if not self._fits(shown, width):
            below = self._of("below", shown)
            shown = [column for column in shown if column not in below]
        spare = [*self._of("aside", shown), *reversed(self._of("", shown)), *reversed(self._of("last", shown))]
        while spare and not self._fits(shown, width):
            hidden.append(spare.pop(0))
            shown = [column for column in shown if column not in hidden]
        names = self._of("name", shown)
        blocks = [shown] if len(shown) > len(names) or not below else []
        return [*blocks, *self._chunks(names, below, width)], sorted(hidden)

    def shortened(self, width: int) -> tuple[list[list[int]], list[int]]:
        """Return one block with lines of any length, and the columns ``aside`` that are left out to shorten them."""
        shown, hidden = self.all, list[int]()
        for column in self._of("aside", self.all):
            if _total([self._natural(one) for one in shown]) > width:
                hidden.append(column)
                shown = [one for one in shown if one != column]
        return [shown], hidden

    def _chunks(self, names: list[int], below: Sequence[int], width: int) -> list[list[int]]:
        """Return the columns that continue below, divided into blocks that fit."""
        chunks: list[list[int]] = []
        for column in below:
            if not chunks or not self._fits([*chunks[-1], column], width):
                chunks.append([*names])
            chunks[-1].append(column)
        return chunks

    def widths(self, block: Sequence[int], width: int | None) -> list[int]:
        """Return the widths of a block's columns; None stands for a line of any length."""
        natural = [self._natural(column) for column in block]
        if width is None:
            return natural
        names_folded = [self._with_long_names_folded(column) for column in block]
        for wanted in (natural, names_folded):
            if _total(wanted) <= width:
                return wanted
        widths = [self._least(column) for column in block]
        spare = width - _total(widths)
        for at, column in enumerate(block):
            if self.columns[column].place == "fold":  # a text takes fewer lines where there is room
                given = min(natural[at] - widths[at], max(spare, 0))
                widths[at] += given
                spare -= given
        texts = [at for at, column in enumerate(block) if not self.columns[column].numbers]
        while spare < 0 and any(widths[at] > LEAST_FOLDED for at in texts):
            widths[max(texts, key=widths.__getitem__)] -= 1
            spare += 1
        return widths


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + GAP * (len(widths) - 1)


def _print_block(sheet: _Sheet, block: Sequence[int], width: int | None, console: Console) -> None:
    widths = sheet.widths(block, width)
    numbers = [sheet.columns[column].numbers for column in block]

    def print_row(cells: Sequence[str], style: str | None, *, bottom: bool = False) -> None:
        folded = [wrapped(cell, own) for cell, own in zip(cells, widths, strict=True)]
        height = max(map(len, folded))
        blanks = [[""] * (height - len(lines)) for lines in folded]
        columns = [above + lines if bottom else lines + above for lines, above in zip(folded, blanks, strict=True)]
        for parts in zip(*columns, strict=True):
            padded = [_padded(*each) for each in zip(parts, widths, numbers, strict=True)]
            console.print(Text((" " * GAP).join(padded).rstrip(), style=style or ""), soft_wrap=True)

    print_row([sheet.headings[column] for column in block], "dim", bottom=True)
    for number, (name, rows) in enumerate(groupby(range(len(sheet.cells)), sheet.group_of)):
        if name is not None:
            _print_group(name, console, first=number == 0)
        for row in rows:
            print_row([sheet.cells[row][column] for column in block], sheet.styles[row])


def _print_group(name: str, console: Console, *, first: bool) -> None:
    if not first:
        console.print()
    for line in wrapped(name, console.width):
        console.print(Text(line, style="bold"), soft_wrap=True)


def _padded(line: str, width: int, numbers: bool) -> str:
    blanks = " " * (width - cell_len(line))
    return blanks + line if numbers else line + blanks
