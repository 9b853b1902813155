"""The result of `compare` or `leaderboard` before it is printed or written; the Python API shows it in a notebook."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import InputError, did_you_mean
from harness.notebook import fragment
from harness.reports.commands.output import (
    PAGES,
    chosen_columns,
    document_text,
    output_format,
    write_document,
    write_file,
    write_page,
)
from harness.visible import say

if TYPE_CHECKING:
    import pandas as pd

    from harness.reports.charts.charts import Chart
    from harness.reports.documents.tables import Document


@dataclass(frozen=True, kw_only=True, eq=False)
class ReportResult:
    """A document, its page and its charts.

    Attributes:
        document: Tables and sentences.
        page: Makes the page, as HTML.
        charts: Makes the charts, by name; the first one shows the result.
        whole: Makes the document with the tables that only JSON and frames have.
    """

    document: Document
    page: Callable[[], str]
    charts: Callable[[], Mapping[str, Chart]]
    whole: Callable[[], Document]

    def specifications(self) -> dict[str, Any]:
        """Return the Vega-Lite specification of each chart, by name, with its question as the title."""
        return {name: {**chart.specification, "title": chart.question} for name, chart in self.charts().items()}

    @property
    def tables(self) -> tuple[str, ...]:
        """Names of the tables, the result first, as in JSON."""
        return tuple(table.key for table in self.whole().tables)

    def frame(self, table: str | None = None) -> pd.DataFrame:
        """Return a table's raw values; the first one's by default.

        Raises:
            InputError: there is no such table.
        """
        from harness.reports.documents.frames import frame

        if table is None:
            return frame(self.document.tables[0])
        tables = {one.key: one for one in self.whole().tables}
        if table not in tables:
            hint = did_you_mean(table, tables)
            raise InputError(f"frame {table}: no such table; give one of {', '.join(tables)}.{hint}")
        return frame(tables[table])

    def html(self) -> str:
        """Return the document as a fragment of HTML."""
        from harness.reports.documents.frames import shown
        from harness.reports.documents.tables import CAVEAT

        document = self.document
        lines = [*document.headlines, *(f"{CAVEAT}: {one}" for one in document.caveats), *document.agreements]
        return fragment(document.title, [shown(table) for table in document.tables], lines)

    def save(self, args: argparse.Namespace) -> list[Path]:
        """Write the files that the flags name, without a word, and return them.

        Raises:
            InputError: a file cannot be written, or the charts' packages are not installed.
        """
        written = self._save_charts(args.charts) if args.charts else []
        if args.output_path is None:
            return written
        kind = output_format(args)
        if kind == "pdf":
            from harness.reports.page.pdf import print_pdf

            print_pdf(self.page(), args.output_path)
        elif kind == "html":
            write_file(self.page(), args.output_path)
        else:
            write_file(document_text(self._shown(kind), kind, chosen_columns(args)), args.output_path)
        return [*written, args.output_path]

    def show(self, args: argparse.Namespace) -> None:
        """Print the result, or write it to the place that the flags name; log each file to standard error."""
        for path in self._save_charts(args.charts) if args.charts else ():
            say(f"written: {path}", file=sys.stderr)
        kind = output_format(args)
        if kind in PAGES:
            write_page(self.page(), kind, args.output_path)
        else:
            write_document(self._shown(kind), args)

    def _shown(self, kind: str) -> Document:
        return self.whole() if kind == "json" else self.document

    def _save_charts(self, folder: Path) -> list[Path]:
        from harness.reports.charts import charts

        return charts.write(self.charts(), folder)
