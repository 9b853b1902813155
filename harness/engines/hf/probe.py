"""Test a model, when it is opened, for whether packs give the same scores as rows. There is no list of architectures.

Sequences of random tokens are scored in rows, in packs with and without a prefix, and in packs whose other sequences
are exchanged. If scores differ (recurrent states, ALiBi, custom attention), if the model raises, or if its
configuration names a kind of layer that packs do not support, the model is scored in rows.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Sequence

import torch

from harness.engines.base import Scored
from harness.engines.hf.attention import CannotPackError
from harness.engines.hf.forward import Forward
from harness.engines.hf.prefix_tree import TokenSequence, TokenTree
from harness.engines.hf.runner import ran_out_of_memory
from harness.engines.hf.streams import STREAMS, Streams
from harness.engines.tokens import Span
from harness.errors import first_line

logger = logging.getLogger(__name__)

_PREFIX, _CONTEXT, _SHARED, _CONTINUATION = 9, 5, 1, 3
# Largest difference between packs and rows, relative to the summed log-probability: rounding differs with the shapes.
_AGREE = {torch.float32: 1e-5, torch.float16: 3e-3, torch.bfloat16: 2e-2}
# Exchanging tokens that a sequence must not attend to changes no shape, so hardly any rounding.
_SAME = 1e-6
# How often each pack is computed beside another: a model that keeps state during a pass mixes up nearly every one.
_PASSES = 3
_PACKED_LAYERS = {"full_attention", "sliding_attention"}


def longest_packed(forward: Forward, max_length: int) -> int:
    """Return the length in tokens of the longest sequence that may be packed on this model; 0 when none may."""
    try:
        limit = _limit(forward, max_length)
        _compare(forward)
    except Exception as error:  # logged; rows do not need what failed here
        if ran_out_of_memory(error):
            raise
        logger.warning("contexts are not shared on this model, each request is a row of its own: %s", first_line(error))
        return 0
    if limit < max_length:
        logger.warning("contexts are shared up to %d tokens; a longer request is a row of its own", limit)
    return limit


def side_by_side(forward: Forward, streams: Streams) -> bool:
    """Whether packs get the same scores beside another pack; not on a model that keeps state during a pass."""
    draw = _drawing(forward)
    spans = [_span(draw(_CONTEXT), draw(_CONTINUATION)) for _ in range(STREAMS)]

    def score(index: int) -> tuple[int, Scored]:
        tree = TokenTree(depth=0)
        tree.add(index, TokenSequence(tokens=spans[index].tokens, scored=_CONTINUATION), 0)
        return index, forward.pack([tree], spans, behind=None)[index]

    alone = [score(index)[1] for index in range(STREAMS)]
    try:
        beside = list(streams.map(score, [*range(STREAMS)] * _PASSES))
        same = all(_equal([scored], [alone[index]], _agreement(forward)) for index, scored in beside)
    except Exception as error:  # logged; one pack at a time does not need what failed here
        if ran_out_of_memory(error):
            raise
        same = False
    if not same:
        logger.warning("packs are computed one after the other: side by side this model gives other scores")
    return same


def _limit(forward: Forward, max_length: int) -> int:
    """The longest sequence on which every layer is plain causal attention, according to the configuration."""
    config = forward.model.config.get_text_config()
    if forward.own_attention == "eager":
        raise CannotPackError("its attention is 'eager', which may compute more than packs do")
    settings = config.to_dict()
    if forward.own_attention != "sdpa" and settings.get("attn_logit_softcapping"):
        raise CannotPackError("its attention caps its logits, which packs do not")
    unsupported = set(settings.get("layer_types") or ()) - _PACKED_LAYERS
    if unsupported:
        raise CannotPackError(f"packs do not support its layers of type {', '.join(sorted(unsupported))}")
    limits = [max_length]
    if settings.get("sliding_window"):
        limits.append(settings["sliding_window"])
    # Some rotary embeddings change for all positions once a sequence exceeds the original context, and in a pack they
    # would change for the shorter sequences too.
    rope = settings.get("rope_parameters") or settings.get("rope_scaling") or {}
    by_layer = [own for own in rope.values() if isinstance(own, dict)]
    for own in by_layer or [rope]:
        if own.get("rope_type") in ("dynamic", "longrope"):
            original = own.get("original_max_position_embeddings") or settings.get("original_max_position_embeddings")
            limits.append(original or settings["max_position_embeddings"])
    if min(limits) < _PREFIX + _CONTEXT + _SHARED + _CONTINUATION:
        raise CannotPackError(f"its attention reaches only {min(limits)} tokens")
    return min(limits)


def _compare(forward: Forward) -> None:
    """Raise `CannotPackError` when packs and rows give different scores.

    All sequences begin with a prefix P; those with b share a context and the first token s of their choices.

        spans   P a x,  P b s y,  seen  P b s z
        others  P c u,  P b s v,  seen  P b s z        all but `seen` are exchanged, which must keep its score
    """
    draw = _drawing(forward)
    prefix, context, shared = draw(_PREFIX), draw(_CONTEXT), draw(_SHARED)
    seen = _span(prefix + context, shared + draw(_CONTINUATION))
    spans = [_span(prefix + draw(_CONTEXT), draw(_CONTINUATION)), _span(prefix + context, shared + draw(_CONTINUATION))]
    others = [
        _span(prefix + draw(_CONTEXT), draw(_CONTINUATION)),
        _span(prefix + context, shared + draw(_CONTINUATION)),
    ]
    rows = [forward.plain([span])[0] for span in [*spans, seen]]
    whole = _pack(forward, [*spans, seen], prefix=[])
    behind = _pack(forward, [*spans, seen], prefix=prefix)
    agree = _agreement(forward)
    if not (_equal(rows, whole, agree) and _equal(rows, behind, agree)):
        raise CannotPackError("packs and rows give different scores")
    if not (
        _equal(whole[2:], _pack(forward, [*others, seen], prefix=[])[2:], _SAME)
        and _equal(behind[2:], _pack(forward, [*others, seen], prefix=prefix)[2:], _SAME)
    ):
        raise CannotPackError("sequences of a pack attend to one another")


def _drawing(forward: Forward) -> Callable[[int], list[int]]:
    """A function that draws a number of random tokens, the same ones in each run."""
    drawn = random.Random(0)
    vocabulary = forward.model.config.get_text_config().vocab_size
    return lambda count: [drawn.randrange(vocabulary) for _ in range(count)]


def _agreement(forward: Forward) -> float:
    return _AGREE.get(forward.dtype, _AGREE[torch.bfloat16])


def _span(context: list[int], continuation: list[int]) -> Span:
    return Span(tokens=(context + continuation)[:-1], targets=continuation)


def _pack(forward: Forward, spans: Sequence[Span], prefix: list[int]) -> list[Scored]:
    """Score three spans, of which the last two share their context, in one row behind `prefix`, as two trees."""
    depth = len(prefix)
    sequences = [TokenSequence(tokens=span.tokens, scored=len(span.targets)) for span in spans]
    alone, together = TokenTree(depth=depth), TokenTree(depth=depth)
    alone.add(0, sequences[0], depth)
    together.add(1, sequences[1], depth)
    together.add(2, sequences[2], _PREFIX + _CONTEXT + _SHARED)
    behind = forward.prefix(prefix, behind=None) if prefix else None
    scores = forward.pack([alone, together], spans, behind=behind)
    return [scores[index] for index in range(3)]


def _equal(a: Sequence[Scored], b: Sequence[Scored], tolerance: float) -> bool:
    return all(abs(x.logprob - y.logprob) <= tolerance * abs(x.logprob) for x, y in zip(a, b, strict=True))
