"""Charts for a paper of where the models come from: their lineage, their stages' mixtures, their value over tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from harness.reports.analysis.lineage import Stage, labels, placed, short, what
from harness.reports.analysis.token_curve import traced
from harness.stats.combining import Point

if TYPE_CHECKING:
    import altair as alt

EVALUATED, OTHER, LINE = "#1f5fa8", "#8a8984", "#b9b8b2"
_COLUMN, _ROW = 170, 46  # pixels between two stages


def lineage_charts(listed: Sequence[Stage], overall: Mapping[str, Point]) -> dict[str, alt.Chart]:
    """Return charts by file stem: those for which the lineage holds something to draw.

    Args:
        listed: All stages, parents before children.
        overall: Value with its interval by evaluated model.
    """
    found = {}
    if any(stage.parent is not None for stage in listed):
        found["lineage"] = _graph(listed)
    if any(stage.ledger for stage in listed):
        found["mixtures"] = _mixtures(listed)
    points, joins = traced(listed, overall)
    if joins:
        found["tokens"] = _curve(points, joins)
    return found


def _graph(listed: Sequence[Stage]) -> alt.Chart:
    import altair as alt

    place, named = placed(listed), labels(listed)
    nodes = [
        {
            "column": place[stage.digest][0],
            "row": place[stage.digest][1],
            "name": named[stage.digest],
            "what": what(stage),
            "evaluated": bool(stage.models),
        }
        for stage in listed
    ]
    edges = [
        dict(zip(("column", "row", "column2", "row2"), (*place[stage.parent], *place[stage.digest]), strict=True))
        for stage in listed
        if stage.parent in place
    ]
    columns, rows = (max(spot[axis] for spot in place.values()) for axis in (0, 1))
    x = alt.X("column:Q", axis=None, scale=alt.Scale(domain=[-0.1, columns + 0.9], nice=False))
    y = alt.Y("row:Q", axis=None, scale=alt.Scale(domain=[rows + 0.6, -0.4], nice=False))
    joins = alt.Chart(alt.Data(values=edges)).mark_rule(color=LINE).encode(x=x, y=y, x2="column2:Q", y2="row2:Q")
    colour = alt.condition("datum.evaluated", alt.value(EVALUATED), alt.value(OTHER))
    base = alt.Chart(alt.Data(values=nodes)).encode(x=x, y=y, color=colour)
    names = base.mark_text(align="left", dx=8, dy=-5, fontSize=11).encode(text="name:N")
    told = base.mark_text(align="left", dx=8, dy=9, fontSize=9).encode(text="what:N")
    chart = alt.layer(joins, base.mark_point(filled=True, size=60, opacity=1), names, told)
    size = {"width": (columns + 1) * _COLUMN, "height": (rows + 1) * _ROW}
    return chart.properties(title="Which checkpoint was made from which?", **size)


def _mixtures(listed: Sequence[Stage]) -> alt.Chart:
    """Shares of tokens as streamed: one panel a stage, one bar a phase."""
    import altair as alt

    named = labels(listed)
    rows = [
        {
            "stage": named[stage.digest],
            "phase": phase,
            "source": source,
            "share": share,
            "asked": asked,
            "order": number,
        }
        for stage in listed
        for phase, sources in stage.ledger.items()
        for number, (source, share, asked) in enumerate(sources)
    ]
    chart = (
        alt.Chart(alt.Data(values=rows))
        .mark_bar()
        .encode(
            x=alt.X("share:Q", title="share of tokens", axis=alt.Axis(format="%"), scale=alt.Scale(domain=[0, 1])),
            y=alt.Y("phase:O", title="phase"),
            color=alt.Color(
                "source:N",
                sort=list(dict.fromkeys(str(row["source"]) for row in rows)),
                legend=alt.Legend(orient="bottom", title=None),
            ),
            order="order:Q",
        )
        .properties(width=220, height={"step": 18})
    )
    stages = list(dict.fromkeys(str(row["stage"]) for row in rows))
    facet = chart.facet(facet=alt.Facet("stage:N", sort=stages, title=None), columns=min(3, len(stages)))
    return facet.properties(title="What was each stage trained on, phase by phase?")


def _curve(points: Mapping[str, tuple[Stage, Point]], joins: Sequence[tuple[str, str]]) -> alt.Chart:
    import altair as alt

    def spot(digest: str) -> dict[str, Any]:
        stage, point = points[digest]
        return {"tokens": stage.total_tokens, "value": point.value, "low": point.low, "high": point.high}

    dots = [spot(digest) | {"model": short(stage.models[0])} for digest, (stage, _) in points.items()]
    lines = [
        {"tokens": a["tokens"], "value": a["value"], "tokens2": b["tokens"], "value2": b["value"]}
        for a, b in ((spot(before), spot(after)) for before, after in joins)
    ]
    x = alt.X("tokens:Q", title="training tokens since the root", axis=alt.Axis(format="~s", tickCount=6))
    segments = alt.Chart(alt.Data(values=lines)).mark_rule(color=LINE)
    drawn = segments.encode(x=x, y=alt.Y("value:Q", title="overall, 95% interval"), x2="tokens2:Q", y2="value2:Q")
    base = alt.Chart(alt.Data(values=dots)).encode(x=x)
    intervals = base.mark_rule(color=EVALUATED, strokeWidth=1.6).encode(y="low:Q", y2="high:Q")
    marks = base.mark_point(filled=True, size=45, opacity=1, color=EVALUATED).encode(y="value:Q")
    names = base.mark_text(align="left", dx=7, dy=-6, fontSize=10).encode(y="value:Q", text="model:N")
    chart = alt.layer(drawn, intervals, marks, names).properties(width=420, height=240)
    return chart.properties(title="Does the overall value go up with training?")
