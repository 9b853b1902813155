"""One small study with real trainings, from the experiment file to its pages.

A stage names another by a placeholder, the tasks have variants, the comparison has a contrast, and the data of one arm
holds a test item.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.checkpoints.identity import checkpoint_digest
from harness.checkpoints.resolver import resolve
from harness.checkpoints.stage_manifest import read_manifest
from tests.study.forks import Forks
from tests.study.leaking import leaking_experiment


class Whole:
    """The finished study."""

    def __init__(self, folder: Path, done: subprocess.CompletedProcess[str]) -> None:
        self.folder, self.done = folder, done
        nodes = json.loads((folder / "study.json").read_text())["nodes"]
        self.keys: dict[str, str] = {node["label"]: node["key"] for node in nodes}

    def place(self, label: str) -> Path:
        """The folder of a checkpoint."""
        return self.folder / "nodes" / self.keys[label] / label

    def overlap(self, label: str) -> Mapping[str, Any]:
        """The tables of a search."""
        tables: dict[str, Any] = json.loads((self.place(label).parent / "overlap.json").read_text())["tables"]
        return tables


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, forks: Forks, fakes: Path) -> Whole:
    folder = tmp_path_factory.mktemp("whole")
    experiment = leaking_experiment(folder)
    task = yaml.safe_load((folder / "tasks" / "choice.yaml").read_text())
    for name in ("t_letter", "t_cot"):
        metadata = {**task["metadata"], "items_from": "t"}
        (folder / "tasks" / f"{name}.yaml").write_text(yaml.safe_dump({**task, "task": name, "metadata": metadata}))
    states = "{stages.base}/training/checkpoint-*"
    experiment["stages"]["merged"] = {"stage": "average", "checkpoints": [states]}
    experiment["evaluate"] |= {"tasks": "t_letter", "variants": ["direct", "cot"], "stages": ["merged"]}
    experiment["compare"] = {"stage": "merged", "contrasts": [["N", "C"]]}
    path = folder / "experiment.yaml"
    path.write_text(yaml.safe_dump(experiment, sort_keys=False))
    environment = {**os.environ, "HARNESS_CACHE_DIR": str(folder / "cache"), "TOKENIZERS_PARALLELISM": "false"}
    words = ["run", path, "--output_path", folder / "out", "--executor", "fork"]
    done = forks.run(words, environment, folder)
    assert done.returncode == 0, done.stderr
    return Whole(folder / "out", done)


def test_a_stage_that_names_another_by_a_placeholder_reads_its_checkpoints(whole: Whole) -> None:
    for arm in "NC":
        manifest = read_manifest(whole.place(f"merged-{arm}"))
        assert manifest is not None
        states = whole.place(f"base-{arm}").glob("training/checkpoint-*")
        digests = sorted(checkpoint_digest(resolve(str(state))) for state in states)
        assert len(digests) > 1
        assert sorted(parent.digest for parent in manifest.parents) == digests


def test_each_variant_of_a_task_is_asked(whole: Whole) -> None:
    records = [json.loads(path.read_text()) for path in whole.folder.glob("evaluations/*/*/results_*.json")]
    assert [sorted(record["results"]) for record in records] == [["t_cot", "t_letter"]] * 2


def test_a_contrast_has_a_page_of_its_own_arms(whole: Whole) -> None:
    pages = [Path(line) for line in whole.done.stdout.splitlines()]
    assert [page.name for page in pages] == ["compare-N-C.html", "compare.html"]
    contrast, all_arms = (page.read_text() for page in pages)
    assert "N against C" in contrast
    assert "C against N" in all_arms


def test_a_planted_leak_is_named_and_the_arm_without_it_has_none(whole: Whole) -> None:
    assert whole.overlap("overlap-merged-N")["items"] == []
    tables = whole.overlap("overlap-merged-C")
    assert {(row["task"], row["item"], row["source"]) for row in tables["items"]} == {
        ("t_letter", "3", "code"), ("t_cot", "3", "code"),
    }  # fmt: skip
    assert {Path(row["stage"]).name for row in tables["checkpoints"]} == {"base-C"}
    page = (whole.folder / "compare.html").read_text()
    assert "Difference by task, without overlapping items" in page
