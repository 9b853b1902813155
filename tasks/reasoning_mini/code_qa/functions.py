"""Families of functions that look alike and behave differently. Content only; they are run by `running`.

A family holds four or more variants with one signature. Every variant is a description, as a clause after "it", and a
body. One draw fills `{k}` and the like in both.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, NamedTuple

WORDS = (
    *(
        "apple",
        "river",
        "stone",
        "music",
        "candle",
        "garden",
        "window",
        "silver",
        "button",
        "planet",
        "rocket",
        "summer",
    ),
    *("tiger", "paper", "bread", "cloud", "ocean", "piano", "lemon", "mirror", "basket", "forest", "needle", "saddle"),
)


class Family(NamedTuple):
    """`argument` is the parameter's name, `wants` the query's noun phrase per variant; `make` draws an argument."""

    name: str
    argument: str
    make: Callable[[random.Random], Any]
    variants: tuple[tuple[str, str], ...]
    level: int


def _numbers(rng: random.Random) -> list[int]:
    return [rng.randrange(1, 13) for _ in range(rng.choice((4, 5, 6)))]


def _signed(rng: random.Random) -> list[int]:
    return [rng.randrange(-9, 10) for _ in range(rng.choice((4, 5, 6)))]


def _word(rng: random.Random) -> str:
    return rng.choice(WORDS)


def _phrase(rng: random.Random) -> str:
    return " ".join(rng.sample(WORDS, rng.choice((3, 4))))


def _words(rng: random.Random) -> list[str]:
    return rng.sample(WORDS, rng.choice((3, 4)))


def _stock(rng: random.Random) -> dict[str, int]:
    return {word: rng.randrange(1, 13) for word in rng.sample(WORDS, 4)}


def _number(rng: random.Random) -> int:
    return rng.randrange(100, 10000)


def _loop(start: str, condition: str, step: str) -> str:
    """A body that loops over the list `numbers` and updates `result` if a condition holds."""
    return f"result = {start}\nfor n in numbers:\n    if {condition}:\n        {step}\nreturn result"


FAMILIES = (
    Family(
        "select",
        "numbers",
        _numbers,
        (
            ("adds up the even numbers in the list", _loop("0", "n % 2 == 0", "result += n")),
            ("adds up the odd numbers in the list", _loop("0", "n % 2 == 1", "result += n")),
            ("counts the even numbers in the list", _loop("0", "n % 2 == 0", "result += 1")),
            ("counts the odd numbers in the list", _loop("0", "n % 2 == 1", "result += 1")),
            ("multiplies the even numbers in the list", _loop("1", "n % 2 == 0", "result *= n")),
        ),
        1,
    ),
    Family(
        "limit",
        "numbers",
        _numbers,
        (
            ("counts the numbers greater than {k}", _loop("0", "n > {k}", "result += 1")),
            ("counts the numbers less than {k}", _loop("0", "n < {k}", "result += 1")),
            ("adds up the numbers greater than {k}", _loop("0", "n > {k}", "result += n")),
            ("adds up the numbers less than {k}", _loop("0", "n < {k}", "result += n")),
            ("counts the numbers equal to {k}", _loop("0", "n == {k}", "result += 1")),
        ),
        1,
    ),
    Family(
        "filter_list",
        "numbers",
        _numbers,
        (
            ("returns the numbers divisible by {m}", "return [n for n in numbers if n % {m} == 0]"),
            ("returns the numbers not divisible by {m}", "return [n for n in numbers if n % {m} != 0]"),
            ("returns the remainder of each number divided by {m}", "return [n % {m} for n in numbers]"),
            ("returns each number multiplied by {m}", "return [n * {m} for n in numbers]"),
            ("returns each number divided by {m} and rounded down", "return [n // {m} for n in numbers]"),
        ),
        1,
    ),
    Family(
        "extreme",
        "numbers",
        _signed,
        (
            (
                "returns the largest number in the list",
                "best = numbers[0]\nfor n in numbers:\n    if n > best:\n        best = n\nreturn best",
            ),
            (
                "returns the smallest number in the list",
                "best = numbers[0]\nfor n in numbers:\n    if n < best:\n        best = n\nreturn best",
            ),
            (
                "returns the number that is farthest from zero",
                "best = numbers[0]\nfor n in numbers:\n    if abs(n) > abs(best):\n        best = n\nreturn best",
            ),
            (
                "returns the number that is nearest to zero",
                "best = numbers[0]\nfor n in numbers:\n    if abs(n) < abs(best):\n        best = n\nreturn best",
            ),
            ("returns the last number in the list", "best = numbers[0]\nfor n in numbers:\n    best = n\nreturn best"),
        ),
        2,
    ),
    Family(
        "place",
        "numbers",
        _signed,
        (
            ("returns the position of the largest number", "return numbers.index(max(numbers))"),
            ("returns the position of the smallest number", "return numbers.index(min(numbers))"),
            (
                "returns the difference between the largest and the smallest number",
                "return max(numbers) - min(numbers)",
            ),
            ("returns the sum of the largest and the smallest number", "return max(numbers) + min(numbers)"),
            ("returns the difference between the last and the first number", "return numbers[-1] - numbers[0]"),
        ),
        1,
    ),
    Family(
        "order",
        "numbers",
        _signed,
        (
            ("sorts the numbers from small to large", "return sorted(numbers)"),
            ("sorts the numbers from large to small", "return sorted(numbers, reverse=True)"),
            ("reverses the order of the numbers without sorting them", "return numbers[::-1]"),
            ("sorts the numbers by their distance from zero", "return sorted(numbers, key=abs)"),
            ("removes repeated numbers and sorts the rest", "return sorted(set(numbers))"),
        ),
        1,
    ),
    Family(
        "slice_list",
        "numbers",
        _signed,
        (
            ("returns the first {c} numbers", "return numbers[:{c}]"),
            ("returns the last {c} numbers", "return numbers[-{c}:]"),
            ("leaves out the first {c} numbers", "return numbers[{c}:]"),
            ("leaves out the last {c} numbers", "return numbers[:-{c}]"),
            ("moves the first {c} numbers to the end", "return numbers[{c}:] + numbers[:{c}]"),
        ),
        2,
    ),
    Family(
        "running",
        "numbers",
        _numbers,
        (
            (
                "returns the running totals of the list",
                "total = 0\nresult = []\nfor n in numbers:\n    total += n\n    result.append(total)\nreturn result",
            ),
            (
                "returns the running maximum of the list",
                "top = numbers[0]\nresult = []\nfor n in numbers:\n    top = max(top, n)\n    result.append(top)\n"
                "return result",
            ),
            (
                "returns the differences between neighbours in the list",
                "result = []\nfor a, b in zip(numbers, numbers[1:]):\n    result.append(b - a)\nreturn result",
            ),
            (
                "returns the sums of neighbours in the list",
                "result = []\nfor a, b in zip(numbers, numbers[1:]):\n    result.append(a + b)\nreturn result",
            ),
            (
                "returns each number multiplied by its position",
                "result = []\nfor i, n in enumerate(numbers):\n    result.append(i * n)\nreturn result",
            ),
        ),
        3,
    ),
    Family(
        "compare_next",
        "numbers",
        _numbers,
        (
            (
                "counts how often a number is greater than the one before it",
                "result = 0\nfor i in range(1, len(numbers)):\n    if numbers[i] > numbers[i - 1]:\n        result "
                "+= 1\nreturn result",
            ),
            (
                "counts how often a number is less than the one before it",
                "result = 0\nfor i in range(1, len(numbers)):\n    if numbers[i] < numbers[i - 1]:\n        result "
                "+= 1\nreturn result",
            ),
            (
                "adds up the numbers that are greater than the one before them",
                "result = 0\nfor i in range(1, len(numbers)):\n    if numbers[i] > numbers[i - 1]:\n        result "
                "+= numbers[i]\nreturn result",
            ),
            (
                "adds up the differences between neighbours without their signs",
                "result = 0\nfor i in range(1, len(numbers)):\n    result += abs(numbers[i] - numbers[i - 1])\n"
                "return result",
            ),
            (
                "counts the numbers that are greater than the first number",
                "result = 0\nfor i in range(1, len(numbers)):\n    if numbers[i] > numbers[0]:\n        result += "
                "1\nreturn result",
            ),
        ),
        3,
    ),
    Family(
        "letters",
        "text",
        _phrase,
        (
            ("counts the vowels in the text", 'return sum(1 for c in text if c in "aeiou")'),
            ("counts the words in the text", "return len(text.split())"),
            ("counts the characters in the text, spaces included", "return len(text)"),
            ("counts how often the letter {ch} occurs in the text", 'return text.count("{ch}")'),
            ("counts the different characters in the text", "return len(set(text))"),
            ("returns the length of the longest word in the text", "return max(len(w) for w in text.split())"),
        ),
        1,
    ),
    Family(
        "phrase",
        "text",
        _phrase,
        (
            ("reverses the order of the words", 'return " ".join(text.split()[::-1])'),
            ("reverses every word but keeps the order of the words", 'return " ".join(w[::-1] for w in text.split())'),
            ("reverses the whole text letter by letter", "return text[::-1]"),
            ("sorts the words by the alphabet", 'return " ".join(sorted(text.split()))'),
            ("sorts the words by their length", 'return " ".join(sorted(text.split(), key=len))'),
        ),
        2,
    ),
    Family(
        "pick_words",
        "words",
        _words,
        (
            ("returns the words with more than {w} letters", "return [w for w in words if len(w) > {w}]"),
            ("returns the words with at most {w} letters", "return [w for w in words if len(w) <= {w}]"),
            ("cuts every word down to {w} letters", "return [w[:{w}] for w in words]"),
            ("removes the first letter of every word", "return [w[1:] for w in words]"),
            ("returns the length of every word", "return [len(w) for w in words]"),
        ),
        1,
    ),
    Family(
        "initials",
        "words",
        _words,
        (
            ("joins the first letters of the words", 'return "".join(w[0] for w in words)'),
            ("joins the last letters of the words", 'return "".join(w[-1] for w in words)'),
            ("joins the words with hyphens", 'return "-".join(words)'),
            ("joins the words in reverse order", 'return "".join(reversed(words))'),
            ("joins the words and capitalises each of them", 'return "".join(w.capitalize() for w in words)'),
        ),
        2,
    ),
    Family(
        "choose_word",
        "words",
        _words,
        (
            ("returns the longest word", "return max(words, key=len)"),
            ("returns the shortest word", "return min(words, key=len)"),
            ("returns the word that comes first in the alphabet", "return min(words)"),
            ("returns the word that comes last in the alphabet", "return max(words)"),
            ("returns the word with the most letters {ch}", 'return max(words, key=lambda w: w.count("{ch}"))'),
        ),
        2,
    ),
    Family(
        "stock",
        "stock",
        _stock,
        (
            ("returns the key with the greatest value", "return max(stock, key=stock.get)"),
            ("returns the key with the smallest value", "return min(stock, key=stock.get)"),
            ("returns the key that comes first in the alphabet", "return min(stock)"),
            ("returns the greatest value", "return max(stock.values())"),
            ("adds up the values", "return sum(stock.values())"),
        ),
        2,
    ),
    Family(
        "stock_filter",
        "stock",
        _stock,
        (
            (
                "returns the sorted keys whose value is at least {k}",
                "return sorted(name for name, n in stock.items() if n >= {k})",
            ),
            (
                "returns the sorted keys whose value is below {k}",
                "return sorted(name for name, n in stock.items() if n < {k})",
            ),
            ("counts the keys whose value is at least {k}", "return sum(1 for n in stock.values() if n >= {k})"),
            ("adds up the values that are at least {k}", "return sum(n for n in stock.values() if n >= {k})"),
            ("returns the keys sorted by their values", "return sorted(stock, key=stock.get)"),
        ),
        3,
    ),
    Family(
        "digits",
        "n",
        _number,
        (
            ("adds up the digits of the number", "return sum(int(d) for d in str(n))"),
            ("counts the digits of the number", "return len(str(n))"),
            ("reverses the digits of the number", "return int(str(n)[::-1])"),
            ("returns the largest digit of the number", "return max(int(d) for d in str(n))"),
            ("returns the last digit of the number", "return n % 10"),
        ),
        2,
    ),
    Family(
        "until",
        "numbers",
        _numbers,
        (
            (
                "adds up the numbers before the first number greater than {k}",
                "result = 0\nfor n in numbers:\n    if n > {k}:\n        break\n    result += n\nreturn result",
            ),
            (
                "adds up the numbers that are not greater than {k}",
                "result = 0\nfor n in numbers:\n    if n > {k}:\n        continue\n    result += n\nreturn result",
            ),
            (
                "counts the numbers before the first number greater than {k}",
                "result = 0\nfor n in numbers:\n    if n > {k}:\n        break\n    result += 1\nreturn result",
            ),
            (
                "adds up the numbers but counts each one above {k} as {k}",
                "result = 0\nfor n in numbers:\n    if n > {k}:\n        n = {k}\n    result += n\nreturn result",
            ),
            (
                "returns the first number greater than {k}, or 0 if there is none",
                "result = 0\nfor n in numbers:\n    if n > {k}:\n        return n\nreturn result",
            ),
        ),
        3,
    ),
    Family(
        "every_other",
        "numbers",
        _signed,
        (
            ("returns every second number, from the first on", "return numbers[::2]"),
            ("returns every second number, from the second on", "return numbers[1::2]"),
            ("adds up every second number, from the first on", "return sum(numbers[::2])"),
            ("adds up every second number, from the second on", "return sum(numbers[1::2])"),
            (
                "subtracts the sum of the second half from that of the first",
                "h = len(numbers) // 2\nreturn sum(numbers[:h]) - sum(numbers[h:])",
            ),
        ),
        3,
    ),
)

PARAMETERS: dict[str, tuple[Any, ...]] = {
    "k": (3, 4, 5, 6, 7, 8, 9),
    "m": (2, 3, 4, 5),
    "c": (2, 3),
    "w": (4, 5),
    "ch": ("a", "e", "i", "o", "r"),
}
NAMES = ("process", "compute", "handle", "f", "solve", "helper", "work", "transform")
