"""What an average inherits from its parents, and what its children and reports know of it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from safetensors.torch import load_file

from harness.checkpoints import lineage
from harness.checkpoints.resolver import resolve
from harness.checkpoints.stage_manifest import StageManifest, read_manifest, write_manifest
from harness.cli import main
from harness.errors import InputError
from harness.trainers import average, pretrain, sft
from tests.trainers.averages import WEIGHTS, edited, expected, spec, training_on
from tests.trainers.helpers import CPU, chat_model, documents, instructions, write_jsonl


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training with five saved states, their average, and a child that was trained from it."""
    folder = tmp_path_factory.mktemp("trained")
    texts = write_jsonl(folder / "text.jsonl", documents(100))
    pretrain.train(
        training_on(texts, tokens=3200, architecture="tiny", tokenizer={"vocab_size": 300}, chat_template="plain"),
        folder / "base",
    )
    average.train(spec(folder / "base" / "training", last=3, name="base-averaged"), folder / "averaged")
    questions = write_jsonl(folder / "questions.jsonl", instructions(40))
    child = {
        "stage": "sft", "name": "child", "from": str(folder / "averaged"), "trainer": {**CPU, "max_length": 64},
        "data": {"budget_tokens": 600, "sources": {"one": {"path": str(questions), "format": "instruction"}}},
    }  # fmt: skip
    sft.train(child, folder / "child")
    return folder


def test_the_states_of_a_training_are_averaged_and_trained_further(trained: Path) -> None:
    states = sorted((trained / "base" / "training").glob("checkpoint-*"), key=lambda path: int(path.name[11:]))
    assert len(states) == 5
    for name, values in load_file(trained / "averaged" / WEIGHTS).items():
        oracle = expected(states[-3:], [1 / 3] * 3)[name]
        np.testing.assert_allclose(values.double().numpy(), oracle, rtol=1e-6, atol=1e-7)
        if "proj" in name:
            assert not np.allclose(load_file(states[-2] / WEIGHTS)[name].numpy(), oracle, atol=1e-6)
    manifest = read_manifest(trained / "averaged")
    assert manifest is not None
    assert (manifest.finished, manifest.tokens, manifest.step) == (True, 0, 0)
    assert [parent.name for parent in manifest.parents] == [f"base/{state.name}" for state in states[-3:]]
    assert manifest.arguments["steps"] == [int(state.name[11:]) for state in states[-3:]]
    assert manifest.spec["last"] == 3


