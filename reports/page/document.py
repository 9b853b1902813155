"""Write a document of tables, with drawings above them, as one HTML file without a script, a network or other files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.reports.charts.drawing import Drawing
from harness.reports.documents.tables import Document
from harness.reports.page.environment import render_template
from harness.reports.page.sections import drawn
from harness.reports.page.table_view import table_view


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A drawing with the question that it answers.

    Attributes:
        title: The question.
        hint: How to read it.
        drawing: The drawing.
    """

    title: str
    hint: str
    drawing: Drawing


def render_document(document: Document, figures: Sequence[Figure]) -> str:
    """Return the page; everything from a record is escaped. The same document gives the same bytes."""
    meanings = {column.heading: column.meaning for table in document.tables for column in table.shown}
    return render_template(
        "document.html",
        {
            "title": document.title,
            "headlines": document.headlines,
            "caveats": document.caveats,
            "agreements": document.agreements,
            "figures": [{"title": one.title, "hint": one.hint, "drawing": drawn(one.drawing)} for one in figures],
            "tables": [table_view(table) for table in document.tables],
            "notes": document.notes[document.n_headlines :],
            "meanings": [{"text": heading, "meaning": meaning} for heading, meaning in meanings.items() if meaning],
            "command": document.command,
        },
    )
