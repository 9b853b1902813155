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
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers import DynamicCache, LogitsProcessor, LogitsProcessorList, StoppingCriteria, StoppingCriteriaList

from harness.engines.hf.shared_prefix import SharedPrefix
from harness.engines.hf.steps import PaddedPrefix, fast_steps, make_room
from harness.engines.sampling_fields import SAMPLING_FIELDS
from harness.engines.thoughts import ThinkTags

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

STAGE = 16
"""New tokens of a stage."""
ROOM = 2 * STAGE
"""Tokens that a cache makes room for at a time; each time it is copied."""

# Arguments that have the same meaning in stages as in a single call. With others, such as beams or a minimum length,
# there is one stage.
_STAGED = {"do_sample", "temperature", *SAMPLING_FIELDS}


@dataclass(kw_only=True, eq=False)
class Row:
    """A prompt that is being continued.

    Attributes:
        prompt: Its token ids.
        draw: Random generator, when tokens are sampled.
        thought: Tracks its thought, if the model writes thoughts.
        written: Its new tokens so far, up to the one that completes a stop string or ends the text.
    """

    prompt: Sequence[int]
    draw: torch.Generator | None = None
    thought: Thought | None = None
    written: list[int] = field(default_factory=list)


@dataclass(kw_only=True)
class Batch:
    """Rows that are continued together.

    Attributes:
        rows: The rows.
        ids: Their tokens, [rows, width], padded on the left.
        mask: 0 where they are padding, [rows, width].
        cache: Keys and values of the tokens before those that the next stage computes: all but the last after a stage,
            the shared prefix at the start. None if the next stage computes all tokens.
    """

    rows: list[Row]
    ids: Tensor
    mask: Tensor
    cache: DynamicCache | None = None

    @property
    def width(self) -> int:
        """Tokens of a row, with its padding."""
        return self.ids.shape[1]


class Decoder:
    """Continues rows with one model and the same arguments.

    Args:
        model: A causal language model in evaluation mode.
        tokenizer: Its tokenizer.
        new: Most new tokens of a row.
        until: Stop strings; they do not end a thought.
        arguments: Further arguments of `generate`.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: PreTrainedTokenizerBase,
        *,
        new: int,
        until: Sequence[str],
        arguments: Mapping[str, Any],
    ) -> None:
        self.new = new
        self.padding = padding_token(model, tokenizer)
        self._model = model
        self._tokenizer = tokenizer
        self._until = until
        self._arguments = arguments
        self._ends = _end_tokens(model, arguments)
        self.prefix: SharedPrefix | None = None
        """The prefix that the prompts of all rows share, if it is computed already."""

    @property
    def takes_stages(self) -> bool:
        """Whether the arguments mean the same in stages as in a single call."""
        return self._arguments.keys() <= _STAGED

    def decode(self, rows: Sequence[Row], *, staged: bool = True) -> None:
        """Continue rows until all have ended.

        Args:
            rows: The rows.
            staged: Whether the model can continue from its cache (see `generation_probe`), else there is one stage.
        """
        batch = self.start(rows)
        if not staged:
            _clear_states(self._model, batch.ids)
        stage = STAGE if staged and self.takes_stages else self.new
        while batch.rows and self.new > 0:
            batch = self.advance(batch, min(stage, self.new - len(batch.rows[0].written)))

    def start(self, rows: Sequence[Row]) -> Batch:
        """Return a batch of rows; what they have written is computed anew."""
        prompts = [[*row.prompt, *row.written] for row in rows]
        ids, mask = padded(prompts, self.padding)
        cache = None if self.prefix is None else self.prefix.cache([len(prompt) for prompt in prompts])
        return Batch(rows=list(rows), ids=ids, mask=mask, cache=cache)

    def advance(self, batch: Batch, steps: int) -> Batch:
        """Write up to `steps` tokens of each row; returns the rows that have not ended."""
        rows, device = batch.rows, self._model.device
        stops = _StopStrings(self._tokenizer, self._until, [row.written for row in rows], prompt=batch.width)
        thoughts = [row.thought for row in rows if row.thought is not None]
        if thoughts:
            stops.skip_thoughts(thoughts)
        draws = [row.draw for row in rows if row.draw is not None]
        padded_prefix = None
        if self.prefix is not None:
            padded_prefix = PaddedPrefix(prefix=self.prefix, padding=batch.width - batch.mask.sum(dim=1))
        with fast_steps(device, padded_prefix):
            output = self._model.generate(
                input_ids=batch.ids.to(device),
                attention_mask=batch.mask.to(device),
                past_key_values=batch.cache,
                max_length=batch.width + steps,
                stopping_criteria=StoppingCriteriaList([stops]),
                pad_token_id=self.padding,
                use_cache=True,
                return_dict_in_generate=True,
                **self._arguments,
                **({"custom_generate": _sampling(draws)} if draws else {}),
            )
        sequences = output.sequences.cpu()
        continuing = []
        for place, row in enumerate(rows):
            tokens = sequences[place, batch.width :].tolist()[: stops.ended[place]]
            length = next((n for n, token in enumerate(tokens, start=1) if token in self._ends), None)
            row.written += tokens[:length]
            if length is None and stops.ended[place] is None and len(row.written) < self.new and not stops.of_beams:
                continuing.append(place)
        # If the second of three rows has ended, `continuing` is [0, 2].
        added = batch.mask.new_ones(len(rows), sequences.shape[1] - batch.width)
        return Batch(
            rows=[rows[place] for place in continuing],
            ids=sequences[continuing],
            mask=torch.cat([batch.mask, added], dim=1)[continuing],
            cache=continuing_cache(output, continuing),
        )


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
    make_room(cache, ROOM)
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
        of_beams: Whether several beams continue each row; `ended` is then not known, and there is one stage.
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
        self.of_beams = False
        self._thoughts: Sequence[Thought] | None = None

    def skip_thoughts(self, thoughts: Sequence[Thought]) -> None:
        """Let stop strings count only where a row is not within its thought."""
        self._thoughts = thoughts
        self._window += max(len(tag.encode()) for thought in thoughts for tag in (thought.tags.start, thought.tags.end))

    def __call__(self, input_ids: Tensor, scores: Any, **_: Any) -> Tensor:  # noqa: ARG002
        """Which rows, or beams, have ended: one value per row of `input_ids`."""
        new = input_ids[:, self._prompt :].tolist()
        if len(new) != len(self.ended):
            self.of_beams = True
            beams = self._tokenizer.batch_decode([tokens[-self._window :] for tokens in new])
            return torch.tensor([any(stop in text for stop in self._until) for text in beams], device=input_ids.device)
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
