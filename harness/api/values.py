"""Values of models on tasks, as rows that frames, tables and charts share."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

from harness.errors import InputError
from harness.notebook import ShownTable

if TYPE_CHECKING:
    import pandas as pd
    from altair.typing import ChartType

ACCENT, LINE = "#1f5fa8", "#c9c8c2"
STEP = 18  # pixels per row


@dataclass(frozen=True, kw_only=True)
class Value:
    """The headline value of one model on one task.

    Attributes:
        model: Its name.
        domain: Of the task; empty for none.
        task: Its name.
        metric: Name of the metric.
        filter: lm-eval's filter; ``none`` for none.
        value: The value; None if no item could be scored.
        stderr: Its standard error; None if there is none.
        low: Lower end of the 95% interval; None if there is none.
        high: Upper end.
        chance: Expected value of guessing.
        items: Items in the value.
        failed: Requests without an answer.
    """

    model: str
    domain: str
    task: str
    metric: str
    filter: str
    value: float | None
    stderr: float | None
    low: float | None
    high: float | None
    chance: float
    items: int
    failed: int


def frame(values: Sequence[Value]) -> pd.DataFrame:
    """Return one row per value, with the fields of `Value` as columns."""
    import pandas as pd

    return pd.DataFrame([asdict(one) for one in values], columns=list(Value.__dataclass_fields__))


def shown(values: Iterable[Value]) -> ShownTable:
    """Return the values as the command's table shows them."""
    rows = [
        (
            one.model,
            one.domain or "-",
            one.task,
            one.metric if one.filter in ("none", "") else f"{one.metric} ({one.filter})",
            f"{one.items:,}",
            _number(one.value),
            _number(one.stderr),
            "-" if one.low is None else f"{_number(one.low)} to {_number(one.high)}",
            f"{one.chance:.2f}",
            f"{one.failed:,}" if one.failed else "-",
        )
        for one in values
    ]
    headings = ("model", "domain", "task", "metric", "n", "value", "s.e.", "95% interval", "chance", "failed")
    tones = tuple("warning" if row[-1] != "-" else "" for row in rows)
    return ShownTable(title="", headings=headings, numeric=(False,) * 4 + (True,) * 6, rows=tuple(rows), tones=tones)


def _number(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.3f}"


def chart(values: Sequence[Value], title: str) -> ChartType:
    """Return dots with their 95% intervals, one panel per model; a grey tick is the value of guessing.

    Raises:
        InputError: Altair is not installed.
    """
    alt = altair()
    rows = [asdict(one) | {"label": f"{one.task}: {one.metric}"} for one in values if one.value is not None]
    base = alt.Chart().encode(y=alt.Y("label:N", sort=None, title=None, axis=alt.Axis(labelLimit=260)))
    axis = {"title": "value, 95% interval", "scale": alt.Scale(zero=False)}
    chance = base.mark_tick(color=LINE, thickness=2).encode(x=alt.X("chance:Q", **axis))
    lines = base.mark_rule(strokeWidth=1.6, color=ACCENT).encode(x=alt.X("low:Q", **axis), x2="high:Q")
    dots = base.mark_point(filled=True, size=45, opacity=1, color=ACCENT).encode(
        x=alt.X("value:Q", **axis), tooltip=["model:N", "task:N", "metric:N", "value:Q", "low:Q", "high:Q", "items:Q"]
    )
    layers = alt.layer(chance, lines, dots, data=alt.Data(values=rows)).properties(width=280, height={"step": STEP})
    models = list(dict.fromkeys(one.model for one in values))
    panels = layers.facet(facet=alt.Facet("model:N", sort=models, title=None), columns=min(3, max(1, len(models))))
    made: ChartType = panels.properties(title=title).configure_view(stroke=None).configure_axis(grid=False)
    return made


def altair() -> ModuleType:
    """Return Altair. Raises: InputError: it is not installed."""
    try:
        return import_module("altair")
    except ImportError:
        raise InputError("plot: altair is not installed; install `stage-harness[report]`.") from None
