"""Models, tasks, training data and stage files of the fixed set of runs. Nothing here imports the harness."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import yaml

from tests.models import WORDS, save_tiny_adapter, save_tiny_llama, tiny_tokenizer
from tests.tasks_for_tests import write_tasks

SENTENCE = WORDS.split()
CHAT_TEMPLATE = (
    "{% for m in messages %}<|{{ m['role'] }}|>\n{{ m['content'] }}{{ eos_token }}\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)

# A perplexity over whole texts, and several sampled answers to each prompt.
ROLLING = """
task: t_rolling
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: prompt
metric_list:
  - {{metric: word_perplexity}}
  - {{metric: bits_per_byte}}
metadata: {{version: 1}}
"""
SAMPLED = """
task: t_sampled
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
output_type: generate_until
doc_to_text: prompt
doc_to_target: right
repeats: 2
generation_kwargs: {{until: ["\\n"], max_gen_toks: 6, do_sample: true, temperature: 0.8, top_p: 0.9}}
metric_list:
  - {{metric: exact_match, aggregation: mean, higher_is_better: true}}
metadata: {{version: 1, domain: code_gen, chance: 0.0}}
"""


def write_inputs(folder: Path) -> None:
    """Write everything that the runs read, below `folder`."""
    _write_models(folder / "models")
    tasks = write_tasks(folder / "own_tasks", items=12)
    for name, text in {"rolling": ROLLING, "sampled": SAMPLED}.items():
        (tasks / f"{name}.yaml").write_text(text.format(data=tasks / "items.jsonl"), encoding="utf-8")
    _write_data(folder / "data")
    stages = folder / "stages"
    stages.mkdir()
    for name, spec in _stages(folder).items():
        (stages / f"{name}.yaml").write_text(yaml.safe_dump(spec, sort_keys=False), encoding="utf-8")


def _write_models(folder: Path) -> None:
    for seed, name in enumerate(("tiny-first", "tiny-second")):
        save_tiny_llama(folder / name, seed=seed)
        tokenizer = tiny_tokenizer()
        tokenizer.chat_template = CHAT_TEMPLATE
        tokenizer.save_pretrained(folder / name)
    save_tiny_adapter(folder / "tiny-adapter", folder / "tiny-first")
    for step in (2, 10):
        save_tiny_llama(folder / "steps" / f"checkpoint-{step}", seed=step)
    _save_model_for_vllm(folder / "tiny-wide")


def _save_model_for_vllm(folder: Path) -> None:
    """A Llama whose heads have the 32 numbers that vLLM's kernels want at least."""
    from transformers import LlamaConfig, LlamaForCausalLM, set_seed

    set_seed(0)
    tokenizer = tiny_tokenizer()
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=128,
        initializer_range=0.2,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    LlamaForCausalLM(config).save_pretrained(folder)  # type: ignore[no-untyped-call]
    tokenizer.save_pretrained(folder)


def _write_data(folder: Path) -> None:
    rng = random.Random(7)

    def text(low: int, high: int) -> str:
        return " ".join(rng.choice(SENTENCE) for _ in range(rng.randint(low, high)))

    records: dict[str, list[dict[str, str]]] = {
        "prose": [{"text": text(2, 90)} for _ in range(50)],
        "code": [{"text": text(2, 60)} for _ in range(50)],
        "asked": [{"instruction": text(3, 9), "input": "", "output": text(2, 12)} for _ in range(60)],
        "more": [{"instruction": text(3, 9), "input": text(1, 3), "output": text(2, 12)} for _ in range(40)],
        "pairs": [{"prompt": text(3, 9), "chosen": text(2, 9), "rejected": text(2, 9)} for _ in range(60)],
    }
    folder.mkdir()
    for name, rows in records.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def _stages(folder: Path) -> dict[str, dict[str, Any]]:
    """From scratch: a base, an adapter tuned on it, full weights tuned by preferences; and rewards on another base."""

    def source(name: str, form: str) -> dict[str, str]:
        return {"path": str(folder / "data" / f"{name}.jsonl"), "format": form}

    common: dict[str, Any] = {
        "use_cpu": True,
        "learning_rate": 1e-3,
        "per_device_train_batch_size": 2,
        "logging_steps": 1,
        "gradient_checkpointing": False,
    }
    weights = [{"prose": 1, "code": 0}, {"prose": 1, "code": 3}]
    return {
        "pretrain": {
            "stage": "pretrain",
            "name": "stage-base",
            "architecture": "tiny",
            "tokenizer": {"vocab_size": 300},
            "seed": 3,
            "data": {
                "budget_tokens": 2600,
                "sources": {"prose": source("prose", "text"), "code": source("code", "text")},
                "mixture": {"schedule": "stepwise", "phases": weights},
            },
            "trainer": {**common, "max_length": 64},
        },
        "sft": {
            "stage": "sft",
            "name": "stage-tuned",
            "from": "out/trained/stage-base",
            "adapter": {"r": 4},
            "data": {
                "budget_tokens": 1500,
                "sources": {"asked": source("asked", "instruction"), "more": source("more", "instruction")},
                "mixture": {"schedule": "linear", "start": {"asked": 3, "more": 1}, "end": {"asked": 1, "more": 3}},
            },
            "trainer": {**common, "max_length": 64, "save_steps": 4},
        },
        "dpo": {
            "stage": "dpo",
            "name": "stage-preferred",
            "from": "out/trained/stage-tuned",
            "data": {"budget_tokens": 1500, "sources": {"pairs": source("pairs", "preference")}},
            "trainer": {**common, "max_length": 64},
        },
        "grpo": {
            "stage": "grpo",
            "name": "stage-rewarded",
            "from": "models/tiny-first",
            "data": {"budget_tokens": 700, "sources": {"logic": {"task": "mini_logic"}}},
            "allow_eval_data": True,
            "trainer": {**common, "num_generations": 2, "max_completion_length": 4},
        },
    }
