"""The arithmetic of scoring: pure functions from answers and targets to values.

How an lm-eval task calls them stands in `task_results`; intervals and tests stand in `stats`.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

NATS_PER_BIT = math.log(2.0)
BLEU_ORDER = 4


def argmax(values: Sequence[float]) -> int:
    """Return the index of the largest value, the first of several; as lm-eval (numpy) does."""
    return max(range(len(values)), key=values.__getitem__)


def choice_metrics(logprobs: Sequence[float], texts: Sequence[str], gold: int) -> dict[str, float]:
    """Score one multiple-choice item from the log-probabilities of its continuations.

    Args:
        logprobs: Sum of token log-probabilities of each continuation, nats.
        texts: The continuations without the delimiter before them; none is empty.
        gold: Index of the right one.

    Returns:
        ``acc`` (1 when the most likely continuation is the right one), ``acc_norm`` (the same after division by the
        continuation's length in characters, as lm-eval does), ``gold_logprob`` (nats) and ``bits_per_byte`` (of the
        right continuation).
    """
    assert len(logprobs) == len(texts) > gold >= 0, "one log-probability for each text, and a key in range"
    by_length = [logprob / len(text) for logprob, text in zip(logprobs, texts, strict=True)]
    return {
        "acc": float(argmax(logprobs) == gold),
        "acc_norm": float(argmax(by_length) == gold),
        "gold_logprob": logprobs[gold],
        "bits_per_byte": bits_per_byte(logprobs[gold], texts[gold]),
    }


def bits_per_byte(logprob: float, text: str) -> float:
    """Return -log2 p(text) / number of bytes of its UTF-8 form; `logprob` in nats."""
    return -logprob / NATS_PER_BIT / len(text.encode())


def subset_metrics(
    logprobs: Sequence[float], subsets: Sequence[str], gold: str, *, ending: str = ""
) -> dict[str, float]:
    """Score an item whose answer is a set of letters, from the log-probability of every possible set.

    Args:
        logprobs: Of each set written as its letters in order, nats.
        subsets: ``["A", "B", "AB", ...]``.
        gold: The right set.
        ending: What was scored behind the letters of each.

    Returns:
        ``acc`` (the very set), ``jaccard`` (letters shared / letters in either), ``gold_logprob``, ``bits_per_byte``.
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
    """Score an answer that was read from generated text; None when none could be read.

    Returns:
        ``acc_strict`` (an unread answer counts as wrong), ``unparsed`` (1 when unread) and, only when it was read,
        ``acc_parsed``: its mean is over the items that could be read.
    """
    if answer is None:
        return {"acc_strict": 0.0, "unparsed": 1.0}
    right = float(answer == gold)
    return {"acc_strict": right, "unparsed": 0.0, "acc_parsed": right}


def pass_at_k(n: int, c: int, k: int) -> float:
    """Return the unbiased estimate of the probability that at least one of k samples passes.

    ``1 - C(n - c, k) / C(n, k)`` for n samples of which c pass (Chen et al. 2021, arXiv 2107.03374, eq. 1).
    """
    assert 0 <= c <= n, "no more can pass than were drawn"
    assert 1 <= k <= n, "k of n needs 1 <= k <= n"
    return 1.0 - math.comb(n - c, k) / math.comb(n, k)


def code_tokens(text: str) -> list[str]:
    """Split program text into words, numbers and single signs; white space only separates."""
    return re.findall(r"\w+|[^\w\s]", text)


def bleu(references: Sequence[Sequence[str]], candidates: Sequence[Sequence[str]], *, smooth: bool = False) -> float:
    """Return BLEU-4 in percent, n-gram matches and lengths summed over the segments, one reference each.

    Without smoothing this is corpus BLEU (Papineni et al. 2002). With it, 1 is added to the matches and to the
    candidates' n-grams of every order (Lin & Och 2004), as the study's script does.

    Args:
        references: Tokens of each reference.
        candidates: Tokens of each candidate, in the same order.
        smooth: Add one, so that short segments without a 4-gram in common do not give 0.
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
    """Return BLEU-4 in percent as the study's script has it: all items run into one segment, add-one smoothing.

    The script wrote every answer into one file without line ends, so an n-gram may match in another item's reference
    and only the file's total length is penalised. Its tokens were a model's subwords; here they are `code_tokens`.
    """
    joined = [[token for segment in side for token in segment] for side in (references, candidates)]
    return bleu([joined[0]], [joined[1]], smooth=True)
