"""C3, OCNLI, HellaSwag, BoolQ, OpenBookQA, StrategyQA and GSM8K."""

from __future__ import annotations

from functools import partial
from typing import Any

from tests.synthetic import requests
from tests.synthetic.words import FRUIT, PEOPLE, PEOPLE_ZH, PLACES, PLACES_ZH, turned

AMBIGUOUS = 2  # the place in C3's train files of a document whose one question has its answer twice among the choices


def c3(kind: str, numbers: range, *, ambiguous: bool = False) -> list[list[Any]]:
    """Documents ``[lines, questions, id]`` with one to three questions; a dialogue has a line for each turn."""
    found = [_document(kind, n) for n in numbers]
    if ambiguous:
        (question, *_) = found[AMBIGUOUS][1]
        question["choice"] = [question["answer"], *question["choice"][1:-1], question["answer"]]
    return found


def _document(kind: str, number: int) -> list[Any]:
    count = ((4, 3, 4, 4), (4, 2, 3, 4))[kind == "m"][number % 4]
    people, places = turned(PEOPLE_ZH, number, count), turned(PLACES_ZH, number, count)
    told = [f"{who}在第{number}天去了{where}" for who, where in zip(people, places, strict=True)]
    lines = [f"{'男女'[k % 2]}：{text}。" for k, text in enumerate(told)] if kind == "d" else [f"{'，'.join(told)}。"]
    questions = [
        {"question": f"{people[k]}去了哪里？", "choice": turned(tuple(places), number, count), "answer": places[k]}
        for k in range(min(count, 1 + number % 3))
    ]
    return [lines, questions, f"{kind}-{number}"]


OCNLI_LABELS, UNLABELLED = ("entailment", "neutral", "contradiction"), "-"


def ocnli(numbers: range, *, annotators: bool) -> list[dict[str, Any]]:
    """Three hypotheses on each premise, one of each label; every fortieth pair has no label."""
    rows = []
    for n in numbers:
        premise, label = n // 3, OCNLI_LABELS[n % 3]
        who, where = PEOPLE_ZH[premise % len(PEOPLE_ZH)], PLACES_ZH[premise % len(PLACES_ZH)]
        hypothesis = (f"{who}在等人", f"{who}等了一整天", f"{where}没有人")[n % 3]
        each = [label if annotators else None] * 5
        if n % 40 == 25:
            label = UNLABELLED
        rows.append(
            {
                "level": ("easy", "medium", "hard")[n % 3],
                "sentence1": f"第{premise}天，{who}正站在{where}等一位朋友",
                "sentence2": hypothesis,
                "label": label,
                **{f"label{k}": each[k] for k in range(5)},
                "genre": "own",
                "prem_id": f"own_{premise}",
                "id": n,
            }
        )
    return rows


def hellaswag(numbers: range) -> list[dict[str, Any]]:
    """Half of the contexts have WikiHow's marks; two items share a source."""
    rows = []
    for n in numbers:
        mark = ("[header] How to count [title] ", "")[n % 2]
        rows.append(
            {
                "ind": n,
                "activity_label": f"Counting {FRUIT[n % len(FRUIT)]}s",
                "ctx_a": f"{mark}{PEOPLE[n % len(PEOPLE)]} counts from {n}.",
                "ctx_b": "then",
                "ctx": f"{mark}{PEOPLE[n % len(PEOPLE)]} counts from {n}.  then",
                "split": "val",
                "split_type": "indomain",
                "label": n % 4,
                "endings": [f"says {n + 1 + (k - n) % 4}.{' [step] Goes on.' if n % 2 == 0 else ''}" for k in range(4)],
                "source_id": f"own~{n // 2}",
            }
        )
    return rows


