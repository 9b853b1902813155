"""Records in the shapes of public data sets: every field reaches the tokens, or an error names it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.errors import InputError
from harness.trainers.data.encoding import completion_encoder, marked_answer_encoder, preference_encoder
from harness.trainers.data.formats import Format, TrainingRecord, convert, guess_format
from harness.trainers.data.record_fields import IGNORED_FIELDS, RecordFields
from tests.models import tiny_tokenizer
from tests.trainers.test_chat import runs, tokenizer_with

DOC = (Path(__file__).resolve().parents[2] / "docs" / "training.md").read_text(encoding="utf-8")
HH = "\n\nHuman: Say hi.\n\nAssistant: Hello.\n\nHuman: In French?\n\nAssistant:"
TOOL = {"name": "add", "description": "Adds two numbers.", "parameters": {"type": "object", "properties": {}}}


def converted(form: Format, raw: dict[str, Any], fields: dict[str, str] | None = None) -> TrainingRecord:
    return convert(form, RecordFields(raw, "rows.jsonl, line 1", fields or {}))


def decoded(form: Format, raw: dict[str, Any], fields: dict[str, str] | None = None) -> tuple[str, list[str]]:
    """The whole text that is trained on, by Qwen 3's template, and the texts that are learned."""
    tokenizer = tokenizer_with("qwen3")
    encoded = completion_encoder(tokenizer, max_length=None, completion_only=True)(converted(form, raw, fields), "here")
    assert encoded is not None
    ids = encoded.columns["input_ids"]
    learned = runs(tokenizer, ids, [label >= 0 for label in encoded.columns["labels"]])
    return tokenizer.decode(ids), [text.replace("<think>\n\n</think>\n\n", "") for text in learned]


def pair(raw: dict[str, Any], fields: dict[str, str] | None = None) -> tuple[str, str, str]:
    """Prompt, chosen and rejected of a preference, by Qwen 3's template."""
    tokenizer = tokenizer_with("qwen3")
    encoded = preference_encoder(tokenizer, max_length=None)(converted("preference", raw, fields), "here")
    assert encoded is not None
    prompt, chosen, rejected = (tokenizer.decode(encoded.columns[f"{n}_ids"]) for n in ("prompt", "chosen", "rejected"))
    return prompt, chosen.replace("<think>\n\n</think>\n\n", ""), rejected.replace("<think>\n\n</think>\n\n", "")


def said(role: str, text: str) -> str:
    return f"<|im_start|>{role}\n{text}<|im_end|>\n"


def test_alpaca_with_system_and_history() -> None:
    text, learned = decoded(
        "instruction",
        {
            "instruction": "And three?",
            "input": "Add it.",
            "output": "Seven.",
            "system": "Be brief.",
            "history": [["Two and two?", "Four."]],
        },
    )
    assert text.startswith(said("system", "Be brief.") + said("user", "Two and two?"))
    assert said("user", "And three?\n\nAdd it.") in text
    assert learned == ["Four.<|im_end|>\n", "Seven.<|im_end|>\n"]


def test_sharegpt_with_system_tools_and_calls() -> None:
    text, learned = decoded(
        "chat",
        {
            "system": "Use the tool.",
            "tools": json.dumps([TOOL]),
            "conversations": [
                {"from": "human", "value": "2 and 2?"},
                {"from": "function_call", "value": json.dumps({"name": "add", "arguments": {"a": 2, "b": 2}})},
                {"from": "observation", "value": "4"},
                {"from": "gpt", "value": "It is 4."},
            ],
        },
    )
    assert "Use the tool." in text
    assert "Adds two numbers." in text
    assert "<tool_response>\n4\n</tool_response>" in text
    assert len(learned) == 2
    assert '{"name": "add", "arguments": {"a": 2, "b": 2}}' in learned[0]
    assert learned[1] == "It is 4.<|im_end|>\n"


