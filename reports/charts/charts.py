"""Charts for a paper, as Vega-Lite specifications, SVG and PNG. Each answers the question that its title asks.

They stand alone, on white. Altair writes the specifications of differences, heat map and domains; those of lineage,
mixtures and token curve come from the drawings that the page shows too. vl-convert turns a specification into SVG and
PNG without a browser and without a network.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import InputError
from harness.records import ModelRecords
from harness.reports.analysis.differences import Comparison
from harness.reports.analysis.domains import BoardEstimates
from harness.reports.analysis.leaderboard import Leaderboard
from harness.reports.analysis.lineage_graph import lineage_nodes, node_labels
from harness.reports.charts.drawing import vega_lite
from harness.reports.charts.lineage import draw_lineage_graph, draw_mixture
from harness.reports.charts.token_curve import draw_token_curve
from harness.visible import visible

if TYPE_CHECKING:
    import altair as alt

BETTER, WORSE, QUIET, LINE = "#1f5fa8", "#c2620e", "#8a8984", "#d6d5cf"
FONT = "Helvetica, Arial, sans-serif"
PNG_SCALE = 3
_STEP = 15  # pixels per row
_CONFIG: dict[str, Any] = {
    "font": FONT,
    "background": "#ffffff",
    "view": {"stroke": None},
    "axis": {
        "grid": False,
        "labelFontSize": 10,
        "titleFontSize": 10,
        "titleFontWeight": "normal",
        "labelLimit": 220,
    },
    "title": {"anchor": "start", "fontSize": 13, "fontWeight": "normal", "offset": 12},
    "header": {"labelFontSize": 11, "labelAnchor": "start"},
}


def charts(comparison: Comparison, board: Leaderboard | None, estimates: BoardEstimates | None) -> dict[str, Any]:
    """Return the Vega-Lite specification of each chart by the stem of its file names.

    Args:
        comparison: Differences from the baseline.
        board: Ranks; None if the arms are not ranked.
        estimates: The board's means and intervals; None without a board.

    Raises:
        InputError: Altair is not installed.
    """
    altair_charts = {"differences": _differences(comparison)}
    if len(comparison.arms) > 2:
        altair_charts["heat_map"] = _heat_map(comparison)
    if board is not None and estimates is not None:
        altair_charts["domains"] = _domains(board, estimates)
    models = [model for arm in comparison.arms for model in arm.models]
    specifications = {name: json.loads(chart.to_json()) for name, chart in altair_charts.items()}
    return specifications | _lineage_specifications(models, estimates)


def _lineage_specifications(models: Sequence[ModelRecords], estimates: BoardEstimates | None) -> dict[str, Any]:
    """Specifications of the drawings for which the models' lineage has data."""
    nodes = lineage_nodes(models)
    named = node_labels(nodes)
    curve = draw_token_curve(nodes, estimates.overall) if estimates is not None else None
    mixtures = [
        vega_lite(draw_mixture(node, named[node.digest])) | {"title": {"text": named[node.digest], "fontSize": 11}}
        for node in nodes
        if node.ledger
    ]
    views: dict[str, dict[str, Any]] = {}
    if any(node.parents for node in nodes):
        views["lineage"] = vega_lite(draw_lineage_graph(nodes)) | {"title": "Which checkpoint was made from which?"}
    if mixtures:
        views["mixtures"] = {
            "title": "What was each stage trained on, phase by phase?",
            "vconcat": mixtures,
            "resolve": {"scale": {"color": "independent"}},
        }
    if curve is not None:
        subtitle = "Overall value with its 95% interval, over training tokens since the root"
        views["tokens"] = vega_lite(curve) | {
            "title": {"text": "Does the overall value go up with training?", "subtitle": subtitle}
        }
    return {name: {"$schema": _altair().SCHEMA_URL, "config": _CONFIG, **view} for name, view in views.items()}


