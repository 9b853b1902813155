"""Multiple-choice scoring: this harness against lm-eval's `hf` and `vllm` models, same requests and precision, one run.

    python -m benchmarks.scoring [--backends hf vllm] [--model FOLDER] [--data DIR] [--dtype float32 bfloat16]
                                 [--settings "0-shot" "5-shot, own examples" "5-shot, shared examples"]
                                 [--items 40] [--rounds 3]
    python -m benchmarks.scoring [--model FOLDER] [--data DIR] --precision [--items 10]

Without ``--backends``, `vllm` is measured where it is installed.
DIR (HARNESS_DATA) holds ``agieval/logiqa-en.jsonl``; the model is the reference model unless another is named.
Each side has a process of its own. All are warmed up on a quarter of the requests and then take turns, so that a busy
machine slows all of them. The time of a side is the median of its rounds, with tokenization, without loading the model.
lm-eval's `hf` runs with the batch size, 1 or 8, that was faster in the warm-up. For `hf`, each row also has the
floating-point operations per second of our forward passes, and those of matrix products of the model's own shapes.

``--precision`` measures how far bfloat16 is from float32, on both sides of `hf`, instead of the speed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.rows import RESULTS, distribution, record, surroundings
from benchmarks.sides import Pair, Side
from benchmarks.turns import compare
from experiments.reference_model import reference_model
from harness.checkpoints.resolver import resolve

SETTINGS = ("0-shot", "5-shot, own examples", "5-shot, shared examples")
# Rows whose contexts have 140 tokens on average with SmolLM2's tokenizer; the examples come from other rows.
TEST_ROWS, TRAIN_ROWS = slice(10, 50), slice(450, 500)
# backend -> our side, and all sides that it is compared with.
SIDES = {
    "hf": ("harness hf", ("lm-eval hf, batch 1", "lm-eval hf, batch 8")),
    "vllm": ("harness vllm", ("lm-eval vllm",)),
}


def requests(data: Path, setting: str, items: int) -> list[Pair]:
    """Four requests per item: a passage and a question, and each answer spelled out."""
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


def efficiency(ours: Side, pairs: list[Pair], seconds: float) -> dict[str, float]:
    """Operations per second that our passes reached in `seconds`, and those that products of the same shapes reach."""
    counted = ours.ask("loglikelihood", pairs, count=True)
    rate = counted["operations"] / seconds
    return {
        "ours_gflop": round(counted["operations"] / 1e9),
        "ours_gflop_per_second": round(rate / 1e9, 1),
        "product_gflop_per_second": round(counted["product_rate"] / 1e9, 1),
        "share_of_product_rate": round(rate / counted["product_rate"], 3),
    }


def precision(model: Path, pairs: list[Pair]) -> dict[str, Any]:
    """How far each bfloat16 side's scores are from lm-eval's in float32, in nats per continuation, and from each other.

    A side's process ends before the next begins, so that memory holds one at a time.
    """
    ours, theirs = SIDES["hf"]
    scores: dict[str, list[float]] = {}
    for name, dtype in ((theirs[0], "float32"), (ours, "float32"), *((name, "bfloat16") for name in (ours, *theirs))):
        side = Side(name, model, dtype=dtype)
        scores[f"{name}, {dtype}"] = side.ask("loglikelihood", pairs)["answers"]
        side.close()
    exact = scores.pop(f"{theirs[0]}, float32")
    distances = {name: distribution(exact, values) for name, values in scores.items()}
    distances["lm-eval bfloat16, batch 1 to batch 8"] = distribution(*(scores[f"{name}, bfloat16"] for name in theirs))
    return {"requests": len(pairs), "nats_from_float32": distances}


def measure(backend: str, dtype: str, options: argparse.Namespace) -> None:
    """Run the settings on one backend and record their rows."""
    ours, *others = (Side(name, options.model, dtype=dtype) for name in (SIDES[backend][0], *SIDES[backend][1]))
    for setting in options.settings:
        pairs = requests(options.data, setting, options.items)
        figures = compare(ours, others, pairs, rounds=options.rounds)
        if backend == "hf":
            figures |= efficiency(ours, pairs, figures["ours_seconds"])
        row = {"benchmark": "scoring", "ours": ours.name, "setting": setting, "model": options.model.name}
        what = {"items": options.items, "dtype": dtype, "rounds": options.rounds}
        record({**row, **what, **figures, **surroundings()}, RESULTS / "scoring.jsonl")
    for side in (ours, *others):
        side.close()


def main() -> None:
    """Run the settings and keep the rows."""
    installed = [name for name in SIDES if name == "hf" or find_spec(name)]
    rows = "Rows are printed and added to benchmarks/results/scoring.jsonl."
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None, epilog=rows)
    parser.add_argument("--backends", nargs="+", choices=SIDES, default=installed, help="default: what is installed")
    parser.add_argument("--model", type=Path, help="a transformers folder (default: the reference model)")
    data = "folder with agieval/logiqa-en.jsonl (default: HARNESS_DATA)"
    own = os.environ.get("HARNESS_DATA")
    parser.add_argument("--data", type=Path, default=own, required=own is None, help=data)
    parser.add_argument("--dtype", nargs="+", default=["float32", "bfloat16"], help="default: float32 bfloat16")
    parser.add_argument("--items", type=int, default=40, help="of four requests each, at most 40 (default: 40)")
    parser.add_argument("--rounds", type=int, default=3, help="the median counts (default: 3)")
    settings = f"default: all of {', '.join(map(repr, SETTINGS))}"
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, metavar="NAME", default=SETTINGS, help=settings)
    parser.add_argument("--precision", action="store_true", help="how far bfloat16 is from float32; no times")
    options = parser.parse_args()
    if not options.data or not (Path(options.data) / "agieval").is_dir():
        parser.error(f"--data {options.data}: holds no agieval/logiqa-en.jsonl; give the data folder, or HARNESS_DATA")
    options.data = Path(options.data)
    options.model = options.model or resolve(str(reference_model())).weights
    if options.precision:
        pairs = requests(options.data, SETTINGS[0], options.items)
        row = {"benchmark": "scoring precision", "setting": SETTINGS[0], "model": options.model.name}
        figures = {"items": options.items, **precision(options.model, pairs)}
        record({**row, **figures, **surroundings()}, RESULTS / "scoring.jsonl")
        return
    for backend in options.backends:
        for dtype in options.dtype:
            measure(backend, dtype, options)


if __name__ == "__main__":
    main()
