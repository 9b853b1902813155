"""Greedy generation: this harness against lm-eval's `hf` model at its best batch size, same prompts, one run.

    python -m benchmarks.generation [--model FOLDER] [--data DIR] [--dtype float32] [--items 200] [--new_tokens 256]
                                    [--batch_sizes 1 8 32] [--rounds 1]

DIR (HARNESS_DATA) holds ``gsm8k/test.jsonl``; each prompt is a question, without examples. The model is the reference
model unless another is named. A quarter of the prompts warms all sides up and chooses lm-eval's batch size.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

from benchmarks.rows import RESULTS, record, surroundings
from benchmarks.sides import Pair, Side
from benchmarks.turns import compare
from experiments.reference_model import reference_model
from harness.checkpoints.resolver import resolve

STOP = ["Question:", "</s>", "<|im_end|>"]  # lm-eval's for GSM8K


def requests(data: Path, items: int, new_tokens: int) -> list[Pair]:
    """Return one prompt per question, with its generation arguments."""
    lines = (data / "gsm8k" / "test.jsonl").read_text(encoding="utf-8").splitlines()[:items]
    greedy = {"until": STOP, "max_gen_toks": new_tokens, "do_sample": False}
    return [(f"Question: {json.loads(line)['question']}\nAnswer:", greedy) for line in lines]


def main() -> None:
    """Measure each dtype and record its row."""
    rows = "Rows are printed and added to benchmarks/results/generation.jsonl."
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None, epilog=rows)
    parser.add_argument("--model", type=Path, help="a transformers folder (default: the reference model)")
    data = "folder with gsm8k/test.jsonl (default: HARNESS_DATA)"
    own = os.environ.get("HARNESS_DATA")
    parser.add_argument("--data", type=Path, default=own, required=own is None, help=data)
    parser.add_argument("--dtype", nargs="+", default=["float32"], help="default: float32")
    parser.add_argument("--items", type=int, default=200, help="prompts (default: 200)")
    parser.add_argument("--new_tokens", type=int, default=256, help="most tokens per answer (default: 256)")
    parser.add_argument("--batch_sizes", nargs="+", type=int, default=[1, 8, 32], help="of lm-eval (default: 1 8 32)")
    parser.add_argument("--rounds", type=int, default=1, help="the median counts (default: 1)")
    options = parser.parse_args()
    if not options.data or not (Path(options.data) / "gsm8k" / "test.jsonl").is_file():
        parser.error(f"--data {options.data}: holds no gsm8k/test.jsonl; give the data folder, or set HARNESS_DATA")
    model = options.model or resolve(str(reference_model())).weights
    pairs = requests(Path(options.data), options.items, options.new_tokens)
    for dtype in options.dtype:
        ours = Side("harness hf", model, dtype=dtype)
        others = [Side(f"lm-eval hf, batch {size}", model, dtype=dtype) for size in options.batch_sizes]
        figures = compare(ours, others, pairs, rounds=options.rounds, kind="generate_until")
        what = {"benchmark": "generation", "model": model.name, "dtype": dtype, "new_tokens": options.new_tokens}
        record({**what, "rounds": options.rounds, **figures, **surroundings()}, RESULTS / "generation.jsonl")
        for side in (ours, *others):
            side.close()


if __name__ == "__main__":
    main()
