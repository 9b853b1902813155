"""Write a report as one HTML file that needs no network and no other file. The same records give the same bytes.

Numbers come from `Report`; this module only lays them out. Everything from a record is escaped: by the template, by
`svg` or, for the items, as JSON that the script inserts as text.
"""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from harness.records import ModelRecords
from harness.reports.analysis.differences import Comparison, TaskDifference
from harness.reports.analysis.domains import BoardEstimates
from harness.reports.analysis.flips import Flip, Flips, flips, shortened
from harness.reports.analysis.leaderboard import Leaderboard
from harness.reports.analysis.lineage_graph import lineage_nodes, node_labels
from harness.reports.charts.drawing import svg
from harness.reports.charts.lineage import draw_lineage_graph, draw_mixture
from harness.reports.charts.scales import padded_range
from harness.reports.charts.token_curve import draw_token_curve
from harness.reports.documents.glossary import glossary
from harness.reports.documents.leaderboard import task_values
from harness.reports.documents.tables import Column, Row, Table, text
from harness.reports.page import marks
from harness.reports.page.report import Report
from harness.visible import visible

TEMPLATES = Path(__file__).parent / "templates"


def render(report: Report) -> str:
    """Return the page of a report. Characters of names that turn text around, or control a terminal, are escaped."""
    return visible(_page(report))


def _page(report: Report) -> str:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    difference, board, estimates = report.differences_document, report.board_document, report.estimates
    item_flips = flips(report.comparison)
    return environment.get_template(
        "report.html"
    ).render(
        title=report.title,
        command=report.command,
        style=Markup((TEMPLATES / "style.css").read_text(encoding="utf-8")),  # noqa: S704 - our own file
        script=Markup((TEMPLATES / "script.js").read_text(encoding="utf-8")),  # noqa: S704 - our own file
        models=len(report.models),
        headlines=report.headlines,
        caveats=list(dict.fromkeys([*(board.caveats if board else ()), *difference.caveats])),
        agreements=difference.agreements,
        notes=[
            note
            for note in dict.fromkeys([*(board.notes if board else ()), *difference.notes])
            if note not in report.headlines
        ],
        board=_board(report.board, estimates, board.tables[0]) if report.board and board and estimates else None,
        domains=_domains(estimates) if estimates else (),
        differences=_differences(report.comparison, difference.tables[0]),
        overall=[_table(table) for table in (*difference.tables[1:], *_overlap_tables(report))],
        heat=_heat(report.comparison),
        values=_table(_values(report)),
        failures=_failures(report.models),
        lineage=_lineage(report.models, estimates),
        commands=_commands(report),
        items=_items_json(item_flips),
        shown=len(item_flips.shown),
        flipped=item_flips.total,
        items_of=item_flips.arms,
        items_not_of=item_flips.left_out,
        glossary=glossary(any_scale=report.comparison.any_scale),
        any_scale=report.comparison.any_scale,
    )


def _values(report: Report) -> Table:
    """Return the table of values by task; the document of a leaderboard has it already."""
    document = report.board_document
    tables = [table for table in document.tables if table.key == "tasks"] if document else []
    return tables[0] if tables else task_values(report.models, report.intervals)


def _overlap_tables(report: Report) -> list[Table]:
    """Return a leaderboard's tables of scores without overlapping items; a comparison has them among its own."""
    document = report.board_document
    return [table for table in document.tables if table.key in ("overlap", "overlap_tasks")] if document else []


def _table(
    table: Table, *, drawings: Sequence[str] | None = None, heading: str = "", after: str = ""
) -> dict[str, Any]:
    """Return a table for the template.

    Args:
        table: The table.
        drawings: SVGs of a further column, one per row; None for no such column.
        heading: SVG at the head of that column.
        after: Key of the column that it follows.
    """
    keys = [column.key for column in table.shown]
    return {
        "drawn_at": keys.index(after) if drawings else -1,
        "key": table.key,
        "title": table.title,
        "columns": [_heading(column) for column in table.shown],
        "rows": [_row(table.shown, row) for row in table.rows],
        "drawings": [Markup(one) for one in drawings] if drawings else None,  # noqa: S704 - numbers only
        "drawn": Markup(heading),  # noqa: S704 - numbers only
    }


def _heading(column: Column) -> dict[str, Any]:
    return {"text": column.heading, "numeric": column.kind != "text", "meaning": column.meaning, "key": column.key}


def _row(columns: Sequence[Column], row: Row) -> dict[str, Any]:
    cells = []
    for column in columns:
        value = row.cells.get(column.key)
        plain = value[0] if isinstance(value, tuple) else value
        cells.append({"text": text(value, column.kind), "value": plain, "numeric": column.kind != "text"})
    return {"tone": row.tone, "cells": cells}


def _board(board: Leaderboard, estimates: BoardEstimates, table: Table) -> dict[str, Any]:
    overall = [estimates.overall[row.model.name] for row in board.standings]
    ends = padded_range([end for one in overall for end in (one.low, one.high)], include=(0.0,))
    drawings = [
        marks.dot(p.value, p.low, p.high, ends, rule=0.0, tone="" if row.tied_with_leader else "quiet")
        for p, row in zip(overall, board.standings, strict=True)
    ]
    return _table(table, drawings=drawings, heading=marks.axis(ends), after="standard_error")


