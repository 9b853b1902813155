r"""Tables as LaTeX for a paper: booktabs, numbers aligned by siunitx, a caption with test, correction and n, a label.

The preamble needs ``\usepackage{booktabs}`` and ``\usepackage{siunitx}``. By default a table has the columns that fit
one column of a two-column paper (about 84 mm); ``--columns`` chooses others. An interval takes two columns::

    \begin{tabular}{lS[table-format=-1.3]S[table-format=-1.3]@{ to }S[table-format=-1.3]...}
    logic & +0.045 & -0.110 & 0.218 & ...
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from harness.errors import InputError, did_you_mean
from harness.reports.documents.tables import Column, Document, Kind, Row, Table, text
from harness.visible import visible

# What fits one column, by table; of another table, all columns that a narrow terminal keeps.
NARROW = {
    "differences": ("arm", "task", "items", "difference", "interval", "p_corrected"),
    "overall": ("arm", "domain", "difference", "interval", "p_corrected"),
    "contrasts": ("task", "contrast", "estimate", "interval", "p_corrected"),
    "contrasts_without": ("task", "contrast", "estimate", "interval", "p_corrected"),
    "arms": ("arm", "runs", "plots", "mean"),
    "signal": ("task", "signal", "noise", "ratio"),
    "slopes": ("task", "slope", "interval", "p_corrected"),
    "leaderboard": ("ranks", "model", "overall", "interval", "groups"),
    "power": ("task", "contrast", "items", "mde", "power"),
    "tasks": ("model", "task", "value", "interval", "items"),
}
_SURVIVES = "significant at 5% after correction"
# What bold rows are, by table.
BOLD = {
    "differences": _SURVIVES,
    "overall": "all domains together",
    "contrasts": _SURVIVES,
    "contrasts_without": _SURVIVES,
    "leaderboard": "cannot be told apart from the leader",
}
_NUMBERS = ("count", "value", "difference", "p", "points", "interval")

_LETTERS = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"$<$", ">": r"$>$",
}  # fmt: skip


def latex(document: Document, columns: Sequence[str] = ()) -> str:
    """Return the tables.

    Args:
        document: The document.
        columns: Keys of the columns to show, as in JSON; tables without any of them are left out. Empty for those that
            fit one column.

    Raises:
        InputError: No table has one of these columns.
    """
    known = list(dict.fromkeys(column.key for table in document.tables for column in table.columns))
    for key in columns:
        if key not in known:
            raise InputError(f"--columns {key}: no table has it; give {', '.join(known)}.{did_you_mean(key, known)}")
    above = [
        "% needs \\usepackage{booktabs} and \\usepackage{siunitx}",
        *(rf"\noindent\textbf{{Not comparable:}} {escaped(one)}" + "\n" for one in document.caveats),
        *(rf"\noindent {escaped(one)}" + "\n" for one in document.agreements),
    ]
    tables = [_table(table, document, columns) for table in document.tables]
    return "\n".join([*above, *filter(None, tables)])


def escaped(words: str) -> str:
    """Return words as LaTeX shows them."""
    return "".join(_LETTERS.get(letter, letter) for letter in visible(words, one_line=True))


def _table(table: Table, document: Document, wanted: Collection[str]) -> str:
    columns = [_LatexColumn.of(column, table) for column in _chosen(table, wanted)]
    if not columns:
        return ""
    lines = [
        r"\begin{table}",
        r"\centering\footnotesize\setlength{\tabcolsep}{3pt}%",
        # Bold numbers stay aligned.
        r"\sisetup{detect-weight=true, mode=text, retain-explicit-plus}%",
        rf"\begin{{tabular}}{{@{{}}{''.join(one.alignment for one in columns)}@{{}}}}",
        r"\toprule",
        " & ".join(one.heading for one in columns) + r" \\",
        r"\midrule",
        *(" & ".join(_cell(row, one) for one in columns) + r" \\" for row in table.rows),
        r"\bottomrule",
        r"\end{tabular}",
        rf"\caption{{{escaped(_caption(table, document))}}}",
        rf"\label{{tab:{table.key.replace('_', '-')}}}",
        r"\end{table}",
        "",
    ]
    return "\n".join(lines)


def _chosen(table: Table, wanted: Collection[str]) -> list[Column]:
    """Return the columns to show; with `wanted`, in its order, and raw ones too."""
    if wanted:
        return [column for key in wanted for column in table.columns if column.key == key]
    narrow = NARROW.get(table.key)
    columns = [column for column in table.shown if (column.key in narrow if narrow else column.place != "aside")]
    # The caption has the number of items if all rows share it.
    same = table.caption and len({row.cells.get("items") for row in table.rows}) == 1
    return [column for column in columns if not (same and column.key == "items")]


@dataclass(frozen=True, kw_only=True)
class _LatexColumn:
    """How a column is set.

    Attributes:
        column: The column.
        alignment: Its letters in the head of the table.
        heading: Its heading; over two columns for an interval.
    """

    column: Column
    alignment: str
    heading: str

    @classmethod
    def of(cls, column: Column, table: Table) -> _LatexColumn:
        words = escaped(column.heading)
        if column.kind not in _NUMBERS:
            return cls(column=column, alignment="l" if column.kind == "text" else "c", heading=words)
        values = [value for row in table.rows if (value := row.cells.get(column.key)) is not None]
        if column.kind == "interval":
            low, high = (f"S[table-format={_format([value[end] for value in values], 'value')}]" for end in (0, 1))
            heading = rf"\multicolumn{{2}}{{c}}{{{words}}}"
            return cls(column=column, alignment=f"{low}@{{ to }}{high}", heading=heading)
        form = f"S[table-format={_format(values, column.kind)}]"
        return cls(column=column, alignment=form, heading=f"{{{words}}}")


def _format(values: Sequence[Any], kind: Kind) -> str:
    """Return siunitx's format of a column: sign, digits before and after the point, such as ``-1.3``."""
    written = [text(one, kind).replace(",", "") for one in values if _is_finite(one)]
    whole = max((len(one.lstrip("+-<").partition(".")[0]) for one in written), default=1)
    after = max((len(one.partition(".")[2]) for one in written), default=0)
    sign = "+" if any(one.startswith("+") for one in written) else "-" if any("-" in one for one in written) else ""
    return f"{sign}{whole}.{after}" if after else f"{sign}{whole}"


