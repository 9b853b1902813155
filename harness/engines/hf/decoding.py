"""Decode rows of tokens with transformers' `generate`, in stages; after each stage the finished rows are dropped.

`generate` does the decoding, with all its arguments. By itself it continues with all rows until the last one has ended,
which computes several times the tokens needed when rows end far apart. Stages of 4 tokens, with `.` for a wasted one:

    row 0   a b c </s> | dropped
    row 1   d e f g    | h i </s> .  | dropped
    row 2   j k l m    | n o p q     | r s </s> .

Two things are added: a stop string ends only its own row, and each sampled row draws from its own random generator, so
that its text does not depend on the other rows of the batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers import DynamicCache, LogitsProcessor, LogitsProcessorList, StoppingCriteria, StoppingCriteriaList

from harness.engines.hf.steps import fast_steps, make_room
from harness.engines.sampling_fields import SAMPLING_FIELDS
from harness.engines.thoughts import ThinkTags

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

STAGE = 16
"""New tokens of a stage."""

# Arguments that have the same meaning in stages as in a single call. With others, such as beams or a minimum length,
# there is one stage.
_STAGED = {"do_sample", "temperature", *SAMPLING_FIELDS}


def decode(
    model: Any,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[Sequence[int]],
    *,
    new: int,
    until: Sequence[str],
    arguments: Mapping[str, Any],
    draws: Sequence[torch.Generator] | None,
    staged: bool = True,
    thoughts: Sequence[Thought] | None = None,
) -> list[list[int]]:
    """Return each row's new tokens, up to the one that completes a stop string or ends the text.

    Args:
        model: A causal language model in evaluation mode.
        tokenizer: Its tokenizer, with a padding token.
        prompts: Token ids of the rows; padded on the left here.
        new: Maximum number of new tokens.
        until: Stop strings.
        arguments: Further arguments of `generate`.
        draws: A random generator for each row when tokens are sampled.
        staged: Whether the model can continue from its cache (see `generation_probe`); otherwise there is one stage.
        thoughts: One tracker per row if the model writes thoughts, else None; stop strings do not end a thought.
    """
    padding = padding_token(model, tokenizer)
    ids, mask = padded(prompts, padding)
    ends = _end_tokens(model, arguments)
    written: list[list[int]] = [[] for _ in prompts]
    live = list(range(len(prompts)))  # the rows that have not ended; each has a place in the tensors of a stage
    stage = STAGE if staged and arguments.keys() <= _STAGED else new
    cache: DynamicCache | None = None
    if not staged:
        _clear_states(model, ids)
    while live and new > 0:
        stops = _StopStrings(tokenizer, until, [written[row] for row in live], prompt=ids.shape[1])
        if thoughts is not None:
            stops.skip_thoughts([thoughts[row] for row in live])
        with fast_steps():
            output = model.generate(
                input_ids=ids.to(model.device),
                attention_mask=mask.to(model.device),
                past_key_values=cache,
                max_length=ids.shape[1] + min(stage, new),
                stopping_criteria=StoppingCriteriaList([stops]),
                pad_token_id=padding,
                use_cache=True,
                return_dict_in_generate=True,
                **arguments,
                **({} if draws is None else {"custom_generate": _sampling([draws[row] for row in live])}),
            )
        sequences = output.sequences.cpu()
        new -= sequences.shape[1] - ids.shape[1]
        continuing = []
        for place, row in enumerate(live):
            tokens = sequences[place, ids.shape[1] :].tolist()[: stops.ended[place]]
            length = next((n for n, token in enumerate(tokens, start=1) if token in ends), None)
            written[row] += tokens[:length]
            if length is None and stops.ended[place] is None:
                continuing.append(place)
        # With rows 0, 2, 5 in the places 0, 1, 2, of which row 2 has ended, `continuing` is [0, 2] and `live` [0, 5].
        live = [live[place] for place in continuing]
        mask = torch.cat([mask, mask.new_ones(len(mask), sequences.shape[1] - ids.shape[1])], dim=1)[continuing]
        ids = sequences[continuing]
        cache = continuing_cache(output, continuing)
    return written


@torch.inference_mode()
def _clear_states(model: Any, ids: Tensor) -> None:
    """Clear what earlier rows left in the model: RecurrentGemma keeps states in its modules until a pass uses none.

    It would read them for a prompt of a single token.
    """
    model(input_ids=ids[:, :1].to(model.device), use_cache=False)


def padding_token(model: Any, tokenizer: PreTrainedTokenizerBase) -> int:
    """The tokenizer's padding token, or 0 if the model has no embedding for it. The mask hides it."""
    token, vocabulary = tokenizer.pad_token_id, model.config.get_text_config().vocab_size
    return token if isinstance(token, int) and 0 <= token < vocabulary else 0


def padded(prompts: Sequence[Sequence[int]], padding: int) -> tuple[Tensor, Tensor]:
    """Ids and attention mask of the prompts, [rows, longest], padded on the left so that new tokens line up."""
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


