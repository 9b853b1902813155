"""Folders written by plain lm-eval are compared and ranked as they are, also next to folders of `harness eval`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from harness import stats
from harness.records import items_frame, load, results_frame
from tests.conftest import ROOT
from tests.models import save_tiny_llama
from tests.reports.conftest import Command

TASKS = ("mini_logic", "t_choice", "t_generate")
LIMIT = 40


def _perturbed(folder: Path, original: Path, *, noise: float = 5.0) -> Path:
    """Save a copy of a model with noise on its weights, by default enough to change the answers of random weights."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(original)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weights in model.parameters():
            weights.add_(torch.randn(weights.shape, generator=generator) * noise)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(original).save_pretrained(folder)
    return folder


def _lm_eval(model: Path, tasks: Path, output: Path) -> None:
    """What ``lm_eval --model hf --log_samples --output_path`` does."""
    from lm_eval import simple_evaluate
    from lm_eval.loggers import EvaluationTracker
    from lm_eval.tasks import TaskManager

    tracker = EvaluationTracker(output_path=str(output))
    results = simple_evaluate(
        model="hf",
        model_args=f"pretrained={model},dtype=float32",
        tasks=list(TASKS),
        device="cpu",
        batch_size=8,
        log_samples=True,
        evaluation_tracker=tracker,
        task_manager=TaskManager(
            include_path=[str(tasks), str(ROOT / "tasks" / "reasoning_mini")], include_defaults=False
        ),
        limit=LIMIT,
        bootstrap_iters=0,
    )
    assert results is not None
    samples = results.pop("samples")
    tracker.save_results_aggregated(results=results, samples=samples)
    for task, rows in samples.items():
        tracker.save_results_samples(task_name=task, samples=rows)


