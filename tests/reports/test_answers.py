"""The answer on the first screen holds for all arms and tasks, and claims only what survives the correction."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping

import numpy as np
import pytest

from harness.reports.analysis.comparison import compare
from harness.reports.analysis.differences import Arm
from harness.reports.analysis.domains import board_estimates
from harness.reports.analysis.factorial import SECONDARY, AnalysisOptions, FactorialAnalysis, analyse
from harness.reports.analysis.intervals import IntervalCache
from harness.reports.analysis.leaderboard import rank
from harness.reports.analysis.study import Study, TrainingRun
from harness.reports.documents.answers import Answer, comparison_answer, factorial_answer, leaderboard_answer, listed
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


def test_the_answer_counts_what_cannot_be_found_at_any_size() -> None:
    """Three right or wrong answers reject nothing, however large the difference."""
    same = {"logic/large": right(50), "logic/small": right(2, 3), "legal/small_too": right(1, 3)}
    (_, tasks) = answer({"text": same, "code": same}).sentences
    assert tasks.startswith("Of 3 differences by task, none survives Holm's correction; 80% power needs a true diff")
    assert tasks.endswith("; 2 of 3 cannot be found with these runs, whatever their size.")
    few = {"logic/small": right(2, 3)}
    assert (
        answer({"text": few, "code": few})
        .sentences[-1]
        .endswith("; no difference of any size has 80% power with these runs.")
    )


def _factorial(n_items: tuple[int, ...]) -> FactorialAnalysis:
    """A 2 x 2 without effects, with a run per cell and seed, on a task of each number of items."""
    rng, runs = np.random.default_rng(5), []
    for cell in itertools.product(("plain", "code"), repeat=2):
        for seed in range(2):
            values = {f"logic/t{items}": (rng.random(items) < 0.5).astype(float) for items in n_items}
            one = model(f"{'-'.join(cell)}-{seed}", values)
            runs.append(TrainingRun(cell=cell, plot=f"{cell[0]}-{seed}", checkpoints=(one,)))
    levels = ("plain", "code")
    study = Study(factors={"pretrain": levels, "tune": levels}, runs=tuple(runs), parents={}, cot=None, unknown=0)
    return analyse(study, AnalysisOptions(last=1, force=False), [])


def test_the_answer_of_a_study_counts_the_effects_that_cannot_be_found() -> None:
    study = _factorial((400, 4, 5))
    by_task = [row.estimate.mde for row in study.rows if row.family == SECONDARY]
    never = sum(math.isinf(one) for one in by_task)
    assert (len(by_task), never) == (9, 4)
    assert (
        factorial_answer(study).sentences[1].endswith("; 4 of 9 cannot be found with these runs, whatever their size).")
    )
    assert "cannot be found" not in factorial_answer(_factorial((400, 401))).sentences[1]


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
