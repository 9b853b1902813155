"""Records as tokens, exactly as TRL makes them, so that the stream can count what the trainer will see.

The rules are those of trl 1.16 (`SFTTrainer._prepare_dataset`, `DPOTrainer._prepare_dataset`): the tokenizer's chat
template renders messages; plain text gets an end-of-sequence token; the completion begins where the tokens of the
prompt alone and of the whole text first differ; longer examples are truncated at their end. A test compares the
losses with those of the plain trainers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.errors import InputError
from harness.trainers.data.chat import Chat, Tokenizer, learned_tokens
from harness.trainers.data.examples import IGNORED, Encode, EncodedRecord
from harness.trainers.data.formats import TrainingRecord, as_completion
from harness.trainers.data.messages import Message
from harness.trainers.data.prefix import common_prefix_length

Turns = str | list[Message]


def render(turns: Turns, tokenizer: Tokenizer, where: str) -> Turns:
    """Return messages unchanged for a tokenizer with a chat template; otherwise the one message's text.

    Raises:
        InputError: there are several messages, and the tokenizer has no chat template.
    """
    if isinstance(turns, str) or tokenizer.chat_template is not None:
        return turns
    if not turns:
        return ""
    if len(turns) > 1 or turns[0].keys() > {"role", "content"}:
        raise InputError(
            f"{where}: is a conversation of several messages, and the model has no chat template; set chat_template in "
            "the stage file."
        )
    return str(turns[0]["content"])


def _joined(prompt: Turns, completion: Turns) -> Turns:
    if isinstance(prompt, str) and isinstance(completion, str):
        return prompt + completion
    assert isinstance(prompt, list)
    assert isinstance(completion, list)
    return prompt + completion


def _tokens(turns: Turns, chat: Chat, record: TrainingRecord, where: str, *, asks: bool = False) -> list[int]:
    """Tokens of a text or of messages; `asks` adds the header of the assistant's message."""
    if isinstance(turns, str):
        return list(chat.tokenizer(text=turns)["input_ids"])
    text = chat.text(turns, where, record.get("tools"), asks=asks)
    return list(chat.tokenizer(text=text, add_special_tokens=False)["input_ids"])


def _prompt_and_answers(record: TrainingRecord, chat: Chat, where: str, *names: str) -> tuple[Turns, list[Turns]]:
    """Return the prompt and the named answers, all messages or all plain text."""
    # Without a chat template, messages become "2 and 2?" + "\n\n" and "4" + "<eos>". A record that is plain text
    # already keeps its prompt as it is: it brings its own separator.
    prompt = render(record["prompt"], chat.tokenizer, where)
    if record.get("tools") and isinstance(prompt, str):
        raise InputError(f"{where}: has tools, which need messages and a chat template; set chat_template.")
    answers = [render(record[name], chat.tokenizer, where) for name in names]
    if isinstance(prompt, str):
        if not isinstance(record["prompt"], str) and record["prompt"]:
            prompt += "\n\n"
        answers = [answer + _missing_end(str(answer), chat.tokenizer) for answer in map(str, answers)]
    return prompt, answers


def _missing_end(text: str, tokenizer: Tokenizer) -> str:
    return "" if text.endswith(tokenizer.eos_token) else str(tokenizer.eos_token)


def leading_tokens(tokenizer: Tokenizer) -> list[int]:
    """Return the tokens that the tokenizer puts before any text."""
    plain = list(tokenizer(text="x", add_special_tokens=False)["input_ids"])
    whole = list(tokenizer(text="x")["input_ids"])
    places = range(len(whole) - len(plain) + 1)
    return whole[: next((place for place in places if whole[place : place + len(plain)] == plain), 0)]


