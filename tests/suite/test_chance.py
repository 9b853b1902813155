"""The level of guessing is computed from the evaluated items."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from harness.records import load
from harness.records.run_folder import read_record
from harness.suite.catalogue import Catalogue
from harness.suite.chance import item_chance
from tests.conftest import HarnessCommand
from tests.tasks_for_tests import CHOICE


def _task(folder: Path, rows: list[dict[str, Any]], metric: str = "acc") -> Path:
    folder.mkdir()
    data = folder / "items.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    text = CHOICE.format(name="guessed", data=data, domain="logic").replace(", chance: 0.25", "")
    (folder / "guessed.yaml").write_text(text.replace("metric: acc,", f"metric: {metric},"), encoding="utf-8")
    return folder


def _chance(folder: Path, tmp_path: Path, harness_here: HarnessCommand, *more: object) -> float:
    words = ["--tasks", "guessed", "--include_path", folder, "--output_path", tmp_path / "runs", *more]
    done = harness_here("eval", "--backend", "scripted", "--model", "uniform", *words)
    assert done.returncode == 0, done.stderr
    return read_record(tmp_path / "runs" / "uniform").tasks["guessed"].chance


def _row(choices: int, answer: Any = 0) -> dict[str, Any]:
    return {"prompt": "Which?", "choices": [f"number {n}" for n in range(choices)], "answer": answer}


def test_requests_without_a_context_are_no_choices(tmp_path: Path, harness_here: HarnessCommand) -> None:
    folder = _task(tmp_path / "tasks", [_row(4)] * 3, metric="acc_mutual_info")
    assert _chance(folder, tmp_path, harness_here) == 0.25
    for file in (tmp_path / "runs").rglob("run*.json"):  # as a run of lm-eval
        file.unlink()
    (model,) = load([tmp_path / "runs"]).models
    assert model.tasks["guessed"].chance == 0.25


@pytest.mark.parametrize(
    ("limit", "expected"), [([], (1 / 2 + 1 / 4 + 1 / 5) / 3), (["--limit", 2], (1 / 2 + 1 / 4) / 2)]
)
def test_items_may_have_different_numbers_of_choices(
    limit: list[object], expected: float, tmp_path: Path, harness_here: HarnessCommand
) -> None:
    folder = _task(tmp_path / "tasks", [_row(2), _row(4), _row(5)])
    assert _chance(folder, tmp_path, harness_here, *limit) == pytest.approx(expected)


def test_several_right_choices_are_easier_to_guess(tmp_path: Path, harness_here: HarnessCommand) -> None:
    folder = _task(tmp_path / "tasks", [_row(4, [0, 2]), _row(4, [1])])
    assert _chance(folder, tmp_path, harness_here) == pytest.approx((2 / 4 + 1 / 4) / 2)


@pytest.mark.parametrize(("name", "expected"), [("jec_qa_kd_subset", 0.120), ("jec_qa_ca_subset", 0.133)])
def test_the_guess_for_sets_of_letters_is_one_letter(
    name: str, expected: float, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARNESS_DATA", str(data_dir))
    task = Catalogue().load([name]).tasks[name]
    docs = list(task.eval_docs)
    chance = sum(item_chance(task, doc) for doc in docs) / len(docs)
    assert round(chance, 3) == expected
    drawn = random.Random(0)
    guesses = sum(drawn.choice("ABCD") == doc["answer"] for doc in docs for _ in range(200)) / (200 * len(docs))
    assert guesses == pytest.approx(chance, abs=0.005)
