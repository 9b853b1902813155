"""Which tokens of a conversation are learned, by the templates of real models; TRL's own masks are the oracle."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import trl

from harness.errors import InputError
from harness.trainers.data.chat import Chat
from harness.trainers.data.encoding import completion_encoder
from tests.conftest import ROOT
from tests.models import tiny_tokenizer
from tests.trainers.helpers import CHAT_TEMPLATE

TEMPLATES = Path(trl.__file__).parent / "chat_templates"
CONVERSATION = [
    {"role": "user", "content": "Two and two?"},
    {"role": "assistant", "content": "It is four."},
    {"role": "user", "content": "And three?"},
    {"role": "assistant", "content": "Seven, then."},
]
# TRL rewrites these templates so that they mark what is learned, and leaves their text as it is.
LIKE_TRL = ("cohere", "cohere2", "gemma", "gemma3", "gptoss", "lfm2", "llama3", "phi3", "phi3_5",
            "qwen2_5_vl", "qwen3_instruct_2507", "muse_glimmer")  # fmt: skip
# Of these TRL rewrites the text too, has no version that marks what is learned, or marks a part of the header.
BY_HAND = {
    "deepseekv3": ["It is four.<｜end▁of▁sentence｜>", "Seven, then.<｜end▁of▁sentence｜>"],
    "qwen2_5": ["It is four.<|im_end|>\n", "Seven, then.<|im_end|>\n"],
    "llama3_1": ["It is four.<|eot_id|>", "Seven, then.<|eot_id|>"],
    "gemma4": ["It is four.<turn|>\n", "Seven, then.<turn|>\n"],
    "qwen3": ["It is four.<|im_end|>\n", "<think>\n\n</think>\n\nSeven, then.<|im_end|>\n"],
    "qwen3_5_nothink": ["It is four.<|im_end|>\n", "Seven, then.<|im_end|>\n"],
    "glm4moe": ["\n<think></think>\nIt is four.<|user|>", "\n<think></think>\nSeven, then."],
    "nemotron_3_nano": ["It is four.<|im_end|>\n", "Seven, then.<|im_end|>\n"],
}


def tokenizer_with(template: str) -> Any:
    """A tokenizer whose vocabulary has the template's special tokens, each as one token."""
    text = (TEMPLATES / f"{template}.jinja").read_text(encoding="utf-8")
    tokenizer: Any = tiny_tokenizer()
    special = sorted({*re.findall(r"<[|｜][^<>'\"{}]+[|｜]>|<\w+_of_turn>|<\|?turn\|?>", text)})
    tokenizer.add_special_tokens({"additional_special_tokens": special})
    tokenizer.chat_template = text
    return tokenizer


def learned(tokenizer: Any, messages: list[dict[str, Any]], flags: list[bool] | None = None, **more: Any) -> list[str]:
    """The texts of the runs of learned tokens."""
    record = {"messages": messages, "learned": flags or [m["role"] == "assistant" for m in messages], **more}
    encoded = completion_encoder(tokenizer, max_length=None, completion_only=True)(record, "rows.jsonl, line 1")
    assert encoded is not None
    return runs(tokenizer, encoded.columns["input_ids"], [label >= 0 for label in encoded.columns["labels"]])


def runs(tokenizer: Any, ids: list[int], mask: list[Any]) -> list[str]:
    found: list[list[int]] = []
    for place, token in enumerate(ids):
        if mask[place]:
            if place == 0 or not mask[place - 1]:
                found.append([])
            found[-1].append(token)
    return [tokenizer.decode(run) for run in found]


@pytest.mark.parametrize("template", LIKE_TRL)
def test_all_answers_are_learned_as_with_trls_masks(template: str) -> None:
    ours = tokenizer_with(template)
    theirs = tokenizer_with(f"{template}_training")
    encoded = theirs.apply_chat_template(CONVERSATION, return_dict=True, return_assistant_tokens_mask=True)
    masked = runs(theirs, encoded["input_ids"], encoded["assistant_masks"])
    found = learned(ours, CONVERSATION)
    assert len(found) == 2
    assert [text.removeprefix("<|start|>assistant") for text in masked] == found
    assert "It is four." in found[0]


@pytest.mark.parametrize("template", BY_HAND)
def test_all_answers_are_learned_where_trl_has_no_such_mask(template: str) -> None:
    assert learned(tokenizer_with(template), CONVERSATION) == BY_HAND[template]


