"""Turn request text into token ids as lm-eval's `hf` model does, but many texts at a time.

The rules follow lm-eval 0.4.13 (`lm_eval/api/model.py`, `lm_eval/models/huggingface.py`): which token replaces an empty
context, where a trailing space goes, when special tokens are added, what is cut when a text is longer than the model's
context. There are two exceptions (docs/scoring.md): tokens that the tokenizer adds behind a text are never used, and if
the tokenizer merges the whole continuation with the end of its context, the continuation is encoded separately. No
model is loaded here and nothing is scored.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.engines.added_tokens import AddedTokens, added_tokens
from harness.engines.base import Failure, Request

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Tokens to run, and the tokens to score.

    The last token of a continuation is scored but never run, because nothing is predicted from it:

        context [5, 6], continuation [7, 8, 9]  ->  tokens [5, 6, 7, 8], targets [7, 8, 9]

    Attributes:
        tokens: The model's input: context and continuation without the continuation's last token; at most as long as
            the model's context.
        targets: The continuation; its tokens are predicted at the last ``len(targets)`` positions of `tokens`.
        cut: Number of tokens cut on the left to make `tokens` fit.
        encoded_apart: Whether the continuation was encoded without its context, because the tokenizer merges both.
    """

    tokens: list[int]
    targets: list[int]
    cut: int = 0
    encoded_apart: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """The tokens to generate from, and how many were cut on the left to leave room for the new ones."""

    tokens: list[int]
    cut: int = 0


