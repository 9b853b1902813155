"""How often an evaluation looks at a checkpoint's files, which can be terabytes, and what it does per request."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.checkpoints import lineage, resolver
from harness.checkpoints.checkpoint import Checkpoint
from harness.checkpoints.identity import checkpoint_digest
from harness.checkpoints.stage_manifest import Parent, StageManifest, read_manifest, write_manifest
from harness.evaluation import model_under_test
from harness.evaluation.run import evaluate_all
from harness.evaluation.spec import EvaluationSpec
from tests.conftest import HarnessCommand
from tests.models import save_tiny_llama
from tests.tasks_for_tests import write_tasks


def save_child(folder: Path, parent: Path) -> Path:
    """A tiny model with a manifest that says it was trained from `parent`."""
    save_tiny_llama(folder, seed=1)
    digest = checkpoint_digest(resolver.resolve(str(folder)))
    parent_digest = checkpoint_digest(resolver.resolve(str(parent)))
    manifest = StageManifest(
        stage="sft", name="child", finished=True, step=1, digest=digest, trainer={}, arguments={}, seed=0, spec={},
        parents=(Parent(name="parent", source=str(parent), path=str(parent), digest=parent_digest),),
        mixture={}, budget_tokens=1, tokens=1, sequences=1, sources=(), ledger=(), wall_seconds=1.0,
        started="2025-01-01T00:00:00", device="cpu", versions={},
    )  # fmt: skip
    write_manifest(folder, manifest)
    return folder


def test_a_checkpoint_is_resolved_once_and_digested_twice_and_its_parent_once(
    tmp_path: Path, harness_here: HarnessCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = save_tiny_llama(tmp_path / "parent")
    child = save_child(tmp_path / "child", parent)
    counts: Counter[tuple[str, str]] = Counter()

    def digest(checkpoint: Checkpoint, **options: bool) -> str:
        counts["digests", checkpoint.name] += 1
        return checkpoint_digest(checkpoint, **options)

    def manifest(folder: Path) -> StageManifest | None:
        counts["manifests", folder.name] += 1
        return read_manifest(folder)

    def folder_checkpoint(source: str, path: Path, **options: Any) -> Checkpoint:
        counts["resolved", path.name] += 1
        return resolve_folder(source, path, **options)

    resolve_folder = resolver._folder
    monkeypatch.setattr(resolver, "_folder", folder_checkpoint)
    monkeypatch.setattr(model_under_test, "checkpoint_digest", digest)
    monkeypatch.setattr(lineage, "checkpoint_digest", digest)
    monkeypatch.setattr(lineage, "read_manifest", manifest)
    tasks = write_tasks(tmp_path / "tasks", items=2)
    words = ["--model", child, "--backend", "hf", "--tasks", "t_choice", "--include_path", tasks]
    done = harness_here("eval", *words, "--output_path", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert counts == {
        ("resolved", "child"): 1,
        ("digests", "child"): 2,
        ("manifests", "child"): 1,
        ("resolved", "parent"): 1,
        ("digests", "parent"): 1,
        ("manifests", "parent"): 1,
    }


def _calls(folder: Path, items: int) -> int:
    """How many functions an evaluation of a task with four choices calls."""
    tasks = write_tasks(folder / f"tasks-{items}", items=items)
    spec = EvaluationSpec(
        models=("uniform",), tasks=("t_choice",), include_paths=(tasks,), output=folder / "out", use_journal=False
    )
    spec = replace(spec, engine=replace(spec.engine, backend="scripted"))
    calls = 0

    def count(_: Any, event: str, __: Any) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        (done,) = evaluate_all(spec)
    finally:
        sys.setprofile(before)
    assert done.record.tasks["t_choice"].items == items
    return calls


def test_an_evaluation_calls_few_functions_per_request(tmp_path: Path) -> None:
    """Compiling a template per item would double the count, and a loop over all items per item would show at 800."""
    _calls(tmp_path, 10)  # imports
    at = {items: _calls(tmp_path, items) for items in (200, 400, 800)}
    first, second = (at[400] - at[200]) / (200 * 4), (at[800] - at[400]) / (400 * 4)
    assert first < 180
    assert second == pytest.approx(first, rel=0.05)
