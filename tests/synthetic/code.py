"""CoSQA, MBPP in its full and its sanitized form, HumanEval: small programs with their tests."""

from __future__ import annotations

from functools import partial
from typing import Any

from tests.synthetic.words import FRUIT

DEV, TRAIN = 120, 70
PROMPT_IDS, TEST_IDS, OTHER_IDS = range(1, 11), range(11, 131), range(511, 531)
# Of the full set: an item whose tests need something set up, one whose answer is over 500 characters long. In every
# fourth of the test items two tests expect the same value; one prompt item has no `f(...) == value`.
SET_UP, LONG, UNREADABLE = 19, 23, 2


def cosqa(part: str, count: int) -> list[dict[str, Any]]:
    """Queries with a function. In train nearly all of the first are wrong, and every ninth is also a dev function."""
    return [_query(part, n) for n in range(count)]


def _query(part: str, number: int) -> dict[str, Any]:
    of_dev = part == "dev" or number % 9 == 1
    right = number % 2 == 0 if part == "dev" else number % 8 == 7
    name = f"{'sum' if of_dev else 'product'}_with_{number // 2 if part == 'dev' else number}"
    sign, verb = ("+", "add") if of_dev else ("*", "multiply")
    amount = name.rsplit("_", 1)[1]
    doc = f"{verb.capitalize()} {amount} and a number."
    return {
        "idx": f"cosqa-{part}-{number}",
        "doc": f"python {verb} {amount} number"
        if right
        else f"python count {FRUIT[number % len(FRUIT)]} in list {number}",
        "code": f'def {name}(x):\n    """{doc}"""\n    return x {sign} {amount}',
        "code_tokens": f"def {name} ( x ) : return x {sign} {amount}",
        "docstring_tokens": doc.replace(".", " ."),
        "label": int(right),
    }


Program = tuple[str, str, list[str]]
"""What is asked, the program, the calls with their values as `f(...) == value`."""


def _program(number: int) -> Program:
    """One of five kinds of program."""
    kind, fruit = number % 5, FRUIT[number % len(FRUIT)]
    name = f"{('shift', 'label', 'repeat', 'count', 'halves')[kind]}_{number}"
    if kind == 0:
        return (
            f"Write a function to add {number} to each number of a list.",
            f"def {name}(numbers):\n    return [n + {number} for n in numbers]",
            [f"{name}([{k}, 2]) == [{k + number}, {2 + number}]" for k in (1, 5, 9)],
        )
    if kind == 1:
        return (
            f"Write a function to put the word {fruit} before a word.",
            f'def {name}(word):\n    return "{fruit} " + word',
            [f'{name}("{word}")=="{fruit} {word}"' for word in ("jam", "tart", "tree")],
        )
    if kind == 2:
        return (
            f"Write a function to repeat a text {number % 7 + 2} times.",
            f"def {name}(text, mark):\n    return mark.join([text] * {number % 7 + 2})",
            [f"{name}('{t}', '-') == '{'-'.join([t] * (number % 7 + 2))}'" for t in ("a", "bc", "d")],
        )
    if kind == 3:
        return (
            f"Write a function to count the letters of words longer than {number % 3}.",
            f"def {name}(words):\n    return {{w: len(w) for w in words if len(w) > {number % 3}}}",
            [f"{name}(['', '{w}']) == {{'{w}': {len(w)}}}" for w in ("fig", "lemon", "date")],
        )
    return (
        f"Write a function to give the half of a number and {number} more.",
        f"def {name}(x):\n    return (x / 2, x / 2 + {number})",
        [f"{name}({x}) == ({x / 2}, {x / 2 + number})" for x in (1, 4, 7)],
    )


def mbpp() -> list[dict[str, Any]]:
    """Ids as the MBPP paper divides them; line ends are Windows's."""
    return [_mbpp_row(number) for part in (PROMPT_IDS, TEST_IDS, OTHER_IDS) for number in part]


