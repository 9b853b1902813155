"""Charts for a paper, as Vega-Lite specifications, SVG and PNG, each with a caption that begins with its question.

They stand on white, without a title, in 8 pt if they are included in their own size (1 px is 1 pt). Altair writes the
specifications of differences, heat map and domains; those of lineage, mixtures and training curves come from the
drawings that the page shows too. vl-convert turns a specification into SVG and PNG without a browser and without a
network.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import InputError
from harness.records import ModelRecords
from harness.reports.analysis.differences import OVERALL, Comparison, DomainDifference, TaskDifference
from harness.reports.analysis.domains import BoardEstimates
from harness.reports.analysis.leaderboard import Leaderboard
from harness.reports.analysis.lineage_graph import lineage_nodes, node_labels
from harness.reports.analysis.training_curves import training_curves
from harness.reports.charts.drawing import vega_lite
from harness.reports.charts.lineage import draw_lineage_graph, draw_mixture
from harness.reports.charts.paper import (
    COLUMN,
    CONFIG,
    GAP,
    LABEL,
    TEXT,
    altair,
    beside,
    label_expression,
    missing,
    paper_view,
    rows_of,
)
from harness.reports.charts.training_curves import draw_training_curve
from harness.reports.documents.captions import comparison_caption, curves_key
from harness.reports.documents.latex_text import escaped, with_definition
from harness.visible import visible

if TYPE_CHECKING:
    import altair as alt

BETTER, QUIET = "#1f5fa8", "#8a8984"  # 3 to 1 or more on white
HEAT = ("#e8964a", "#f7f6f2", "#7aa9dd")  # light enough for text
DIFFERENCE = "difference, 95% interval"  # title of a scale
PNG_SCALE = 4  # 288 dots per inch
_STEP = 12  # points per row
_HEAT_STEP = 34  # points per column, or more for longer numbers
_LETTER = 4.2  # points, of 7 pt; a digit has 3.9, the dot a little more


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A chart and what it shows.

    Attributes:
        specification: In Vega-Lite.
        caption: Its question, then how to read it, with test, correction and n.
    """

    specification: dict[str, Any]
    caption: str

    @property
    def question(self) -> str:
        """The question at the beginning of the caption."""
        question, mark, _ = self.caption.partition("?")
        return question + mark if mark else self.caption


def charts(comparison: Comparison, board: Leaderboard | None, estimates: BoardEstimates | None) -> dict[str, Chart]:
    """Return each chart by the stem of its file names.

    Args:
        comparison: Differences from the baseline.
        board: Ranks; None if the arms are not ranked.
        estimates: The board's means and intervals; None without a board.

    Raises:
        InputError: Altair is not installed.
    """
    baseline, how = comparison.arms[0].name, comparison_caption(comparison)
    drawn = {
        "differences": Chart(
            specification=json.loads(_differences(comparison).to_json()),
            caption=f"On which tasks does a model differ from {baseline}? {how} Grey: not significant.",
        )
    }
    if len(comparison.arms) > 2:
        drawn["heat_map"] = Chart(
            specification=json.loads(_heat_map(comparison).to_json()),
            caption=f"Where does each model differ from {baseline}? {how} Colour: the difference in units of the "
            "detectable effect, blue if the model is better. Dot: significant after correction.",
        )
    if board is not None and estimates is not None:
        drawn["domains"] = Chart(
            specification=json.loads(_domains(board, estimates).to_json()),
            caption="How good is each model in each domain, and how sure is that? Mean over the items of the domain "
            f"that every model answered ({board.standings[0].items:,} in all domains), with its 95% interval; vertical "
            "line: guessing.",
        )
    models = [model for arm in comparison.arms for model in arm.models]
    return drawn | _lineage_charts(models, estimates)


def _lineage_charts(models: Sequence[ModelRecords], estimates: BoardEstimates | None) -> dict[str, Chart]:
    """Return the drawings for which the models' lineage has data."""
    nodes = lineage_nodes(models)
    named = node_labels(nodes)
    panels = training_curves(nodes, estimates) if estimates is not None else ()
    mixtures = [draw_mixture(node, named[node.digest]) for node in nodes if node.ledger]
    views: dict[str, Chart] = {}
    if any(node.parents for node in nodes):
        views["lineage"] = Chart(
            specification=paper_view(vega_lite(draw_lineage_graph(nodes))),
            caption="Which checkpoint was made from which? Tokens are counted as streamed.",
        )
    if mixtures:
        views["mixtures"] = Chart(
            specification=paper_view(_titled(beside(mixtures), [named[node.digest] for node in nodes if node.ledger])),
            caption="What was each stage trained on, phase by phase? Shares of the tokens as streamed.",
        )
    if panels:
        views["tokens"] = Chart(
            specification=paper_view(beside([draw_training_curve(panel) for panel in panels])),
            caption=f"Does the value go up with training tokens since the root? {curves_key(panels)} Grey line: "
            "guessing. Held-out loss is that of the training run.",
        )
    return views


