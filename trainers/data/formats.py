"""Record formats: convert a file's raw fields into the few shapes that trainers learn from.

    raw       {"conversations": [{"from": "human", "value": "2 and 2?"}, {"from": "gpt", "value": "4"}]}
    chat  ->  {"messages": [{"role": "user", "content": "2 and 2?"}, {"role": "assistant", "content": "4"}],
               "learned": [False, True]}

A record that cannot be converted raises an error naming file, line and field, and so does a field that the format does
not know. Nothing here knows a tokenizer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from harness.trainers.data.messages import Message, Turn, has_markers, is_empty
from harness.trainers.data.prefix import common_prefix_length
from harness.trainers.data.record_fields import RecordFields

Format = Literal["instruction", "chat", "completion", "preference", "marked_answer", "text", "python", "problem"]
TrainingRecord = dict[str, Any]
"""One of ``{text, begins, ends}``, ``{messages, learned}``, ``{prompt, completion}``, ``{prompt, chosen, rejected}``,
``{prompt, completion, label}``,
``{prompt, answer | tests, ...}``; with `tools` where the assistant may call functions.

`messages` is a list of messages, `learned` says for each of them whether it has loss. `prompt`, `completion`, `chosen`
and `rejected` are lists of messages, or strings for plain text.
"""

# Other names of formats, as people call them.
FORMAT_NAMES: dict[str, Format] = {
    "alpaca": "instruction", "sharegpt": "chat", "openai": "chat", "unpaired_preference": "marked_answer",
    "kto": "marked_answer",
}  # fmt: skip


def convert(format_: Format, fields: RecordFields) -> TrainingRecord:
    """Convert a record.

    Raises:
        InputError: a field is missing, has another type, or is unknown to the format.
    """
    record = _CONVERTERS[format_](fields)
    if format_ not in ("text", "python"):  # their other columns describe where a text comes from
        fields.check_all_read()
    return record


def _user(text: str) -> list[Message]:
    return [{"role": "user", "content": text}]


def _assistant(text: str) -> list[Message]:
    return [{"role": "assistant", "content": text}]


def _question(fields: RecordFields) -> str:
    prompt = fields.text("instruction")
    extra = fields.text("input", "context", default="")
    return f"{prompt}\n\n{extra}" if extra else prompt


def _instruction(fields: RecordFields) -> TrainingRecord:
    """Alpaca's and Dolly's fields, with system and history; and a rationale where the stage uses it."""
    prompt, output = _question(fields), fields.text("output", "response")
    rationale = _rationale(fields)
    if fields.rationale == "prompt":
        prompt = f"{prompt}\n\n{rationale}"
    elif fields.rationale == "completion":
        output = f"{rationale}\n\n{output}"
    earlier = [*_system(fields, []), *_history(fields)]
    tools = fields.tools()
    if not earlier and not tools and output.strip():
        return {"prompt": _user(prompt), "completion": _assistant(output)}
    return _conversation(
        [*earlier, *(Turn(message, learned=True) for message in _user(prompt) + _assistant(output))], tools
    )


def _system(fields: RecordFields, turns: Sequence[Turn]) -> list[Turn]:
    """Return the record's own system message, unless the conversation begins with the same one."""
    if not fields.has("system", "system_prompt"):
        return []
    text = fields.text("system", "system_prompt")
    if turns and turns[0].message["role"] in ("system", "developer"):
        if turns[0].message["content"] == text:
            return []
        raise fields.fault(fields.name("system", "system_prompt"), "differs from the conversation's system message")
    return [Turn({"role": "system", "content": text}, learned=False)]


def _history(fields: RecordFields) -> list[Turn]:
    """Alpaca's earlier turns: ``[["2 and 2?", "4"], ...]``."""
    if not fields.has("history"):
        return []
    turns = []
    history = fields.value("history")
    for number, pair in enumerate(history if isinstance(history, Sequence) else [None], start=1):
        whole = isinstance(pair, Sequence) and not isinstance(pair, str) and len(pair) == 2
        if not whole or not all(isinstance(text, str) for text in pair):
            raise fields.fault(fields.name("history"), f"must be a list of pairs of texts; entry {number} is not")
        turns += [Turn(message, learned=True) for message in _user(pair[0]) + _assistant(pair[1])]
    return turns


