"""`harness compare A B --last_checkpoints K`: each training run is the mean of its last checkpoints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.reports.conftest import Command
from tests.reports.small_designs import Values, answers
from tests.reports.study_records import RunTask, write_study_run

STEPS = (100, 200, 300)


def checkpoint(arm: int, seed: int, step: int) -> Values:
    return answers((arm, step), seed, gain=0.1 * arm)


def lineage(arm: int, seed: int, step: int) -> list[dict[str, Any]]:
    """One link; the last checkpoint is the finished stage, as `harness train` writes it."""
    name = f"sft-{arm}-{seed}"
    manifest = {"stage": "sft", "name": name, "seed": seed, "step": step, "finished": step == STEPS[-1]}
    manifest |= {"spec": {}, "sources": [], "tokens": 1000, "parents": [{"name": "base", "digest": "sha256:base"}]}
    return [{"name": f"{name}-{step}", "digest": f"sha256:{name}-{step}", "status": "verified", "manifest": manifest}]


def write_checkpoints(folder: Path, seeds: int = 1, known: bool = True) -> list[str]:
    """Two arms; returns them as words of the command line."""
    words = []
    for arm in (0, 1):
        places = []
        for seed in range(seeds):
            for step in STEPS:
                tasks = {"first": RunTask(values=checkpoint(arm, seed, step))}
                line = lineage(arm, seed, step) if known else []
                places.append(str(write_study_run(folder / f"arm-{arm}", f"m-{arm}-{seed}-{step}", tasks, line)))
        words.append(f"{'AB'[arm]}={','.join(places)}")
    return words


def mean_of(arm: int, seeds: int, last: int) -> float:
    return float(np.mean([checkpoint(arm, seed, step) for seed in range(seeds) for step in STEPS[-last:]]))


@pytest.mark.parametrize(("seeds", "last"), [(1, 1), (1, 2), (3, 2), (3, 3)])
def test_the_last_checkpoints_of_each_training_run_are_averaged(
    seeds: int, last: int, command: Command, tmp_path: Path
) -> None:
    words = write_checkpoints(tmp_path, seeds)
    code, out, err = command("compare", *words, "--last_checkpoints", last, "--format", "json")
    assert (code, err) == (0, "")
    row = json.loads(out)["tables"]["differences"][0]
    assert row["items"] == 40
    assert (row["mean_baseline"], row["mean_arm"]) == pytest.approx((mean_of(0, seeds, last), mean_of(1, seeds, last)))


def test_a_note_names_the_checkpoints_that_were_averaged(command: Command, tmp_path: Path) -> None:
    words = write_checkpoints(tmp_path)
    note = (
        "Each run is the mean of its last 2 checkpoints, at steps: m-0-0-300 (200, the end), m-1-0-300 (200, the end)."
    )
    for last, expected in ((2, [note]), (1, [])):
        out = command("compare", *words, "--last_checkpoints", last, "--format", "json")[1]
        assert [one for one in json.loads(out)["notes"] if "checkpoints" in one] == expected


def test_a_folder_of_checkpoints_is_one_arm(command: Command, tmp_path: Path) -> None:
    words = write_checkpoints(tmp_path)
    named = command("compare", *words, "--last_checkpoints", 2, "--format", "csv")[1]
    folders = [f"{name}={tmp_path / f'arm-{arm}'}" for arm, name in enumerate("AB")]
    assert command("compare", *folders, "--last_checkpoints", 2, "--format", "csv")[1] == named
    assert command("compare", *folders)[0] == 2


def test_one_last_checkpoint_is_that_checkpoint(command: Command, tmp_path: Path) -> None:
    words = write_checkpoints(tmp_path)
    last = [f"{word[0]}={word.split(',')[-1]}" for word in words]
    expected = command("compare", *last, "--format", "csv")[1]
    assert command("compare", *words, "--last_checkpoints", 1, "--format", "csv")[1] == expected


@pytest.mark.parametrize(
    ("known", "last", "part"),
    [
        (True, 4, "--last_checkpoints 4: m-0-0-300 has 3 checkpoints here"),
        (True, 0, "--last_checkpoints 0: give 1 or more"),
        (False, 2, "the lineage of m-0-0-100 is unknown, so its training run is too"),
    ],
)
def test_checkpoints_that_cannot_be_averaged_are_refused(
    known: bool, last: int, part: str, command: Command, tmp_path: Path
) -> None:
    code, _, err = command("compare", *write_checkpoints(tmp_path, known=known), "--last_checkpoints", last)
    assert (code, err.count("\n")) == (2, 1)
    assert part in err


def test_the_page_shows_a_command_that_compares_the_same(command: Command, tmp_path: Path) -> None:
    words = write_checkpoints(tmp_path)
    page = tmp_path / "page.html"
    assert command("compare", *words, "--last_checkpoints", 2, "--format", "html", "--output_path", page)[0] == 0
    text = page.read_text()
    assert "--last_checkpoints 2" in text
    assert f"{tmp_path / 'arm-0' / 'm-0-0-300'},{tmp_path / 'arm-0' / 'm-0-0-200'}" in text
