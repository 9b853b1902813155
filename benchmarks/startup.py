"""Measure the seconds from the command to the first request, compared with loading the same model by hand.

    python -m benchmarks.startup [--model FOLDER] [--dtype float32] [--rounds 5]

``by hand`` imports torch and transformers and calls `from_pretrained` for the model and its tokenizer. ``harness eval``
ends just before its engine answers the first request of a task with few items, ``lm_eval`` likewise. All take turns.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.overhead import write_task
from benchmarks.rows import RESULTS, record, surroundings
from experiments.reference_model import reference_model
from harness.checkpoints.resolver import resolve

BY_HAND = """
import sys, torch, transformers
transformers.AutoTokenizer.from_pretrained(sys.argv[1])
transformers.AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=getattr(torch, sys.argv[2]))
"""
# The process ends where the engine would answer its first request.
OURS = """
import os, sys
from harness.evaluation import answering
answering._Ledger.take_answers = lambda *_: os._exit(0)
from harness.cli import main
sys.exit(main(sys.argv[1:]) or 1)
"""
THEIRS = """
import os, sys
from lm_eval.models.huggingface import HFLM
HFLM.loglikelihood = lambda *_, **__: os._exit(0)
from lm_eval.__main__ import cli_evaluate
sys.exit(cli_evaluate() or 1)
"""


def seconds(program: str, words: Sequence[str], environment: dict[str, str]) -> float:
    """Return the wall time of a Python program with these arguments. Raises: CalledProcessError."""
    began = time.perf_counter()
    command = [sys.executable, "-c", program, *words]
    subprocess.run(command, env=environment, capture_output=True, check=True)
    return time.perf_counter() - began


def main() -> None:
    """Measure all in turn and record the row."""
    rows = "The row is printed and added to benchmarks/results/startup.jsonl."
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None, epilog=rows)
    parser.add_argument("--model", type=Path, help="a transformers folder (default: the reference model)")
    parser.add_argument("--dtype", default="float32", help="default: float32")
    parser.add_argument("--rounds", type=int, default=5, help="the median counts (default: 5)")
    options = parser.parse_args()
    model = str(options.model or resolve(str(reference_model())).weights)
    with tempfile.TemporaryDirectory(prefix="startup-") as name:
        folder = Path(name)
        task = ["--tasks", "made", "--include_path", str(write_task(folder / "task", 10))]
        environment = {**os.environ, "HF_DATASETS_CACHE": str(folder / "datasets"), "HF_HUB_OFFLINE": "1"}
        output = ["--output_path", str(folder / "out")]
        engine = ["--backend", "hf", "--dtype", options.dtype, "--no_cache"]
        sides = {
            "by_hand": (BY_HAND, [model, options.dtype]),
            "ours": (OURS, ["eval", "--model", model, *engine, *task, *output]),
            "theirs": (
                THEIRS,
                ["run", "--model", "hf", "--model_args", f"pretrained={model},dtype={options.dtype}", *task, *output],
            ),
        }
        taken: dict[str, list[float]] = {side: [] for side in sides}
        for turn in range(options.rounds + 1):  # the first one warms up
            for side, (program, words) in sides.items():
                spent = seconds(program, words, environment)
                if turn:
                    taken[side].append(spent)
    medians = {f"{side}_seconds": round(statistics.median(times), 2) for side, times in taken.items()}
    what = {"benchmark": "startup", "model": Path(model).name, "dtype": options.dtype, "rounds": options.rounds}
    ratio = round(medians["ours_seconds"] / medians["by_hand_seconds"], 2)
    load = round(os.getloadavg()[0], 1)
    record({**what, **medians, "ratio": ratio, "load_average": load, **surroundings()}, RESULTS / "startup.jsonl")


if __name__ == "__main__":
    main()
