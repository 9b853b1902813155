"""Records as tokens, exactly as TRL makes them, so that the stream can count what the trainer will see.

The rules are those of trl 1.16 (`SFTTrainer._prepare_dataset`, `DPOTrainer._prepare_dataset`): the tokenizer's chat
template renders messages; plain text gets an end-of-sequence token; the completion begins where the tokens of the
prompt alone and of the whole text first differ; longer examples are truncated at their end. A test compares the
losses with those of the plain trainers.
"""

from __future__ import annotations

from typing import Any

from harness.errors import InputError
from harness.trainers.data.examples import IGNORED, Encode, EncodedRecord
from harness.trainers.data.formats import Message, TrainingRecord, as_completion

Tokenizer = Any  # transformers' PreTrainedTokenizerBase, whose types are not strict
Turns = str | list[Message]


def render(turns: Turns, tokenizer: Tokenizer) -> Turns:
    """Return messages unchanged for a tokenizer with a chat template; otherwise join them as plain text."""
    if isinstance(turns, str) or tokenizer.chat_template is not None:
        return turns
    return "\n\n".join(turn["content"] for turn in turns)


def _joined(prompt: Turns, completion: Turns) -> Turns:
    if isinstance(prompt, str) and isinstance(completion, str):
        return prompt + completion
    assert isinstance(prompt, list)
    assert isinstance(completion, list)
    return prompt + completion


def _tokens(turns: Turns, tokenizer: Tokenizer, *, add_generation_prompt: bool = False) -> list[int]:
    """Tokens of a text or of messages; `add_generation_prompt` adds the header of the assistant's message."""
    if isinstance(turns, str):
        return list(tokenizer(text=turns)["input_ids"])
    rendered = tokenizer.apply_chat_template(
        turns, tokenize=True, return_dict=True, add_generation_prompt=add_generation_prompt
    )
    return list(rendered["input_ids"])


def _prompt_and_answers(record: TrainingRecord, tokenizer: Tokenizer, *names: str) -> tuple[Turns, list[Turns]]:
    """Return the prompt and the named answers, all messages or all plain text."""
    # Without a chat template, messages become "2 and 2?" + "\n\n" and "4" + "<eos>". A record that is plain text
    # already keeps its prompt as it is: it brings its own separator.
    prompt = render(record["prompt"], tokenizer)
    answers = [render(record[name], tokenizer) for name in names]
    if isinstance(prompt, str):
        if not isinstance(record["prompt"], str):
            prompt += "\n\n"
        answers = [answer + _missing_end(str(answer), tokenizer) for answer in map(str, answers)]
    return prompt, answers


def _missing_end(text: str, tokenizer: Tokenizer) -> str:
    return "" if text.endswith(tokenizer.eos_token) else str(tokenizer.eos_token)


def common_prefix_length(first: list[int], second: list[int]) -> int:
    """Return how many leading tokens two sequences share."""
    length = 0
    for one, other in zip(first, second, strict=False):
        if one != other:
            break
        length += 1
    return length


def text_encoder(tokenizer: Tokenizer) -> Encode:
    """Return the encoder of documents for packing; a document's last piece gets an end-of-sequence token."""

    def encode(record: TrainingRecord, _where: str) -> EncodedRecord | None:
        record = record if "text" in record else {"text": record["prompt"] + record["completion"], "ends": True}
        ids = list(tokenizer(text=record["text"], add_special_tokens=False)["input_ids"])
        if record["ends"]:
            ids.append(tokenizer.eos_token_id)
        return EncodedRecord(columns={"input_ids": ids, "labels": ids}, tokens=len(ids))

    return encode


def completion_encoder(tokenizer: Tokenizer, *, max_length: int | None, completion_only: bool) -> Encode:
    """Return the encoder of prompt and completion; with `completion_only` the prompt has no loss."""

    def encode(record: TrainingRecord, where: str) -> EncodedRecord | None:
        if "tests" in record and not record["solution"]:
            raise InputError(f"{where}: field 'solution' is missing; sft learns the program that passes the tests.")
        prompt, (completion,) = _prompt_and_answers(as_completion(record), tokenizer, "completion")
        prompt_ids = _tokens(prompt, tokenizer, add_generation_prompt=True)
        ids = _tokens(_joined(prompt, completion), tokenizer)
        # len(prompt_ids) would be the obvious boundary, but a token may span it: "3" + "14" can become "314".
        #   prompt_ids  5 9 3      ids  5 9 314 2      common prefix 2      labels  -100 -100 314 2
        begin = common_prefix_length(prompt_ids, ids) if completion_only else 0
        labels = [IGNORED] * begin + ids[begin:]
        head = slice(None, max_length)
        if all(label == IGNORED for label in labels[head]):
            return None
        columns = {"input_ids": ids[head], "labels": labels[head]}
        return EncodedRecord(columns=columns, tokens=len(ids[head]), cut=len(ids) > len(ids[head]))

    return encode


def preference_encoder(tokenizer: Tokenizer, *, max_length: int | None) -> Encode:
    """Return the encoder of preference pairs; the ledger counts the tokens of both answers, each with the prompt."""

    def encode(record: TrainingRecord, _where: str) -> EncodedRecord | None:
        prompt, answers = _prompt_and_answers(record, tokenizer, "chosen", "rejected")
        prompt_ids = _tokens(prompt, tokenizer, add_generation_prompt=True)
        both = [_tokens(_joined(prompt, answer), tokenizer) for answer in answers]
        # Both answers must start from the same prompt tokens, so the shorter common prefix is the prompt of both.
        begin = min(common_prefix_length(prompt_ids, ids) for ids in both)
        if max_length is not None and begin >= max_length:
            return None
        lengths = [len(ids) if max_length is None else min(len(ids), max_length) for ids in both]
        columns = {"prompt_ids": prompt_ids[:begin], "chosen_ids": both[0][begin:], "rejected_ids": both[1][begin:]}
        return EncodedRecord(columns=columns, tokens=sum(lengths), cut=sum(lengths) < sum(map(len, both)))

    return encode


def prompt_encoder(tokenizer: Tokenizer) -> Encode:
    """Return the encoder of prompts with a verifiable answer: text for the trainer to sample from, tokens counted."""
    # Every example has every column that a reward reads, empty where it does not apply: a batch may mix all kinds.
    empty = {"answer": "", "tests": "", "setup": "", "entry_point": "", "solution": "", "thought": "", "letters": ""}

    def encode(record: TrainingRecord, _where: str) -> EncodedRecord | None:
        prompt = render(record["prompt"], tokenizer)
        if isinstance(prompt, str) and not isinstance(record["prompt"], str):
            prompt += "\n\n"
        tokens = len(_tokens(prompt, tokenizer, add_generation_prompt=True))
        return EncodedRecord(columns={**empty, **record, "prompt": prompt}, tokens=tokens)

    return encode
