"""Multiple-choice scoring on transformers: this harness beside lm-eval's `hf` model, same requests, same precision.

    python -m benchmarks.scoring [--model FOLDER] [--data DIR] [--dtype float32 bfloat16] [--items 40]
                                 [--settings "0-shot" "5-shot, own examples" "5-shot, shared examples"] [--rounds 3]
    python -m benchmarks.scoring [--model FOLDER] [--data DIR] --precision [--items 10]

DIR (HARNESS_DATA) holds ``agieval/logiqa-en.jsonl``; the model is the reference model unless another is named.
Each side lives in a process of its own, all are warmed up, and they take turns, so that a busy machine is busy for
all; the time of a side is the median of its rounds, tokenization included, loading the model not. lm-eval runs on with
the batch size that was faster in the first round. Each row also says how many floating-point operations a second our
forward passes reached and what a matrix product of the model's own shapes reaches beside them.

``--precision`` asks how far bfloat16 is from float32, on either side, instead of how fast.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.scoring_vllm import SETTINGS, Pair, agreement, record, surroundings, timing
from experiments.reference_model import reference_model
from harness.checkpoints import resolve

# Rows whose contexts have 140 tokens in the mean with SmolLM2's tokenizer; the examples are from elsewhere.
TEST_ROWS, TRAIN_ROWS = slice(10, 50), slice(450, 500)
OURS, THEIRS = "harness hf", ("lm-eval hf, batch 1", "lm-eval hf, batch 8")
Answering = Callable[[list[Pair]], list[float]]


def requests(data: Path, setting: str, items: int) -> list[Pair]:
    """Four requests an item: a passage and a question, and each answer spelled out."""
    lines = (data / "agieval" / "logiqa-en.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    test, train = rows[TEST_ROWS][:items], rows[TRAIN_ROWS]
    drawn = random.Random(1)
    pairs: list[Pair] = []
    for row in test:
        examples = {SETTINGS[0]: [], SETTINGS[1]: drawn.sample(train, 5), SETTINGS[2]: train[:5]}[setting]
        shown = "".join(f"{_question(row)} {row['options']['ABCD'.index(row['label'])]}\n\n" for row in examples)
        pairs += [(shown + _question(row), f" {option}") for option in row["options"]]
    return pairs


def _question(row: dict[str, Any]) -> str:
    return f"Passage: {row['passage']}\nQuestion: {row['question']}\nAnswer:"


class Side:
    """One system on one model, in a process of its own."""

    def __init__(self, name: str, model: Path, dtype: str) -> None:
        self.name = name
        words = json.dumps({"name": name, "model": str(model), "dtype": dtype})
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.scoring", "--serve", words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, pairs: Sequence[Pair], *, count: bool = False) -> dict[str, Any]:
        """Score `pairs`; returns seconds, processor seconds, scores and peak memory; with `count` operations too."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps({"pairs": pairs, "count": count}) + "\n")
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


