"""The choices alone do not say which of them is right: no rule and no classifier does better than chance on them.

The wrong answers of an item are right answers to other questions about the same scene, so every accuracy measured here
is 25% but for sampling error. The full versions allow 2 points more than chance over 5,000 items per domain, where one
standard error is 0.6 points; the reduced ones 2 points and three standard errors (6.5 points) over 400 items.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest

from harness.suite.generated import GeneratedItem

from .generators import CHOICE_DOMAINS, stream
from .option_features import CHANCE, classifier_accuracies, feature_values, measure, rule_accuracies

ALLOWED = 0.02
FULL, REDUCED = 5000, 400


def train(domain: str, count: int) -> Sequence[GeneratedItem]:
    return list(stream(domain)("train", count))


def excess(accuracies: dict[str, float], allowed: float) -> dict[str, float]:
    return {name: accuracy for name, accuracy in accuracies.items() if accuracy > CHANCE + allowed}


@pytest.mark.parametrize("domain", CHOICE_DOMAINS)
def test_no_rule_and_no_classifier_finds_the_answer_among_the_choices(domain: str) -> None:
    error = math.sqrt(CHANCE * (1 - CHANCE) / REDUCED)
    rules, classifiers = measure(train(domain, REDUCED))
    assert not excess(rules | classifiers, ALLOWED + 3 * error)


@pytest.mark.slow
@pytest.mark.parametrize("domain", CHOICE_DOMAINS)
def test_over_5_000_items_no_rule_and_no_classifier_is_two_points_above_chance(domain: str) -> None:
    rules, classifiers = measure(train(domain, FULL))
    assert not excess(rules | classifiers, ALLOWED)


def test_the_measurement_finds_an_answer_that_is_most_like_the_others_and_a_word_that_only_answers_have() -> None:
    items = [
        replace(item, choices=tuple(f"{c} indeed" if i == item.answer else c for i, c in enumerate(item.choices)))
        for item in train("science", 200)
    ]
    values = [feature_values(item) for item in items]
    assert rule_accuracies(items, values)["most: words"] > 0.9
    assert min(classifier_accuracies(items, values).values()) > 0.9
