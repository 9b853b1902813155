"""What every engine must do: take many requests and yield answers or failures, batch by batch.

A whole small engine, which gives each character of a continuation the probability 1/2:

    class CoinEngine:
        description = {"engine": "coin"}

        def answer(self, requests):
            for index, request in enumerate(requests):
                if request.kind == "generate_until":
                    answer = Failure(reason="error", message="coin generates no text")
                else:
                    answer = Answer(logprob=len(request.continuation) * math.log(0.5), is_greedy=False)
                yield [(index, answer)]

        def close(self):
            pass

docs/add_an_engine.md makes a real one of it, which ``--backend NAME`` finds. Nothing here knows a task, a metric or a
library. An engine keeps no state between calls that could change an answer.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, Protocol

from harness.redaction import without_url_secrets

RequestKind = Literal["loglikelihood", "loglikelihood_rolling", "generate_until"]


class Request(NamedTuple):
    """One request to a model, as text, so that its answer can be looked up without loading the model.

    A named tuple, because it is hashed and compared about ten times, and there can be a million of them.

    Attributes:
        kind: lm-eval's request type.
        context: The text before the continuation, or the prompt; empty for rolling log-likelihood.
        continuation: The text to score; for rolling log-likelihood the whole text; empty for generation.
        generation: Generation arguments (``until``, ``max_gen_toks``, ``do_sample``, ``temperature``, ...) as
            canonical JSON, so that requests hash and compare; empty for log-likelihoods.
        repeat: Number of this answer among several sampled ones to the same generation request, from 0.
        seed: Seed of a sampled generation; None for everything that is not sampled.
    """

    kind: RequestKind
    context: str
    continuation: str = ""
    generation: str = ""
    repeat: int = 0
    seed: int | None = None

    @property
    def generation_arguments(self) -> dict[str, Any]:
        """The generation arguments as a fresh dictionary; empty for log-likelihoods."""
        arguments: dict[str, Any] = json.loads(self.generation) if self.generation else {}
        return arguments


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A model's answer to one request. Exactly one of `logprob` and `text` is set.

    Attributes:
        logprob: Sum of the continuation's token log-probabilities, in nats.
        is_greedy: Whether every token of the continuation is the most likely one (log-likelihood only).
        text: The generated text, up to the first stop string.
        tokens: Number of tokens scored or generated; 0 when the engine does not report it.
        cut_tokens: Number of tokens cut on the left because the input was longer than the model's context.
        encoded_apart: Whether the continuation was encoded without its context, because the tokenizer merges both.
    """

    logprob: float | None = None
    is_greedy: bool | None = None
    text: str | None = None
    tokens: int = 0
    cut_tokens: int = 0
    encoded_apart: bool = False

    def __post_init__(self) -> None:
        assert (self.logprob is None) != (self.text is None), "an answer is either a log-probability or a text"
        assert self.logprob is None or math.isfinite(self.logprob), "a non-finite log-probability is a Failure"


FailureReason = Literal["error", "not_finite", "empty", "too_long", "missing", "out_of_memory", "timeout", "malformed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A request without an answer. It is recorded and counted, and never becomes a score.

    Attributes:
        reason: ``error`` (the engine raised), ``not_finite`` (NaN or infinite log-probability), ``empty`` (no
            continuation tokens to score, or no text from an engine that cannot tell whether the model ended by
            itself), ``too_long`` (the continuation alone exceeds the context), ``missing`` (the engine returned fewer
            answers than requests), ``out_of_memory``, ``timeout``, ``malformed`` (a text that cannot be written).
        message: One line for the record. Passwords and keys in URLs are replaced by ``***``.
    """

    reason: FailureReason
    message: str

    def __post_init__(self) -> None:
        # HTTP libraries name the URL in their errors.
        object.__setattr__(self, "message", without_url_secrets(self.message))


Batch = list[tuple[int, Answer | Failure]]


class EngineDied(Exception):  # noqa: N818 - a signal between packages; users see an EngineError
    """The engine cannot continue; a new one may. What it yielded before stays valid."""


class Engine(Protocol):
    """An engine that answers requests.

    `answer` yields each batch as soon as it is done, in whatever order is fast. A batch is written to the journal
    before the next one is asked for, or at most 10 ms later, so small batches lose little when the process is killed.
    Every index of `requests` is yielded exactly once. A request that cannot be answered is yielded as a `Failure`;
    `EngineDied` is raised only when no further request can be answered.
    """

    @property
    def description(self) -> dict[str, Any]:
        """What the record says about this engine: name, dtype, device, settings, versions."""

    def answer(self, requests: Sequence[Request]) -> Iterator[Batch]:
        """Answer `requests`; yields ``[(index, Answer | Failure), ...]``."""

    def close(self) -> None:
        """Free the engine's memory. The engine is not used afterwards."""


# New tokens when a generation request names no number, as in lm-eval.
DEFAULT_NEW_TOKENS = 256


@dataclass(frozen=True, slots=True)
class Scored:
    """Sum of consecutive tokens' log-probabilities, in nats, and whether each token is the most likely one."""

    logprob: float
    is_greedy: bool


def row_seed(request: Request) -> int:
    """Return a 63-bit seed that depends on the request alone, not on its place in a batch; each repeat has its own."""
    words = json.dumps([request.seed, request.context, request.generation, request.repeat])
    return int.from_bytes(hashlib.sha256(words.encode()).digest()[:8], "big") >> 1


def joined_answer(
    request: Request,
    parts: Iterable[Scored | Failure],
    *,
    tokens: int,
    cut_tokens: int,
    encoded_apart: bool = False,
) -> Answer | Failure:
    """Join the parts of a log-likelihood request: one, or several windows of a rolling one, whose `is_greedy` is None.

    Args:
        request: The request.
        parts: The scores of its parts; if one is a failure, the first failure is returned.
        tokens: Number of tokens scored, in all parts.
        cut_tokens: Number of tokens cut from its context.
        encoded_apart: Whether its continuation was encoded without its context.
    """
    logprob, greedy = 0.0, True
    for part in parts:
        if isinstance(part, Failure):
            return part
        logprob += part.logprob
        greedy = greedy and part.is_greedy
    is_greedy = greedy if request.kind == "loglikelihood" else None
    answer = loglikelihood_answer(logprob, is_greedy=is_greedy, tokens=tokens, cut_tokens=cut_tokens)
    return replace(answer, encoded_apart=True) if encoded_apart and isinstance(answer, Answer) else answer


def no_room(new_tokens: int, max_length: int) -> Failure:
    """Return the failure of a generation whose new tokens would leave no room for its prompt."""
    message = f"{new_tokens} new tokens asked for; the model's context is {max_length}"
    return Failure(reason="too_long", message=message)


def bad_arguments(error: Exception) -> Failure:
    """Return the failure of a generation whose arguments cannot be read because of `error`."""
    return Failure(reason="error", message=f"generation arguments: {type(error).__name__}: {error}"[:400])


def loglikelihood_answer(
    logprob: float, *, is_greedy: bool | None, tokens: int = 0, cut_tokens: int = 0
) -> Answer | Failure:
    """Return an answer with this log-probability in nats, or a failure when it is NaN or infinite."""
    if not math.isfinite(logprob):
        return Failure(reason="not_finite", message=f"log-probability is {logprob}")
    return Answer(logprob=logprob, is_greedy=is_greedy, tokens=tokens, cut_tokens=cut_tokens)
