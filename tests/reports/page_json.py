"""The JSON output of one or several commands, with the rows that a page shows looked up by their names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.reports.page_values import Row

OVERALL = "overall"


class JsonOutput:
    """The tables of all documents, and their sentences.

    Attributes:
        tables: By key; of two documents with a table of one key, the first has it.
        sentences: Notes, caveats and agreements of all documents.
    """

    def __init__(self, documents: Sequence[dict[str, Any]]) -> None:
        self.tables: dict[str, list[Row]] = {}
        for document in documents:
            self.tables = document["tables"] | self.tables
        keys = ("notes", "not_comparable", "agreements")
        self.sentences = {sentence for document in documents for key in keys for sentence in document[key]}
        self.arms: list[str] = list(dict.fromkeys(row["arm"] for row in self.rows("matrix")))
        self._cells = {(row["arm"], row["task"]): row for row in self.rows("matrix")}
        self._pairs = {(row["baseline"], row["arm"], row["task"]): row for row in self.rows("pairs")}

    def rows(self, key: str) -> list[Row]:
        """Return the rows of a table; none if there is no such table."""
        return self.tables.get(key, [])

    def cell(self, arm: str, task: str) -> Row:
        """Return a cell of the matrix."""
        return self._cells[arm, task]

    def other_arm(self, reference: str) -> str:
        """Return the only arm that is compared with the reference; tables of two arms do not name it."""
        return next(arm for arm in self.arms if arm != reference)

    def from_reference(self, reference: str, arm: str, task: str) -> Row | None:
        """Return a row of the tables of differences, whose p has the correction of these tables; None without one."""
        rows = [
            *(row for row in self.rows("differences") if row["task"] == task),
            *(row for row in self.rows(OVERALL) if row["domain"] == task == OVERALL),
        ]
        own = [row for row in rows if row.get("arm", self.other_arm(reference)) == arm]
        return {"gained": None, "lost": None, **own[0]} if own else None

    def pair(self, reference: str, against: str, cell: tuple[str, str]) -> Row | None:
        """Return the difference of a cell from the baseline that the reader chose; None if there is none.

        Args:
            reference: The arm that the others are compared with at first.
            against: ``arm:NAME`` or ``parent``.
            cell: Arm and task.
        """
        arm, task = cell
        baseline = self.cell(arm, task)["parent"] if against == "parent" else against.removeprefix("arm:")
        turned = self._pairs.get((arm, baseline, task))
        row = (
            (self.from_reference(reference, arm, task) if baseline == reference else None)
            or self._pairs.get((baseline, arm, task))
            or (_turned(turned) if turned else None)
        )
        return {**row, "baseline": baseline} if row else None

    def effects(self, reference: str) -> dict[str, Row]:
        """Return the rows of a forest plot by ``task, column``: the main effects of a study, or the differences."""
        if "contrasts" in self.tables:
            rows = [row for row in self.rows("contrasts") if row["family"] in ("primary", "secondary")]
            named: dict[str, Row] = {
                f"{row['task']}, {row['contrast']}": {**row, "difference": row["estimate"]} for row in rows
            }
        else:
            cells = {cell: self.from_reference(reference, *cell) for cell in self._cells if cell[0] != reference}
            named = {f"{task}, {arm}": row for (arm, task), row in cells.items() if row}
        return {name: row for name, row in named.items() if row["interval"] is not None}


def _turned(row: Row) -> Row:
    """Return a difference with the arms exchanged."""
    ends = row["interval"] and [-row["interval"][1], -row["interval"][0]]
    difference = None if row["difference"] is None else -row["difference"]
    return {**row, "difference": difference, "interval": ends, "gained": row["lost"], "lost": row["gained"]}
