"""The `vllm` engine gives the scores of lm-eval's `hf` model with its prefix cache in use, whatever the cache serves.

The engine is real: tiny random-weight models in float32 on the CPU build, opened once for the file where that is
possible, since opening one takes many seconds.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from lm_eval.models.huggingface import HFLM
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerBase, set_seed

from harness.checkpoints.resolver import resolve
from harness.engines.base import Answer, EngineDied, Failure, Request, Scored
from harness.engines.engine_pool import POOL
from harness.engines.spec import EngineSpec
from harness.engines.vllm.engine import BATCH_PROMPTS, BATCH_TOKENS, VllmEngine, open_vllm
from harness.engines.vllm.queries import group_by_context
from harness.errors import EngineError, InputError
from tests import models as tiny_models
from tests.engines.hf.reference import instances, open_hflm
from tests.engines.vllm.interpreter import use_model_runner
from tests.models import save_tiny_adapter, tiny_tokenizer
from tests.synthetic.general import openbookqa
from tests.waiting import CEILING_SECONDS, running, wait_until

ROOT = Path(__file__).resolve().parents[3]
TOLERANCE = 1e-3  # nats per continuation, in float32
MAX_LENGTH = 128
BLOCK = 32  # tokens that vLLM caches together on the CPU
SMALL = {"kv_cache_memory_bytes": 64 * 2**20}
WORDS = tiny_models.WORDS.split()


def save_model(folder: Path) -> Path:
    """A two-layer Llama with a head size that vLLM supports, and weights so large that its predictions differ."""
    set_seed(0)
    tokenizer = tiny_tokenizer()
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=MAX_LENGTH,
        initializer_range=0.2,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    model: Any = LlamaForCausalLM
    model(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def open_tiny(path: Path, **fields: object) -> VllmEngine:
    model_args = {**SMALL, **fields.pop("model_args", {})}  # type: ignore[dict-item]
    return open_vllm(resolve(str(path)), EngineSpec(backend="vllm", dtype="float32", model_args=model_args, **fields))  # type: ignore[arg-type]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny models gain nothing from a second thread and lose much on a busy machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        yield


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("tiny-for-vllm"))


@pytest.fixture(scope="module")
def tokenizer(model: Path) -> PreTrainedTokenizerBase:
    loaded: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(model)
    return loaded


# The reduced twin of the tests on V2 is test_model_runners.py: each step of Triton's interpreter is slow.
@pytest.fixture(scope="module", params=["V1", pytest.param("V2", marks=pytest.mark.slow)])
def engine(
    request: pytest.FixtureRequest, model: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[VllmEngine]:
    with use_model_runner(request.param, tmp_path_factory.mktemp("interpreter")):
        opened = open_tiny(model)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def reference(model: Path) -> HFLM:
    return open_hflm(model)


def answers(engine: VllmEngine, requests: Sequence[Request]) -> list[Answer | Failure]:
    """Every request's answer, in order; fails when one is missing or is yielded twice."""
    pairs = [pair for batch in engine.answer(requests) for pair in batch]
    assert sorted(index for index, _ in pairs) == list(range(len(requests)))
    return [answer for _, answer in sorted(pairs, key=lambda pair: pair[0])]


def good(engine: VllmEngine, requests: Sequence[Request]) -> list[Answer]:
    results = answers(engine, requests)
    assert not [answer for answer in results if isinstance(answer, Failure)]
    return [answer for answer in results if isinstance(answer, Answer)]


def assert_same_scores(engine: VllmEngine, reference: HFLM, requests: Sequence[Request]) -> list[Answer]:
    expected = reference.loglikelihood(instances(requests), disable_tqdm=True)
    results = good(engine, requests)
    for request, answer, (logprob, greedy) in zip(requests, results, expected, strict=True):
        assert answer.logprob == pytest.approx(logprob, abs=TOLERANCE, rel=0), request
        assert answer.is_greedy == greedy, request
    return results


