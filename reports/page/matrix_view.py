"""The matrix as the template and the script show it: the comparison with the reference is laid out, all pairs are data.

The colour of a cell is the difference in units of the detectable effect, on a scale that is the same in every report:
the strongest colour is twice the detectable effect or more.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any

from markupsafe import Markup

from harness.reports.analysis.matrix import Matrix, MatrixCell, MatrixColumn, PairDifference
from harness.reports.documents.tables import text
from harness.reports.page.failed_and_cut import counts_in_words, marked_names
from harness.visible import visible

FULL_COLOUR = 2.0  # detectable effects
UNKNOWN = "?"


def matrix_rows(matrix: Matrix) -> dict[str, Any]:
    """Return the rows of the table, with the comparison with the reference, if there is one."""
    against = {(one.arm, one.task): one for one in _against(matrix)}
    return {
        "reference": matrix.reference,
        "columns": [{"task": column.task, "domain": column.domain} for column in matrix.columns],
        "rows": [
            {
                "name": arm.name,
                "runs": arm.runs,
                "parent": arm.parent,
                "cells": [
                    _cell(matrix.cells.get((arm.name, column.task)), column, against.get((arm.name, column.task)))
                    for column in matrix.columns
                ],
            }
            for arm in matrix.arms
        ],
    }


def matrix_view(matrix: Matrix) -> dict[str, Any]:
    """Return the rows of the table, and all pairs, among which the reader chooses."""
    return {
        **matrix_rows(matrix),
        "names": _baselines(matrix),
        "has_parents": len(_baselines(matrix)) > 1 and any(arm.parent for arm in matrix.arms),
        "tests": matrix.tests,
        "own_family": bool(matrix.against_reference),
        "has_failed_or_cut": bool(marked_names(matrix)),
        "data": _data(matrix),
    }


def _baselines(matrix: Matrix) -> list[str]:
    """Return the arms that the reader can compare with: all, or the reference if there are too many pairs to test."""
    tested = {one.baseline for one in matrix.pairs} | {
        one.arm for one in matrix.pairs if one.baseline != matrix.reference
    }
    names = [arm.name for arm in matrix.arms]
    return names if len(tested) > 1 or len(names) < 3 else [matrix.reference]


def _against(matrix: Matrix) -> Iterable[PairDifference]:
    """Return the differences from the reference; a pair that is stored the other way round is turned."""
    if matrix.against_reference:
        return matrix.against_reference
    own = [one for one in matrix.pairs if matrix.reference in (one.baseline, one.arm)]
    return [one if one.baseline == matrix.reference else one.turned for one in own]


def _cell(cell: MatrixCell | None, column: MatrixColumn, pair: PairDifference | None) -> dict[str, Any]:
    view: dict[str, Any] = {"task": column.task, "value": "", "interval": "", "failed_and_cut": ""}
    if cell is not None:
        ends = None if math.isnan(cell.low) else (cell.low, cell.high)
        view |= {
            "value": text(cell.value, "value"),
            "interval": "" if ends is None else text(ends, "interval"),
            "failed_and_cut": counts_in_words(cell.failed, cell.cut),
        }
    if pair is None:
        return view | {"difference": "", "side": "none", "strength": "0%", "real": False}
    known = math.isfinite(pair.difference)
    return view | {
        "difference": text(pair.difference, "difference") if known else UNKNOWN,
        "side": _side(pair, column),
        "strength": f"{100 * abs(pair.relative) / FULL_COLOUR:.0f}%",
        "real": pair.significant,
    }


def _side(pair: PairDifference, column: MatrixColumn) -> str:
    if not math.isfinite(pair.difference) or pair.difference == 0.0:
        return "even"
    return "better" if (pair.difference > 0) == column.higher_is_better else "worse"


def _data(matrix: Matrix) -> Markup:
    """Return all pairs as JSON: rows of numbers, rounded as the page shows them."""
    arms = {arm.name: at for at, arm in enumerate(matrix.arms)}
    columns = {column.task: at for at, column in enumerate(matrix.columns)}
    content = {
        "arms": [visible(name) for name in arms],  # as the cells have them
        "parents": [arms.get(arm.parent, -1) for arm in matrix.arms],
        "tasks": [visible(task) for task in columns],
        "lower": [at for at, column in enumerate(matrix.columns) if not column.higher_is_better],
        "reference": arms[matrix.reference],
        "against": [_numbers(one, arms, columns) for one in matrix.against_reference],
        "pairs": [_numbers(one, arms, columns) for one in matrix.pairs],
    }
    return embedded(content)


def _numbers(one: PairDifference, arms: dict[str, int], columns: dict[str, int]) -> list[Any]:
    shown = [one.difference, one.low, one.high, one.p, one.p_corrected, one.detectable]
    return [
        arms[one.baseline],
        arms[one.arm],
        columns[one.task],
        *(round(value, 3) if math.isfinite(value) else None for value in shown),
        round(10 * one.relative),
        int(one.significant),
        one.gained,
        one.lost,
    ]


def embedded(content: Any) -> Markup:
    """Return JSON for a script element: nothing in it can end the element or begin a comment."""
    words = json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return Markup(words.replace("<", "\\u003c").replace("\u2028", "\\u2028"))  # noqa: S704 - escaped above
