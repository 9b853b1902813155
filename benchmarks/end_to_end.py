"""Compare `harness eval` with `lm_eval`, from the command to the results file: time, and whether the metrics agree.

    python -m benchmarks.end_to_end [--model FOLDER] [--data DIR] [--dtype float32 bfloat16] [--shots 0 5]
                                    [--limit 200] [--batch_size 8] [--tasks NAME ...]

The tasks use lm-eval's own prompts and metrics on local files (HARNESS_DATA): four multiple-choice tasks, with short
and with long contexts, and one generation task. Each side evaluates all of them in one process. With the default
``--limit`` and ``--shots``, lm-eval takes an hour on two cores.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.rows import RESULTS, record, surroundings
from experiments.reference_model import reference_model
from harness.checkpoints.resolver import resolve
from harness.paths import tasks_dir

TASKS = ("arc_easy_lm_eval", "arc_challenge_lm_eval", "boolq_lm_eval", "logiqa_en_lm_eval", "gsm8k_lm_eval")


def ours(options: argparse.Namespace, dtype: str) -> list[str]:
    """Return the command of this harness, without the output folder."""
    engine = ["--model", str(options.model), "--backend", "hf", "--dtype", dtype]
    return ["-m", "harness", "eval", *engine, "--tasks", ",".join(options.tasks), "--no_cache"]


def theirs(options: argparse.Namespace, dtype: str) -> list[str]:
    """Return lm-eval's command, without the output folder."""
    engine = ["--model", "hf", "--model_args", f"pretrained={options.model},dtype={dtype}"]
    tasks = ["--tasks", ",".join(options.tasks), "--include_path", str(tasks_dir())]
    return ["-m", "lm_eval", "run", *engine, "--batch_size", str(options.batch_size), *tasks, "--log_samples"]


def run(words: Sequence[str], options: argparse.Namespace, shots: int) -> tuple[float, int, dict[str, Any]]:
    """Run a command; returns its seconds, the largest memory of one of its processes in bytes, and the metrics."""
    with tempfile.TemporaryDirectory(prefix="end-to-end-") as folder:
        more = ["--limit", str(options.limit), "--num_fewshot", str(shots), "--output_path", f"{folder}/out"]
        environment = {**os.environ, "HARNESS_DATA": str(options.data), "HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1"}
        began = time.perf_counter()
        with Path(folder, "log").open("w+") as log:
            process = subprocess.Popen([sys.executable, *words, *more], env=environment, stdout=log, stderr=log)
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            seconds = time.perf_counter() - began
            if process.returncode:
                log.seek(0)
                raise RuntimeError(f"{' '.join(words)}: exit {process.returncode}: {log.read()[-2000:]}")
        results = next(Path(folder, "out").rglob("results_*.json"))
        return seconds, usage.ru_maxrss * 1024, json.loads(results.read_text(encoding="utf-8"))["results"]


def apart(one: dict[str, Any], two: dict[str, Any]) -> dict[str, list[float]]:
    """Return the metrics that differ, by ``task metric``, with both values."""
    values = {
        f"{task} {metric}": [value, two[task].get(metric, math.nan)]
        for task, metrics in one.items()
        for metric, value in metrics.items()
        if "," in metric and "_stderr," not in metric
    }
    # Sums of float32 logits differ in their last digits; shares of items do not.
    return {name: pair for name, pair in values.items() if not math.isclose(*pair, rel_tol=1e-5)}


def main() -> None:
    """Measure each dtype and number of few-shot examples, and record the rows."""
    rows = "Rows are printed and added to benchmarks/results/end_to_end.jsonl."
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None, epilog=rows)
    parser.add_argument("--model", type=Path, help="a transformers folder (default: the reference model)")
    data = os.environ.get("HARNESS_DATA")
    parser.add_argument("--data", type=Path, default=data, required=data is None, help="default: HARNESS_DATA")
    parser.add_argument("--dtype", nargs="+", default=["float32", "bfloat16"], help="default: float32 bfloat16")
    parser.add_argument("--shots", nargs="+", type=int, default=[0, 5], help="default: 0 5")
    parser.add_argument("--limit", type=int, default=200, help="items per task (default: 200)")
    parser.add_argument("--batch_size", type=int, default=8, help="lm-eval's batch size (default: 8)")
    parser.add_argument("--tasks", nargs="+", default=TASKS, help=f"default: {' '.join(TASKS)}")
    options = parser.parse_args()
    options.model = options.model or resolve(str(reference_model())).weights
    for dtype in options.dtype:
        for shots in options.shots:
            mine, my_peak, my_metrics = run(ours(options, dtype), options, shots)
            other, other_peak, other_metrics = run(theirs(options, dtype), options, shots)
            figures = {
                "ours_peak_gib": round(my_peak / 2**30, 2),
                "theirs_peak_gib": round(other_peak / 2**30, 2),
                "ours_seconds": round(mine, 1),
                "theirs_seconds": round(other, 1),
                "ratio": round(other / mine, 2),
                "metrics_apart": apart(my_metrics, other_metrics),
                "load_average": round(os.getloadavg()[1], 1),
            }
            what = {"tasks": list(options.tasks), "limit": options.limit, "shots": shots, "dtype": dtype}
            row = {"benchmark": "end to end", "model": options.model.name, "batch_size": options.batch_size, **what}
            record({**row, **figures, **surroundings()}, RESULTS / "end_to_end.jsonl")


if __name__ == "__main__":
    main()