def scoring(context: str, continuation: str) -> Request:
    return Request(kind="loglikelihood", context=context, continuation=continuation)


def rolling(text: str) -> Request:
    return Request(kind="loglikelihood_rolling", context="", continuation=text)


def generating(context: str, *, seed: int | None = None, repeat: int = 0, **arguments: object) -> Request:
    return Request(kind="generate_until", context=context, generation=json.dumps(arguments), seed=seed, repeat=repeat)


def sentence(count: int, seed: int) -> str:
    drawn = random.Random(seed)
    return " ".join(drawn.choice(WORDS) for _ in range(count))


def context_of(tokenizer: PreTrainedTokenizerBase, tokens: int, seed: int = 0) -> str:
    """A text of exactly this many tokens."""
    text = WORDS[0]
    for word in itertools.islice(itertools.cycle(sentence(200, seed).split()), 1000):
        longer = f"{text} {word}"
        if len(tokenizer(longer).input_ids) > tokens:
            break
        text = longer
    while len(tokenizer(text).input_ids) < tokens:
        text += "!"
    assert len(tokenizer(text).input_ids) == tokens
    return text


def whole(text: str) -> str:
    """The text without an incomplete last character, which vLLM leaves out."""
    return text.rstrip("\N{REPLACEMENT CHARACTER}")


def mixed_requests() -> list[Request]:
    """Shared examples, letters, empty contexts, trailing spaces, other scripts, a special token, repeats."""
    examples = sentence(20, 1)
    requests = []
    for item in range(6):
        context = f"{examples}\n{sentence(4 + item, 10 + item)}"
        requests += [scoring(context, f" {sentence(1 + choice, 20 + choice)}") for choice in range(4)]
        requests += [scoring(context, letter) for letter in "ABCD"]
    requests += [scoring("", "a cat"), scoring("", "a"), scoring("", "<s>a cat"), scoring("<s>the mat", " sat")]
    requests += [scoring("the mat  ", "was red"), scoring("who \n", " knows"), scoring("漢字 🙂", " é漢 why")]
    return [*requests, requests[0], requests[5]]


def test_scores_and_greedy_flags_are_those_of_lm_evals_hf_model(engine: VllmEngine, reference: HFLM) -> None:
    assert_same_scores(engine, reference, mixed_requests())


def test_a_continuation_that_the_model_would_generate_is_greedy(engine: VllmEngine, reference: HFLM) -> None:
    contexts = [sentence(6, seed) for seed in range(24)]
    texts = reference.generate_until(
        instances([generating(context, until=[], max_gen_toks=1) for context in contexts]), disable_tqdm=True
    )
    requests = [scoring(context, text) for context, text in zip(contexts, texts, strict=True) if text]
    results = assert_same_scores(engine, reference, requests)
    assert any(answer.is_greedy for answer in results)


def test_rolling_scores_are_lm_evals_over_several_windows(engine: VllmEngine, reference: HFLM) -> None:
    requests = [rolling(sentence(count, count)) for count in (1, 30, 300)] + [rolling(sentence(300, 300) + " why")]
    expected = reference.loglikelihood_rolling(instances(requests), disable_tqdm=True)
    for answer, logprob in zip(good(engine, requests), expected, strict=True):
        assert answer.logprob == pytest.approx(logprob, abs=TOLERANCE * max(1, answer.tokens / 20), rel=0)
        assert answer.is_greedy is None


@pytest.mark.parametrize("tokens", [BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK])
def test_contexts_that_end_with_a_cache_block_are_scored_correctly(
    tokens: int, engine: VllmEngine, reference: HFLM, tokenizer: PreTrainedTokenizerBase
) -> None:
    context = context_of(tokenizer, tokens)
    assert_same_scores(engine, reference, [scoring(context, f" {sentence(3, seed)}") for seed in range(4)])


