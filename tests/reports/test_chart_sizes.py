"""Chart files have the width and the type of a paper, whatever the number of models, tasks and stages."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.reports.analysis.comparison import compare
from harness.reports.analysis.differences import Arm
from harness.reports.analysis.lineage_graph import lineage_nodes
from harness.reports.analysis.training_curves import CurveLine, CurvePanel, CurvePoint
from harness.reports.charts.charts import HEAT, QUIET, Chart, charts, write
from harness.reports.charts.drawing import SERIES_COLOURS, STYLES, vega_lite
from harness.reports.charts.forest import Effect, draw_forest
from harness.reports.charts.lineage import draw_lineage_graph
from harness.reports.charts.paper import COLUMN, TEXT, beside, fitting, paper_view
from harness.reports.charts.training_curves import draw_training_curve
from tests.reports.conftest import Command
from tests.reports.models_for_tests import answers, link, model
from tests.reports.small_designs import FACTORS

MEANINGFUL = 3.0  # contrast of a line or dot with meaning, WCAG's 1.4.11
READABLE = 4.5  # contrast of text


def contrast(one: str, other: str) -> float:
    """WCAG's contrast of two colours, 1 to 21."""
    values = sorted(map(_luminance, (one, other)))
    return (values[1] + 0.05) / (values[0] + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def check_type(svg: Path, widest: float = TEXT) -> None:
    """A file is at most as wide as the text, and no letter is smaller than 7 pt or larger than 9."""
    text = svg.read_text(encoding="utf-8")
    match = re.search(r'<svg[^>]* width="([\d.]+)"', text)
    assert match is not None
    assert float(match[1]) <= widest, svg.name
    sizes = [float(size) for size in re.findall(r'font-size="([\d.]+)px"', text)]
    assert sizes, svg.name
    assert 7.0 <= min(sizes) <= max(sizes) <= 9.0, svg.name


def check_view(view: dict[str, Any], folder: Path) -> None:
    write({"chart": Chart(specification=paper_view(view), caption="What? This.")}, folder)
    check_type(folder / "chart.svg")


def test_charts_of_a_leaderboard_fit_the_text(command: Command, runs: Path, tmp_path: Path) -> None:
    code, _, err = command("leaderboard", runs, "--format", "csv", "--charts", tmp_path)
    assert code == 0, err
    for name in ("differences", "heat_map", "domains"):
        check_type(tmp_path / f"{name}.svg")


def test_differences_of_one_arm_fit_a_column(command: Command, runs: Path, tmp_path: Path) -> None:
    code, _, err = command("compare", runs / "corrupted", runs / "oracle", "--format", "csv", "--charts", tmp_path)
    assert code == 0, err
    check_type(tmp_path / "differences.svg", COLUMN)


def test_effects_and_power_fit_the_text_and_begin_with_a_question(
    command: Command, small: Path, tmp_path: Path
) -> None:
    assert command("compare", "--design", small, "--format", "csv", "--charts", tmp_path)[0] == 0
    plan = tmp_path / "plan.yaml"
    plan.write_text(json.dumps({"factors": FACTORS, "seeds": 3, "tasks": {"arc": {"items": 400}}}))
    code, _, err = command("power", plan, "--charts", tmp_path)
    assert code == 0, err
    for name, question in (
        ("effects", "Which main effects and interactions differ from 0? Effect with 95"),
        ("power", "What can be found with how many seeds? Smallest true effect"),
    ):
        check_type(tmp_path / f"{name}.svg")
        assert (tmp_path / f"{name}.caption.tex").read_text(encoding="utf-8").startswith(question)
    effects = (tmp_path / "effects.caption.tex").read_text(encoding="utf-8")
    assert "Grey: not significant" in effects
    assert "Holm" in effects
    assert "items per task" in effects


def test_seventeen_models_of_long_names_fit_the_text(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    names = [f"a-checkpoint-of-a-study-with-seed-{number}" for number in range(18)]
    models = [
        model(name, {f"logic/a_long_name_of_a_task_{t}": answers(rng, [0.2] * 40) for t in "123"}) for name in names
    ]
    made = charts(compare([Arm(name=one.name, models=(one,)) for one in models]), None, None)
    write(made, tmp_path)
    for chart in ("differences", "heat_map"):
        check_type(tmp_path / f"{chart}.svg")
        written = texts_of(tmp_path / f"{chart}.svg")
        assert len({text for text in written if text.endswith(tuple(f"seed-{n}" for n in range(1, 18)))}) == 17
        assert len({text for text in written if text.endswith(("task_1", "task_2", "task_3"))}) == 3
    rows = [row for row in rows_of_chart(json.loads((tmp_path / "heat_map.vl.json").read_text())) if "better by" in row]
    assert len({(row["model"], row["task"]) for row in rows}) == 17 * 4, "every model is in one of the rows of panels"


def texts_of(svg: Path) -> list[str]:
    return [html.unescape(text) for text in re.findall(r"<text[^>]*>([^<]*)</text>", svg.read_text(encoding="utf-8"))]


def rows_of_chart(node: Any) -> list[dict[str, Any]]:
    if isinstance(node, dict):
        own = [node] if "task" in node and "model" in node else []
        return own + [row for part in node.values() for row in rows_of_chart(part)]
    return [row for part in node for row in rows_of_chart(part)] if isinstance(node, list) else []


@pytest.mark.parametrize("n_stages", [2, 7])
def test_a_lineage_of_many_stages_fits_the_text(n_stages: int, tmp_path: Path) -> None:
    names = [f"stage-with-a-rather-long-name-{number}" for number in range(n_stages)]
    links = [link(name, names[at - 1] if at else None) for at, name in enumerate(names)]
    models = [model(names[-1], {"t": np.ones(4)}, lineage=tuple(reversed(links)))]
    view = vega_lite(draw_lineage_graph(lineage_nodes(models)))
    check_view(view, tmp_path)
    kinds = [layer["mark"]["type"] for layer in view["layer"]]
    assert kinds == sorted(kinds, key=["rect", "rule", "text"].index), "no box hides its text"


def test_curves_of_many_runs_fit_the_text(tmp_path: Path) -> None:
    lines = []
    for number in range(12):
        points = tuple(
            CurvePoint(model=f"{number}-{t}", tokens=t * 10**9, value=0.1 * t, low=0.0, high=0.4) for t in (1, 2)
        )
        lines.append(CurveLine(name=f"training/checkpoint-{number}-of-the-study", points=points, colour=number))
    panels = [CurvePanel(title=title, chance=0.1, lines=tuple(lines)) for title in ("overall", "logic", "legal")]
    check_view(beside([draw_training_curve(panel) for panel in panels]), tmp_path)


def test_a_forest_has_as_many_columns_as_fit(tmp_path: Path) -> None:
    effects = [
        Effect(row=f"a_task_{row}", column=f"contrast {column}", value=0.01, low=-0.1, high=0.1, quiet=True)
        for row in range(3)
        for column in range(6)
    ]
    drawing = fitting(lambda columns: draw_forest(effects, "Effects", columns))
    check_view(vega_lite(drawing), tmp_path)
    rows = {mark.y for mark in drawing.marks if mark.style == "bold middle"}
    assert len(rows) >= 2, "six columns do not stand beside each other"


def test_what_has_a_meaning_is_dark_enough_on_white() -> None:
    for name, style in STYLES.items():
        colour = style.get("color", "#000000")
        if name.startswith(("band", "edge")):  # a band is bounded by its line; an edge ends at two outlined boxes
            continue
        assert contrast(colour, "#ffffff") >= (READABLE if "fontSize" in style else MEANINGFUL), name
    assert contrast(QUIET, "#ffffff") >= MEANINGFUL
    for colour in HEAT:
        assert contrast("#000000", colour) >= READABLE
    for colour in SERIES_COLOURS:
        assert contrast(colour, "#ffffff") >= MEANINGFUL


def test_every_text_of_a_heat_map_is_black(command: Command, runs: Path, tmp_path: Path) -> None:
    assert (
        command("compare", *(runs / name for name in ("corrupted", "uniform", "oracle")), "--charts", tmp_path)[0] == 0
    )
    marks = _marks(json.loads((tmp_path / "heat_map.vl.json").read_text(encoding="utf-8")))
    texts = [mark for mark in marks if mark.get("type") == "text"]
    assert [(mark["color"], mark["fontSize"]) for mark in texts] == [("#000000", 7)] * len(texts)
    assert texts


def _marks(node: Any) -> list[dict[str, Any]]:
    if isinstance(node, dict):
        own = [node["mark"]] if isinstance(node.get("mark"), dict) else []
        return own + [mark for part in node.values() for mark in _marks(part)]
    return [mark for part in node for mark in _marks(part)] if isinstance(node, list) else []
