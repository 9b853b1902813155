"""Multiple-choice scoring on vLLM: this harness beside lm-eval's `vllm` model, same requests, same precision, one run.

Each side lives in a process of its own and they take turns, so that a busy machine is busy for both. The time is that
of answering, tokenization included, model loading not; median of the rounds after a warm-up.

    python -m benchmarks.scoring_vllm --model FOLDER --data DIR [--dtype bfloat16] [--items 40] [--rounds 3]

DIR holds ``agieval/logiqa-en.jsonl``: a passage, a question and four answers spelled out. Three settings: no examples,
five examples drawn for each item, the same five for all.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results" / "scoring.jsonl"
SETTINGS = ("0-shot", "5-shot, own examples", "5-shot, shared examples")
TRAIN_ROWS = 50
# The same for both: on the CPU, vLLM's engine in the side's own process with so many GiB of cache.
ENVIRONMENT = {
    "VLLM_CPU_KVCACHE_SPACE": "2",
    "VLLM_LOGGING_LEVEL": "ERROR",
    **({} if Path("/dev/nvidiactl").exists() else {"VLLM_ENABLE_V1_MULTIPROCESSING": "0"}),
}
# A context and a continuation, or a prompt and generation arguments.
Pair = tuple[str, Any]


class Side:
    """One system in a process of its own.

    Args:
        name: ``harness hf``, ``harness vllm``, ``lm-eval hf`` or ``lm-eval vllm``.
        model: A transformers folder.
        dtype: ``float32``, ``bfloat16`` or ``float16``.
        max_length: In tokens.
    """

    def __init__(self, name: str, model: Path, *, dtype: str, max_length: int) -> None:
        self.name = name
        words = {"name": name, "model": str(model), "dtype": dtype, "max_length": max_length}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.scoring_vllm", "--serve", json.dumps(words)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**ENVIRONMENT, **os.environ},
        )

    def ask(self, kind: str, pairs: Sequence[Pair]) -> dict[str, Any]:
        """Answer ``loglikelihood`` or ``generate_until`` requests; returns seconds, answers and peak memory."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps({"kind": kind, "pairs": pairs}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} ended; its log is on standard error")
        said: dict[str, Any] = json.loads(line)
        return said

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(timeout=60)