@pytest.mark.parametrize("tokens", [BLOCK - 6, BLOCK - 1, BLOCK])
def test_siblings_that_begin_with_the_same_tokens_are_scored_correctly(
    tokens: int, engine: VllmEngine, reference: HFLM, tokenizer: PreTrainedTokenizerBase
) -> None:
    context, alike = context_of(tokenizer, tokens), sentence(14, 3)
    ends = ["", " red", " red house", " dog", " dog ran", " why"]
    assert_same_scores(engine, reference, [scoring(context, f" {alike}{end}") for end in ends])


def test_repeated_requests_are_scored_correctly_within_a_call_and_in_the_next(
    engine: VllmEngine, reference: HFLM, tokenizer: PreTrainedTokenizerBase
) -> None:
    request = scoring(context_of(tokenizer, 2 * BLOCK), f" {sentence(12, 4)}")
    first = assert_same_scores(engine, reference, [request] * 3)
    assert good(engine, [request] * 2) == first[:2]


def test_tokens_that_only_another_context_computed_are_queried_again_with_the_cache_off(
    engine: VllmEngine, reference: HFLM, tokenizer: PreTrainedTokenizerBase
) -> None:
    context = context_of(tokenizer, BLOCK - 8)
    behind = sentence(20, 5).split()
    # The first request computes the block that the second's scored tokens begin in.
    requests = [
        scoring(context, " " + " ".join(behind)),
        scoring(f"{context} {behind[0]}", " " + " ".join([*behind[1:18], "why", "not"])),
    ]
    before = engine.repeated_queries
    assert_same_scores(engine, reference, requests)
    assert engine.repeated_queries > before


def test_the_order_of_requests_changes_no_bit_of_an_answer(engine: VllmEngine) -> None:
    requests = [*mixed_requests(), rolling(sentence(40, 6)), generating(sentence(5, 7), until=["\n"], max_gen_toks=6)]
    order = random.Random(0).sample(range(len(requests)), len(requests))
    shuffled = answers(engine, [requests[index] for index in order])
    assert [answers(engine, requests)[index] for index in order] == shuffled


def test_long_contexts_are_cut_on_the_left_as_lm_eval_cuts_them(
    engine: VllmEngine, reference: HFLM, tokenizer: PreTrainedTokenizerBase
) -> None:
    continuation = " sat on the mat"
    room = MAX_LENGTH + 1 - len(tokenizer(continuation).input_ids)  # the last token is predicted, never read
    lengths = (room - 1, room, room + 1, room + 50)
    requests = [scoring(context_of(tokenizer, length), continuation) for length in lengths]
    results = assert_same_scores(engine, reference, requests)
    assert [answer.cut_tokens for answer in results] == [max(0, length - room) for length in lengths]


def test_a_continuation_that_does_not_fit_is_a_failure_and_no_score(engine: VllmEngine) -> None:
    too_long, empty, fine = answers(engine, [scoring("a", " cat" * 200), scoring("a", ""), scoring("a", " cat")])
    assert isinstance(too_long, Failure)
    assert too_long.reason == "too_long"
    assert isinstance(empty, Failure)
    assert empty.reason == "empty"
    assert isinstance(fine, Answer)


def test_more_first_tokens_than_vllm_takes_at_once_are_scored_correctly(
    engine: VllmEngine, reference: HFLM, tokenizer: PreTrainedTokenizerBase
) -> None:
    single = [chr(code) for code in range(161, 600) if len(tokenizer(chr(code)).input_ids) <= 2][:200]
    assert_same_scores(engine, reference, [scoring("the cat", text) for text in single])


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


def test_batches_come_as_they_are_done(engine: VllmEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BATCH_TOKENS, "cpu", 64)
    assert len(list(engine.answer(mixed_requests()))) > 2


