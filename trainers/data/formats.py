"""Record formats: convert a file's raw fields into the few shapes that trainers learn from.

    raw       {"conversations": [{"from": "human", "value": "2 and 2?"}, {"from": "gpt", "value": "4"}]}
    chat  ->  {"prompt": [{"role": "user", "content": "2 and 2?"}],
               "completion": [{"role": "assistant", "content": "4"}]}

A record that cannot be converted raises an error naming file, line and field. Nothing here knows a tokenizer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from harness.errors import InputError

Format = Literal["instruction", "chat", "completion", "preference", "text", "python", "problem"]
Rationale = Literal["omit", "prompt", "completion"]
Message = dict[str, str]
TrainingRecord = dict[str, Any]
"""One of ``{text, ends}``, ``{prompt, completion}``, ``{prompt, chosen, rejected}``, ``{prompt, answer | tests, ...}``.

`prompt`, `completion`, `chosen` and `rejected` are lists of messages, or strings for plain text.
"""

# ShareGPT's role names, as in LLaMA-Factory's data, and OpenAI's.
ROLES = {"human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "system": "system"}


class RecordFields:
    """A raw record's fields, checked when they are read."""

    def __init__(self, raw: Any, where: str, renamed: Mapping[str, str], rationale: Rationale = "omit") -> None:
        """`renamed` maps a format's field names to those of the file."""
        if not isinstance(raw, Mapping):
            raise InputError(f"{where}: is a {type(raw).__name__}; it must be an object with fields.")
        self.raw, self.where, self.renamed, self.rationale = raw, where, renamed, rationale

    def name(self, field: str) -> str:
        """The file's name for a field."""
        return self.renamed.get(field, field)

    def has(self, field: str) -> bool:
        """Whether the field is present and not null."""
        return self.raw.get(self.name(field)) is not None

    def text(self, field: str, default: str | None = None) -> str:
        """Return a string field.

        Raises:
            InputError: it is no string, or missing and without a `default`.
        """
        value = self.raw.get(self.name(field))
        if value is None and default is not None:
            return default
        if not isinstance(value, str):
            raise self.fault(field, "is missing" if value is None else f"is a {type(value).__name__}, must be a string")
        return value

    def messages(self, field: str) -> list[Message]:
        """Return a field that holds a list of messages, or one message, with OpenAI's or ShareGPT's keys.

        Raises:
            InputError: it holds something else.
        """
        value = self.raw.get(self.name(field))
        turns = [value] if isinstance(value, Mapping) else value
        if not isinstance(turns, list) or not turns:
            raise self.fault(field, "must be a list of messages with role and content")
        messages = []
        for number, turn in enumerate(turns, start=1):
            role = turn.get("role", turn.get("from")) if isinstance(turn, Mapping) else None
            content = turn.get("content", turn.get("value")) if isinstance(turn, Mapping) else None
            if not isinstance(role, str) or role not in ROLES or not isinstance(content, str):
                raise self.fault(field, f"message {number} must have text and a role of {', '.join(sorted(ROLES))}")
            messages.append({"role": ROLES[role], "content": content})
        return messages

    def fault(self, field: str, problem: str) -> InputError:
        """Return the error for one field, to be raised."""
        present = ", ".join(map(str, self.raw)) or "no field"
        return InputError(
            f"{self.where}: field {self.name(field)!r} {problem} (the record has {present}); correct the file or the "
            "source's format, or map the name under the source's fields."
        )


def _user(text: str) -> list[Message]:
    return [{"role": "user", "content": text}]


def _assistant(text: str) -> list[Message]:
    return [{"role": "assistant", "content": text}]


def _instruction(fields: RecordFields) -> TrainingRecord:
    """Alpaca's fields: instruction, input (may be empty), output, and a rationale where the stage uses it."""
    prompt = fields.text("instruction")
    if extra := fields.text("input", ""):
        prompt = f"{prompt}\n\n{extra}"
    output = fields.text("output")
    if fields.rationale != "omit":
        rationale = fields.text("rationale")
        if fields.rationale == "prompt":
            prompt = f"{prompt}\n\n{rationale}"
        else:
            output = f"{rationale}\n\n{output}"
    return {"prompt": _user(prompt), "completion": _assistant(output)}


def _chat(fields: RecordFields) -> TrainingRecord:
    """A conversation that ends with the assistant's message, which is the completion."""
    field = "messages" if fields.has("messages") or not fields.has("conversations") else "conversations"
    turns = fields.messages(field)
    if len(turns) < 2 or turns[-1]["role"] != "assistant":
        raise fields.fault(field, "must hold at least two messages and end with the assistant's")
    return {"prompt": turns[:-1], "completion": turns[-1:]}


