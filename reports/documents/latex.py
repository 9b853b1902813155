r"""Tables as LaTeX for a paper: booktabs, numbers aligned by siunitx, a caption with test, correction and n, a label.

The preamble needs ``\usepackage{booktabs}`` and ``\usepackage{siunitx}``. By default a table has the columns that fit
one column of a two-column paper (77 mm or more); ``--columns`` chooses others. An interval takes two columns::

    \begin{tabular}{@{}lS[table-format=+1.3]S[table-format=-1.3]@{ to }S[table-format=-1.3]...@{}}
    logic & +0.045 & -0.110 & 0.218 & ...

A table that is longer than a page becomes several floats with one number; only the first has the caption and the label.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from harness.errors import InputError, did_you_mean
from harness.reports.documents.latex_columns import COLUMN_WIDTH, Layout, is_bold, layout
from harness.reports.documents.latex_text import breakable, escaped, lines, width, with_definition
from harness.reports.documents.tables import CAVEAT, Document, Row, Table

_SURVIVES = "significant at 5% after correction"
# What bold rows are, by table.
BOLD = {
    "differences": _SURVIVES,
    "differences_without": _SURVIVES,
    "overall": _SURVIVES,
    "against": _SURVIVES,
    "slopes": _SURVIVES,
    "contrasts": _SURVIVES,
    "contrasts_without": _SURVIVES,
    "leaderboard": "cannot be told apart from the leader",
    "power": "power of 80% or more",
}
# In points: the height of a page's text in most classes is 540 or more; a line of \footnotesize and one of a caption.
_PAGE, _LINE, _CAPTION_LINE, _SPACE, _RULES = 510.0, 9.5, 12.0, 4.0, 40.0
_CAPTION_SIZE = 10 / 8  # its letters to those of \footnotesize


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
        *(rf"\noindent\textbf{{{CAVEAT}:}} {escaped(one)}" + "\n" for one in document.caveats),
        *(rf"\noindent {escaped(one)}" + "\n" for one in document.agreements),
    ]
    tables = [_table(table, document, columns) for table in document.tables]
    needs = "% needs \\usepackage{booktabs} and \\usepackage{siunitx}"
    return f"{needs}\n" + with_definition("\n".join([*above, *filter(None, tables)]))


def _table(table: Table, document: Document, wanted: Sequence[str]) -> str:
    chosen = layout(table, wanted)
    if not chosen.columns:
        return ""
    caption = _caption(table, document, chosen)
    parts = _parts([_block(row, chosen) for row in table.rows], caption)
    return "\n".join(_float(table, chosen, part, "" if number else caption) for number, part in enumerate(parts))


@dataclass(frozen=True, kw_only=True)
class _Block:
    """A row of a table.

    Attributes:
        latex: The row.
        height: In points.
        group: The name above it; empty for none.
        heading: The lines that show the name.
    """

    latex: str
    height: float
    group: str = ""
    heading: str = ""


def _block(row: Row, chosen: Layout) -> _Block:
    count = max(one.lines(row) for one in chosen.columns)
    cells = " & ".join(one.cell(row) for one in chosen.columns)
    name = chosen.name(row)
    return _Block(latex=rf"{cells} \\", height=_LINE * count, group=name, heading=_heading(name, chosen))


def _heading(name: str, chosen: Layout) -> str:
    """Return a name over all columns, broken over lines if it is wider than the table."""
    if not name:
        return ""
    words = rf"\emph{{{escaped(name)}}}"
    if width(name) > chosen.width:
        broken = breakable(name, COLUMN_WIDTH)
        words = rf"\parbox[t]{{\linewidth}}{{\raggedright\hyphenpenalty10000 \emph{{{broken}}}}}"
    return rf"\multicolumn{{{chosen.n_columns}}}{{@{{}}l@{{}}}}{{{words}}} \\"


def _parts(blocks: Sequence[_Block], caption: str) -> list[list[_Block]]:
    """Return the blocks by float: no float is higher than a page."""
    free = _PAGE - _RULES - _CAPTION_LINE * math.ceil((width(caption) * _CAPTION_SIZE + 50.0) / COLUMN_WIDTH * 1.05)
    parts: list[list[_Block]] = [[]]
    for block in blocks:
        above = parts[-1][-1].group if parts[-1] else ""
        height = block.height + (_SPACE + _LINE * lines(block.group, COLUMN_WIDTH) if block.group != above else 0.0)
        if parts[-1] and height > free:
            parts.append([])
            free = _PAGE - _RULES - 2 * _CAPTION_LINE - _LINE  # the name stands above the first row again
        parts[-1].append(block)
        free -= height
    return parts


def _float(table: Table, chosen: Layout, blocks: Sequence[_Block], caption: str) -> str:
    """Return a float; without a caption, it continues the one before."""
    rows: list[str] = []
    for number, (heading, members) in enumerate(groupby(blocks, lambda block: block.heading)):
        rows += [*([r"\addlinespace"] if number else []), heading] if heading else []
        rows += [block.latex for block in members]
    lines_of_caption = (
        [rf"\caption{{{escaped(caption)}}}", rf"\label{{tab:{table.key.replace('_', '-')}}}"]
        if caption
        else [r"\addtocounter{table}{-1}%", rf"\caption[]{{{escaped(table.title.removesuffix('.'))} (continued).}}"]
    )
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering\footnotesize\setlength{\tabcolsep}{3pt}%",
            # Bold numbers stay aligned.
            r"\sisetup{detect-weight=true, mode=text, retain-explicit-plus}%",
            rf"\begin{{tabular}}{{@{{}}{''.join(one.alignment for one in chosen.columns)}@{{}}}}",
            r"\toprule",
            " & ".join(one.latex_heading for one in chosen.columns) + r" \\",
            r"\midrule",
            *rows,
            r"\bottomrule",
            r"\end{tabular}",
            *lines_of_caption,
            r"\end{table}",
            "",
        ]
    )


def _caption(table: Table, document: Document, chosen: Layout) -> str:
    title = table.title if table.title.endswith(".") else f"{table.title}."
    words = table.caption or (" ".join(document.headlines) if table is document.tables[0] else "")
    bold = f"Bold: {BOLD[table.key]}." if table.key in BOLD and any(map(is_bold, table.rows)) else ""
    left_out = ", ".join(column.heading for column in chosen.left_out if column.key != "items" or not table.caption)
    return " ".join(
        filter(None, (title, words, bold, f"Omitted for space: {left_out.removesuffix('.')}." if left_out else ""))
    )