def serve(name: str, model: str, dtype: str) -> None:
    """Be a side: a line of JSON in, a line of JSON out. Everything else that is printed goes to standard error."""
    import torch

    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    answer = _harness(model, dtype) if name == OURS else _lm_eval(model, dtype, int(name.split()[-1]))
    for line in sys.stdin:
        asked = json.loads(line)
        pairs = [(context, continuation) for context, continuation in asked["pairs"]]
        said: dict[str, Any] = {}
        if asked["count"]:
            said |= {"operations": _operations(answer, pairs), "product_rate": _product_rate(model, dtype)}
        start, busy = time.perf_counter(), time.process_time()
        said["scores"] = answer(pairs)
        said["seconds"], said["busy_seconds"] = time.perf_counter() - start, time.process_time() - busy
        said["threads"] = torch.get_num_threads()
        said["peak_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        print(json.dumps(said), file=out, flush=True)


def _harness(model: str, dtype: str) -> Answering:
    from harness.scorers.base import Answer, Request
    from harness.scorers.packed import PackedScorer, PackedSpec

    scorer = PackedScorer(PackedSpec(path=model, dtype=dtype))

    def answer(pairs: list[Pair]) -> list[float]:
        asked = [Request(kind="loglikelihood", context=context, continuation=after) for context, after in pairs]
        found = dict(pair for batch in scorer.answer(asked) for pair in batch)
        scores = [said.logprob for _, said in sorted(found.items()) if isinstance(said, Answer)]
        assert len(scores) == len(pairs), "a request failed"
        return [score for score in scores if score is not None]

    return answer


def _lm_eval(model: str, dtype: str, batch_size: int) -> Answering:
    import torch
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    device = "cuda" if torch.cuda.is_available() else "cpu"
    lm = HFLM(pretrained=model, dtype=dtype, device=device, batch_size=batch_size)

    def answer(pairs: list[Pair]) -> list[float]:
        instances = [Instance(request_type="loglikelihood", doc={}, arguments=pair, idx=0) for pair in pairs]
        return [float(logprob) for logprob, _ in lm.loglikelihood(instances, disable_tqdm=True)]

    return answer


def _operations(answer: Answering, pairs: list[Pair]) -> int:
    """Floating-point operations of the matrix products and of attention while `pairs` are answered."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        answer(pairs)
    operations: int = counter.get_total_flops()
    return operations


def _product_rate(model: str, dtype: str) -> float:
    """Operations a second of the model's own matrix products, 1,024 rows at a time, in the dtype they run in here."""
    import torch
    from transformers import AutoConfig

    from harness.scorers.arithmetic import half_products_are_slow

    config = AutoConfig.from_pretrained(model).get_text_config()
    own = getattr(torch, dtype)
    wide = torch.float32 if half_products_are_slow(own, torch.device("cpu")) else own
    hidden, inner = config.hidden_size, config.intermediate_size
    shapes = [(hidden, hidden), (hidden, inner), (inner, hidden)]
    factors = [(torch.rand(1024, a, dtype=wide), torch.rand(b, a, dtype=wide)) for a, b in shapes]
    times = []
    for _ in range(20):
        start = time.perf_counter()
        for rows, weights in factors:
            torch.nn.functional.linear(rows, weights)
        times.append(time.perf_counter() - start)
    operations: int = sum(2 * 1024 * a * b for a, b in shapes)
    return operations / min(times)


def compare(sides: Sequence[Side], pairs: list[Pair], rounds: int) -> dict[str, Any]:
    """Time all sides, in turns; returns the figures of a row."""
    for side in sides:
        side.ask(pairs[:8])  # the warm-up
    taken = {side.name: [side.ask(pairs)] for side in sides}
    theirs = min(THEIRS, key=lambda name: taken[name][0]["seconds"])
    for _ in range(rounds - 1):
        for side in sides:
            if side.name in (OURS, theirs):
                taken[side.name].append(side.ask(pairs))
    seconds = {name: statistics.median(said["seconds"] for said in runs) for name, runs in taken.items()}
    busy = {name: statistics.median(said["busy_seconds"] for said in runs) for name, runs in taken.items()}
    peak = {name: round(runs[-1]["peak_bytes"] / 2**30, 2) for name, runs in taken.items()}
    counted = sides[0].ask(pairs, count=True)
    rate = counted["operations"] / min(said["seconds"] for said in taken[OURS])
    return {
        "requests": len(pairs),
        "theirs": theirs,
        **timing(len(pairs), seconds[OURS], seconds[theirs]),
        "processor_seconds_ratio": round(busy[theirs] / busy[OURS], 2),
        **agreement("loglikelihood", taken[OURS][-1]["scores"], taken[theirs][-1]["scores"]),
        "threads": counted["threads"],
        "load_average": round(os.getloadavg()[1], 1),
        "all_seconds": {name: [round(said["seconds"], 2) for said in runs] for name, runs in taken.items()},
        "peak_gib": peak,
        "ours_gflop": round(counted["operations"] / 1e9),
        "ours_gflop_per_second": round(rate / 1e9, 1),
        "product_gflop_per_second": round(counted["product_rate"] / 1e9, 1),
        "share_of_product_rate": round(rate / counted["product_rate"], 3),
    }


def precision(model: Path, pairs: list[Pair]) -> dict[str, Any]:
    """How far each bfloat16 side's scores are from lm-eval's in float32, in nats a continuation, and from each other.

    A side's process ends before the next begins, so that they fit beside one another.
    """
    scores: dict[str, list[float]] = {}
    for name, dtype in ((THEIRS[0], "float32"), (OURS, "float32"), *((name, "bfloat16") for name in (OURS, *THEIRS))):
        side = Side(name, model, dtype)
        scores[f"{name}, {dtype}"] = side.ask(pairs)["scores"]
        side.close()
    exact = scores.pop(f"{THEIRS[0]}, float32")
    found = {name: _distribution(exact, values) for name, values in scores.items()}
    found["lm-eval bfloat16, batch 1 to batch 8"] = _distribution(*(scores[f"{name}, bfloat16"] for name in THEIRS))
    return {"requests": len(pairs), "nats_from_float32": found}


def _distribution(one: Sequence[float], two: Sequence[float]) -> dict[str, float]:
    apart = sorted(abs(a - b) for a, b in zip(one, two, strict=True))
    places = {"median": 0.5, "p90": 0.9, "p99": 0.99}
    shown = {name: apart[min(len(apart) - 1, int(place * len(apart)))] for name, place in places.items()}
    return {
        name: round(value, 5) for name, value in {"mean": statistics.mean(apart), **shown, "max": apart[-1]}.items()
    }


def main() -> None:
    """Run the settings and keep the rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--serve", type=json.loads, help=argparse.SUPPRESS)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--data", type=Path, default=os.environ.get("HARNESS_DATA"))
    parser.add_argument("--dtype", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--items", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=SETTINGS)
    parser.add_argument("--precision", action="store_true")
    options = parser.parse_args()
    if options.serve:
        serve(**options.serve)
        return
    if not options.data or not (Path(options.data) / "agieval").is_dir():
        parser.error(f"--data {options.data}: holds no agieval/logiqa-en.jsonl; give the data folder, or HARNESS_DATA")
    options.model = options.model or resolve(str(reference_model())).weights
    what = {"model": options.model.name, "items": options.items}
    if options.precision:
        found = precision(options.model, requests(Path(options.data), SETTINGS[0], options.items))
        record({"benchmark": "scoring precision", "setting": SETTINGS[0], **what, **found, **surroundings()})
        return
    for dtype in options.dtype:
        sides = [Side(name, options.model, dtype) for name in (OURS, *THEIRS)]
        for setting in options.settings:
            figures = compare(sides, requests(Path(options.data), setting, options.items), options.rounds)
            row = {"benchmark": "scoring", "ours": OURS, "setting": setting, **what, "dtype": dtype}
            record({**row, **figures, "rounds": options.rounds, **surroundings()})
        for side in sides:
            side.close()


if __name__ == "__main__":
    main()
