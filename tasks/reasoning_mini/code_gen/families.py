"""Families of small programming problems with parameters. Content only: specification, solution, wrong solutions.

Places in angle brackets are filled from `PARAMETERS`, the same in all texts of a problem. A wrong solution is one that
a hasty reader of the specification might write.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, NamedTuple

WORDS = (
    *(
        "apple",
        "River",
        "stone",
        "music",
        "candle",
        "garden",
        "window",
        "silver",
        "Button",
        "planet",
        "rocket",
        "summer",
    ),
    *(
        "tiger",
        "paper",
        "bread",
        "Cloud",
        "ocean",
        "piano",
        "lemon",
        "mirror",
        "basket",
        "forest",
        "needle",
        "sea",
        "ox",
    ),
)
PARAMETERS: dict[str, tuple[Any, ...]] = {
    "k": (2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22),
    "s": (2, 3, 4, 5),
    "t": (6, 7, 8, 9, 10, 11),
    "lo": (-6, -5, -4, -3, -2, -1, 0, 1),
    "hi": (5, 6, 7, 8, 9, 10, 11, 12),
    "c": tuple("aeiorstln"),
    "d": tuple("bcdfgmpw"),
    "sep": ("-", "+", "/", "_", ":", "|", "."),
    "mark": ("*", "#", "?", "x", "@", "=", "~", "!"),
    "word": ("ping", "tick", "buzz", "hop", "clap", "beep", "zap", "pop"),
}


class Family(NamedTuple):
    """A kind of problem. `make` draws the arguments of one call; the calls in `edges` are always tested."""

    name: str
    level: int
    signature: str
    doc: str
    body: str
    wrong: tuple[str, ...]
    make: Callable[[random.Random], tuple[Any, ...]]
    edges: tuple[tuple[Any, ...], ...] = ()


def _numbers(rng: random.Random) -> tuple[list[int]]:
    return ([rng.randrange(-5, 31) for _ in range(rng.choice((5, 6, 8)))],)


def _small(rng: random.Random) -> tuple[list[int]]:
    return ([rng.randrange(-9, 16) for _ in range(rng.choice((6, 8, 10)))],)


def _many(rng: random.Random) -> tuple[list[int]]:
    return ([rng.randrange(0, 50) for _ in range(rng.choice((9, 14, 26)))],)


def _words(rng: random.Random) -> tuple[list[str]]:
    return (rng.sample(WORDS, rng.choice((3, 4, 6))),)


def _text(rng: random.Random) -> tuple[str]:
    return (" ".join(rng.sample(WORDS, rng.choice((2, 3, 4)))),)


def _word(rng: random.Random) -> tuple[str]:
    return (rng.choice(WORDS),)


def _int(rng: random.Random) -> tuple[int]:
    return (rng.randrange(1, 400),)


def _count(rng: random.Random) -> tuple[int]:
    return (rng.randrange(1, 31),)


def _dict(rng: random.Random) -> tuple[dict[str, int]]:
    return ({word: rng.randrange(1, 26) for word in rng.sample(WORDS, 5)},)


FAMILIES = (
    Family(
        "add_number",
        1,
        "n: int) -> int",
        "Return n plus <k>.",
        "return n + <k>",
        ("return n * <k>", "return <k>"),
        _int,
        ((0,), (-5,)),
    ),
    Family(
        "is_above",
        1,
        "n: int) -> bool",
        "Return True if n is greater than <k>, and False otherwise.",
        "return n > <k>",
        ("return n >= <k>", "return n < <k>"),
        _count,
        tuple((n,) for n in range(1, 24)),
    ),
    Family(
        "is_divisible",
        1,
        "n: int) -> bool",
        "Return True if n is divisible by <k>, and False otherwise.",
        "return n % <k> == 0",
        ("return n % <k> == 1", "return n / <k> == 0"),
        _int,
        ((0,), (232792560,), (1,)),
    ),
    Family(
        "first_characters",
        1,
        "text: str) -> str",
        "Return the first <k> characters of the text.",
        "return text[:<k>]",
        ("return text[<k>:]", "return text[:<k> - 1]"),
        _text,
        (("",), ("a long text that has more characters than that",)),
    ),
    Family(
        "add_ending",
        1,
        "text: str) -> str",
        "Return the text with '<sep><word>' added at the end.",
        "return text + '<sep><word>'",
        ("return '<sep><word>' + text", "return text + '<word>'"),
        _word,
        (("",),),
    ),
    Family(
        "remove_letter",
        1,
        "text: str) -> str",
        "Return the text without any '<c>' and with '<mark>' added at the end.",
        "return text.replace('<c>', '') + '<mark>'",
        ("return text.replace('<c>', '<mark>')", "return text.replace('<c>', '')"),
        _text,
        (("",), ("aeiorstln",)),
    ),
    Family(
        "multiply_all",
        1,
        "numbers: list[int]) -> list[int]",
        "Return a list with every number multiplied by <k>.",
        "return [n * <k> for n in numbers]",
        ("return numbers * <k>", "return [n + <k> for n in numbers]"),
        _small,
        (([],),),
    ),
    Family(
        "keep_above",
        1,
        "numbers: list[int]) -> list[int]",
        "Return the numbers in the list that are greater than <k>.",
        "return [n for n in numbers if n > <k>]",
        ("return [n for n in numbers if n >= <k>]", "return [n for n in numbers if n < <k>]"),
        _numbers,
        (([],), (list(range(25)),)),
    ),
    Family(
        "value_of",
        1,
        "stock: dict[str, int]) -> int",
        "Return the value of the key '<word>', or <k> if the dictionary does not have that key.",
        "return stock.get('<word>', <k>)",
        ("return stock['<word>']", "return <k>"),
        _dict,
        (({},), ({w: i + 40 for i, w in enumerate(PARAMETERS["word"])},)),
    ),
    Family(
        "append_number",
        1,
        "numbers: list[int]) -> list[int]",
        "Return the list sorted from small to large, with <k> added at the end.",
        "return sorted(numbers) + [<k>]",
        ("return sorted(numbers + [<k>])", "return numbers + [<k>]"),
        _many,
        (([],), ([30, 40, 1],)),
    ),
    Family(
        "count_multiples",
        1,
        "numbers: list[int]) -> int",
        "Return how many numbers in the list are divisible by <k>.",
        "return sum(1 for n in numbers if n % <k> == 0)",
        ("return sum(n for n in numbers if n % <k> == 0)", "return len(numbers) // <k>"),
        _many,
        (([],), ([0, 1],)),
    ),
    Family(
        "sum_above",
        1,
        "numbers: list[int]) -> int",
        "Return the sum of the numbers that are greater than <k>. Numbers equal to <k> do not count.",
        "return sum(n for n in numbers if n > <k>)",
        ("return sum(n for n in numbers if n >= <k>)", "return sum(1 for n in numbers if n > <k>)"),
        _numbers,
        (([],), (list(range(25)),)),
    ),
    Family(
        "replace_above",
        1,
        "numbers: list[int]) -> list[int]",
        "Return the list with every number greater than <k> replaced by <lo>.",
        "return [<lo> if n > <k> else n for n in numbers]",
        ("return [n for n in numbers if n <= <k>]", "return [<k> if n > <k> else n for n in numbers]"),
        _numbers,
        (([],), ([40, 30, 20, 10, 0],)),
    ),
    Family(
        "clamp_all",
        2,
        "numbers: list[int]) -> list[int]",
        "Return the list with numbers below <lo> raised to <lo> and numbers above <hi> lowered to <hi>.",
        "return [max(<lo>, min(<hi>, n)) for n in numbers]",
        ("return [n for n in numbers if <lo> <= n <= <hi>]", "return [min(<lo>, max(<hi>, n)) for n in numbers]"),
        _small,
        (([],), ([-20, 20, 3],)),
    ),
    Family(
        "double_multiples",
        1,
        "numbers: list[int]) -> list[int]",
        "Return the list with every number divisible by <s> multiplied by <t>, and the others unchanged.",
        "return [n * <t> if n % <s> == 0 else n for n in numbers]",
        ("return [n * <t> for n in numbers if n % <s> == 0]", "return [n * <t> for n in numbers]"),
        _small,
        (([],), ([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12],)),
    ),
    Family(
        "pieces",
        2,
        "items: list[int]) -> list[list[int]]",
        "Split the list into pieces of <k> items in the same order. The last piece may be shorter.",
        "return [items[i:i + <k>] for i in range(0, len(items), <k>)]",
        ("return [items[i:i + <k>] for i in range(len(items))]", "return [items[:<k>], items[<k>:]]"),
        _many,
        (([],), (list(range(30)),)),
    ),
    Family(
        "rotate_left",
        2,
        "items: list[int]) -> list[int]",
        "Move the first <t> items of the list to its end and put <k> after them.",
        "return items[<t>:] + items[:<t>] + [<k>]",
        ("return items[<t>:] + [<k>] + items[:<t>]", "return items[-<t>:] + items[:-<t>] + [<k>]"),
        _many,
        (([],), (list(range(30)),)),
    ),
    Family(
        "every_other_from",
        1,
        "items: list[int]) -> list[int]",
        "Return the items at the indexes <t>, <t> + <s>, <t> + 2 * <s> and so on, as far as the list goes.",
        "return items[<t>::<s>]",
        ("return items[::<s>]", "return items[<s>::<t>]"),
        _many,
        (([],), (list(range(40)),)),
    ),
    Family(
        "first_above",
        2,
        "numbers: list[int]) -> int",
        "Return the index of the first number greater than <k>, or -1 if there is none.",
        "for i, n in enumerate(numbers):\n    if n > <k>:\n        return i\nreturn -1",
        (
            "for i, n in enumerate(numbers):\n    if n > <k>:\n        return n\nreturn -1",
            "return numbers.index(max(numbers)) if numbers else -1",
        ),
        _many,
        (([],), ([0, 1],), ([1, 23, 40],)),
    ),
    Family(
        "has_pair_with_sum",
        3,
        "numbers: list[int]) -> bool",
        "Return True if two numbers at different positions add up to <k>, and False otherwise.",
        "for i in range(len(numbers)):\n    for j in range(i + 1, len(numbers)):\n        if numbers[i] + "
        "numbers[j] == <k>:\n            return True\nreturn False",
        ("return any(a + b == <k> for a, b in zip(numbers, numbers[1:]))", "return <k> in numbers"),
        _small,
        (([],), (list(range(0, 24, 3)),), ([1, 50, 2, 60, 5, 70, 9, 80, 14],), ([0, 90, 3, 8, 91, 4, 11, 92, 7, 93],)),
    ),
    Family(
        "gaps_over",
        3,
        "numbers: list[int]) -> int",
        "Return how often two neighbours in the list differ by more than <k>, in either direction.",
        "return sum(1 for a, b in zip(numbers, numbers[1:]) if abs(a - b) > <k>)",
        (
            "return sum(1 for a, b in zip(numbers, numbers[1:]) if b - a > <k>)",
            "return sum(1 for a, b in zip(numbers, numbers[1:]) if abs(a - b) >= <k>)",
        ),
        _many,
        (([],), ([40, 0, 40, 0],), ([i * (i + 1) // 2 for i in range(26)],)),
    ),
    Family(
        "longest_run",
        3,
        "numbers: list[int]) -> int",
        "Return the length of the longest stretch of neighbouring numbers that are all less than <k>.",
        "best = current = 0\nfor n in numbers:\n    current = current + 1 if n < <k> else 0\n    best = max(best, "
        "current)\nreturn best",
        (
            "return sum(1 for n in numbers if n < <k>)",
            "current = 0\nfor n in numbers:\n    current = current + 1 if n < <k> else 0\nreturn current",
        ),
        _many,
        (([],), ([0, 1, 30, 0, 1, 1, 40, 1],)),
    ),
    Family(
        "largest_below",
        2,
        "numbers: list[int]) -> int | None",
        "Return the largest number that is less than <k>, or None if there is none.",
        "below = [n for n in numbers if n < <k>]\nreturn max(below) if below else None",
        (
            "below = [n for n in numbers if n <= <k>]\nreturn max(below) if below else None",
            "below = [n for n in numbers if n < <k>]\nreturn min(below) if below else None",
        ),
        _many,
        (([],), ([40, 50],), (list(range(25)),)),
    ),
    Family(
        "weighted_sum",
        2,
        "numbers: list[int]) -> int",
        "Return the sum of the list, where numbers at even indexes count <s> times and the others count <t> times.",
        "return sum(n * <s> if i % 2 == 0 else n * <t> for i, n in enumerate(numbers))",
        ("return sum(n * <s> if n % 2 == 0 else n * <t> for n in numbers)", "return sum(numbers) * <s> * <t>"),
        _small,
        (([],), ([1, 10, 100],)),
    ),
    Family(
        "sum_until",
        3,
        "numbers: list[int]) -> int",
        "Add up the numbers from the start and stop before the first number that is greater than <k>. Return the sum.",
        "total = 0\nfor n in numbers:\n    if n > <k>:\n        break\n    total += n\nreturn total",
        (
            "return sum(n for n in numbers if n <= <k>)",
            "total = 0\nfor n in numbers:\n    total += n\n    if n > <k>:\n        break\nreturn total",
        ),
        _many,
        (([],), ([1, 2, 40, 1],)),
    ),
    Family(
        "keep_long_words",
        1,
        "words: list[str]) -> list[str]",
        "Return the words that have more than <s> letters and contain the letter '<c>', in the same order.",
        "return [w for w in words if len(w) > <s> and '<c>' in w]",
        ("return [w for w in words if len(w) > <s> or '<c>' in w]", "return [w for w in words if len(w) > <s>]"),
        _words,
        (([],), (list(WORDS),), (["a", "e", "i", "o", "r", "s", "t", "l", "n", "extraordinarily", "rhythmically"],)),
    ),
    Family(
        "count_letters",
        1,
        "text: str) -> int",
        "Return how often the letters '<c>' and '<d>' occur in the text, both together. Capital letters count too.",
        "text = text.lower()\nreturn text.count('<c>') + text.count('<d>')",
        ("return text.count('<c>') + text.count('<d>')", "return text.lower().count('<c><d>')"),
        _text,
        (
            ("",),
            ("A Big Rabbit Eats Many Old Cucumbers In Silent Woods Under Dusty Lamps To Go On",),
            ("ABCDEFGHIJKLMNOPQRSTUVW",),
        ),
    ),
    Family(
        "swap_letters",
        2,
        "text: str) -> str",
        "Return the text with every '<c>' turned into '<d>' and every '<d>' turned into '<c>'.",
        "result = ''\nfor x in text:\n    result += '<d>' if x == '<c>' else '<c>' if x == '<d>' else x\nreturn result",
        ("return text.replace('<c>', '<d>').replace('<d>', '<c>')", "return text.replace('<c>', '<d>')"),
        _text,
        (("",), ("abcdegilmnoprstuw",)),
    ),
    Family(
        "mask_text",
        2,
        "text: str) -> str",
        "Return the text with every character after the first <t> replaced by '<mark>'.",
        "return text[:<t>] + '<mark>' * (len(text) - <t>)",
        ("return '<mark>' * len(text)", "return text[:<t>] + '<mark>'"),
        _text,
        (("",), ("ab",)),
    ),
    Family(
        "hide_vowels",
        1,
        "text: str) -> str",
        "Return the text with every vowel (a, e, i, o, u) replaced by '<mark>' and every '<d>' doubled.",
        "result = ''\nfor x in text:\n    result += '<mark>' if x in 'aeiou' else x * 2 if x == '<d>' else x\n"
        "return result",
        (
            "result = ''\nfor x in text:\n    result += '<mark>' if x in 'aeiou' else x\nreturn result",
            "return text.replace('<d>', '<d><d>')",
        ),
        _text,
        (("",), ("abcdegimpuw",)),
    ),
    Family(
        "join_initials",
        1,
        "text: str) -> str",
        "Return the first <s> letters of each word of the text, joined by '<sep>'.",
        "return '<sep>'.join(w[:<s>] for w in text.split())",
        ("return ''.join(w[:<s>] for w in text.split())", "return '<sep>'.join(text.split()[:<s>])"),
        _text,
        (("",), ("one",)),
    ),
    Family(
        "repeat_words",
        2,
        "words: list[str]) -> str",
        "Repeat each word <s> times and join all of them by '<sep>', equal words side by side.",
        "return '<sep>'.join(w for w in words for _ in range(<s>))",
        ("return '<sep>'.join(words * <s>)", "return '<sep>'.join(w * <s> for w in words)"),
        _words,
        (([],), (["ab", "c"],)),
    ),
    Family(
        "shift_letters",
        3,
        "text: str) -> str",
        "Move every lower-case letter <k> places on in the alphabet; after z comes a. Leave other characters as "
        "they are.",
        "result = ''\nfor x in text:\n    if 'a' <= x <= 'z':\n        x = chr((ord(x) - ord('a') + <k>) % 26 + "
        "ord('a'))\n    result += x\nreturn result",
        (
            "return ''.join(chr(ord(x) + <k>) for x in text)",
            "return ''.join(chr((ord(x) - ord('a') + <k>) % 26 + ord('a')) for x in text)",
        ),
        _text,
        (("",), ("a z!",)),
    ),
    Family(
        "words_by_length",
        3,
        "words: list[str]) -> dict[int, list[str]]",
        "Group the words by their length, in a dictionary from length to list of words. Leave out words with fewer "
        "than <s> letters or with the letter '<c>'.",
        "groups = {}\nfor w in words:\n    if len(w) >= <s> and '<c>' not in w:\n        groups.setdefault(len(w), "
        "[]).append(w)\nreturn groups",
        (
            "groups = {}\nfor w in words:\n    groups.setdefault(len(w), []).append(w)\nreturn groups",
            "return {len(w): [w] for w in words if len(w) >= <s> and '<c>' not in w}",
        ),
        _words,
        (([],), (["a", "ox", "bed", "cup", "hymn", "gypsy", "puffy", "pygmy", "bumpy", "bubbly", "humbug", "jumbly"],)),
    ),
    Family(
        "rich_keys",
        2,
        "stock: dict[str, int]) -> list[str]",
        "Return the keys whose value is at least <k>, sorted by the alphabet.",
        "return sorted(name for name, n in stock.items() if n >= <k>)",
        (
            "return sorted(name for name, n in stock.items() if n > <k>)",
            "return [name for name, n in stock.items() if n >= <k>]",
        ),
        _dict,
        (({},), ({chr(122 - i): i for i in range(26)},)),
    ),
    Family(
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
        _dict,
        (({},), ({"a": 0, "b": 50},)),
    ),
    Family(
        "bill",
        2,
        "prices: dict[str, int]) -> int",
        "Return the sum of the prices. Each price above <k> is reduced by <s> before it is added.",
        "return sum(p - <s> if p > <k> else p for p in prices.values())",
        (
            "total = sum(prices.values())\nreturn total - <s> if total > <k> else total",
            "return sum(p - <s> if p >= <k> else p for p in prices.values())",
        ),
        _dict,
        (({},), ({chr(97 + i): i for i in range(26)},)),
    ),
    Family(
        "counting_game",
        2,
        "n: int) -> list[str]",
        "Return the numbers from 1 to n as strings, with '<word>' in place of every number divisible by <t>.",
        "return ['<word>' if i % <t> == 0 else str(i) for i in range(1, n + 1)]",
        (
            "return ['<word>' if i % <t> == 0 else str(i) for i in range(n)]",
            "return ['<word>' if i % <t> == 0 else i for i in range(1, n + 1)]",
        ),
        _count,
        ((0,), (1,)),
    ),
    Family(
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
    Family(
        "sum_without",
        1,
        "n: int) -> int",
        "Return the sum of the whole numbers from 1 to n, n included, that are not divisible by <t>, plus <k>.",
        "return sum(i for i in range(1, n + 1) if i % <t> != 0) + <k>",
        (
            "return sum(i for i in range(1, n) if i % <t> != 0) + <k>",
            "return sum(i for i in range(1, n + 1) if i % <t> == 0) + <k>",
        ),
        _count,
        ((0,), (1,)),
    ),
    Family(
        "digit_sum",
        3,
        "n: int) -> int",
        "Return the sum of the digits of n that are at least <s>, multiplied by <t>.",
        "return sum(int(d) for d in str(n) if int(d) >= <s>) * <t>",
        ("return sum(int(d) for d in str(n)) * <t>", "return sum(int(d) for d in str(n) if int(d) > <s>) * <t>"),
        _int,
        ((0,), (1234567890,)),
    ),
    Family(
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
