"""The page of a factorial study: answer, design, matrix of stages and tasks, effects, tables, training data."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from harness.reports.analysis.factorial import FactorialAnalysis
from harness.reports.analysis.matrix import Matrix
from harness.reports.analysis.recipe_graph import arms_of
from harness.reports.analysis.study import evaluated_models
from harness.reports.analysis.training_curves import CurvePanel
from harness.reports.charts.forest import COLUMNS_PER_BAND
from harness.reports.charts.study_effects import draw_study_effects
from harness.reports.documents.answers import factorial_answer
from harness.reports.documents.glossary import glossary
from harness.reports.documents.tables import Document, Table
from harness.reports.page.environment import render_template
from harness.reports.page.failed_and_cut import (
    failed_and_cut_of_arms,
    failed_and_cut_of_contrasts,
    marked_names,
    with_failed_and_cut,
)
from harness.reports.page.matrix_view import matrix_view
from harness.reports.page.sections import (
    curves_view,
    design_view,
    drawn,
    failures_view,
    ledger_view,
    lineage_view,
    settings_view,
)
from harness.reports.page.table_view import table_view


def render_study(analysis: FactorialAnalysis, matrix: Matrix, curves: Sequence[CurvePanel], document: Document) -> str:
    """Return the page. The same records give the same bytes.

    Args:
        analysis: The analysis.
        matrix: Its matrix.
        curves: Its curves over tokens, if its runs have several checkpoints.
        document: The analysis as a document.
    """
    answer = factorial_answer(analysis)
    models = evaluated_models(analysis.study)
    return render_template(
        "study.html",
        {
            "title": document.title,
            "question": answer.question,
            "answer": answer.sentences,
            "headlines": document.headlines,
            "caveats": document.caveats,
            "agreements": document.agreements,
            "design": design_view(arms_of(analysis)),
            "chain": (),
            "matrix": matrix_view(matrix),
            "forest": [
                drawn(draw_study_effects(analysis, per_band, marked_names(matrix)))
                for per_band in (COLUMNS_PER_BAND, 1)
            ],
            "curves": curves_view(curves),
            "averaged": analysis.last,
            "tables": [table_view(table) for table in _tables(analysis, matrix, document)],
            "lineage": lineage_view(models, None),
            "ledger": ledger_view(models),
            "settings": settings_view(models),
            "failures": failures_view(models),
            "notes": document.notes[document.n_headlines :],
            "glossary": glossary(any_scale=analysis.any_scale),
            "any_scale": analysis.any_scale,
            "command": document.command,
            "view": shlex.join(["harness", "view", *dict.fromkeys(str(one) for m in models for one in m.folders)]),
        },
    )


def _tables(analysis: FactorialAnalysis, matrix: Matrix, document: Document) -> list[Table]:
    """Return the tables of the document; contrasts and arms name failed and truncated requests."""
    meaning = "Requests without an answer, and requests whose input was truncated, of all arms in the row."
    texts = {
        "contrasts": failed_and_cut_of_contrasts(analysis, matrix),
        "arms": failed_and_cut_of_arms(analysis, matrix),
    }
    after = {"contrasts": "interval", "arms": "mean"}
    return [
        with_failed_and_cut(table, texts[table.key], after=after[table.key], meaning=meaning)
        if table.key in texts
        else table
        for table in document.tables
    ]
