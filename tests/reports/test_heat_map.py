"""The heat map for a paper: what its cells say, which rows it has, and that no number leaves its cell."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.reports.analysis.comparison import compare
from harness.reports.analysis.differences import Arm
from harness.reports.charts.charts import charts, write
from harness.reports.documents.comparison import comparison_document
from harness.reports.documents.tables import text
from tests.reports.models_for_tests import model
from tests.reports.test_chart_sizes import rows_of_chart, texts_of


def _of_values(*gains: float, **fields: Any) -> list[Arm]:
    """A baseline of 0.5 on each of 400 items, and a model per gain."""
    values = [np.full(400, 0.5 + gain) for gain in (0.0, *gains)]
    models = [model(f"m{number}", {"t": own}, **fields) for number, own in enumerate(values)]
    return [Arm(name=one.name, models=(one,)) for one in models]


@pytest.mark.parametrize("gain", [0.004, -0.004, 0.0, -0.0, 0.126, -0.126])
def test_a_cell_of_a_heat_map_shows_its_difference_as_the_tables_do(gain: float) -> None:
    comparison = compare(_of_values(gain, 0.5))
    rows = rows_of_chart(charts(comparison, None, None)["heat_map"].specification)
    shown = {
        row["task"]: row["text"].removesuffix(" ●").replace("\N{MINUS SIGN}", "-")
        for row in rows
        if row["model"] == "m1"
    }
    (table,) = comparison_document(comparison, "").tables[:1]
    in_table = next(text(row.cells["difference"], "difference") for row in table.rows if row.cells["arm"] == "m1")
    assert shown.keys() == {"overall", "logic: t"}
    for own in shown.values():
        assert own[0] == in_table[0], "the same sign, also of what rounds to 0"
        assert float(own) == pytest.approx(gain, abs=0.005)
        assert len(own) == len("+0.00")


def test_a_heat_map_has_the_overall_differences_of_the_table_first() -> None:
    comparison = compare(_of_values(0.25, 0.5))
    specification = charts(comparison, None, None)["heat_map"].specification
    cells = {row["model"]: row["difference"] for row in rows_of_chart(specification) if row["task"] == "overall"}
    assert cells == {arm: part.difference for arm, parts in comparison.overall.items() for part in parts[-1:]}
    axes = [one["y"]["sort"] for one in encodings(specification) if "y" in one]
    assert axes
    assert axes == [["overall", "logic: t"]] * len(axes)


def encodings(node: Any) -> list[dict[str, Any]]:
    if isinstance(node, dict):
        own = [node["encoding"]] if isinstance(node.get("encoding"), dict) else []
        return own + [one for part in node.values() for one in encodings(part)]
    return [one for part in node for one in encodings(part)] if isinstance(node, list) else []


def test_a_long_number_of_a_heat_map_stays_in_its_cell(tmp_path: Path) -> None:
    arms = _of_values(-12345.678, 9876.54, chance=0.0, higher_is_better=False, metric="ppl,none")
    write({"heat_map": charts(compare(arms, any_scale=True), None, None)["heat_map"]}, tmp_path)
    svg = (tmp_path / "heat_map.svg").read_text(encoding="utf-8")
    cells = [float(width) for width in re.findall(r'<path [^>]*d="M[^"]*h([0-9.]+)v14', svg)]
    longest = max(len(one) for one in texts_of(tmp_path / "heat_map.svg") if "." in one)
    assert longest >= len("+12345.68")
    assert cells
    assert min(cells) >= 3.9 * longest, "points; a digit of 7 pt has 3.9"
