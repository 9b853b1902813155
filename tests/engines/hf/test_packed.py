"""The `hf` engine gives the scores of lm-eval's `hf` model, on every architecture, whatever it computes together."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from harness.engines.base import Answer, Failure, Request
from harness.engines.hf.engine import HfEngine, HfSpec
from harness.errors import CheckpointError, InputError
from tests.engines.hf.families import ALL, IN_ROWS, MAX_LENGTH, PACKED, WINDOW, WINDOWED, save_family
from tests.engines.hf.reference import instances, open_hflm
from tests.models import save_tiny_adapter, save_tiny_llama

# Nats per continuation, in float32.
TOLERANCE = 1e-3
SENTENCE = "a cat sat on the mat and dog ran to big red house because it was not cold who knows why"
WORDS = [*SENTENCE.split(), "é", "漢字", "🙂", "\n"]


def open_packed(path: Path, **arguments: object) -> HfEngine:
    return HfEngine(HfSpec(path=str(path), **{"dtype": "float32", "device": "cpu", **arguments}))  # type: ignore[arg-type]


def answers(engine: HfEngine, requests: Sequence[Request]) -> list[Answer | Failure]:
    """Every request's answer, in order; fails when one is missing or is yielded twice."""
    by_index: dict[int, Answer | Failure] = {}
    for batch in engine.answer(requests):
        for index, answer in batch:
            assert index not in by_index
            by_index[index] = answer
    assert sorted(by_index) == list(range(len(requests)))
    return [by_index[index] for index in range(len(requests))]


def loglikelihood(context: str, continuation: str) -> Request:
    return Request(kind="loglikelihood", context=context, continuation=continuation)


def mixed_requests(seed: int = 0) -> list[Request]:
    """Shared examples, own contexts, one-token choices, empty contexts, trailing spaces, repeats, cuts."""
    drawn = random.Random(seed)

    def text(words: int) -> str:
        return " ".join(drawn.choice(WORDS) for _ in range(words))

    requests = []
    examples = text(16)
    for _ in range(4):
        context = f"{examples}\n{text(drawn.randrange(1, 5))}"
        requests += [loglikelihood(context, f" {text(drawn.randrange(1, 4))}") for _ in range(4)]
        requests += [loglikelihood(context, letter) for letter in "ABCD"]
    requests += [loglikelihood(text(drawn.randrange(1, 12)), " " + text(3)) for _ in range(6)]
    requests += [loglikelihood(f"{text(2)} of choice {n}, then", " the same text after it") for n in range(4)]
    requests += [loglikelihood("", text(2)), loglikelihood("", "a"), loglikelihood("", "<s>a cat")]
    requests += [loglikelihood(text(3) + "  ", "word"), loglikelihood(text(3) + " \n", " word")]
    requests += [loglikelihood("<s>" + text(3), " word"), loglikelihood(text(200), " " + text(2))]
    requests += [requests[0], requests[5], requests[-1]]
    drawn.shuffle(requests)
    return requests


def assert_same_scores(path: Path, engine: HfEngine, requests: Sequence[Request], **reference: object) -> None:
    expected = open_hflm(path, **reference).loglikelihood(instances(requests), disable_tqdm=True)
    for request, answer, (logprob, greedy) in zip(requests, answers(engine, requests), expected, strict=True):
        assert isinstance(answer, Answer), (request, answer)
        assert answer.logprob == pytest.approx(logprob, abs=TOLERANCE, rel=0), request
        assert answer.is_greedy == greedy, request


@pytest.mark.parametrize("name", ALL)
def test_scores_equal_lm_evals(name: str, tmp_path: Path) -> None:
    path = save_family(tmp_path, name)
    assert_same_scores(path, open_packed(path), mixed_requests())


@pytest.mark.parametrize("name", ALL)
def test_a_continuation_that_the_model_would_generate_is_greedy(name: str, tmp_path: Path) -> None:
    path = save_family(tmp_path, name)
    reference = open_hflm(path)
    contexts = [" ".join(random.Random(seed).choices(WORDS, k=6)) for seed in range(16)]
    prompts = [
        Request(kind="generate_until", context=context, generation='{"until": [], "max_gen_toks": 1}')
        for context in contexts
    ]
    texts = reference.generate_until(instances(prompts), disable_tqdm=True)
    requests = [loglikelihood(context, text) for context, text in zip(contexts, texts, strict=True) if text]
    engine = open_packed(path)
    assert_same_scores(path, engine, requests)
    assert any(answer.is_greedy for answer in answers(engine, requests) if isinstance(answer, Answer))


@pytest.mark.parametrize("name", PACKED)
def test_the_common_architectures_are_packed(name: str, tmp_path: Path) -> None:
    assert open_packed(save_family(tmp_path, name)).description["packed_up_to"] == MAX_LENGTH


