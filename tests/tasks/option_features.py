"""What the choices of an item give away by themselves: rules and classifiers that never solve the question.

    python -m tests.tasks.option_features            # 5,000 train items per domain
    python -m tests.tasks.option_features logic 1000

A feature gives each choice a number, from the choices alone or, for those in `QUESTION_FEATURES`, from the words that a
choice shares with the question. A rule picks the choice with the largest or the smallest number. Two kinds of
classifiers are cross-validated over items: on the features relative to the other choices, and on the text of single
choices, which finds words that occur in right answers only.
"""

from __future__ import annotations

import difflib
import math
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.suite.generated import CHOICES, GeneratedItem

from .generators import CHOICE_DOMAINS, stream

Floats = NDArray[np.float64]
Feature = Callable[[Sequence[str]], Sequence[float]]
FOLDS = 5
CHANCE = 1 / CHOICES


def tokens(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def numbers(text: str) -> list[float]:
    return [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?", text)]


def value(text: str) -> float:
    """The first number in the text; a fraction like 3/16 counts as one number."""
    found = numbers(text)
    fraction = re.match(r"(\d+)/(\d+)", text)
    return int(fraction[1]) / int(fraction[2]) if fraction else found[0] if found else 0.0


def ngrams(text: str, n: int) -> set[str]:
    padded = f" {text.lower()} "
    return {padded[i : i + n] for i in range(max(1, len(padded) - n + 1))}


def shape(text: str) -> str:
    """Digits and letters by kind; runs shortened: ``12 km`` becomes ``9 a``."""
    return re.sub(r"[a-z]+", "a", re.sub(r"[A-Z]+", "A", re.sub(r"\d+", "9", text)))


def jaccard(a: set[Any], b: set[Any]) -> float:
    return len(a & b) / max(len(a | b), 1)


def prefix(a: str, b: str) -> int:
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def each(measure: Callable[[str], float]) -> Feature:
    return lambda choices: [float(measure(choice)) for choice in choices]


def against_others(measure: Callable[[str, str], float], combine: Callable[[list[float]], float] = sum) -> Feature:
    return lambda choices: [
        float(combine([measure(a, b) for k, b in enumerate(choices) if k != i])) for i, a in enumerate(choices)
    ]


def same_parts(a: str, b: str) -> float:
    """At how many places two texts have the same token."""
    return sum(x == y for x, y in zip(tokens(a), tokens(b), strict=False))


def related_numbers(a: str, b: str) -> float:
    """Whether one value is a simple multiple of the other, as a common slip would make it."""
    x, y = abs(value(a)), abs(value(b))
    return float(x > 0 < y and any(math.isclose(max(x, y), k * min(x, y)) for k in (2, 3, 4, 10, 60, 100, 1000)))


def trailing_zeros(text: str) -> int:
    digits = re.sub(r"\D", "", text)
    return len(digits) - len(digits.rstrip("0"))


def from_median(choices: Sequence[str]) -> list[float]:
    values = [value(choice) for choice in choices]
    return [abs(v - float(np.median(values))) for v in values]


def commonness(choices: Sequence[str]) -> list[float]:
    """How often the tokens of a choice occur in all choices, on average."""
    counts = Counter(token for choice in choices for token in set(tokens(choice)))
    return [sum(counts[t] for t in tokens(c)) / max(len(tokens(c)), 1) for c in choices]


FEATURES: dict[str, Feature] = {
    "length": each(len),
    "words": each(lambda c: len(tokens(c))),
    "digits": each(lambda c: sum(ch.isdigit() for ch in c)),
    "capitals": each(lambda c: sum(ch.isupper() for ch in c)),
    "punctuation": each(lambda c: len(re.sub(r"[\w\s]", "", c))),
    "different characters": each(lambda c: len(set(c))),
    "longest word": each(lambda c: max(map(len, tokens(c)), default=0)),
    "negations": each(lambda c: len(re.findall(r"\b(?:not?|never|neither|nor|none|un\w+|No)\b", c))),
    "first number": each(value),
    "last number": each(lambda c: (numbers(c) or [0.0])[-1]),
    "sum of numbers": each(lambda c: sum(numbers(c))),
    "distance from the median": from_median,
    "distance from the mean": lambda cs: [abs(value(c) - sum(map(value, cs)) / len(cs)) for c in cs],
    "trailing zeros": each(trailing_zeros),
    "whole number": each(lambda c: value(c) == int(value(c))),
    "even number": each(lambda c: value(c) % 2 == 0),
    "last digit": each(lambda c: value(c) % 10),
    "simple multiples": against_others(related_numbers),
    "distance to the nearest number": against_others(lambda a, b: -abs(value(a) - value(b)), max),
    "alphabetical rank": lambda choices: [float(sorted(choices).index(c)) for c in choices],
    "similarity, bigrams": against_others(lambda a, b: jaccard(ngrams(a, 2), ngrams(b, 2))),
    "similarity, trigrams": against_others(lambda a, b: jaccard(ngrams(a, 3), ngrams(b, 3))),
    "similarity, letters": against_others(lambda a, b: jaccard(set(a), set(b))),
    "similarity, matching blocks": against_others(lambda a, b: difflib.SequenceMatcher(None, a, b).ratio()),
    "similarity to the nearest": against_others(lambda a, b: difflib.SequenceMatcher(None, a, b).ratio(), max),
    "similarity to the farthest": against_others(lambda a, b: difflib.SequenceMatcher(None, a, b).ratio(), min),
    "similarity, tokens": against_others(lambda a, b: jaccard(set(tokens(a)), set(tokens(b)))),
    "shared tokens": against_others(lambda a, b: len(set(tokens(a)) & set(tokens(b)))),
    "shared numbers": against_others(lambda a, b: len(set(numbers(a)) & set(numbers(b)))),
    "same parts at the same places": against_others(same_parts),
    "commonness of tokens": commonness,
    "common beginning": against_others(prefix),
    "common end": against_others(lambda a, b: prefix(a[::-1], b[::-1])),
    "same length": against_others(lambda a, b: -abs(len(a) - len(b))),
    "same shape": against_others(lambda a, b: shape(a) == shape(b)),
    "position": lambda choices: list(range(len(choices))),
}
QUESTION_FEATURES: dict[str, Callable[[str, str], float]] = {
    "words of the question": lambda q, c: len(set(tokens(c)) & set(tokens(q))),
    "share of words of the question": lambda q, c: len(set(tokens(c)) & set(tokens(q))) / max(len(tokens(c)), 1),
    "numbers of the question": lambda q, c: len(set(numbers(c)) & set(numbers(q))),
    "appears in the question": lambda q, c: c.strip(".").lower() in q.lower(),
}


def feature_values(item: GeneratedItem) -> dict[str, list[float]]:
    """One number per choice and feature."""
    values = {name: list(map(float, feature(item.choices))) for name, feature in FEATURES.items()}
    for name, measure in QUESTION_FEATURES.items():
        values[name] = [float(measure(item.question, choice)) for choice in item.choices]
    return values


def rule_accuracies(items: Sequence[GeneratedItem], values: Sequence[dict[str, list[float]]]) -> dict[str, float]:
    """Expected accuracy of every rule, guessing among the choices that it likes equally."""
    scores: dict[str, float] = {}
    for name in values[0]:
        for best, label in ((max, "most"), (min, "least")):
            total = 0.0
            for item, features in zip(items, values, strict=True):
                column = features[name]
                liked = [i for i, number in enumerate(column) if number == best(column)]
                total += (item.answer in liked) / len(liked)
            scores[f"{label}: {name}"] = total / len(items)
    for place in range(CHOICES):
        scores[f"place {place}"] = sum(item.answer == place for item in items) / len(items)
    return scores


def relative(values: dict[str, list[float]]) -> Floats:
    """Features of each choice relative to the others: number, rank and difference from the mean; choices x columns."""
    table = np.array(list(values.values()))
    table = np.sign(table) * np.log1p(np.abs(table))
    below = (table[:, None, :] < table[:, :, None]).sum(2)
    ties = (table[:, None, :] == table[:, :, None]).sum(2)
    places = np.eye(CHOICES)
    return np.vstack([table, below, ties, table - table.mean(1, keepdims=True), places]).T


def classifier_accuracies(items: Sequence[GeneratedItem], values: Sequence[dict[str, list[float]]]) -> dict[str, float]:
    """Cross-validated accuracy of classifiers that pick the choice which looks most like a right answer."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    texts = np.array([choice for item in items for choice in item.choices])
    every = np.vstack([relative(one) for one in values])
    alone = np.vstack([relative({name: one[name] for name in FEATURES}) for one in values])
    scaled = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=200))
    trees = HistGradientBoostingClassifier(max_iter=80, learning_rate=0.1, random_state=0)

    def text_model(**options: Any) -> Any:
        return make_pipeline(TfidfVectorizer(min_df=2, **options), LogisticRegression(C=3, solver="liblinear"))

    return {
        "choices, linear": _cross_validated(items, alone, scaled),
        "choices, boosted trees": _cross_validated(items, alone, trees),
        "with the question's words, linear": _cross_validated(items, every, scaled),
        "with the question's words, boosted trees": _cross_validated(items, every, trees),
        "words": _cross_validated(items, texts, text_model(token_pattern=r"\w+|[^\w\s]", ngram_range=(1, 2))),
        "characters": _cross_validated(items, texts, text_model(analyzer="char_wb", ngram_range=(1, 4))),
    }


def _cross_validated(items: Sequence[GeneratedItem], rows: Any, model: Any) -> float:
    answers = np.array([item.answer for item in items])
    right = (np.arange(CHOICES) == answers[:, None]).ravel()
    fold = np.random.default_rng(0).integers(FOLDS, size=len(items))
    hits = 0
    for k in range(FOLDS):
        held_out = np.repeat(fold == k, CHOICES)
        model.fit(rows[~held_out], right[~held_out])
        scores = model.predict_proba(rows[held_out])[:, 1].reshape(-1, CHOICES)
        hits += int((scores.argmax(1) == answers[fold == k]).sum())
    return hits / len(items)


def measure(items: Sequence[GeneratedItem]) -> tuple[dict[str, float], dict[str, float]]:
    """Accuracies of all rules and of all classifiers."""
    values = [feature_values(item) for item in items]
    return rule_accuracies(items, values), classifier_accuracies(items, values)


def report(domain: str, count: int) -> Iterator[str]:
    """Lines of a table: the five best rules and all classifiers."""
    rules, classifiers = measure(list(stream(domain)("train", count)))
    for name in sorted(rules, key=lambda name: -rules[name])[:5]:
        yield f"{domain:8} rule        {100 * rules[name]:5.1f}  {name}"
    for name, accuracy in classifiers.items():
        yield f"{domain:8} classifier  {100 * accuracy:5.1f}  {name}"


if __name__ == "__main__":
    domains = sys.argv[1:2] or CHOICE_DOMAINS
    for domain in domains:
        print("\n".join(report(domain, int((sys.argv[2:] or ["5000"])[0]))), flush=True)
