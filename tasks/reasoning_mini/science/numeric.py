"""Numeric answers: their formatting, and plausible wrong ones."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from harness.suite.generated import Draft

Number = Fraction | int
SLIPS = tuple(Fraction(n, 4) for n in (1, 2, 3, 5, 6, 8))


def number(value: Fraction | int) -> str:
    """Format a number with at most three decimals and without trailing zeros."""
    return f"{float(value):.3f}".rstrip("0").rstrip(".")


def pool(right: Number, guesses: Iterable[Number], unit: str) -> list[str]:
    """Wrong answers with their unit: positive, not equal to the right one, each once, short enough to write out.

    Besides the guesses there are slips near the right value, with no more decimals than it has, so that it is neither
    the odd one by its size nor the only round one.
    """
    right = Fraction(right)
    slips = [right * slip for slip in SLIPS] + [right - 1, right + 1, right + 2]
    near = [slip for slip in slips if slip.denominator <= right.denominator]
    kept = sorted({Fraction(g) for g in [*guesses, *near]} - {right})
    texts = [f"{number(g)} {unit}" for g in kept if g > 0 and (g * 100).denominator == 1 and g < 10**7]
    return list(dict.fromkeys(t for t in texts if t != f"{number(right)} {unit}"))


def draft(
    asked: str, right: Number, guesses: Iterable[Number], unit: str, why: str, *, verb: str = "is"
) -> Draft | None:
    """Return a draft, or None if too few wrong answers can be written; `why` and `verb` lead to the answer."""
    wrong = pool(right, guesses, unit)
    if len(wrong) < 3:
        return None
    answer = f"{number(right)} {unit}"
    return Draft(question=asked, correct=answer, wrong=wrong, rationale=f"{why} {verb} {answer}.")
