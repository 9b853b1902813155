"""Generate text with a transformers model as lm-eval's `hf` model does, many prompts at a time.

Decoding itself, with every argument it knows, is transformers' `generate`. What is here: which prompts share a batch,
a stop string ends its own row, and a sampled row draws from a generator of its own, so that its text depends on
nothing else in the batch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers import LogitsProcessor, LogitsProcessorList, StoppingCriteria, StoppingCriteriaList

from harness.scorers.base import Answer, Failure, Request
from harness.scorers.batches import Budget, Job, Runner
from harness.scorers.tokens import Encoder, Prompt

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

# New tokens when a request does not say, as in lm-eval.
DEFAULT_NEW_TOKENS = 256


class Generator:
    """Answers generation requests with one model.

    Args:
        model: A causal language model in evaluation mode.
        tokenizer: Its tokenizer, with a padding token.
        encoder: Turns contexts into tokens.
        max_length: The model's context in tokens: a prompt is cut so that the new tokens fit behind it.
        budget: Tokens whose keys and values are held at a time, at most, unless a single prompt has more.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        encoder: Encoder,
        *,
        max_length: int,
        budget: Budget,
    ) -> None:
        self._model: Any = model
        self._tokenizer = tokenizer
        self._encoder = encoder
        self._max_length = max_length
        self._budget = budget
        self._runner: Runner[Answer] = Runner(budget)

    def answer(self, requests: Sequence[Request], indices: Sequence[int]) -> Iterator[dict[int, Answer | Failure]]:
        """Answer the requests at `indices`; those with the same arguments are batched by length, longest first."""
        groups: dict[str, list[int]] = {}
        for index in indices:
            groups.setdefault(requests[index].generation, []).append(index)
        for members in groups.values():
            yield from self._answer_group(requests, members)

    def _answer_group(self, requests: Sequence[Request], members: list[int]) -> Iterator[dict[int, Answer | Failure]]:
        from lm_eval.models.utils import normalize_gen_kwargs

        arguments = dict(normalize_gen_kwargs(requests[members[0]].generation_arguments, DEFAULT_NEW_TOKENS))
        new: int = arguments["max_gen_toks"]
        if new >= self._max_length:
            message = f"{new} new tokens asked for; the model's context is {self._max_length}"
            yield dict.fromkeys(members, Failure(reason="too_long", message=message))
            return
        encoded = self._encoder.prompts([requests[index].context for index in members], room=new)
        prompts = dict(zip(members, encoded, strict=True))

        def cut(left: list[int]) -> Iterator[Job[Answer]]:
            rows: list[int] = []
            for index in sorted(left, key=lambda index: -len(prompts[index].tokens)):
                if rows and (len(rows) + 1) * (len(prompts[rows[0]].tokens) + new) > self._budget.tokens:
                    yield job(rows)
                    rows = []
                rows.append(index)
            if rows:
                yield job(rows)

        def job(rows: list[int]) -> Job[Answer]:
            def run() -> dict[int, Answer]:
                batch = [prompts[index] for index in rows]
                answers = self._generate(batch, [requests[index] for index in rows], dict(arguments))
                return dict(zip(rows, answers, strict=True))

            return Job(members=rows, run=run, tokens=len(rows) * (len(prompts[rows[0]].tokens) + new))

        yield from self._runner.drain(members, cut)

    def _generate(self, prompts: list[Prompt], requests: list[Request], arguments: dict[str, Any]) -> list[Answer]:
        from lm_eval.models.utils import handle_stop_sequences, postprocess_generated_text

        eos = str(self._tokenizer.decode([self._tokenizer.eos_token_id], skip_special_tokens=False))
        until = [stop for stop in handle_stop_sequences(arguments.pop("until"), eos=eos) if stop]
        width = max(len(prompt.tokens) for prompt in prompts)
        ids = torch.full((len(prompts), width), self._tokenizer.pad_token_id)
        mask = torch.zeros(len(prompts), width, dtype=torch.long)
        for row, prompt in enumerate(prompts):
            ids[row, width - len(prompt.tokens) :] = torch.tensor(prompt.tokens)
            mask[row, width - len(prompt.tokens) :] = 1
        stops = _StopStrings(self._tokenizer, until, prompt=width, rows=len(prompts))
        output = self._model.generate(
            input_ids=ids.to(self._model.device),
            attention_mask=mask.to(self._model.device),
            max_length=width + arguments.pop("max_gen_toks"),
            stopping_criteria=StoppingCriteriaList([stops]),
            pad_token_id=self._tokenizer.pad_token_id,
            use_cache=True,
            **_decoding(arguments, [_row_seed(request) for request in requests]),
        )
        answers = []
        for row, prompt in enumerate(prompts):
            tokens = output[row, width:].tolist()[: stops.ended[row]]
            while tokens and tokens[-1] == self._tokenizer.pad_token_id:  # what other rows went on for
                tokens.pop()
            text = self._tokenizer.decode(tokens, skip_special_tokens=True)
            text = postprocess_generated_text(text, until, None)
            answers.append(Answer(text=text, tokens=len(tokens), cut_tokens=prompt.cut))
        return answers


def _decoding(arguments: dict[str, Any], seeds: list[int]) -> dict[str, Any]:
    """What `generate` is told about decoding: lm-eval's temperature rule, and the rows' own draws when sampling."""
    arguments.setdefault("temperature", 0.0)
    if not arguments["do_sample"]:
        if arguments["temperature"] == 0.0:
            del arguments["temperature"]
        return arguments
    draw = _OwnDraw(seeds)

    def sample(model: Any, input_ids: Tensor, logits_processor: LogitsProcessorList, **rest: Any) -> Tensor:
        # Behind temperature, top-k and top-p, which transformers has made ready by then.
        processors = LogitsProcessorList([*logits_processor, draw])
        output: Tensor = model._sample(input_ids, logits_processor=processors, **rest)  # noqa: SLF001 - as its docs do
        return output

    return {**arguments, "custom_generate": sample}


def _row_seed(request: Request) -> int:
    """A seed from what the request is, not from where it stands."""
    words = json.dumps([request.seed, request.context, request.generation, request.repeat])
    return int.from_bytes(hashlib.sha256(words.encode()).digest()[:8], "big") >> 1


class _OwnDraw(LogitsProcessor):
    """Draws a token for each row from the row's own generator, and leaves no other choice."""

    def __init__(self, seeds: Sequence[int]) -> None:
        self._generators = [torch.Generator().manual_seed(seed) for seed in seeds]

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
        ended: For each row, how many new tokens it had when it ended; None when it did not.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, until: list[str], *, prompt: int, rows: int) -> None:
        self._tokenizer = tokenizer
        self._until = until
        self._prompt = prompt
        # A token stands for a byte at least; one more for the space that decoders strip at the start.
        self._window = 2 + max((len(stop.encode()) for stop in until), default=0)
        self.ended: list[int | None] = [None] * rows

    def __call__(self, input_ids: Tensor, scores: Any, **_: Any) -> Tensor:  # noqa: ARG002
        """Which rows have ended, [rows]."""
        new = input_ids.shape[1] - self._prompt
        recent = input_ids[:, self._prompt :][:, -self._window :].tolist()
        going = [row for row, ended in enumerate(self.ended) if ended is None]
        for row, text in zip(going, self._tokenizer.batch_decode([recent[row] for row in going]), strict=True):
            if any(stop in text for stop in self._until):
                self.ended[row] = new
        return torch.tensor([ended is not None for ended in self.ended], device=input_ids.device)
