r"""Conversations of the public formats in one form: a list of messages as chat templates take them.

    OpenAI      {"role": "assistant", "content": "4", "weight": 1}
    ShareGPT    {"from": "gpt", "value": "4"}
    one text    "\n\nHuman: 2 and 2?\n\nAssistant: 4"  or  "### Human: 2 and 2?### Assistant: 4"
    ->          {"role": "assistant", "content": "4"}

Nothing is left out in silence: an unknown key of a message is an error.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Message = dict[str, Any]

# Role names of OpenAI, ShareGPT (as in LLaMA-Factory's data), OpenAssistant and Anthropic.
ROLES = {
    "user": "user", "human": "user", "prompter": "user",
    "assistant": "assistant", "gpt": "assistant", "chatgpt": "assistant", "bot": "assistant", "model": "assistant",
    "system": "system", "developer": "developer",
    "tool": "tool", "function": "tool", "observation": "tool", "function_response": "tool",
    "function_call": "assistant",
}  # fmt: skip
# Keys of a message that a template may render, and keys that have no text to learn.
RENDERED_KEYS = ("reasoning_content", "tool_calls", "tool_call_id", "name")
IGNORED_KEYS = ("id", "message_id", "parent_id", "timestamp", "created_at", "index", "lang", "model")


@dataclass(frozen=True)
class Turn:
    """A message, and whether the stage learns it if it is the assistant's."""

    message: Message
    learned: bool


class MessageError(Exception):
    """What is wrong with a message, in words that follow the name of its field."""


def read_turns(value: Any, ignored: Collection[str] = ()) -> list[Turn]:
    """Return the turns of a list of messages, of one message, or of a text with role markers.

    Args:
        value: The field's value.
        ignored: Keys of messages that the user leaves out.

    Raises:
        MessageError: it holds something else.
    """
    if isinstance(value, str):
        return [Turn(message, learned=True) for message in _marked(value)]
    turns = [value] if isinstance(value, Mapping) else value
    if not isinstance(turns, Sequence) or not turns:
        raise MessageError("must be a list of messages with role and content")
    return [_turn(turn, number, ignored) for number, turn in enumerate(turns, start=1)]


def _turn(turn: Any, number: int, ignored: Collection[str]) -> Turn:
    if not isinstance(turn, Mapping):
        raise MessageError(f"message {number} is a {type(turn).__name__}; it must be an object with role and content")
    role = _either(turn, number, "role", "from")
    if not isinstance(role, str) or role not in ROLES:
        raise MessageError(f"message {number} has the role {role!r:.40}; it must be one of {', '.join(ROLES)}")
    for key, held in turn.items():
        known = key in ("role", "from", "content", "value", "weight", *RENDERED_KEYS, *IGNORED_KEYS, *ignored)
        if not known and not is_empty(held):
            raise MessageError(
                f"message {number} has {key!r}, which no chat template is known to render; add "
                f"`fields: {{{key}: ignore}}` to the source to leave it out"
            )
    kept = {key: turn[key] for key in RENDERED_KEYS if key not in ignored and not is_empty(turn.get(key))}
    content = _either(turn, number, "content", "value")
    message = {
        "role": ROLES[role],
        "content": _text(content, number, optional="tool_calls" in kept or "tool_calls" in ignored),
        **kept,
    }
    if role == "function_call":  # ShareGPT: the value is the call, as JSON
        message |= {"content": "", "tool_calls": _calls(message["content"], number)}
    if "tool_calls" in message:
        if not isinstance(message["tool_calls"], list):
            raise MessageError(f"message {number} has tool_calls that are not a list")
        message["tool_calls"] = [_with_parsed_arguments(call, number) for call in message["tool_calls"]]
    weight = 1 if "weight" in ignored or turn.get("weight") is None else turn["weight"]
    if weight not in (0, 1):
        raise MessageError(f"message {number} has the weight {weight!r:.20}; it must be 0 or 1")
    return Turn(message, learned=bool(weight))


def _either(turn: Mapping[str, Any], number: int, key: str, other: str) -> Any:
    """Return the value under one of two keys; files with columns may have both, one of them empty."""
    held = [turn[name] for name in (key, other) if not is_empty(turn.get(name))]
    if len(held) == 2 and held[0] != held[1]:
        raise MessageError(f"message {number} has both {key!r} and {other!r}, which differ")
    return held[0] if held else turn.get(key, turn.get(other))


