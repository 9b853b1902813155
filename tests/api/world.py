"""A folder in which the examples of the documentation run: data, a stage file and a study of tiny models."""

from __future__ import annotations

import json
import random
from pathlib import Path

from tests.models import WORDS

STAGE = """\
stage: pretrain
name: base
architecture: {hidden_size: 32, intermediate_size: 64, num_hidden_layers: 2, num_attention_heads: 4,
               num_key_value_heads: 2, max_position_embeddings: 256, model_type: llama}
tokenizer: {vocab_size: 400, sample_mb: 1}
data:
  budget_tokens: 8000
  sources: {text: {path: text.jsonl}}
trainer: {max_length: 64, per_device_train_batch_size: 4, learning_rate: 3e-3, use_cpu: true, logging_steps: 5}
"""
STUDY = """\
name: small
factors: {seed: [0, 1]}
stages:
  base:
    stage: pretrain
    architecture: tiny
    tokenizer: {vocab_size: 400, sample_mb: 1}
    seed: "{seed}"
    data: {budget_tokens: 2000, sources: {text: {path: text.jsonl}}}
    trainer: {max_length: 64, per_device_train_batch_size: 4, learning_rate: 3e-3, use_cpu: true}
evaluate: {tasks: [mini_logic], flags: {limit: 10}}
"""


def write_world(folder: Path) -> Path:
    """Write the files into `folder`, and return it."""
    rng, words = random.Random(0), WORDS.split()
    rows = [{"text": " ".join(rng.choice(words) for _ in range(rng.randint(5, 40)))} for _ in range(300)]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "text.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (folder / "stage.yaml").write_text(STAGE, encoding="utf-8")
    (folder / "study.yaml").write_text(STUDY, encoding="utf-8")
    return folder