def write(specifications: dict[str, Any], folder: Path) -> list[Path]:
    """Write each chart as ``.vl.json``, ``.svg`` and ``.png``, and return the files.

    Raises:
        InputError: The folder cannot be written, or vl-convert is not installed.
    """
    try:
        import vl_convert
    except ImportError:
        raise _missing("vl-convert-python") from None
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, specification in _visible(specifications).items():
            files = [folder / f"{name}{ending}" for ending in (".vl.json", ".svg", ".png")]
            files[0].write_text(json.dumps(specification, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
            files[1].write_text(vl_convert.vegalite_to_svg(specification), encoding="utf-8")
            files[2].write_bytes(vl_convert.vegalite_to_png(specification, scale=PNG_SCALE))
            written += files
    except OSError as error:
        raise InputError(f"--charts {folder}: cannot be written ({error.strerror}); give another folder.") from None
    return written


def _visible(value: Any) -> Any:
    """Return a specification with visible texts only: vl-convert ends the process on a control character in a name."""
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, dict):
        return {visible(key): _visible(one) for key, one in value.items()}
    return [_visible(one) for one in value] if isinstance(value, list | tuple) else value


def _missing(package: str) -> InputError:
    return InputError(f"--charts: {package} is not installed; install `stage-harness[report]`.")


def _altair() -> Any:
    try:
        import altair
    except ImportError:
        raise _missing("altair") from None
    return altair


def _differences(comparison: Comparison) -> alt.Chart:
    """Dot and interval of the difference of each task, one panel per arm."""
    alt = _altair()
    rows = [
        {
            "task": one.task,
            "model": one.arm,
            "difference": one.difference,
            "low": one.interval[0],
            "high": one.interval[1],
            "after correction": "real" if one.significant else "may be luck",
        }
        for one in comparison.differences
        if one.interval is not None
    ]
    colour = alt.Color(
        "after correction:N",
        scale=alt.Scale(domain=["real", "may be luck"], range=[BETTER, QUIET]),
        legend=alt.Legend(orient="bottom"),
    )
    order = [one.task for one in comparison.differences]
    base = alt.Chart().encode(y=alt.Y("task:N", sort=order, title=None), color=colour)
    zero = alt.Chart().mark_rule(color=LINE).encode(x=alt.datum(0.0))
    lines = base.mark_rule(strokeWidth=1.6).encode(x=alt.X("low:Q", title="difference, 95% interval"), x2="high:Q")
    dots = base.mark_point(filled=True, size=45, opacity=1).encode(x="difference:Q")
    chart = alt.layer(zero, lines, dots, data=alt.Data(values=rows)).properties(width=300, height={"step": _STEP})
    names = [arm.name for arm in comparison.arms[1:]]
    faceted = chart.facet(facet=alt.Facet("model:N", sort=names, title=None), columns=min(3, len(names)))
    return _plain(faceted.properties(title=f"On which tasks does a model differ from {comparison.arms[0].name}?"))


def _heat_map(comparison: Comparison) -> alt.Chart:
    """Tasks by arms: the colour is the effect; a dot marks differences that are real after correction."""
    alt = _altair()
    rows = [
        {
            "task": f"{one.domain}: {one.task}",
            "model": one.arm,
            "difference": one.difference if one.higher_is_better else -one.difference,
            "text": f"{one.difference:+.2f}{' ●' if one.significant else ''}",
            "real": one.significant,
        }
        for one in comparison.differences
    ]
    largest = max(abs(float(str(row["difference"]))) for row in rows) or 1.0
    base = alt.Chart(alt.Data(values=rows)).encode(
        x=alt.X(
            "model:N",
            sort=[arm.name for arm in comparison.arms[1:]],
            title=None,
            axis=alt.Axis(orient="top", labelAngle=-40),
        ),
        y=alt.Y("task:N", title=None),
    )
    colour = alt.Color(
        "difference:Q",
        scale=alt.Scale(domain=[-largest, 0.0, largest], range=[WORSE, "#f7f6f2", BETTER], interpolate="rgb"),
        legend=alt.Legend(title="better", orient="right"),
    )
    text = base.mark_text(fontSize=9).encode(
        text="text:N", color=alt.condition("datum.real", alt.value("#000000"), alt.value("#6c6b66"))
    )
    size = {"width": {"step": 44}, "height": {"step": 20}}
    title = f"Where does each model differ from {comparison.arms[0].name}?"
    return _plain((base.mark_rect().encode(color=colour) + text).properties(title=title, **size))


def _domains(board: Leaderboard, estimates: BoardEstimates) -> alt.Chart:
    """Dot and interval of the mean of each model, one panel per domain."""
    alt = _altair()
    rows = [
        {"domain": d.domain, "model": name, "value": p.value, "low": p.low, "high": p.high, "chance": d.chance}
        for d in estimates.domains
        for name, p in d.estimates.items()
    ]
    base = alt.Chart().encode(y=alt.Y("model:N", sort=[s.model.name for s in board.standings], title=None))
    guess = alt.Chart().mark_rule(color=LINE).encode(x="chance:Q")
    lines = base.mark_rule(strokeWidth=1.6, color=BETTER).encode(
        x=alt.X("low:Q", title="mean, 95% interval", scale=alt.Scale(zero=False)), x2="high:Q"
    )
    dots = base.mark_point(filled=True, size=45, opacity=1, color=BETTER).encode(x="value:Q")
    chart = alt.layer(guess, lines, dots, data=alt.Data(values=rows)).properties(width=200, height={"step": _STEP})
    faceted = chart.facet(facet=alt.Facet("domain:N", sort=list(board.domains), title=None), columns=3)
    return _plain(faceted.properties(title="How good is each model in each domain, and how sure is that?"))


def _plain(chart: Any) -> Any:
    """Return the chart without frame and grid, in one font."""
    return chart.configure(**_CONFIG)