def _is_finite(value: Any) -> bool:
    return not isinstance(value, float) or math.isfinite(value)


def _cell(row: Row, one: _LatexColumn) -> str:
    value, kind = row.cells.get(one.column.key), one.column.kind
    bold = r"\bfseries " if row.tone == "strong" else ""
    if kind == "interval":
        if value is None:
            return r"\multicolumn{2}{c}{--}"
        return " & ".join(f"{bold}{_number(end, 'value')}" for end in value)
    if kind in _NUMBERS:
        written = _number(value, kind)
        return written if written.startswith("{") else f"{bold}{written}"
    return f"{bold}{escaped(text(value, kind))}" if value is not None else "--"


def _number(value: Any, kind: Kind) -> str:
    """Return a number that siunitx reads, or words in braces."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "{--}"
    written = text(value, kind)
    if not _is_finite(value) or written.startswith("<"):
        return f"{{{escaped(written)}}}"
    return written.replace(",", "")


def _caption(table: Table, document: Document) -> str:
    title = table.title if table.title.endswith(".") else f"{table.title}."
    words = table.caption or (" ".join(document.headlines) if table is document.tables[0] else "")
    strong = any(row.tone == "strong" for row in table.rows)
    bold = f"Bold: {BOLD[table.key]}." if strong and table.key in BOLD else ""
    return " ".join(filter(None, (title, words, bold)))
