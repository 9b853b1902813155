"""The engine sends a service several requests at once, respects Retry-After, and survives an outage."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from harness.engines import served
from harness.engines.base import Answer, Batch, EngineDied, Failure, Request
from harness.engines.lm_eval import open_lm_eval
from harness.engines.served import retry_after
from harness.engines.spec import EngineSpec
from harness.errors import InputError
from harness.evaluation.model_under_test import find_model
from harness.evaluation.spec import EvaluationSpec
from harness.records.run_folder import read_record
from tests.conftest import HarnessCommand
from tests.engines.service import CUT_CONNECTION, CUT_TEXT, Service, Trouble, token_score
from tests.models import save_tiny_llama
from tests.tasks_for_tests import write_tasks

REQUESTS = [Request(kind="generate_until", context=f"question {n}", generation='{"until": []}') for n in range(12)]
RIGHT = {index: Answer(text=request.context[::-1]) for index, request in enumerate(REQUESTS)}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served, "SECONDS_FIRST", 0.05)


def _spec(port: int, **more: object) -> EngineSpec:
    url = f"http://127.0.0.1:{port}/v1/completions"
    return EngineSpec(
        backend="lm-eval:local-completions", model_args={"base_url": url, "tokenizer_backend": "none", **more}
    )


def _batches(service: Service, **more: object) -> Iterator[Batch]:
    yield from open_lm_eval("any", _spec(service.port, **more)).answer(REQUESTS)


def _answers(trouble: Trouble, **more: object) -> tuple[dict[int, Answer | Failure], Service]:
    service = Service(trouble)
    try:
        batches = list(_batches(service, **more))
    finally:
        service.close()
    assert all(len(batch) == 1 for batch in batches), "each answer is journalled by itself"
    assert len(batches) == len(REQUESTS)
    return dict(pair for batch in batches for pair in batch), service


@pytest.mark.parametrize("concurrent", [1, 5])
def test_num_concurrent_messages_are_sent_at_once(concurrent: int) -> None:
    service = Service(seconds=0.05)
    assert dict(pair for batch in _batches(service, num_concurrent=concurrent) for pair in batch) == RIGHT
    service.close()
    assert service.most_at_once == concurrent
    assert set(service.asked.values()) == {1}


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503])
def test_a_temporary_failure_is_retried(status: int) -> None:
    answers, service = _answers(lambda prompt, n: (status, {}) if n < 2 and prompt.endswith("3") else None)
    assert answers == RIGHT
    assert service.asked["question 3"] == 3


def test_a_permanent_failure_fails_only_its_own_request() -> None:
    answers, service = _answers(lambda prompt, n: (400, {}) if prompt.endswith("3") else None)
    failure = answers.pop(3)
    assert isinstance(failure, Failure)
    assert failure.reason == "error"
    assert "HTTPError: 400" in failure.message
    assert "trouble of the service" in failure.message
    assert answers.items() <= RIGHT.items()
    assert service.asked["question 3"] == 1


def test_a_request_fails_after_max_retries_attempts() -> None:
    answers, service = _answers(lambda prompt, n: (500, {}) if prompt.endswith("3") else None, max_retries=3)
    assert isinstance(answers[3], Failure)
    assert service.asked["question 3"] == 3


def test_a_rate_limit_holds_for_all_and_costs_no_attempt() -> None:
    """Three messages per half second are allowed, and eight threads send."""
    allowed = [0.0, 0.0, 0.0]

    def limit(prompt: str, n: int) -> tuple[int, dict[str, str]] | None:
        oldest = allowed[0]
        if time.monotonic() - oldest < 0.5:
            return 429, {"Retry-After": "0.2"}
        allowed.append(time.monotonic())
        del allowed[0]
        return None

    began = time.monotonic()
    answers, _ = _answers(limit, max_retries=1)
    assert answers == RIGHT
    assert time.monotonic() - began >= 1.5


@pytest.mark.parametrize("cut", [CUT_CONNECTION, CUT_TEXT])
def test_half_an_answer_is_asked_for_again(cut: int) -> None:
    answers, service = _answers(lambda prompt, n: (cut, {}) if n < 2 and prompt.endswith("3") else None)
    assert answers == RIGHT
    assert service.asked["question 3"] == 3


def test_half_answers_fail_a_request_after_max_retries_attempts() -> None:
    answers, service = _answers(lambda prompt, n: (CUT_TEXT, {}) if prompt.endswith("3") else None, max_retries=2)
    failure = answers.pop(3)
    assert isinstance(failure, Failure)
    assert failure.message.startswith("JSONDecodeError")
    assert answers.items() <= RIGHT.items()
    assert service.asked["question 3"] == 2


def test_a_service_that_always_asks_to_retry_at_once_fails_one_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each pause lasts at least 0.05 s here, and the pauses of one request last 0.2 s at most."""
    monkeypatch.setattr(served, "SECONDS_PER_REQUEST", 0.22)
    service = Service(lambda prompt, n: (503, {"Retry-After": "0"}) if prompt.endswith("3") else None)
    began = time.monotonic()
    answers = dict(pair for batch in _batches(service, num_concurrent=1) for pair in batch)
    service.close()
    failure = answers.pop(3)
    assert isinstance(failure, Failure)
    assert "503" in failure.message
    assert answers.items() <= RIGHT.items()
    assert service.asked["question 3"] == 5
    assert time.monotonic() - began >= 0.2


