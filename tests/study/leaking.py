"""A study of two arms; one of them trains on a source with a slightly reformatted test item."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.tasks_for_tests import write_tasks

SENTENCE = "the old miller counted sacks of grain while rain fell on the roof of his house beside the river"
WORDS = SENTENCE.split()


def leaking_experiment(folder: Path) -> dict[str, Any]:
    """Write data and tasks into a folder; return the experiment: a tiny model without (N) and with (C) the source."""
    tasks = write_tasks(folder / "tasks", items=8)
    rows = [{"text": " ".join(WORDS[k % 7 :] + WORDS[: k % 7])} for k in range(60)]
    leak = {"text": "And then: which  ANIMAL is number 3?\nAnswer: (rat)"}
    for name, records in (("text", rows), ("code", [leak, *rows[:5]])):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in records))
    sources = {name: {"path": str(folder / f"{name}.jsonl"), "format": "text"} for name in ("text", "code")}
    return {
        "name": "leak",
        "factors": {"pretrain": {"N": 0, "C": 1}},
        "stages": {
            "base": {
                "stage": "pretrain", "architecture": "tiny", "tokenizer": {"vocab_size": 300, "sample_mb": 1},
                "data": {"budget_tokens": 2000, "sources": sources,
                         "mixture": {"weights": {"text": 1, "code": "{pretrain}"}}},
                "trainer": {"max_length": 64, "per_device_train_batch_size": 4, "use_cpu": True},
            }
        },
        "evaluate": {"tasks": "t_choice", "flags": {"include_path": str(tasks)}},
        "compare": {"stage": "base"},
        "report": {"leaderboard": False},
        "needs": {"train": {"cpus": 1}, "evaluate": {"cpus": 1}},
    }  # fmt: skip
