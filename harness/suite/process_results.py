"""The functions that task YAML refers to under `process_results` and `aggregation`. They call `metrics`.

    process_results: !function harness.task_results.cloze
    metric_list:
      - {metric: acc, aggregation: mean, higher_is_better: true}

lm-eval calls ``process_results(doc, results)``. `results` has one ``(logprob, is_greedy)`` per continuation, or the
filtered text of each generation. docs/add_a_metric.md shows how to add a metric.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from typing import Any

from harness.errors import TaskError
from harness.suite import metrics
from harness.suite.extraction import response_value, value_of

Doc = Mapping[str, Any]
Results = Sequence[tuple[float, bool]]
REPORTED_K = (1, 5, 10)


def _logprobs(results: Results) -> list[float]:
    return [logprob for logprob, _ in results]


def letter(doc: Doc, results: Results) -> dict[str, float]:
    """Score an item whose continuations are the letters of its choices."""
    scores = metrics.choice_metrics(_logprobs(results), doc["letters"], doc["gold"])
    del scores["acc_norm"]  # letters have the same length
    return scores


def cloze(doc: Doc, results: Results) -> dict[str, float]:
    """Score an item whose continuations are the texts of its choices."""
    return metrics.choice_metrics(_logprobs(results), doc["choices"], doc["gold"])


def pairs(doc: Doc, results: Results) -> dict[str, float]:
    """Score an analogy whose continuations are the pairs of words as ``a:b``."""
    return metrics.choice_metrics(_logprobs(results), doc["pairs"], doc["gold"])


def shared(doc: Doc, results: Results) -> dict[str, float]:
    """Score an item with one prompt per choice and the same continuation after each prompt."""
    scores = metrics.choice_metrics(_logprobs(results), [doc["shared"]] * len(results), doc["gold"])
    del scores["acc_norm"]  # the continuations have the same length
    return scores


def subset(doc: Doc, results: Results) -> dict[str, float]:
    """Score an item whose continuations are all the sets of its letters."""
    return metrics.subset_metrics(_logprobs(results), doc["subsets"], doc["answer"], ending="。")


def letter_answer(doc: Doc, results: Sequence[str]) -> dict[str, float]:
    """Score a letter that a filter read from generated text; a letter that the item does not have is no answer."""
    answer = (response_value(results[0]) or "").upper()
    return metrics.parsed_metrics(answer if answer in doc["letters"] else None, doc["letters"][doc["gold"]])


def number_answer(doc: Doc, results: Sequence[str]) -> dict[str, float]:
    """Score a number that a filter read from generated text. Numbers are compared by value: 1,080.0 is 1080."""
    answer, gold = response_value(results[0]), value_of(doc["answer"])
    if gold is None:
        raise TaskError(f"item {doc.get('id')}: the answer {doc['answer']!r:.60} is no number; correct the item.")
    return metrics.parsed_metrics(None if answer is None else value_of(answer), gold)


def literal_answer(doc: Doc, results: Sequence[str]) -> dict[str, float]:
    """Score a generated Python literal by comparing values with ``==``, as in the tests that it comes from.

    An expression that is not a literal, such as a call, is no answer.
    """
    return metrics.parsed_metrics(_literal(results[0]), _literal(doc["answer"]))


def _literal(text: str) -> tuple[object] | None:
    """The value in a tuple, because None is a value too; None if the text is not a literal."""
    try:
        return (ast.literal_eval(text.strip()),)
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return None


def programs(_doc: Doc, results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Score one item's programs, which the filter `code_tasks.run_tests` ran: pass@k for each k up to their number.

    Programs whose tests the sandbox does not support are left out, and so is an item that has no others.
    """
    pairs = zip(results[0]["passed"], results[0]["status"], strict=True)
    passed: list[bool] = [passed for passed, status in pairs if status != "unsupported"]
    return {f"pass@{k}": metrics.pass_at_k(len(passed), sum(passed), k) for k in REPORTED_K if k <= len(passed)}


def programs_and_bleu(doc: Doc, results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Add to `programs` the reference and the first candidate, which the BLEU aggregations below pool."""
    pair = [doc["code"], results[0]["solutions"][0]]
    tokens = [metrics.code_tokens(text) for text in pair]
    return programs(doc, results) | {
        "bleu_item": metrics.bleu(tokens[:1], tokens[1:], smooth=True),
        "bleu": pair,
        "bleu_file": pair,
    }


def bleu(pairs: Sequence[Sequence[str]]) -> float:
    """Aggregate ``[reference, candidate]`` pairs to corpus BLEU over `metrics.code_tokens`, in percent."""
    return metrics.bleu(*_tokens(pairs))


def bleu_of_file(pairs: Sequence[Sequence[str]]) -> float:
    """Aggregate pairs to the study's BLEU, with all items as one segment, in percent."""
    return metrics.bleu_of_file(*_tokens(pairs))


def _tokens(pairs: Sequence[Sequence[str]]) -> tuple[list[list[str]], list[list[str]]]:
    references, candidates = zip(*pairs, strict=True)
    return [metrics.code_tokens(r) for r in references], [metrics.code_tokens(c) for c in candidates]
