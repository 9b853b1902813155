"""Whether a text on a page shows a raw value of JSON, and what the numbers in its sentences and on its axes are.

Nothing here uses the code that writes the page: a mistake there must not be repeated here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

MINUS = "\N{MINUS SIGN}"
UNITS = {"": 1, "k": 10**3, "M": 10**6, "B": 10**9}
NUMBER = r"[+-]?\d+\.\d+"
PIXELS = 0.2  # how far a shape may lie from its value; places are written with one decimal

Row = Mapping[str, Any]


def matches(shown: str, value: Any) -> bool:
    """Return whether a text shows a raw value: with the same sign, rounded in its last digit, integers exactly."""
    if value is None:
        return shown in ("-", "inf", "")  # JSON has null for infinite numbers too
    if isinstance(value, str):
        return shown == value
    if isinstance(value, list):
        parts = re.split(r" to |(?<=\d)-(?=\d)", shown)  # an interval; the first and last of several ranks
        parts = parts * 2 if len(parts) == 1 else parts
        return len(parts) == len(value) and all(map(matches, parts, value))
    if isinstance(value, int):
        return shown == f"{value:,}"
    if shown == "<0.001":
        return bool(0.0 <= value < 0.001)
    decimal = re.fullmatch(r"([+-]?)\d+\.(\d+)", shown)
    if decimal is None:
        return False
    right_sign = not decimal[1] or math.copysign(1.0, value) == (1.0 if decimal[1] == "+" else -1.0)
    return right_sign and abs(float(shown) - value) <= 0.5000001 * 10.0 ** -len(decimal[2])


@dataclass
class Findings:
    """What a comparison of a page with JSON found.

    Attributes:
        compared: How many texts were compared.
        wrong: One sentence for each that differs, or that JSON does not have.
    """

    compared: int = 0
    wrong: list[str] = field(default_factory=list)

    def equal(self, where: str, shown: str, value: Any) -> None:
        """Compare one text with one value."""
        self.compared += 1
        if not matches(shown, value):
            self.wrong.append(f"{where}: the page has {shown!r}, JSON {value!r}")

    def in_place(self, where: str, points: Sequence[tuple[float, float]]) -> None:
        """Check that shapes lie where their values are; `points` are pairs of a value and pixels."""
        values, places = np.array(points, dtype=float).reshape(-1, 2).T
        if np.unique(values).size > 2:
            expected = np.polyval(np.polyfit(values, places, 1), values)
            at = int(np.argmax(np.abs(expected - places)))
            if abs(expected[at] - places[at]) > PIXELS:
                self.wrong.append(f"{where}: {values[at]:g} is drawn {places[at] - expected[at]:+.1f} pixels off")

    def none_left(self, where: str, names: Any) -> None:
        """Note the rows of JSON that the page does not show."""
        if names:
            self.wrong.append(f"{where}: {sorted(names)} are not on the page")


def tick_value(words: str) -> float:
    """Return the number of a tick, which has a real minus sign."""
    return float(words.replace(MINUS, "-"))


def tokens_value(words: str) -> float:
    """Return a number of tokens, such as ``1.2M``."""
    unit = words[-1] if words[-1] in UNITS else ""
    return float(words.removesuffix(unit)) * UNITS[unit]


def is_label(label: str, name: str) -> bool:
    """Return whether a label is a name, or what shortening has left of it."""
    begin, dots, end = label.partition("…")
    return name.startswith(begin) and name.endswith(end) if dots else name == label or name.endswith(f"/{label}")


def sentence_parts(text: str, begin: str, baseline: str) -> dict[str, str]:
    """Return the numbers of the sentence on a cell by the keys that JSON has for them.

    Args:
        text: ``NC on logic: 0.512, 95% interval 0.4 to 0.6. Difference from NN: +0.041, p 0.020, 3 gained, 1 lost.``
        begin: ``NC on logic: ``.
        baseline: ``NN``; empty if the cell is compared with nothing.
    """
    if not text.startswith(begin):
        return {"rest": text}
    whole, _, see = text[len(begin) :].partition(" See ")
    value, _, more = whole.partition(f" Difference from {baseline}: ") if baseline else (whole, "", "")
    own = re.fullmatch(r"(\S+?)(?:, 95% interval (.+))?\.", value.strip())
    parts = {"value": own[1], "own_interval": own[2] or ""} if own else {"rest": value}
    if see:
        parts["items"] = see.partition(" of ")[0]
    pieces = re.split(r"\. |\.$", more.strip())[0].split(", ") if more else []
    return parts | dict(_named(piece, first=at == 0) for at, piece in enumerate(pieces))


def _named(piece: str, *, first: bool) -> tuple[str, str]:
    prefixes = {"95% interval ": "interval", "p ": "p", "corrected p ": "p_corrected", "detectable ": "detectable"}
    if first:
        return "difference", piece.replace("unknown", "")
    for prefix, key in prefixes.items():
        if piece.startswith(prefix):
            return key, piece.removeprefix(prefix)
    if piece in ("not tested", "no possible difference has 80% power"):
        return "detectable", ""
    counted = re.fullmatch(r"([\d,]+) (gained|lost)", piece)
    return (counted[2], counted[1]) if counted else ("rest", piece)
