"""Trackers of an evaluation, offline, with the real packages: training tokens are the steps, and nothing is sent."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.checkpoints.lineage import training_tokens
from harness.checkpoints.stage_manifest import StageManifest, write_manifest
from harness.reports.analysis.lineage_graph import lineage_nodes
from tests.conftest import ROOT, HarnessCommand
from tests.hub_server import running_hub
from tests.models import save_tiny_llama
from tests.reports.models_for_tests import link, model
from tests.tasks_for_tests import write_tasks
from tests.trainers.test_trackers import wandb_records
from tests.waiting import CEILING_SECONDS

NO_ACCOUNT = {"WANDB_MODE": "online", "WANDB_API_KEY": "", "WANDB_BASE_URL": "http://127.0.0.1:9"}
OFFLINE = {"WANDB_MODE": "offline", "WANDB_SILENT": "true", "HF_HUB_OFFLINE": "1"}


def save_checkpoint(folder: Path, *, tokens: int, step: int) -> Path:
    """A tiny model that a stage saved after these tokens."""
    save_tiny_llama(folder, seed=step)
    manifest = StageManifest(
        stage="pretrain", name="base", finished=False, step=step, trainer={}, arguments={}, seed=0, spec={}, parents=(),
        mixture={}, budget_tokens=1, tokens=tokens, sequences=1, sources=(), ledger=(), wall_seconds=1.0,
        started="2025-01-01T00:00:00", device="cpu", versions={},
    )  # fmt: skip
    write_manifest(folder, manifest)
    return folder


def wandb_history(folder: Path) -> list[dict[str, Any]]:
    """The logged values of the only run below a folder, as W&B's file holds them."""
    from wandb.proto import wandb_internal_pb2

    messages: Any = wandb_internal_pb2
    (run,) = folder.rglob("*.wandb")
    rows = []
    for raw in wandb_records(run):
        record = messages.Record()
        record.ParseFromString(raw)
        items = {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in record.history.item}
        rows += [items] if items else []
    return rows


