"""The systems that benchmarks compare, each in a process of its own: this harness and lm-eval.

The names of sides are ``harness hf``, ``harness vllm``, ``lm-eval hf, batch 8`` and ``lm-eval vllm``. A request is a
line of JSON and so is its reply; everything else that a side prints goes to standard error.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from harness.engines.vllm.client import ENVIRONMENT as VLLM_ENVIRONMENT

# Environment of both sides: the variables that this harness sets for vLLM, without which lm-eval's vLLM may fail to
# start. On the CPU, vLLM's engine runs in the side's own process, with this many GiB of cache.
ENVIRONMENT = {
    **VLLM_ENVIRONMENT,
    "VLLM_CPU_KVCACHE_SPACE": "2",
    **({} if Path("/dev/nvidiactl").exists() else {"VLLM_ENABLE_V1_MULTIPROCESSING": "0"}),
}
LM_EVAL_BATCH = 8
# A context and a continuation, or a prompt and generation arguments.
Pair = tuple[str, Any]
# One function that answers requests of a kind, and one that closes the engine.
Answering = tuple[Callable[[str, list[Pair]], list[Any]], Callable[[], None]]


class Side:
    """One system on one model, in a process of its own.

    Args:
        name: See above.
        model: A transformers folder.
        dtype: ``float32``, ``bfloat16`` or ``float16``.
        max_length: In tokens; None means the model's own.
        deadline: Time of `time.monotonic` at which the process ends, whatever it does; None means never.
    """

    def __init__(
        self, name: str, model: Path, *, dtype: str, max_length: int | None = None, deadline: float | None = None
    ) -> None:
        self.name = name
        self._deadline = deadline
        words = {"name": name, "model": str(model), "dtype": dtype, "max_length": max_length}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.sides", json.dumps(words)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**ENVIRONMENT, **os.environ},
        )

    def ask(self, kind: str, pairs: Sequence[Pair], *, count: bool = False) -> dict[str, Any]:
        """Answer ``loglikelihood`` or ``generate_until`` requests.

        Returns:
            ``answers``, ``seconds``, ``busy_seconds`` (of the processor), ``peak_bytes``, ``device_bytes``,
            ``threads``; with `count`, which works only for engines in the side's own process, also ``operations`` and
            ``product_rate``.

        Raises:
            RuntimeError: The process ended, by itself or at the deadline.
        """
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps({"kind": kind, "pairs": pairs, "count": count}) + "\n")
        self._process.stdin.flush()
        with self._ending_at_the_deadline():
            line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} ended; its log is on standard error")
        reply: dict[str, Any] = json.loads(line)
        return reply

    @contextlib.contextmanager
    def _ending_at_the_deadline(self) -> Iterator[None]:
        if self._deadline is None:
            yield
            return
        timer = threading.Timer(max(0.0, self._deadline - time.monotonic()), self._process.kill)
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin
        with contextlib.suppress(BrokenPipeError):  # it has ended
            self._process.stdin.close()
        self._process.wait(timeout=60)


def serve(name: str, model: str, dtype: str, max_length: int | None) -> None:
    """Be a side."""
    import torch

    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    who, backend = name.partition(",")[0].split()
    if who == "harness":
        answer, close = _harness(backend, model, dtype, max_length)
    else:
        answer, close = _lm_eval(backend, model, dtype, max_length, batch_size=int(name.partition("batch ")[2] or 0))
    for line in sys.stdin:
        request = json.loads(line)
        kind, pairs = request["kind"], [tuple(pair) for pair in request["pairs"]]
        reply: dict[str, Any] = {}
        if request["count"]:
            reply |= {"operations": _operations(answer, kind, pairs), "product_rate": _product_rate(model, dtype)}
        start, busy = time.perf_counter(), _busy_seconds()
        reply["answers"] = answer(kind, pairs)
        reply["seconds"], reply["busy_seconds"] = time.perf_counter() - start, _busy_seconds() - busy
        reply |= {"threads": torch.get_num_threads(), "peak_bytes": _peak_bytes(), "device_bytes": _device_bytes()}
        print(json.dumps(reply), file=out, flush=True)
    close()


def _harness(backend: str, model: str, dtype: str, max_length: int | None) -> Answering:
    from harness.checkpoints.resolver import resolve
    from harness.engines.base import Answer, Request
    from harness.engines.registry import open_engine
    from harness.engines.spec import EngineSpec

    engine = open_engine(resolve(model), EngineSpec(backend=backend, dtype=dtype, max_length=max_length))

    def answer(kind: str, pairs: list[Pair]) -> list[Any]:
        requests = [
            Request(kind="loglikelihood", context=context, continuation=second)
            if kind == "loglikelihood"
            else Request(kind="generate_until", context=context, generation=json.dumps(second))
            for context, second in pairs
        ]
        by_index = dict(pair for batch in engine.answer(requests) for pair in batch)
        answers = [own for _, own in sorted(by_index.items()) if isinstance(own, Answer)]
        assert len(answers) == len(requests), "a request failed"
        return [own.text if own.logprob is None else own.logprob for own in answers]

    return answer, engine.close


def _lm_eval(backend: str, model: str, dtype: str, max_length: int | None, *, batch_size: int) -> Answering:
    import torch
    from lm_eval.api.instance import Instance

    if backend == "vllm":
        _name_vllm_as_lm_eval_expects()
    from lm_eval.api.registry import get_model

    from harness.engines.lm_eval import without_bar

    on_gpu = torch.cuda.is_available()
    own: dict[str, Any] = {"batch_size": batch_size or LM_EVAL_BATCH, "device": "cuda" if on_gpu else "cpu"}
    if backend == "vllm":
        # On the CPU neither side compiles: it takes longer than the benchmark.
        own = {"batch_size": "auto", **({} if on_gpu else {"enforce_eager": True})}
    if max_length is not None:
        own["max_model_len" if backend == "vllm" else "max_length"] = max_length
    lm = get_model(backend)(pretrained=model, dtype=dtype, **own)
    without_bar(lm)

    def answer(kind: str, pairs: list[Pair]) -> list[Any]:
        instances = [Instance(request_type=kind, doc={}, arguments=pair, idx=0) for pair in pairs]
        responses = getattr(lm, kind)(instances, disable_tqdm=True)
        return [text if isinstance(text, str) else float(text[0]) for text in responses]

    return answer, lambda: None


def _name_vllm_as_lm_eval_expects() -> None:
    """Give the CPU build the distribution name ``vllm``, whose version lm-eval looks up."""
    try:
        version("vllm")
    except PackageNotFoundError:
        # vLLM itself reads the device that it is built for from the local part of the version.
        built = f"{version('vllm-cpu')}+cpu"
        folder = Path(tempfile.mkdtemp())
        info = folder / f"vllm-{built}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {built}\n")
        sys.path.append(str(folder))


def _operations(answer: Callable[[str, list[Pair]], list[Any]], kind: str, pairs: list[Pair]) -> int:
    """Count the operations of matrix products while `pairs` are answered; torch's attention kernels are left out."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    def onednn_operations(states: Sequence[int], weight: Sequence[int], *_: Any, **__: Any) -> int:
        """Operations of oneDNN's product of [..., inputs] and [outputs, inputs], which the counter does not know."""
        return 2 * math.prod(states) * weight[0]

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # everything is then computed in this thread, the only one that the counter sees
    known = {torch.ops.mkldnn._linear_pointwise: onednn_operations}  # noqa: SLF001 - see `hf/onednn.py`
    with FlopCounterMode(display=False, custom_mapping=known) as counter:
        answer(kind, pairs)
    torch.set_num_threads(threads)
    operations: int = counter.get_total_flops()
    return operations


