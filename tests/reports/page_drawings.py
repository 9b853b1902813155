"""Compare the drawings of a page, as `page_numbers.js` reads them, with JSON: tooltips, texts, and where shapes lie."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tests.reports.page_json import JsonOutput
from tests.reports.page_values import (
    NUMBER,
    PIXELS,
    UNITS,
    Findings,
    Row,
    is_label,
    tick_value,
    tokens_value,
)

BAR_WIDTH = 300  # pixels of a whole phase
MARK = " \N{DAGGER}"  # after the name of a task on which requests failed or were cut
NEAR = 100  # pixels: half of the width of a column of a forest plot, with room

Drawing = Mapping[str, Any]


def check_drawings(page: Mapping[str, Any], output: JsonOutput, findings: Findings) -> None:
    """Compare every drawing with the table of JSON that has its values."""
    for drawing in page["drawings"]:
        if drawing["kind"] == "effects":
            _check_forest(drawing, output.effects(page["reference"]), findings)
        elif drawing["kind"] == "curve":
            _check_curve(drawing, output, findings)
        elif drawing["kind"] == "mixture":
            _check_mixture(drawing, output, findings)
        else:
            _check_graph(drawing, output, findings)


def _texts(drawing: Drawing, style: str) -> list[tuple[float, float, str]]:
    return [(x, y, words) for own, x, y, words in drawing["texts"] if own == style]


def _check_forest(drawing: Drawing, rows: Mapping[str, Row], findings: Findings) -> None:
    """Compare the effects; each dot stands below the name of its column and beside that of its row."""
    heads, labels = _texts(drawing, "bold middle"), _texts(drawing, "name end")
    left = dict(rows)
    columns: dict[tuple[float, float, str], list[tuple[float, float]]] = {}
    for x, y, tooltip in drawing["dots"]:
        name, _, numbers = tooltip.replace(MARK, "").rpartition(": ")
        row = left.pop(name, None)
        if row is None:
            findings.wrong.append(f"forest: {name} is not in JSON")
            continue
        value, _, ends = numbers.partition(", 95% interval ")
        findings.equal(f"forest, {name}", value, row["difference"])
        findings.equal(f"forest, interval of {name}", ends, row["interval"])
        head = max((one for one in heads if one[1] < y and abs(one[0] - x) < NEAR), key=lambda one: one[1])
        label = min(labels, key=lambda one: abs(one[1] - 4 - y))
        names = [one for one in _splits(name) if is_label(label[2].removesuffix(MARK), one[0])]
        if not any(is_label(head[2], column) for _, column in names):
            findings.wrong.append(f"forest: {name} stands at {label[2]}, {head[2]}")
        columns.setdefault(head, []).extend([(row["difference"], x), *_ends(drawing, (x, y), row["interval"])])
    findings.none_left("forest", left)
    for head, points in columns.items():
        ticks = [(tick_value(words), x) for x, y, words in _texts(drawing, "small middle")
                 if 0 < y - head[1] < 30 and abs(x - head[0]) < NEAR]  # fmt: skip
        if len(ticks) < 2:
            findings.wrong.append(f"forest, column {head[2]}: {len(ticks)} ticks")
        findings.in_place(f"forest, column {head[2]}", [*points, *ticks])


def _splits(name: str) -> list[tuple[str, str]]:
    """Return every way to read ``task, column``: names may have commas."""
    parts = name.split(", ")
    return [(", ".join(parts[:at]), ", ".join(parts[at:])) for at in range(1, len(parts))]


def _ends(drawing: Drawing, dot: tuple[float, float], interval: tuple[float, float]) -> list[tuple[float, float]]:
    """Return the ends of the interval through a dot with their places; one with an arrow head lies beyond the scale."""
    lines = [line[1:] for line in drawing["lines"] if line[0] in ("interval", "join")]
    arrows = {(x, y) for x, y, _, y2 in lines if y != y2}
    through = (line for line in lines if line[1] == line[3] == dot[1] and line[0] - 0.1 <= dot[0] <= line[2] + 0.1)
    low, y, high, _ = next(through)
    return [(end, x) for end, x in zip(interval, (low, high), strict=True) if (x, y) not in arrows]


def _check_curve(drawing: Drawing, output: JsonOutput, findings: Findings) -> None:
    (title,) = (words for _, _, words in _texts(drawing, "name"))
    rows = {(row["model"], row["tokens"]): row for row in output.rows("curves") if row["curve"] == title}
    heights = [line[2] for line in drawing["lines"] if line[0] == "rule"]
    points = [(tick_value(words), y) for (_, _, words), y in zip(_texts(drawing, "small end"), heights, strict=True)]
    widths = [(tokens_value(words), x) for x, _, words in _texts(drawing, "small middle")]
    for x, y, tooltip in drawing["dots"]:
        parts = re.fullmatch(rf"(.*): ({NUMBER})(?:, [^,]+? ({NUMBER} to {NUMBER}))?, ([\d,]+) tokens", tooltip)
        row = rows.pop((parts[1], int(parts[4].replace(",", ""))), None) if parts else None
        if parts is None or row is None:
            findings.wrong.append(f"curve {title}: {tooltip} is not in JSON")
            continue
        findings.equal(f"curve {title}, {parts[1]}", parts[2], row["value"])
        findings.equal(f"curve {title}, band of {parts[1]}", parts[3] or "", row["band"])
        points.append((row["value"], y))
        widths.append((row["tokens"], x))
    findings.none_left(f"curve {title}", rows)
    findings.in_place(f"curve {title}, heights", points)
    findings.in_place(f"curve {title}, tokens", widths)


def _check_graph(drawing: Drawing, output: JsonOutput, findings: Findings) -> None:
    """Compare the stages of the design, or of the lineage: label, kind, tokens, step and number of runs."""
    key = "design" if drawing["place"] == "design" else "lineage"
    rows = {row["digest"]: row for row in output.rows(key)}
    for x, y, _, tooltip in drawing["boxes"]:
        words, _, digest = tooltip.rpartition("; ")
        row = rows.pop(digest, None)
        if row is None:
            findings.wrong.append(f"{key}: {tooltip} is not in JSON")
            continue
        label, below = (text for _, at, height, text in drawing["texts"] if at == x + 10 and y < height < y + 40)
        findings.equal(f"{key}, label of {digest}", label, row["label"])
        for shown in (below, words.removeprefix(f"{row['name']}: ")):
            _check_stage(f"{key}, {label}", shown, row, findings)
    findings.none_left(key, rows)


def _check_stage(where: str, shown: str, row: Row, findings: Findings) -> None:
    """Compare ``pretrain 1.25M tokens step 200 × 3 runs``, or ``from elsewhere``."""
    words = shown.removeprefix("from elsewhere")
    pattern = r"([a-z_]*) ?(?:([\d.]+)([kMB]?) tokens)? ?(?:step (\d+))? ?(?:× (\d+) runs)?"
    parts = re.fullmatch(pattern, words)
    kind, tokens, unit, step, runs = parts.groups(default="") if parts else (shown, "", "", "", "")
    findings.equal(f"{where}, kind", kind, row["kind"])
    findings.equal(f"{where}, step", step, None if row["step"] is None else str(row["step"]))
    findings.equal(f"{where}, runs", runs or "1", str(row["runs"]))
    of_json = float(f"{row['tokens'] or 0:.3g}") if (row["tokens"] or 0) >= 1000 else row["tokens"] or 0
    if abs(float(tokens or 0) * UNITS[unit] - of_json) > 1e-6 * of_json:
        findings.wrong.append(f"{where}: {tokens}{unit} tokens, JSON has {row['tokens']}")


def _check_mixture(drawing: Drawing, output: JsonOutput, findings: Findings) -> None:
    phases = {y - 12: words.removeprefix("phase ") for _, _, y, words in drawing["texts"]}
    stages = {row["label"]: row["name"] for row in output.rows("lineage")}
    stage = stages.get(drawing["caption"]) or stages.get(drawing["caption"].rpartition(" and ")[0])
    for _, y, width, tooltip in drawing["boxes"]:
        where = f"mixture of {drawing['caption']}, phase {phases[y]}"
        parts = re.fullmatch(r"(.*): ([\d.]+)% of the phase's tokens, target ([\d.]+)%", tooltip)
        found = [row for row in output.rows("ledger") if parts and row["source"] == parts[1]
                 and (row["stage"], str(row["phase"])) == (stage, phases[y])]  # fmt: skip
        if parts is None or not found:
            findings.wrong.append(f"{where}: {tooltip} is not in JSON")
            continue
        for shown, key in ((parts[2], "share"), (parts[3], "target_share")):
            findings.equal(f"{where}, {key} of {parts[1]}", shown, 100.0 * found[0][key])
        if abs(width - BAR_WIDTH * found[0]["share"]) > PIXELS:
            findings.wrong.append(f"{where}: the bar of {parts[1]} is {width} pixels wide")