def text_encoder(tokenizer: Tokenizer) -> Encode:
    """Return the encoder of documents for packing.

    A document begins with what the tokenizer puts before any text, such as a beginning-of-sequence token, and ends with
    an end-of-sequence token, however many pieces it is read in.
    """
    first = leading_tokens(tokenizer)

    def encode(record: TrainingRecord, _where: str) -> EncodedRecord | None:
        record = record if "text" in record else {"text": record["prompt"] + record["completion"]}
        ids = list(tokenizer(text=record["text"], add_special_tokens=False)["input_ids"])
        if ids and record.get("begins", True):
            ids = first + ids
        if record.get("ends", True):
            ids.append(tokenizer.eos_token_id)
        return EncodedRecord(columns={"input_ids": ids, "labels": ids}, tokens=len(ids))

    return encode


def packed_alone(documents: Sequence[EncodedRecord], length: int) -> list[dict[str, Any]]:
    """Return all documents packed into sequences of one length, none of them split unless it is longer than that.

    What is left of a sequence is filled with a document without loss.
    """
    # Length 8, documents of 5, 2 and 4 tokens:
    #   seq_lengths  [5, 2, 1]  [4, 4]      the last document of each sequence only fills it
    pieces = [
        (document.columns["input_ids"][begin : begin + length], document.columns["labels"][begin : begin + length])
        for document in documents
        for begin in range(0, document.tokens, length)
    ]
    rows: list[dict[str, Any]] = []
    for ids, labels in pieces:
        if not rows or len(rows[-1]["input_ids"]) + len(ids) > length:
            rows.append({"input_ids": [], "labels": [], "seq_lengths": []})
        rows[-1]["input_ids"] += ids
        rows[-1]["labels"] += [IGNORED, *labels[1:]]
        rows[-1]["seq_lengths"].append(len(ids))
    for row in rows:
        if left := length - len(row["input_ids"]):
            row["input_ids"] += [row["input_ids"][-1]] * left
            row["labels"] += [IGNORED] * left
            row["seq_lengths"].append(left)
    return rows


def completion_encoder(tokenizer: Tokenizer, *, max_length: int | None, completion_only: bool) -> Encode:
    """Return the encoder of prompt and completion; with `completion_only` the prompt has no loss."""
    chat = Chat(tokenizer)

    def encode(record: TrainingRecord, where: str) -> EncodedRecord | None:
        if "tests" in record and not record["solution"]:
            raise InputError(f"{where}: field 'solution' is missing; sft learns the program that passes the tests.")
        if "messages" in record:
            ids, labels = _conversation(record, chat, where)
        else:
            ids, labels = _one_answer(as_completion(record), chat, where)
        labels = labels if completion_only else ids
        head = slice(None, max_length)
        if all(label == IGNORED for label in labels[head]):
            return None
        columns = {"input_ids": ids[head], "labels": labels[head]}
        return EncodedRecord(columns=columns, tokens=len(ids[head]), cut=len(ids) > len(ids[head]))

    return encode


def _one_answer(record: TrainingRecord, chat: Chat, where: str) -> tuple[list[int], list[int]]:
    """Return the tokens of a prompt with its completion, and their labels."""
    prompt, (completion,) = _prompt_and_answers(record, chat, where, "completion")
    prompt_ids = _tokens(prompt, chat, record, where, asks=True)
    ids = _tokens(_joined(prompt, completion), chat, record, where)
    # len(prompt_ids) would be the obvious boundary, but a token may span it: "3" + "14" can become "314".
    #   prompt_ids  5 9 3      ids  5 9 314 2      common prefix 2      labels  -100 -100 314 2
    begin = common_prefix_length(prompt_ids, ids)
    return ids, [IGNORED] * begin + ids[begin:]


