"""Metrics: pure functions from answers and targets to values.

`process_results` calls them for lm-eval's tasks. `harness.stats` has intervals and tests. docs/add_a_metric.md shows
how to add one.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

NATS_PER_BIT = math.log(2.0)
BLEU_ORDER = 4


def argmax(values: Sequence[float]) -> int:
    """Return the index of the largest value, the first if several are equal, as numpy and so lm-eval does."""
    return max(range(len(values)), key=values.__getitem__)


def choice_metrics(logprobs: Sequence[float], texts: Sequence[str], gold: int) -> dict[str, float]:
    """Score one multiple-choice item from the log-probabilities of its continuations.

    Args:
        logprobs: Sum of token log-probabilities of each continuation, in nats.
        texts: The continuations without the delimiter; none is empty.
        gold: Index of the right one.

    Returns:
        ``acc`` (1 if the most likely continuation is the right one), ``acc_norm`` (the same after dividing by the
        continuation's length in characters, as in lm-eval), ``gold_logprob`` (nats) and ``bits_per_byte`` (of the right
        continuation).
    """
    assert len(logprobs) == len(texts) > gold >= 0, "one log-probability per text, and a key in range"
    by_length = [logprob / len(text) for logprob, text in zip(logprobs, texts, strict=True)]
    return {
        "acc": float(argmax(logprobs) == gold),
        "acc_norm": float(argmax(by_length) == gold),
        "gold_logprob": logprobs[gold],
        "bits_per_byte": bits_per_byte(logprobs[gold], texts[gold]),
    }


def bits_per_byte(logprob: float, text: str) -> float:
    """Return -log2 p(text) / number of UTF-8 bytes of the text; `logprob` is in nats."""
    return -logprob / NATS_PER_BIT / len(text.encode())


def subset_metrics(
    logprobs: Sequence[float], subsets: Sequence[str], gold: str, *, ending: str = ""
) -> dict[str, float]:
    """Score an item whose answer is a set of letters, from the log-probability of every possible set.

    Args:
        logprobs: Log-probability of each set, written as its letters in order, in nats.
        subsets: ``["A", "B", "AB", ...]``.
        gold: The right set.
        ending: Text that was scored after the letters of each set.

    Returns:
        ``acc`` (exactly the right set), ``jaccard`` (shared letters / letters in either), ``gold_logprob``,
        ``bits_per_byte``.
    """
    chosen = subsets[argmax(logprobs)]
    at = subsets.index(gold)
    return {
        "acc": float(chosen == gold),
        "jaccard": len(set(chosen) & set(gold)) / len(set(chosen) | set(gold)),
        "gold_logprob": logprobs[at],
        "bits_per_byte": bits_per_byte(logprobs[at], gold + ending),
    }


def parsed_metrics(answer: object | None, gold: object) -> dict[str, float]:
    """Score an answer that was read from generated text; None if none could be read.

    Returns:
        ``acc_strict`` (no answer counts as wrong), ``unparsed`` (1 if there is no answer) and, only for an answer,
        ``acc_parsed``, whose mean is therefore over the items with an answer.
    """
    if answer is None:
        return {"acc_strict": 0.0, "unparsed": 1.0}
    right = float(answer == gold)
    return {"acc_strict": right, "unparsed": 0.0, "acc_parsed": right}


def pass_at_k(n: int, c: int, k: int) -> float:
    """Return the unbiased estimate of the probability that at least one of k samples passes.

    ``1 - C(n - c, k) / C(n, k)`` for n samples of which c pass (Chen et al. 2021, arXiv 2107.03374, eq. 1).
    """
    assert 0 <= c <= n, "at most n samples can pass"
    assert 1 <= k <= n, "k must be from 1 to n"
    return 1.0 - math.comb(n - c, k) / math.comb(n, k)


def code_tokens(text: str) -> list[str]:
    """Split program text at white space and punctuation into words, numbers and single punctuation characters."""
    return re.findall(r"\w+|[^\w\s]", text)


def bleu(references: Sequence[Sequence[str]], candidates: Sequence[Sequence[str]], *, smooth: bool = False) -> float:
    """Return BLEU-4 in percent, with one reference per segment; n-gram matches and lengths are summed over segments.

    Without smoothing this is corpus BLEU (Papineni et al. 2002, ACL). With smoothing, 1 is added to the matches and to
    the candidates' n-grams of every order (Lin and Och 2004, COLING), as in the study's script.

    Args:
        references: Tokens of each reference.
        candidates: Tokens of each candidate, in the same order.
        smooth: Add one, so that a short segment without a common 4-gram does not score 0.
    """
    matches, possible = [0] * BLEU_ORDER, [0] * BLEU_ORDER
    for reference, candidate in zip(references, candidates, strict=True):
        for order in range(1, BLEU_ORDER + 1):
            ngrams = _ngrams(candidate, order)
            matches[order - 1] += (ngrams & _ngrams(reference, order)).total()
            possible[order - 1] += ngrams.total()
    added = 1 if smooth else 0
    precisions = [(m + added) / (p + added) if p + added else 0.0 for m, p in zip(matches, possible, strict=True)]
    reference_length, candidate_length = sum(map(len, references)), sum(map(len, candidates))
    if not candidate_length or min(precisions) == 0.0:
        return 0.0
    brevity = min(0.0, 1.0 - reference_length / candidate_length)
    return 100.0 * math.exp(brevity + sum(map(math.log, precisions)) / BLEU_ORDER)


def _ngrams(tokens: Sequence[str], order: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(tokens[start : start + order]) for start in range(len(tokens) - order + 1))


def bleu_of_file(references: Sequence[Sequence[str]], candidates: Sequence[Sequence[str]]) -> float:
    """Return BLEU-4 in percent as in the study's script: all items joined into one segment, with add-one smoothing.

    The script wrote all answers into one file without line breaks. So an n-gram may match another item's reference, and
    the length penalty applies to the whole file. The script's tokens were a model's subwords; here they are
    `code_tokens`.
    """
    joined = [[token for segment in side for token in segment] for side in (references, candidates)]
    return bleu([joined[0]], [joined[1]], smooth=True)
