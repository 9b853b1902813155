r"""Conversations as the tokenizer's chat template writes them, and where in that text each answer stands.

    messages   user "2 and 2?", assistant "4"
    text       "<|user|>\n2 and 2?<end>\n<|assistant|>\n4<end>\n"
    span                                                  4<end>

The spans come from the template itself, so any template will do: each message is rendered once more with a mark in its
place, and what differs is the message.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from jinja2 import TemplateError

from harness.errors import InputError, one_line
from harness.trainers.data.messages import Message

Tokenizer = Any  # transformers' PreTrainedTokenizerBase, whose types are not strict
Tools = list[dict[str, Any]]
# A text that no record holds, of characters that no template changes.
MARK = "\u2063harness\u2063"


class Span(NamedTuple):
    """Where an answer stands in a text, half open: ``begin:content_end``, and up to `end` what the template adds."""

    begin: int
    content_end: int
    end: int


@dataclass(frozen=True)
class Chat:
    """A tokenizer's chat template.

    Attributes:
        tokenizer: It must have a template.
        checks: Whether `text` checks that the template renders everything that a record holds.
    """

    tokenizer: Tokenizer
    checks: bool = field(default=True)

    def text(self, messages: Sequence[Message], where: str, tools: Tools | None = None, *, asks: bool = False) -> str:
        """Return the text of a conversation; `asks` adds the header of the assistant's next message.

        Raises:
            InputError: the template raises an error, or leaves out something that a message holds.
        """
        text = self._render(messages, where, tools, asks=asks)
        if self.checks:
            self._check_complete(text, messages, where, tools)
        return text

    def _render(self, messages: Sequence[Message], where: str, tools: Tools | None, *, asks: bool = False) -> str:
        try:
            return str(
                self.tokenizer.apply_chat_template(
                    list(messages), tools=tools or None, tokenize=False, add_generation_prompt=asks
                )
            )
        except (TemplateError, TypeError, KeyError, ValueError, AttributeError) as error:
            reason = one_line(error, max_characters=200)
            raise InputError(
                f"{where}: the chat template does not accept this conversation ({reason}); correct or remove the "
                "record, or set chat_template in the stage file."
            ) from None

    def _check_complete(self, text: str, messages: Sequence[Message], where: str, tools: Tools | None) -> None:
        for number, message in enumerate(messages):
            # A short system message may also stand elsewhere in the text, so it is replaced to see whether it counts.
            certain = message["role"] in ("user", "assistant") and str(message["content"]).strip() in text
            if str(message["content"]).strip() and not certain:
                replaced = [*messages[:number], message | {"content": MARK}, *messages[number + 1 :]]
                what = "system" if message["role"] in ("system", "developer") else f"message {number + 1}"
                self._check_differs(text, replaced, where, tools, what)
        for key in ("reasoning_content", "tool_calls"):
            if any(key in message for message in messages):
                self._check_differs(text, _without(messages, key), where, tools, key)
        if tools:
            self._check_differs(text, messages, where, None, "tools")

    def _check_differs(self, text: str, without: Sequence[Message], where: str, tools: Tools | None, what: str) -> None:
        """Check that the text changes if a part of the record is left out, or replaced."""
        if self._render(without, where, tools) == text:
            advice = "" if " " in what else f", or add `fields: {{{what}: ignore}}` to the source to train without it"
            raise InputError(
                f"{where}: the chat template leaves out {what}; set chat_template in the stage file{advice}."
            )

    @cached_property
    def header(self) -> str:
        r"""The text before an answer that is to be written: ``<|assistant|>\n``; empty if there is none."""
        asked = [{"role": "user", "content": MARK}]
        try:
            plain, asking = (self._render(asked, "", None, asks=asks) for asks in (False, True))
        except InputError:
            return ""
        return asking[_common_prefix(plain, asking) :]

    @cached_property
    def ending(self) -> str:
        r"""The text after an answer: ``<end>\n``; empty if there is none."""
        try:
            text = self._render([{"role": "user", "content": "x"}, {"role": "assistant", "content": MARK}], "", None)
        except InputError:
            return ""
        return text.partition(MARK)[2]

    def spans(
        self, messages: Sequence[Message], learned: Sequence[bool], where: str, tools: Tools | None = None
    ) -> tuple[str, list[Span]]:
        """Return the text of a conversation, and the span of each learned message.

        Raises:
            InputError: the template raises an error, or leaves out something that a message holds.
        """
        text = self.text(messages, where, tools)
        return text, [
            self._span(text, messages, number, where, tools) for number, learns in enumerate(learned) if learns
        ]

    def _span(self, text: str, messages: Sequence[Message], number: int, where: str, tools: Tools | None) -> Span:
        # text     <|user|>\nHi<end>\n<|assistant|>\nHello<end>\n<|user|>\nAnd ...
        # marked   <|user|>\nHi<end>\n<|assistant|>\nMARK<end>\n<|user|>\nAnd ...
        #                                            ^ begin  ^ end of the message; its ending follows
        marked = self._render(
            [*messages[:number], {"role": "assistant", "content": MARK}, *messages[number + 1 :]], where, tools
        )
        before, _, after = marked.partition(MARK)
        begin = _common_prefix(text, before)
        content_end = max(begin, len(text) - _common_prefix(text[::-1], after[::-1]))
        header = text.rfind(self.header, 0, begin + len(self.header)) if self.header else -1
        if header >= max(0, text.rfind(self.ending, 0, begin) if self.ending else 0):
            begin = header + len(self.header)  # the template may write more, such as empty thoughts; it is learned
        return Span(begin, content_end, content_end + _common_prefix(text[content_end:], self.ending))


def _without(messages: Sequence[Message], key: str) -> list[Message]:
    return [{name: value for name, value in message.items() if name != key} for message in messages]


def _common_prefix(first: str, second: str) -> int:
    shorter = min(len(first), len(second))
    return next((place for place in range(shorter) if first[place] != second[place]), shorter)


def learned_tokens(
    ids: Sequence[int], offsets: Sequence[tuple[int, int]], spans: Sequence[Span], special: Collection[int]
) -> list[bool]:
    """Return for each token whether it is learned: those of an answer, and what the template adds after it.

    Args:
        ids: The tokens.
        offsets: The characters that each of them stands for.
        spans: The answers.
        special: Tokens that have a meaning of their own. Where a template ends the last answer in another way than the
            ones before, such as gpt-oss with ``<|return|>`` and ``<|end|>``, the special token after an answer is its
            end.
    """
    learned = [
        any((start < span.content_end and end > span.begin) or span.begin <= start < end <= span.end for span in spans)
        for start, end in offsets
    ]
    for span in spans:
        following = next((place for place, (start, _) in enumerate(offsets) if start >= span.content_end), None)
        if following is not None and ids[following] in special:
            learned[following] = True
    return learned