def test_the_next_batch_is_sent_before_the_answers_to_the_last_are_read(
    engine: VllmEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(BATCH_TOKENS, "cpu", 64)
    monkeypatch.setitem(BATCH_PROMPTS, "cpu", 2)
    for requests in (mixed_requests(), [generating(sentence(4, n), max_gen_toks=2) for n in range(6)]):
        unanswered = [engine._engines._workers[0]._unanswered for _ in engine.answer(requests)]
        assert unanswered == [*[1] * (len(unanswered) - 1), 0]
        assert len(unanswered) > 2


@pytest.mark.parametrize(
    ("tokens", "ends", "queries"),
    [
        (BLOCK + 3, ["the cat sat", "a dog ran", "who knows why"], 3),  # one each: the context needs none
        (BLOCK + 3, ["A", "B", "C"], 1),
        (BLOCK + 3, ["the cat sat", "a dog ran", "A"], 3),  # the context, for A, and one for each of the others
        (2 * BLOCK, ["the cat sat", "a dog ran", "who knows why"], 4),  # the cache may hold the context's last token
    ],
)
def test_a_context_takes_as_few_queries_as_its_continuations_need(
    tokens: int, ends: list[str], queries: int, engine: VllmEngine, reference: HFLM, tokenizer: PreTrainedTokenizerBase
) -> None:
    context = context_of(tokenizer, tokens, seed=tokens)
    requests = [scoring(context, end if len(end) == 1 else f" {end}") for end in ends]
    before, again = engine.queries, engine.repeated_queries
    assert_same_scores(engine, reference, requests)
    assert (engine.queries - before, engine.repeated_queries - again) == (queries, 0)


def test_adapters_share_one_loaded_base_and_score_as_in_lm_eval(model: Path, tmp_path: Path) -> None:
    folders = [save_tiny_adapter(tmp_path / name, model) for name in ("one", "broken")]
    tiny_tokenizer().save_pretrained(folders[1])  # as trainers do
    broken = folders[1] / "adapter_model.safetensors"
    save_file({name: torch.full_like(weight, torch.nan) for name, weight in load_file(broken).items()}, broken)
    first, second = (open_tiny(folder) for folder in folders)
    try:
        assert process_of(first) == process_of(second)
        requests = mixed_requests()[:12]
        plain = open_hflm(model).loglikelihood(instances(requests), disable_tqdm=True)
        results = assert_same_scores(first, open_hflm(model, peft=str(folders[0])), requests)
        assert any(
            abs((answer.logprob or 0) - logprob) > 0.1 for answer, (logprob, _) in zip(results, plain, strict=True)
        )
        for answer in answers(second, requests):  # NaN is a failure, not a score
            assert isinstance(answer, Failure)
            assert answer.reason == "not_finite"
        first.close()
        assert answers(second, requests[:1])
    finally:
        second.close()
        first.close()


def test_several_adapters_load_their_base_once_and_an_abandoned_engine_is_not_kept(model: Path, tmp_path: Path) -> None:
    folders = [save_tiny_adapter(tmp_path / name, model) for name in ("one", "two")]
    with POOL.keep_open():
        first = open_tiny(folders[0])
        process = process_of(first)
        good(first, mixed_requests()[:2])
        first.close()
        second = open_tiny(folders[1])
        assert process_of(second) == process
        next(iter(second.answer(mixed_requests())))
        second.close()
        # Nobody can say what an engine does that was left before it had answered all.
        wait_until(lambda: not running(process), "the engine that was left has ended")
        third = open_tiny(folders[0])
        process = process_of(third)
        third.close()
        assert running(process)
    wait_until(lambda: not running(process), "the engine that was kept has ended")


def test_engines_side_by_side_agree_with_a_single_one_and_leave_no_process_behind(
    model: Path, engine: VllmEngine
) -> None:
    both = open_tiny(model, model_args={"data_parallel_size": 2})
    processes = [worker._process.pid for worker in both._engines._workers]
    try:
        assert len(processes) == both.description["engines"] == 2
        requests = [*mixed_requests(), *(generating(sentence(4, n), max_gen_toks=5) for n in range(3))]
        for one, other in zip(good(engine, requests), good(both, requests), strict=True):
            assert one.text == other.text
            assert abs((one.logprob or 0) - (other.logprob or 0)) < TOLERANCE
        os.kill(processes[1], signal.SIGKILL)
        with pytest.raises(EngineDied):
            answers(both, requests)
    finally:
        both.close()
    wait_until(lambda: not any(map(running, processes)), "both engines have ended")


def test_the_engine_starts_without_flashinfer_and_looks_for_no_network(engine: VllmEngine) -> None:
    """vLLM's CUDA build imports flashinfer, which is not installed in CI."""
    variables = Path(f"/proc/{process_of(engine)}/environ").read_bytes().split(b"\0")
    assert b"VLLM_HOST_IP=127.0.0.1" in variables
    assert (b"VLLM_USE_FLASHINFER_SAMPLER=0" in variables) == (find_spec("flashinfer") is None)


@pytest.mark.slow  # three starts; test_client.py is its reduced twin
def test_the_reason_for_a_failed_start_in_vllms_own_child_is_shown(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(model, tmp_path / "broken")
    weights = tmp_path / "broken" / "model.safetensors"
    tensors = load_file(weights)
    del tensors["model.norm.weight"]
    save_file({**tensors, "model.own.weight": torch.zeros(1)}, weights, metadata={"format": "pt"})
    monkeypatch.setenv("VLLM_ENABLE_V1_MULTIPROCESSING", "1")  # as on CUDA
    with pytest.raises((EngineError, InputError), match="own"):
        open_tiny(tmp_path / "broken")


def process_of(engine: VllmEngine) -> int:
    return engine._engines._workers[0]._process.pid


INTERRUPTED = """
import sys
from harness.checkpoints import resolve
from harness.engines.registry import EngineSpec
from harness.engines.base import Request
from harness.engines.vllm.engine import open_vllm

spec = EngineSpec(backend="vllm", dtype="float32", model_args={"kv_cache_memory_bytes": 2**26})
engine = open_vllm(resolve(sys.argv[1]), spec)
arguments = '{"max_gen_toks": 16}'
requests = [Request(kind="generate_until", context=f"a cat {n}", generation=arguments) for n in range(10_000)]
print(engine._engines._workers[0]._process.pid, flush=True)
for batch in engine.answer(requests):
    sys.stderr.write("a batch\\n")
"""


def test_ctrl_c_ends_everything_and_standard_output_is_clean(model: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("w") as file:
        command = [sys.executable, "-c", INTERRUPTED, str(model)]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=file, text=True)
    assert process.stdout
    worker = int(process.stdout.readline())
    wait_until(lambda: "a batch\n" in log.read_text(), "the engine has answered a batch", process=process)
    assert running(worker)
    process.send_signal(signal.SIGINT)
    process.wait(timeout=CEILING_SECONDS)
    # Where the signal falls between two batches, nothing closes the engine: it ends by itself when its parent is gone.
    wait_until(lambda: not running(worker), "the engine's process has ended")
    assert process.stdout.read() == ""
    assert "KeyboardInterrupt" in log.read_text().splitlines()
    assert log.read_text().count("a batch\n") < 100, "it did not go on to the last of 157 batches"


def workers_that_load(process: int) -> list[int]:
    """The children of `process` that hold an engine and have loaded torch, so that they are on their way to vLLM."""
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(process)], capture_output=True, text=True, check=False)
    children = [int(line) for line in listed.stdout.split()]
    with contextlib.suppress(OSError):  # a child of another kind may end meanwhile
        return [
            child
            for child in children
            if b"harness.engines.vllm.worker" in Path(f"/proc/{child}/cmdline").read_bytes()
            and "libtorch" in Path(f"/proc/{child}/maps").read_text()
        ]
    return []


