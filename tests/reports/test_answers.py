"""The answer on the first screen holds for all arms and tasks, and claims only what survives the correction."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from harness.reports.analysis.comparison import compare
from harness.reports.analysis.differences import Arm
from harness.reports.analysis.domains import board_estimates
from harness.reports.analysis.intervals import IntervalCache
from harness.reports.analysis.leaderboard import rank
from harness.reports.documents.answers import Answer, comparison_answer, leaderboard_answer, listed
from harness.reports.documents.leaderboard import leaderboard_document
from tests.reports.models_for_tests import Floats, model


def right(count: int, items: int = 100) -> Floats:
    return (np.arange(items) < count).astype(float)


def answer(models: Mapping[str, Mapping[str, Floats]]) -> Answer:
    return comparison_answer(compare([Arm(name=name, models=(model(name, own),)) for name, own in models.items()]))


def test_two_equal_models_do_not_differ_and_the_power_is_named() -> None:
    same = {"logic/a": right(50), "legal/b": right(40)}
    found = answer({"text": same, "code": same})
    assert found.question == "Does code differ from text?"
    overall, tasks = found.sentences
    assert overall.startswith("Overall, code does not differ significantly from text (+0.000, 95% interval -0.0")
    assert tasks.startswith("Of 2 differences by task, none survives Holm's correction; 80% power needs a true diff")


def test_the_answer_names_each_arm_that_differs_and_counts_the_others() -> None:
    tasks = ("logic/a", "legal/b")
    found = answer({
        "base": dict.fromkeys(tasks, right(30)), "same": dict.fromkeys(tasks, right(31)),
        "better": dict.fromkeys(tasks, right(70)), "worse": dict.fromkeys(tasks, right(5)),
    })  # fmt: skip
    assert found.question == "Do same, better and worse differ from base?"
    assert found.sentences == (
        "Overall, better (+0.400) and worse (-0.250) differ from base; the other does not.",
        "Of 6 differences by task, 4 survive Holm's correction: better on b (+0.400), better on a (+0.400), worse on b "
        "(-0.250) and worse on a (-0.250).",
    )


def test_of_two_arms_neither_differs() -> None:
    found = answer({name: {"logic/a": right(50), "legal/b": right(50)} for name in "abc"})
    assert found.sentences[0] == "Overall, neither differs significantly from a."


def test_one_task_has_one_sentence() -> None:
    found = answer({"a": {"logic/x": right(20)}, "b": {"logic/x": right(60)}})
    assert found.sentences == ("Of 1 difference by task, 1 survives Holm's correction: x (+0.400).",)


def test_a_leaderboard_says_who_leads_and_how_many_are_behind() -> None:
    models = [model(name, {"logic/a": right(count)}) for name, count in (("one", 80), ("two", 79), ("three", 10))]
    board = rank(models)
    document = leaderboard_document(board, board_estimates(board, IntervalCache()), "harness leaderboard")
    comparison = compare([Arm(name=one.name, models=(one,)) for one in models], chosen=True)
    found = leaderboard_answer(board, document.headlines, comparison)
    assert found.question == "Which of 3 models is best, and which cannot be told apart?"
    assert found.sentences == (
        "one leads, but cannot be told apart from two.",
        "1 of 3 models is significantly behind the leader; by task, 1 of 2 differences from it survives Holm's "
        "correction.",
    )


def test_a_leaderboard_without_a_leader_names_the_model_that_the_others_differ_from() -> None:
    models = [model(name, {"logic/a": right(count)}) for name, count in (("one", 50), ("two", 50), ("three", 50))]
    board = rank(models)
    comparison = compare([Arm(name=one.name, models=(one,)) for one in models], chosen=True)
    found = leaderboard_answer(board, ("Nobody leads.",), comparison)
    assert found.sentences[1] == "By task, none of 2 differences from one survives Holm's correction."


@pytest.mark.parametrize(
    ("names", "words"),
    [("a", "a"), ("ab", "a and b"), ("abcde", "a, b, c, d and e"), ("abcdefg", "a, b, c, d and 3 more")],
)
def test_a_long_list_of_names_is_cut(names: str, words: str) -> None:
    assert listed(list(names)) == words
