"""Sections that pages of models and of factorial studies share: design, training curves, ledger, settings, failures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from harness.records import ModelRecords
from harness.reports.analysis.domains import BoardEstimates
from harness.reports.analysis.lineage_graph import LineageNode, lineage_nodes, node_labels
from harness.reports.analysis.recipe_graph import RecipeArm, by_recipe, recipe_nodes
from harness.reports.analysis.run_settings import run_settings
from harness.reports.analysis.training_curves import LOSS_TITLE, CurvePanel, training_curves
from harness.reports.charts.drawing import Drawing, svg
from harness.reports.charts.lineage import draw_lineage_graph, draw_mixture
from harness.reports.charts.training_curves import draw_training_curve
from harness.reports.documents.captions import curves_key
from harness.reports.documents.run_tables import ledger_table, settings_table
from harness.reports.page.table_view import table_view

MOST_IN_DESIGN = 12  # stages of one generation; more do not fit on a first screen


def drawn(drawing: Drawing, *, inline_style: bool = True) -> Markup:
    """Return a drawing as inline SVG."""
    return Markup(svg(drawing, inline_style=inline_style))  # noqa: S704 - `svg` escapes texts


def design_view(arms: Sequence[RecipeArm]) -> Markup:
    """Return the design as a picture, with seeds drawn as one; empty without a known parent, or if it is too large."""
    nodes = recipe_nodes(by_recipe(arms))
    generations = Counter(node.depth for node in nodes)
    if not any(node.parents for node in nodes) or max(generations.values()) > MOST_IN_DESIGN:
        return Markup()
    return drawn(draw_lineage_graph(nodes))


def lineage_view(models: Sequence[ModelRecords], estimates: BoardEstimates | None) -> dict[str, Any] | None:
    """Return the graph of checkpoints, the curves over tokens and the mixtures; None without a lineage."""
    nodes = lineage_nodes(models)
    if not nodes:
        return None
    panels = training_curves(nodes, estimates) if estimates else ()
    # The states of one stage are best seen over their tokens: overall and held-out loss go to the first screen.
    first = [panel for panel in panels if panel is panels[0] or panel.chance is None] if _has_states(nodes) else []
    return {
        "graph": drawn(draw_lineage_graph(nodes)),
        "checkpoints": len(nodes),
        "lines": curves_key(panels) if panels else "",
        "chain": [drawn(draw_training_curve(panel)) for panel in first],
        "curves": [drawn(draw_training_curve(panel)) for panel in panels if panel not in first],
        "mixtures": _mixtures(nodes),
    }


def curves_view(panels: Sequence[CurvePanel]) -> dict[str, Any] | None:
    """Return the curves of a study: overall with the held-out loss beside it, and each task; None without curves."""
    if not panels:
        return None
    first = [panel for panel in panels if panel is panels[0] or panel.title == LOSS_TITLE]
    return {
        "first": [drawn(draw_training_curve(panel)) for panel in first],
        "tasks": [drawn(draw_training_curve(panel)) for panel in panels if panel not in first],
        "lines": curves_key(panels, "mean over the runs of an arm"),
        "loss": any(panel.title == LOSS_TITLE for panel in panels),
    }


def _has_states(nodes: Sequence[LineageNode]) -> bool:
    """Return whether several checkpoints of one training run are evaluated."""
    stages = [(node.name, node.parents) for node in nodes if node.models and node.kind]
    return len(set(stages)) < len(stages)


def _mixtures(nodes: Sequence[LineageNode]) -> list[dict[str, Any]]:
    """Return the bars of each mixture; stages of the same sources and shares have them once."""
    named = node_labels(nodes)
    by_shares: dict[object, list[LineageNode]] = {}
    for node in nodes:
        if node.ledger:
            shares = [(p, s, round(share, 2)) for p, rows in node.ledger.items() for s, share, _ in rows]
            by_shares.setdefault(tuple(shares), []).append(node)
    views = []
    for members in by_shares.values():
        first = members[0]
        more = f" and {len(members) - 1} more" if len(members) > 1 else ""
        drawing = draw_mixture(first, named[first.digest])
        views.append({"name": f"{named[first.digest]}{more}", "legend": drawing.legend, "drawing": drawn(drawing)})
    return views


def ledger_view(models: Sequence[ModelRecords]) -> dict[str, Any] | None:
    """Return the table of training data, in tokens and records; None without a manifest."""
    table = ledger_table(models)
    return table_view(table) if table else None


def settings_view(models: Sequence[ModelRecords]) -> dict[str, Any]:
    """Return the table of how each model was evaluated, with its command lines and versions, each once."""
    settings = run_settings(models)
    commands: dict[str, list[str]] = {}
    versions: dict[tuple[str, ...], list[str]] = {}
    for one in settings:
        if one.command:
            commands.setdefault(one.command, []).append(one.model)
        if one.versions:
            versions.setdefault(one.versions, []).append(one.model)
    return {
        "table": table_view(settings_table(settings)),
        "commands": [{"models": _named(names), "command": command} for command, names in commands.items()],
        "versions": [{"models": _named(names), "versions": ", ".join(own)} for own, names in versions.items()],
    }


def _named(names: Sequence[str]) -> str:
    distinct = list(dict.fromkeys(names))
    return ", ".join(distinct[:6]) + (f" and {len(distinct) - 6} more" if len(distinct) > 6 else "")


def failures_view(models: Sequence[ModelRecords]) -> list[dict[str, str]]:
    """Return the failed requests by model and task, with their reasons."""
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