class Encoder:
    """Turns requests into token ids for one tokenizer and one context length.

    Args:
        tokenizer: A transformers tokenizer; a fast one encodes texts in parallel.
        max_length: Longest input of the model, in tokens.
        add_bos: Whether to add special tokens; None leaves it to the tokenizer.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, *, max_length: int, add_bos: bool | None = None) -> None:
        self._tokenizer = tokenizer
        self._max_length = max_length
        self._add_bos = add_bos
        bos, eos = tokenizer.bos_token_id, tokenizer.eos_token_id
        # Replaces an empty context: BOS, otherwise EOS; None when the tokenizer has neither.
        self.prefix_token: int | None = bos if bos is not None else eos
        self._prefix_text = None if self.prefix_token is None else str(tokenizer.decode([self.prefix_token]))
        self._added: dict[bool | None, AddedTokens] = {
            special: added_tokens(tokenizer, special) for special in {False, add_bos}
        }

    @property
    def tokens_added(self) -> dict[str, list[str]]:
        """What the tokenizer adds to a text, for the record; what it adds behind is not used."""
        added = self._added[self._add_bos]
        names = self._tokenizer.convert_ids_to_tokens
        return {"in_front": list(names(list(added.front))), "behind_not_used": list(names(list(added.behind)))}

    def spans(self, requests: Sequence[Request]) -> list[list[Span] | Failure]:
        """The spans of each log-likelihood request: one, or one per window for rolling log-likelihood."""
        pairs = [_split(request.context, request.continuation) for request in requests]
        texts = {context for context, _ in pairs if context}
        texts.update(context + continuation for context, continuation in pairs)
        whole = self._encode(texts, given_prefix=self._prefix_text)
        bare = self._encode(
            {each for context, each in pairs if not context or not _rest(whole, context, each)}, special=False
        )
        spans: list[list[Span] | Failure] = []
        for request, (context, continuation) in zip(requests, pairs, strict=True):
            tokens = whole[context + continuation]
            if request.kind == "loglikelihood_rolling":
                spans.append(self._windows(tokens))
            elif not context:
                spans.append(self._without_context(bare[continuation]))
            elif not whole[context]:
                spans.append(self._without_context(tokens))
            elif rest := _rest(whole, context, continuation):
                spans.append(self._span(whole[context], rest))
            else:
                spans.append(self._span(whole[context], bare[continuation], apart=True))
        return spans

    def prompts(self, contexts: Sequence[str], *, room: int) -> list[Prompt]:
        """The contexts to generate from, cut on the left so that `room` new tokens fit after them."""
        encoded = self._encode(set(contexts), given_prefix=self._tokenizer.bos_token)
        longest = self._max_length - room
        assert longest > 0, "the caller refuses requests for more new tokens than the context holds"
        prompts = []
        for context in contexts:
            tokens = encoded[context] or ([] if self.prefix_token is None else [self.prefix_token])
            prompts.append(Prompt(tokens=tokens[-longest:], cut=max(0, len(tokens) - longest)))
        return prompts

    def _encode(
        self, texts: Iterable[str], *, special: bool | None = None, given_prefix: str | None = None
    ) -> dict[str, list[int]]:
        """Encode each distinct text once.

        Args:
            texts: Texts, which may repeat.
            special: Whether to add special tokens; None leaves it to `add_bos` and the tokenizer, except that a text
                that already begins with `given_prefix` gets none.
            given_prefix: The text of a special token.
        """
        groups: dict[bool | None, list[str]] = {}
        for text in texts:
            flag = special
            if special is None:
                begins = given_prefix is not None and text.startswith(given_prefix)
                flag = False if begins else self._add_bos
            groups.setdefault(flag, []).append(text)
        encoded: dict[str, list[int]] = {}
        for flag, group in groups.items():
            arguments: dict[str, Any] = {} if flag is None else {"add_special_tokens": flag}
            ids = self._tokenizer(group, return_attention_mask=False, verbose=False, **arguments)["input_ids"]
            behind = list(self._added[flag].behind)
            encoded.update(zip(group, (_without_end(each, behind) for each in ids), strict=True))
        return encoded

    def _without_context(self, continuation: list[int]) -> list[Span] | Failure:
        if not continuation:
            return _EMPTY
        if self.prefix_token is None:
            return Failure(reason="error", message="an empty context, and the tokenizer has neither BOS nor EOS")
        if continuation[0] == self.prefix_token:
            return self._span(continuation[:1], continuation[1:])
        return self._span([self.prefix_token], continuation)

    def _span(self, context: list[int], continuation: list[int], *, apart: bool = False) -> list[Span] | Failure:
        if not continuation:
            return _EMPTY
        if len(continuation) > self._max_length:
            message = f"a continuation of {len(continuation)} tokens; the model takes {self._max_length}"
            return Failure(reason="too_long", message=message)
        tokens = (context + continuation)[-(self._max_length + 1) : -1]
        cut = max(0, len(context) + len(continuation) - (self._max_length + 1))
        return [Span(tokens=tokens, targets=continuation, cut=cut, encoded_apart=apart)]

    def _windows(self, tokens: list[int]) -> list[Span] | Failure:
        from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

        if not tokens:
            return _EMPTY
        if self.prefix_token is None:
            return Failure(reason="error", message="rolling log-likelihood, and the tokenizer has neither BOS nor EOS")
        windows = get_rolling_token_windows(
            token_list=tokens, prefix_token=self.prefix_token, max_seq_len=self._max_length, context_len=1
        )
        pairs = [make_disjoint_window(window) for window in windows]
        return [Span(tokens=(context + targets)[:-1], targets=targets) for context, targets in pairs]


_EMPTY = Failure(reason="empty", message="the continuation has no tokens to score")


def _rest(whole: Mapping[str, list[int]], context: str, continuation: str) -> list[int]:
    """Return the continuation's tokens by lm-eval's rule: encode both, and cut off as many tokens as the context has.

    Nothing is left where the context's last token would join the whole continuation: "1." + "." -> "1", "..".
    """
    return whole[context + continuation][len(whole[context]) :]


def _without_end(tokens: list[int], end: list[int]) -> list[int]:
    """Return the tokens without those that the tokenizer added behind them."""
    return tokens[: -len(end)] if end and tokens[-len(end) :] == end else tokens


def _split(context: str, continuation: str) -> tuple[str, str]:
    """Move the context's trailing white space to the continuation: "A: " and "no" become "A:" and " no".

    Most tokenizers have a token for " no", and the model expects it after "A:".
    """
    stripped = context.rstrip()
    return stripped, context[len(stripped) :] + continuation