def boolq(count: int = 130) -> list[dict[str, Any]]:
    """Two questions on each passage; in every tenth passage a question stands as well."""
    return [_boolq_row(n // 2, n % 2) for n in range(count)]


def _boolq_row(passage: int, which: int) -> dict[str, Any]:
    who, where = PEOPLE[passage % len(PEOPLE)], turned(PLACES, passage, 2)
    text = f"House {passage} -- {who} lives in house {passage}, near the {where[0]}."
    if passage % 10 == 7:
        text += f"\nQuestion: who lives near the {where[0]}? {who} does."
    right = (passage + which) % 2
    question = f"does {who.lower()} of house {passage} live near the {where[0] if right else where[1]}"
    return {"query": f"Passage: {text}\nQuestion: {question}? ", "choices": ["no", "yes"], "gold": right}


def openbookqa(count: int = 120) -> list[dict[str, Any]]:
    """Beginnings of a sentence with four ways to end it."""
    rows = []
    for n in range(count):
        fruit, places = FRUIT[n % len(FRUIT)], turned(PLACES, n, 4)
        query = f"A {fruit} was left at the {places[n % 4]} on day {n}. It is still to be found at"
        rows.append({"query": query, "choices": [f"the {place}" for place in places], "gold": n % 4})
    return rows


def strategyqa(count: int = 125) -> dict[str, Any]:
    """Yes/no questions; the target says the answer and then the facts."""
    examples = []
    for n in range(count):
        right, who = n % 3 != 0, PEOPLE[n % len(PEOPLE)]
        coins = 2 * n + (4 if right else 0)
        facts = f"{who} has {coins} coins. A ticket costs {2 * n + 3} coins. One needs as many as it costs."
        examples.append(
            {
                "input": f"Can {who}, who has {coins} coins, buy ticket {n} for {2 * n + 3} coins?",
                "target_scores": {"Yes": int(right), "No": int(not right)},
                "target": f"{'Yes' if right else 'No'}. {facts}",
            }
        )
    return {
        "canary": "synthetic",
        "name": "strategyqa",
        "description": "Yes or no, by two facts",
        "keywords": ["common sense"],
        "preferred_score": "multiple_choice_grade",
        "metrics": ["multiple_choice_grade"],
        "append_choices_to_input": False,
        "examples": examples,
    }


def gsm8k(count: int, *, first: int) -> list[dict[str, Any]]:
    """Worked answers with the calculator's marks; some results have a comma for the thousands, some are negative."""
    rows = []
    for n in range(first, first + count):
        who, price = PEOPLE[n % len(PEOPLE)], 400 if n % 4 == 3 else 3
        spent = 5 if n % 7 != 6 else price * n + 9
        left = n * price - spent
        rows.append(
            {
                "question": f"{who} sells {n} baskets at ${price} each and spends ${spent}. How much is left?",
                "answer": f"The baskets bring {n} * {price} = $<<{n}*{price}={n * price}>>{n * price}.\n"
                f"Left are {n * price} - {spent} = $<<{n * price}-{spent}={left}>>{left}.\n#### {left:,}",
            }
        )
    return rows


FILES = {
    "c3_d_dev": partial(c3, "d", range(60)),
    "c3_m_dev": partial(c3, "m", range(60)),
    "c3_d_train": partial(c3, "d", range(100, 112), ambiguous=True),
    "c3_m_train": partial(c3, "m", range(100, 112), ambiguous=True),
    "ocnli_dev": partial(ocnli, range(123), annotators=True),
    "ocnli_train": partial(ocnli, range(300, 345), annotators=False),
    "hellaswag_val": partial(hellaswag, range(120)),
    "hellaswag_train": partial(hellaswag, range(120, 136)),
    "boolq": boolq,
    "openbookqa": openbookqa,
    "openbookqa_train": partial(requests.lettered, "openbookqa", 12),
    "strategyqa": strategyqa,
    "gsm8k_test": partial(gsm8k, 120, first=2),
    "gsm8k_train": partial(gsm8k, 12, first=200),
}
COUNTS = {
    "c3_dialogue": (120, {}),
    "c3_mixed": (115, {}),
    "ocnli": (120, {"no label": 3}),
    "hellaswag": (120, {}),
    "boolq": (120, {"reserved for few-shot prompts, with the items that share their passage": 10}),
    "openbookqa": (120, {}),
    "strategyqa": (120, {"reserved for few-shot prompts": 5}),
    "gsm8k": (120, {}),
}
