"""Numeric answers: their formatting."""

from __future__ import annotations

from fractions import Fraction

from harness.suite.generated import Draft

Number = Fraction | int
LARGEST = 10**7  # longer numbers would be hard to read


def number(value: Number) -> str:
    """Format a number with at most three decimals and without trailing zeros."""
    return f"{float(value):.3f}".rstrip("0").rstrip(".")


def draft(asked: str, right: Number, unit: str, why: str, *, verb: str = "is", structure: str = "") -> Draft | None:
    """Return a draft, or None if the number is not short and positive; `why` and `verb` lead to the answer."""
    if right <= 0 or right >= LARGEST or (Fraction(right) * 1000).denominator != 1:
        return None
    answer = f"{number(right)} {unit}"
    return Draft(question=asked, answer=answer, rationale=f"{why} {verb} {answer}.", structure=structure)
