"""The size and type of chart files: as wide as a column or the text of a paper, in 8 pt; 1 px of a file is 1 pt.

The page draws for a screen, with names of 12 px. On paper a drawing has two thirds of this size, or less if it would be
wider than the text; its letters never have less than 7 pt. What cannot be made narrower is drawn in fewer columns::

    fitting(lambda columns: draw_study_effects(analysis, columns))   as many as the width has room for
    beside(views)                                                    as many as the width has room for, then below
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from harness.errors import InputError
from harness.reports.analysis.labels import short_labels
from harness.reports.charts.drawing import PAPER_SCALE, TEXT_WIDTH, Drawing, vega_lite
from harness.visible import visible

COLUMN, TEXT = 240, TEXT_WIDTH  # width of a column, and of the text, of a paper with two columns, in pt
FONT = "Helvetica, Arial, sans-serif"
GAP = 12  # between two panels
# Widest name of an axis, and of a legend's entry; longer ones end with an ellipsis.
LABEL = 110
CONFIG: dict[str, Any] = {
    "font": FONT,
    "background": "#ffffff",
    "padding": 1,
    "view": {"stroke": None},
    "axis": {
        "grid": False,
        "labelFontSize": 8,
        "titleFontSize": 8,
        "titleFontWeight": "normal",
        "labelLimit": LABEL,
    },
    "legend": {"labelFontSize": 8, "titleFontSize": 8, "titleFontWeight": "normal", "labelLimit": 62, "columns": 3},
    "title": {"anchor": "start", "fontSize": 8, "fontWeight": "normal", "offset": 4},
    "header": {"labelFontSize": 8, "labelAnchor": "start", "labelFontWeight": "bold", "labelLimit": LABEL},
}
_MOST_COLUMNS = 4
_NARROWEST = 0.5  # of a drawing's width on the page; narrower, its labels would meet


def missing(package: str) -> InputError:
    """Return the error for charts without a package that they need."""
    return InputError(f"--charts: {package} is not installed; install `stage-harness[report]`.")


def altair() -> Any:
    """Return the package.

    Raises:
        InputError: It is not installed.
    """
    try:
        import altair
    except ImportError:
        raise missing("altair") from None
    return altair


def paper_view(view: dict[str, Any]) -> dict[str, Any]:
    """Return a view as a whole specification in the style of a paper."""
    return {"$schema": altair().SCHEMA_URL, "config": CONFIG, **view}


def fitting(draw: Callable[[int], Drawing]) -> Drawing:
    """Return what `draw` makes with the most columns, at most 4, that fit the width of the text."""
    for columns in range(_MOST_COLUMNS, 1, -1):
        drawing = draw(columns)
        if drawing.width * PAPER_SCALE <= TEXT:
            return drawing
    return draw(1)


def beside(drawings: Sequence[Drawing]) -> dict[str, Any]:
    """Return drawings as one view: two beside each other, if they can be as narrow as that, else below each other."""
    half = (TEXT - GAP) / 2
    columns = 2 if len(drawings) > 1 and max(one.width for one in drawings) * _NARROWEST <= half else 1
    widest = half if columns == 2 else TEXT
    views = [vega_lite(one, widest) for one in drawings]
    return {"concat": views, "columns": columns, "spacing": GAP, "resolve": {"scale": {"color": "independent"}}}


def label_expression(names: Sequence[str]) -> str:
    """Return Vega's expression for the labels of an axis: long names lose their middle, and stay distinct."""
    labels = {visible(name): visible(label) for name, label in short_labels(names).items()}
    return f"{json.dumps(labels)}[datum.label]"


def rows_of(names: Sequence[str], step: float) -> list[list[str]]:
    """Return names in rows, each with as many columns of this width as fit beside the labels of the axis."""
    most = max(1, int((TEXT - LABEL - GAP) // step))
    return [list(names[first : first + most]) for first in range(0, len(names), most)]
