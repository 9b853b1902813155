"""What the task YAML names under `process_results` and `aggregation`: lm-eval's calls, turned into `metrics`.

lm-eval calls ``process_results(doc, results)``; `results` holds a ``(logprob, is_greedy)`` for each continuation, or
the filtered text of each generation. No arithmetic stands here.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from typing import Any

from harness.suite import metrics

Doc = Mapping[str, Any]
Results = Sequence[tuple[float, bool]]
UNPARSED = "[unparsed]"  # what the regex filters give when no answer is found
REPORTED_K = (1, 5, 10)


def _logprobs(results: Results) -> list[float]:
    return [logprob for logprob, _ in results]


def letter(doc: Doc, results: Results) -> dict[str, float]:
    """Score an item whose continuations are the letters of its choices."""
    scores = metrics.choice_metrics(_logprobs(results), doc["letters"], doc["gold"])
    del scores["acc_norm"]  # letters are of one length
    return scores


def cloze(doc: Doc, results: Results) -> dict[str, float]:
    """Score an item whose continuations are the choices themselves."""
    return metrics.choice_metrics(_logprobs(results), doc["choices"], doc["gold"])


def pairs(doc: Doc, results: Results) -> dict[str, float]:
    """Score an analogy whose continuations are the pairs of words as ``a:b``."""
    return metrics.choice_metrics(_logprobs(results), doc["pairs"], doc["gold"])


def shared(doc: Doc, results: Results) -> dict[str, float]:
    """Score an item whose choices stand in the prompts and whose continuation is the same text after each."""
    scores = metrics.choice_metrics(_logprobs(results), [doc["shared"]] * len(results), doc["gold"])
    del scores["acc_norm"]  # the same text has one length
    return scores


def subset(doc: Doc, results: Results) -> dict[str, float]:
    """Score an item whose continuations are all sets of letters."""
    return metrics.subset_metrics(_logprobs(results), doc["subsets"], doc["answer"], ending="。")


def letter_answer(doc: Doc, results: Sequence[str]) -> dict[str, float]:
    """Score a letter that a filter read from generated text; a letter the item does not have is no answer."""
    answer = results[0].strip().upper()
    return metrics.parsed_metrics(answer if answer in doc["letters"] else None, doc["letters"][doc["gold"]])


def number_answer(doc: Doc, results: Sequence[str]) -> dict[str, float]:
    """Score a number that a filter read from generated text, whatever its thousands separators or trailing zeros."""
    return metrics.parsed_metrics(_number(results[0]), _number(doc["answer"]) or doc["answer"])


def literal_answer(doc: Doc, results: Sequence[str]) -> dict[str, float]:
    """Score a Python literal that was generated, as a value: what ``==`` says counts, as in the tests it is taken from.

    A call is no answer.
    """
    return metrics.parsed_metrics(_literal(results[0]), _literal(doc["answer"]))


def _literal(text: str) -> tuple[object] | None:
    """The value, in a tuple, since None is one too; None when the text is no literal."""
    try:
        return (ast.literal_eval(text.strip()),)
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return None


def _number(text: str) -> str | None:
    plain = re.sub(r"[,$%\s]", "", text).rstrip(".")
    if not re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)", plain):
        return None
    value = float(plain)
    return str(int(value)) if value.is_integer() else repr(value)


def programs(_doc: Doc, results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Score one item's programs, run before by a filter of `code_tasks`: pass@k for each k that n samples allow."""
    passed: list[bool] = results[0]["passed"]
    return {f"pass@{k}": metrics.pass_at_k(len(passed), sum(passed), k) for k in REPORTED_K if k <= len(passed)}


def programs_and_bleu(doc: Doc, results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Add to `programs` what BLEU needs: reference and first candidate, pooled by the aggregations below."""
    pair = [doc["code"], results[0]["solutions"][0]]
    tokens = [metrics.code_tokens(text) for text in pair]
    return programs(doc, results) | {
        "bleu_item": metrics.bleu(tokens[:1], tokens[1:], smooth=True),
        "bleu": pair,
        "bleu_file": pair,
    }


def bleu(pairs: Sequence[Sequence[str]]) -> float:
    """Aggregate ``[reference, candidate]`` pairs to corpus BLEU over `metrics.code_tokens`, percent."""
    return metrics.bleu(*_tokens(pairs))


def bleu_of_file(pairs: Sequence[Sequence[str]]) -> float:
    """Aggregate pairs to the study's BLEU: all items as one segment, percent."""
    return metrics.bleu_of_file(*_tokens(pairs))


def _tokens(pairs: Sequence[Sequence[str]]) -> tuple[list[list[str]], list[list[str]]]:
    references, candidates = zip(*pairs, strict=True)
    return [metrics.code_tokens(r) for r in references], [metrics.code_tokens(c) for c in candidates]
