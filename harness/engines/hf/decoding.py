"""Decode rows of tokens with transformers' `generate`, in stages, after each of which the rows that ended are dropped.

Decoding itself, with every argument it knows, is `generate`'s; it goes on with all rows until the last has ended, which
costs several times the tokens that are wanted when rows end far apart. What is here beside that: a stop string ends its
own row, and a sampled row draws from a generator of its own, so that its text depends on nothing else in the batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers import DynamicCache, LogitsProcessor, LogitsProcessorList, StoppingCriteria, StoppingCriteriaList

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

STAGE = 16
"""New tokens of a stage."""

# Arguments that mean the same in each stage as in one piece; others, such as beams or a least length, get one piece.
_STAGED = {"do_sample", "temperature", "top_k", "top_p", "min_p", "typical_p", "repetition_penalty"}


def decode(
    model: Any,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[Sequence[int]],
    *,
    new: int,
    until: Sequence[str],
    arguments: Mapping[str, Any],
    draws: Sequence[torch.Generator] | None,
) -> list[list[int]]:
    """Return each row's new tokens, up to the one that completes a stop string or ends the text.

    Args:
        model: A causal language model in evaluation mode.
        tokenizer: Its tokenizer, with a padding token.
        prompts: Token ids of the rows; padded on the left here.
        new: New tokens at most.
        until: Stop strings.
        arguments: What `generate` is told about decoding.
        draws: A generator for each row when tokens are sampled.
    """
    ids, mask = _padded(prompts, tokenizer.pad_token_id)
    ends = _end_tokens(model, arguments)
    written: list[list[int]] = [[] for _ in prompts]
    live = list(range(len(prompts)))
    stage = STAGE if arguments.keys() <= _STAGED else new
    cache: DynamicCache | None = None
    while live and new > 0:
        stops = _StopStrings(tokenizer, until, [written[row] for row in live], prompt=ids.shape[1])
        output = model.generate(
            input_ids=ids.to(model.device),
            attention_mask=mask.to(model.device),
            past_key_values=cache,
            max_length=ids.shape[1] + min(stage, new),
            stopping_criteria=StoppingCriteriaList([stops]),
            pad_token_id=tokenizer.pad_token_id,
            use_cache=True,
            return_dict_in_generate=True,
            **arguments,
            **({} if draws is None else {"custom_generate": _sampling([draws[row] for row in live])}),
        )
        sequences = output.sequences.cpu()
        new -= sequences.shape[1] - ids.shape[1]
        going = []
        for place, row in enumerate(live):
            tokens = sequences[place, ids.shape[1] :].tolist()[: stops.ended[place]]
            length = next((n for n, token in enumerate(tokens, start=1) if token in ends), None)
            written[row] += tokens[:length]
            if length is None and stops.ended[place] is None:
                going.append(place)
        live = [live[place] for place in going]
        mask = torch.cat([mask, mask.new_ones(len(mask), sequences.shape[1] - ids.shape[1])], dim=1)[going]
        ids = sequences[going]
        cache = _kept(output, going)
    return written


def _padded(prompts: Sequence[Sequence[int]], padding: Any) -> tuple[Tensor, Tensor]:
    """Ids and attention mask of the prompts, [rows, longest]."""
    width = max(len(prompt) for prompt in prompts)
    ids = torch.full((len(prompts), width), padding)
    mask = torch.zeros(len(prompts), width, dtype=torch.long)
    for row, prompt in enumerate(prompts):
        ids[row, width - len(prompt) :] = torch.tensor(prompt)
        mask[row, width - len(prompt) :] = 1
    return ids, mask


def _end_tokens(model: Any, arguments: Mapping[str, Any]) -> set[int]:
    """The tokens at which `generate` ends a row."""
    ends = arguments.get("eos_token_id", model.generation_config.eos_token_id)
    return set() if ends is None else {ends} if isinstance(ends, int) else set(ends)


def _kept(output: Any, going: Sequence[int]) -> DynamicCache | None:
    """The cache of the rows that go on; None for a model that keeps another kind, which computes its prompt again."""
    cache = output.past_key_values
    if type(cache) is not DynamicCache:
        return None
    if len(going) < len(output.sequences):
        cache.batch_select_indices(torch.tensor(going, dtype=torch.long, device=output.sequences.device))
    return cache


def _sampling(draws: Sequence[torch.Generator]) -> Any:
    """What `generate` runs instead of its own sampling."""
    draw = _OwnDraw(draws)

    def sample(model: Any, input_ids: Tensor, logits_processor: LogitsProcessorList, **rest: Any) -> Any:
        # Behind temperature, top-k and top-p, which transformers has made ready by then.
        processors = LogitsProcessorList([*logits_processor, draw])
        return model._sample(input_ids, logits_processor=processors, **rest)  # noqa: SLF001 - as its docs do

    return sample


class _OwnDraw(LogitsProcessor):
    """Draws a token for each row from the row's own generator, and leaves no other choice."""

    def __init__(self, generators: Sequence[torch.Generator]) -> None:
        self._generators = generators

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:  # noqa: ARG002 - transformers' signature
        """Scores [rows, vocabulary] -> the same shape, 0 at the drawn token and -inf elsewhere."""
        drawn = torch.stack([torch.rand(1, generator=generator, dtype=torch.float64) for generator in self._generators])
        cumulated = scores.double().softmax(dim=-1).cumsum(dim=-1)
        # The last entry is 1 but for rounding; a token of probability 0 is never at the right of a jump.
        token = torch.searchsorted(cumulated, drawn.to(scores.device) * cumulated[:, -1:], right=True)
        return torch.full_like(scores, -torch.inf).scatter(1, token.clamp(max=scores.shape[1] - 1), 0.0)


class _StopStrings(StoppingCriteria):
    """Ends a row when one of the stop strings is in its new text.

    Attributes:
        ended: For each row, how many new tokens of this stage it had when it ended; None when it did not.
    """

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, until: Sequence[str], before: Sequence[list[int]], *, prompt: int
    ) -> None:
        """`before` has each row's new tokens of earlier stages; `prompt` is the width of what this stage began with."""
        self._tokenizer = tokenizer
        self._until = until
        # A token stands for a byte at least; one more for the space that decoders strip at the start.
        self._window = 2 + max((len(stop.encode()) for stop in until), default=0)
        self._before = [tokens[-self._window :] for tokens in before]
        self._prompt = prompt
        self.ended: list[int | None] = [None] * len(before)

    def __call__(self, input_ids: Tensor, scores: Any, **_: Any) -> Tensor:  # noqa: ARG002
        """Which rows have ended, [rows]."""
        new = input_ids[:, self._prompt :].tolist()
        going = [row for row, ended in enumerate(self.ended) if ended is None]
        recent = [(self._before[row] + new[row])[-self._window :] for row in going]
        for row, text in zip(going, self._tokenizer.batch_decode(recent), strict=True):
            if any(stop in text for stop in self._until):
                self.ended[row] = len(new[row])
        return torch.tensor([ended is not None for ended in self.ended], device=input_ids.device)