def _completion(fields: RecordFields) -> TrainingRecord:
    return {"prompt": fields.text("prompt"), "completion": fields.text("completion")}


def _preference(fields: RecordFields) -> TrainingRecord:
    """A prompt (text, messages or an Alpaca instruction) with a chosen and a rejected answer."""
    if fields.has("conversations"):
        prompt = fields.messages("conversations")
    elif fields.has("instruction"):
        extra = fields.text("input", "")
        prompt = _user(fields.text("instruction") + (f"\n\n{extra}" if extra else ""))
    elif isinstance(fields.raw.get(fields.name("prompt")), str):
        prompt = _user(fields.text("prompt"))
    else:
        prompt = fields.messages("prompt")
    answers = {}
    for field in ("chosen", "rejected"):
        is_text = isinstance(fields.raw.get(fields.name(field)), str)
        answers[field] = _assistant(fields.text(field)) if is_text else fields.messages(field)
    return {"prompt": prompt, **answers}


def _text(fields: RecordFields) -> TrainingRecord:
    return {"text": fields.text("text"), "ends": bool(fields.raw.get("ends", True))}


def _problem(fields: RecordFields) -> TrainingRecord:
    """A question with a verifiable answer: a choice, an exact answer, or a program with tests."""
    if fields.has("tests"):
        program = {name: fields.text(name, "") for name in ("setup", "entry_point", "solution")}
        return {"prompt": fields.text("prompt"), "tests": fields.text("tests"), **program}
    question = fields.text("question")
    if not fields.has("choices"):
        prompt, before_answer = _with_rationale(fields, question)
        return {"prompt": _user(prompt), "answer": fields.text("answer"), "thought": before_answer}
    choices, answer = list(fields.raw[fields.name("choices")]), fields.raw.get(fields.name("answer"))
    if not all(isinstance(choice, str) for choice in choices):
        raise fields.fault("choices", "must be a list of strings")
    if not isinstance(answer, int) or not 0 <= answer < len(choices):
        raise fields.fault("answer", f"must be the index of one of {len(choices)} choices")
    letters = [chr(ord("A") + index) for index in range(len(choices))]
    listed = "\n".join(f"{letter}. {choice}" for letter, choice in zip(letters, choices, strict=True))
    prompt = f"{question}\n{listed}\nAnswer with the letter of the right choice."
    prompt, before_answer = _with_rationale(fields, prompt)
    return {"prompt": _user(prompt), "answer": letters[answer], "thought": before_answer, "letters": "".join(letters)}


def _with_rationale(fields: RecordFields, prompt: str) -> tuple[str, str]:
    """Return the prompt and the text that precedes the answer, the rationale in one of them or in none."""
    if fields.rationale == "prompt":
        return f"{fields.text('rationale')}\n\n{prompt}", ""
    return prompt, f"{fields.text('rationale')}\n\n" if fields.rationale == "completion" else ""


# Formats whose records may have a rationale.
WITH_RATIONALE: tuple[Format, ...] = ("instruction", "problem")

CONVERTERS: dict[Format, Callable[[RecordFields], TrainingRecord]] = {
    "instruction": _instruction,
    "chat": _chat,
    "completion": _completion,
    "preference": _preference,
    "text": _text,
    "python": _text,
    "problem": _problem,
}

# The fields of each format; a source's `fields` maps these names to those of its files.
FIELD_NAMES: dict[Format, tuple[str, ...]] = {
    "instruction": ("instruction", "input", "output", "rationale"),
    "chat": ("messages", "conversations"),
    "completion": ("prompt", "completion"),
    "preference": ("prompt", "conversations", "instruction", "input", "chosen", "rejected"),
    "text": ("text",),
    "python": ("text",),
    "problem": (
        "question", "choices", "answer", "rationale", "prompt", "tests", "setup", "entry_point", "solution",
    ),
}  # fmt: skip

# The formats that each stage learns from.
STAGE_FORMATS: dict[str, tuple[Format, ...]] = {
    "pretrain": ("text", "python", "completion"),
    "sft": ("instruction", "chat", "completion", "problem"),
    "dpo": ("preference",),
    "grpo": ("problem",),
}


def as_completion(record: TrainingRecord) -> TrainingRecord:
    """Return a problem as prompt and completion, so that sft can learn it; other records unchanged."""
    if "tests" in record:
        return {"prompt": record["prompt"], "completion": record["solution"]}
    if "answer" in record:
        return {"prompt": record["prompt"], "completion": _assistant(f"{record['thought']}{record['answer']}")}
    return record
