"""What the specifications of functions with a blank ask for, written anew, and a check of every choice against it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

NUMBERS = [
    *(
        [3, 8, 5, 12, 7],
        [6, 6, 2],
        [15, 11, 20, 30, 2, 5, 9, 14],
        [-9, 9, -3, 3, -20, 14],
        list(range(1, 31)),
        list(range(30, 100)),
        [7, 7, 7],
    ),
    *([9, 2, 40, 2, 31, 18, 5, 27, 11, 3, 16, 8], [12, 4, 11, 30, 19, 18, 17, 16, 15], [-1, -2, -30, 25, 100, 13]),
    *([22, 33, 44, 55, 66, 77, 88, 99, 212, 323, 131, 45, 54], [10, 30, 10, 50, 41, 33, 24, 14, 3, 5, 8, 12, 17]),
]
LONG = [numbers for numbers in NUMBERS if len(numbers) > 9]
TEXTS = [
    "abcdefghijklmnop",
    "the silver planet",
    "windows and doors",
    "a b c d e f g h i j",
    "aab bcc dde",
    "noon at sea",
]
TEXTS += ["abcdefghijk"[:n] for n in range(1, 11)] + [" ".join("ab" * n) for n in range(1, 8)]
WORDS = [list("abcdefghijklmnopqrstu"), list("thelazydogsleepsnow")]
Reference = tuple[str, Sequence[Any], Callable[[Any, int], Any]]


def _neighbours(numbers: Sequence[int]) -> list[tuple[int, int]]:
    return [(numbers[i], numbers[i + 1]) for i in range(len(numbers) - 1)]


def _without(numbers: Sequence[int], k: int, *, largest: bool) -> int:
    left = list(numbers)
    for _ in range(k):
        left.remove(max(left) if largest else min(left))
    return sum(left)


def _best(numbers: Sequence[int], k: int, choose: Callable[[list[int]], int]) -> int | None:
    below = [n for n in numbers if n < 10 + k]
    return choose(below) if below else None


def _last_even(numbers: Sequence[int], k: int) -> int | None:
    even = [n for n in numbers if n < 10 + k and n % 2 == 0]
    return even[-1] if even else None


def _letters(text: str) -> str:
    return "".join(text.split())


REFERENCES: list[Reference] = [
    ("counts the numbers divisible by", NUMBERS, lambda x, k: sum(n / k == n // k for n in x)),
    ("counts the numbers not divisible by", NUMBERS, lambda x, k: sum(n / k != n // k for n in x)),
    ("counts the numbers equal to", NUMBERS, lambda x, k: x.count(k)),
    ("counts the numbers greater than", NUMBERS, lambda x, k: len([n for n in x if k < n])),
    ("counts the numbers that are at most", NUMBERS, lambda x, k: len([n for n in x if not k < n])),
    ("counts the numbers whose last digit is", LONG, lambda x, k: sum(str(n)[-1] == str(k) for n in x)),
    ("adds up the numbers that are at least", NUMBERS, lambda x, k: sum(n for n in x if not n < k)),
    ("adds up the numbers below", NUMBERS, lambda x, k: sum(n for n in x if n < k)),
    ("adds up the multiples of", NUMBERS, lambda x, k: sum(n for n in x if n / k == n // k)),
    ("adds up the numbers other than", NUMBERS, lambda x, k: sum(x) - k * x.count(k)),
    ("adds up the numbers that leave the remainder 1", NUMBERS, lambda x, k: sum(n for n in x if (n - 1) % k == 0)),
    ("returns all but the first \\d+ numbers", LONG, lambda x, k: [n for i, n in enumerate(x) if i >= k]),
    ("returns the first \\d+ numbers", LONG, lambda x, k: [n for i, n in enumerate(x) if i < k]),
    ("returns the last \\d+ numbers", LONG, lambda x, k: [n for i, n in enumerate(x) if i >= len(x) - k]),
    ("returns all but the last \\d+ numbers", LONG, lambda x, k: [n for i, n in enumerate(x) if i < len(x) - k]),
    ("returns the numbers at the positions 0", LONG, lambda x, k: [n for i, n in enumerate(x) if i % k == 0]),
    ("copies of the text with nothing", TEXTS, lambda x, k: "".join(x for _ in range(k))),
    ("copies of the text joined by spaces", TEXTS, lambda x, k: f"{x} " * (k - 1) + x),
    (
        "returns the first \\d+ characters of the text$",
        TEXTS,
        lambda x, k: "".join(c for i, c in enumerate(x) if i < k),
    ),
    ("text without its first", TEXTS, lambda x, k: "".join(c for i, c in enumerate(x) if i >= k)),
    ("returns the text followed by", TEXTS, lambda x, k: x.ljust(len(x) + k)),
    ("multiplies every number by", NUMBERS, lambda x, k: [sum([n] * k) for n in x]),
    ("copies of the list", NUMBERS, lambda x, k: [n for _ in range(k) for n in x]),
    ("to every number", NUMBERS, lambda x, k: [k + n for n in x]),
    ("to the power of", NUMBERS, lambda x, k: [pow(n, k) for n in x]),
    ("remainder of every number divided by", NUMBERS, lambda x, k: [divmod(n, k)[1] for n in x]),
    ("returns the largest number that is below", NUMBERS, lambda x, k: _best(x, k, max)),
    ("returns the smallest number that is below", NUMBERS, lambda x, k: _best(x, k, min)),
    ("returns the first number that is below", NUMBERS, lambda x, k: _best(x, k, lambda b: b[0])),
    ("returns the last number that is below", NUMBERS, lambda x, k: _best(x, k, lambda b: b[-1])),
    ("returns the last even number that is below", NUMBERS, _last_even),
    ("at least \\d+ different letters", TEXTS, lambda x, k: len(set(_letters(x))) > k - 1),
    ("at least \\d+ letters", TEXTS, lambda x, k: len(_letters(x)) > k - 1),
    ("exactly \\d+ different letters", TEXTS, lambda x, k: len(set(_letters(x))) == k),
    ("exactly \\d+ letters", TEXTS, lambda x, k: len(_letters(x)) == k),
    ("exactly \\d+ words", TEXTS, lambda x, k: x.count(" ") + 1 == k),
    (
        "returns the last \\d+ characters of the text in reverse",
        TEXTS[:4],
        lambda x, k: "".join(reversed(x[len(x) - k :])),
    ),
    ("last \\d+ characters of the text in their order", TEXTS[:4], lambda x, k: x[len(x) - k :]),
    ("returns the first \\d+ characters of the text in reverse", TEXTS[:4], lambda x, k: "".join(reversed(x[:k]))),
    ("all but the last \\d+ characters", TEXTS[:4], lambda x, k: "".join(reversed(x[: len(x) - k]))),
    ("all but the first \\d+ characters", TEXTS[:4], lambda x, k: "".join(reversed(x[k:]))),
    ("adds up the numbers at the positions 0", LONG, lambda x, k: sum(n for i, n in enumerate(x) if i % k == 0)),
    ("adds up the numbers from position", LONG, lambda x, k: sum(n for i, n in enumerate(x) if i >= k)),
    ("adds up the first \\d+ numbers", LONG, lambda x, k: sum(n for i, n in enumerate(x) if i < k)),
    ("adds up the numbers at the positions 1", LONG, lambda x, k: sum(n for i, n in enumerate(x) if (i - 1) % k == 0)),
    ("adds up all but the last", LONG, lambda x, k: sum(n for i, n in enumerate(x) if i < len(x) - k)),
    ("that differ by more than", NUMBERS, lambda x, k: sum(not -k <= a - b <= k for a, b in _neighbours(x))),
    ("followed by one that is smaller by more", NUMBERS, lambda x, k: sum(b + k < a for a, b in _neighbours(x))),
    ("followed by one that is greater by more", NUMBERS, lambda x, k: sum(a + k < b for a, b in _neighbours(x))),
    ("neighbours whose sum is more than", NUMBERS, lambda x, k: sum(b > k - a for a, b in _neighbours(x))),
    ("that differ by exactly", NUMBERS, lambda x, k: sum(a - b in (k, -k) for a, b in _neighbours(x))),
    ("in which the digit \\d occurs$", LONG, lambda x, k: [n for n in x if str(k) in list(str(n))]),
    ("that end in the digit", LONG, lambda x, k: [n for n in x if str(n)[-1] == str(k)]),
    ("that begin with the digit", LONG, lambda x, k: [n for n in x if str(n)[0] == str(k)]),
    ("occurs exactly twice", LONG, lambda x, k: [n for n in x if [d for d in str(n) if d == str(k)] == [str(k)] * 2]),
    ("returns the numbers divisible by", LONG, lambda x, k: [n for n in x if n / k == n // k]),
    ("except the \\d+ largest", LONG, lambda x, k: _without(x, k, largest=True)),
    ("except the \\d+ smallest", LONG, lambda x, k: _without(x, k, largest=False)),
    ("sum of the \\d+ largest", LONG, lambda x, k: sum(x) - _without(x, k, largest=True)),
    ("sum of the \\d+ smallest", LONG, lambda x, k: sum(x) - _without(x, k, largest=False)),
    ("except the last \\d+ ones", LONG, lambda x, k: sum(n for i, n in enumerate(x) if i < len(x) - k)),
    ("places to the left", WORDS, lambda x, k: x[k:] + x[:k]),
    ("to the right, and the last words come first", WORDS, lambda x, k: x[len(x) - k :] + x[: len(x) - k]),
    ("repeats the first \\d+ words in turn", WORDS, lambda x, k: (x[:k] * len(x))[: len(x)]),
    ("by the first one of its group", WORDS, lambda x, k: [x[i - i % k] for i in range(len(x))]),
    ("the first word fills the gap", WORDS, lambda x, k: [x[0]] * k + x[: len(x) - k]),
]


def blank(question: str, choices: Sequence[str]) -> list[str]:
    """Put each choice into the blank and compare the function with what its specification asks for."""
    code, asked = question.split("\n\n")
    name, task = re.findall(r"The function (\w+) should be one that (.+)\. Which expression", asked)[0]
    found = [(arguments, reference) for text, arguments, reference in REFERENCES if re.search(text, task)]
    assert len(found) == 1, f"no single reference for: {task}"
    arguments, reference = found[0]
    k = int(re.findall(r"\d+", task.replace("below 1", "").replace("remainder 1", "").replace("position is 0", ""))[-1])

    def fits(choice: str) -> bool:
        space: dict[str, Any] = {}
        exec(code.replace("____", choice), space)  # noqa: S102 - the suite's own text
        return all(space[name](list(a) if isinstance(a, list) else a) == reference(a, k) for a in arguments)

    return [choice for choice in choices if fits(choice)]
