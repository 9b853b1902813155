r"""Which columns a LaTeX table has, and how wide they are, so that it fits one column of a paper.

Numbers keep their width, names are broken over lines, and if that is not enough headings are too. What still does not
fit is left out, the least important column first, unless the user chose the columns. If rows have several names, one
that they share stands above them, so that the others have its width::

    \multicolumn{4}{@{}l}{\emph{tuned-code-0}} \\
    logic & +0.045 & -0.110 & 0.218 \\
    law & ...
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

from harness.reports.analysis.differences import ALPHA
from harness.reports.documents.latex_text import breakable, escaped, lines, pieces, width
from harness.reports.documents.tables import Column, Kind, Row, Table, text

# The narrowest column of the usual classes, ACL's: 77 mm. In points, as all widths here.
COLUMN_WIDTH = 219.0
NUMBERS = ("count", "value", "difference", "p", "points", "interval")
_BETWEEN, _TO = 6.0, 15.0  # between two columns, and the word between the ends of an interval
_COMFORTABLE, _TIGHT = 64.0, 40.0  # a column of names that are broken; tight only if headings are broken too

# What fits one column, by table; of another table, as many as fit of those that a narrow terminal keeps.
NARROW = {
    "differences": ("arm", "task", "items", "difference", "interval", "p_corrected"),
    "differences_without": ("arm", "task", "items", "difference", "interval", "p_corrected"),
    "overall": ("arm", "domain", "difference", "interval", "p_corrected"),
    "contrasts": ("task", "contrast", "estimate", "interval", "p_corrected"),
    "contrasts_without": ("task", "contrast", "estimate", "interval", "p_corrected"),
    "arms": ("arm", "runs", "plots", "mean"),
    "signal": ("task", "signal", "noise", "ratio"),
    "slopes": ("task", "slope", "interval", "p_corrected"),
    "leaderboard": ("ranks", "model", "overall", "interval", "standard_error", "groups"),
    "against": ("model", "difference", "interval", "p_corrected"),
    "power": ("task", "contrast", "items", "mde", "power"),
    "tasks": ("task", "model", "value", "interval", "items"),
    "overlap_tasks": ("task", "model", "value", "value_without", "items", "overlapping"),
}
_IF_ANY = ("failed", "cut")  # shown if any row has one


@dataclass(frozen=True, kw_only=True)
class LatexColumn:
    """How a column is set.

    Attributes:
        column: The column.
        heading: Lines of its heading.
        natural: Its width without line breaks, in points.
        numbers: siunitx's formats of its numbers: one, of an interval two, of text none.
        limit: Width at which its texts are broken; infinite if they are not.
    """

    column: Column
    heading: tuple[str, ...]
    natural: float
    numbers: tuple[str, ...] = ()
    limit: float = math.inf

    @classmethod
    def of(cls, column: Column, table: Table, *, broken: bool) -> LatexColumn:
        """Return a column of a table; with `broken`, its heading is broken where it is wider than the cells."""
        values = [(row.cells.get(column.key), is_bold(row)) for row in table.rows]
        known = [value for value, _ in values if value is not None]
        if column.kind == "interval":
            numbers = tuple(_format([value[end] for value in known], "value") for end in (0, 1))
            ends = [[(value[end], bold) for value, bold in values if value is not None] for end in (0, 1)]
            cells = _TO + sum(_widest(one, "value") for one in ends)
        elif column.kind in NUMBERS:
            numbers = (_format(known, column.kind),)
            cells = _widest(values, column.kind)
        else:
            numbers = ()
            cells = max((width(text(value, column.kind), bold=bold) for value, bold in values), default=0.0)
        heading = _heading(column.heading, cells) if broken else (column.heading,)
        return cls(column=column, heading=heading, natural=max(cells, *map(width, heading)), numbers=numbers)

    @property
    def width(self) -> float:
        """Its width in the table, in points."""
        return min(self.natural, self.limit)

    @property
    def alignment(self) -> str:
        """Its letters in the head of the table."""
        if self.numbers:
            return "@{ to }".join(f"S[table-format={one}]" for one in self.numbers)
        if math.isfinite(self.limit):
            return rf">{{\raggedright\hyphenpenalty10000\arraybackslash}}p{{{self.limit:.0f}pt}}"
        return "l" if self.column.kind == "text" else "c"

    @property
    def latex_heading(self) -> str:
        """Its heading as LaTeX."""
        words = r"\\".join(map(escaped, self.heading))
        words = rf"\shortstack{{{words}}}" if len(self.heading) > 1 else words
        if len(self.numbers) > 1:
            return rf"\multicolumn{{2}}{{c}}{{{words}}}"
        return f"{{{words}}}" if self.numbers else words

    def cell(self, row: Row) -> str:
        """Return its cell in a row."""
        value, kind = row.cells.get(self.column.key), self.column.kind
        bold = r"\bfseries " if is_bold(row) else ""
        if kind == "interval":
            ends = () if value is None else value
            return " & ".join(_number(end, "value", bold) for end in ends) or r"\multicolumn{2}{c}{--}"
        if self.numbers:
            return _number(value, kind, bold)
        if value is None:
            return "--"
        words = text(value, kind)
        fits = math.isinf(self.limit)
        return f"{bold}{escaped(words) if fits else breakable(words, self.limit, bold=bool(bold))}"

    def lines(self, row: Row) -> int:
        """Return how many lines its cell takes."""
        value = row.cells.get(self.column.key)
        if value is None or not math.isfinite(self.limit):
            return 1
        return lines(text(value, self.column.kind), self.limit, bold=is_bold(row))


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The columns of a table.

    Attributes:
        columns: From left to right.
        group: Column whose name stands above the rows that share it; None if rows have all their names.
        left_out: Columns for which there is no room.
    """

    columns: tuple[LatexColumn, ...]
    group: Column | None
    left_out: tuple[Column, ...]

    def name(self, row: Row) -> str:
        """Return the name above a row, with its family of tests if it has one; empty if rows have all their names."""
        if self.group is None:
            return ""
        family = row.cells.get("family")
        return f"{row.cells.get(self.group.key)}{f' ({family})' if family else ''}"

    @property
    def n_columns(self) -> int:
        """Number of columns that LaTeX counts."""
        return sum(max(1, len(one.numbers)) for one in self.columns)

    @property
    def width(self) -> float:
        """The width of the table, in points."""
        return _total([one.width for one in self.columns])


