"""The stages behind the models as tables for JSON: every checkpoint, and the design, as the page draws them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from harness.records import ModelRecords
from harness.reports.analysis.lineage_graph import LineageNode, lineage_nodes, node_labels
from harness.reports.analysis.recipe_graph import RecipeArm, by_recipe, recipe_nodes
from harness.reports.documents.tables import Column, Document, Row, Table

_COLUMNS = (
    Column(key="label", heading="label", kind="text", meaning="Name in the drawing."),
    Column(key="name", heading="stage", kind="text"),
    Column(key="digest", heading="digest", kind="text", meaning="Digest of the weights; in the design, a name."),
    Column(key="parents", heading="parents", kind="text", meaning="Digests of its parents."),
    Column(key="kind", heading="kind", kind="text"),
    Column(key="step", heading="step", kind="count", meaning="Of a state before the end of its stage."),
    Column(key="tokens", heading="tokens", kind="count", meaning="Tokens of the stage; of several runs, their mean."),
    Column(key="total_tokens", heading="tokens since the root", kind="count"),
    Column(key="runs", heading="runs", kind="count", meaning="Training runs that are drawn as one."),
)


def with_lineage(document: Document, models: Sequence[ModelRecords], arms: Sequence[RecipeArm]) -> Document:
    """Return the document with the tables ``lineage``, of every checkpoint, and ``design``, of every arm.

    Args:
        document: The document.
        models: All models; without a lineage there is no such table.
        arms: What is compared; if no arm has a known parent, there is no table of the design.
    """
    checkpoints, design = lineage_nodes(models), recipe_nodes(by_recipe(arms))
    tables = [_table("lineage", "Every checkpoint and its parents", checkpoints)] if checkpoints else []
    if any(node.parents for node in design):
        tables.append(_table("design", "What each arm was made from", design))
    return replace(document, tables=(*document.tables, *tables))


def _table(key: str, title: str, nodes: Sequence[LineageNode]) -> Table:
    labels = node_labels(nodes)
    rows = tuple(
        Row(
            cells={
                "label": labels[node.digest],
                "name": node.name,
                "digest": node.digest,
                "parents": " ".join(node.parents) or None,
                "kind": node.kind or None,
                "step": node.step,
                "tokens": node.tokens,
                "total_tokens": node.total_tokens,
                "runs": node.runs,
            }
        )
        for node in nodes
    )
    return Table(key=key, title=title, columns=_COLUMNS, rows=rows)