@pytest.mark.parametrize("name", IN_ROWS)
def test_a_model_that_cannot_be_packed_is_scored_in_rows_with_one_warning(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    engine = open_packed(save_family(tmp_path, name))
    answers(engine, mixed_requests())
    assert engine.description["packed_up_to"] == 0
    assert [record.message for record in caplog.records if "row of its own" in record.message] == caplog.messages[:1]


@pytest.mark.parametrize("name", WINDOWED)
def test_only_sequences_that_fit_a_sliding_window_are_packed(name: str, tmp_path: Path) -> None:
    assert open_packed(save_family(tmp_path, name)).description["packed_up_to"] == WINDOW


@pytest.mark.parametrize("batch_tokens", [1, 40, 10_000])
def test_the_batch_does_not_change_a_score(batch_tokens: int, tmp_path: Path) -> None:
    path = save_family(tmp_path, "llama")
    assert_same_scores(path, open_packed(path, batch_tokens=batch_tokens), mixed_requests(1))


def test_the_order_of_requests_does_not_change_a_score(tmp_path: Path) -> None:
    engine = open_packed(save_family(tmp_path, "qwen2"))
    requests = mixed_requests(2)
    forwards = answers(engine, requests)
    backwards = answers(engine, requests[::-1])[::-1]
    for one, other in zip(forwards, backwards, strict=True):
        assert isinstance(one, Answer)
        assert isinstance(other, Answer)
        assert one.logprob == pytest.approx(other.logprob, abs=1e-4, rel=0)


@pytest.mark.parametrize("add_bos", [True, False])
def test_special_tokens_are_added_as_lm_eval_adds_them(*, add_bos: bool, tmp_path: Path) -> None:
    path = save_tiny_llama(tmp_path)
    assert_same_scores(path, open_packed(path, add_bos=add_bos), mixed_requests(3), add_bos_token=add_bos)


def test_an_adapter_is_scored_as_lm_eval_scores_it(tmp_path: Path) -> None:
    path = save_tiny_llama(tmp_path / "base")
    adapter = save_tiny_adapter(tmp_path / "adapter", path)
    engine = open_packed(path, adapter=str(adapter))
    assert engine.description["packed_up_to"] > 0
    assert_same_scores(path, engine, mixed_requests(4), peft=str(adapter))


def test_a_shorter_context_cuts_on_the_left_and_counts_it(tmp_path: Path) -> None:
    path = save_tiny_llama(tmp_path)
    engine = open_packed(path, max_length=24)
    requests = [loglikelihood("a cat sat on the mat and " * n, "dog ran") for n in range(1, 8)]
    assert_same_scores(path, engine, requests, max_length=24)
    cuts = [answer.cut_tokens for answer in answers(engine, requests) if isinstance(answer, Answer)]
    tokenizer = AutoTokenizer.from_pretrained(path)
    lengths = [len(tokenizer(request.context + request.continuation).input_ids) for request in requests]
    # The last token is only predicted, so one more than the context fits.
    assert cuts == [max(0, length - 25) for length in lengths]
    assert cuts[0] == 0
    assert cuts[-1] > 0


def test_a_request_that_cannot_be_scored_fails_alone(tmp_path: Path) -> None:
    engine = open_packed(save_tiny_llama(tmp_path), max_length=24)
    requests = [
        loglikelihood("a cat", " sat"),
        loglikelihood("a cat", ""),
        loglikelihood("", ""),
        loglikelihood("a cat", " sat on the mat" * 20),
        Request(kind="loglikelihood_rolling", context="", continuation=""),
    ]
    results = answers(engine, requests)
    assert isinstance(results[0], Answer)
    reasons = [answer.reason for answer in results[1:] if isinstance(answer, Failure)]
    assert reasons == ["empty", "empty", "too_long", "empty"]


@pytest.mark.parametrize("name", ALL)
def test_rolling_scores_equal_lm_evals(name: str, tmp_path: Path) -> None:
    path = save_family(tmp_path, name)
    texts = ["a", "a cat sat", " the mat\n\nand dog  ran to ", "a cat sat on the mat and dog ran to big red " * 20]
    requests = [Request(kind="loglikelihood_rolling", context="", continuation=text) for text in texts]
    expected = open_hflm(path, max_length=48).loglikelihood_rolling(instances(requests), disable_tqdm=True)
    for answer, logprob in zip(answers(open_packed(path, max_length=48), requests), expected, strict=True):
        assert isinstance(answer, Answer)
        assert answer.logprob == pytest.approx(logprob, abs=TOLERANCE, rel=1e-5)
        assert answer.is_greedy is None


def test_bfloat16_is_close_to_float32(tmp_path: Path) -> None:
    path = save_family(tmp_path, "llama")
    requests = mixed_requests(5)
    engine = open_packed(path, dtype="bfloat16")
    assert engine.description["dtype"] == "bfloat16"
    assert engine.description["packed_up_to"] == MAX_LENGTH
    exact = open_hflm(path).loglikelihood(instances(requests), disable_tqdm=True)
    theirs = open_hflm(path, dtype="bfloat16", batch_size=8).loglikelihood(instances(requests), disable_tqdm=True)
    ours = [answer.logprob for answer in answers(engine, requests) if isinstance(answer, Answer)]
    errors = [abs(a - (b or 0.0)) for (a, _), b in zip(exact, ours, strict=True)]
    their_errors = [abs(a - b) for (a, _), (b, _) in zip(exact, theirs, strict=True)]
    assert sum(errors) <= sum(their_errors)


def test_auto_takes_the_checkpoints_own_dtype(tmp_path: Path) -> None:
    assert open_packed(save_tiny_llama(tmp_path), dtype="auto").description["dtype"] == "float32"


def test_a_missing_checkpoint_is_the_users_error(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="cannot open the model"):
        open_packed(tmp_path / "nothing")


def test_an_unknown_dtype_is_the_users_error() -> None:
    with pytest.raises(InputError, match="one of auto, float32, bfloat16, float16"):
        HfSpec(path="anywhere", dtype="int8")