def test_the_lineage_of_a_child_of_an_average_has_every_state_once(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    links = lineage.chain(str(trained / "child"))
    assert [link.status for link in links] == ["verified"] * 5
    assert [link.manifest.stage for link in links if link.manifest] == ["sft", "average"] + ["pretrain"] * 3
    assert links[0].parents == (links[1].digest,)
    assert links[1].parents == tuple(link.digest for link in links[2:])
    assert main(["lineage", str(trained / "child")]) == 0
    output = capsys.readouterr().out
    numbered = [line.split()[:2] for line in output.splitlines() if line.split()[0].rstrip(".") in list("12345")]
    states = [link.name for link in links[2:]]
    assert numbered == [[f"{n}.", name] for n, name in enumerate([*states, "averaged", "child"], 1)]
    origins = [line.strip() for line in output.splitlines() if line.strip().startswith("from ")]
    assert origins == ["from scratch"] * 3 + ["from 1, 2, 3", "from 4"]
    assert "mean of 3 checkpoints" in output


def test_a_state_that_changed_is_seen_and_one_that_is_missing_is_reported(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(shutil.copytree(trained, tmp_path / "trained"))
    for path in folder.rglob("stage.json"):
        path.write_text(path.read_text().replace(str(trained), str(folder)))
    second = Path(lineage.chain(str(folder / "averaged"))[2].location)
    edited(second, lambda tensors: tensors["model.norm.weight"].add_(1))
    message = f"{second}: its weights changed after base-averaged was trained from it"
    with pytest.raises(InputError) as refusal:
        lineage.verify(resolve(str(folder / "averaged")))
    assert message in str(refusal.value)
    with pytest.raises(InputError) as refusal:
        lineage.check_unchanged(lineage.chain(str(folder / "averaged")))
    assert message in str(refusal.value)
    assert main(["lineage", str(folder / "child")]) == 1
    shutil.rmtree(second)
    lineage.verify(resolve(str(folder / "averaged")))
    assert [link.status for link in lineage.chain(str(folder / "averaged"))].count("missing") == 1
    capsys.readouterr()
    assert main(["lineage", str(folder / "child")]) == 0
    assert "missing on this machine" in capsys.readouterr().out


def test_an_average_is_evaluated_compared_and_ranked(
    trained: Path, tmp_path: Path, own_cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("averaged", "child"):
        words = ["eval", "--model", str(trained / name), "--tasks", "mini_logic", "--limit", "2"]
        assert main([*words, "--output_path", str(tmp_path / "runs")]) == 0
    (record,) = (tmp_path / "runs" / "averaged").glob("run_*.json")
    links = json.loads(record.read_text())["model"]["lineage"]
    assert len(links) == 4
    digests = [parent["digest"] for parent in links[0]["manifest"]["parents"]]
    assert digests == [link["digest"] for link in links[1:]]
    assert links[0]["manifest"]["schema_version"] == 2
    capsys.readouterr()
    page = tmp_path / "page.html"
    assert main(["leaderboard", str(tmp_path / "runs"), "--output_path", str(page)]) == 0
    section = page.read_text(encoding="utf-8").split('<section id="lineage"')[1].split("</section>")[0]
    assert section.count('class="stage') == 5
    assert section.count('class="edge"') == 4
    assert main(["compare", "averaged", "child", "--runs", str(tmp_path / "runs")]) == 0


def _saw(folder: Path, *data: str, inherited: tuple[str, ...] = ()) -> None:
    """Write a manifest that says that the checkpoint was trained on evaluation data."""
    source = {"name": "s", "location": "x", "format": "text", "eval_data": data}
    fields = {
        "stage": "sft", "name": folder.name, "finished": False, "step": 1, "parents": [], "trainer": {}, "seed": 0,
        "arguments": {}, "spec": {}, "mixture": {}, "budget_tokens": 1, "tokens": 1, "sequences": 1, "ledger": [],
        "sources": [source], "wall_seconds": 1, "started": "2025-01-01", "device": "cpu",
        "inherited_eval_data": inherited,
    }  # fmt: skip
    write_manifest(folder, StageManifest.model_validate(fields))


def test_evaluation_data_of_every_parent_is_inherited_and_said_even_if_parents_are_missing(
    tmp_path: Path, own_cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two, clean = (chat_model(tmp_path / name, seed=seed) for seed, name in enumerate(("one", "two", "clean")))
    _saw(one, "gsm8k_test")
    _saw(two, "humaneval", inherited=("mbpp",))
    stage = tmp_path / "stage.yaml"
    stage.write_text(yaml.safe_dump(spec(one, two, clean)))
    out = tmp_path / "averaged"
    assert main(["train", str(stage), "--output_path", str(out)]) == 0
    printed = capsys.readouterr()
    assert "earlier stages were trained on evaluation data: gsm8k_test, humaneval, mbpp" in printed.out
    assert "averaged: made from 3 checkpoints" in printed.out
    manifest = read_manifest(out)
    assert manifest is not None
    assert manifest.inherited_eval_data == ("gsm8k_test", "humaneval", "mbpp")
    assert main(["train", str(stage), "--output_path", str(out)]) == 0
    assert "this stage was already finished" in capsys.readouterr().err

    def warnings() -> list[str]:
        links = [
            {"digest": link.digest, "manifest": link.manifest.to_json() if link.manifest else None}
            for link in lineage.chain(str(out))
        ]
        return lineage.contamination_warnings("m", links)

    start = "m was trained on evaluation data"
    assert warnings() == [
        f"{start} (one): gsm8k_test.",
        f"{start} (two): humaneval.",
        f"{start} (before two): mbpp.",
    ]
    shutil.rmtree(two)
    assert warnings() == [f"{start} (one): gsm8k_test.", f"{start} (before averaged): humaneval, mbpp."]
