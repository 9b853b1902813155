"""A thinking model's reasoning is kept in the record and never scored."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.engines.base import Answer, Request
from harness.engines.hf.decoding import Thought
from harness.engines.thoughts import ThinkTags, find_tags
from harness.records import load
from harness.records.run_folder import read_record
from tests.conftest import HarnessCommand
from tests.engines.hf.test_packed import answers, open_packed
from tests.models import save_tiny_llama, tiny_tokenizer
from tests.tasks_for_tests import write_tasks

TAGS = ThinkTags.of("</think>")
UNKNOWN = ThinkTags.of("<|final|>")

TEXTS = [
    # tags, prompt, text, answer
    (TAGS, "Q", "<think>2 + 2</think>\n\n4", "4"),
    (TAGS, "Q", "4", "4"),
    (TAGS, "Q", "<think>2 + 2", None),
    (TAGS, "Q<think>\n", "2 + 2</think>4", "4"),
    (TAGS, "Q<think>\n", "2 + 2 is 4", None),
    (TAGS, "Q<think>\n\n</think>\n\n", "4", "4"),
    (TAGS, "<think>a</think>b Q", "4", "4"),
    (TAGS, "Q", "<think>a</think>b<think>c</think>d", "d"),
    (TAGS, "Q", "<think></think>", ""),
    (ThinkTags.of("[/THINK]"), "Q", "[THINK]x[/THINK]4", "4"),
    (ThinkTags.of("◁/think▷"), "Q", "◁think▷x", None),
    (UNKNOWN, "Q", "2 + 2<|final|>4", "4"),
    (UNKNOWN, "Q", "2 + 2", None),
]


@pytest.mark.parametrize(("tags", "prompt", "text", "answer"), TEXTS)
def test_the_answer_is_what_follows_the_thought(tags: ThinkTags, prompt: str, text: str, answer: str | None) -> None:
    assert tags.answer(text, prompt) == answer
    assert tags.is_inside(text, prompt) == (answer is None)


def test_stop_strings_end_the_answer_only() -> None:
    assert TAGS.cut("<think>a\n\nb</think>c\n\nd", "Q", ["\n\n"]) == "<think>a\n\nb</think>c"
    assert TAGS.cut("<think>a\n\nb", "Q", ["\n\n"]) == "<think>a\n\nb"
    assert TAGS.cut("c\n\nd", "Q", ["\n\n"]) == "c"


@pytest.mark.parametrize("space", ["", " ", "\n\n"])
@pytest.mark.parametrize("stop", ["\n", "\n\n", "."])
def test_white_space_after_a_thought_does_not_end_the_answer(space: str, stop: str) -> None:
    whole = TAGS.cut(f"<think>a.\n\nb</think>{space}c{stop}d", "Q", [stop])
    assert TAGS.answer(whole, "Q") == "c"


@pytest.mark.parametrize("prompt", ["Q", "Q<think>"])
def test_a_row_is_followed_token_by_token(prompt: str) -> None:
    text = "" if prompt.endswith(">") else "<think>"
    row = Thought(TAGS, prompt=prompt)
    whole = text + "x.y</think>z."
    inside = [row.is_inside(whole[max(0, end - 12) : end]) for end in range(1, len(whole) + 1)]
    start, end = len(text), whole.index("</think>") + len("</think>")
    assert all(inside[start : end - 1])
    assert not any(inside[end - 1 :])
    assert row.closed


def test_a_prompt_that_mentions_the_tags_opens_no_thought() -> None:
    assert TAGS.answer("4", "Put your reasoning into <think> tags. Q") == "4"


def test_tags_are_found_in_templates_and_tokens(tmp_path: Path) -> None:
    assert find_tags(save_tiny_llama(tmp_path / "plain")) is None
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = "{% if '</think>' in messages[0]['content'] %}{% endif %}"
    tokenizer.save_pretrained(tmp_path / "template")
    assert find_tags(tmp_path / "template") == TAGS
    tokenizer = tiny_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": ["[THINK]", "[/THINK]"]})
    tokenizer.save_pretrained(tmp_path / "tokens")
    assert find_tags(tmp_path / "tokens") == ThinkTags("[THINK]", "[/THINK]")


@pytest.mark.parametrize("prompt", ["a cat sat", "who knows why"])
def test_a_tag_of_several_tokens_is_no_other_token(prompt: str, tmp_path: Path) -> None:
    """Its id is that of the unknown token, which is EOS here."""
    path = save_tiny_llama(tmp_path)
    tokenizer = tiny_tokenizer()
    tokenizer.add_special_tokens({"unk_token": "</s>"})
    tokenizer.save_pretrained(path)
    engine = open_packed(path, think_end="</think>")
    continuing = engine._generator._continuing({"until": [], "max_gen_toks": 1, "do_sample": False})
    tags = continuing.think_tags
    assert tags is not None
    ids = tokenizer(prompt + " and dog").input_ids
    assert continuing._with_tags([*ids, tokenizer.eos_token_id], tags) == prompt + " and dog"


def _requests(*texts: str, **more: Any) -> list[Request]:
    arguments = json.dumps({"until": ["o"], "max_gen_toks": 40, **more}, sort_keys=True)
    return [Request(kind="generate_until", context=text, generation=arguments) for text in texts]


def test_a_stop_string_within_a_thought_does_not_end_the_text(tmp_path: Path) -> None:
    """The model is random: its whole text is within the thought that the prompt opens."""
    path = save_tiny_llama(tmp_path)
    prompts = ["a cat sat", "who knows why", "the big red house"]
    free = open_packed(path)
    plain = answers(free, _requests(*(f"{prompt}<think>" for prompt in prompts), until=[]))
    thinking = open_packed(path, think_end="</think>")
    inside = answers(thinking, _requests(*(f"{prompt}<think>" for prompt in prompts)))
    assert inside == plain
    assert any(isinstance(answer, Answer) and "o" in (answer.text or "") for answer in inside)
    outside = _requests(*prompts)
    assert answers(thinking, outside) == answers(free, outside)


SCRIPT = """
task: thinks
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
output_type: generate_until
doc_to_text: prompt
doc_to_target: written
generation_kwargs: {{until: [], max_gen_toks: 8, do_sample: false}}
filter_list: [{{name: answer, filter: [{{function: take_first}}]}}]
process_results: !function scored.results
metric_list: [{{metric: right, aggregation: mean, higher_is_better: true}}]
metadata: {{version: 1, domain: logic, chance: 0.0}}
"""


def test_the_record_keeps_the_thought_and_scores_the_answer(tmp_path: Path, harness_here: HarnessCommand) -> None:
    folder = write_tasks(tmp_path / "tasks", items=1)
    written = ["<think>B? no</think> A", "<think>A", "A"]
    rows = [{"prompt": f"item {number}", "written": text} for number, text in enumerate(written)]
    data = folder / "thinks.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (folder / "thinks.yaml").write_text(SCRIPT.format(data=data), encoding="utf-8")
    (folder / "scored.py").write_text("def results(doc, answers): return {'right': float(answers[0] == 'A')}\n")
    words = [
        "--tasks",
        "thinks",
        "--include_path",
        folder,
        "--output_path",
        tmp_path / "runs",
        "--think_end",
        "</think>",
    ]
    done = harness_here("eval", "--backend", "scripted", "--model", "oracle", *words)
    assert done.returncode == 0, done.stderr
    assert "thinks: 1 of 3 generations end within the model's reasoning" in done.stderr
    for _ in range(2):  # as evaluated, and as scored again from the record
        record = read_record(tmp_path / "runs" / "oracle")
        task = record.tasks["thinks"]
        assert task.value == pytest.approx(2 / 3)
        assert task.unclosed_thoughts == 1
        samples = tmp_path / "runs" / "oracle" / f"samples_thinks_{record.time}.jsonl"
        lines = [json.loads(line) for line in samples.read_text(encoding="utf-8").splitlines()]
        assert [line["resps"] for line in lines] == [[[text]] for text in written]
        assert [line["filtered_resps"] for line in lines] == [["A"], [""], ["A"]]
        run = load([tmp_path / "runs"]).models[0].tasks["thinks"]
        assert run.think_end == "</think>", "with it, reports find where an answer was read"
        assert harness_here("rescore", tmp_path / "runs" / "oracle", "--include_path", folder).returncode == 0