def is_empty(value: Any) -> bool:
    """Whether a field holds nothing: files with columns fill in what a record does not have, tables with NaN."""
    return value is None or value != value or (isinstance(value, str | Sequence | Mapping) and len(value) == 0)


def _text(content: Any, number: int, *, optional: bool) -> str:
    """Return the text of a message's content, which may be a list of parts: ``[{"type": "text", "text": "4"}]``."""
    if isinstance(content, str):
        return content
    if content is None and optional:
        return ""
    if isinstance(content, Sequence) and content:
        texts = [part.get("text") if isinstance(part, Mapping) else None for part in content]
        kinds = {str(part.get("type", "text")) for part in content if isinstance(part, Mapping)}
        if kinds <= {"text", "input_text", "output_text"} and all(isinstance(text, str) for text in texts):
            return "".join(map(str, texts))
        raise MessageError(f"message {number} has a part that is not text ({', '.join(sorted(kinds)) or 'unknown'})")
    raise MessageError(f"message {number} must have text; its content is {content!r:.40}")


def _calls(text: str, number: int) -> list[dict[str, Any]]:
    try:
        parsed = json.loads(text)
    except ValueError:
        raise MessageError(f"message {number} has the role 'function_call', but its value is not JSON") from None
    calls = parsed if isinstance(parsed, list) else [parsed]
    return [{"type": "function", "function": call} for call in calls]


def _with_parsed_arguments(call: Any, number: int) -> dict[str, Any]:
    """Return a call with its arguments as a mapping: OpenAI writes them as JSON text, and so do templates."""
    function = call.get("function", call) if isinstance(call, Mapping) else None
    if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
        raise MessageError(f"message {number} has a tool call without a name")
    others = [key for key, held in function.items() if key not in ("name", "arguments", "parameters") and held]
    if others:
        raise MessageError(f"message {number} has a tool call with {others[0]!r}; it may have name and arguments")
    arguments = function.get("arguments", function.get("parameters"))
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments)
        except ValueError:
            raise MessageError(f"message {number} has a tool call whose arguments are not JSON") from None
    rest = {key: call[key] for key in ("id", "type") if call.get(key) is not None}
    return {"type": "function", **rest, "function": {"name": function["name"], "arguments": arguments or {}}}


_MARKER = re.compile(r"(?:\A|\n\n)(Human|Assistant):|###\s*(Human|Assistant):")


def has_markers(text: str) -> bool:
    """Whether a text is a conversation of the person and the assistant, as in HH-RLHF and flattened OpenAssistant."""
    first = _MARKER.search(text)
    return first is not None and not text[: first.start()].strip()


def _marked(text: str) -> list[Message]:
    r"""Split at the markers of one kind: the kind of the first one.

    "\n\nHuman: 2 and 2?\n\nAssistant: 4"  ->  user "2 and 2?", assistant "4"
    """
    if not has_markers(text):
        raise MessageError("must be a list of messages, or a text with the markers Human: and Assistant:")
    found = list(_MARKER.finditer(text))
    hashes = found[0][2] is not None
    found = [marker for marker in found if (marker[2] is not None) == hashes]
    ends = [marker.start() for marker in found[1:]] + [len(text)]
    messages = [
        {"role": ROLES[(marker[1] or marker[2]).lower()], "content": _said(text[marker.end() : end])}
        for marker, end in zip(found, ends, strict=True)
    ]
    asks = messages[-1] == {"role": "assistant", "content": ""}  # the text ends where the answer is to begin
    return messages[:-1] if asks and len(messages) > 1 else messages


def _said(text: str) -> str:
    """Return what follows a marker, without the space after it and empty lines; a program keeps its indentation."""
    return text.removeprefix(" ").lstrip("\r\n").rstrip()


def read_tools(value: Any) -> list[dict[str, Any]]:
    """Return the functions that the assistant may call, from a list or from JSON text; OpenAI's outer form is added.

    Raises:
        MessageError: it holds something else.
    """
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            raise MessageError("is not JSON; give a list of functions") from None
    if not isinstance(value, list) or not all(isinstance(tool, Mapping) for tool in value):
        raise MessageError("must be a list of functions")
    return [dict(tool) if "function" in tool else {"type": "function", "function": dict(tool)} for tool in value]
