"""The `vllm` engine writes the texts of lm-eval's `hf` model; sampled texts depend on their seed alone."""

from __future__ import annotations

import pytest
from lm_eval.models.huggingface import HFLM

from harness.engines.base import Answer, Failure
from harness.engines.vllm.engine import VllmEngine
from tests.engines.hf.reference import instances
from tests.engines.vllm.tiny import answers, generating, good, sentence, whole

pytestmark = pytest.mark.usefixtures("one_thread")


def test_greedy_text_is_that_of_lm_evals_hf_model_up_to_the_stop_string(engine: VllmEngine, reference: HFLM) -> None:
    contexts = [sentence(5, seed) for seed in range(6)]
    free = [generating(context, until=[], max_gen_toks=12) for context in contexts]
    texts = [answer.text or "" for answer in good(engine, free)]
    assert texts == [whole(text) for text in reference.generate_until(instances(free), disable_tqdm=True)]
    stops = [text[4:6] for text in texts if len(text) > 6]
    assert stops
    stopped = [generating(context, until=stops, max_gen_toks=12) for context in contexts]
    for text, answer in zip(texts, good(engine, stopped), strict=True):
        assert answer.text == min((text.split(stop)[0] for stop in stops), key=len)


def test_a_generation_request_without_sampling_arguments_is_greedy(engine: VllmEngine) -> None:
    greedy = generating("a cat", do_sample=False, temperature=0.0, max_gen_toks=20)
    plain, zero = good(engine, [generating("a cat", max_gen_toks=20), greedy])
    assert plain.text == zero.text


def test_sampled_texts_depend_only_on_their_seed_and_repeat(engine: VllmEngine) -> None:
    arguments = {"do_sample": True, "temperature": 1.5, "max_gen_toks": 12}
    # Seed 1's second repeat differs from seed 2's first, and contexts differ too.
    requests = [generating("a cat", seed=seed, repeat=repeat, **arguments) for seed in (1, 2) for repeat in range(3)]
    together = [answer.text for answer in good(engine, requests)]
    alone = [good(engine, [request])[0].text for request in requests]
    assert together == alone
    assert len(set(together)) == len(requests)


def test_a_long_prompt_is_cut_to_leave_room_for_the_new_tokens(engine: VllmEngine, reference: HFLM) -> None:
    requests = [generating(sentence(300, 8), until=[], max_gen_toks=10)]
    answer = good(engine, requests)[0]
    assert answer.cut_tokens > 0
    assert [answer.text] == [whole(text) for text in reference.generate_until(instances(requests), disable_tqdm=True)]


def test_bad_generation_arguments_fail_their_request_alone(engine: VllmEngine) -> None:
    requests = [
        generating("a cat", temprature=0.5, max_gen_toks=4),
        generating("a cat", max_gen_toks=4),
        generating("a", max_gen_toks=500),
        generating("a", max_gen_toks="many"),
    ]
    unknown, fine, long, no_number = answers(engine, requests)
    assert isinstance(unknown, Failure)
    assert "temprature" in unknown.message
    assert isinstance(fine, Answer)
    assert isinstance(long, Failure)
    assert long.reason == "too_long"
    assert isinstance(no_number, Failure)
    assert "many" in no_number.message
