"""Problems about dictionaries from words to numbers. Content only; `draw.Family` says what each field is."""

from __future__ import annotations

from harness.suite.generated import sibling

draw = sibling(__file__, "draw")

DICTIONARIES = (
    draw.Family(
        "rich_keys",
        2,
        "stock: dict[str, int]) -> list[str]",
        "Return the keys whose value is at least <k>, sorted by the alphabet.",
        "return sorted(name for name, n in stock.items() if n >= <k>)",
        (
            "return sorted(name for name, n in stock.items() if n > <k>)",
            "return [name for name, n in stock.items() if n >= <k>]",
        ),
        draw.stock,
        (({},), ({chr(122 - i): i for i in range(26)},)),
    ),
    draw.Family(
        "restock",
        2,
        "stock: dict[str, int]) -> dict[str, int]",
        "Return a dictionary with the same keys, in which every value below <k> is raised to <k> and then <s> is "
        "added to every value.",
        "return {name: max(n, <k>) + <s> for name, n in stock.items()}",
        (
            "return {name: n + <s> if n < <k> else n for name, n in stock.items()}",
            "return {name: max(n + <s>, <k>) for name, n in stock.items()}",
        ),
        draw.stock,
        (({},), ({"a": 0, "b": 50},)),
    ),
    draw.Family(
        "bill",
        2,
        "prices: dict[str, int]) -> int",
        "Return the sum of the prices. Each price above <k> is reduced by <s> before it is added.",
        "return sum(p - <s> if p > <k> else p for p in prices.values())",
        (
            "total = sum(prices.values())\nreturn total - <s> if total > <k> else total",
            "return sum(p - <s> if p >= <k> else p for p in prices.values())",
        ),
        draw.stock,
        (({},), ({chr(97 + i): i for i in range(26)},)),
    ),
)
