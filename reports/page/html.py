"""Write a report as one HTML file that needs no network and no other file. The same records give the same bytes.

Numbers come from `Report`; this module only lays them out. Everything from a record is escaped: by the template, by
`svg` or, for pairs and items, as JSON that the script inserts as text.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from markupsafe import Markup

from harness.reports.analysis.domains import BoardEstimates
from harness.reports.analysis.flips import flips
from harness.reports.analysis.labels import short_labels
from harness.reports.analysis.leaderboard import Leaderboard
from harness.reports.charts.scales import padded_range
from harness.reports.documents.glossary import glossary
from harness.reports.documents.leaderboard import task_values
from harness.reports.documents.tables import Table
from harness.reports.page import marks
from harness.reports.page.differences_view import differences_view, forest_view, overall_view
from harness.reports.page.environment import render_template
from harness.reports.page.items_view import items_data
from harness.reports.page.matrix_view import matrix_view
from harness.reports.page.report import Report
from harness.reports.page.sections import (
    design_view,
    failures_view,
    ledger_view,
    lineage_view,
    settings_view,
)
from harness.reports.page.table_view import table_view

_FIRST = ("rank", "model", "overall", "interval", "failed", "cut", "ranks", "groups")


def render(report: Report) -> str:
    """Return the page of a report."""
    difference, board, estimates = report.differences_document, report.board_document, report.estimates
    item_flips = flips(report.comparison)
    lineage = lineage_view(report.models, estimates)
    return render_template(
        "report.html",
        {
            "title": report.title,
            "question": report.answer.question,
            "answer": report.answer.sentences,
            "command": report.command,
            "headlines": report.headlines,
            "caveats": _caveats([*difference.caveats, *(board.caveats if board else ())]),
            "agreements": difference.agreements,
            "notes": [
                note
                for note in dict.fromkeys([*(board.notes if board else ()), *difference.notes])
                if note not in report.headlines
            ],
            "design": "" if lineage and lineage["chain"] else design_view(report.design),
            "chain": lineage["chain"] if lineage else (),
            "matrix": matrix_view(report.matrix),
            "board": _board(report.board, estimates, board.tables[0]) if report.board and board and estimates else None,
            "domains": _domains(estimates) if estimates else (),
            "forest": forest_view(report.matrix),
            "differences": differences_view(report.comparison, difference.tables[0]),
            "arms": [arm.name for arm in report.comparison.arms[1:]],
            "against": [table_view(table) for table in _board_tables(report, "against")],
            "overall": [
                overall_view(report.comparison, table) if table.key == "overall" else table_view(table)
                # A comparison has tables of overlap among its own.
                for table in (*difference.tables[1:], *_board_tables(report, "overlap", "overlap_tasks"))
            ],
            "values": table_view(_values(report)),
            "failures": failures_view(report.models),
            "lineage": lineage,
            "ledger": ledger_view(report.models),
            "settings": settings_view(report.models),
            "commands": _commands(report),
            "items": items_data(item_flips),
            "shown": len(item_flips.shown),
            "flipped": item_flips.total,
            "items_of": item_flips.arms,
            "items_not_of": item_flips.left_out,
            "glossary": glossary(any_scale=report.comparison.any_scale),
            "any_scale": report.comparison.any_scale,
        },
    )


def _caveats(sentences: Sequence[str]) -> list[str]:
    """Return the sentences of both documents, each kind once; they may list the same models in another order."""
    kinds: dict[str, str] = {}
    for sentence in sentences:
        kinds.setdefault(sentence.partition(":")[0], sentence)
    return list(kinds.values())


def _values(report: Report) -> Table:
    """Return the table of values by task; the document of a leaderboard has it already."""
    document = report.board_document
    tables = [table for table in document.tables if table.key == "tasks"] if document else []
    return tables[0] if tables else task_values(report.models, report.intervals)


def _board_tables(report: Report, *keys: str) -> list[Table]:
    """Return those tables of a leaderboard's document, such as that of ``--against``."""
    document = report.board_document
    return [table for table in document.tables if table.key in keys] if document else []


