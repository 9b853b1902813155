"""Runs to export: made by the real evaluation command with scripted models, and written with a lineage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.checkpoints.stage_manifest import LedgerRow, Parent, StageManifest, StreamedSource
from tests.reports.conftest import command, evaluate, failed_run, report_tasks, runs
from tests.reports.study_records import RunTask, write_study_run

__all__ = ["command", "evaluate", "failed_run", "report_tasks", "runs", "trained"]

COMMIT = "0123456789abcdef0123456789abcdef01234567"
BASE = Parent(name="SmolLM2-135M", source="HuggingFaceTB/SmolLM2-135M", revision=COMMIT, digest="sha256:" + "b" * 64)


def manifest(name: str, parent: Parent, digest: str, **more: Any) -> dict[str, Any]:
    """A stage manifest as `harness eval` records it."""
    text = StreamedSource(name="text", location="/home/someone/text.jsonl", format="text", digest="sha256:" + "c" * 64,
                          tokens=750, repeats=1)  # fmt: skip
    code = StreamedSource(name="code", location="lab/code-small", format="text", digest=COMMIT, tokens=250)
    fields: dict[str, Any] = {
        "stage": "pretrain", "name": name, "finished": True, "step": 10, "parents": (parent,), "digest": digest,
        "trainer": {"entry_point": "harness.trainers.pretrain:train", "class": "Trainer"},
        "arguments": {"learning_rate": 0.001, "output_dir": "/home/someone/out", "hub_token": "<T>", "optim": None,
                      "accelerator_config": {"split_batches": False, "plugin": "/home/someone/plugin.py"}},
        "seed": 7, "spec": {}, "mixture": {"schedule": "constant"}, "budget_tokens": 1000, "tokens": 1000,
        "sequences": 4, "sources": (text, code), "wall_seconds": 1.0, "started": "2025-01-01T00:00:00", "device": "cpu",
        "ledger": (LedgerRow(phase=1, source="text", tokens=750, share=0.75, target_share=0.75),),
    }  # fmt: skip
    return StageManifest(**{**fields, **more}).to_json()


def lineage() -> list[dict[str, Any]]:
    """A model of two stages on a base model of the hub: 1,000 tokens each."""
    own, middle = "sha256:" + "1a2b3c4d" * 8, "sha256:" + "2" * 64
    above = Parent(name="text-20", source="/home/someone/text-20", path="/home/someone/text-20", digest=middle)
    links = [("sft", above, own, {"stage": "sft"}), ("text-20", BASE, middle, {})]
    return [
        *(
            {"name": name, "location": f"/home/someone/{name}", "digest": digest, "status": "verified",
             "manifest": manifest(name, parent, digest, **more)}
            for name, parent, digest, more in links
        ),
        {"name": BASE.name, "location": BASE.source, "digest": BASE.digest, "status": "root", "manifest": None},
    ]  # fmt: skip


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    """A run of a model with a lineage: two tasks, one with clusters."""
    values = np.tile([1.0, 0.0, 1.0], 20)
    tasks = {
        "clustered": RunTask(values=values, clusters=[f"passage {at // 4}" for at in range(60)]),
        "plain": RunTask(values=1.0 - values, domain="science"),
    }
    return write_study_run(tmp_path / "trained", "sft", tasks, lineage())