def _mbpp_row(number: int) -> dict[str, Any]:
    text, code, calls = _program(number)
    setup = ""
    if number == SET_UP:
        name = "half_of_stock"
        text, code = "Write a function to halve what is in stock.", f"def {name}(stock):\n    return stock.amount / 2"
        setup = "class Stock:\n    amount = 8\nstock = Stock()"
        calls = [f"{name}(stock) == 4.0"] * 3
    elif number == LONG:
        text, code = "Write a function to write a long row.", "def long_row(count):\n    return 'ab' * count"
        calls = [f"long_row({count}) == '{'ab' * count}'" for count in (300, 301, 302)]
    elif number == UNREADABLE:
        calls = [f"len({call.replace(' == ', ') == len(')})" for call in calls]
    elif number % 4 == 0:
        calls = [*calls[:2], calls[1]]
    return {
        "text": text,
        "code": code.replace("\n", "\r\n"),
        "task_id": number,
        "test_setup_code": setup.replace("\n", "\r\n"),
        "test_list": [f"assert {call}" for call in calls],
        "challenge_test_list": [],
    }


def mbpp_sanitized() -> list[dict[str, Any]]:
    """A part of the full set's ids; some tests need an import, some wrap the call in a function of Python's own."""
    ids = [*(2, 3, 4, 6, 7, 8, 9), *(n for n in TEST_IDS if n % 6), *OTHER_IDS]
    return [_sanitized_row(number) for number in ids]


def _sanitized_row(number: int) -> dict[str, Any]:
    prompt, code, calls = _program(number)
    imports = []
    if number % 5 == 4:
        imports, (_, last) = ["import math"], calls[0].split(" == ")
        calls = [*calls[1:], f"math.isclose({calls[0].split(' == ')[0]}[1], {last}[1])"]
    elif number % 5 == 0:
        calls = [f"set({call.replace(' == ', ') == set(')})" for call in calls]
    return {
        "source_file": "own",
        "task_id": number,
        "prompt": prompt,
        "code": code,
        "test_imports": imports,
        "test_list": [f"assert {call}" for call in calls],
    }


def humaneval(count: int = 24) -> list[dict[str, Any]]:
    """Signatures with a docstring, every third behind an import."""
    rows = []
    for n in range(count):
        _, code, calls = _program(n)
        signature, body = code.split("\n", 1)
        name = calls[0].split("(")[0]
        imported = "from typing import List\n\n\n" if n % 3 == 0 else ""
        example = calls[0].replace("==", " == ", 1).replace("  ", " ").split(" == ")
        shown = f"    >>> {example[0]}\n    {example[1]}\n"
        checks = "".join(f"    assert {call.replace(name, 'candidate', 1)}\n" for call in calls)
        rows.append(
            {
                "task_id": f"HumanEval/{n}",
                "prompt": f'{imported}{signature}\n    """ Do what the example shows.\n{shown}    """\n',
                "entry_point": name,
                "canonical_solution": f"{body}\n",
                "test": f"\n\nMETADATA = {{'author': 'own'}}\n\n\ndef check(candidate):\n{checks}\n",
            }
        )
    return rows


FILES = {
    "cosqa_dev": partial(cosqa, "dev", DEV),
    "cosqa_train": partial(cosqa, "train", TRAIN),
    "mbpp": mbpp,
    "mbpp_sanitized": mbpp_sanitized,
    "humaneval": humaneval,
}
RESERVED, OTHERS, LONG_ANSWER = (
    "reserved for few-shot prompts",
    "train and validation items",
    "an answer of over 500 characters",
)
COUNTS = {
    "cosqa": (120, {}),
    "mbpp_test": (120, {RESERVED: 10, "validation and train items": 20}),
    "mbpp_full": (140, {RESERVED: 10}),
    "mbpp_sanitized": (120, {RESERVED: 7}),
    "mbpp_study": (127, {}),
    "humaneval_python": (24, {}),
    "code_output": (118, {OTHERS: 20, RESERVED: 10, "needs what is set up before the call": 1, LONG_ANSWER: 1}),
    "code_output_choice": (88, {OTHERS: 20, RESERVED: 10, "not three different asserted values": 31, LONG_ANSWER: 1}),
}
