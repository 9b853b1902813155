"""Helpers of the trainers' tests: a small chat model, small data sets, the losses of a finished stage."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from tests.models import WORDS as SENTENCE
from tests.models import save_tiny_llama, tiny_tokenizer

WORDS = SENTENCE.split()
# Like ChatML, but with plain-text role markers, so that it needs no special tokens.
CHAT_TEMPLATE = (
    "{% for m in messages %}<|{{ m['role'] }}|>\n{{ m['content'] }}{{ eos_token }}\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
CPU: dict[str, Any] = {
    "use_cpu": True,
    "learning_rate": 1e-3,
    "per_device_train_batch_size": 2,
    "logging_steps": 1,
    "gradient_checkpointing": False,
}


def words(rng: random.Random, low: int, high: int) -> str:
    return " ".join(rng.choice(WORDS) for _ in range(rng.randint(low, high)))


def instructions(count: int, seed: int = 0) -> list[dict[str, str]]:
    rng = random.Random(seed)
    return [{"instruction": words(rng, 3, 9), "input": "", "output": words(rng, 2, 12)} for _ in range(count)]


def preferences(count: int, seed: int = 0) -> list[dict[str, str]]:
    rng = random.Random(seed)
    return [
        {"prompt": words(rng, 3, 9), "chosen": words(rng, 2, 9), "rejected": words(rng, 2, 9)} for _ in range(count)
    ]


def marked_answers(count: int, seed: int = 0) -> list[dict[str, Any]]:
    rng = random.Random(seed)
    return [
        {"instruction": words(rng, 3, 9), "output": words(rng, 2, 9), "label": rng.random() < 0.5} for _ in range(count)
    ]


def documents(count: int, seed: int = 0) -> list[dict[str, str]]:
    rng = random.Random(seed)
    return [{"text": words(rng, 2, 90)} for _ in range(count)]


def write_jsonl(path: Path, records: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def chat_model(folder: Path, *, seed: int = 0, chat: bool = True) -> Path:
    """A tiny Llama whose tokenizer has a chat template."""
    save_tiny_llama(folder, seed=seed)
    tokenizer = tiny_tokenizer()
    if chat:
        tokenizer.chat_template = CHAT_TEMPLATE
    tokenizer.save_pretrained(folder)
    return folder


def state_of(checkpoint: Path) -> dict[str, Any]:
    """The library trainer's state at the end of a stage."""
    states = sorted((checkpoint / "training").glob("checkpoint-*"), key=lambda p: int(p.name.split("-")[1]))
    state: dict[str, Any] = json.loads((states[-1] / "trainer_state.json").read_text(encoding="utf-8"))
    return state


def losses(checkpoint: Path) -> list[float]:
    """The loss of each step."""
    return [entry["loss"] for entry in state_of(checkpoint)["log_history"] if "loss" in entry]
