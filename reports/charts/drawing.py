"""A drawing as plain data, and its two writers: SVG for the page, a Vega-Lite specification for chart files.

The function that draws decides every position, text and style once. A dot with its name on a canvas of 100 x 40::

    dot = Mark(kind="point", style="dot", x=20, y=30, tooltip="m: 0.412", data={"model": "m", "value": 0.412})
    name = Mark(kind="text", style="small", x=26, y=25, text="m")
    drawing = Drawing(css_class="curve", label="Value of m", width=100, height=40, marks=(dot, name))
    svg(drawing)  # '<svg class="curve" ...><circle class="dot" cx="20" cy="30" r="3.5"><title>m: 0.412</title>...'
    vega_lite(drawing)  # {"width": 100, "height": 40, "layer": [...]}

The writers only know marks, not what they show, so that the page and the files cannot differ. The SVG needs no library.
On the page each style is a class of the style sheet; chart files take its properties from `STYLES`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import groupby
from typing import Any, Literal

Kind = Literal["rect", "rule", "point", "text", "band"]
_PAINTED: tuple[Kind, ...] = ("rect", "band", "rule", "point", "text")  # in chart files, one above the other

POINT_RADIUS = 3.5
CORNER_RADIUS = 4
ACCENT, INK, QUIET, LINE = "#1f5fa8", "#1d1d1b", "#6c6b66", "#b9b8b2"
# Apart from each other for colour-blind readers, and 3 to 1 or more against the page in both themes.
SERIES_COLOURS = ("#3b6fb0", "#c4541a", "#1f8a7a", "#a03c8f", "#8f7000", "#5c7a29")
LABEL_COLOURS = ("#396ba9", "#b04c17", "#1b7769", "#a03c8f", "#846700", "#567327")  # the same for text: 4.5 to 1
BAND_OPACITY = 0.16
NAME_SIZE, SMALL_SIZE = 12, 11  # font sizes in pixels
_SMALLEST = 0.75  # of its own size, on a narrow screen; then it scrolls
# On paper, where 1 px is 1 pt: the width of the text, the size of what is not narrower for it, the smallest letters.
TEXT_WIDTH, PAPER_SCALE, SMALLEST = 504, 2 / 3, 7.0
_LETTER = 0.56  # width of a letter per size, on the safe side
_OUTLINE = 8.0  # what outlines and the file's margin take of a width, in pt

# Style on the page: its properties in Vega-Lite, for paper.
STYLES: dict[str, dict[str, Any]] = {
    "edge": {"color": LINE},
    "stage": {"fill": "#f4f3ee", "stroke": LINE, "cornerRadius": CORNER_RADIUS},
    "stage evaluated": {"fill": "#f4f3ee", "stroke": ACCENT, "strokeWidth": 1.6, "cornerRadius": CORNER_RADIUS},
    "name": {"color": INK, "fontSize": NAME_SIZE},
    "small": {"color": QUIET, "fontSize": SMALL_SIZE},
    "small end": {"color": QUIET, "fontSize": SMALL_SIZE, "align": "right"},
    "small middle": {"color": QUIET, "fontSize": SMALL_SIZE, "align": "center"},
    "rule": {"color": "#8a8984", "strokeWidth": 0.6},
    "join": {"color": QUIET},
    "interval": {"color": ACCENT, "strokeWidth": 1.4},
    "dot": {"color": ACCENT, "size": 3.14 * POINT_RADIUS**2, "filled": True, "opacity": 1},
    "quiet-dot": {"color": QUIET, "size": 3.14 * POINT_RADIUS**2, "filled": True, "opacity": 1},
    "bold": {"color": INK, "fontSize": NAME_SIZE, "fontWeight": "bold"},
    "bold middle": {"color": INK, "fontSize": NAME_SIZE, "fontWeight": "bold", "align": "center"},
    "name end": {"color": INK, "fontSize": NAME_SIZE, "align": "right"},
    **{f"source-{i}": {"color": colour} for i, colour in enumerate(SERIES_COLOURS)},
    **{f"line-{i}": {"color": colour, "strokeWidth": 1.6} for i, colour in enumerate(SERIES_COLOURS)},
    **{f"leader line-{i}": {"color": colour, "strokeWidth": 0.7} for i, colour in enumerate(SERIES_COLOURS)},
    **{f"small label-{i}": {"color": colour, "fontSize": SMALL_SIZE} for i, colour in enumerate(LABEL_COLOURS)},
    **{f"band-{i}": {"color": colour, "opacity": BAND_OPACITY} for i, colour in enumerate(SERIES_COLOURS)},
    **{
        f"dot-{i}": {"color": colour, "size": 3.14 * POINT_RADIUS**2, "filled": True, "opacity": 1}
        for i, colour in enumerate(SERIES_COLOURS)
    },
}


@dataclass(frozen=True, kw_only=True)
class Mark:
    """One shape or text. Positions are pixels from the top left corner.

    Attributes:
        kind: ``rect``, ``rule`` (a straight line), ``point``, ``text`` or ``band`` (the area between two lines).
        style: Key of `STYLES`.
        x: Left end of a rect or text (see `STYLES` for other alignments), start of a rule, centre of a point.
        y: Top of a rect, start of a rule, centre of a point, baseline of a text.
        x2: Right end of a rect, end of a rule; of a text, where it is cut on paper, or 0.
        y2: Bottom of a rect, end of a rule.
        text: Of a text mark.
        tooltip: Text while the pointer is on the mark; empty for none.
        series: Its entry in the drawing's legend; empty for none.
        data: The values that the mark shows, for readers of the specification.
        spans: Of a band: horizontal position, top and bottom of each of its points, from left to right.
    """

    kind: Kind
    style: str
    x: float
    y: float
    x2: float = 0.0
    y2: float = 0.0
    text: str = ""
    tooltip: str = ""
    series: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    spans: tuple[tuple[float, float, float], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """Marks on a canvas.

    Attributes:
        css_class: Class of the SVG.
        label: Description for screen readers.
        width: In pixels.
        height: In pixels.
        marks: In painting order.
        legend: Style of each series, in the order of the legend.
    """

    css_class: str
    label: str
    width: float
    height: float
    marks: tuple[Mark, ...]
    legend: Mapping[str, str] = field(default_factory=dict)


def text_width(words: str, size: float = NAME_SIZE) -> float:
    """Return about how wide a text is, in pixels; on the safe side, because fonts differ."""
    return 0.62 * size * len(words)


def svg(drawing: Drawing, *, inline_style: bool = True) -> str:
    """Return the drawing as inline SVG; texts and tooltips are escaped.

    A text that is wider in the reader's font than here is not cut at the edge, and a phone may shrink it by a quarter.

    Args:
        drawing: The drawing.
        inline_style: Set the smallest width; a page whose content policy forbids inline styles leaves it out.
    """
    narrowest = f'style="min-width:{_SMALLEST * drawing.width:.0f}px" ' if inline_style else ""
    width, height = f"{drawing.width + 2:g}", f"{drawing.height + 2:g}"  # with a pixel around it for outlines
    return (
        f'<svg class="{drawing.css_class}" viewBox="-1 -1 {width} {height}" width="{width}" height="{height}" '
        f'overflow="visible" {narrowest}role="img" '
        f'aria-label="{escape(drawing.label)}">'
        f"{''.join(map(_svg_mark, drawing.marks))}</svg>"
    )


def _svg_mark(mark: Mark) -> str:
    title = f"<title>{escape(mark.tooltip)}</title>" if mark.tooltip else ""
    x, y, x2, y2 = (f"{round(value, 1):g}" for value in (mark.x, mark.y, mark.x2, mark.y2))
    if mark.kind == "text":
        return f'<text class="{mark.style}" x="{x}" y="{y}">{escape(mark.text)}</text>'
    if mark.kind == "rule":
        return f'<path class="{mark.style}" d="M{x} {y}L{x2} {y2}">{title}</path>'
    if mark.kind == "band":
        ends = [(at, top) for at, top, _ in mark.spans] + [(at, bottom) for at, _, bottom in reversed(mark.spans)]
        line = "L".join(f"{round(at, 1):g} {round(height, 1):g}" for at, height in ends)
        return f'<path class="{mark.style}" d="M{line}Z"/>'
    if mark.kind == "point":
        return f'<circle class="{mark.style}" cx="{x}" cy="{y}" r="{POINT_RADIUS}">{title}</circle>'
    radius = STYLES[mark.style].get("cornerRadius", 0)
    corners = f' rx="{radius}"' if radius else ""
    return (
        f'<rect class="{mark.style}" x="{x}" y="{y}" width="{round(mark.x2 - mark.x, 1):g}" '
        f'height="{round(mark.y2 - mark.y, 1):g}"{corners}>{title}</rect>'
    )


def vega_lite(drawing: Drawing, widest: float = TEXT_WIDTH) -> dict[str, Any]:
    """Return the drawing as a Vega-Lite view for paper: one layer for each run of marks of one kind and style.

    Rows of data keep the positions that the drawing has on the page. The view is smaller, and narrower still if it
    would not fit.

    Args:
        drawing: The drawing.
        widest: Its greatest width, with its texts, in pt.
    """
    runs = groupby(_painted_together(drawing.marks), key=_layer_key)
    scale = _horizontal_scale(drawing, widest)
    return {
        "width": round(drawing.width * scale, 1),
        "height": round(drawing.height * PAPER_SCALE, 1),
        "layer": [_layer(list(marks), drawing, scale) for _, marks in runs],
    }


def _horizontal_scale(drawing: Drawing, widest: float) -> float:
    """Return the width on paper per width on the page, with which no text at the right goes beyond `widest`."""
    room = widest - _OUTLINE
    scales = [PAPER_SCALE, room / drawing.width]
    for mark in drawing.marks:
        align = STYLES[mark.style].get("align", "left")
        if mark.kind == "text" and not mark.x2 and align != "right":
            reach = _LETTER * _paper_size(mark.style) * len(mark.text) / (2 if align == "center" else 1)
            scales += [(room - reach) / mark.x] if mark.x > 0 and reach < widest / 2 else []
    return min(scales)


def _paper_size(style: str) -> float:
    return max(SMALLEST, round(float(STYLES[style]["fontSize"]) * PAPER_SCALE, 1))


def _on_paper(style: str) -> dict[str, Any]:
    """Return the properties of a style in its size on paper."""
    look = dict(STYLES[style])
    for name, power in (("strokeWidth", 1), ("cornerRadius", 1), ("size", 2)):
        if name in look:
            look[name] = round(look[name] * PAPER_SCALE**power, 2)
    return look | ({"fontSize": _paper_size(style)} if "fontSize" in look else {})


def _layer_key(mark: Mark) -> tuple[str, str, bool]:
    return mark.kind, "" if mark.series else mark.style, bool(mark.series)


def _painted_together(marks: Sequence[Mark]) -> list[Mark]:
    """Sort marks by layer: areas first and texts last, otherwise in the order of their first marks.

    A specification has one layer per kind and style, but the marks are sorted by what they show::

        rect stage, text name, rule edge, rect stage, text name  ->  rect, rect; rule; text, text

    So no area hides a text, although the order of painting changes.
    """
    keys = list(dict.fromkeys(map(_layer_key, marks)))
    return sorted(marks, key=lambda mark: (_PAINTED.index(mark.kind), keys.index(_layer_key(mark))))


def _layer(marks: Sequence[Mark], drawing: Drawing, scale: float) -> dict[str, Any]:
    first = marks[0]
    look = {} if first.series else _on_paper(first.style)
    shape = {
        "type": first.kind,
        **({"align": "left", "baseline": "alphabetic"} if first.kind == "text" else {}),
        **look,
    }
    if first.kind == "band":
        shape["type"] = "area"
    if first.kind == "text" and first.x2:
        shape["limit"] = round((first.x2 - first.x) * scale, 1)
    rows = [row for number, mark in enumerate(marks) for row in _rows(mark, number)]
    return {"data": {"values": rows}, "mark": shape, "encoding": _encoding(first, drawing)}


def _rows(mark: Mark, number: int) -> list[dict[str, Any]]:
    """Return the rows of data of a mark: one, but of a band one for each of its points; `number` tells bands apart."""
    if mark.kind != "band":
        return [_row(mark)]
    return [
        {"band": number, "x": round(x, 2), "y": round(top, 2), "y2": round(bottom, 2)} for x, top, bottom in mark.spans
    ]


def _row(mark: Mark) -> dict[str, Any]:
    row: dict[str, Any] = {**mark.data, "x": round(mark.x, 2), "y": round(mark.y, 2)}
    if mark.kind in ("rect", "rule"):
        row |= {"x2": round(mark.x2, 2), "y2": round(mark.y2, 2)}
    named = {"text": mark.text, "tooltip": mark.tooltip, "series": mark.series}
    return row | {key: value for key, value in named.items() if value}


def _encoding(mark: Mark, drawing: Drawing) -> dict[str, Any]:
    """Return an encoding that maps pixels to pixels: x from 0 to the width, y from 0 at the top to the height.

    Vega-Lite would choose its own scales; with the canvas as domain, 30 in the data is 30 pixels from the left or top.
    """

    def pixels(name: str, domain: list[float]) -> dict[str, Any]:
        return {"field": name, "type": "quantitative", "axis": None, "scale": {"domain": domain, "nice": False}}

    encoding: dict[str, Any] = {"x": pixels("x", [0, drawing.width]), "y": pixels("y", [drawing.height, 0])}
    if mark.kind in ("rect", "rule"):
        encoding |= {"x2": {"field": "x2"}, "y2": {"field": "y2"}}
    if mark.kind == "band":
        encoding |= {"y2": {"field": "y2"}, "detail": {"field": "band", "type": "nominal"}}
    if mark.kind == "text":
        encoding["text"] = {"field": "text", "type": "nominal"}
    if mark.tooltip:
        encoding["tooltip"] = {"field": "tooltip", "type": "nominal"}
    if mark.series:
        colours = [STYLES[style]["color"] for style in drawing.legend.values()]
        encoding["color"] = {
            "field": "series",
            "type": "nominal",
            "scale": {"domain": list(drawing.legend), "range": colours},
            "legend": {"orient": "bottom", "title": None},
        }
    return encoding