def test_a_pause_of_hours_ends_the_engine() -> None:
    with pytest.raises(EngineDied, match="asks for a pause of 36000 s"):
        _answers(lambda prompt, n: (429, {"Retry-After": "36000"}))


def test_an_engine_answers_several_times() -> None:
    """Also after a caller that did not want all answers."""
    service = Service()
    engine = open_lm_eval("any", _spec(service.port))
    for wanted in (len(REQUESTS), 1, len(REQUESTS)):
        batches = engine.answer(REQUESTS)
        answers = dict(pair for _ in range(wanted) for pair in next(batches))
        batches.close()  # type: ignore[attr-defined]  # it is a generator
        assert answers.items() <= RIGHT.items()
        assert len(answers) == wanted
    service.close()


def test_log_likelihoods_are_sums_over_the_tokens_of_the_continuation(tmp_path: Path) -> None:
    """Several at the same time, and each prompt is sent as tokens."""
    model = save_tiny_llama(tmp_path / "tiny")
    tokenizer = AutoTokenizer.from_pretrained(model)
    requests = [
        Request(kind="loglikelihood", context=f"{'word ' * number}question {number}:", continuation=continuation)
        for number in range(9)
        for continuation in (" yes", " no, never")
    ]
    service = Service(lambda prompt, n: (503, {}) if not n and len(prompt) % 3 == 0 else None, seconds=0.02)
    engine = open_lm_eval("any", _spec(service.port, tokenizer_backend="huggingface", tokenizer=str(model)))
    answers = dict(pair for batch in engine.answer(requests) for pair in batch)
    service.close()
    assert service.most_at_once > 1
    greedy = set()
    for index, request in enumerate(requests):
        context, whole = (
            tokenizer(text, add_special_tokens=False).input_ids
            for text in (request.context, request.context + request.continuation)
        )
        scores = [token_score(whole[: end + 1]) for end in range(len(context), len(whole))]
        answer = answers[index]
        assert isinstance(answer, Answer)
        assert answer.logprob == pytest.approx(sum(logprob for logprob, _ in scores), abs=1e-9)
        assert answer.is_greedy == all(one for _, one in scores)
        greedy.add(answer.is_greedy)
    assert greedy == {True, False}, "both occur"


def test_a_service_that_comes_back_answers_the_rest() -> None:
    service = Service(seconds=0.02)
    batches = _batches(service, num_concurrent=2)
    answers = dict(next(batches))
    service.close()
    again = Service(port=service.port)
    answers |= dict(pair for batch in batches for pair in batch)
    again.close()
    assert answers == RIGHT
    assert again.asked


def test_a_service_that_stays_down_is_a_dead_engine() -> None:
    service = Service()
    service.close()
    with pytest.raises(EngineDied, match="the service cannot be reached: ConnectionError"):
        list(_batches(service, max_retries=2))


def test_retry_after_is_a_number_or_a_date() -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    assert retry_after("1.5") == 1.5
    assert retry_after(later) == pytest.approx(100, abs=3)
    assert [retry_after(text) for text in (None, "soon", "-3")] == [None, None, 0.0]


@pytest.mark.parametrize("argument", ["num_concurrent", "max_retries"])
def test_a_setting_that_is_not_a_number_gives_one_clear_error(argument: str) -> None:
    with pytest.raises(InputError, match=f"--model_args {argument}=0: give a whole number of 1 or more"):
        open_lm_eval("any", _spec(1, **{argument: 0}))


def test_the_journal_knows_the_answers_with_another_concurrency(tmp_path: Path) -> None:
    one, two = (
        find_model("any", EvaluationSpec(models=("any",), tasks=(), output=tmp_path, engine=_spec(1, num_concurrent=n)))
        for n in (1, 2)
    )
    assert one.fingerprint == two.fingerprint


def test_a_chat_service_is_evaluated_and_gets_no_request_twice(tmp_path: Path, harness_here: HarnessCommand) -> None:
    tasks = write_tasks(tmp_path / "tasks", items=8)
    service = Service(lambda prompt, n: (503, {"Retry-After": "0"}) if not n and "number 5" in prompt else None)
    url = f"base_url=http://127.0.0.1:{service.port}/v1/chat/completions"
    words = ["eval", "--backend", "lm-eval:local-chat-completions", "--model", "any", "--apply_chat_template"]
    words += ["--tasks", "t_generate", "--include_path", str(tasks), "--output_path", str(tmp_path / "out")]
    header = {"header": {"Authorization": "Bearer hf_SECRET", "Content-Type": "application/json"}}
    words += ["--model_args", url, "num_concurrent=3", json.dumps(header), "--metadata", '{"token": "hf_SECRET"}']
    for known in (0, 8):
        done = harness_here(*words)
        assert done.returncode == 0, done.stderr
        assert read_record(tmp_path / "out" / "any").from_journal == known
    service.close()
    assert sorted(service.asked.values()) == [1] * 7 + [2]
    written = [path for path in tmp_path.rglob("*") if path.is_file() and path.parent != tasks]
    assert len(written) > 3
    assert [path for path in written if b"hf_SECRET" in path.read_bytes()] == [], "secrets are in no record"
