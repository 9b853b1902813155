"""Records as tokens, exactly as TRL would make them, so that the stream can count what the trainer will see.

The rules are those of trl 1.16 (`SFTTrainer._prepare_dataset`, `DPOTrainer._prepare_dataset`): a chat is rendered by
the tokenizer's template, plain text gets an end-of-sequence token, a completion begins where the tokens of the prompt
and of the whole part, and what exceeds the maximal length is cut at its end. A test compares with the bare trainers.
"""

from __future__ import annotations

from typing import Any

from harness.errors import InputError
from harness.trainers.data.mixture import IGNORED, Encode, Encoded
from harness.trainers.data.records import Message, Record, as_completion

Tokenizer = Any  # transformers' PreTrainedTokenizerBase, whose typing is not strict
Turns = str | list[Message]


def plain(turns: Turns, tokenizer: Tokenizer) -> Turns:
    """Return messages as they are for a tokenizer with a chat template, else as plain text, a blank line between."""
    if isinstance(turns, str) or tokenizer.chat_template is not None:
        return turns
    return "\n\n".join(turn["content"] for turn in turns)


def _joined(prompt: Turns, completion: Turns) -> Turns:
    if isinstance(prompt, str) and isinstance(completion, str):
        return prompt + completion
    assert isinstance(prompt, list)
    assert isinstance(completion, list)
    return prompt + completion


def _tokens(turns: Turns, tokenizer: Tokenizer, *, open_turn: bool = False) -> list[int]:
    """Tokens of a text, or of messages; `open_turn` adds what precedes an answer."""
    if isinstance(turns, str):
        return list(tokenizer(text=turns)["input_ids"])
    rendered = tokenizer.apply_chat_template(turns, tokenize=True, return_dict=True, add_generation_prompt=open_turn)
    return list(rendered["input_ids"])


def _pair(record: Record, tokenizer: Tokenizer, *names: str) -> tuple[Turns, list[Turns]]:
    """Prompt and answers in one form: messages where the tokenizer has a chat template and the record is one."""
    prompt = plain(record["prompt"], tokenizer)
    answers = [plain(record[name], tokenizer) for name in names]
    if isinstance(prompt, str):
        if not isinstance(record["prompt"], str):
            prompt += "\n\n"
        answers = [answer + _end(str(answer), tokenizer) for answer in map(str, answers)]
    return prompt, answers


def _end(text: str, tokenizer: Tokenizer) -> str:
    return "" if text.endswith(tokenizer.eos_token) else str(tokenizer.eos_token)


def common_prefix(first: list[int], second: list[int]) -> int:
    """Return how many tokens two sequences begin with in common."""
    length = 0
    for one, other in zip(first, second, strict=False):
        if one != other:
            break
        length += 1
    return length


def text_encoder(tokenizer: Tokenizer) -> Encode:
    """Encode documents for packing: their tokens, and an end-of-sequence token where a document ends."""

    def encode(record: Record, _where: str) -> Encoded | None:
        record = record if "text" in record else {"text": record["prompt"] + record["completion"], "ends": True}
        ids = list(tokenizer(text=record["text"], add_special_tokens=False)["input_ids"])
        if record["ends"]:
            ids.append(tokenizer.eos_token_id)
        return Encoded(columns={"input_ids": ids, "labels": ids}, tokens=len(ids))

    return encode


def completion_encoder(tokenizer: Tokenizer, *, max_length: int | None, completion_only: bool) -> Encode:
    """Encode prompt and completion for tuning; the prompt's labels are ignored when only the completion is learned."""

    def encode(record: Record, where: str) -> Encoded | None:
        if "tests" in record and not record["solution"]:
            raise InputError(
                f"{where}: field 'solution' is missing; a program to learn from is needed beside its tests."
            )
        prompt, (completion,) = _pair(as_completion(record), tokenizer, "completion")
        prompt_ids = _tokens(prompt, tokenizer, open_turn=True)
        ids = _tokens(_joined(prompt, completion), tokenizer)
        begin = common_prefix(prompt_ids, ids) if completion_only else 0
        labels = [IGNORED] * begin + ids[begin:]
        kept = slice(None, max_length)
        if all(label == IGNORED for label in labels[kept]):
            return None
        columns = {"input_ids": ids[kept], "labels": labels[kept]}
        return Encoded(columns=columns, tokens=len(ids[kept]), cut=len(ids) > len(ids[kept]))

    return encode


def preference_encoder(tokenizer: Tokenizer, *, max_length: int | None) -> Encode:
    """Encode preference pairs; the ledger counts the tokens of both answers, each with the prompt."""

    def encode(record: Record, _where: str) -> Encoded | None:
        prompt, answers = _pair(record, tokenizer, "chosen", "rejected")
        prompt_ids = _tokens(prompt, tokenizer, open_turn=True)
        both = [_tokens(_joined(prompt, answer), tokenizer) for answer in answers]
        begin = min(common_prefix(prompt_ids, ids) for ids in both)
        if max_length is not None and begin >= max_length:
            return None
        lengths = [len(ids) if max_length is None else min(len(ids), max_length) for ids in both]
        columns = {"prompt_ids": prompt_ids[:begin], "chosen_ids": both[0][begin:], "rejected_ids": both[1][begin:]}
        return Encoded(columns=columns, tokens=sum(lengths), cut=sum(lengths) < sum(map(len, both)))

    return encode


def prompt_encoder(tokenizer: Tokenizer) -> Encode:
    """Keep prompts as text, which the trainer samples from, beside what their rewards need; count their tokens."""
    empty = {"answer": "", "tests": "", "setup": "", "entry_point": "", "solution": "", "thought": "", "letters": ""}

    def encode(record: Record, _where: str) -> Encoded | None:
        prompt = plain(record["prompt"], tokenizer)
        if isinstance(prompt, str) and not isinstance(record["prompt"], str):
            prompt += "\n\n"
        tokens = len(_tokens(prompt, tokenizer, open_turn=True))
        return Encoded(columns={**empty, **record, "prompt": prompt}, tokens=tokens)

    return encode
