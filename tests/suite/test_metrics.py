"""The arithmetic of scoring, against worked cases, brute force and sacrebleu."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import sacrebleu
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.suite import metrics
from harness.suite import process_results as task_results

WORDS = st.lists(st.sampled_from(["a", "b", "c", "d", "(", ")", "=="]), min_size=1, max_size=12)


def test_the_most_likely_choice_wins_and_length_is_divided_out() -> None:
    scores = metrics.choice_metrics([-4.0, -5.0], ["ab", "abcdefghij"], 1)
    assert scores["acc"] == 0.0
    assert scores["acc_norm"] == 1.0
    assert scores["gold_logprob"] == -5.0
    assert scores["bits_per_byte"] == pytest.approx(5.0 / math.log(2) / 10)


def test_bits_per_byte_counts_bytes_not_characters() -> None:
    assert metrics.bits_per_byte(-math.log(2) * 6, "答案") == pytest.approx(1.0)


@given(st.lists(st.floats(-100, -0.1), min_size=2, max_size=6), st.data())
def test_choice_metrics_agree_with_lm_evals_rule(logprobs: list[float], data: st.DataObject) -> None:
    texts = [data.draw(st.text(min_size=1, max_size=9)) for _ in logprobs]
    gold = data.draw(st.integers(0, len(logprobs) - 1))
    scores = metrics.choice_metrics(logprobs, texts, gold)
    assert scores["acc"] == float(np.argmax(logprobs) == gold)
    assert scores["acc_norm"] == float(np.argmax(np.array(logprobs) / [len(t) for t in texts]) == gold)


@pytest.mark.parametrize(
    ("chosen", "acc", "jaccard"),
    [("AB", 1.0, 1.0), ("A", 0.0, 0.5), ("ABC", 0.0, 2 / 3), ("D", 0.0, 0.0)],
)
def test_only_exactly_the_right_set_of_letters_is_right(chosen: str, acc: float, jaccard: float) -> None:
    subsets = ["A", "B", "D", "AB", "ABC"]
    scores = metrics.subset_metrics([0.0 if s == chosen else -9.0 for s in subsets], subsets, "AB")
    assert scores["acc"] == acc
    assert scores["jaccard"] == pytest.approx(jaccard)


def test_an_unparsed_answer_counts_as_wrong_only_in_acc_strict() -> None:
    assert metrics.parsed_metrics(None, "A") == {"acc_strict": 0.0, "unparsed": 1.0}
    assert metrics.parsed_metrics("B", "A") == {"acc_strict": 0.0, "unparsed": 0.0, "acc_parsed": 0.0}
    assert metrics.parsed_metrics("A", "A") == {"acc_strict": 1.0, "unparsed": 0.0, "acc_parsed": 1.0}


@given(st.integers(1, 9), st.data())
def test_pass_at_k_is_the_share_of_k_subsets_with_a_success(samples: int, data: st.DataObject) -> None:
    passed = data.draw(st.integers(0, samples))
    k = data.draw(st.integers(1, samples))
    drawn = [any(i < passed for i in subset) for subset in itertools.combinations(range(samples), k)]
    assert metrics.pass_at_k(samples, passed, k) == pytest.approx(sum(drawn) / len(drawn))


@settings(deadline=None)
@given(st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=4))
def test_corpus_bleu_is_sacrebleus(pairs: list[tuple[list[str], list[str]]]) -> None:
    references, candidates = [r for r, _ in pairs], [c for _, c in pairs]
    theirs = sacrebleu.corpus_bleu(
        [" ".join(c) for c in candidates],
        [[" ".join(r) for r in references]],
        tokenize="none",
        smooth_method="none",
        force=True,
    ).score
    assert metrics.bleu(references, candidates) == pytest.approx(theirs, abs=1e-9)


def test_smoothing_adds_one_to_every_order() -> None:
    """Candidate "a b c" against "a b d": 2 of 3, 1 of 2, 0 of 1, 0 of 0, each with one added; lengths are equal."""
    expected = 100 * (3 / 4 * 2 / 3 * 1 / 2 * 1 / 1) ** 0.25
    assert metrics.bleu([["a", "b", "d"]], [["a", "b", "c"]], smooth=True) == pytest.approx(expected)


def test_bleu_of_a_file_matches_across_items() -> None:
    references, candidates = [["a", "b"], ["c", "d"]], [["c", "d"], ["a", "b"]]
    assert metrics.bleu_of_file(references, candidates) > metrics.bleu(references, candidates, smooth=True)
    assert metrics.bleu_of_file(references, references) == pytest.approx(100.0)


@pytest.mark.parametrize(
    ("text", "gold", "right"),
    [("1,080", "1080", True), ("$18.00", "18", True), ("18.5", "18", False), ("-3", "-3", True), ("12.", "12", True)],
)
def test_a_number_is_read_as_a_value(text: str, gold: str, right: bool) -> None:
    assert task_results.number_answer({"answer": gold}, [text])["acc_strict"] == float(right)


@pytest.mark.parametrize(
    ("text", "gold", "right"),
    [("{8, 0}", "{0, 8}", True), ("{'b':2,'a':1}", "{'a': 1, 'b': 2}", True), ("2", "2.0", True),
     ("None", "None", True), ("(1,)", "[1]", False), ("'2'", "2", False)],
)  # fmt: skip
def test_literals_are_compared_with_equality(text: str, gold: str, right: bool) -> None:
    assert task_results.literal_answer({"answer": gold}, [text])["acc_strict"] == float(right)


@pytest.mark.parametrize(
    ("text", "strict", "unparsed"),
    [(" [1,2]", 1.0, 0.0), ("[1, 3]", 0.0, 0.0), ("f(3)", 0.0, 1.0), ("", 0.0, 1.0), ("[1,", 0.0, 1.0)],
)
def test_a_literal_is_read_as_a_value_and_a_call_is_no_answer(text: str, strict: float, unparsed: float) -> None:
    scores = task_results.literal_answer({"answer": "[1, 2]"}, [text])
    assert (scores["acc_strict"], scores["unparsed"]) == (strict, unparsed)