def _chat(fields: RecordFields) -> TrainingRecord:
    """A conversation: OpenAI's messages, ShareGPT's conversations, or one text with role markers."""
    name = next(
        (name for name in ("messages", "conversations", "conversation", "text") if fields.has(name)), "messages"
    )
    turns = _without_ignored_system(fields, fields.turns(name))
    turns = [*_system(fields, turns), *turns]
    if not any(turn.message["role"] == "assistant" for turn in turns):
        raise fields.fault(fields.name(name), "has no message of the assistant, so there is nothing to learn")
    return _conversation(turns, fields.tools())


def _without_ignored_system(fields: RecordFields, turns: list[Turn]) -> list[Turn]:
    if "system" not in fields.ignored:
        return turns
    return [turn for turn in turns if turn.message["role"] not in ("system", "developer")]


def _conversation(turns: Sequence[Turn], tools: list[dict[str, Any]]) -> TrainingRecord:
    answered = max((number for number, turn in enumerate(turns, 1) if _answers(turn)), default=0)
    record: TrainingRecord = {
        "messages": [turn.message for turn in turns],
        "learned": [turn.learned and _answers(turn) for turn in turns],
    }
    if answered < len(turns):
        record["unanswered"] = 1  # its last turns are left out
    return record | {"tools": tools} if tools else record


def _answers(turn: Turn) -> bool:
    """Whether a turn is the assistant's, and holds something."""
    message = turn.message
    return message["role"] == "assistant" and bool(message["content"].strip() or message.get("tool_calls"))


def _completion(fields: RecordFields) -> TrainingRecord:
    """Plain text; or TRL's two lists of messages, of which the second is learned."""
    if not isinstance(fields.value("prompt"), list):
        return {"prompt": fields.text("prompt"), "completion": fields.text("completion")}
    prompt = [Turn(turn.message, learned=False) for turn in fields.turns("prompt")]
    return _conversation([*prompt, *fields.turns("completion")], fields.tools())


def _preference(fields: RecordFields) -> TrainingRecord:
    """A chosen and a rejected answer, or conversation; their common beginning is the prompt.

    A record may give the prompt as text, messages or an Alpaca instruction, or not at all (HH-RLHF).
    """
    chosen, rejected = (_answer(fields, field) for field in ("chosen", "rejected"))
    prompt, tools = _given_prompt(fields), fields.tools()
    if isinstance(chosen, str) and isinstance(rejected, str):
        record = _pair_of_texts(fields, prompt, chosen, rejected)
    elif isinstance(chosen, list) and isinstance(rejected, list):
        record = _pair_of_messages(fields, prompt, chosen, rejected)
    else:
        raise fields.fault("rejected", "must be text if chosen is text, and messages if it is messages")
    return record | {"tools": tools} if tools else record


def _answer(fields: RecordFields, field: str) -> str | list[Message]:
    value = fields.value(field)
    if isinstance(value, str) and not has_markers(value):
        return fields.text(field)
    return _messages(fields, field)


def _messages(fields: RecordFields, *names: str) -> list[Message]:
    turns = _without_ignored_system(fields, fields.turns(*names))
    if not all(turn.learned for turn in turns):
        raise fields.fault(fields.name(*names), "has a message of weight 0, which a preference cannot leave out")
    return [turn.message for turn in turns]


def _given_prompt(fields: RecordFields) -> list[Message]:
    """Return the prompt that the record itself gives; an empty list if it gives none."""
    if fields.has("conversations"):
        messages = _messages(fields, "conversations")
    elif fields.has("instruction"):
        messages = [turn.message for turn in _history(fields)] + _user(_question(fields))
    elif not fields.has("prompt", "question"):
        messages = []
    elif isinstance(prompt := fields.value("prompt", "question"), str) and not has_markers(prompt):
        messages = _user(prompt)
    else:
        messages = _messages(fields, "prompt", "question")
    turns = [Turn(message, learned=False) for message in messages]
    return [turn.message for turn in _system(fields, turns)] + messages


def _pair_of_texts(fields: RecordFields, prompt: list[Message], chosen: str, rejected: str) -> TrainingRecord:
    """Two answers as text. Without a prompt it is their common beginning, less a space at its end, as in TRL."""
    if not prompt:
        same = common_prefix_length(chosen, rejected)
        same -= 1 if same and chosen[same - 1] == " " else 0
        if not same:
            raise fields.fault("prompt", "is missing, and chosen and rejected have no common beginning")
        return {"prompt": chosen[:same], "chosen": chosen[same:], "rejected": rejected[same:]}
    question = prompt[-1]["content"]
    rests = [text.removeprefix(question) for text in (chosen, rejected) if text.startswith(question)]
    if len(rests) == 2 and all(rest[:1].isspace() for rest in rests):  # not "Hello" before "Hello!"
        chosen, rejected = (rest.lstrip() for rest in rests)
    return {"prompt": prompt, "chosen": _assistant(chosen), "rejected": _assistant(rejected)}


