"""A second real model: Gemma 3 270M, a base model of another architecture, from its GGUF file."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from experiments.reference_model import reference_model
from harness.errors import HarnessError
from harness.paths import tasks_dir
from tests.conftest import HarnessCommand

pytestmark = pytest.mark.gemma
TASKS, LIMIT = ("mini_logic_letter", "mini_science"), 2
PARAGRAPH = (
    "The old bridge across the river was closed last winter because the ice had damaged two of its stone pillars. "
    "The town has now decided to repair it, and the work is expected to begin in the spring."
)


def test_terms_are_shown_before_anything_of_the_model_is_downloaded(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path))
    with pytest.raises(HarnessError, match="add --accept_terms if you agree") as refused:
        reference_model("gemma3")
    assert "Gemma" in str(refused.value)
    assert len(str(refused.value)) > 8_000
    assert not any((tmp_path / "downloads").iterdir())


def test_it_converts_and_scores_as_in_lm_eval(gemma3: Path, harness_here: HarnessCommand, tmp_path: Path) -> None:
    from lm_eval import simple_evaluate
    from lm_eval.tasks import TaskManager

    from harness.checkpoints.resolver import resolve

    words = ["--model", gemma3, "--tasks", ",".join(TASKS), "--limit", LIMIT]
    done = harness_here("eval", *words, "--dtype", "float32", "--output_path", tmp_path)
    assert done.returncode == 0, done.stderr
    ours = json.loads(next(tmp_path.rglob("results_*.json")).read_text(encoding="utf-8"))["results"]
    theirs = simple_evaluate(
        model="hf",
        model_args={"pretrained": str(resolve(str(gemma3)).weights), "dtype": "float32"},
        tasks=list(TASKS),
        limit=LIMIT,
        batch_size=1,
        device="cpu",
        bootstrap_iters=0,
        task_manager=TaskManager(include_path=str(tasks_dir()), include_defaults=False),
    )
    assert theirs is not None
    for name in TASKS:
        for metric in ("acc,none", "gold_logprob,none", "bits_per_byte,none"):
            assert ours[name][metric] == pytest.approx(theirs["results"][name][metric], rel=1e-5), (name, metric)


def test_the_converted_model_knows_english(gemma3: Path) -> None:
    """Both evaluations above read the converted model, so a wrong conversion would pass there."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from harness.checkpoints.resolver import resolve

    folder = resolve(str(gemma3)).weights
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)  # in evaluation mode
    ids = tokenizer(PARAGRAPH, return_tensors="pt").input_ids
    assert ids[0, 0] == tokenizer.bos_token_id
    with torch.no_grad():
        nats = model(ids, labels=ids).loss.item() * (ids.shape[1] - 1)
    assert nats / math.log(2) / len(PARAGRAPH.encode()) < 1.0
