"""Problems about one whole number. Content only; `draw.Family` says what each field is."""

from __future__ import annotations

from harness.suite.generated import sibling

draw = sibling(__file__, "draw")

WHOLE_NUMBERS = (
    draw.Family(
        "counting_game",
        2,
        "n: int) -> list[str]",
        "Return the numbers from 1 to n as strings, with '<word>' in place of every number divisible by <t>.",
        "return ['<word>' if i % <t> == 0 else str(i) for i in range(1, n + 1)]",
        (
            "return ['<word>' if i % <t> == 0 else str(i) for i in range(n)]",
            "return ['<word>' if i % <t> == 0 else i for i in range(1, n + 1)]",
        ),
        draw.count,
        ((0,), (1,)),
    ),
    draw.Family(
        "sequence",
        2,
        "n: int) -> list[int]",
        "Return the first n terms of the sequence that starts with <k>, where each term is <s> times the one "
        "before it, minus 1.",
        "terms = []\nterm = <k>\nfor _ in range(n):\n    terms.append(term)\n    term = term * <s> - 1\nreturn terms",
        (
            "return [<k> * <s> ** i - 1 for i in range(n)]",
            "terms = []\nterm = <k>\nfor _ in range(n):\n    term = term * <s> - 1\n    terms.append(term)\nreturn "
            "terms",
        ),
        lambda rng: (rng.randrange(2, 7),),
        ((0,), (1,)),
    ),
    draw.Family(
        "sum_without",
        1,
        "n: int) -> int",
        "Return the sum of the whole numbers from 1 to n, n included, that are not divisible by <t>, plus <k>.",
        "return sum(i for i in range(1, n + 1) if i % <t> != 0) + <k>",
        (
            "return sum(i for i in range(1, n) if i % <t> != 0) + <k>",
            "return sum(i for i in range(1, n + 1) if i % <t> == 0) + <k>",
        ),
        draw.count,
        ((0,), (1,)),
    ),
    draw.Family(
        "digit_sum",
        3,
        "n: int) -> int",
        "Return the sum of the digits of n that are at least <s>, multiplied by <t>.",
        "return sum(int(d) for d in str(n) if int(d) >= <s>) * <t>",
        ("return sum(int(d) for d in str(n)) * <t>", "return sum(int(d) for d in str(n) if int(d) > <s>) * <t>"),
        draw.number,
        ((0,), (1234567890,)),
    ),
    draw.Family(
        "linear",
        1,
        "n: int) -> int",
        "Return n multiplied by <t>, minus <k>. If that is negative, return 0.",
        "return max(0, n * <t> - <k>)",
        ("return n * <t> - <k>", "return abs(n * <t> - <k>)"),
        lambda rng: (rng.randrange(-5, 30),),
        ((0,), (-3,)),
    ),
)
