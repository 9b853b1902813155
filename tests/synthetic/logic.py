"""LogiQA as AGIEval prints it, BIG-bench logical deduction, C-Eval logic."""

from __future__ import annotations

import itertools
from functools import partial
from typing import Any

from tests.synthetic.words import PEOPLE, PEOPLE_ZH, PLACES, PLACES_ZH, TOOLS, turned

# How the four options of an item are marked. In some items they are printed A, C, B, D, and the key names the printed
# letter; in one form the text itself begins with what looks like a mark.
PLAIN, SWAPPED, WIDE, BARE = "ABCD", "ACBD", "A．B．C．D．", "A B C D "
PLACE_OF_SWAPPED, PLACE_OF_WIDE, PLACE_OF_BARE = 4, 6, 8  # of every ten items


def logiqa(language: str, passages: int = 66) -> list[dict[str, Any]]:
    """Two questions on each passage: who came first, who came last."""
    return [_logiqa_row(language, number, which) for number in range(passages) for which in (0, 1)]


def _logiqa_row(language: str, passage: int, which: int) -> dict[str, Any]:
    item = 2 * passage + which
    people = turned(PEOPLE_ZH if language == "zh" else PEOPLE, passage, 4)
    if language == "zh":
        place = f"{PLACES_ZH[passage % len(PLACES_ZH)]}{passage}号"
        before = "，".join(f"{a}比{b}先到" for a, b in itertools.pairwise(people))
        passage_text, question = f"四个人约在{place}见面。{before}。", ("谁第一个到？", "谁最后一个到？")[which]
        texts = [f"{name}{('第一个', '最后一个')[which]}到。" for name in people]
    else:
        place = f"the {PLACES[passage % len(PLACES)]} in street {passage}"
        before = ", ".join(f"{a} came before {b}" for a, b in itertools.pairwise(people))
        passage_text, question = f"Four friends met at {place}. {before}.", ("Who came first?", "Who came last?")[which]
        texts = [f"{name} came {('first', 'last')[which]}." for name in people]
    right = texts[0 if which == 0 else 3]
    texts = turned(tuple(texts), passage, 4)
    options = _marked(texts, item % 10)
    return {
        "passage": passage_text,
        "question": question,
        "options": options,
        "label": "ABCD"[texts.index(right)],
        "answer": None,
        "other": None,
    }


def _marked(texts: list[str], place: int) -> list[str]:
    """The options as they are printed; `texts` are in the order of their letters."""
    if place == PLACE_OF_SWAPPED:
        return [f"({letter}){texts['ABCD'.index(letter)]}" for letter in SWAPPED]
    if place == PLACE_OF_WIDE:
        return [f"{letter}．{text}" for letter, text in zip(PLAIN, texts, strict=True)]
    if place == PLACE_OF_BARE:
        return [f"{letter} {text}" for letter, text in zip(PLAIN, texts, strict=True)]
    return [f"({letter}){text}" for letter, text in zip(PLAIN, texts, strict=True)]


NUMBERS = {3: "three", 5: "five", 7: "seven"}


def logical_deduction(objects: int, paragraphs: int) -> dict[str, Any]:
    """As many questions on each paragraph as there are objects, one for each place from the left."""
    return {
        "canary": "synthetic",
        "name": f"{NUMBERS[objects]}_objects",
        "description": f"The order of {NUMBERS[objects]} tools, from clues",
        "keywords": ["logical reasoning", "multiple choice"],
        "preferred_score": "multiple_choice_grade",
        "metrics": ["multiple_choice_grade"],
        "task_prefix": "Each paragraph tells the order of some tools.\n\n",
        "example_input_prefix": "",
        "example_output_prefix": " ",
        "append_choices_to_input": False,
        "choice_prefix": "",
        "few_shot_example_separator": "\n\n",
        "examples": [_deduction(objects, number, place) for number in range(paragraphs) for place in range(objects)],
    }


def _deduction(objects: int, paragraph: int, place: int) -> dict[str, Any]:
    order = turned(TOOLS, paragraph, objects)
    named = ", ".join(f"a {tool}" for tool in sorted(order))
    clues = " ".join(f"The {b} lies to the right of the {a}." for a, b in itertools.pairwise(order))
    return {
        "input": f"On bench {paragraph} lie {NUMBERS[objects]} tools: {named}. {clues}",
        "target_scores": {
            f"The {tool} is number {place + 1} from the left.": int(tool == order[place]) for tool in sorted(order)
        },
    }


def ceval(numbers: range, *, explained: bool) -> list[dict[str, Any]]:
    """Which number follows; only the dev split has explanations."""
    return [
        {
            "id": n,
            "question": f"从{n}开始逐一往下数，紧接在{n}之后的是",
            **{letter: f"数{n + 1 + (k - n) % 4}" for k, letter in enumerate("ABCD")},
            "answer": "ABCD"[n % 4],
            "explanation": f"{n}加一得{n + 1}。" if explained else "",
        }
        for n in numbers
    ]


FILES = {
    "logiqa_en": partial(logiqa, "en"),
    "logiqa_zh": partial(logiqa, "zh"),
    "logical_deduction_three": partial(logical_deduction, 3, 44),
    "logical_deduction_five": partial(logical_deduction, 5, 29),
    "logical_deduction_seven": partial(logical_deduction, 7, 22),
    "ceval_logic_val": partial(ceval, range(120), explained=False),
    "ceval_logic_dev": partial(ceval, range(200, 205), explained=True),
}
SHARED = "reserved for few-shot prompts, with the items that share their passage"
COUNTS = {
    **dict.fromkeys(("logiqa_en", "logiqa_zh"), (122, {SHARED: 10})),
    "logical_deduction_three": (117, {SHARED: 15}),
    "logical_deduction_five": (120, {SHARED: 25}),
    "logical_deduction_seven": (119, {SHARED: 35}),
    "ceval_logic": (120, {}),
}
