"""Draw one figure per method of docs/statistics.md, from `harness.stats` itself: docs/figures/*.svg.

    python -m docs.make_statistics_figures

Each function returns a chart whose title asks one question. Data are made up and come from fixed seeds; the methods are
those that the commands call. Numbers are rounded before they are drawn, so that every machine writes the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from harness.reports.charts.drawing import ACCENT, INK, LINE, QUIET
from harness.stats import (
    compare_arms,
    compare_paired,
    correct,
    dose_response,
    interval,
    minimum_detectable_effect_binary,
    non_inferiority,
    rank_models,
    sign_flip,
    wilson_interval,
)
from harness.stats.clustered import FloatArray
from harness.stats.combining import Estimate, combine_intervals
from harness.stats.factorial import ItemTable, Runs, estimate_contrast, two_by_two
from harness.stats.planning import PlannedTask, plan_contrast
from harness.stats.signal_noise import signal_noise

FIGURES = Path(__file__).parent / "figures"
WIDTH, ROW = 400, 24  # pixels
Z = 1.959964  # quantile of a two-sided 95% interval
SECOND = "#c2620e"
CONFIG: dict[str, Any] = {
    "font": "Helvetica, Arial, sans-serif",
    "background": "#ffffff",
    "view": {"stroke": None},
    "axis": {"grid": False, "labelColor": QUIET, "titleColor": QUIET, "titleFontWeight": "normal", "labelLimit": 240},
    "legend": {"titleFontWeight": "normal", "titleColor": QUIET, "labelColor": INK},
    "title": {"anchor": "start", "fontSize": 13, "fontWeight": "normal", "color": INK, "subtitleColor": QUIET},
}
Rows = Sequence[Mapping[str, Any]]


def wilson() -> alt.Chart:
    """Wilson's interval over the observed share, for several numbers of items."""
    rows = [
        {"accuracy": k / n, "low": low, "high": high, "items": f"{n} items"}
        for n in (22, 100, 1000)
        for k in range(n + 1)
        if k * 20 % n == 0 or n == 22
        for low, high in [wilson_interval(k / n, n, Z)]
    ]
    bands = alt.Chart(_frame(rows)).mark_area(opacity=0.3)
    return bands.encode(
        x=alt.X("accuracy:Q", axis=alt.Axis(format="%", title="observed accuracy")),
        y=alt.Y("low:Q", axis=alt.Axis(format="%", title="95% interval")),
        y2="high:Q",
        color=_colour("items", ["22 items", "100 items", "1000 items"], [LINE, SECOND, ACCENT]),
    ).properties(title="How far from the observed accuracy may the true one be?", width=WIDTH, height=220)


def effective_size() -> alt.Chart:
    """Wilson's interval with the effective size: 120 items in clusters that agree within themselves."""
    rows = []
    for size in (1, 2, 4, 6, 8, 12):
        values, clusters = _clustered(items=120, size=size)
        one = interval(values, None if size == 1 else clusters)
        rows.append(_row(f"{120 // size} clusters of {size}", float(values.mean()), one.low, one.high))
    rows[0]["what"] = "no clusters"
    return _intervals(rows, "What are 120 items worth if the items of a cluster share their answer?", "accuracy")


def bootstrap_t() -> alt.Chart:
    """Bootstrap-t of skewed values beside mean and 1.96 standard errors."""
    values = np.random.default_rng(3).lognormal(0.0, 0.8, 40)
    one, mean = interval(values), float(values.mean())
    half = 1.96 * float(values.std(ddof=1)) / 40**0.5
    rows = [
        _row("bootstrap-t", mean, one.low, one.high),
        _row("mean ± 1.96 s.e.", mean, mean - half, mean + half, quiet=True),
    ]
    dots = alt.Chart(_frame([{"what": "the 40 values", "value": value} for value in values]))
    shown = dots.mark_tick(color=QUIET, thickness=1).encode(x="value:Q", y=alt.Y("what:N", title=None, sort=None))
    return (shown + _bars(rows, "value")).properties(
        title="Which interval follows skewed values?", width=WIDTH, height=4 * ROW
    )