@pytest.fixture(scope="module")
def folders(report_tasks: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("lm-eval")
    original = save_tiny_llama(place / "models" / "tiny")
    for model in (original, _perturbed(place / "models" / "perturbed", original)):
        _lm_eval(model, report_tasks, place / "out")
    return place / "out"


@pytest.mark.slow
def test_a_real_model_and_a_perturbed_copy_evaluated_by_the_lm_eval_command(
    smollm2: Path, data_dir: Path, tmp_path: Path, command: Command
) -> None:
    """The commands read the folder of `lm_eval ... --log_samples` without a conversion."""
    models = {"smollm2": smollm2, "perturbed": _perturbed(tmp_path / "perturbed", smollm2, noise=0.02)}
    (tmp_path / "smollm2").symlink_to(smollm2)
    for name in models:
        done = subprocess.run(
            [sys.executable, "-m", "lm_eval", "--model", "hf", "--tasks", "arc_easy_cloze,logiqa_en_letter",
             "--model_args", f"pretrained={tmp_path / name},dtype=float32", "--include_path", str(ROOT / "tasks"),
             "--limit", "40", "--batch_size", "8", "--device", "cpu", "--log_samples",
             "--output_path", str(tmp_path / "out")],
            env={**os.environ, "HARNESS_DATA": str(data_dir)}, cwd=ROOT, check=False, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]
    document = _json(command, "compare", "smollm2", "perturbed", "--runs", tmp_path / "out")
    rows = {row["task"]: row for row in document["tables"]["differences"]}
    assert {name: row["items"] for name, row in rows.items()} == {"arc_easy_cloze": 40, "logiqa_en_letter": 40}
    assert any(row["gained"] + row["lost"] for row in rows.values())
    board = _json(command, "leaderboard", tmp_path / "out")["tables"]["leaderboard"]
    assert {row["model"] for row in board} == {"smollm2", "perturbed"}
    print({name: (row["mean_baseline"], row["mean_arm"], row["p"]) for name, row in rows.items()})


def _rows(folders: Path, model: str, task: str) -> list[dict[str, Any]]:
    file = next(folder for folder in folders.iterdir() if folder.name.endswith(model))
    text = next(file.glob(f"samples_{task}_*.jsonl")).read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def _accuracies(folders: Path, model: str) -> dict[str, float]:
    return {row["doc_hash"]: row["acc"] for row in _rows(folders, model, "mini_logic")}


def _json(command: Command, *words: object) -> Any:
    code, out, err = command(*words, "--format", "json")
    assert (code, err) == (0, ""), err
    return json.loads(out)


def test_two_folders_of_lm_eval_are_compared(command: Command, folders: Path) -> None:
    document = _json(command, "compare", "tiny", "perturbed", "--runs", folders)
    rows = {row["task"]: row for row in document["tables"]["differences"]}
    assert set(rows) == set(TASKS)
    a, b = _accuracies(folders, "tiny"), _accuracies(folders, "perturbed")
    assert a != b, "the models must differ, otherwise the test shows nothing"
    clusters = [row["doc"]["template"] for row in _rows(folders, "tiny", "mini_logic")]
    test = stats.compare_paired(list(a.values()), [b[key] for key in a], clusters)
    row = rows["mini_logic"]
    assert (row["difference"], row["p"]) == (test.difference, test.p)
    assert (row["gained"], row["lost"]) == (test.gained, test.lost)


def test_two_folders_of_lm_eval_are_ranked(command: Command, folders: Path) -> None:
    rows = _json(command, "leaderboard", folders, "--tasks", "mini_logic")["tables"]["leaderboard"]
    assert {row["model"] for row in rows} == {"tiny", "perturbed"}
    right = [sum(_accuracies(folders, row["model"]).values()) for row in rows]
    assert right == sorted(right, reverse=True)


def test_lm_eval_folders_rank_together_with_ours_and_a_note_names_the_engines(
    command: Command, folders: Path, runs: Path
) -> None:
    document = _json(command, "leaderboard", folders, runs, "--tasks", "t_choice,t_generate")
    assert {row["model"] for row in document["tables"]["leaderboard"]} == {
        "tiny", "perturbed", "oracle", "corrupted", "uniform",
    }  # fmt: skip
    notes = " ".join(document["notes"])
    assert "Engine differs" in notes
    assert "lm-eval:hf" in notes


def test_domain_chance_and_dtype_are_read_from_files_of_plain_lm_eval(folders: Path) -> None:
    frame = results_frame(load([folders]).models)
    headline = frame[frame.headline].set_index(["model", "task"])
    assert headline.loc[("tiny", "t_choice"), "domain"] == "logic"
    assert headline.loc[("tiny", "t_choice"), "chance"] == 0.25
    assert headline.loc[("tiny", "mini_logic"), "items"] == LIMIT
    assert set(frame.dtype) == {"float32"}
    assert set(frame.engine) == {"lm-eval:hf"}


def test_the_frames_contain_every_item_with_its_digests_and_values(folders: Path) -> None:
    models = load([folders]).models
    frame = items_frame(models)
    assert len(frame) == 2 * (24 + 24 + LIMIT)
    choice = frame[(frame.model == "tiny") & (frame.task == "mini_logic")]
    assert dict(zip(choice.doc_hash, choice["acc"], strict=True)) == _accuracies(folders, "tiny")
    assert np.isnan(choice["exact_match"]).all()
    assert (choice.prompt_hash.str.len() == 64).all()


def test_chance_comes_from_the_number_of_choices_if_a_task_has_no_chance_level(folders: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folders, tmp_path / "out"))
    for file in copy.rglob("results_*.json"):
        written = json.loads(file.read_text(encoding="utf-8"))
        del written["configs"]["t_choice"]["metadata"]
        file.write_text(json.dumps(written), encoding="utf-8")
    for model in load([copy]).models:
        assert model.tasks["t_choice"].chance == 0.25
        assert model.tasks["t_choice"].domain == "other"


def test_the_error_for_a_missing_samples_file_names_the_remedy(command: Command, folders: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folders, tmp_path / "out"))
    file = next(copy.rglob("samples_t_choice_*.jsonl"))
    file.unlink()
    code, _, err = command("leaderboard", copy)
    assert code == 2
    assert file.name in err
    assert "--log_samples" in err
