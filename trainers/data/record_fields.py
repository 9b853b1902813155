"""A raw record's fields, checked as they are read. What no format reads is an error, not left out in silence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from harness.errors import InputError
from harness.trainers.data.messages import MessageError, Turn, is_empty, read_tools, read_turns

Rationale = Literal["omit", "prompt", "completion"]
IGNORE = "ignore"  # in a source's `fields`: {category: ignore}

# Fields that identify, rate or describe a record; docs/training.md lists them.
IGNORED_FIELDS = frozenset(
    (
        *("id", "idx", "index", "uid", "uuid", "guid", "hash", "conversation_id", "message_id", "message_tree_id"),
        *("parent_id", "prompt_id", "task_id", "question_id", "example_id", "user_id", "conversation_hash"),
        *("score", "scores", "score_chosen", "score_rejected", "chosen_score", "rejected_score", "margin", "rank"),
        *("rating", "ratings", "chosen-rating", "rejected-rating", "chosen_rating", "rejected_rating", "quality"),
        *("source", "dataset", "data_source", "origin", "split", "category", "categories", "tags", "topic", "task"),
        *("task_type", "difficulty", "level", "language", "lang", "model", "models", "chosen-model", "rejected-model"),
        *("chosen_model", "rejected_model", "annotator", "timestamp", "created_at", "date", "url", "license"),
        *("num_tokens", "token_count", "n_tokens", "num_turns", "turn", "meta", "metadata"),
    )
)


class RecordFields:
    """A raw record's fields; which of them were read is remembered."""

    def __init__(self, raw: Any, where: str, renamed: Mapping[str, str], rationale: Rationale = "omit") -> None:
        """`renamed` maps a format's field names to those of the file, and the file's to `IGNORE`."""
        if not isinstance(raw, Mapping):
            raise InputError(f"{where}: is a {type(raw).__name__}; it must be an object with fields.")
        self.raw, self.where, self.rationale = raw, where, rationale
        self.renamed = {field: name for field, name in renamed.items() if name != IGNORE}
        self.ignored = {field for field, name in renamed.items() if name == IGNORE}
        self.read: set[str] = set()

    def name(self, field: str, *others: str) -> str:
        """The file's name for a field: as the source says, or the first of its usual names that is present."""
        if field in self.renamed:
            return self.renamed[field]
        if field in self.ignored:  # the other names mean the same
            self.read.update(others)
            return field
        return next((name for name in (field, *others) if name not in self.ignored and self._holds(name)), field)

    def _holds(self, name: str) -> bool:
        return not is_empty(self.raw.get(name))

    def has(self, field: str, *others: str) -> bool:
        """Whether the field is present and not empty."""
        name = self.name(field, *others)
        return name not in self.ignored and self._holds(name)

    def value(self, field: str, *others: str) -> Any:
        """Return a field as it is; None if it is missing."""
        name = self.name(field, *others)
        self.read.add(name)
        return None if name in self.ignored else self.raw.get(name)

    def text(self, field: str, *others: str, default: str | None = None) -> str:
        """Return a text field; a number is written out.

        Raises:
            InputError: it is not text, or missing and without a `default`.
        """
        value = self.value(field, *others)
        if value is None and default is not None:
            return default
        if isinstance(value, int | float) and not isinstance(value, bool):
            return str(value)
        if not isinstance(value, str):
            problem = "is missing" if value is None else f"is a {type(value).__name__}, must be text"
            raise self.fault(self.name(field, *others), problem)
        return value

    def turns(self, field: str, *others: str) -> list[Turn]:
        """Return a field that holds a conversation; see `messages.read_turns`.

        Raises:
            InputError: it holds something else.
        """
        try:
            return read_turns(self.value(field, *others), self.ignored)
        except MessageError as error:
            raise self.fault(self.name(field, *others), str(error)) from None

    def tools(self) -> list[dict[str, Any]]:
        """Return the functions that the assistant may call; an empty list if there are none."""
        if not self.has("tools", "functions"):
            return []
        try:
            return read_tools(self.value("tools", "functions"))
        except MessageError as error:
            raise self.fault(self.name("tools", "functions"), str(error)) from None

    def check_all_read(self) -> None:
        """Raises: InputError: a field with content was not read, and is none of `IGNORED_FIELDS`."""
        for name, held in self.raw.items():
            if name in self.read or name in self.ignored or name in IGNORED_FIELDS or is_empty(held):
                continue
            if name == "text" and isinstance(held, str) and self._is_copy(held):
                continue
            raise self.fault(
                name,
                "is unknown to the format, so what it holds would be lost",
                advice=f"add `fields: {{{name}: ignore}}` to the source to leave it out, or map it to a field there",
            )

    def _is_copy(self, text: str) -> bool:
        """Whether a text holds all the texts that were read, as Alpaca's field `text` does."""
        read = [self.raw[name] for name in self.read if isinstance(self.raw.get(name), str) and self.raw[name].strip()]
        return bool(read) and all(part.strip() in text for part in read)

    def fault(self, name: str, problem: str, advice: str = "") -> InputError:
        """Return the error for one field of the file, to be raised."""
        present = ", ".join(map(str, self.raw)) or "no field"
        advice = advice or ("correct the file or the source's format, or map the name under the source's fields")
        return InputError(f"{self.where}: field {name!r} {problem} (the record has {present}); {advice}.")
