r"""Conversations as the tokenizer's chat template writes them, and where in that text each answer stands.

    messages   user "2 and 2?", assistant "4"
    text       "<|user|>\n2 and 2?<end>\n<|assistant|>\n4<end>\n"
    span                                                  4<end>

The spans come from the template itself, so any template will do: each message is rendered once more with a mark in its
place, and what differs is the message.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from jinja2 import TemplateError

from harness.errors import InputError, one_line
from harness.trainers.data.messages import Message
from harness.trainers.data.prefix import common_prefix_length

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
        tokenizer: Its template is needed as soon as anything is rendered.
    """

    tokenizer: Tokenizer

    def text(self, messages: Sequence[Message], where: str, tools: Tools | None = None, *, asks: bool = False) -> str:
        """Return the text of a conversation; `asks` adds the header of the next answer, and nothing is checked.

        Raises:
            InputError: the template raises an error, or leaves out something that a message holds.
        """
        text = self._render(messages, where, tools, asks=asks)
        if not asks:
            self._check_complete(text, messages, where, tools)
        return text

    def _render(self, messages: Sequence[Message], where: str, tools: Tools | None, *, asks: bool = False) -> str:
        def rendered(conversation: Sequence[Message]) -> str:
            return str(
                self.tokenizer.apply_chat_template(
                    list(conversation), tools=tools or None, tokenize=False, add_generation_prompt=asks
                )
            )

        try:
            try:
                return rendered(messages)
            except TypeError:  # DeepSeek's templates join texts, so they need arguments as text
                return rendered(_with_calls_as_text(messages))
        except (TemplateError, TypeError, KeyError, ValueError, AttributeError) as error:
            reason = one_line(error, max_characters=200)
            raise InputError(
                f"{where}: the chat template does not accept this conversation ({reason}); correct or remove the "
                "record, or set chat_template in the stage file."
            ) from None

    def _check_complete(self, text: str, messages: Sequence[Message], where: str, tools: Tools | None) -> None:
        for number, message in enumerate(messages):
            # A short system message may also stand elsewhere in the text, so it is changed to see whether it counts.
            # Both ends are: some templates cut off what stands before </think>.
            content = str(message["content"])
            certain = message["role"] in ("user", "assistant") and content.strip() in text
            what = "system" if message["role"] in ("system", "developer") else f"the text of message {number + 1}"
            for changed in (f"{MARK}{content}", f"{content}{MARK}") if content.strip() and not certain else ():
                self._check_differs(text, _with(messages, number, content=changed), where, tools, what)
            for key in ("reasoning_content", "tool_calls", "name"):
                if key in message and not (key == "name" and message["role"] == "tool"):
                    self._check_differs(text, _with(messages, number, **{key: None}), where, tools, key)
        if tools:
            self._check_differs(text, messages, where, None, "tools")

    def _check_differs(self, text: str, without: Sequence[Message], where: str, tools: Tools | None, what: str) -> None:
        """Check that the text changes if a part of the record is left out, or replaced."""
        try:
            unchanged = self._render(without, where, tools) == text
        except InputError:
            return  # the template needs that part
        if unchanged:
            advice = "" if " " in what else f", or add `fields: {{{what}: ignore}}` to the source to train without it"
            raise InputError(
                f"{where}: the chat template leaves out {what}; set chat_template in the stage file{advice}."
            )

    @cached_property
    def header(self) -> str:
        r"""The text before an answer that is to be written: ``<|assistant|>\n``; empty if there is none."""
        prompt = [{"role": "user", "content": MARK}]
        try:
            plain, asking = (self._render(prompt, "", None, asks=asks) for asks in (False, True))
        except InputError:
            return ""
        return asking[common_prefix_length(plain, asking) :]

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
        calls = messages[number].get("tool_calls")
        marked = self._render(_with(messages, number, content=MARK, reasoning_content=None), where, tools)
        if calls and MARK not in marked:  # some templates write no text beside a call
            named = {**calls[0], "function": {**calls[0]["function"], "name": MARK}}
            marked = self._render(_with(messages, number, tool_calls=[named]), where, tools)
        if MARK not in marked:
            raise InputError(
                f"{where}: the chat template does not show where message {number + 1} stands; set only_last: true for "
                "the source, or chat_template in the stage file."
            )
        before, _, after = marked.partition(MARK)
        begin = common_prefix_length(text, before)
        content_end = max(begin, len(text) - common_prefix_length(text[::-1], after[::-1]))
        header = text.rfind(self.header, 0, begin + len(self.header)) if self.header else -1
        if header >= max(0, text.rfind(self.ending, 0, begin) if self.ending else 0):
            begin = header + len(self.header)  # the template may write more, such as empty thoughts; it is learned
        if calls:
            content_end = self._end_of_calls(text, messages, number, where, tools)
        return Span(begin, content_end, content_end + common_prefix_length(text[content_end:], self.ending))

    def _end_of_calls(
        self, text: str, messages: Sequence[Message], number: int, where: str, tools: Tools | None
    ) -> int:
        """Return where the calls of a message end: before the first ending after the last call's arguments."""
        # text     ... <tool_call>{"name": "add", "arguments": {"a": 2}}</tool_call><end> ...
        # marked   ... <tool_call>{"name": "add", "arguments": {MARK}}</tool_call><end> ...
        #                                                            ^ the texts are equal from here on
        *calls, last = messages[number]["tool_calls"]
        function = {**last["function"], "arguments": {MARK: MARK}}
        marked = self._render(
            _with(messages, number, tool_calls=[*calls, {**last, "function": function}]), where, tools
        )
        same = common_prefix_length(text[::-1], marked.rpartition(MARK)[2][::-1])
        end = text.find(self.ending, len(text) - same) if self.ending else -1
        contents = [str(message["content"]).strip() for message in messages[number + 1 :]]
        later = [content for content in contents if content]
        following = text.find(later[0], len(text) - same) if later else len(text)
        if not same or end < 0 or end > following:
            raise InputError(
                f"{where}: the chat template does not show where the calls of message {number + 1} end; set "
                "only_last: true for the source, or chat_template in the stage file."
            )
        return end


def _with(messages: Sequence[Message], number: int, **changed: Any) -> list[Message]:
    """Return the messages with changes to one of them; None removes a key."""
    message = {key: value for key, value in (messages[number] | changed).items() if value is not None}
    return [*messages[:number], message, *messages[number + 1 :]]


def _with_calls_as_text(messages: Sequence[Message]) -> list[Message]:
    """Return the messages with the arguments of calls as JSON text, as OpenAI has them."""
    written = []
    for message in messages:
        calls = [
            {**call, "function": {**call["function"], "arguments": json.dumps(call["function"]["arguments"])}}
            for call in message.get("tool_calls", ())
        ]
        written.append({**message, "tool_calls": calls} if calls else message)
    return written


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