def layout(table: Table, wanted: Sequence[str]) -> Layout:
    """Return the columns to show.

    Args:
        table: A table.
        wanted: Keys of the columns that the user chose, raw ones too; empty for those that fit.
    """
    if wanted:
        columns = [column for key in wanted for column in table.columns if column.key == key]
        return _fitted(columns, table, group=None, fixed=True)
    columns = _narrow(table)
    group = _group(columns, table)
    return _fitted([one for one in columns if one is not group], table, group=group, fixed=False)


def is_bold(row: Row) -> bool:
    """Whether a row is the result: its difference survives correction, also where requests failed."""
    p = row.cells.get("p_corrected")
    return row.tone == "strong" or bool(row.cells.get("tied_with_leader")) or (p is not None and p <= ALPHA)


def _narrow(table: Table) -> list[Column]:
    narrow = NARROW.get(table.key)
    columns = [column for column in table.shown if (column.key in narrow if narrow else column.place != "aside")]
    # The caption has the number of items if all rows share it.
    same = table.caption and len({row.cells.get("items") for row in table.rows}) == 1
    columns = [column for column in columns if column.key not in _IF_ANY and not (same and column.key == "items")]
    return columns + [
        column
        for column in table.columns
        if column.key in _IF_ANY and any(row.cells.get(column.key) for row in table.rows)
    ]


def _group(columns: Sequence[Column], table: Table) -> Column | None:
    """Return the one of several names that changes the least often from row to row; None if all change always."""
    names = [column for column in columns if column.place == "name" and column.kind == "text"]
    if len(names) < 2:
        return None
    n_groups = {
        column.key: sum(1 for _ in groupby(row.cells.get(column.key) for row in table.rows)) for column in names
    }
    group = min(names, key=lambda column: n_groups[column.key])
    return group if n_groups[group.key] < len(table.rows) else None