def paired() -> alt.Chart:
    """Tango's interval of a difference, which agrees with McNemar's mid-p, for 20 disagreements on 100 items."""
    rows = []
    for gained in range(10, 21):
        a, b = _disagreeing(items=100, gained=gained, lost=20 - gained)
        one = compare_paired(a, b)
        rows.append(
            _row(
                f"{gained} gained, {20 - gained} lost: {_p(one.p)}",
                one.difference,
                one.low,
                one.high,
                quiet=one.p > 0.05,
            )
        )
    return _intervals(rows, "When is a difference on 100 items more than noise?", "difference of accuracies")


def sign_flips() -> alt.Chart:
    """The distribution of the difference under random signs of the clusters, and the observed difference."""
    clusters = np.random.default_rng(5).normal(0.45, 1.0, 14).round(1)
    signs = 1 - 2 * ((np.arange(2**14)[:, None] >> np.arange(14)) & 1)
    sums, observed = np.round(signs @ clusters, 1), round(float(clusters.sum()), 1)
    counts = dict(zip(*np.unique(sums, return_counts=True), strict=True))
    rows = [
        {"sum": at, "share": n / 2**14, "side": "at least as large" if abs(at) >= observed else "smaller"}
        for at, n in counts.items()
    ]
    p = sign_flip(clusters).p_mid
    bars = alt.Chart(_frame(rows)).mark_bar(width=2)
    return bars.encode(
        x=alt.X("sum:Q", title="sum of the clusters' differences, with random signs"),
        y=alt.Y("share:Q", title=None, axis=None),
        color=_colour("side", ["at least as large", "smaller"], [ACCENT, LINE]),
    ).properties(
        title={
            "text": "How often would equal models differ this much?",
            "subtitle": f"14 clusters, observed sum {observed:g}: mid-p = {p:.3f}",
        },
        width=WIDTH,
        height=140,
    )


