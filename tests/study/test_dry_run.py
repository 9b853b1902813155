"""A dry run says what a study will cost and what it can find, before anything is spent; it leaves nothing behind."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import HarnessCommand
from tests.study.conftest import Study
from tests.trainers.helpers import CPU, instructions, write_jsonl


def _real_stages(folder: Path) -> dict[str, Any]:
    """A model from scratch and its tuning, by the project's own trainers."""
    texts = [{"text": f"{row['instruction']} {row['output']}"} for row in instructions(60)]
    text, tune = write_jsonl(folder / "text.jsonl", texts), write_jsonl(folder / "tune.jsonl", instructions(60))
    base = {
        "stage": "pretrain", "seed": "{seed}", "architecture": "tiny", "tokenizer": {"vocab_size": 300},
        "data": {"budget_tokens": 2000, "sources": {"text": {"path": str(text)}}},
        "trainer": {**CPU, "max_length": 64},
    }  # fmt: skip
    tuned = {
        "stage": "sft", "seed": "{seed}", "from": "base", "trainer": {**CPU, "max_length": 64},
        "data": {"budget_tokens": 2000, "sources": {"tune": {"path": str(tune)}}},
    }  # fmt: skip
    return {"base": base, "tuned": tuned}


def test_an_estimate_times_each_stage_and_a_batch_before_any_checkpoint_exists(
    study: Study, harness_fork: HarnessCommand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setenv("TMPDIR", str(place))
    study.fields["stages"] = _real_stages(tmp_path)
    study.write({"factors": {"seed": [0, 1]}, "compare": None, "overlap": False, "report": {"leaderboard": False}})
    done = harness_fork("run", study.path, "--output_path", tmp_path / "out", "--dry_run", "--estimate")
    assert done.returncode == 0, done.stderr
    assert "not timed" not in done.stderr
    rows = {line.split()[0]: line for line in done.stdout.splitlines() if re.match(r"(base|tuned|eval)", line)}
    assert len(rows) == 6
    assert all(re.search(r" \d+ s$", row) for row in rows.values()), done.stdout
    assert "for 6 nodes, one after the other" in done.stdout
    assert "the time of 0 nodes is not known" in done.stdout
    assert not (tmp_path / "out").exists()
    assert not list(place.glob("harness-timing-*"))


def test_a_dry_run_ends_with_what_harness_power_says(
    study: Study, harness_fork: HarnessCommand, tmp_path: Path
) -> None:
    task = yaml.safe_load((study.tasks / "choice.yaml").read_text())
    variant = {**task, "task": "t_letter", "metadata": {**task["metadata"], "items_from": "t_choice"}}
    (study.tasks / "letter.yaml").write_text(yaml.safe_dump(variant))
    study.write({"evaluate": {**study.fields["evaluate"], "tasks": ["t_choice", "t_letter"]}})
    done = harness_fork("run", study.path, "--output_path", tmp_path / "out", "--dry_run")
    assert done.returncode == 0, done.stderr
    size = {"items": 6, "chance": 0.25, "domain": "logic"}
    plan = {
        "factors": {"pretrain": ["N", "C"], "tune": ["N", "C"]}, "seeds": 2,
        "tasks": {"t_choice": size, "t_letter": {**size, "items_from": "t_choice"}},
    }  # fmt: skip
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(plan))
    power = harness_fork("power", tmp_path / "plan.yaml").stdout
    tables = [line for line in power.splitlines() if re.search(r"\d", line) and "plan.yaml" not in line]
    assert len(tables) > 3
    assert set(tables) <= set(done.stdout.splitlines())
    assert (
        "power"
        not in harness_fork(
            "run", study.write({"compare": None}), "--output_path", tmp_path / "out", "--dry_run"
        ).stdout
    )


def test_an_estimate_without_a_dry_run_is_refused(study: Study, harness_fork: HarnessCommand, tmp_path: Path) -> None:
    done = harness_fork("run", study.path, "--output_path", tmp_path / "out", "--estimate")
    assert done.returncode == 2
    assert "--estimate: belongs to --dry_run" in done.stderr