def _product_rate(model: str, dtype: str) -> float:
    """Operations per second of the model's own matrix products of 1,024 rows, with oneDNN where `hf` uses it."""
    import torch
    from transformers import AutoConfig

    from harness.engines.hf.half_precision import half_products_are_slow
    from harness.engines.hf.onednn import OneDnnLinear, is_faster

    config = AutoConfig.from_pretrained(model).get_text_config()
    own = getattr(torch, dtype)
    wide = torch.float32 if half_products_are_slow(own, torch.device("cpu")) else own
    hidden, inner = config.hidden_size, config.intermediate_size
    shapes = [(hidden, hidden), (hidden, inner), (inner, hidden)]
    layers = [torch.nn.Linear(a, b, bias=False, dtype=wide).requires_grad_(requires_grad=False) for a, b in shapes]
    if is_faster(wide):
        layers = [OneDnnLinear(layer, reordered=True) for layer in layers]
    rows = [torch.rand(1024, a, dtype=wide) for a, _ in shapes]
    times = []
    for _ in range(20):
        start = time.perf_counter()
        for layer, states in zip(layers, rows, strict=True):
            layer(states)
        times.append(time.perf_counter() - start)
    operations: int = sum(2 * 1024 * a * b for a, b in shapes)
    return operations / min(times)


def _processes() -> set[int]:
    """Process numbers of this process and its descendants."""
    parents: dict[int, int] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):  # it ended meanwhile
                parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
    mine = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in mine} - mine:
        mine |= more
    return mine


def _busy_seconds() -> float:
    """Processor time of this process and its descendants; words 14 and 15 of ``stat`` are ticks (proc(5))."""
    ticks = 0
    for pid in _processes():
        with contextlib.suppress(OSError):  # it ended meanwhile
            words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(words[11]) + int(words[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _peak_bytes() -> int:
    """Sum of the peak memory of this process and each of its descendants."""
    return sum(_high_water(pid) for pid in _processes())


def _high_water(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def _device_bytes() -> int:
    """Memory of the GPU that is in use by all processes; 0 without a GPU."""
    import torch

    if not torch.cuda.is_available():
        return 0
    free, total = torch.cuda.mem_get_info()
    return total - free


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Started by the benchmarks.")
    parser.add_argument("words", type=json.loads)
    serve(**parser.parse_args().words)
