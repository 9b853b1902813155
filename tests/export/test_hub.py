"""Files of a hub repository, read with huggingface_hub's own classes; a push goes to a server of this test."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import ModelCard, parse_eval_result_entries
from huggingface_hub.repocard_data import model_index_to_eval_results

from tests.conftest import HarnessCommand
from tests.export.conftest import BASE
from tests.hub_server import running_hub
from tests.reports.conftest import Command

NAME = "local__SmolLM2-135M-text-20-sft-1a2b3c4d"
BENCHMARK = {"dataset": "lab/benchmark", "task_id": "main", "percent": True}


def exported(command: Command, runs: Path, out: Path, *words: object) -> str:
    code, stdout, err = command("export", runs, "--format", "hub", "--output_path", out, *words)
    assert (code, stdout) == (0, ""), err
    return err


def card_of(folder: Path) -> Any:
    return ModelCard.load(folder / "README.md")


def test_the_card_has_a_model_index_with_intervals(command: Command, trained: Path, tmp_path: Path) -> None:
    exported(command, trained, tmp_path)
    card = card_of(tmp_path / NAME)
    assert card.data.model_name == NAME.partition("__")[2]
    results = {result.dataset_name: result for result in card.data.eval_results or []}
    assert results["clustered"].metric_value == pytest.approx(2 / 3)
    low, high = results["clustered"].metric_args["interval_95"]
    assert 0.4 < low < 2 / 3 < high < 0.9
    assert results["plain"].metric_args["items"] == 60
    assert results["plain"].metric_args["failed_requests"] == 0
    metadata = yaml.safe_load((tmp_path / NAME / "README.md").read_text().split("---")[1])
    name, entries = model_index_to_eval_results(metadata["model-index"])
    assert (name, len(entries)) == (card.data.model_name, 2)
    assert {entry.task_type for entry in entries} == {"text-generation"}


def test_the_card_says_how_the_model_was_made(command: Command, trained: Path, tmp_path: Path) -> None:
    exported(command, trained, tmp_path)
    card = card_of(tmp_path / NAME)
    assert card.data.base_model == [BASE.source]
    assert card.data.datasets == ["lab/code-small"]
    assert card.data.tags == ["stage-harness", "pretrain", "sft"]
    assert "Stage `sft` (sft), made from `text-20`. It has seen 2,000 tokens over all stages." in card.text
    assert card.text.index("### pretrain: text-20") < card.text.index("### sft: sft"), "oldest first"
    assert "- made from: `SmolLM2-135M` (HuggingFaceTB/SmolLM2-135M, 0123456789ab), weights bbbbbbbbbbbb" in card.text
    assert "- tokens: 1,000 in 10 steps, seed 7" in card.text
    assert "| text | text.jsonl | 750 | 75.0% | 1 | cccccccccccc |" in card.text
    assert "| code | lab/code-small | 250 | 25.0% | 0 | 0123456789ab |" in card.text
    assert '"learning_rate": 0.001' in card.text
    assert '"split_batches": false' in card.text


def test_the_card_shows_results_with_intervals(command: Command, trained: Path, tmp_path: Path) -> None:
    exported(command, trained, tmp_path)
    card = card_of(tmp_path / NAME)
    (row,) = [line for line in card.text.splitlines() if line.startswith("| plain")]
    cells = [cell.strip() for cell in row.split("|")[1:-1]]
    assert cells[:6] == ["plain", "science", "acc", "0", "60", "0.333"]
    assert cells[6].startswith("0.22") or cells[6].startswith("0.23")
    assert cells[7:] == ["0.25", "0"]


def test_nothing_private_is_published(command: Command, trained: Path, tmp_path: Path) -> None:
    exported(command, trained, tmp_path)
    text = (tmp_path / NAME / "README.md").read_text()
    for word in ("/home/someone", "hub_token", "output_dir", str(tmp_path)):
        assert word not in text


def declared(runs: Path, task: str, benchmark: object, **more: Any) -> Path:
    """Let a task of a run declare a hub benchmark."""
    file = next(runs.rglob("results_*.json"))
    contents = json.loads(file.read_text(encoding="utf-8"))
    contents["configs"][task]["metadata"]["hub_benchmark"] = benchmark
    file.write_text(json.dumps({**contents, **more}), encoding="utf-8")
    return runs


def test_a_declared_benchmark_gets_a_result_file(command: Command, trained: Path, tmp_path: Path) -> None:
    counts = {"n-samples": {"plain": {"original": 60, "effective": 60}}, "date": 1735689600.7}
    exported(command, declared(trained, "plain", BENCHMARK, **counts), tmp_path / "out")
    (file,) = (tmp_path / "out" / NAME / ".eval_results").iterdir()
    assert file.name == "plain.yaml"
    (entry,) = parse_eval_result_entries(yaml.safe_load(file.read_text()))
    assert (entry.dataset_id, entry.task_id) == ("lab/benchmark", "main")
    assert entry.value == pytest.approx(100 / 3)
    assert entry.date == "2025-01-01T00:00:00Z"
    assert entry.notes is not None
    assert entry.notes.startswith("0-shot, 95% interval 2")


@pytest.mark.parametrize(
    ("benchmark", "problem"),
    [
        ("lab/benchmark", "is 'lab/benchmark'; give a mapping such as {dataset: org/name, task_id: main}."),
        ({"dataset": "lab/benchmark"}, "lacks task_id; add it to the task's YAML."),
        (BENCHMARK | {"metric": "f1"}, "names the metric 'f1'; give one of acc,none."),
        (BENCHMARK | {"percentage": True}, "has an unknown key 'percentage'; give dataset, task_id, metric, percent"),
    ],
)
def test_a_wrong_benchmark_is_named_and_the_card_is_written(
    benchmark: object, problem: str, command: Command, trained: Path, tmp_path: Path
) -> None:
    err = exported(command, declared(trained, "plain", benchmark), tmp_path / "out")
    assert f"note: sft, plain: no entry for its benchmark, because hub_benchmark {problem}" in err
    assert not (tmp_path / "out" / NAME / ".eval_results").exists()
    assert (tmp_path / "out" / NAME / "README.md").is_file()


@pytest.mark.parametrize(
    ("counts", "problem"),
    [({"original": 600, "effective": 60}, "only 60 of 600 items were run")],
)
def test_part_of_a_benchmark_is_no_result(
    counts: dict[str, int], problem: str, command: Command, trained: Path, tmp_path: Path
) -> None:
    runs = declared(trained, "plain", BENCHMARK, **{"n-samples": {"plain": counts}})
    err = exported(command, runs, tmp_path / "out")
    assert f"note: sft, plain: no entry for lab/benchmark, because {problem}." in err
    assert not (tmp_path / "out" / NAME / ".eval_results").exists()


def test_failed_requests_are_no_result_either(command: Command, failed_run: Path, tmp_path: Path) -> None:
    import shutil

    runs = Path(shutil.copytree(failed_run, tmp_path / "runs", symlinks=True))
    err = exported(command, declared(runs, "t_choice", BENCHMARK), tmp_path / "out")
    assert "t_choice: no entry for lab/benchmark, because" in err
    assert "requests failed." in err


def test_a_push_uploads_the_card_in_one_commit(trained: Path, tmp_path: Path, harness_command: HarnessCommand) -> None:
    words = ("--format", "hub", "--output_path", tmp_path / "out", "--push_to", "lab/code-sft")
    with running_hub() as (environment, hub):
        done = harness_command("export", trained, *words, env=environment)
    assert done.returncode == 0, done.stderr
    assert f"pushed: {environment['HF_ENDPOINT']}/lab/code-sft/commit/1" in done.stderr
    assert len(hub.commits) == 1
    card = (tmp_path / "out" / "lab__code-sft" / "README.md").read_bytes()
    assert hub.files == {"README.md": card}


def test_a_push_that_fails_keeps_the_files(trained: Path, tmp_path: Path, harness_command: HarnessCommand) -> None:
    words = ("--format", "hub", "--output_path", tmp_path / "out", "--push_to", "lab/code-sft")
    environment = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_TOKEN": "hf_test", "HF_HUB_OFFLINE": "0"}
    done = harness_command("export", trained, *words, env=environment)
    assert done.returncode == 1
    assert "--push_to lab/code-sft: not uploaded" in done.stderr
    assert "Traceback" not in done.stderr
    assert (tmp_path / "out" / "lab__code-sft" / "README.md").is_file()


def test_a_push_is_refused_where_the_hub_is_turned_off(
    trained: Path, tmp_path: Path, harness_command: HarnessCommand
) -> None:
    words = ("--format", "hub", "--output_path", tmp_path / "out", "--push_to", "lab/code-sft")
    done = harness_command("export", trained, *words, env={"HF_HUB_OFFLINE": "1"})
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "HF_HUB_OFFLINE is set" in done.stderr
    assert not (tmp_path / "out").exists()