def _conversation(record: TrainingRecord, chat: Chat, where: str) -> tuple[list[int], list[int]]:
    """Return the tokens of a conversation up to its last learned message, and their labels.

    Raises:
        InputError: the tokenizer has no chat template and there are several messages, or cannot tell which characters
            a token stands for and several messages are learned.
    """
    last = max((number for number, learns in enumerate(record["learned"]) if learns), default=-1)
    messages, learned = record["messages"][: last + 1], record["learned"][: last + 1]
    if not messages:
        return [], []
    if sum(learned) == 1 and (len(messages) > 1 or chat.tokenizer.chat_template is None):
        pair = {"prompt": messages[:-1], "completion": messages[-1:], "tools": record.get("tools")}
        return _one_answer(pair, chat, where)
    render(messages, chat.tokenizer, where)
    text, spans = chat.spans(messages, learned, where, record.get("tools"))
    if not chat.tokenizer.is_fast:
        raise InputError(f"{where}: the tokenizer does not say where its tokens stand; set only_last: true.")
    tokens = chat.tokenizer(text=text, add_special_tokens=False, return_offsets_mapping=True)
    ids = list(tokens["input_ids"])
    special = {*chat.tokenizer.all_special_ids, *chat.tokenizer.added_tokens_decoder}
    learns = learned_tokens(ids, tokens["offset_mapping"], spans, special)
    return ids, [token if learned_here else IGNORED for token, learned_here in zip(ids, learns, strict=True)]


def preference_encoder(tokenizer: Tokenizer, *, max_length: int | None) -> Encode:
    """Return the encoder of preference pairs; the ledger counts the tokens of both answers, each with the prompt."""
    chat = Chat(tokenizer)

    def encode(record: TrainingRecord, where: str) -> EncodedRecord | None:
        prompt, answers = _prompt_and_answers(record, chat, where, "chosen", "rejected")
        prompt_ids = _tokens(prompt, chat, record, where, asks=True)
        both = [_tokens(_joined(prompt, answer), chat, record, where) for answer in answers]
        # Both answers must start from the same prompt tokens, so the shorter common prefix is the prompt of both.
        begin = min(common_prefix_length(prompt_ids, ids) for ids in both)
        if max_length is not None and begin >= max_length:
            return None
        lengths = [len(ids) if max_length is None else min(len(ids), max_length) for ids in both]
        columns = {"prompt_ids": prompt_ids[:begin], "chosen_ids": both[0][begin:], "rejected_ids": both[1][begin:]}
        return EncodedRecord(columns=columns, tokens=sum(lengths), cut=sum(lengths) < sum(map(len, both)))

    return encode


def marked_answer_encoder(tokenizer: Tokenizer, *, max_length: int | None) -> Encode:
    """Return the encoder of answers that are marked as good or bad."""
    chat = Chat(tokenizer)

    def encode(record: TrainingRecord, where: str) -> EncodedRecord | None:
        prompt, (completion,) = _prompt_and_answers(record, chat, where, "completion")
        prompt_ids = _tokens(prompt, chat, record, where, asks=True)
        ids = _tokens(_joined(prompt, completion), chat, record, where)
        begin = common_prefix_length(prompt_ids, ids)
        if max_length is not None and begin >= max_length:
            return None
        columns = {"prompt_ids": ids[:begin], "completion_ids": ids[begin:], "label": record["label"]}
        tokens = len(ids) if max_length is None else min(len(ids), max_length)
        return EncodedRecord(columns=columns, tokens=tokens, cut=tokens < len(ids))

    return encode


def prompt_encoder(tokenizer: Tokenizer) -> Encode:
    """Return the encoder of prompts with a verifiable answer: text for the trainer to sample from, tokens counted.

    For a model with a chat template the beginning of a program is a user message too: TRL treats a batch as messages or
    as plain text, depending on its first prompt.
    """
    # Every example has every column that a reward reads, empty where it does not apply: a batch may mix all kinds.
    chat = Chat(tokenizer)
    empty = {"answer": "", "tests": "", "setup": "", "entry_point": "", "solution": "", "thought": "", "letters": ""}

    def encode(record: TrainingRecord, where: str) -> EncodedRecord | None:
        prompt = render(record["prompt"], tokenizer, where)
        begun = record["prompt"] if isinstance(record["prompt"], str) else ""
        if isinstance(record["prompt"], str) and tokenizer.chat_template is not None:
            prompt = [{"role": "user", "content": begun}]
        elif isinstance(prompt, str) and not isinstance(record["prompt"], str):
            prompt += "\n\n"
        tokens = len(_tokens(prompt, chat, record, where, asks=True))
        return EncodedRecord(columns={**empty, **record, "prompt": prompt, "begun": begun}, tokens=tokens)

    return encode