def continuing_cache(output: Any, continuing: Sequence[int]) -> DynamicCache | None:
    """The cache of the rows that continue; None for other kinds of cache: the next stage then computes its prompt."""
    cache = output.past_key_values
    if type(cache) is not DynamicCache:
        return None
    make_room(cache, STAGE)
    if len(continuing) < len(output.sequences):
        # Not `batch_select_indices`, which layers with recurrent states lack; beam search selects rows of all layers.
        rows: Any = torch.tensor(continuing, dtype=torch.long, device=output.sequences.device)
        cache.reorder_cache(rows)
    return cache


def _sampling(draws: Sequence[torch.Generator]) -> Any:
    """A function that `generate` runs instead of its own sampling."""
    draw = _OwnDraw(draws)

    def sample(model: Any, input_ids: Tensor, logits_processor: LogitsProcessorList, **rest: Any) -> Any:
        # After temperature, top-k and top-p, which transformers has already put into `logits_processor`.
        processors = LogitsProcessorList([*logits_processor, draw])
        return model._sample(input_ids, logits_processor=processors, **rest)  # noqa: SLF001 - as its docs do

    return sample


class _OwnDraw(LogitsProcessor):
    """Draws a token for each row from the row's own generator, and makes it the only one that sampling can take."""

    def __init__(self, generators: Sequence[torch.Generator]) -> None:
        self._generators = generators

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:  # noqa: ARG002 - transformers' signature
        """Scores [rows, vocabulary] -> the same shape, 0 at the drawn token and -inf elsewhere."""
        drawn = torch.stack([torch.rand(1, generator=generator, dtype=torch.float64) for generator in self._generators])
        cumulated = scores.double().softmax(dim=-1).cumsum(dim=-1)
        # Probabilities 0.5, 0, 0.5 cumulate to 0.5, 0.5, 1: a draw of 0.3 gives token 0, one of 0.5 gives token 2. With
        # right=True a token of probability 0 is never drawn. The last entry is 1 only up to rounding, hence the factor.
        token = torch.searchsorted(cumulated, drawn.to(scores.device) * cumulated[:, -1:], right=True)
        return torch.full_like(scores, -torch.inf).scatter(1, token.clamp(max=scores.shape[1] - 1), 0.0)


class Thought:
    """Tracks whether a row is still within its thought while its tokens arrive."""

    def __init__(self, tags: ThinkTags, *, prompt: str) -> None:
        self.tags, self.prompt = tags, prompt
        self.closed = False
        self._inside = tags.is_inside("", prompt)

    def is_inside(self, recent: str) -> bool:
        """Whether the row is within its thought, given its last few tokens; each call takes one token more."""
        if self.tags.end in recent:
            self.closed, self._inside = True, False
        elif self.tags.start and self.tags.start in recent and not self.closed:
            self._inside = True
        return self._inside


class _StopStrings(StoppingCriteria):
    """Ends a row when its new text contains a stop string.

    Attributes:
        ended: For each row, how many new tokens of this stage it had when it ended; None if it has not ended.
    """

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, until: Sequence[str], before: Sequence[list[int]], *, prompt: int
    ) -> None:
        """Remember where each row's new text begins.

        Args:
            tokenizer: Decodes tokens.
            until: The stop strings.
            before: Each row's new tokens of earlier stages, in which a stop string may begin.
            prompt: Number of tokens that each row of this stage began with.
        """
        self._tokenizer = tokenizer
        self._until = until
        # Only the last tokens are decoded in each step. A token stands for at least one byte, so a stop string of n
        # bytes has at most n tokens; another token for the space that decoders strip at the start, and one to spare.
        self._window = 2 + max((len(stop.encode()) for stop in until), default=0)
        self._written = before
        self._prompt = prompt
        self.ended: list[int | None] = [None] * len(before)
        self._thoughts: Sequence[Thought] | None = None

    def skip_thoughts(self, thoughts: Sequence[Thought]) -> None:
        """Let stop strings count only where a row is not within its thought."""
        self._thoughts = thoughts
        self._window += max(len(tag.encode()) for thought in thoughts for tag in (thought.tags.start, thought.tags.end))

    def __call__(self, input_ids: Tensor, scores: Any, **_: Any) -> Tensor:  # noqa: ARG002
        """Which rows have ended, [rows]."""
        new = input_ids[:, self._prompt :].tolist()
        continuing = [row for row, ended in enumerate(self.ended) if ended is None]
        recent = [(self._written[row][-self._window :] + new[row])[-self._window :] for row in continuing]
        for row, text in zip(continuing, self._tokenizer.batch_decode(recent), strict=True):
            answer = text if self._thoughts is None else self._answer(self._thoughts[row], row, text, new[row])
            if any(stop in answer for stop in self._until):
                self.ended[row] = len(new[row])
        return torch.tensor([ended is not None for ended in self.ended], device=input_ids.device)

    def _answer(self, thought: Thought, row: int, recent: str, new: list[int]) -> str:
        """Return the part of a thinking row's text in which stop strings count."""
        if thought.is_inside(recent):
            return ""
        if not thought.closed:
            return recent
        whole = str(self._tokenizer.decode(self._written[row] + new))  # an answer is short beside its thought
        return thought.tags.answer(whole, thought.prompt) or ""
