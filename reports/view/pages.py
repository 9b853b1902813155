"""The pages of the viewer, as HTML. Everything from a record is escaped by the templates.

The templates' look is that of the report's page: they share its style sheet.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from harness.errors import HarnessError, InputError
from harness.records import ModelRecords, Records
from harness.reports.documents.tables import Document, csv
from harness.reports.page.differences_view import forest_view
from harness.reports.page.environment import TEMPLATES as REPORT_TEMPLATES
from harness.reports.page.failed_and_cut import marked_names
from harness.reports.view import results
from harness.reports.view.details import Details
from harness.reports.view.filters import MOST_MODELS, PAGE_ITEMS, Filter, Matches, matches
from harness.reports.view.grids import (
    board_grid,
    differences_grids,
    grid,
    matrix_grid,
    means_grid,
    means_matrix_grid,
    table_address,
)
from harness.reports.view.index import Index, Item, TaskItems
from harness.reports.view.item_page import item_context
from harness.reports.view.losses import damaged_lines, failures
from harness.reports.view.means import Means
from harness.reports.view.options import MEANS, SINGLE, Options
from harness.reports.view.outcomes import CODE, CUT, UNPARSED, WORDS, outcomes_for
from harness.reports.view.plain import from_plain
from harness.reports.view.results import Compared
from harness.reports.view.search import fts_query
from harness.visible import visible

TEMPLATES = Path(__file__).parent / "templates"
FILES: Mapping[str, tuple[Path, str]] = {
    "report.css": (REPORT_TEMPLATES / "style.css", "text/css"),
    "view.css": (TEMPLATES / "view.css", "text/css"),
    "view.js": (TEMPLATES / "view.js", "text/javascript"),
}
COMPARISONS_KEPT = 32


class Pages:
    """Renders pages of the records that an index was built from.

    Args:
        index: The index.
        records: The same records, without items.
        options: What the user asked for.
    """

    def __init__(self, index: Index, records: Records, options: Options) -> None:
        self.index = index
        self.models: dict[str, ModelRecords] = {model.name: model for model in records.models}
        self.details = Details(index, self.models)
        self._options = options
        self._overview = from_plain(index.fact("overview"))
        self._comparison = functools.lru_cache(COMPARISONS_KEPT)(self._compared)
        self._environment = Environment(
            loader=FileSystemLoader(TEMPLATES),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.globals.update(all_models=index.models, most_models=MOST_MODELS)

    def overview(self, runs: str = "") -> str:
        """Return the first page: ranks and values by task.

        Args:
            runs: `SINGLE` for every run by itself, `MEANS` for means over seeds; empty for means if there are several.
        """
        first, index = self._overview, self.index
        means = self._means(runs)
        document = means.differences if means else first.board
        noted = document or first.board
        return self._page(
            "overview.html",
            here="overview",
            first=first,
            means=means,
            problem=means.problem if means else first.problem,
            headlines=document.headlines if document else (),
            caveats=document.caveats if document else (),
            notes=[*(noted.notes[noted.n_headlines :] if noted else ()), *first.notes, *damaged_lines(index)],
            board=means_grid(means) if means else board_grid(first, first.board) if first.board else None,
            matrix=means_matrix_grid(means) if means else matrix_grid(first.matrix),
            values=grid(first.values, csv=table_address(first.values)),
            failures=failures(index, self.models),
            n_items=f"{index.count:,}",
            n_tasks=len(index.tasks),
            leaderboard_command=self._overview_command(means),
        )

    def _means(self, runs: str) -> Means | None:
        """The means over seeds, if the reader chose them or there are two or more; one would hide the other models."""
        means = self._overview.means
        if means is None or runs == SINGLE:
            return None
        return means if runs == MEANS or len(means.runs) > 1 else None

    def _compared_means(self, runs: str) -> Means | None:
        """The means over seeds, if there are two or more to compare."""
        means = self._means(runs)
        return means if means and means.differences else None

    def _overview_command(self, means: Means | None) -> str:
        if means is None:
            return results.leaderboard_command(self._options)
        return means.differences.command if means.differences else ""

    def comparison(self, wanted: Filter, *, chosen: bool, runs: str = "") -> str:
        """Return the page of differences.

        Args:
            wanted: Its models; the first is the baseline.
            chosen: Whether the reader chose them; otherwise all models are compared with the leader, as on the report's
                page.
            runs: `SINGLE` to compare every run by itself with the leader, although there are means over seeds.
        """
        means = None if chosen else self._compared_means(runs)
        of_leader = None if chosen else means.differences if means else self._overview.differences
        matrix, problem = means.matrix if means else self._overview.matrix, ""
        document = of_leader
        if document is None:
            try:
                compared = self._comparison(wanted.models)
                document, matrix = compared.document, compared.matrix
            except HarnessError as error:  # such as other prompts; the reader may choose other models
                problem = str(error)
        baseline = matrix.reference if of_leader else wanted.models[0]
        models = [self.models[name] for name in wanted.models]
        query = ("runs=single" if runs == SINGLE else "") if of_leader else wanted.query()
        return self._page(
            "compare.html",
            here="compare",
            carried=wanted.models if chosen else (),
            title=document.title if document else "Differences",
            document=document,
            problem=problem,
            is_of_leader=of_leader is not None,
            first=self._overview,
            means=means,
            wanted=wanted,
            baseline=baseline,
            forest=forest_view(matrix, inline_style=False) if document else [],
            has_failed_or_cut=bool(marked_names(matrix)),
            tables=differences_grids(document, baseline, query, has_items=means is None) if document else (),
            notes=document.notes[document.n_headlines :] if document else (),
            compare_command="" if of_leader or problem else results.compare_command(models, self._options),
        )

    def table(self, name: str, wanted: Filter, *, chosen: bool, runs: str = "") -> str:
        """Return a table of the first page, or of a comparison as `comparison` shows it, as CSV of raw values.

        Raises:
            InputError: There is no such table.
            RecordError: The models cannot be compared.
        """
        first, means = self._overview, self._overview.means
        board = first.board or Document(title="", command="", tables=(), notes=())
        document = replace(board, tables=(*board.tables, first.values, *([means.board] if means else [])))
        if name not in [table.key for table in document.tables]:
            compared = self._compared_means(runs)
            of_leader = compared.differences if compared else first.differences
            document = (None if chosen else of_leader) or self._comparison(wanted.models).document
        table = next((table for table in document.tables if table.key == name), None)
        if table is None:
            raise InputError(f"no table {name[:40]} here; there are {', '.join(one.key for one in document.tables)}.")
        return csv(replace(document, tables=(table,)))

    def items(self, wanted: Filter) -> str:
        """Return the list of items that match a filter."""
        found = matches(self.index, wanted)
        n_pages = max(1, -(-len(found.numbers) // PAGE_ITEMS))
        wanted = replace(wanted, page=min(wanted.page, n_pages))
        items = self.index.items(found.page(wanted.page))
        start = (wanted.page - 1) * PAGE_ITEMS
        return self._page(
            "items.html",
            here="items",
            carried=wanted.models,
            wanted=wanted,
            tasks=self._tasks(),
            outcomes=self._outcomes(wanted, found),
            total=f"{len(found.numbers):,}",
            is_searched=not wanted.words or bool(fts_query(wanted.words)),
            shown=f"{start + 1:,}–{start + len(items):,}" if items else "none",
            rows=[
                {"item": item, "href": _item_address(item, wanted), "marks": self._marks(item, wanted)}
                for item in items
            ],
            n_pages=n_pages,
        )

    def item(self, item: Item, wanted: Filter) -> str:
        """Return the page of one item, with links to the one before and the one after it in the list."""
        answers = self.details.answers(item, wanted.models)
        numbers = matches(self.index, wanted).numbers
        at = int(np.searchsorted(numbers, item.number))
        is_listed = at < len(numbers) and int(numbers[at]) == item.number
        beside = {"previous": at - 1, "next": at + 1 if is_listed else at}
        known = {name: int(numbers[place]) for name, place in beside.items() if 0 <= place < len(numbers)}
        steps = {name: _item_address(self.index.items([number])[0], wanted) for name, number in known.items()}
        return self._page(
            "item.html",
            here="items",
            carried=wanted.models,
            wanted=wanted,
            item=item,
            task=self.index.task_of(item.number),
            place=f"{at + 1:,} of {len(numbers):,}" if is_listed else "",
            steps=steps,
            list_address=f"/items?{wanted.query(page=at // PAGE_ITEMS + 1)}#at-{item.id}",
            export_query=f"{Filter(models=wanted.models, task=item.task).query()}&id={item.id}",
            permalink=_item_address(item, Filter(models=wanted.models, task=item.task)),
            outcome_label=outcomes_for(len(wanted.models)).get(wanted.outcome, ("", ""))[0],
            **item_context(answers),
        )

    def refused(self, path: str, query: Sequence[tuple[str, str]]) -> str:
        """Return the page that asks for the token, and then opens the address."""
        rest = [(name, value) for name, value in query if name != "token"]
        return self._page("refused.html", here="", path=path, query=rest, was_wrong=len(rest) < len(query))

    def message(self, text: str, *, title: str) -> str:
        """Return a page that says why there is nothing else to show."""
        return self._page("message.html", here="", title=title, text=text)

    def _page(self, template: str, *, carried: tuple[str, ...] = (), **context: Any) -> str:
        """Render a page; its links to other pages keep the models that are carried."""
        query = f"?{Filter(models=carried).query()}" if carried else ""
        carrying = {"carried": carried, "carried_query": query}
        return visible(self._environment.get_template(template).render(**carrying, **context))

    def _compared(self, models: Sequence[str]) -> Compared:
        if len(models) < 2:
            raise InputError(f"{models[0]}: only one model; choose two or more to compare.")
        return results.comparison([self.models[name] for name in models], self._options)

    def _tasks(self) -> dict[str, list[TaskItems]]:
        """The tasks by domain."""
        by_domain: dict[str, list[TaskItems]] = {}
        for task in self.index.tasks:
            by_domain.setdefault(task.domain, []).append(task)
        return by_domain

    def _outcomes(self, wanted: Filter, found: Matches) -> list[dict[str, Any]]:
        """The outcomes that some item has, with their numbers of items; and the chosen one."""
        labels = {"": ("all", ""), **outcomes_for(len(wanted.models))}
        return [
            {
                "label": label,
                "meaning": meaning,
                "count": f"{found.counts[name]:,}",
                "href": f"/items?{wanted.query(outcome=name)}",
                "is_chosen": name == wanted.outcome,
            }
            for name, (label, meaning) in labels.items()
            if found.counts[name] or name in ("", wanted.outcome)
        ]

    def _marks(self, item: Item, wanted: Filter) -> list[dict[str, Any]]:
        """What became of an item under each model, for a cell of the list."""
        task = self.index.task_of(item.number)
        answers = [task.answer(item.number, model) for model in wanted.models]
        return [
            {
                "outcome": WORDS[code & CODE],
                "value": f"{value:.3g}",
                "flags": [word for flag, word in ((CUT, "cut"), (UNPARSED, "unparsed")) if code & flag],
            }
            for code, value, _ in answers
        ]


def _item_address(item: Item, wanted: Filter) -> str:
    """The address of an item within a list."""
    return f"/item?{wanted.query(task=item.task)}&id={item.id}{'' if wanted.task else '&among=all'}"
