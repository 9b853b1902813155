"""The org/name of an exported model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.export.naming import default_id
from harness.records import load
from harness.records.results_file import read_contents
from tests.reports.records_for_tests import write_run


def name_of(folder: Path) -> str:
    (model,) = load([folder]).models
    return default_id(model, read_contents(next(iter(model.tasks.values())).results))


def test_a_trained_model_is_named_by_its_lineage_and_its_digest(trained: Path) -> None:
    assert name_of(trained) == "local/SmolLM2-135M-text-20-sft-1a2b3c4d"


def changed(folder: Path, **config: object) -> Path:
    file = next(folder.rglob("results_*.json"))
    contents = json.loads(file.read_text())
    contents["config"] |= config
    contents |= {"model_name": config.get("name", contents["model_name"])}
    file.write_text(json.dumps(contents))
    return folder


@pytest.mark.parametrize(
    ("source", "sha", "expected"),
    [
        ("org/model", "0" * 40, "org/model"),
        ("runs/model", "", "local/model"),  # a path that looks like an id
        ("/home/someone/my model (2)", "", "local/my-model-2"),
        ("...", "", "local/model"),
    ],
)
def test_a_run_of_plain_lm_eval_is_named_by_the_hub_or_by_its_folder(
    source: str, sha: str, expected: str, tmp_path: Path
) -> None:
    write_run(tmp_path, "m", {0}, items=2)
    changed(tmp_path, model_args={"pretrained": source}, model_sha=sha, name=source)
    assert name_of(tmp_path) == expected


def test_a_long_name_stays_valid(tmp_path: Path) -> None:
    write_run(tmp_path, "m", {0}, items=2)
    changed(tmp_path, model_args={"pretrained": "x"}, name="-" + "long-name." * 30)
    from huggingface_hub.utils._validators import validate_repo_id

    validate_repo_id(name_of(tmp_path))