def _titled(view: dict[str, Any], titles: Sequence[str]) -> dict[str, Any]:
    """Return a view with a title above each of its panels."""
    return view | {"concat": [one | {"title": title} for one, title in zip(view["concat"], titles, strict=True)]}


def write(charts: Mapping[str, Chart], folder: Path) -> list[Path]:
    """Write each chart as ``.vl.json``, ``.svg``, ``.png`` and ``.caption.tex``, and return the files.

    Raises:
        InputError: The folder cannot be written, or vl-convert is not installed.
    """
    try:
        import vl_convert
    except ImportError:
        raise missing("vl-convert-python") from None
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, chart in charts.items():
            specification = _visible({**chart.specification, "description": chart.caption})
            files = [folder / f"{name}{ending}" for ending in (".vl.json", ".svg", ".png", ".caption.tex")]
            files[0].write_text(json.dumps(specification, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
            files[1].write_text(vl_convert.vegalite_to_svg(specification), encoding="utf-8")
            files[2].write_bytes(vl_convert.vegalite_to_png(specification, scale=PNG_SCALE))
            files[3].write_text(with_definition(escaped(chart.caption.strip())) + "\n", encoding="utf-8")
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


def _differences(comparison: Comparison) -> alt.Chart:
    """Dot and interval of the difference of each task, one panel per arm; losses stand below, on their own scale."""
    known = [one for one in comparison.differences if one.interval is not None]
    more = [one for one in known if one.higher_is_better]
    less = [one for one in known if not one.higher_is_better]
    parts = [(own, title) for own, title in ((more, DIFFERENCE), (less, f"{DIFFERENCE} (less is better)")) if own]
    bands = [_panels(own, comparison, title) for own, title in parts or [(more, DIFFERENCE)]]
    return _plain(altair().vconcat(*bands, spacing=GAP) if len(bands) > 1 else bands[0])


def _panels(differences: Sequence[TaskDifference], comparison: Comparison, title: str) -> alt.Chart:
    """One panel per arm, on one scale.

    Args:
        differences: Those with an interval.
        comparison: What they are part of.
        title: Title of the scale.
    """
    alt = altair()
    rows = [
        {
            "task": one.task,
            "model": one.arm,
            "difference": one.difference,
            "low": low,
            "high": high,
            "after correction": "significant" if one.significant else "not significant",
        }
        for one in differences
        for low, high in [one.interval or (math.nan, math.nan)]
    ]
    colour = alt.Color(
        "after correction:N",
        scale=alt.Scale(domain=["significant", "not significant"], range=[BETTER, QUIET]),
        legend=alt.Legend(orient="bottom"),
    )
    order = list(dict.fromkeys(one.task for one in differences))
    axis = alt.Axis(labelExpr=label_expression(order))
    base = alt.Chart().encode(y=alt.Y("task:N", sort=order, title=None, axis=axis), color=colour)
    zero = alt.Chart().mark_rule(color=QUIET, strokeWidth=0.6).encode(x=alt.datum(0.0))
    lines = base.mark_rule(strokeWidth=1.2).encode(x=alt.X("low:Q", title=title), x2="high:Q")
    dots = base.mark_point(filled=True, size=24, opacity=1).encode(x="difference:Q")
    names = [arm.name for arm in comparison.arms[1:]]
    columns = min(3, len(names))
    width = (COLUMN - LABEL - 4) if columns == 1 else (TEXT - LABEL - 4) // columns - GAP
    chart = alt.layer(zero, lines, dots, data=alt.Data(values=rows)).properties(width=width, height={"step": _STEP})
    facet = alt.Facet("model:N", sort=names, title=None, header=alt.Header(labelExpr=label_expression(names)))
    return chart.facet(facet=facet, columns=columns, spacing=GAP)


def _heat_map(comparison: Comparison) -> alt.Chart:
    """Overall and tasks by arms: the colour is the effect; a dot marks those that are significant after correction."""
    alt = altair()
    rows = [*_overall_cells(comparison), *(_cell(f"{one.domain}: {one.task}", one) for one in comparison.differences)]
    order = sorted(dict.fromkeys(str(row["task"]) for row in rows), key=lambda task: (task != OVERALL, task))
    step = max(_HEAT_STEP, _LETTER * max(len(str(row["text"])) for row in rows) + 3)
    colour = alt.Color(
        "better by:Q",
        scale=alt.Scale(domain=[-2.0, 0.0, 2.0], range=[*HEAT], interpolate="rgb", clamp=True),
        legend=alt.Legend(title="better by detectable effects", orient="bottom", direction="horizontal"),
    )
    tasks, bands = label_expression(order), []
    for names in rows_of([arm.name for arm in comparison.arms[1:]], step):
        shown = [row for row in rows if row["model"] in names]
        axis = alt.Axis(orient="top", labelAngle=-90, labelExpr=label_expression(names))
        base = alt.Chart(alt.Data(values=shown)).encode(
            x=alt.X("model:N", sort=names, title=None, axis=axis),
            y=alt.Y("task:N", sort=order, title=None, axis=alt.Axis(labelExpr=tasks)),
        )
        text = base.mark_text(fontSize=7, color="#000000").encode(text="text:N")
        size = {"width": {"step": step}, "height": {"step": 14}}
        bands.append((base.mark_rect().encode(color=colour) + text).properties(**size))
    return _plain(alt.vconcat(*bands, spacing=GAP) if len(bands) > 1 else bands[0])


def _overall_cells(comparison: Comparison) -> list[dict[str, Any]]:
    """Return the cells of the overall differences, which are better if all their tasks are better that way."""
    better = {one.task: one.higher_is_better for one in comparison.differences}
    return [
        _cell(OVERALL, part, arm=arm, higher_is_better=all(better[task] for task in part.names))
        for arm, parts in comparison.overall.items()
        for part in parts
        if part.domain == OVERALL
    ]


def _cell(
    row: str, one: TaskDifference | DomainDifference, *, arm: str = "", higher_is_better: bool = True
) -> dict[str, Any]:
    """Return a cell of the heat map; a difference of a task knows its arm and its direction."""
    if isinstance(one, TaskDifference):
        arm, higher_is_better = one.arm, one.higher_is_better
    better_by = _detectable_effects(one.difference, one.detectable)
    return {
        "task": row,
        "model": arm,
        "difference": one.difference,
        "better by": better_by if higher_is_better else -better_by,
        "text": f"{_signed(one.difference)}{' ●' if one.significant else ''}",
    }


def _signed(value: float) -> str:
    """Return a difference with its sign, as the tables write it: also if it rounds to 0."""
    return "-" if math.isnan(value) else f"{value + 0.0:+.2f}".replace("-", "\N{MINUS SIGN}")


def _detectable_effects(difference: float, detectable: float | None) -> float:
    """Return a difference in units of the detectable effect, as the matrix of the page; 0 if unknown."""
    relative = difference / detectable if detectable else 0.0
    return relative if math.isfinite(relative) else 0.0


def _domains(board: Leaderboard, estimates: BoardEstimates) -> alt.Chart:
    """Dot and interval of the mean of each model, one panel per domain."""
    alt = altair()
    rows = [
        {"domain": d.domain, "model": model, "value": p.value, "low": p.low, "high": p.high, "chance": d.chance}
        for d in estimates.domains
        for model, p in d.estimates.items()
    ]
    names = [standing.model.name for standing in board.standings]
    axis = alt.Axis(labelExpr=label_expression(names))
    base = alt.Chart().encode(y=alt.Y("model:N", sort=names, title=None, axis=axis))
    guess = alt.Chart().mark_rule(color=QUIET, strokeWidth=0.6).encode(x="chance:Q")
    lines = base.mark_rule(strokeWidth=1.2, color=BETTER).encode(
        x=alt.X("low:Q", title="mean, 95% interval", scale=alt.Scale(zero=False)), x2="high:Q"
    )
    dots = base.mark_point(filled=True, size=24, opacity=1, color=BETTER).encode(x="value:Q")
    chart = alt.layer(guess, lines, dots, data=alt.Data(values=rows)).properties(width=100, height={"step": _STEP})
    facet = alt.Facet("domain:N", sort=list(board.domains), title=None)
    return _plain(chart.facet(facet=facet, columns=3, spacing=GAP))


def _plain(chart: Any) -> Any:
    """Return the chart without frame and grid, in one font."""
    return chart.configure(**CONFIG)
