"""Write a document of tables, with drawings above them, as one HTML file without a script, a network or other files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from harness.reports.charts.drawing import Drawing, svg
from harness.reports.documents.tables import Document, Table, text
from harness.visible import visible

TEMPLATES = Path(__file__).parent / "templates"


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
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    meanings = {column.heading: column.meaning for table in document.tables for column in table.shown}
    page = environment.get_template(
        "document.html"
    ).render(
        title=document.title,
        headlines=document.headlines,
        caveats=document.caveats,
        agreements=document.agreements,
        style=Markup((TEMPLATES / "style.css").read_text(encoding="utf-8")),  # noqa: S704 - our own file
        figures=[
            {"title": one.title, "hint": one.hint, "drawing": Markup(svg(one.drawing))}  # noqa: S704 - `svg` escapes
            for one in figures
        ],
        tables=[_table(table) for table in document.tables],
        notes=document.notes[document.n_headlines :],
        meanings=[{"text": heading, "meaning": meaning} for heading, meaning in meanings.items() if meaning],
        command=document.command,
    )
    return visible(page)


def _table(table: Table) -> dict[str, object]:
    columns = table.shown
    return {
        "key": table.key,
        "title": table.title,
        "columns": [{"text": c.heading, "numeric": c.kind != "text", "meaning": c.meaning} for c in columns],
        "rows": [
            {
                "tone": row.tone,
                "cells": [{"text": text(row.cells.get(c.key), c.kind), "numeric": c.kind != "text"} for c in columns],
            }
            for row in table.rows
        ],
    }