def test_openai_with_tool_calls_content_parts_and_weights() -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": '{"a": 2, "b": 2}'}}
    text, learned = decoded(
        "chat",
        {
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "2 and 2?"}]},
                {"role": "assistant", "content": None, "tool_calls": [call]},
                {"role": "tool", "tool_call_id": "call_1", "content": "4"},
                {"role": "assistant", "content": "Five.", "weight": 0},
                {"role": "user", "content": "Sure?"},
                {"role": "assistant", "content": "Four.", "weight": 1},
            ],
            "tools": [{"type": "function", "function": TOOL}],
        },
    )
    assert said("user", "2 and 2?") in text
    assert said("assistant", "Five.") in text
    assert [("add" in part, "Four." in part) for part in learned] == [(True, False), (False, True)]


def test_flattened_openassistant() -> None:
    text, learned = decoded(
        "chat", {"text": "### Human: Say hi.### Assistant: Hello.### Human: Again?### Assistant: Hi!"}
    )
    assert text.startswith(said("user", "Say hi."))
    assert learned == ["Hello.<|im_end|>\n", "Hi!<|im_end|>\n"]


def test_dolly() -> None:
    raw = {"instruction": "Who sat?", "context": "The cat sat.", "response": "The cat.", "category": "closed_qa"}
    text, learned = decoded("instruction", raw)
    assert said("user", "Who sat?\n\nThe cat sat.") in text
    assert learned == ["The cat.<|im_end|>\n"]


def test_alpacas_copy_of_the_whole_prompt_is_no_unknown_field() -> None:
    raw = {
        "instruction": "Say hi.",
        "input": "",
        "output": "Hi.",
        "text": "Below is ...\n\nSay hi.\n\n### Response:\nHi.",
    }
    assert decoded("instruction", raw)[1] == ["Hi.<|im_end|>\n"]
    with pytest.raises(InputError, match="field 'text' is unknown"):
        decoded("instruction", raw | {"text": "Something else."})


def test_a_number_is_an_answer() -> None:
    assert decoded("instruction", {"instruction": "2 and 2?", "output": 4})[1] == ["4<|im_end|>\n"]


CHAT = [{"role": "user", "content": "Say hi."}]


@pytest.mark.parametrize(
    "raw",
    [
        {"prompt": "Say hi.", "chosen": "Hello.", "rejected": "No."},
        {"prompt": CHAT, "chosen": "Hello.", "rejected": "No."},
        {"prompt": CHAT, "chosen": {"role": "assistant", "content": "Hello."},
         "rejected": {"role": "assistant", "content": "No."}},
        {"prompt": "Say hi.", "prompt_id": "7", "score_chosen": 8.5, "score_rejected": 2.0,
         "messages": [*CHAT, {"role": "assistant", "content": "Hello."}],
         "chosen": [*CHAT, {"role": "assistant", "content": "Hello."}],
         "rejected": [*CHAT, {"role": "assistant", "content": "No."}]},
        {"chosen": [*CHAT, {"role": "assistant", "content": "Hello."}],
         "rejected": [*CHAT, {"role": "assistant", "content": "No."}]},
        {"chosen": "\n\nHuman: Say hi.\n\nAssistant: Hello.", "rejected": "\n\nHuman: Say hi.\n\nAssistant: No."},
        {"instruction": "Say hi.", "input": "", "chosen": "Hello.", "rejected": "No."},
        {"conversations": [{"from": "human", "value": "Say hi."}],
         "chosen": {"from": "gpt", "value": "Hello."}, "rejected": {"from": "gpt", "value": "No."}},
        {"prompt": "Say hi.", "chosen": "Say hi. Hello.", "rejected": "Say hi. No."},
    ],
    ids=["text", "messages", "one message", "ultrafeedback", "no prompt", "hh-rlhf", "alpaca", "sharegpt", "whole"],
)  # fmt: skip
def test_preferences_learn_the_answers_alone(raw: dict[str, Any]) -> None:
    prompt, chosen, rejected = pair(raw)
    assert prompt.startswith(said("user", "Say hi.") + "<|im_start|>assistant\n")
    assert (chosen, rejected) == ("Hello.<|im_end|>\n", "No.<|im_end|>\n")


