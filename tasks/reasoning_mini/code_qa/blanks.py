"""Functions with a blank: the right expression, wrong ones, and arguments for which the results differ."""

from __future__ import annotations

from typing import Any, NamedTuple


class Blank(NamedTuple):
    """`code` contains the blank ``____``; `{k}` in any text stands for a number from 2 to 9."""

    task: str
    code: str
    right: str
    wrong: tuple[str, ...]
    arguments: tuple[Any, ...]
    level: int


LISTS = ([3, 8, 5, 12, 7], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10], [10, 9, 4, 4, 1], [6, 6, 2], [15, 11, 20, 30, 2, 5, 9, 14])
TEXTS = ("level", "the cat sat", "apple pie", "aaab", "noon at sea")
BLANKS = (
    Blank(
        "counts the numbers divisible by {k}",
        "def f(numbers):\n    count = 0\n    for n in numbers:\n        if ____:\n            count += 1\n    "
        "return count",
        "n % {k} == 0",
        ("n // {k} == 0", "n % {k} == 1", "n % {k} != 0", "n / {k} == 0", "{k} % n == 0", "n // {k} != 0"),
        LISTS,
        1,
    ),
    Blank(
        "adds up the numbers that are at least {k}",
        "def f(numbers):\n    total = 0\n    for n in numbers:\n        if ____:\n            total += n\n    "
        "return total",
        "n >= {k}",
        ("n > {k}", "n <= {k}", "n == {k}", "n < {k}", "total >= {k}", "n % {k} == 0"),
        (*LISTS, [2, 3, 4, 5, 6, 7, 8, 9]),
        1,
    ),
    Blank(
        "returns all but the first {k} numbers",
        "def f(numbers):\n    return ____",
        "numbers[{k}:]",
        ("numbers[:{k}]", "numbers[-{k}:]", "numbers[:-{k}]", "numbers[{k}]", "numbers[::{k}]", "numbers[{k} + 1:]"),
        (LISTS[1], LISTS[4], list(range(11, 31))),
        1,
    ),
    Blank(
        "returns {k} copies of the text joined by spaces",
        "def f(text):\n    return ____",
        '" ".join([text] * {k})',
        ("text * {k}", '" ".join(text * {k})', '(text + " ") * {k}', '" " + text * {k}', 'text + " " * {k}'),
        TEXTS,
        1,
    ),
    Blank(
        "multiplies every number by {k}",
        "def f(numbers):\n    return ____",
        "[n * {k} for n in numbers]",
        (
            "numbers * {k}",
            "[numbers * {k}]",
            "[n + {k} for n in numbers]",
            "sum(numbers) * {k}",
            "[n ** {k} for n in numbers]",
        ),
        LISTS,
        1,
    ),
    Blank(
        "returns the largest number that is below 1{k}, or None if there is none",
        "def f(numbers):\n    best = None\n    for n in numbers:\n        if n < 1{k} and (____):\n            "
        "best = n\n    return best",
        "best is None or n > best",
        (
            "best is None and n > best",
            "best is None or n < best",
            "best is None",
            "best is not None",
            "n > 1{k} or best is None",
        ),
        (*LISTS, [5, 11, 9, 3], [12, 4, 11, 30]),
        2,
    ),
    Blank(
        "says whether the text has at least {k} different letters, spaces left out",
        'def f(text):\n    letters = text.replace(" ", "")\n    return ____',
        "len(set(letters)) >= {k}",
        (
            "len(letters) >= {k}",
            "len(set(text)) > {k}",
            "len(set(letters)) > {k}",
            "len(set(letters)) <= {k}",
            "set(letters) == {k}",
        ),
        (
            *TEXTS,
            "ab",
            "abc",
            "abcd",
            "abcde",
            "abcdef",
            "abcdefg",
            "abcdefgh",
            "abcdefghi",
            "abcdefghij",
            "a b c d e f",
            "aabbccdd",
        ),
        2,
    ),
    Blank(
        "returns the last {k} characters of the text in reverse order",
        "def f(text):\n    return ____",
        "text[::-1][:{k}]",
        ("text[-{k}:]", "text[:{k}][::-1]", "text[::-1][-{k}:]", "text[::-{k}]", "text[:-{k}][::-1]", "text[{k}::-1]"),
        ("abcdefghijklmnop", "the silver planet", "windows and doors"),
        2,
    ),
    Blank(
        "adds up the numbers at the positions 0, {k}, 2 * {k} and so on",
        "def f(numbers):\n    total = 0\n    for i in ____:\n        total += numbers[i]\n    return total",
        "range(0, len(numbers), {k})",
        (
            "range({k}, len(numbers))",
            "range(len(numbers) // {k})",
            "range(0, {k})",
            "range(1, len(numbers), {k})",
            "range({k}, len(numbers), {k})",
        ),
        (list(range(11, 31)), list(range(3, 40, 2)), [5, 1, 9, 2, 8, 3, 7, 4, 6, 10, 15, 20]),
        2,
    ),
    Blank(
        "counts the pairs of neighbours that differ by more than {k}",
        "def f(numbers):\n    count = 0\n    for a, b in zip(numbers, numbers[1:]):\n        if ____:\n            "
        "count += 1\n    return count",
        "abs(a - b) > {k}",
        (
            "a - b > {k}",
            "abs(a - b) >= {k}",
            "abs(a + b) > {k}",
            "b - a > {k}",
            "abs(a - b) < {k}",
            "abs(a) - abs(b) > {k}",
        ),
        (*LISTS, [1, 3, 6, 10, 15, 21, 28, 36, 45, 55], [50, 48, 45, 41, 36, 30, 23, 15, 6], [-9, 9, -3, 3]),
        3,
    ),
    Blank(
        "returns the numbers in which the digit {k} occurs",
        "def f(numbers):\n    return [n for n in numbers if ____]",
        '"{k}" in str(n)',
        ("{k} in n", 'n == "{k}"', "n % 10 == {k}", "n // 10 == {k}", 'str(n).startswith("{k}")', "n % {k} == 0"),
        (
            [12, 23, 34, 45, 56, 67, 78, 89, 90, 2, 3, 4, 5, 6, 7, 8, 9, 22, 131, 141, 252, 363, 474, 585, 696],
            [161, 171, 181, 191, 121],
        ),
        3,
    ),
    Blank(
        "returns the sum of all numbers except the {k} largest ones",
        "def f(numbers):\n    return ____",
        "sum(sorted(numbers)[:-{k}])",
        (
            "sum(sorted(numbers)[{k}:])",
            "sum(sorted(numbers)[-{k}:])",
            "sum(numbers[:-{k}])",
            "sum(numbers) - max(numbers) * {k}",
            "sum(sorted(numbers)[:{k}])",
        ),
        ([4, 19, 2, 33, 7, 12, 25, 1, 40, 3, 3, 18, 6], [30, 2, 44, 5, 17, 8, 21, 13, 9, 50, 11, 60]),
        3,
    ),
    Blank(
        "returns a list in which every word is moved {k} places to the left, and the first words come last",
        "def f(words):\n    return [____ for i in range(len(words))]",
        "words[(i + {k}) % len(words)]",
        (
            "words[i + {k}]",
            "words[(i - {k}) % len(words)]",
            "words[i % {k}]",
            "words[(i * {k}) % len(words)]",
            "words[{k} - i]",
        ),
        (list("abcdefghijklmnopqrstu"), list("thelazydogsleepsnow")),
        3,
    ),
)