def _domains(estimates: BoardEstimates) -> list[dict[str, Any]]:
    figures = []
    for domain in estimates.domains:
        ends = padded_range([v for p in domain.estimates.values() for v in (p.low, p.high)], include=(domain.chance,))
        rows = [
            {
                "name": name,
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


def _differences(comparison: Comparison, table: Table) -> dict[str, Any]:
    known = [one for one in comparison.differences if one.interval is not None]
    ends = padded_range([v for one in known for v in one.interval or ()], include=(0.0,))
    drawings = [
        marks.dot(one.difference, *one.interval, ends, rule=0.0, tone="" if one.significant else "quiet")
        if one.interval is not None
        else ""
        for one in comparison.differences
    ]
    return _table(table, drawings=drawings, heading=marks.axis(ends), after="difference")


def _heat(comparison: Comparison) -> dict[str, Any]:
    arms = [arm.name for arm in comparison.arms[1:]]
    cells = {(one.task, one.arm): one for one in comparison.differences}
    tasks = sorted({(one.domain, one.task) for one in comparison.differences})
    shares = [abs(one.difference) for one in comparison.differences if one.p is not None and _is_share(one)]
    largest = max(shares, default=0.0) or 1.0
    rows = [
        {"domain": domain, "task": task, "cells": [_heat_cell(cells.get((task, arm)), largest) for arm in arms]}
        for domain, task in tasks
    ]
    return {"baseline": comparison.arms[0].name, "arms": arms, "rows": rows, "largest": f"{largest:.3f}"}


def _is_share(one: TaskDifference) -> bool:
    """Whether a metric lies between 0 and 1; a perplexity, say, would leave all other cells without colour."""
    return all(0.0 <= mean <= 1.0 for mean in (one.mean_baseline, one.mean_arm))


def _heat_cell(one: TaskDifference | None, largest: float) -> dict[str, Any] | None:
    if one is None:
        return None
    better = one.difference > 0 if one.higher_is_better else one.difference < 0
    p = "no test" if one.p_corrected is None else f"corrected p {text(one.p_corrected, 'p')}"
    items = "" if one.gained is None else f", {one.gained} gained, {one.lost} lost"
    known = math.isfinite(one.difference)
    return {
        "task": one.task,
        "arm": one.arm,
        "text": f"{one.difference:+.2f}" if known else "?",
        "side": "even" if one.difference == 0 or not known else "better" if better else "worse",
        "strength": f"{75 * min(1.0, abs(one.difference) / largest):.0f}%" if known else "0%",
        "real": one.significant,
        "label": f"{one.arm} on {one.task}: {text(one.difference, 'difference')}, {p}{items}",
    }


def _lineage(models: Sequence[ModelRecords], estimates: BoardEstimates | None) -> dict[str, Any] | None:
    nodes = lineage_nodes(models)
    if not nodes:
        return None
    named = node_labels(nodes)
    mixtures = [(named[node.digest], draw_mixture(node, named[node.digest])) for node in nodes if node.ledger]
    curve = draw_token_curve(nodes, estimates.overall) if estimates else None
    return {
        "graph": Markup(svg(draw_lineage_graph(nodes))),  # noqa: S704 - `svg` escapes names
        "curve": Markup(svg(curve)) if curve else "",  # noqa: S704 - `svg` escapes names
        "mixtures": [
            {"name": name, "legend": drawing.legend, "drawing": Markup(svg(drawing))}  # noqa: S704 - as above
            for name, drawing in mixtures
        ],
    }


def _failures(models: Sequence[ModelRecords]) -> list[dict[str, str]]:
    rows = [
        {
            "model": model.name,
            "task": run.task,
            "failed": f"{run.failed:,}",
            "reasons": ", ".join(f"{count} {reason}" for reason, count in sorted(run.failures.items())),
        }
        for model in models
        for run in model.tasks.values()
        if run.failed
    ]
    return rows + [
        {"model": model.name, "task": task, "failed": f"{failed:,}", "reasons": "no item could be scored"}
        for model in models
        for task, failed in model.unscored.items()
    ]


def _commands(report: Report) -> dict[str, str]:
    """Return the command line that shows each view by itself: as a table, or for the items as a page."""
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
        "items": shlex.join([*compare, "--output_path", "items.html"]),
        "values": shlex.join([*ranked, *report.options, "--format", "json"]),
        "all": report.command,
    }


def _argument(name: str, folders: Sequence[str]) -> str:
    return folders[0] if len(folders) == 1 else f"{name}={','.join(folders)}"


def _items_json(flips: Flips) -> Markup:
    """Return the items as JSON for the script, without any ``<``: ``</script>`` in an answer would end the element."""
    text_of_items = json.dumps(
        [_item(one) for one in flips.shown], ensure_ascii=False, separators=(",", ":"), allow_nan=False
    )
    return Markup(text_of_items.replace("<", "\\u003c").replace("\u2028", "\\u2028"))  # noqa: S704 - escaped above


def _item(flip: Flip) -> dict[str, Any]:
    first = flip.samples[0]
    return {
        "task": flip.task,
        "id": flip.doc_hash[:8],
        "gained": flip.gained,
        "prompt": shortened(first.prompt),
        "choices": [shortened(choice) for choice in first.choices],
        "key": first.key,
        "target": shortened(first.target),
        "rationale": shortened(first.rationale),
        "answers": [
            {
                "model": name,
                "value": value,
                "scores": [round(score, 3) if math.isfinite(score) else None for score in sample.log_likelihoods],
                "chosen": sample.chosen,
                "answer": shortened(sample.answer),
                "readFrom": shortened(sample.read_from),
                "text": shortened(sample.text),
            }
            for name, value, sample in zip((flip.baseline, flip.arm), flip.values, flip.samples, strict=True)
        ],
    }
