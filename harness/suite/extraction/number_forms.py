"""How numbers are written in a text, and the form in which they are returned. They are compared by value.

[canonical(match) for match in NUMBER.finditer("-$1,200.50, 1 1/2 and 3万")]    # ["-1200.5", "3/2", "30000"]
"""

from __future__ import annotations

import re
from decimal import Decimal, localcontext
from fractions import Fraction

_SCALES = {
    "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12,
    "百万": 10**6, "千万": 10**7, "万亿": 10**12, "千": 10**3, "万": 10**4, "亿": 10**8,
}  # fmt: skip
_MAX_CHARACTERS = 60  # a longer one is a loop of digits, no number
MOST_DIGITS = _MAX_CHARACTERS + 99 + 12  # with the largest exponent and scale
# No numbers are "3:30", "3:2", the digits of "CO2", the base and exponent of "10^1000", and "1990s".
NUMBER = re.compile(
    r"(?P<sign>(?<![A-Za-z0-9)\]])-\s?|\b(?:minus|negative)\s+|负|零下)?[¥€£]?\s?"
    r"(?<![A-Za-z_.^])(?<!\^\{)(?<!\d)(?<!\d[:.])(?>"
    r"(?:(?P<whole>\d+)\s*)?\\[dt]?frac\s*\{\s*(?P<top>\d+)\s*\}\s*\{\s*(?P<bottom>\d+)\s*\}"
    r"|(?:(?P<plain_whole>\d+)\s+)?(?P<plain_top>\d+)/(?P<plain_bottom>\d+)(?!/)"
    r"|(?P<decimal>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+\.\d+|\.\d+|\d+)"
    r"(?:[eE](?P<e>[-+]?\d{1,2})(?!\d)|\s*(?:[×x*]|\\times)\s*10\s*\^\s*\{?(?P<power>-?\d{1,2})\}?)?"
    r")(?!\d|[:.]\d|\s?\^|(?<=\d{3}0)s\b)"
    r"(?:\s*(?P<scale>thousand|million|billion|trillion|百万|千万|万亿|千(?![克米瓦卡])|万|亿))?",
    re.IGNORECASE,
)


def canonical(match: re.Match[str]) -> str | None:
    """Return a number as "18", "-1200.5" or "3/4": no separators, no final zeros; None for a division by zero."""
    if len(match[0]) > _MAX_CHARACTERS:
        return None
    whole, top, bottom = (match[name] or match[f"plain_{name}"] for name in ("whole", "top", "bottom"))
    scale = _SCALES[match["scale"].lower()] if match["scale"] else 1
    sign = "-" if match["sign"] else ""
    if match["decimal"]:
        exponent = int(match["e"] or match["power"] or 0)
        with localcontext(prec=MOST_DIGITS):
            return sign + _decimal(Decimal(match["decimal"].replace(",", "")).scaleb(exponent) * scale)
    if not int(bottom):
        return None
    numerator = (int(top) + int(whole or 0) * int(bottom)) * scale
    return (
        f"{sign}{numerator // int(bottom)}"
        if scale > 1 and numerator % int(bottom) == 0
        else f"{sign}{numerator}/{bottom}"
    )


def _decimal(value: Decimal) -> str:
    plain = format(value, "f")
    return (plain.rstrip("0").rstrip(".") if "." in plain else plain) or "0"


def value_of(text: str) -> Fraction | None:
    """Return the value of a text that is one number, such as ``$1,080`` or ``3/4``; None for anything else."""
    plain = re.sub(r"(?<=\d)\s(?=\d{3}\b)", "", text.strip().rstrip(".%").replace("$", "").strip().removeprefix("+"))
    match = NUMBER.fullmatch(plain)
    number = canonical(match) if match else None
    return Fraction(number) if number is not None else None