def _pair_of_messages(
    fields: RecordFields, prompt: list[Message], chosen: list[Message], rejected: list[Message]
) -> TrainingRecord:
    if fields.has("messages") and [turn.message for turn in fields.turns("messages")] != chosen:
        # UltraFeedback repeats the chosen conversation
        raise fields.fault("messages", "differs from chosen; add `fields: {messages: ignore}` to leave it out")
    same = min(common_prefix_length(chosen, rejected), len(chosen) - 1, len(rejected) - 1)
    beginning = chosen[:same]
    # The record's own prompt may leave out the system message, or may have one that the conversations leave out.
    if beginning and prompt and beginning[-len(prompt) :] != prompt and prompt[-len(beginning) :] != beginning:
        raise fields.fault(
            "prompt", "is not how chosen and rejected begin; add `fields: {prompt: ignore}` to leave it out"
        )
    answers = {"chosen": chosen[same:], "rejected": rejected[same:]}
    for name, answer in answers.items():
        if any(message["role"] not in ("assistant", "tool") for message in answer):
            raise fields.fault(name, "has a message that is not the assistant's after the common beginning")
    whole = prompt if len(prompt) > len(beginning) else beginning
    if not whole:
        raise fields.fault("prompt", "is missing, and chosen and rejected have no common beginning")
    return {"prompt": whole, **answers}


def _marked_answer(fields: RecordFields) -> TrainingRecord:
    """An answer, and whether it is a good one: TRL's prompt and completion, or a conversation; with label."""
    label = _label(fields)
    name = next((name for name in ("messages", "conversations") if fields.has(name)), None)
    if name is not None:
        messages = _messages(fields, name)
        prompt, completion = messages[:-1], messages[-1:]
    elif isinstance(fields.value("prompt"), list):
        prompt, completion = _messages(fields, "prompt"), _messages(fields, "completion")
    elif fields.has("instruction") or fields.has("output", "response"):
        prompt, completion = _user(_question(fields)), _assistant(fields.text("output", "response", "completion"))
    else:
        # As in TRL, two texts are plain text: no chat template is applied.
        text = {"prompt": fields.text("prompt"), "completion": fields.text("completion")}
        return {**text, "label": label}
    if not prompt or completion[0]["role"] != "assistant":
        raise fields.fault(name or "completion", "must end with a message of the assistant, after a prompt")
    prompt = [turn.message for turn in _system(fields, [Turn(message, learned=False) for message in prompt])] + prompt
    record = {"prompt": prompt, "completion": completion, "label": label}
    return record | {"tools": tools} if (tools := fields.tools()) else record


_LABELS = {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False}


def _label(fields: RecordFields) -> bool:
    value = fields.value("label", "kto_tag")
    word = str(value).strip().lower().removesuffix(".0")  # a table has words, or 1.0 where a label is missing
    if word not in _LABELS:
        raise fields.fault(fields.name("label", "kto_tag"), f"is {value!r:.40}; it must be true or false")
    return _LABELS[word]


def _text(fields: RecordFields) -> TrainingRecord:
    return {
        "text": fields.text("text"),
        "begins": fields.raw.get("begins", True) is not False,
        "ends": fields.raw.get("ends", True) is not False,
    }


def _problem(fields: RecordFields) -> TrainingRecord:
    """A question with a verifiable answer: a choice, an exact answer, or a program with tests."""
    if fields.has("tests"):
        if fields.value("rationale") and fields.rationale != "omit":
            raise fields.fault(
                fields.name("rationale"), "has no place beside a program", advice="set data.rationale: omit"
            )
        program = {name: fields.text(name, default="") for name in ("setup", "entry_point", "solution")}
        return {"prompt": fields.text("prompt"), "tests": fields.text("tests"), **program}
    question = fields.text("question")
    rationale = _rationale(fields)
    if not fields.has("choices"):
        prompt, before_answer = _with_rationale(fields, question, rationale)
        return {"prompt": _user(prompt), "answer": fields.text("answer"), "thought": before_answer}
    choices, answer = fields.value("choices"), fields.value("answer")
    if not isinstance(choices, Sequence) or not all(isinstance(choice, str) for choice in choices):
        raise fields.fault(fields.name("choices"), "must be a list of texts")
    if not isinstance(answer, int) or not 0 <= answer < len(choices):
        raise fields.fault(fields.name("answer"), f"must be the index of one of {len(choices)} choices")
    letters = [chr(ord("A") + index) for index in range(len(choices))]
    listed = "\n".join(f"{letter}. {choice}" for letter, choice in zip(letters, choices, strict=True))
    prompt = f"{question}\n{listed}\nAnswer with the letter of the right choice."
    prompt, before_answer = _with_rationale(fields, prompt, rationale)
    return {"prompt": _user(prompt), "answer": letters[answer], "thought": before_answer, "letters": "".join(letters)}