def test_the_common_beginning_of_several_turns_is_the_prompt() -> None:
    prompt, chosen, rejected = pair({"chosen": HH + " Bonjour.", "rejected": HH + " Non."})
    assert said("user", "In French?") in prompt
    assert said("assistant", "Hello.") in prompt
    assert (chosen, rejected) == ("Bonjour.<|im_end|>\n", "Non.<|im_end|>\n")


def test_a_system_message_beside_the_conversations_is_kept() -> None:
    answers = {"chosen": [*CHAT, {"role": "assistant", "content": "Hello."}],
               "rejected": [*CHAT, {"role": "assistant", "content": "No."}]}  # fmt: skip
    assert pair({"system": "Be brief.", "prompt": "Say hi.", **answers})[0].startswith(said("system", "Be brief."))
    assert pair({"prompt": [{"role": "system", "content": "Be brief."}, *CHAT], **answers})[0].startswith(
        said("system", "Be brief.")
    )


def test_plain_texts_without_a_prompt_are_parted_as_in_trl() -> None:
    from trl.data_utils import extract_prompt

    raw = {"chosen": "The cat sat down.", "rejected": "The cat sang."}
    assert converted("preference", raw) == extract_prompt(raw)


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        ({"prompt": "Other.", "chosen": [*CHAT, {"role": "assistant", "content": "A"}],
          "rejected": [*CHAT, {"role": "assistant", "content": "B"}]}, "'prompt' is not how chosen and rejected begin"),
        ({"chosen": [*CHAT, {"role": "assistant", "content": "A"}], "rejected": "B"}, "'rejected' must be text if"),
        ({"chosen": [*CHAT, {"role": "assistant", "content": "A"}, *CHAT, {"role": "assistant", "content": "C"}],
          "rejected": [*CHAT, {"role": "assistant", "content": "B"}]}, "'chosen' has a message that is not the assist"),
        ({"chosen": [{"role": "assistant", "content": "A"}], "rejected": [{"role": "assistant", "content": "B"}]},
         "'prompt' is missing"),
        ({"prompt": "Say hi.", "chosen": "A", "rejected": "B", "messages": [*CHAT]}, "'messages' is unknown"),
    ],
)  # fmt: skip
def test_a_pair_that_cannot_be_parted_is_an_error(raw: dict[str, Any], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        converted("preference", raw)


@pytest.mark.parametrize(
    ("form", "raw", "named"),
    [
        ("instruction", {"instruction": "a", "output": "b", "hint": "c"}, "hint"),
        ("chat", {"messages": [*CHAT, {"role": "assistant", "content": "b"}], "persona": "c"}, "persona"),
        ("chat", {"messages": [*CHAT, {"role": "assistant", "content": "b", "mood": "c"}]}, "mood"),
        ("completion", {"prompt": "a", "completion": "b", "context": "c"}, "context"),
        ("preference", {"prompt": "a", "chosen": "b", "rejected": "c", "critique": "d"}, "critique"),
        ("problem", {"question": "a", "answer": "b", "hint": {"text": "c"}}, "hint"),
    ],
)
def test_an_unknown_field_is_named_and_can_be_left_out(form: Format, raw: dict[str, Any], named: str) -> None:
    with pytest.raises(InputError, match=rf"{named}.*fields: {{{named}: ignore}}"):
        converted(form, raw)
    left_out = converted(form, raw, {named: "ignore"})
    assert "c" not in json.dumps(left_out["prompt"] if "prompt" in left_out else left_out["messages"]).split('"')
    nothing: Any
    for nothing in (None, "", [], {}):
        cleared = json.loads(json.dumps(raw))
        (cleared["messages"][1] if named == "mood" else cleared)[named] = nothing
        assert converted(form, cleared) == left_out, "columns that a record leaves empty hold nothing"


@pytest.mark.parametrize(
    ("messages", "problem"),
    [
        ([{"role": "narrator", "content": "a"}], "message 1 has the role 'narrator'; it must be one of user, human"),
        ([{"role": "user", "content": [{"type": "image_url", "image_url": "x"}]}], "not text .image_url."),
        ([{"role": "user", "content": 7}], "its content is 7"),
        (["hi"], "message 1 is a str"),
        ([*CHAT], "no message of the assistant"),
    ],
)
def test_a_wrong_message_is_described(messages: list[Any], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        converted("chat", {"messages": messages})


# One record per format with every field of the table in docs/training.md.
WHOLE: dict[str, dict[str, Any]] = {
    "instruction": {"instruction": "i1", "input": "i2", "output": "o1", "system": "s1", "history": [["h1", "h2"]],
                    "tools": [TOOL], "rationale": "r1"},
    "chat": {"messages": [{"role": "user", "content": "m1"}, {"role": "assistant", "content": "m2"}], "system": "s1",
             "tools": [TOOL]},
    "completion": {"prompt": "p1", "completion": "c1"},
    "preference": {"prompt": "p1", "chosen": "c1", "rejected": "r1", "system": "s1", "tools": [TOOL]},
    "marked_answer": {"instruction": "i1", "input": "i2", "output": "o1", "system": "s1", "tools": [TOOL],
                      "label": True},
}  # fmt: skip


def table_fields(form: str) -> list[str]:
    (row,) = (line for line in DOC.splitlines() if line.startswith(f"| `{form}` |"))
    cell = row.split("|")[2].split(";")[0]
    return [field for field in cell.replace("`", "").replace(",", " ").split() if field.isidentifier()]


@pytest.mark.parametrize("form", WHOLE)
def test_every_field_of_the_documented_table_changes_the_tokens(form: Format) -> None:
    whole = WHOLE[form]
    named = [field for field in table_fields(form) if field in whole]
    assert set(named) == set(whole), "the table lists the fields of this test"

    def tokens(raw: dict[str, Any]) -> Any:
        fields = RecordFields(raw, "here", {}, "completion" if "rationale" in raw else "omit")
        encoders: dict[str, Any] = {"preference": preference_encoder, "marked_answer": marked_answer_encoder}
        encode = encoders.get(form, completion_encoder)
        more: dict[str, Any] = {} if form in encoders else {"completion_only": True}
        encoded = encode(tokenizer_with("qwen3"), max_length=None, **more)(convert(form, fields), "here")
        assert encoded is not None
        return encoded.columns

    complete = tokens(whole)
    for field in named:
        rest = {name: value for name, value in whole.items() if name != field}
        try:
            assert tokens(rest) != complete, field
        except InputError as error:
            assert field in str(error)  # noqa: PT017 - a required field


KTO_TURNS = [*CHAT, {"role": "assistant", "content": "Hello."}]


@pytest.mark.parametrize(
    "raw",
    [
        {"prompt": CHAT, "completion": KTO_TURNS[1:], "label": True},
        {"messages": KTO_TURNS, "label": 1},
        {"conversations": [{"from": "human", "value": "Say hi."}, {"from": "gpt", "value": "Hello."}], "kto_tag": True},
        {"instruction": "Say hi.", "input": "", "output": "Hello.", "label": "True"},
    ],
    ids=["trl", "messages", "sharegpt", "alpaca in a table"],
)
def test_marked_answers(raw: dict[str, Any]) -> None:
    tokenizer = tokenizer_with("qwen3")
    assert guess_format(raw) == "marked_answer"
    for word, good in ((None, True), (False, False), ("0", False), (0.0, False)):
        name = "kto_tag" if "kto_tag" in raw else "label"
        marked = raw if word is None else raw | {name: word}
        encoded = marked_answer_encoder(tokenizer, max_length=None)(converted("marked_answer", marked), "here")
        assert encoded is not None
        prompt, answer = (tokenizer.decode(encoded.columns[f"{part}_ids"]) for part in ("prompt", "completion"))
        assert prompt.startswith(said("user", "Say hi.") + "<|im_start|>assistant\n")
        assert answer.replace("<think>\n\n</think>\n\n", "") == "Hello.<|im_end|>\n"
        assert encoded.columns["label"] is good


def test_a_marked_answer_of_plain_texts_is_prepared_as_in_trl() -> None:
    record = converted("marked_answer", {"prompt": "2 and 2? ", "completion": "4", "label": False})
    assert record == {"prompt": "2 and 2? ", "completion": "4", "label": False}


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        ({"prompt": "a", "completion": "b"}, "'label' is None; it must be true or false"),
        ({"prompt": "a", "completion": "b", "label": 0.7}, "'label' is 0.7; it must be true or false"),
        ({"messages": CHAT, "label": True}, "'messages' must end with a message of the assistant, after a prompt"),
        ({"prompt": "a", "completion": "b", "label": True, "critique": "d"}, "'critique' is unknown"),
    ],
)
def test_a_wrong_marked_answer_is_described(raw: dict[str, Any], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        converted("marked_answer", raw)


def test_the_guide_lists_the_ignored_fields() -> None:
    listed = DOC.split("Fields that are left out:")[1].split("\n\n")[0]
    assert {name.strip("`,. \n") for name in listed.split()} >= IGNORED_FIELDS


def test_without_a_template_a_prompt_and_an_answer_are_joined_and_more_is_refused() -> None:
    encode = completion_encoder(tiny_tokenizer(), max_length=None, completion_only=True)
    encoded = encode(converted("instruction", {"instruction": "a cat", "output": "sat"}), "here")
    assert encoded is not None
    assert tiny_tokenizer().decode(encoded.columns["input_ids"]) == "a cat\n\nsat</s>"
    with pytest.raises(InputError, match=r"several messages, and the model has no chat template; set chat_template"):
        encode(converted("instruction", {"instruction": "a cat", "output": "sat", "system": "s"}), "here")


@pytest.mark.parametrize(
    ("weights", "flags"),
    [((None, None), [True, True]), ((0, 1), [False, True]), ((1.0, 0.0), [True, False])],
)
def test_weights_of_messages(weights: tuple[Any, Any], flags: list[bool]) -> None:
    answers = [{"role": "assistant", "content": text, "weight": w} for text, w in zip("ab", weights, strict=True)]
    record = converted("chat", {"messages": [*CHAT, answers[0], *CHAT, answers[1]]})
    assert [record["learned"][place] for place in (1, 3)] == flags


def test_a_weight_between_0_and_1_is_an_error_and_can_be_left_out() -> None:
    raw = {"messages": [*CHAT, {"role": "assistant", "content": "a", "weight": 0.5}]}
    with pytest.raises(InputError, match=r"weight 0\.5; it must be 0 or 1"):
        converted("chat", raw)
    assert converted("chat", raw, {"weight": "ignore"})["learned"] == [False, True]


def test_an_empty_answer_is_left_out_and_counted() -> None:
    for record in (
        converted("instruction", {"instruction": "Say hi.", "output": " "}),
        converted("chat", {"messages": [*CHAT, {"role": "assistant", "content": ""}]}),
    ):
        assert record["unanswered"] == 1
        encode = completion_encoder(tokenizer_with("qwen3"), max_length=None, completion_only=True)
        assert encode(record, "here") is None


def test_calls_that_are_ignored_leave_an_empty_answer() -> None:
    calls = [{"name": "f", "arguments": {}}]
    turns = [*CHAT, {"role": "assistant", "content": None, "tool_calls": calls}, *KTO_TURNS]
    record = converted("chat", {"messages": turns}, {"tool_calls": "ignore"})
    assert record["learned"] == [False, False, False, True]


def test_empty_turns_of_hh_rlhf_stay_empty() -> None:
    text = "\n\nHuman: hi\n\nAssistant: \n\nHuman: what?\n\nAssistant: yes"
    record = converted("chat", {"text": text})
    assert [message["content"] for message in record["messages"]] == ["hi", "", "what?", "yes"]
    assert record["learned"] == [False, False, False, True]


def test_an_answer_in_a_marked_text_keeps_its_indentation() -> None:
    text = "\n\nHuman: Continue:\n\nAssistant:\n    return 1\n\nHuman:  Why?\n\nAssistant: So. "
    messages = converted("chat", {"text": text})["messages"]
    assert [message["content"] for message in messages] == ["Continue:", "    return 1", " Why?", "So."]


def test_the_rationale_of_a_program_is_not_lost() -> None:
    raw = {"prompt": "def f():", "tests": "assert f()", "solution": " return 1", "rationale": "Think."}
    fields = RecordFields(raw, "rows.jsonl, line 1", {}, "completion")
    with pytest.raises(InputError, match=r"'rationale' has no place beside a program .*; set data.rationale: omit"):
        convert("problem", fields)
    assert "rationale" not in converted("problem", raw)


def test_a_prompt_that_ends_where_the_answer_begins() -> None:
    raw = {"prompt": "\n\nHuman: hi\n\nAssistant:", "chosen": " good", "rejected": " bad"}
    assert converted("preference", raw)["prompt"] == [{"role": "user", "content": "hi"}]


def test_a_short_prompt_is_not_cut_from_the_answers() -> None:
    record = converted("preference", {"prompt": "Hello", "chosen": "Hello! How are you?", "rejected": "Hello there"})
    assert [record[name][0]["content"] for name in ("chosen", "rejected")] == ["Hello! How are you?", "Hello there"]


def test_a_field_that_quotes_the_others_is_no_copy() -> None:
    with pytest.raises(InputError, match="'explanation' is unknown"):
        converted("completion", {"prompt": "2", "completion": "4", "explanation": "2 + 2 = 4"})


def test_trls_lists_of_messages_and_rows_of_united_columns() -> None:
    record = converted("completion", {"prompt": CHAT, "completion": [{"role": "assistant", "content": "Hi."}]})
    assert record["learned"] == [False, True]
    row = {"role": None, "content": None, "from": "human", "value": "Say hi."}
    united = [row, row | {"from": "gpt", "value": "Hi."}]
    assert converted("chat", {"messages": united})["messages"] == record["messages"]


@pytest.mark.parametrize("form", ["chat", "preference"])
def test_system_messages_can_be_left_out(form: Format) -> None:
    system, answer = {"role": "system", "content": "S"}, {"role": "assistant", "content": "A"}
    raw: dict[str, Any] = {"system_prompt": "S"}
    if form == "chat":
        raw["messages"] = [system, *CHAT, answer]
    else:
        raw |= {"chosen": [system, *CHAT, answer], "rejected": [system, *CHAT, {**answer, "content": "B"}]}
    record = converted(form, raw, {"system": "ignore"})
    assert "S" not in [message["content"] for message in record["messages" if form == "chat" else "prompt"]]


def test_a_field_of_a_conversation_can_be_renamed() -> None:
    raw = {"dialog": [{"from": "human", "value": "Say hi."}, {"from": "gpt", "value": "Hi."}]}
    assert converted("chat", raw, {"conversations": "dialog"})["learned"] == [False, True]


def test_arguments_of_calls_under_another_name() -> None:
    calls: list[dict[str, Any]] = [{"name": "f", "parameters": {"a": 1}}]
    raw = {"messages": [*CHAT, {"role": "assistant", "content": "", "tool_calls": calls}]}
    assert converted("chat", raw)["messages"][1]["tool_calls"][0]["function"]["arguments"] == {"a": 1}
    calls[0]["extra"] = 3
    with pytest.raises(InputError, match="tool call with 'extra'"):
        converted("chat", raw)