def serve(words: dict[str, Any]) -> None:
    """Be a side: a line of JSON in, a line of JSON out. Everything else that is printed goes to standard error."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    side, kind = words.pop("name").split()
    answer, close = (_harness if side == "harness" else _lm_eval)(kind, **words)
    for line in sys.stdin:
        asked = json.loads(line)
        start = time.perf_counter()
        answers = answer(asked["kind"], [tuple(pair) for pair in asked["pairs"]])
        seconds = time.perf_counter() - start
        said = {"seconds": seconds, "answers": answers, "peak_bytes": _peak_bytes(), "device_bytes": _device_bytes()}
        print(json.dumps(said), file=out, flush=True)
    close()


# Answers requests of a kind; closes.
Answering = tuple[Callable[[str, list[Pair]], list[Any]], Callable[[], None]]


def _harness(kind: str, *, model: str, dtype: str, max_length: int) -> Answering:
    from harness.checkpoints import resolve
    from harness.scorers import EngineSpec, open_scorer
    from harness.scorers.base import Answer, Request

    scorer = open_scorer(resolve(model), EngineSpec(backend=kind, dtype=dtype, max_length=max_length))

    def answer(request_kind: str, pairs: list[Pair]) -> list[Any]:
        requests = [
            Request(kind="loglikelihood", context=context, continuation=second)
            if request_kind == "loglikelihood"
            else Request(kind="generate_until", context=context, generation=json.dumps(second))
            for context, second in pairs
        ]
        found = dict(pair for batch in scorer.answer(requests) for pair in batch)
        answers = [found[index] for index in range(len(requests))]
        assert all(isinstance(said, Answer) for said in answers), "a request failed"
        return [said.text if said.logprob is None else said.logprob for said in answers if isinstance(said, Answer)]

    return answer, scorer.close


def _lm_eval(kind: str, *, model: str, dtype: str, max_length: int) -> Answering:
    import torch
    from lm_eval.api.instance import Instance

    if kind == "vllm":
        _name_vllm_as_lm_eval_expects()
    from lm_eval.api.registry import get_model

    on_gpu = torch.cuda.is_available()
    own: dict[str, Any] = {"batch_size": 8, "max_length": max_length, "device": "cuda" if on_gpu else "cpu"}
    if kind == "vllm":
        # On the CPU neither side compiles: it takes longer than the benchmark.
        own = {"batch_size": "auto", "max_model_len": max_length, **({} if on_gpu else {"enforce_eager": True})}
    lm = get_model(kind)(pretrained=model, dtype=dtype, **own)

    def answer(request_kind: str, pairs: list[Pair]) -> list[Any]:
        instances = [Instance(request_type=request_kind, doc={}, arguments=pair, idx=0) for pair in pairs]
        said = getattr(lm, request_kind)(instances, disable_tqdm=True)
        return [text if isinstance(text, str) else text[0] for text in said]

    return answer, lambda: None


def _name_vllm_as_lm_eval_expects() -> None:
    """lm-eval asks for the version of a distribution called vllm, which the CPU build is not."""
    try:
        version("vllm")
    except PackageNotFoundError:
        # vLLM itself takes the local part of the version for the device it is built for.
        built = f"{version('vllm-cpu')}+cpu"
        folder = Path(tempfile.mkdtemp())
        info = folder / f"vllm-{built}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {built}\n")
        sys.path.append(str(folder))


def _peak_bytes() -> int:
    """Largest sum of what this process and its children held."""
    processes = subprocess.run(["ps", "-e", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    parents = {int(pid): int(parent) for pid, parent in (line.split() for line in processes.splitlines())}
    mine = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in mine} - mine:
        mine |= more
    return sum(_high_water(pid) for pid in mine)


def _device_bytes() -> int:
    """What is taken of the GPU by everyone; 0 without one."""
    import torch

    if not torch.cuda.is_available():
        return 0
    free, total = torch.cuda.mem_get_info()
    return total - free


def _high_water(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def choices(data: Path, setting: str, items: int) -> list[Pair]:
    """The requests of a setting: four a item."""
    lines = (data / "agieval" / "logiqa-en.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines[: TRAIN_ROWS + items]]
    train, test = rows[:TRAIN_ROWS], rows[TRAIN_ROWS:]
    drawn = random.Random(1)
    pairs: list[Pair] = []
    for row in test:
        examples = {SETTINGS[0]: [], SETTINGS[1]: drawn.sample(train, 5), SETTINGS[2]: train[:5]}[setting]
        shown = "".join(f"{_question(row)} {row['options']['ABCD'.index(row['label'])]}\n\n" for row in examples)
        pairs += [(shown + _question(row), f" {option}") for option in row["options"]]
    return pairs


def _question(row: dict[str, Any]) -> str:
    return f"Passage: {row['passage']}\nQuestion: {row['question']}\nAnswer:"


def compare(ours: Side, theirs: Side, kind: str, pairs: Sequence[Pair], rounds: int) -> dict[str, Any]:
    """Time both sides, in turns; returns the figures of a row."""
    for side in (ours, theirs):
        side.ask(kind, pairs[:8])  # the warm-up
    taken: dict[str, list[dict[str, Any]]] = {ours.name: [], theirs.name: []}
    for _ in range(rounds):
        for side in (ours, theirs):
            taken[side.name].append(side.ask(kind, pairs))
    seconds = {name: statistics.median(said["seconds"] for said in runs) for name, runs in taken.items()}
    mine, other = taken[ours.name], taken[theirs.name]
    return {
        "requests": len(pairs),
        **timing(len(pairs), seconds[ours.name], seconds[theirs.name]),
        **agreement(kind, mine[-1]["answers"], other[-1]["answers"]),
        "ours_peak_gib": round(max(said["peak_bytes"] for said in mine) / 2**30, 2),
        "theirs_peak_gib": round(max(said["peak_bytes"] for said in other) / 2**30, 2),
    }


def timing(requests: int, ours: float, theirs: float) -> dict[str, float]:
    """Seconds, rates and their ratio; above 1 this harness is faster."""
    return {
        "ours_seconds": round(ours, 3),
        "theirs_seconds": round(theirs, 3),
        "ours_requests_per_second": round(requests / ours, 2),
        "theirs_requests_per_second": round(requests / theirs, 2),
        "ratio": round(theirs / ours, 2),
    }


def agreement(kind: str, ours: Sequence[Any], theirs: Sequence[Any]) -> dict[str, float]:
    """How far scores are apart, in nats a continuation; or the share of equal texts."""
    if kind == "loglikelihood":
        apart = [abs(one - two) for one, two in zip(ours, theirs, strict=True)]
        largest, mean = round(max(apart), 5), round(statistics.mean(apart), 5)
        return {"largest_difference_nats": largest, "mean_difference_nats": mean}
    return {"same_texts": round(statistics.mean(one == two for one, two in zip(ours, theirs, strict=True)), 4)}


def surroundings() -> dict[str, Any]:
    """Device, versions and date of a row."""
    import torch

    device = torch.cuda.get_device_name() if torch.cuda.is_available() else _processor()
    packages = {}
    for name in ("torch", "transformers", "vllm", "vllm-cpu", "lm_eval"):
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            continue
    return {
        "device": device,
        "cores": os.cpu_count(),
        "versions": packages,
        "date": datetime.now(UTC).date().isoformat(),
    }


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    flags = next((line for line in lines if line.startswith("flags")), "")
    widest = next((flag for flag in ("amx_bf16", "avx512_bf16", "avx512f", "avx2") if flag in flags), "")
    return f"{names[0] if names else platform.machine()} {widest}".strip()


def record(row: dict[str, Any], path: Path = RESULTS) -> None:
    """Print a row and keep it."""
    path.parent.mkdir(exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
    print(json.dumps(row, indent=2))


def main() -> None:
    """Run the settings and keep the rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--serve", type=json.loads, help=argparse.SUPPRESS)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--data", type=Path, default=os.environ.get("HARNESS_DATA"))
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--items", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--max_length", type=int, default=2048)
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=SETTINGS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve)
        return
    sides = [
        Side(name, options.model, dtype=options.dtype, max_length=options.max_length)
        for name in ("harness vllm", "lm-eval vllm")
    ]
    for setting in options.settings:
        pairs = choices(Path(options.data), setting, options.items)
        figures = compare(sides[0], sides[1], "loglikelihood", pairs, options.rounds)
        row = {"benchmark": "scoring", "ours": "harness vllm", "theirs": "lm-eval vllm", "setting": setting}
        what = {"model": options.model.name, "dtype": options.dtype, "items": options.items}
        record({**row, **what, **figures, "rounds": options.rounds, **surroundings()})
    for side in sides:
        side.close()


if __name__ == "__main__":
    main()
