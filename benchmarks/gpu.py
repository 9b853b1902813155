"""Scoring and generation on one GPU: this harness against lm-eval, on `hf` and on vLLM, with random weights.

Speed does not depend on what the weights have learned, so a model of any size is made on the spot, without a download.
Each side runs alone, since an engine takes most of the memory; a row is the median of the rounds after a warm-up.
Greedy texts of random weights agree less than those of a trained model, because near ties are frequent.

    python -m benchmarks.gpu [--layers 24] [--hidden 2048] [--vocabulary 32000] [--items 500] [--backends hf vllm]

On a CPU, to check that it works: ``--layers 2 --hidden 64 --heads 2 --vocabulary 1000 --items 4 --new_tokens 8``.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.rows import RESULTS, agreement, record, surroundings, timing
from benchmarks.sides import Pair, Side

SYLLABLES = ("ka", "lo", "mi", "ren", "tu", "vas", "pol", "qui", "der", "sha")
SPECIAL_TOKENS = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "</s>"}
CONTEXT_WORDS, EXAMPLE_WORDS, CHOICE_WORDS, CHOICES = 70, 80, 3, 4


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


Task = tuple[str, str, list[Pair]]


def measure(name: str, model: Path, dtype: str, tasks: Sequence[Task], rounds: int) -> list[dict[str, Any]]:
    """One side, alone: for each task its seconds, the last round's answers and the peak memory."""
    side = Side(name, model, dtype=dtype, max_length=4096)
    measured = []
    for _, kind, pairs in tasks:
        side.ask(kind, pairs)  # the warm-up, on everything, so that compilation is over
        runs = [side.ask(kind, pairs) for _ in range(rounds)]
        seconds = statistics.median(run["seconds"] for run in runs)
        measured.append({**runs[-1], "seconds": seconds})
    side.close()
    return measured


def main() -> None:
    """Make the model, run every side, record a row for each backend and setting."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--layers", type=int, default=24)
    parser.add_argument("--hidden", type=int, default=2048)
    parser.add_argument("--heads", type=int, default=16)
    parser.add_argument("--vocabulary", type=int, default=32000)
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--items", type=int, default=500)
    parser.add_argument("--new_tokens", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--backends", nargs="+", default=["hf", "vllm"], choices=["hf", "vllm"])
    parser.add_argument("--results", type=Path, default=RESULTS / "gpu.jsonl")
    options = parser.parse_args()
    tasks: list[Task] = [
        ("scoring, 0-shot", "loglikelihood", choices(options.items, 0)),
        ("scoring, 5-shot, shared examples", "loglikelihood", choices(options.items, 5)),
        (f"generation, {options.new_tokens} tokens", "generate_until", prompts(options.items, options.new_tokens)),
    ]
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder)
        shape = {name: getattr(options, name) for name in ("layers", "hidden", "heads", "vocabulary", "dtype")}
        parameters = save_model(model, **shape)
        for backend in options.backends:
            sides = [f"harness {backend}", f"lm-eval {backend}"]
            ours, theirs = (measure(name, model, options.dtype, tasks, options.rounds) for name in sides)
            for (setting, kind, pairs), mine, other in zip(tasks, ours, theirs, strict=True):
                row: dict[str, Any] = {"benchmark": "gpu", "ours": sides[0], "theirs": sides[1], "setting": setting}
                row |= {"parameters": parameters, **shape, "requests": len(pairs), "rounds": options.rounds}
                row |= {
                    **timing(len(pairs), mine["seconds"], other["seconds"]),
                    **agreement(kind, mine["answers"], other["answers"]),
                    "ours_device_gib": round(mine["device_bytes"] / 2**30, 2),
                    "theirs_device_gib": round(other["device_bytes"] / 2**30, 2),
                }
                record({**row, **surroundings()}, options.results)


if __name__ == "__main__":
    main()
