"""Generation gives lm-eval's texts, and a sampled text depends only on its own request."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from harness.engines.base import Answer, Failure, Request
from tests.engines.hf.families import ALL, save_family
from tests.engines.hf.reference import instances, open_hflm
from tests.engines.hf.test_packed import answers, open_packed
from tests.engines.hf.test_packed_trouble import guard
from tests.models import save_tiny_llama

CONTEXTS = ["a cat", "a cat sat on the mat and dog ran", "who knows", "the big red house because", "é 漢字", "<s>a dog"]


def generation(context: str, *, repeat: int = 0, seed: int | None = None, **arguments: Any) -> Request:
    text = json.dumps(arguments, sort_keys=True)
    return Request(kind="generate_until", context=context, generation=text, repeat=repeat, seed=seed)


def texts(generated: Sequence[Answer | Failure]) -> list[str]:
    assert all(isinstance(answer, Answer) for answer in generated), generated
    return [answer.text or "" for answer in generated if isinstance(answer, Answer)]


@pytest.mark.parametrize("name", ALL)
def test_greedy_texts_equal_lm_evals(name: str, tmp_path: Path) -> None:
    path = save_family(tmp_path, name)
    requests = [generation(context, until=["\n\n"], max_gen_toks=20) for context in CONTEXTS]
    requests += [generation(context, until=[], max_gen_toks=7, do_sample=False) for context in CONTEXTS]
    requests += [generation("a cat sat " * 40, until=["."], max_gen_toks=10)]
    expected = open_hflm(path).generate_until(instances(requests), disable_tqdm=True)
    assert texts(answers(open_packed(path), requests)) == expected
    assert any(expected), "a model that says nothing shows nothing"


def test_a_stop_string_ends_its_own_row_as_in_lm_eval(tmp_path: Path) -> None:
    path = save_family(tmp_path, "llama")
    engine = open_packed(path)
    free = texts(answers(engine, [generation(context, until=[], max_gen_toks=30) for context in CONTEXTS]))
    # Strings that occur: two characters from the middle of each generated text.
    stops = [text[len(text) // 2 : len(text) // 2 + 2] for text in free]
    requests = [generation(context, until=stops, max_gen_toks=30) for context in CONTEXTS]
    generated = answers(engine, requests)
    assert texts(generated) == open_hflm(path).generate_until(instances(requests), disable_tqdm=True)
    for answer, text in zip(generated, free, strict=True):
        assert isinstance(answer, Answer)
        assert answer.text is not None
        assert text.startswith(answer.text)
        assert not any(stop in answer.text for stop in stops)
        assert answer.tokens < 30


def test_finished_rows_are_not_computed_further(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = open_packed(save_family(tmp_path, "llama"))
    long, short = generation(CONTEXTS[0], until=[], max_gen_toks=64), []
    for context in CONTEXTS[1:]:
        (free,) = texts(answers(engine, [generation(context, until=[], max_gen_toks=64)]))
        short.append(free[2:5])
    stops = sorted(stop for stop in short if stop not in texts(answers(engine, [long]))[0])
    requests = [generation(context, until=stops, max_gen_toks=64) for context in CONTEXTS]
    alone = [text for request in requests for text in texts(answers(engine, [request]))]
    model: Any = engine._forward.model
    rows, forward = [], model.forward

    def counted(*words: Any, **named: Any) -> Any:
        rows.append(len(named["input_ids"]))
        return forward(*words, **named)

    monkeypatch.setattr(model, "forward", counted)
    assert texts(answers(engine, requests)) == alone
    assert rows[0] == len(CONTEXTS)
    assert rows[-1] < len(CONTEXTS)
    assert len(rows) == 64, "no token is computed twice"


def test_a_prompt_is_cut_on_the_left_to_leave_room_for_new_tokens(tmp_path: Path) -> None:
    path = save_tiny_llama(tmp_path)
    requests = [generation("a cat sat on the mat " * n, until=[], max_gen_toks=16) for n in (1, 20)]
    short, long = answers(open_packed(path, max_length=40), requests)
    assert isinstance(short, Answer)
    assert isinstance(long, Answer)
    assert short.cut_tokens == 0
    assert long.cut_tokens > 0
    expected = open_hflm(path, max_length=40).generate_until(instances(requests), disable_tqdm=True)
    assert [short.text, long.text] == expected


def test_more_new_tokens_than_the_context_holds_is_a_failure(tmp_path: Path) -> None:
    (answer,) = answers(open_packed(save_tiny_llama(tmp_path), max_length=40), [generation("a", max_gen_toks=40)])
    assert isinstance(answer, Failure)
    assert answer.reason == "too_long"


SAMPLING: dict[str, Any] = {"do_sample": True, "temperature": 0.8, "top_p": 0.95, "until": [], "max_gen_toks": 40}


def test_a_sampled_text_depends_on_its_request_alone(tmp_path: Path) -> None:
    path = save_tiny_llama(tmp_path)
    requests = [generation(context, repeat=repeat, **SAMPLING) for context in CONTEXTS for repeat in range(3)]
    together = texts(answers(open_packed(path), requests))
    alone = [text for request in requests for text in texts(answers(open_packed(path), [request]))]
    backwards = texts(answers(open_packed(path, batch_tokens=10), requests[::-1]))[::-1]
    assert together == alone == backwards
    assert len(set(together)) > len(CONTEXTS), "repeats are draws of their own"


def test_the_seed_decides_what_is_sampled(tmp_path: Path) -> None:
    path = save_tiny_llama(tmp_path)
    engine = open_packed(path)
    first, second, again = (
        texts(answers(engine, [generation(context, seed=seed, **SAMPLING) for context in CONTEXTS]))
        for seed in (0, 1, 0)
    )
    assert first == again != second


def test_sampling_follows_the_models_distribution(tmp_path: Path) -> None:
    engine = open_packed(save_family(tmp_path, "llama"))
    arguments: dict[str, Any] = {"do_sample": True, "temperature": 1.5, "top_k": 5, "until": [], "max_gen_toks": 1}
    draws = texts(answers(engine, [generation("a cat", repeat=repeat, **arguments) for repeat in range(400)]))
    model: Any = engine._forward.model
    tokenizer = engine._encoder._tokenizer
    with torch.no_grad():
        logits = model(torch.tensor([tokenizer("a cat").input_ids])).logits[0, -1] / 1.5
    best = logits.topk(5)
    expected: Counter[str] = Counter()  # by text: incomplete characters all decode to the same text
    for probability, token in zip(best.values.softmax(-1).tolist(), best.indices.tolist(), strict=True):
        expected[str(tokenizer.decode([token], skip_special_tokens=True))] += probability
    assert set(draws) <= set(expected)
    assert len(expected) > 1
    for text, probability in expected.items():
        four_standard_errors = 4 * (probability * (1 - probability) / len(draws)) ** 0.5
        assert draws.count(text) / len(draws) == pytest.approx(probability, abs=four_standard_errors)


def test_generation_continues_with_smaller_batches_when_memory_runs_out(tmp_path: Path) -> None:
    path = save_tiny_llama(tmp_path)
    engine = open_packed(path)
    requests = [generation(context, until=[], max_gen_toks=8) for context in CONTEXTS]
    expected = texts(answers(engine, requests))

    def small_memory(ids: Tensor) -> None:
        if ids.shape[0] > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")

    guard(engine, small_memory)
    assert texts(answers(engine, requests)) == expected


def test_a_bad_argument_fails_only_its_requests(tmp_path: Path) -> None:
    requests = [
        generation("a", do_sample=True, temperature=-1.0, max_gen_toks=4),
        generation("a", temperature=None, max_gen_toks=4),
        generation("a", max_gen_toks="many"),
        generation("a", max_gen_toks=4),
    ]
    *bad, good = answers(open_packed(save_tiny_llama(tmp_path)), requests)
    for failure in bad:
        assert isinstance(failure, Failure)
        assert failure.reason == "error"
    assert isinstance(good, Answer)