def test_the_checkpoints_of_a_folder_share_a_run_with_training_tokens_as_steps(
    tmp_path: Path, harness_command: HarnessCommand
) -> None:
    for step in (10, 20):
        save_checkpoint(tmp_path / "training" / f"checkpoint-{step}", tokens=step * 1000, step=step)
    tasks = write_tasks(tmp_path / "tasks", items=4)
    (tmp_path / "wandb").mkdir()
    done = harness_command(
        "eval", "--model", tmp_path / "training", "--tasks", "t_choice", "--include_path", tasks, "--output_path",
        tmp_path / "out", "--wandb_args", "project=stages", "--wandb_config_args", "seed=7",
        "--trackio_args", "project=stages",
        cwd=tmp_path, env={**OFFLINE, "TRACKIO_DIR": str(tmp_path / "trackio"), "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Trackio" not in done.stdout
    files = sorted((tmp_path / "out").rglob("results_*.json"))
    values = [json.loads(file.read_text())["results"]["t_choice"]["acc,none"] for file in files]
    expected = list(zip((10_000, 20_000), values, strict=True))
    rows = [row for row in wandb_history(tmp_path) if "t_choice/acc" in row]
    assert [(row["_step"], row["t_choice/acc"]) for row in rows] == expected
    with sqlite3.connect(next((tmp_path / "trackio").glob("*.db"))) as database:
        found = database.execute("select run_name, step, metrics from metrics order by id").fetchall()
    assert [(name, step, json.loads(metrics)["t_choice/acc"]) for name, step, metrics in found] == [
        ("training", *pair) for pair in expected
    ]


def test_training_tokens_agree_with_the_lineage_of_reports() -> None:
    base, middle = link("base", published=True), link("middle", "base", tokens=300)
    lineage = (link("last", "middle", tokens=50), middle, base)
    assert training_tokens(lineage) == 350
    (node,) = [node for node in lineage_nodes([model("last", {}, lineage=lineage)]) if node.digest == "last"]
    assert node.total_tokens == 350
    assert training_tokens(()) is None
    assert training_tokens((base,)) == 0


def test_an_average_counts_its_longest_path_and_a_circle_ends() -> None:
    merged = link("merged", tokens=0)
    merged["manifest"] = {**merged["manifest"], "parents": [{"digest": "a"}, {"digest": "b"}]}
    assert training_tokens((merged, link("a", tokens=100), link("b", tokens=200))) == 200
    assert training_tokens((link("a", "b", tokens=1), link("b", "a", tokens=2))) == 3


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--wandb_args", "projct=stages"], "--wandb_args projct: no argument of wandb.init. Did you mean project?"),
        (["--trackio_args", "nam=x"], "--trackio_args nam: no argument of trackio.init."),
        (["--wandb_config_args", "seed=7"], "--wandb_config_args: needs --wandb_args"),
        (["--hf_hub_log_args", "hub_results_org=lab"], "--hf_hub_log_args: nothing is pushed without push_results_to"),
        (["--hf_hub_log_args", "public_rep=1"], "point_of_contact, gated. Did you mean public_repo?"),
        (["--hf_hub_log_args", "push_results_to_hub=True"], "--hf_hub_log_args: Hugging Face token is not defined"),
        (
            ["--hf_hub_log_args", "push_results_to_hub=True", "organisation=lab"],
            "--hf_hub_log_args organisation: no such argument; give output_path, hub_results_org, hub_repo_name, ",
        ),
    ],
)
def test_a_wrong_tracker_flag_is_one_line_before_any_work(
    words: list[str], problem: str, tmp_path: Path, harness_here: HarnessCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HF_TOKEN", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    tasks = write_tasks(tmp_path / "tasks", items=2)
    done = harness_here(
        "eval", "--backend", "scripted", "--model", "oracle", "--tasks", "t_choice", "--include_path", tasks,
        "--output_path", tmp_path / "out", *words,
    )  # fmt: skip
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert problem in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_push_is_refused_where_the_hub_is_turned_off(
    tmp_path: Path, harness_here: HarnessCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    done = harness_here(
        "eval", "--backend", "scripted", "--model", "oracle", "--tasks", "mini_logic", "--output_path",
        tmp_path / "out", "--hf_hub_log_args", "push_results_to_hub=True", "token=hf_test",
    )  # fmt: skip
    assert done.returncode == 2
    assert "HF_HUB_OFFLINE is set" in done.stderr


def test_a_tracker_that_fails_keeps_the_record_and_is_an_error_at_the_end(
    tmp_path: Path, harness_command: HarnessCommand
) -> None:
    tasks = write_tasks(tmp_path / "tasks", items=2)
    done = harness_command(
        "eval", "--backend", "scripted", "--model", "oracle", "--tasks", "t_choice", "--include_path", tasks,
        "--output_path", tmp_path / "out", "--wandb_args", "project=stages",
        cwd=tmp_path, env={**NO_ACCOUNT, "HOME": str(tmp_path), "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert "harness eval: --wandb_args: " in done.stderr
    assert "The records are complete; mend that, and run the same command again to log them." in done.stderr
    assert list((tmp_path / "out").rglob("results_*.json"))


WITH_SAMPLES = """
import sys
from harness.cli import build_parser
from harness.cli.eval_command import run
args = build_parser().parse_args(sys.argv[1:])
args.log_samples = True
sys.exit(run(args))
"""


def test_samples_are_logged_when_asked_for(tmp_path: Path, own_cache: Path) -> None:
    tasks = write_tasks(tmp_path / "tasks", items=3)
    (tmp_path / "wandb").mkdir()
    words = ["eval", "--backend", "scripted", "--model", "oracle", "--tasks", "t_all", "--include_path", tasks]
    words += ["--output_path", tmp_path / "out", "--trackio_args", "project=stages", "--wandb_args", "project=stages"]
    places = {"TRACKIO_DIR": str(tmp_path / "trackio"), "HARNESS_CACHE_DIR": str(own_cache), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", WITH_SAMPLES, *map(str, words)],
        env={**os.environ, **OFFLINE, **places}, cwd=tmp_path, capture_output=True, text=True, check=False,
        timeout=CEILING_SECONDS,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    with sqlite3.connect(next((tmp_path / "trackio").glob("*.db"))) as database:
        counts = dict(database.execute("select key, count(*) from traces group by key").fetchall())
    assert counts == {"t_choice/sample": 3, "t_generate/sample": 3}
    keys = {key for row in wandb_history(tmp_path) for key in row}
    assert any(key.startswith("t_choice_eval_results") for key in keys), keys


@pytest.mark.parametrize("samples", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_results_are_pushed_by_lm_evals_own_tracker(
    samples: bool, tmp_path: Path, harness_command: HarnessCommand
) -> None:
    tasks = write_tasks(tmp_path / "tasks", items=4)
    pushes = ["push_results_to_hub=True", *(["push_samples_to_hub=True"] if samples else [])]
    with running_hub() as (environment, hub):
        done = harness_command(
            "eval", "--backend", "scripted", "--model", "oracle", "--tasks", "t_choice", "--include_path", tasks,
            "--output_path", tmp_path / "out", "--hf_hub_log_args", *pushes, "hub_results_org=lab",
            env={**environment, "HF_DATASETS_CACHE": str(tmp_path / "datasets")},
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    pushed = [json.loads(data) for name, data in hub.files.items() if name.startswith("oracle/results_")]
    (file,) = (tmp_path / "out").rglob("results_*.json")
    assert pushed[0]["results"] == json.loads(file.read_text())["results"]
    assert any(name.startswith("oracle/samples_t_choice_") for name in hub.files) == samples
    assert ("README.md" in hub.files) == samples