def chat_tokenizer(template: str = CHAT_TEMPLATE) -> Any:
    tokenizer: Any = tiny_tokenizer()
    tokenizer.chat_template = template
    return tokenizer


def test_the_tokens_are_those_of_the_template() -> None:
    tokenizer = chat_tokenizer()
    record = {"messages": CONVERSATION, "learned": [False, True, False, True]}
    encoded = completion_encoder(tokenizer, max_length=None, completion_only=True)(record, "")
    assert encoded is not None
    whole = tokenizer.apply_chat_template(CONVERSATION, tokenize=True, return_dict=True)["input_ids"]
    assert encoded.columns["input_ids"] == whole


@pytest.mark.parametrize(
    ("flags", "texts"),
    [
        ([False, True, False, True], ["It is four.</s>\n", "Seven, then.</s>\n"]),
        ([False, False, False, True], ["Seven, then.</s>\n"]),
        ([False, True, False, False], ["It is four.</s>\n"]),
    ],
)
def test_only_the_messages_that_count_are_learned(flags: list[bool], texts: list[str]) -> None:
    assert learned(chat_tokenizer(), CONVERSATION, flags) == texts


def test_a_question_without_an_answer_at_the_end_is_left_out() -> None:
    tokenizer = chat_tokenizer()
    asked = [*CONVERSATION, {"role": "user", "content": "And four?"}]
    assert learned(tokenizer, asked) == learned(tokenizer, CONVERSATION)


def test_the_last_answer_is_learned_as_trl_learns_a_completion() -> None:
    """TRL's prompt-completion data: the completion begins where the prompt with the header ends."""
    for template in (*LIKE_TRL, *BY_HAND):
        tokenizer = tokenizer_with(template)
        prompt = tokenizer.apply_chat_template(
            CONVERSATION[:3], tokenize=True, return_dict=True, add_generation_prompt=True
        )["input_ids"]
        whole = tokenizer.apply_chat_template(CONVERSATION, tokenize=True, return_dict=True)["input_ids"]
        same = next(n for n, (a, b) in enumerate(zip([*prompt, -1], whole, strict=False)) if a != b)
        found = learned(tokenizer, CONVERSATION, [False, False, False, True])
        assert found == [tokenizer.decode(whole[same:])], template


NO_SYSTEM = "{% for m in messages if m.role != 'system' %}<{{ m.role }}>{{ m.content }}</s>{% endfor %}"
RAISES = "{{ raise_exception('Conversation roles must alternate') }}"


@pytest.mark.parametrize(
    ("template", "messages", "more", "expected"),
    [
        (NO_SYSTEM, [{"role": "system", "content": "T"}, *CONVERSATION], {}, "leaves out system; .*system: ignore"),
        (CHAT_TEMPLATE, CONVERSATION, {"tools": [{"function": {"name": "a"}}]}, "leaves out tools; .*tools: ignore"),
        (
            CHAT_TEMPLATE,
            [CONVERSATION[0], {"role": "assistant", "content": "4", "reasoning_content": "4"}],
            {},
            "leaves out reasoning_content; .*reasoning_content: ignore",
        ),
        (
            CHAT_TEMPLATE,
            [CONVERSATION[0], {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "f"}}]}],
            {},
            "leaves out tool_calls; .*tool_calls: ignore",
        ),
        (RAISES, CONVERSATION, {}, "does not accept this conversation .*roles must alternate"),
    ],
)
def test_what_a_template_does_not_render_is_an_error(
    template: str, messages: list[dict[str, Any]], more: dict[str, Any], expected: str
) -> None:
    with pytest.raises(InputError, match=rf"rows\.jsonl, line 1: the chat template {expected}") as refused:
        learned(chat_tokenizer(template), messages, **more)
    assert "\n" not in str(refused.value)


def test_a_conversation_needs_a_template() -> None:
    tokenizer: Any = tiny_tokenizer()
    with pytest.raises(InputError, match="conversation of several messages, and the model has no chat template"):
        learned(tokenizer, CONVERSATION)
    assert learned(tokenizer, CONVERSATION[:2]) == ["It is four.</s>"]


