"""The processes of the `vllm` engine: shared between adapters, side by side, failed, interrupted and killed."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from harness.engines.base import EngineDied, Failure
from harness.engines.engine_pool import POOL
from harness.engines.vllm.engine import VllmEngine
from harness.errors import EngineError, InputError
from tests.engines.hf.reference import instances, open_hflm
from tests.engines.vllm.tiny import (
    TOLERANCE,
    answers,
    assert_same_scores,
    generating,
    good,
    mixed_requests,
    open_tiny,
    sentence,
)
from tests.models import save_tiny_adapter, tiny_tokenizer
from tests.waiting import CEILING_SECONDS, running, wait_until

pytestmark = pytest.mark.usefixtures("one_thread")
ROOT = Path(__file__).resolve().parents[3]


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
