"""Drawings of the page: the design with seeds merged, labels that do not overlap, a forest plot on a usable scale."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from harness.reports.analysis.recipe_graph import RecipeArm, recipe_nodes
from harness.reports.analysis.training_curves import CurveLine, CurvePanel, CurvePoint
from harness.reports.charts.drawing import SMALL_SIZE, Mark, svg, text_width, vega_lite
from harness.reports.charts.forest import Effect, draw_forest
from harness.reports.charts.label_places import LINE, apart
from harness.reports.charts.scales import labelled_ticks
from harness.reports.charts.training_curves import draw_training_curve
from tests.reports.models_for_tests import link, model
from tests.reports.records_for_tests import rows_in

ONES = {"t": np.ones(4)}


def test_runs_of_several_seeds_are_one_stage_of_the_design() -> None:
    arms = [
        RecipeArm(
            name=arm,
            models=[
                model(f"{arm}-{seed}", ONES, lineage=(link(f"{arm}-{seed}", f"base-{seed}"), link(f"base-{seed}")))
                for seed in (0, 1)
            ],
        )
        for arm in ("plain", "code")
    ]
    nodes = recipe_nodes(arms)
    assert [(node.name, node.parents, node.runs, node.depth) for node in nodes] == [
        ("base", (), 2, 0), ("plain", ("base",), 2, 1), ("code", ("base",), 2, 1),
    ]  # fmt: skip


def test_an_arm_without_a_lineage_is_joined_to_the_parents_that_the_design_names() -> None:
    arms = [RecipeArm(name="NN", models=[model(f"NN-{n}", ONES) for n in (0, 1)], parents=["pre-0", "pre-1"])]
    assert [(node.name, node.parents, node.runs) for node in recipe_nodes(arms)] == [
        ("pre", (), 2),
        ("NN", ("pre",), 2),
    ]


def test_an_ancestor_with_the_name_of_an_arm_stays_apart() -> None:
    models = [model(f"a-{n}", ONES, lineage=(link(f"tuned-{n}", f"code-{n}"), link(f"code-{n}"))) for n in (0, 1)]
    nodes = recipe_nodes([RecipeArm(name="code", models=models)])
    assert [(node.name, node.parents) for node in nodes] == [("code (stage)", ()), ("code", ("code (stage)",))]


@pytest.mark.parametrize("heights", [[50.0, 51.0, 52.0], [10.0, 10.0, 10.0, 10.0], [100.0, 20.0, 99.0]])
def test_labels_of_lines_never_overlap(heights: list[float]) -> None:
    places = apart({str(at): height for at, height in enumerate(heights)}, lowest=100.0)
    ordered = sorted(places.values())
    assert all(two - one >= LINE for one, two in itertools.pairwise(ordered))
    assert ordered[0] >= LINE, "below the top"


def panel(*lines: CurveLine) -> CurvePanel:
    return CurvePanel(title="overall", chance=0.0, lines=lines)


def line(name: str, colour: int, *points: tuple[str, int, float]) -> CurveLine:
    places = [CurvePoint(model=m, tokens=t, value=v, low=v - 0.1, high=v + 0.1) for m, t, v in points]
    return CurveLine(name=name, points=tuple(places), colour=colour)


def test_a_shared_beginning_of_two_lines_is_drawn_once() -> None:
    base = ("base", 100, 0.2)
    drawing = draw_training_curve(panel(line("a", 0, base, ("a", 200, 0.3)), line("b", 1, base, ("b", 200, 0.4))))
    kinds = [mark.kind for mark in drawing.marks if mark.style[:4] in ("line", "band", "dot-")]
    assert (kinds.count("point"), kinds.count("rule"), kinds.count("band")) == (3, 2, 2)
    assert len([row for row in rows_in(vega_lite(drawing)) if "band" in row]) == 4
    assert svg(drawing).count('class="band-') == 2


def test_one_wide_interval_does_not_hide_the_others() -> None:
    effects = [Effect(row=f"t{n}", column="tune", value=0.01 * n, low=-0.1, high=0.1, quiet=True) for n in range(5)]
    wide = Effect(row="wide", column="tune", value=0.0, low=-9.0, high=9.0, quiet=True)
    marks = draw_forest([*effects, wide], "Effects").marks
    assert _width(marks, "t0") > 60, "pixels"
    arrows = [mark for mark in marks if mark.kind == "rule" and mark.y != mark.y2 and mark.style == "join"]
    assert len(arrows) == 4, "an arrow head of two lines at both ends"


def test_no_number_of_an_axis_leaves_its_drawing() -> None:
    """A minus sign at the left edge was cut off. The width of a text is estimated, on the safe side."""
    effects = [Effect(row="t", column=f"c{n}", value=-0.3, low=-0.62, high=-0.1, quiet=True) for n in range(2)]
    points = [("a", 100, -0.35), ("a-2", 200, -0.05)]
    low = CurvePanel(title="overall", chance=0.0, lines=(line("a", 0, *points),))
    for drawing in (draw_forest(effects, "Effects"), draw_forest(effects, "Effects", 1), draw_training_curve(low)):
        texts = [mark for mark in drawing.marks if mark.kind == "text"]
        assert any(mark.text.startswith("\N{MINUS SIGN}") for mark in texts)
        for mark in texts:
            width = text_width(mark.text, SMALL_SIZE)
            left = mark.x - {"small end": width, "name end": width, "small middle": width / 2}.get(mark.style, 0.0)
            assert left >= -1, mark.text
            assert mark.style.endswith("end") or left + width / 2 <= drawing.width, mark.text


@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        ((1.7, 3.6), ["2.0", "2.5", "3.0", "3.5"]),
        ((-0.52, 0.31), ["\N{MINUS SIGN}0.5", "0"]),
        ((0.0, 0.00004), ["0", "1e\N{MINUS SIGN}05", "2e\N{MINUS SIGN}05", "3e\N{MINUS SIGN}05", "4e\N{MINUS SIGN}05"]),
    ],
)
def test_numbers_of_an_axis_have_equally_many_decimals(ends: tuple[float, float], expected: list[str]) -> None:
    assert [text for _, text in labelled_ticks(ends, 4)] == expected


def test_long_names_of_tasks_and_arms_do_not_overlap_in_a_forest_plot() -> None:
    names = ["interaction: share of code x tuning", "interaction: schedule early-uniform x tuning"]
    effects = [Effect(row="a_task_with_a_long_name", column=n, value=0.1, low=0.0, high=0.2, quiet=True) for n in names]
    drawing = draw_forest(effects, "Effects")
    heads = [mark for mark in drawing.marks if mark.style == "bold middle"]
    assert heads[1].x - heads[0].x >= (text_width(heads[0].text) + text_width(heads[1].text)) / 2
    row = next(mark for mark in drawing.marks if mark.style == "name end")
    assert row.x - text_width(row.text) >= -0.01


def test_losses_stand_in_a_band_of_their_own_with_their_own_scale() -> None:
    """+0.26 of a loss is worse; it must not look like a gain, nor stretch the scale of the accuracies."""
    effects = [
        Effect(row=f"t{n}", column=column, value=0.01, low=-0.02, high=0.04, quiet=True)
        for n in range(2)
        for column in ("a", "b")
    ]
    losses = [
        Effect(row="held_out_code", column=column, value=2.6, low=2.1, high=3.1, quiet=False, higher_is_better=False)
        for column in ("a", "b")
    ]
    drawing = draw_forest([*losses, *effects], "Effects", 2)
    names = [(mark.y, mark.text) for mark in drawing.marks if mark.style == "name end"]
    assert [name for _, name in sorted(names)] == ["t0", "t1", "held_out_code (less is better)"]
    assert _width(drawing.marks, "t0") > 60, "pixels"
    assert _width(drawing.marks, "held_out_code") > 20, "pixels"
    assert len([mark for mark in drawing.marks if mark.style == "bold middle"]) == 4, "both columns in both bands"
    assert max(y for y, _ in names) < drawing.height
    without = draw_forest(effects, "Effects", 2)
    assert {mark.y for mark in without.marks} < {mark.y for mark in drawing.marks}


def _width(marks: tuple[Mark, ...], row: str) -> float:
    """The drawn width of an interval."""
    y = next(mark.y for mark in marks if mark.kind == "point" and mark.data["row"] == row)
    own = next(mark for mark in marks if mark.kind == "rule" and mark.y == mark.y2 == y)
    return own.x2 - own.x
