"""What extraction returns, and the form in which a record keeps it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

UNPARSED_RESPONSE = "[unparsed]"  # the response of a filter that found no answer


@dataclass(frozen=True)
class Extracted:
    """A final answer read from a text.

    Attributes:
        value: The letter, upper case, or the number in the form of `number_forms.canonical`.
        span: Where the statement of the answer stands in the text, half open, in characters.
        rule: Name of the rule that found it; docs/tasks.md lists the rules.
    """

    value: str
    span: tuple[int, int]
    rule: str


def to_response(extracted: Extracted | None) -> str:
    """Return ``{"value": "C", "span": [27, 40], "rule": "answer"}``, or `UNPARSED_RESPONSE`."""
    return UNPARSED_RESPONSE if extracted is None else json.dumps(asdict(extracted), ensure_ascii=False)


def response_value(response: str) -> str | None:
    """Return the value that a response holds: of `to_response`, or of a filter that returns just the value."""
    if response == UNPARSED_RESPONSE:
        return None
    try:
        return str(json.loads(response)["value"]) if response.startswith('{"value": ') else response.strip()
    except (ValueError, KeyError):  # plain text that only begins like a response
        return response.strip()
