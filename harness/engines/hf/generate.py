"""Generate text with a transformers model as lm-eval's `hf` model does, many prompts at a time.

This file decides which prompts share a batch, reads a request's arguments, and turns tokens into text. `decoding` has
the loop over tokens.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from harness.engines.base import DEFAULT_NEW_TOKENS, Answer, Failure, Request, bad_arguments, no_room, row_seed
from harness.engines.hf.decoding import Decoder, Row, Thought
from harness.engines.hf.flow import CannotFlowError, flow
from harness.engines.hf.generation_probe import Batching, batching_of
from harness.engines.hf.runner import Budget, Job, Runner, ran_out_of_memory
from harness.engines.hf.shared_prefix import SharedPrefix, group_by_prefix
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
        self._flows = self._model.device.type == "cpu"  # until a batch shows that no row can join it

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
        continuing = self._continuing(arguments)
        tokens = {index: prompt.tokens for index, prompt in prompts.items() if prompt.tokens}
        for prefix, group in self._groups(continuing.decoder, tokens):
            continuing.decoder.prefix = self._computed(prefix)
            pending = {index: (requests[index], prompts[index]) for index in group}
            for answers in self._flowing(continuing, pending):
                yield answers
                pending = {index: each for index, each in pending.items() if index not in answers}
            yield from self._in_batches(continuing, pending)

    def _groups(self, decoder: Decoder, prompts: Mapping[int, Sequence[int]]) -> list[tuple[list[int], list[int]]]:
        """Group prompts by shared prefix; one group without a prefix if the model or the arguments cannot use it."""
        groups = list(group_by_prefix(prompts))
        shares = any(prefix for prefix, _ in groups) and decoder.takes_stages and self._batching.shares_prefixes
        return groups if shares else [([], list(prompts))] if prompts else []

    def _computed(self, prefix: Sequence[int]) -> SharedPrefix | None:
        """Compute a shared prefix; None if it is empty, or if it cannot be computed separately."""
        if not prefix:
            return None
        try:
            return SharedPrefix(self._model, prefix)
        except Exception as error:  # logged; each prompt is then computed whole
            self._runner.note(error)
            return None

    def _in_batches(
        self, continuing: Continuing, pending: Mapping[int, tuple[Request, Prompt]]
    ) -> Iterator[dict[int, Answer | Failure]]:
        """Answer batch by batch, each by itself; smaller ones where memory runs out."""
        new = continuing.decoder.new

        def length(index: int) -> int:
            return len(pending[index][1].tokens)

        def cut(left: list[int]) -> Iterator[Job[Answer]]:
            rows: list[int] = []
            for index in sorted(left, key=lambda index: -length(index)):
                longest = length(rows[0]) if rows else 0
                full = (len(rows) + 1) * (longest + new) > self._budget.tokens
                if rows and (full or not (self._batching.pads or longest == length(index))):
                    yield job(rows)
                    rows = []
                rows.append(index)
            if rows:
                yield job(rows)

        def job(rows: list[int]) -> Job[Answer]:
            def run() -> dict[int, Answer]:
                started = [continuing.row(*pending[index]) for index in rows]
                continuing.decoder.decode(started, staged=self._batching.stages)
                return {i: continuing.answer(*pending[i], row) for i, row in zip(rows, started, strict=True)}

            return Job(members=rows, run=run, tokens=len(rows) * (length(rows[0]) + new))

        yield from self._runner.drain(list(pending), cut)

    def _flowing(
        self, continuing: Continuing, pending: Mapping[int, tuple[Request, Prompt]]
    ) -> Iterator[dict[int, Answer | Failure]]:
        """Answer what can be answered in one batch that stays full; what is left needs batches of its own."""
        decoder = continuing.decoder
        flows = self._flows and decoder.takes_stages and decoder.new > 0
        if not (flows and len(pending) > 1 and self._batching.pads and self._batching.stages):
            return
        longest_first = sorted(pending, key=lambda index: -len(pending[index][1].tokens))
        rows = {index: continuing.row(*pending[index]) for index in longest_first}
        numbers = {id(row): index for index, row in rows.items()}
        try:
            for ended in flow(decoder, list(rows.values()), self._budget.tokens):
                yield {(i := numbers[id(row)]): continuing.answer(*pending[i], row) for row in ended}
        except CannotFlowError:
            self._flows = False
        except Exception as error:  # logged; a single prompt that causes it fails later
            self._runner.note(error)
            if ran_out_of_memory(error):
                self._budget.halve(self._budget.tokens, 1)

    def _continuing(self, arguments: dict[str, Any]) -> Continuing:
        """Return what continues prompts with these generation arguments."""
        from lm_eval.models.utils import handle_stop_sequences

        arguments = dict(arguments)
        end = self._tokenizer.eos_token_id
        eos = None if end is None else str(self._tokenizer.decode([end], skip_special_tokens=False))
        until = [stop for stop in handle_stop_sequences(arguments.pop("until"), eos=eos) if stop]
        new: int = arguments.pop("max_gen_toks")
        arguments.setdefault("temperature", 0.0)
        if not arguments["do_sample"] and arguments["temperature"] == 0.0:  # lm-eval's rule
            del arguments["temperature"]
        return Continuing(
            decoder=Decoder(self._model, self._tokenizer, new=new, until=until, arguments=arguments),
            tokenizer=self._tokenizer,
            until=until,
            samples=bool(arguments["do_sample"]),
            think_tags=self._think_tags,
        )


@dataclass(frozen=True, kw_only=True)
class Continuing:
    """Continues prompts that have the same generation arguments, and reads the answers.

    Attributes:
        decoder: Continues rows.
        tokenizer: The model's tokenizer.
        until: Stop strings.
        samples: Whether tokens are drawn.
        think_tags: The tags around the model's reasoning; None if it has none.
    """

    decoder: Decoder
    tokenizer: PreTrainedTokenizerBase
    until: list[str]
    samples: bool
    think_tags: ThinkTags | None

    def row(self, request: Request, prompt: Prompt) -> Row:
        """Return the row that continues a prompt."""
        draw = torch.Generator().manual_seed(row_seed(request)) if self.samples else None
        thought = None if self.think_tags is None else Thought(self.think_tags, prompt=request.context)
        return Row(prompt=prompt.tokens, draw=draw, thought=thought)

    def answer(self, request: Request, prompt: Prompt, row: Row) -> Answer:
        """Return the answer that a row holds when it has ended."""
        from lm_eval.models.utils import postprocess_generated_text

        if self.think_tags is None:
            text = str(self.tokenizer.decode(row.written, skip_special_tokens=True))
            text = postprocess_generated_text(text, self.until, None)
        else:
            text = self.think_tags.cut(self._with_tags(row.written, self.think_tags), request.context, self.until)
        return Answer(text=text, tokens=len(row.written), cut_tokens=prompt.cut)

    def _with_tags(self, tokens: Sequence[int], tags: ThinkTags) -> str:
        """Decode tokens without special tokens, but with the tags, which may be special tokens."""
        special = set(self.tokenizer.all_special_ids)
        ids = {self.tokenizer.convert_tokens_to_ids(tag): tag for tag in (tags.start, tags.end) if tag}
        # A tag of several tokens has the id of the unknown token, which may be EOS.
        kept = {
            number: tag
            for number, tag in ids.items()
            if number in special and self.tokenizer.convert_ids_to_tokens(number) == tag
        }
        pieces: list[str] = []
        rest: list[int] = []
        for token in tokens:
            if token in kept:
                pieces += [str(self.tokenizer.decode(rest, skip_special_tokens=True)), kept[token]]
                rest = []
            else:
                rest.append(token)
        return "".join([*pieces, str(self.tokenizer.decode(rest, skip_special_tokens=True))])
