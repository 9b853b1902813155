"""Generate text with a transformers model as lm-eval's `hf` model does, many prompts at a time.

This file decides which prompts share a batch, reads a request's arguments, and turns tokens into text. `decoding` has
the loop over tokens.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch

from harness.engines.base import DEFAULT_NEW_TOKENS, Answer, Failure, Request, bad_arguments, no_room, row_seed
from harness.engines.hf.decoding import Thought, decode
from harness.engines.hf.generation_probe import Batching, batching_of
from harness.engines.hf.runner import Budget, Job, Runner
from harness.engines.thoughts import ThinkTags
from harness.engines.tokens import Encoder, Prompt

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_EMPTY = Failure(reason="error", message="an empty prompt, and the tokenizer has neither BOS nor EOS")


class Generator:
    """Answers generation requests with one model.

    Args:
        model: A causal language model in evaluation mode.
        tokenizer: Its tokenizer, with a padding token.
        encoder: Turns contexts into tokens.
        max_length: The model's context in tokens: a prompt is cut so that the new tokens fit after it.
        think_tags: The tags around the model's reasoning; None if it has none.
        budget: Most tokens whose keys and values are held at a time, unless a single prompt has more.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        encoder: Encoder,
        *,
        max_length: int,
        budget: Budget,
        think_tags: ThinkTags | None = None,
    ) -> None:
        self._model: Any = model
        self._tokenizer = tokenizer
        self._encoder = encoder
        self._max_length = max_length
        self._budget = budget
        self._think_tags = think_tags
        self._runner: Runner[Answer] = Runner(budget)

    @functools.cached_property
    def _batching(self) -> Batching:
        """Tested when the first prompt comes: most runs only score."""
        return batching_of(self._model)

    def answer(self, requests: Sequence[Request], indices: Sequence[int]) -> Iterator[dict[int, Answer | Failure]]:
        """Answer the requests at `indices`; those with the same arguments are batched by length, longest first."""
        groups: dict[str, list[int]] = {}
        for index in indices:
            groups.setdefault(requests[index].generation, []).append(index)
        for members in groups.values():
            yield from self._answer_group(requests, members)

    def _answer_group(self, requests: Sequence[Request], members: list[int]) -> Iterator[dict[int, Answer | Failure]]:
        from lm_eval.models.utils import normalize_gen_kwargs

        try:
            arguments = dict(normalize_gen_kwargs(requests[members[0]].generation_arguments, DEFAULT_NEW_TOKENS))
        except (TypeError, ValueError) as error:
            yield dict.fromkeys(members, bad_arguments(error))
            return
        new: int = arguments["max_gen_toks"]
        if new >= self._max_length:
            yield dict.fromkeys(members, no_room(new, self._max_length))
            return
        encoded = self._encoder.prompts([requests[index].context for index in members], room=new)
        prompts = dict(zip(members, encoded, strict=True))
        empty = [index for index in members if not prompts[index].tokens]
        if empty:
            yield dict.fromkeys(empty, _EMPTY)
            members = [index for index in members if prompts[index].tokens]

        def cut(left: list[int]) -> Iterator[Job[Answer]]:
            rows: list[int] = []
            for index in sorted(left, key=lambda index: -len(prompts[index].tokens)):
                longest = len(prompts[rows[0]].tokens) if rows else 0
                full = (len(rows) + 1) * (longest + new) > self._budget.tokens
                if rows and (full or not (self._batching.pads or longest == len(prompts[index].tokens))):
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

        end = self._tokenizer.eos_token_id
        eos = None if end is None else str(self._tokenizer.decode([end], skip_special_tokens=False))
        until = [stop for stop in handle_stop_sequences(arguments.pop("until"), eos=eos) if stop]
        new: int = arguments.pop("max_gen_toks")
        arguments.setdefault("temperature", 0.0)
        if not arguments["do_sample"] and arguments["temperature"] == 0.0:  # lm-eval's rule
            del arguments["temperature"]
        generators = [torch.Generator().manual_seed(row_seed(request)) for request in requests]
        written = decode(
            self._model,
            self._tokenizer,
            [prompt.tokens for prompt in prompts],
            new=new,
            until=until,
            arguments=arguments,
            draws=generators if arguments["do_sample"] else None,
            staged=self._batching.stages,
            thoughts=self._thoughts(requests),
        )
        answers = []
        for request, prompt, tokens in zip(requests, prompts, written, strict=True):
            if self._think_tags is None:
                text = self._tokenizer.decode(tokens, skip_special_tokens=True)
                text = postprocess_generated_text(text, until, None)
            else:
                text = self._think_tags.cut(self._with_tags(tokens, self._think_tags), request.context, until)
            answers.append(Answer(text=text, tokens=len(tokens), cut_tokens=prompt.cut))
        return answers

    def _thoughts(self, requests: Sequence[Request]) -> list[Thought] | None:
        tags = self._think_tags
        return None if tags is None else [Thought(tags, prompt=request.context) for request in requests]

    def _with_tags(self, tokens: Sequence[int], tags: ThinkTags) -> str:
        """Decode tokens without special tokens, but with the tags, which may be special tokens."""
        special = set(self._tokenizer.all_special_ids)
        ids = {self._tokenizer.convert_tokens_to_ids(tag): tag for tag in (tags.start, tags.end) if tag}
        # A tag of several tokens has the id of the unknown token, which may be EOS.
        kept = {
            number: tag
            for number, tag in ids.items()
            if number in special and self._tokenizer.convert_ids_to_tokens(number) == tag
        }
        pieces: list[str] = []
        rest: list[int] = []
        for token in tokens:
            if token in kept:
                pieces += [str(self._tokenizer.decode(rest, skip_special_tokens=True)), kept[token]]
                rest = []
            else:
                rest.append(token)
        return "".join([*pieces, str(self._tokenizer.decode(rest, skip_special_tokens=True))])
