"""Functions with a blank, expressions for it, and what the function does with each. Content only."""

from __future__ import annotations

from typing import Any, NamedTuple


class Blank(NamedTuple):
    """`code` contains the blank ``____``; `{k}` in any text stands for a number from 2 to 9.

    `fills` are pairs of an expression and what the function then does, as a clause after "one that".
    `arguments` are chosen so that any two expressions that behave differently give different results for at least
    one of them.
    """

    code: str
    fills: tuple[tuple[str, str], ...]
    arguments: tuple[Any, ...]
    level: int


LISTS = ([3, 8, 5, 12, 7], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10], [10, 9, 4, 4, 1], [6, 6, 2], [15, 11, 20, 30, 2, 5, 9, 14])
TEXTS = ("level", "the cat sat", "apple pie", "aaab", "noon at sea")
LOOP = "def f(numbers):\n    {start}\n    for n in numbers:\n        if ____:\n            {step}\n    return {result}"
NUMBERS = (*LISTS, [2, 3, 4, 5, 6, 7, 8, 9], [12, 23, 34, 45, 56, 67, 78, 89], [*range(10, 31)])
LONG_LISTS = (list(range(11, 31)), list(range(3, 40, 2)), [5, 1, 9, 2, 8, 3, 7, 4, 6, 10, 15, 20])
LONG_TEXTS = ("abcdefghijklmnop", "the silver planet", "windows and doors")
SHORT_TEXTS = ("ab", "abc", "abcd", "abcde", "abcdef", "abcdefg", "abcdefgh", "abcdefghi", "abcdefghij")
BLANKS = (
    Blank(
        LOOP.format(start="count = 0", step="count += 1", result="count"),
        (
            ("n % {k} == 0", "counts the numbers divisible by {k}"),
            ("n % {k} != 0", "counts the numbers not divisible by {k}"),
            ("n == {k}", "counts the numbers equal to {k}"),
            ("n > {k}", "counts the numbers greater than {k}"),
            ("n <= {k}", "counts the numbers that are at most {k}"),
            ("n % 10 == {k}", "counts the numbers whose last digit is {k}"),
        ),
        NUMBERS,
        1,
    ),
    Blank(
        LOOP.format(start="total = 0", step="total += n", result="total"),
        (
            ("n >= {k}", "adds up the numbers that are at least {k}"),
            ("n < {k}", "adds up the numbers below {k}"),
            ("n % {k} == 0", "adds up the multiples of {k}"),
            ("n != {k}", "adds up the numbers other than {k}"),
            ("n % {k} == 1", "adds up the numbers that leave the remainder 1 when divided by {k}"),
        ),
        NUMBERS,
        1,
    ),
    Blank(
        "def f(numbers):\n    return ____",
        (
            ("numbers[{k}:]", "returns all but the first {k} numbers"),
            ("numbers[:{k}]", "returns the first {k} numbers"),
            ("numbers[-{k}:]", "returns the last {k} numbers"),
            ("numbers[:-{k}]", "returns all but the last {k} numbers"),
            ("numbers[::{k}]", "returns the numbers at the positions 0, {k}, 2 * {k} and so on"),
        ),
        LONG_LISTS,
        1,
    ),
    Blank(
        "def f(text):\n    return ____",
        (
            ("text * {k}", "returns {k} copies of the text with nothing between them"),
            ('" ".join([text] * {k})', "returns {k} copies of the text joined by spaces"),
            ("text[:{k}]", "returns the first {k} characters of the text"),
            ("text[{k}:]", "returns the text without its first {k} characters"),
            ('text + " " * {k}', "returns the text followed by {k} spaces"),
        ),
        LONG_TEXTS,
        1,
    ),
    Blank(
        "def f(numbers):\n    return ____",
        (
            ("[n * {k} for n in numbers]", "multiplies every number by {k}"),
            ("numbers * {k}", "returns {k} copies of the list, one after the other, in one list"),
            ("[n + {k} for n in numbers]", "adds {k} to every number"),
            ("[n ** {k} for n in numbers]", "raises every number to the power of {k}"),
            ("[n % {k} for n in numbers]", "returns the remainder of every number divided by {k}"),
        ),
        LISTS,
        1,
    ),
    Blank(
        "def f(numbers):\n    best = None\n    for n in numbers:\n        if n < 1{k} and (____):\n            "
        "best = n\n    return best",
        (
            ("best is None or n > best", "returns the largest number that is below 1{k}, or None if there is none"),
            ("best is None or n < best", "returns the smallest number that is below 1{k}, or None if there is none"),
            ("best is None", "returns the first number that is below 1{k}, or None if there is none"),
            ("True", "returns the last number that is below 1{k}, or None if there is none"),
            ("n % 2 == 0", "returns the last even number that is below 1{k}, or None if there is none"),
        ),
        (*LISTS, [5, 11, 9, 3], [12, 4, 11, 30]),
        2,
    ),
    Blank(
        'def f(text):\n    letters = text.replace(" ", "")\n    return ____',
        (
            ("len(set(letters)) >= {k}", "says whether the text has at least {k} different letters, spaces left out"),
            ("len(letters) >= {k}", "says whether the text has at least {k} letters, spaces left out"),
            ("len(set(letters)) == {k}", "says whether the text has exactly {k} different letters, spaces left out"),
            ("len(letters) == {k}", "says whether the text has exactly {k} letters, spaces left out"),
            ("len(text.split()) == {k}", "says whether the text has exactly {k} words"),
        ),
        (*TEXTS, *SHORT_TEXTS, "aabbccdd", "aab bcc dde", *(" ".join("ab" for _ in range(n)) for n in range(2, 10))),
        2,
    ),
    Blank(
        "def f(text):\n    return ____",
        (
            ("text[::-1][:{k}]", "returns the last {k} characters of the text in reverse order"),
            ("text[-{k}:]", "returns the last {k} characters of the text in their order"),
            ("text[:{k}][::-1]", "returns the first {k} characters of the text in reverse order"),
            ("text[:-{k}][::-1]", "returns all but the last {k} characters of the text in reverse order"),
            ("text[{k}:][::-1]", "returns all but the first {k} characters of the text in reverse order"),
        ),
        LONG_TEXTS,
        2,
    ),
    Blank(
        "def f(numbers):\n    total = 0\n    for i in ____:\n        total += numbers[i]\n    return total",
        (
            ("range(0, len(numbers), {k})", "adds up the numbers at the positions 0, {k}, 2 * {k} and so on"),
            ("range({k}, len(numbers))", "adds up the numbers from position {k} on, where the first position is 0"),
            ("range({k})", "adds up the first {k} numbers"),
            ("range(1, len(numbers), {k})", "adds up the numbers at the positions 1, 1 + {k}, 1 + 2 * {k} and so on"),
            ("range(len(numbers) - {k})", "adds up all but the last {k} numbers"),
        ),
        LONG_LISTS,
        2,
    ),
    Blank(
        "def f(numbers):\n    count = 0\n    for a, b in zip(numbers, numbers[1:]):\n        if ____:\n            "
        "count += 1\n    return count",
        (
            ("abs(a - b) > {k}", "counts the pairs of neighbours that differ by more than {k}"),
            ("a - b > {k}", "counts how often a number is followed by one that is smaller by more than {k}"),
            ("b - a > {k}", "counts how often a number is followed by one that is greater by more than {k}"),
            ("a + b > {k}", "counts the pairs of neighbours whose sum is more than {k}"),
            ("abs(a - b) == {k}", "counts the pairs of neighbours that differ by exactly {k}"),
        ),
        (*LISTS, [1, 3, 6, 10, 15, 21, 28, 36, 45, 55], [50, 48, 45, 41, 36, 30, 23, 15, 6], [-9, 9, -3, 3]),
        3,
    ),
    Blank(
        "def f(numbers):\n    return [n for n in numbers if ____]",
        (
            ('"{k}" in str(n)', "returns the numbers in which the digit {k} occurs"),
            ("n % 10 == {k}", "returns the numbers that end in the digit {k}"),
            ('str(n).startswith("{k}")', "returns the numbers that begin with the digit {k}"),
            ('str(n).count("{k}") == 2', "returns the numbers in which the digit {k} occurs exactly twice"),
            ("n % {k} == 0", "returns the numbers divisible by {k}"),
        ),
        (
            [12, 23, 34, 45, 56, 67, 78, 89, 90, 2, 3, 4, 5, 6, 7, 8, 9, 22, 131, 141, 252, 363, 474, 585, 696],
            [161, 171, 181, 191, 121, 33, 44, 55, 66, 77, 88, 99, 27, 72],
        ),
        3,
    ),
    Blank(
        "def f(numbers):\n    return ____",
        (
            ("sum(sorted(numbers)[:-{k}])", "returns the sum of all numbers except the {k} largest ones"),
            ("sum(sorted(numbers)[{k}:])", "returns the sum of all numbers except the {k} smallest ones"),
            ("sum(sorted(numbers)[-{k}:])", "returns the sum of the {k} largest numbers"),
            ("sum(sorted(numbers)[:{k}])", "returns the sum of the {k} smallest numbers"),
            ("sum(numbers[:-{k}])", "returns the sum of all numbers except the last {k} ones"),
        ),
        ([4, 19, 2, 33, 7, 12, 25, 1, 40, 3, 3, 18, 6], [30, 2, 44, 5, 17, 8, 21, 13, 9, 50, 11, 60]),
        3,
    ),
    Blank(
        "def f(words):\n    return [____ for i in range(len(words))]",
        (
            (
                "words[(i + {k}) % len(words)]",
                "returns a list in which every word is moved {k} places to the left, and the first words come last",
            ),
            (
                "words[(i - {k}) % len(words)]",
                "returns a list in which every word is moved {k} places to the right, and the last words come first",
            ),
            ("words[i % {k}]", "returns a list of the same length that repeats the first {k} words in turn"),
            ("words[i // {k} * {k}]", "replaces every word by the first one of its group of {k} words"),
            (
                "words[max(i - {k}, 0)]",
                "returns a list in which every word is moved {k} places to the right, and the first word fills the gap",
            ),
        ),
        (list("abcdefghijklmnopqrstu"), list("thelazydogsleepsnow")),
        3,
    ),
)
