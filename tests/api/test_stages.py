"""`harness.train`: a stage as an object, its plan, and its use where a folder is expected."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import harness
from harness.checkpoints.stage_manifest import read_manifest
from tests.api.world import write_world
from tests.conftest import HarnessCommand


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_world(tmp_path_factory.mktemp("world"))


@pytest.fixture
def in_world(world: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(world)
    return world


def test_a_stage_is_trained_once_and_can_be_evaluated(in_world: Path, capfd: pytest.CaptureFixture[str]) -> None:
    stage = harness.train("stage.yaml", overrides=["seed=3"], output_path="base")
    again = harness.train("stage.yaml", overrides={"seed": 3}, output_path="base")
    assert capfd.readouterr() == ("", "")
    assert (stage.trained, again.trained) == (True, False)
    manifest = read_manifest(in_world / "base")
    assert stage.manifest == again.manifest == manifest
    assert manifest is not None
    assert (manifest.seed, stage.path) == (3, in_world / "base")
    assert stage.tokens()["tokens"].sum() == manifest.tokens
    losses = stage.frame()["loss"].dropna()
    assert losses.iloc[-1] < losses.iloc[0]
    drawn = stage.plot().to_dict()["data"]["values"]
    assert [row["loss"] for row in drawn] == losses.to_list()
    assert f"{manifest.tokens:,} tokens" in stage._repr_html_()
    assert "finished before" in repr(again)
    results = harness.evaluate(model=stage, tasks="mini_logic", limit=4, output_path="records")
    assert results.records[0].model["lineage"][0]["manifest"]["seed"] == 3


def test_a_plan_has_the_tables_that_the_command_prints(in_world: Path, harness_here: HarnessCommand) -> None:
    printed = harness_here("train", "stage.yaml", "--dry_run").stdout
    plan = harness.train("stage.yaml", dry_run=True)
    assert plan.spec["data"]["budget_tokens"] == 8000
    for table in plan.tables:
        for cell in plan.frame(table).to_numpy().ravel():
            assert str(cell) in printed
        assert table in plan._repr_html_()
    with pytest.raises(harness.InputError, match="give one of"):
        plan.frame("no such table")


def test_a_checkpoint_without_losses_has_no_plot(in_world: Path, tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text(json.dumps({"step": 1}) + "\n")
    stage = harness.StageResult(path=tmp_path, manifest=None, trained=True)
    assert len(stage.tokens()) == 0
    with pytest.raises(harness.InputError, match="no loss was logged"):
        stage.plot()