def _rationale(fields: RecordFields) -> str:
    """Return the rationale where the stage uses it; elsewhere it may have any form."""
    return str(fields.value("rationale") or "") if fields.rationale == "omit" else fields.text("rationale")


def _with_rationale(fields: RecordFields, prompt: str, rationale: str) -> tuple[str, str]:
    """Return the prompt and the text that precedes the answer, the rationale in one of them or in none."""
    if fields.rationale == "prompt":
        return f"{rationale}\n\n{prompt}", ""
    return prompt, f"{rationale}\n\n" if fields.rationale == "completion" else ""


# Formats whose records may have a rationale.
WITH_RATIONALE: tuple[Format, ...] = ("instruction", "problem")

_CONVERTERS: dict[Format, Callable[[RecordFields], TrainingRecord]] = {
    "instruction": _instruction,
    "chat": _chat,
    "completion": _completion,
    "preference": _preference,
    "marked_answer": _marked_answer,
    "text": _text,
    "python": _text,
    "problem": _problem,
}

# The fields of each format; a source's `fields` maps these names to those of its files.
FIELD_NAMES: dict[Format, tuple[str, ...]] = {
    "instruction": ("instruction", "input", "output", "system", "history", "tools", "rationale"),
    "chat": ("messages", "conversations", "text", "system", "tools"),
    "completion": ("prompt", "completion"),
    "preference": (
        "prompt", "conversations", "instruction", "input", "history", "system", "tools", "chosen", "rejected",
    ),
    "marked_answer": (
        "prompt", "completion", "messages", "conversations", "instruction", "input", "output", "system", "tools",
        "label",
    ),
    "text": ("text",),
    "python": ("text",),
    "problem": (
        "question", "choices", "answer", "rationale", "prompt", "tests", "setup", "entry_point", "solution",
    ),
}  # fmt: skip

# Formats whose records may be conversations, of which `only_last` learns the last answer.
CONVERSATIONS: tuple[Format, ...] = ("chat", "instruction", "completion")

# The formats that each stage learns from.
STAGE_FORMATS: dict[str, tuple[Format, ...]] = {
    "pretrain": ("text", "python", "completion"),
    "sft": ("instruction", "chat", "completion", "problem"),
    "dpo": ("preference",),
    "kto": ("marked_answer",),
    "grpo": ("problem",),
}


def guess_format(record: Any) -> Format | None:
    """Return the format whose fields a record has; None if it may be several, or none."""
    names = {name for name, value in record.items() if not is_empty(value)} if isinstance(record, Mapping) else set()
    if {"chosen", "rejected"} <= names:
        return "preference"
    if {"label", "kto_tag"} & names and {"completion", "messages", "conversations", "output", "response"} & names:
        return "marked_answer"
    if {"messages", "conversations", "conversation"} & names:
        return "chat"
    if "instruction" in names and {"output", "response"} & names:
        return "instruction"
    if {"prompt", "completion"} <= names:
        return "completion"
    if {"question", "answer"} <= names or {"prompt", "tests"} <= names:
        return "problem"
    if "text" in names and isinstance(record["text"], str):
        return "chat" if has_markers(record["text"]) else "text"
    return None


def as_completion(record: TrainingRecord) -> TrainingRecord:
    """Return a problem as prompt and completion, so that sft can learn it; other records unchanged."""
    if "tests" in record:
        return {"prompt": record["prompt"], "completion": record["solution"]}
    if "answer" in record:
        return {"prompt": record["prompt"], "completion": _assistant(f"{record['thought']}{record['answer']}")}
    return record


def with_last_answer(record: TrainingRecord) -> TrainingRecord:
    """Return a conversation of which only the last learned message is learned; other records unchanged."""
    if "learned" not in record:
        return record
    last = max((number for number, learns in enumerate(record["learned"]) if learns), default=-1)
    return record | {"learned": [number == last for number in range(len(record["learned"]))]}