def test_an_engine_ends_when_the_process_that_opens_it_is_killed(model: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, str(model)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    wait_until(lambda: workers_that_load(process.pid), "the engine is being loaded", process=process)
    workers = workers_that_load(process.pid)
    assert len(workers) == 1
    assert running(workers[0])
    process.kill()
    process.wait()
    wait_until(lambda: not running(workers[0]), "the engine's process has ended like its parent")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"model_args": {"gpu_memory_utilisation": 0.5}}, "gpu_memory_utilization"),
        ({"model_args": {"dtype": "float16"}}, "--dtype"),
        ({"model_args": {"tensor_parallel_size": 0}}, "positive"),
        ({"model_args": {"max_model_len": 64}, "max_length": 64}, "give one"),
        ({"device": "cuda"}, "built for the CPU"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_wrong_arguments_are_errors_with_a_remedy(model: Path, fields: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        open_tiny(model, **fields)


def test_bfloat16_is_as_close_to_float32_as_lm_evals(smollm2: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS")
    requests = [scoring(row["query"], f" {choice}") for row in openbookqa(6) for choice in row["choices"]]
    assert len(requests) == 24
    exact = open_hflm(smollm2).loglikelihood(instances(requests), disable_tqdm=True)
    theirs = open_hflm(smollm2, dtype="bfloat16").loglikelihood(instances(requests), disable_tqdm=True)
    opened = open_vllm(
        resolve(str(smollm2)), EngineSpec(backend="vllm", dtype="bfloat16", max_length=256, model_args=SMALL)
    )
    try:
        ours = good(opened, requests)
    finally:
        opened.close()

    def distance(logprobs: Sequence[float]) -> float:
        pairs = zip(logprobs, exact, strict=True)
        return float(sum(abs(logprob - right) for logprob, (right, _) in pairs) / len(exact))

    assert distance([answer.logprob or 0 for answer in ours]) <= 1.5 * distance([logprob for logprob, _ in theirs])


def test_tied_tokens_are_greedy_when_generation_would_take_them(model: Path, tmp_path: Path) -> None:
    """Two rows of the head are equal, so that two tokens always have the same score; generation takes the first."""
    llama: Any = LlamaForCausalLM.from_pretrained(model)
    tokenizer = AutoTokenizer.from_pretrained(model)
    contexts = [sentence(5, seed) for seed in range(24)]
    best = [_greedy(llama, tokenizer(context).input_ids, 3) for context in contexts]
    rows = llama.lm_head.weight.data
    # 64 rows apart, so that matrix products compute both in the same way and the scores are equal in every bit.
    usable = [tokens[1] for tokens in best if tokens[1] + 64 < len(rows) // 64 * 64]
    twin = max(set(usable), key=usable.count)
    other = twin + 64
    rows[other] = rows[twin]
    llama.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    engine = open_tiny(tmp_path)
    queries = [
        (tuple(tokenizer(context).input_ids), tuple(tokens)) for context, tokens in zip(contexts, best, strict=True)
    ]
    queries += [(context, tuple(other if token == twin else token for token in tokens)) for context, tokens in queries]
    groups = group_by_context(queries, most_tokens=10_000)
    try:
        ((scores, _),) = engine._engines.score([groups], None)
    finally:
        engine.close()
    expected = [[tuple(_greedy(llama, group.context, 3)) == each for each in group.continuations] for group in groups]
    assert [[isinstance(score, Scored) and score.is_greedy for score in own] for own in scores] == expected
    greedy = [
        each
        for group, own in zip(groups, expected, strict=True)
        for each, flag in zip(group.continuations, own, strict=True)
        if flag
    ]
    assert len(greedy) >= len(contexts) // 2
    assert any(twin in each[:2] for each in greedy), "some flags are decided by a tie before the last token"


def _greedy(model: Any, context: Sequence[int], count: int) -> list[int]:
    """The tokens that generation takes: each time the first of the most likely ones."""
    tokens = list(context)
    for _ in range(count):
        tokens.append(int(model(torch.tensor([tokens])).logits[0, -1].argmax()))
    return tokens[len(context) :]
