"""Generation requests for vLLM: lm-eval's argument names become vLLM's, as in lm-eval's `vllm` model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.engines.base import DEFAULT_NEW_TOKENS, Request, row_seed
from harness.engines.thoughts import ThinkTags


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """A prompt to continue.

    Attributes:
        prompt: Token ids.
        arguments: Arguments of vLLM's SamplingParams.
        stops: The stop strings. For a model that thinks, vLLM gets only EOS of them, because the others may stand in a
            thought.
    """

    prompt: list[int]
    arguments: Mapping[str, Any]
    stops: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Refused:
    """A request that vLLM refuses, with the reason in one line."""

    message: str


@dataclass(frozen=True, slots=True)
class Generated:
    """A generated text and its number of tokens."""

    text: str
    tokens: int


# Those of `SAMPLING_FIELDS` that vLLM has.
CHECKPOINT_FIELDS = frozenset({"top_k", "top_p", "min_p", "repetition_penalty"})


def sampling_arguments(request: Request, *, eos: str | None, checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of vLLM's SamplingParams for a generation request.

    The sampling fields of the checkpoint apply unless the request sets them (see `engines.sampling_fields`). ``stop``
    has the request's stop strings and `eos`. A request without ``do_sample`` is greedy whatever its temperature;
    lm-eval 0.4.13 leaves vLLM's default of 1 when neither is given. Each sampled request has its own seed, and so has
    each of its repeats.
    """
    from lm_eval.models.utils import handle_stop_sequences, normalize_gen_kwargs

    arguments = dict(normalize_gen_kwargs(request.generation_arguments, DEFAULT_NEW_TOKENS))
    if not arguments.pop("do_sample"):
        arguments["temperature"] = 0.0
    else:
        arguments["seed"] = row_seed(request)
    stop = handle_stop_sequences(arguments.pop("until"), eos=eos)
    new = arguments.pop("max_gen_toks")
    return {
        # Stop strings may be special tokens, which end a text only if they are part of it.
        "skip_special_tokens": False,
        "spaces_between_special_tokens": False,
        **{name: value for name, value in checkpoint.items() if name in CHECKPOINT_FIELDS},
        **arguments,
        "stop": [word for word in stop if word],
        "max_tokens": new,
    }


def before_stop(text: str, generation: Generation, request: Request, tags: ThinkTags | None) -> str:
    """The text before the first stop string, which counts after a thought only."""
    if tags is not None:
        return tags.cut(text, request.context, generation.stops)
    for stop in generation.stops:
        text = text.split(stop)[0]
    return text
