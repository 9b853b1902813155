"""The first page as JSON, as the index keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from harness.reports.analysis.matrix import Matrix, MatrixArm, MatrixCell, MatrixColumn, PairDifference
from harness.reports.documents.tables import Column, Document, Row, Table
from harness.reports.view.means import Means
from harness.reports.view.results import Overview


def to_plain(overview: Overview) -> dict[str, Any]:
    """Return an overview as JSON can hold it."""
    plain = asdict(overview)
    plain["matrix"]["cells"] = _cells(overview.matrix)
    if overview.means is not None:
        plain["means"]["matrix"]["cells"] = _cells(overview.means.matrix)
    return plain


def _cells(matrix: Matrix) -> list[list[Any]]:
    return [[arm, task, asdict(cell)] for (arm, task), cell in matrix.cells.items()]


def from_plain(plain: Mapping[str, Any]) -> Overview:
    """Return the overview that `to_plain` wrote."""
    return Overview(
        board=_document(plain["board"]),
        problem=plain["problem"],
        overall={name: (ends[0], ends[1], ends[2]) for name, ends in plain["overall"].items()},
        tied=tuple(plain["tied"]),
        values=_table(plain["values"]),
        differences=_document(plain["differences"]),
        matrix=_matrix(plain["matrix"]),
        notes=tuple(plain["notes"]),
        means=_means(plain["means"]),
    )


def _means(plain: Mapping[str, Any] | None) -> Means | None:
    if plain is None:
        return None
    return Means(
        runs={arm: tuple(runs) for arm, runs in plain["runs"].items()},
        single=tuple(plain["single"]),
        problem=plain["problem"],
        differences=_document(plain["differences"]),
        board=_table(plain["board"]),
        matrix=_matrix(plain["matrix"]),
    )


def _document(plain: Mapping[str, Any] | None) -> Document | None:
    if plain is None:
        return None
    sentences = {name: tuple(plain[name]) for name in ("notes", "caveats", "agreements")}
    return Document(
        title=plain["title"],
        command=plain["command"],
        tables=tuple(map(_table, plain["tables"])),
        n_headlines=plain["n_headlines"],
        **sentences,
    )


def _table(plain: Mapping[str, Any]) -> Table:
    return Table(
        key=plain["key"],
        title=plain["title"],
        columns=tuple(Column(**column) for column in plain["columns"]),
        rows=tuple(Row(**row) for row in plain["rows"]),
    )


def _matrix(plain: Mapping[str, Any]) -> Matrix:
    return Matrix(
        arms=tuple(MatrixArm(**one) for one in plain["arms"]),
        columns=tuple(MatrixColumn(**one) for one in plain["columns"]),
        cells={(arm, task): MatrixCell(**cell) for arm, task, cell in plain["cells"]},
        reference=plain["reference"],
        against_reference=tuple(PairDifference(**one) for one in plain["against_reference"]),
        pairs=(),
        tests=plain["tests"],
    )