def _board(board: Leaderboard, estimates: BoardEstimates, table: Table) -> dict[str, Any]:
    overall = [estimates.overall[row.model.name] for row in board.standings]
    ends = padded_range([end for one in overall for end in (one.low, one.high)], include=(0.0,))
    drawings = [
        marks.dot(p.value, p.low, p.high, ends, rule=0.0, tone="" if row.tied_with_leader else "quiet")
        for p, row in zip(overall, board.standings, strict=True)
    ]
    return table_view(ranks_for_readers(table), drawings=drawings, heading=marks.axis(ends), after="interval")


def ranks_for_readers(table: Table) -> Table:
    """Return the ranks with name, value and interval first, and with the truncated requests if there are any."""
    columns = [replace(one, raw=False) if one.key == "cut" else one for one in table.columns]
    if not any(row.cells["cut"] for row in table.rows):
        columns = [one for one in columns if one.key != "cut"]
    columns.sort(key=lambda one: _FIRST.index(one.key) if one.key in _FIRST else len(_FIRST))
    return replace(table, columns=tuple(columns))


def _domains(estimates: BoardEstimates) -> list[dict[str, Any]]:
    figures = []
    labels = short_labels(estimates.overall)
    for domain in estimates.domains:
        ends = padded_range([v for p in domain.estimates.values() for v in (p.low, p.high)], include=(domain.chance,))
        rows = [
            {
                "name": name,
                "label": labels[name],
                "value": f"{p.value:.3f}",
                "drawing": Markup(marks.dot(p.value, p.low, p.high, ends, rule=domain.chance)),  # noqa: S704
            }
            for name, p in domain.estimates.items()
        ]
        figures.append(
            {
                "name": domain.domain,
                "tasks": ", ".join(domain.tasks),
                "chance": f"{domain.chance:.2f}",
                "rows": rows,
                "axis": Markup(marks.axis(ends)),  # noqa: S704 - numbers only
            }
        )
    return figures


def _commands(report: Report) -> dict[str, str]:
    """Return the command line that shows each view by itself: as a table, or for the items in a browser."""
    arms = report.comparison.arms
    folders = [str(folder) for model in report.models for folder in model.folders]
    if len(report.runs) == 1:  # by name, which also works if the tasks of a model are in several folders
        model_arguments = [*(arm.name for arm in arms), "--runs", report.runs[0]]
    else:
        averaged = "--last_checkpoints" in report.compare_options  # then a model has the folders of its checkpoints
        places = [[one for model in arm.models for one in model.folders[: None if averaged else 1]] for arm in arms]
        model_arguments = [_argument(arm.name, list(map(str, own))) for arm, own in zip(arms, places, strict=True)]
    compare = ["harness", "compare", *model_arguments, *report.options, *report.compare_options]
    ranked = ["harness", "leaderboard", *(report.runs or dict.fromkeys(folders))]
    trained = [model.source for model in report.models if model.lineage]
    return {
        "lineage": shlex.join(["harness", "lineage", *trained[:1]]),
        "leaderboard": shlex.join([*ranked, *report.options]),
        "compare": shlex.join(compare),
        "view": shlex.join(["harness", "view", *(report.runs or dict.fromkeys(folders)), *_of_viewer(report)]),
        "values": shlex.join([*ranked, *report.options, "--format", "json"]),
        "all": report.command,
    }


def _of_viewer(report: Report) -> list[str]:
    """Return the flags that the viewer has too: all that both commands share but ``--overlap FILE``."""
    pairs = zip(("", *report.options), report.options, strict=False)
    return [word for before, word in pairs if "--overlap" not in (before, word)]


def _argument(name: str, folders: Sequence[str]) -> str:
    return folders[0] if len(folders) == 1 else f"{name}={','.join(folders)}"
