"""Benchmark one GPU: scoring and generation against lm-eval, training against TRL, and a code task.

Speed does not depend on what the weights have learned, so a model of any size is made with random weights; nothing is
downloaded. Each side runs alone, since an engine takes most of the memory. A full run ends within 10 minutes: what has
not been measured by then is named and left out. Each row is written as soon as it is measured. If a piece fails, the
error is printed, the others still run, and the exit code is 1. Greedy texts of random weights agree less than those of
a trained model, because near ties are frequent.

    python -m benchmarks.gpu [--settings 0-shot 5-shot generation code training] [--backends vllm hf] [--minutes 9]
                             [--layers 24] [--hidden 2048] [--vocabulary 32000] [--items 200] [--new_tokens 128]

On a CPU, to check that it works: ``--layers 2 --hidden 64 --heads 2 --vocabulary 1000 --items 2 --new_tokens 4
--rounds 1 --steps 2 --dtype float32``.
"""

from __future__ import annotations

import argparse
import functools
import json
import multiprocessing
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.rows import RESULTS, agreement, record, surroundings, timing
from benchmarks.sides import Pair, Side

SYLLABLES = ("ka", "lo", "mi", "ren", "tu", "vas", "pol", "qui", "der", "sha")
SPECIAL_TOKENS = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "</s>"}
CONTEXT_WORDS, EXAMPLE_WORDS, CHOICE_WORDS, CHOICES = 70, 80, 3, 4
ANSWERED = {"0-shot", "5-shot", "generation"}
SETTINGS = ("0-shot", "5-shot", "generation", "code", "training")


def save_model(folder: Path, *, layers: int, hidden: int, heads: int, vocabulary: int, dtype: str) -> int:
    """Save a Llama with random weights, made on the GPU if there is one, and a tokenizer; returns its parameters."""
    import torch
    from transformers import AutoModelForCausalLM, LlamaConfig

    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=hidden,
        intermediate_size=hidden * 11 // 4,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=max(1, heads // 4),
        max_position_embeddings=4096,
        bos_token_id=0,
        eos_token_id=1,
    )
    torch.manual_seed(0)
    make: Any = AutoModelForCausalLM.from_config
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        model = make(config, dtype=getattr(torch, dtype))
    model.save_pretrained(folder)
    _tokenizer(min(vocabulary, 1000)).save_pretrained(folder)
    parameters = int(sum(parameter.numel() for parameter in model.parameters()))
    del model
    if torch.cuda.is_available():
        torch.cuda.empty_cache()  # the sides need all the memory
    return parameters


def _tokenizer(vocabulary: int) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=sorted(set(SPECIAL_TOKENS.values()), reverse=True),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([_words(random.Random(0), 2000)], trainer)
    fast: Any = PreTrainedTokenizerFast
    return fast(tokenizer_object=tokenizer, **SPECIAL_TOKENS)


def _words(drawn: random.Random, count: int) -> str:
    return " ".join("".join(drawn.choices(SYLLABLES, k=2)) for _ in range(count))


def choices(items: int, shots: int) -> list[Pair]:
    """Four choices per item, after `shots` examples that all items share."""
    drawn = random.Random(1)
    examples = "".join(f"{_words(drawn, EXAMPLE_WORDS)}\n\n" for _ in range(shots))
    pairs: list[Pair] = []
    for _ in range(items):
        context = examples + _words(drawn, CONTEXT_WORDS)
        pairs += [(context, f" {_words(drawn, CHOICE_WORDS)}") for _ in range(CHOICES)]
    return pairs


def prompts(items: int, new_tokens: int) -> list[Pair]:
    """Prompts to continue greedily, with no stop string."""
    drawn = random.Random(2)
    # Without `do_sample`, lm-eval 0.4.13 samples on vLLM.
    greedy = {"until": [], "max_gen_toks": new_tokens, "do_sample": False}
    return [(_words(drawn, CONTEXT_WORDS), greedy) for _ in range(items)]


def instructions(folder: Path, count: int) -> Path:
    """Write `count` instructions where `benchmarks.training` looks for them; returns the data folder."""
    drawn = random.Random(3)
    file = folder / "alpaca" / "alpaca_data.json"
    file.parent.mkdir(parents=True)
    records = [
        {"instruction": _words(drawn, CONTEXT_WORDS), "input": "", "output": _words(drawn, CONTEXT_WORDS)}
        for _ in range(count)
    ]
    file.write_text(json.dumps(records), encoding="utf-8")
    return folder


def answered(setting: str, options: argparse.Namespace) -> tuple[str, list[Pair]]:
    """Return the kind of request and the requests of a setting."""
    if setting == "generation":
        return "generate_until", prompts(options.items, options.new_tokens)
    return "loglikelihood", choices(options.items, 5 if setting == "5-shot" else 0)