def test_thoughts_and_calls_are_learned_where_the_template_renders_them() -> None:
    tokenizer = tokenizer_with("qwen3")
    tools = [{"type": "function", "function": {"name": "add", "description": "Adds.", "parameters": {}}}]
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "2 and 2?"},
        {
            "role": "assistant",
            "content": "",
            "reasoning_content": "I should add.",
            "tool_calls": [{"type": "function", "function": {"name": "add", "arguments": {"a": 2, "b": 2}}}],
        },
        {"role": "tool", "content": "4"},
        {"role": "assistant", "content": "It is 4."},
    ]
    first, last = learned(tokenizer, messages, tools=tools)
    assert "I should add." in first
    assert '{"name": "add", "arguments": {"a": 2, "b": 2}}' in first
    assert first.endswith("<|im_end|>\n")
    assert "It is 4." in last
    assert "4\n</tool_response>" not in first + last


def test_the_header_is_what_asks_for_an_answer() -> None:
    assert Chat(chat_tokenizer()).header == "<|assistant|>\n"
    assert Chat(chat_tokenizer()).ending == "</s>\n"


CALL = {"type": "function", "function": {"name": "add", "arguments": {"a": 2, "b": 2}}}
WITH_CALL: list[dict[str, Any]] = [
    {"role": "user", "content": "2 and 2?"},
    {"role": "assistant", "content": "", "tool_calls": [CALL]},
    {"role": "tool", "name": "add", "content": "the sum is 4"},
    {"role": "assistant", "content": "It is four."},
]


@pytest.mark.parametrize("template", ["qwen3", "qwen2_5", "deepseekv3", "llama3_1"])
def test_the_results_of_calls_are_never_learned(template: str) -> None:
    texts = learned(tokenizer_with(template), WITH_CALL)
    assert not any("the sum is 4" in text for text in texts), texts
    assert len(texts) == 2
    assert "add" in texts[0]
    assert "It is four." in texts[1]


@pytest.mark.parametrize("template", ["gemma4", "glm4moe", "gptoss"])
def test_a_template_that_does_not_show_where_a_call_ends_is_refused(template: str) -> None:
    with pytest.raises(InputError, match="does not show where the calls of message 2 end; set only_last: true"):
        learned(tokenizer_with(template), WITH_CALL)
    assert "It is four." in learned(tokenizer_with(template), WITH_CALL, [False, False, False, True])[0]


def test_calls_are_learned_whole() -> None:
    first, last = learned(tokenizer_with("qwen3"), WITH_CALL)
    assert first.endswith('<tool_call>\n{"name": "add", "arguments": {"a": 2, "b": 2}}\n</tool_call><|im_end|>\n')
    assert "It is four.<|im_end|>\n" in last


def test_the_guides_template_shows_tools_and_calls_to_any_tokenizer() -> None:
    guide = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    tokenizer: Any = tiny_tokenizer()
    (tokenizer.chat_template,) = re.findall(r"```jinja\n(.*?)\n```", guide, flags=re.DOTALL)
    tools = [{"type": "function", "function": {"name": "add", "description": "Adds.", "parameters": {}}}]
    first, last = learned(tokenizer, WITH_CALL, tools=tools)
    assert first.strip() == '<call>{"name": "add", "arguments": {"a": 2, "b": 2}}</call></s>'
    assert last.strip() == "It is four.</s>"


@pytest.mark.parametrize("template", ["deepseek_r1_distill", "qwen3"])
def test_thoughts_that_a_template_cuts_off_are_an_error(template: str) -> None:
    thought = {"role": "assistant", "content": "<think>A long thought.</think>Four."}
    messages = [CONVERSATION[0], thought, CONVERSATION[2], CONVERSATION[3]]
    with pytest.raises(InputError, match="leaves out the text of message 2"):
        learned(tokenizer_with(template), messages)
    reasoned = [CONVERSATION[0], {**CONVERSATION[1], "reasoning_content": "Hm."}, *CONVERSATION[2:]]
    with pytest.raises(InputError, match="leaves out reasoning_content"):
        learned(tokenizer_with(template), reasoned)


def test_tools_without_a_template_are_an_error() -> None:
    with pytest.raises(InputError, match="has tools, which need messages and a chat template"):
        learned(tiny_tokenizer(), CONVERSATION[:2], tools=[{"type": "function", "function": {"name": "add"}}])


def test_an_answer_without_a_question_is_learned() -> None:
    answer = [{"role": "assistant", "content": "It is four."}]
    assert learned(chat_tokenizer(), answer) == ["It is four.</s>\n"]
    assert learned(tiny_tokenizer(), answer) == ["It is four.</s>"]