def _fitted(columns: Sequence[Column], table: Table, *, group: Column | None, fixed: bool) -> Layout:
    """Return a layout; columns that do not fit are left out, unless they are `fixed`."""
    kept = list(columns)
    left_out: list[Column] = []
    while True:
        for broken, least in ((False, _COMFORTABLE), (True, _TIGHT)):
            sized = [LatexColumn.of(column, table, broken=broken) for column in kept]
            if _total([_least(one, least) for one in sized]) <= COLUMN_WIDTH:
                return Layout(columns=_limited(sized), group=group, left_out=tuple(left_out))
        least_important = None if fixed else _least_important(kept)
        if least_important is None:
            return Layout(columns=_limited(sized), group=group, left_out=tuple(left_out))
        kept.remove(least_important)
        left_out.insert(0, least_important)


def _least(one: LatexColumn, least: float) -> float:
    return one.natural if one.numbers else min(one.natural, max(least, *map(width, one.heading)))


def _least_important(columns: Sequence[Column]) -> Column | None:
    """Return the rightmost column that a narrow terminal would not keep, else the rightmost of several numbers.

    The corrected p is never left out.
    """
    numbers = [column for column in columns if column.place != "name" and column.key not in (*_IF_ANY, "p_corrected")]
    spare = [column for column in numbers if column.place != "keep"] or numbers[1:]
    return spare[-1] if spare else None


def _limited(columns: Sequence[LatexColumn]) -> tuple[LatexColumn, ...]:
    """Return the columns with limits for texts that are too wide: all get the same width, short ones what they need."""
    room = COLUMN_WIDTH - _total([one.natural if one.numbers else 0.0 for one in columns])
    limits: dict[int, float] = {}
    texts = sorted((one.natural, at) for at, one in enumerate(columns) if not one.numbers)
    for number, (natural, at) in enumerate(texts):
        share = max(_TIGHT, math.floor(room / (len(texts) - number)))
        limits[at] = math.inf if natural <= share else share
        room -= min(natural, share)
    return tuple(replace(one, limit=limits.get(at, math.inf)) for at, one in enumerate(columns))


def _total(widths: Sequence[float]) -> float:
    return sum(widths) + _BETWEEN * max(0, len(widths) - 1)


def _heading(words: str, room: float) -> tuple[str, ...]:
    """Return a heading in lines as wide as the room or its widest word, broken after spaces and signs such as ``_``."""
    made: list[str] = []
    room = max([room, *(width(piece.strip()) for piece in pieces(words))])
    for piece in pieces(words):
        if made and width((made[-1] + piece).strip()) <= room:
            made[-1] += piece
        else:
            made.append(piece)
    return tuple(line.strip() for line in made) or ("",)


def _widest(values: Sequence[tuple[Any, bool]], kind: Kind) -> float:
    """Return the width of the widest number; each comes with whether it is bold."""
    return max((width(_written(value, kind).replace("-", "+"), bold=bold) for value, bold in values), default=0.0)


def _format(values: Sequence[Any], kind: Kind) -> str:
    """Return siunitx's format of a column: sign, digits before and after the point, such as ``-1.3``."""
    written = [_written(one, kind) for one in values if _is_finite(one)]
    whole = max((len(one.lstrip("+-<").partition(".")[0]) for one in written), default=1)
    after = max((len(one.partition(".")[2]) for one in written), default=0)
    sign = "+" if any(one.startswith("+") for one in written) else "-" if any("-" in one for one in written) else ""
    return f"{sign}{whole}.{after}" if after else f"{sign}{whole}"


def _is_finite(value: Any) -> bool:
    return not isinstance(value, float) or math.isfinite(value)


def _written(value: Any, kind: Kind) -> str:
    return "--" if text(value, kind) == "-" else text(value, kind).replace(",", "")


def _number(value: Any, kind: Kind, bold: str) -> str:
    """Return a number that siunitx reads, or words in braces."""
    written = _written(value, kind)
    if written == "--":
        return "{--}"
    if not _is_finite(value) or written.startswith("<"):
        return f"{{{bold}{escaped(written)}}}"
    return f"{bold}{written}"