def one_side(
    name: str, model: Path, settings: Sequence[str], options: argparse.Namespace
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Measure one side alone; yields for each setting the median time, the last answers and the memory."""
    side = Side(name, model, dtype=options.dtype, max_length=4096, deadline=options.deadline)
    try:
        for setting in settings:
            if time.monotonic() > options.deadline:
                print(f"{name}, {setting}: not measured, because the time is up", file=sys.stderr)
                continue
            kind, pairs = answered(setting, options)
            side.ask(kind, pairs[: max(CHOICES, len(pairs) // 4)])  # the warm-up
            runs = [side.ask(kind, pairs)]
            while len(runs) < options.rounds and time.monotonic() < options.deadline:
                runs.append(side.ask(kind, pairs))
            seconds = statistics.median(run["seconds"] for run in runs)
            yield setting, {**runs[-1], "seconds": seconds, "rounds": len(runs)}
    finally:
        side.close()


def engines(backend: str, model: Path, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield a row per side and setting; the second side's rows compare it with the first."""
    settings = [setting for setting in options.settings if setting in ANSWERED]
    ours: dict[str, dict[str, Any]] = {}
    for name in (f"harness {backend}", f"lm-eval {backend}") if settings else ():
        for setting, run in one_side(name, model, settings, options):
            kind, pairs = answered(setting, options)
            row = {"side": name, "setting": setting, "requests": len(pairs), "rounds": run["rounds"]}
            row |= {"seconds": round(run["seconds"], 3), "device_gib": round(run["device_bytes"] / 2**30, 2)}
            mine = ours.setdefault(setting, run)
            if mine is not run:
                row |= timing(len(pairs), mine["seconds"], run["seconds"])
                row |= agreement(kind, mine["answers"], run["answers"])
            yield row


def training(options: argparse.Namespace, folder: Path) -> Iterator[dict[str, Any]]:
    """Measure one stage against TRL's bare trainer, on a model with a third of the layers and half the width."""
    from benchmarks.training import BATCH, measure

    shape = {"layers": max(1, options.layers // 3), "hidden": options.hidden // 2, "heads": max(1, options.heads // 2)}
    data = instructions(folder / "data", 4 * BATCH * options.steps)
    model = folder / "small"
    parameters = save_model(model, **shape, vocabulary=options.vocabulary, dtype="float32")
    named = {"steps": options.steps, "rounds": options.rounds, "folder": folder / "stage"}
    left = max(1.0, options.deadline - time.monotonic())
    with multiprocessing.get_context("spawn").Pool(1) as pool:  # a process of its own can be ended at the deadline
        row = pool.apply_async(measure, ("sft", data, model), named).get(timeout=left)
    yield {"setting": "training", "parameters": parameters, **shape, **row}


def code(options: argparse.Namespace, model: Path, folder: Path) -> Iterator[dict[str, Any]]:
    """Measure a code task from the command to its record: generated programs run in the sandbox."""
    words = f"eval --tasks mini_code_gen --limit {options.items} --no_cache --dtype {options.dtype}".split()
    words += ["--backend", options.backends[0], "--model", str(model), "--output_path", str(folder / "code")]
    start = time.monotonic()
    left = max(1.0, options.deadline - start)
    subprocess.run([sys.executable, "-m", "harness", *words], check=True, stdout=sys.stderr, timeout=left)
    seconds = time.monotonic() - start
    (record,) = (folder / "code").rglob("run.json")
    task = json.loads(record.read_text(encoding="utf-8"))["tasks"]["mini_code_gen"]
    counts = {name: task[name] for name in ("items_scored", "answered", "failed")}
    yield {"setting": "code", "side": f"harness {options.backends[0]}", "seconds": round(seconds, 1), **counts}


def pieces(options: argparse.Namespace, folder: Path) -> Iterator[tuple[str, Callable[[], Iterator[dict[str, Any]]]]]:
    """Yield the pieces to measure, by name; lm-eval's `hf`, which is slow, comes last."""
    model = folder / "model"
    first, *others = ((backend, functools.partial(engines, backend, model, options)) for backend in options.backends)
    yield first
    if "code" in options.settings:
        yield "code", functools.partial(code, options, model, folder)
    if "training" in options.settings:
        yield "training", functools.partial(training, options, folder)
    yield from others


def main() -> int:
    """Make the model, measure every piece and record its rows; returns the number of pieces that failed."""
    options = arguments()
    options.deadline = time.monotonic() + 60 * options.minutes
    failed = 0
    folder = Path(tempfile.mkdtemp())
    try:
        shape = {name: getattr(options, name) for name in ("layers", "hidden", "heads", "vocabulary", "dtype")}
        shape["parameters"] = save_model(folder / "model", **shape)
        for name, rows in pieces(options, folder):
            if time.monotonic() > options.deadline:
                print(f"{name}: not measured, because {options.minutes:g} minutes have passed", file=sys.stderr)
                continue
            try:
                for row in rows():
                    record({"benchmark": "gpu", **shape, **row, **surroundings()}, options.results)
            except Exception:  # the other pieces are still worth measuring
                traceback.print_exc()
                print(f"{name}: failed", file=sys.stderr)
                failed += 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return failed


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--settings", nargs="+", default=list(SETTINGS), choices=SETTINGS)
    parser.add_argument("--backends", nargs="+", default=["vllm", "hf"], choices=["hf", "vllm"])
    parser.add_argument(
        "--minutes", type=float, default=9.0, help="running measurements are then stopped, the rest skipped"
    )
    parser.add_argument("--layers", type=int, default=24)
    parser.add_argument("--hidden", type=int, default=2048)
    parser.add_argument("--heads", type=int, default=16)
    parser.add_argument("--vocabulary", type=int, default=32000)
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--items", type=int, default=200, help="questions of four choices, prompts, or programs")
    # lm-eval's hf continues 8 prompts at a time: 500 prompts of 256 tokens take it more than 25 minutes.
    parser.add_argument("--new_tokens", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=12, help="training steps")
    parser.add_argument("--results", type=Path, default=RESULTS / "gpu.jsonl")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(1 if main() else 0)