def few_clusters() -> alt.Chart:
    """The interval of one difference whose items fall into ever fewer clusters."""
    rows = []
    for count in (24, 12, 9, 6, 4, 3):
        a, b = _disagreeing(items=144, gained=40, lost=16)
        order = np.random.default_rng(1).permutation(144)
        one = compare_paired(a[order], b[order], np.arange(144) // (144 // count))
        rows.append(
            _row(f"{count} clusters: {one.interval_method}", one.difference, one.low, one.high, quiet=one.p > 0.05)
        )
    return _intervals(rows, "How does the same difference look in fewer clusters?", "difference of accuracies")


def margins() -> alt.Chart:
    """Non-inferiority at a margin of 2 points, with ever more items and a true loss of half a point."""
    rows = []
    for items in (200, 1000, 4000, 16000):
        lost = round(0.05 * items)
        a, b = _disagreeing(items=items, gained=lost - round(0.005 * items), lost=lost)
        test, one = non_inferiority(a, b, margin=0.02), compare_paired(a, b)
        rows.append(
            _row(
                f"{items:,} items: {test.conclusion}",
                one.difference,
                one.low,
                one.high,
                quiet=test.conclusion == "inconclusive",
            )
        )
    margin = alt.Chart(_frame([{"value": -0.02}])).mark_rule(color=SECOND, strokeDash=[4, 3]).encode(x="value:Q")
    return (_bars(rows, "difference of accuracies; dashed: margin of 2 points") + margin).properties(
        title="Can a loss of 2 points be ruled out?", width=WIDTH, height=len(rows) * ROW
    )


def corrections() -> alt.Chart:
    """p-values of ten tasks: raw, after Holm, after Benjamini and Hochberg."""
    raw = [0.001, 0.004, 0.006, 0.012, 0.03, 0.04, 0.045, 0.2, 0.5, 0.8]
    methods: dict[str, Sequence[float]] = {
        "raw p": raw,
        "Benjamini-Hochberg": correct(raw, "bh").tolist(),
        "Holm": correct(raw, "holm").tolist(),
    }
    rows = [{"task": n, "p": p, "method": name} for name, values in methods.items() for n, p in enumerate(values, 1)]
    line = alt.Chart(_frame([{"p": 0.05}])).mark_rule(color=QUIET, strokeDash=[4, 3]).encode(y="p:Q")
    dots = (
        alt.Chart(_frame(rows))
        .mark_line(point=True)
        .encode(
            x=alt.X("task:O", title="task, by its p", axis=alt.Axis(labelAngle=0)),
            y=alt.Y("p:Q", scale=alt.Scale(type="log"), title="p (dashed: 0.05)"),
            color=_colour("method", list(methods), [LINE, SECOND, ACCENT]),
        )
    )
    return (dots + line).properties(title="Which of ten differences survive a correction?", width=WIDTH, height=200)


def detectable() -> alt.Chart:
    """The difference that a paired comparison finds with 80% power, over the number of items."""
    rows = [
        {"items": items, "effect": minimum_detectable_effect_binary(items, share), "models": f"disagree on {share:.0%}"}
        for share in (0.5, 0.3, 0.1)
        for items in np.geomspace(30, 10_000, 40)
    ]
    lines = alt.Chart(_frame(rows)).mark_line()
    return lines.encode(
        x=alt.X("items:Q", scale=alt.Scale(type="log")),
        y=alt.Y("effect:Q", scale=alt.Scale(type="log"), axis=alt.Axis(format="%"), title="detectable difference"),
        color=_colour("models", [f"disagree on {share}%" for share in (50, 30, 10)], [SECOND, ACCENT, QUIET]),
    ).properties(title="Which true difference is found with 80% power?", width=WIDTH, height=200)


def seeds() -> alt.Chart:
    """Two arms on 300 items with 2 to 10 runs each: the error of items stays, that of runs shrinks."""
    draws = np.random.default_rng(20)
    difficulty = draws.normal(0.0, 1.2, 300)
    arms = [_answers(draws, difficulty + shift, draws.normal(0.0, 0.25, 10)) for shift in (0.0, 0.35)]
    rows = []
    for count in (2, 3, 5, 10):
        one = compare_arms(arms[0][:count], arms[1][:count])
        label = f"{count} runs per arm: items {one.item_error:.3f}, runs {one.seed_error:.3f}"
        rows.append(_row(label, one.difference, one.low, one.high, quiet=one.p > 0.05))
    return _intervals(rows, "Is it the recipe or the run?", "difference of accuracies; standard errors at the left")


def overall() -> alt.Chart:
    """The intervals of four tasks, combined by MOVER."""
    parts = {"logic": (18, 40), "legal": (31, 40), "science": (40, 40), "analogy": (22, 40)}
    tasks = {name: _estimate(k / n, n) for name, (k, n) in parts.items()}
    mean = combine_intervals(list(tasks.values()))
    rows = [_row(name, one.value, one.low, one.high, quiet=True) for name, one in tasks.items()]
    return _intervals(
        [*rows, _row("overall", mean.value, mean.low, mean.high)], "What do the tasks say together?", "accuracy"
    )


def doses() -> alt.Chart:
    """The slope over a dose, with a permutation test over the runs."""
    draws, amounts = np.random.default_rng(2), np.array([0.0, 0.0, 0.1, 0.1, 0.3, 0.3, 0.5, 0.5])
    difficulty = draws.normal(0.0, 1.0, 400)
    values = np.vstack([_answers(draws, difficulty + 0.9 * dose, draws.normal(0.0, 0.12, 1)) for dose in amounts])
    one, means = dose_response(amounts, values), values.mean(axis=1)
    centre, middle = float(means.mean()), float(amounts.mean())
    line = [{"dose": dose, "mean": centre + one.slope * (dose - middle)} for dose in (0.0, 0.5)]
    dots = alt.Chart(_frame([{"dose": d, "mean": m} for d, m in zip(amounts, means, strict=True)])).mark_point(
        filled=True, color=ACCENT
    )
    axes = {
        "x": alt.X("dose:Q", axis=alt.Axis(format="%"), title="share of code"),
        "y": alt.Y("mean:Q", axis=alt.Axis(format="%"), title="accuracy of a run", scale=alt.Scale(zero=False)),
    }
    subtitle = (
        f"slope {one.slope:+.2f} per unit, 95% interval {one.low:+.2f} to {one.high:+.2f}, permutation p = {one.p:.3f}"
    )
    return (dots.encode(**axes) + alt.Chart(_frame(line)).mark_line(color=QUIET).encode(**axes)).properties(
        title={"text": "Does more of it help more?", "subtitle": subtitle}, width=WIDTH, height=180
    )


def factorial() -> alt.Chart:
    """Main effects and interaction of a 2 x 2 with three pre-training runs per level, each tuned twice."""
    draws = np.random.default_rng(8)
    difficulty = draws.normal(0.0, 1.0, 300)
    rows: list[FloatArray] = []
    cells, plots = [], []
    for pretrain, gain in (("text", 0.0), ("code", 0.35)):
        for run in range(3):
            luck = draws.normal(0.0, 0.12)
            for tune, more in (("plain", 0.0), ("code", 0.5)):
                rows.append(_answers(draws, difficulty + gain + more + luck, draws.normal(0.0, 0.08, 1))[0])
                cells.append((pretrain, tune))
                plots.append((pretrain, run))
    table, runs = ItemTable(values=np.array(rows), span=(0.0, 1.0)), Runs(cells=cells, plots=plots)
    contrasts = two_by_two(("text", "code"), ("plain", "code"), names=("pretrain", "tune"))
    estimates = {name: estimate_contrast([table], runs, contrast) for name, contrast in contrasts.items()}
    bars = [
        _row(f"{name}: {_p(one.p)}", one.estimate, one.low, one.high, quiet=one.p > 0.05)
        for name, one in estimates.items()
    ]
    return _intervals(bars, "At which stage does it help?", "effect on accuracy, with the errors of items and runs")


def power() -> alt.Chart:
    """The power of a 2 x 2 study for an effect of 3 points, over the number of pre-training runs per level."""
    task = PlannedTask(items=1000, clusters=1000)
    names = {"first": "pre-training", "second": "tuning", "interaction": "interaction"}
    rows = [
        {"runs": count, "power": plan_contrast(contrast, [task], count).power(0.03), "contrast": name}
        for contrast, name in names.items()
        for count in range(2, 11)
    ]
    line = alt.Chart(_frame([{"power": 0.8}])).mark_rule(color=QUIET, strokeDash=[4, 3]).encode(y="power:Q")
    lines = (
        alt.Chart(_frame(rows))
        .mark_line(point=True)
        .encode(
            x=alt.X("runs:O", title="pre-training runs per level", axis=alt.Axis(labelAngle=0)),
            y=alt.Y("power:Q", axis=alt.Axis(format="%"), scale=alt.Scale(domain=[0, 1])),
            color=_colour("contrast", list(names.values()), [ACCENT, SECOND, QUIET]),
        )
    )
    return (lines + line).properties(
        title="How many runs does an effect of 3 points need, with 1,000 items?", width=WIDTH, height=180
    )


def ranks() -> alt.Chart:
    """Values and rank intervals of six models on 400 items."""
    draws = np.random.default_rng(4)
    difficulty = draws.normal(0.0, 1.0, 400)
    scores = np.vstack([_answers(draws, difficulty + skill, np.zeros(1)) for skill in (1.2, 1.1, 0.8, 0.35, 0.3, -0.5)])
    board = rank_models([scores])
    rows = []
    for at in np.argsort(-board.values):
        groups = "".join(letter for letter, group in zip("ABCDEF", board.groups, strict=False) if at in group)
        label = f"model {at + 1}: group {groups}, rank {board.rank_low[at]} to {board.rank_high[at]}"
        half = 1.96 * float(board.standard_errors[at])
        rows.append(
            _row(label, float(board.values[at]), float(board.values[at]) - half, float(board.values[at]) + half)
        )
    return _intervals(rows, "Which models cannot be told apart?", "accuracy; models that share a letter are tied")


def checkpoints() -> alt.Chart:
    """Signal and noise: the values of late checkpoints of two runs of two tasks."""
    draws, rows = np.random.default_rng(6), list[dict[str, Any]]()
    for task, scatter in (("stable task", 0.006), ("noisy task", 0.025)):
        late = [level + draws.normal(0.0, scatter, 6) for level in (0.42, 0.47)]
        one = signal_noise([run[-1] for run in late], late)
        for name, run in zip(("text", "code"), late, strict=True):
            title = f"{task}: signal / noise = {one.ratio:.1f}"
            rows += [{"step": step, "accuracy": value, "run": name, "task": title} for step, value in enumerate(run, 5)]
    lines = (
        alt.Chart(_frame(rows))
        .mark_line(point=True)
        .encode(
            x=alt.X("step:O", title="checkpoint", axis=alt.Axis(labelAngle=0)),
            y=alt.Y("accuracy:Q", axis=alt.Axis(format="%"), scale=alt.Scale(zero=False)),
            color=_colour("run", ["text", "code"], [SECOND, ACCENT]),
            facet=alt.Facet("task:N", title=None, columns=2, sort=None),
        )
    )
    return lines.properties(width=WIDTH // 2 - 10, height=140)


CHARTS: dict[str, Callable[[], alt.Chart]] = {
    "wilson": wilson,
    "effective_size": effective_size,
    "bootstrap_t": bootstrap_t,
    "paired": paired,
    "sign_flips": sign_flips,
    "few_clusters": few_clusters,
    "margins": margins,
    "corrections": corrections,
    "detectable": detectable,
    "seeds": seeds,
    "overall": overall,
    "doses": doses,
    "ranks": ranks,
    "checkpoints": checkpoints,
    "factorial": factorial,
    "power": power,
}
"""Each figure by the stem of its file, in the order of the page."""


def svg(name: str) -> str:
    """Return a figure as SVG."""
    import vl_convert

    chart = CHARTS[name]().configure(**CONFIG)
    return str(vl_convert.vegalite_to_svg(chart.to_json()))


def _frame(rows: Rows) -> pd.DataFrame:
    """Return rows as a frame, with numbers of four digits."""
    rounded = [{key: _short(value) for key, value in row.items()} for row in rows]
    return pd.DataFrame(rounded)


def _short(value: Any) -> Any:
    return value if isinstance(value, str | bool) else float(f"{value:.4g}")


def _p(p: float) -> str:
    return f"p = {p:.3f}" if p >= 0.001 else "p < 0.001"


def _estimate(share: float, items: int) -> Estimate:
    low, high = wilson_interval(share, items, Z)
    return Estimate(value=share, low=float(low), high=float(high))


def _row(what: str, value: float, low: float, high: float, *, quiet: bool = False) -> dict[str, Any]:
    return {"what": what, "value": value, "low": low, "high": high, "quiet": quiet}


def _intervals(rows: Rows, title: str, axis: str) -> alt.Chart:
    return _bars(rows, axis).properties(title=title, width=WIDTH, height=len(rows) * ROW)


def _bars(rows: Rows, axis: str) -> alt.Chart:
    """Draw a dot with its interval per row; what is not significant is grey."""
    base = alt.Chart(_frame(rows)).encode(
        y=alt.Y("what:N", sort=None, title=None, axis=alt.Axis(domain=False, ticks=False)),
        color=alt.condition("datum.quiet", alt.value(QUIET), alt.value(ACCENT)),
    )
    spans = base.mark_rule().encode(x=alt.X("low:Q", title=axis, scale=alt.Scale(zero=False)), x2="high:Q")
    return spans + base.mark_point(filled=True, opacity=1).encode(x="value:Q")


def _colour(field: str, names: Sequence[str], colours: Sequence[str]) -> alt.Color:
    return alt.Color(f"{field}:N", title=None, sort=None, scale=alt.Scale(domain=list(names), range=list(colours)))


def _clustered(*, items: int, size: int) -> tuple[FloatArray, FloatArray]:
    """Return answers of which 60% are right, and their clusters, whose items all have the same answer."""
    clusters = np.arange(items) // size
    return np.asarray(clusters % 5 < 3, dtype=np.float64), clusters.astype(np.float64)


def _disagreeing(*, items: int, gained: int, lost: int) -> tuple[FloatArray, FloatArray]:
    """Return the answers of two models that disagree on so many items; of the others, half are right."""
    a = (np.arange(items) % 2).astype(np.float64)
    a[:gained], a[gained : gained + lost] = 0.0, 1.0
    b = a.copy()
    b[: gained + lost] = 1.0 - a[: gained + lost]
    return a, b


def _answers(draws: np.random.Generator, logits: FloatArray, luck: FloatArray) -> FloatArray:
    """Draw right and wrong answers of several runs, shape (runs, items)."""
    chances = 1.0 / (1.0 + np.exp(-(logits[None, :] + luck[:, None])))
    return np.asarray(draws.random(chances.shape) < chances, dtype=np.float64)


if __name__ == "__main__":
    FIGURES.mkdir(exist_ok=True)
    for name in CHARTS:
        (FIGURES / f"{name}.svg").write_text(svg(name), encoding="utf-8")
