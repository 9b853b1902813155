"""Lineage: the chain from a checkpoint to its root, its digests, and the refusal of evaluation data."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.checkpoints import lineage
from harness.checkpoints.identity import checkpoint_digest
from harness.checkpoints.resolver import resolve
from harness.checkpoints.stage_manifest import Parent, StageManifest, read_manifest, write_manifest
from harness.cli import main
from harness.cli.lineage_command import _repeated
from harness.errors import CheckpointError, InputError
from harness.trainers import dpo, pretrain, sft
from harness.trainers.data.spec import SourceSpec
from harness.trainers.stage.contamination import eval_data_of
from tests.synthetic import Project
from tests.trainers.helpers import CPU, chat_model, documents, instructions, preferences, write_jsonl


def stage(name: str, source: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "stage": name,
        "name": f"{name}-stage",
        "data": {"budget_tokens": 2000, "sources": {"one": source}},
        "trainer": {**CPU, "max_length": 64},
        **more,
    }


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three stages: a base from scratch, a LoRA on it, and full weights trained on preferences from that."""
    folder = tmp_path_factory.mktemp("family")
    text = {"path": str(write_jsonl(folder / "text.jsonl", documents(60))), "format": "text"}
    pretrain.train(stage("pretrain", text, architecture="tiny", tokenizer={"vocab_size": 300}), folder / "base")
    questions = {"path": str(write_jsonl(folder / "questions.jsonl", instructions(60))), "format": "instruction"}
    sft.train(stage("sft", questions, **{"from": str(folder / "base")}, adapter={"r": 4}), folder / "tuned")
    pairs = {"path": str(write_jsonl(folder / "pairs.jsonl", preferences(60))), "format": "preference"}
    dpo.train(stage("dpo", pairs, **{"from": str(folder / "tuned")}), folder / "preferred")
    return folder


def copied(family: Path, to: Path) -> Path:
    """Copy the family to another folder, with the paths in its files adapted, so that a test may change it."""
    shutil.copytree(family, to)
    for manifest in to.rglob("stage.json"):
        manifest.write_text(manifest.read_text().replace(str(family), str(to)))
    for config in to.rglob("adapter_config.json"):
        config.write_text(config.read_text().replace(str(family), str(to)))
    return to


def test_the_chain_reaches_the_root_and_every_link_is_verified(family: Path) -> None:
    links = lineage.chain(str(family / "preferred"))
    assert [link.name for link in links] == ["preferred", "tuned", "base"]
    assert [link.status for link in links] == ["verified"] * 3
    manifests = [link.manifest for link in links]
    assert [manifest.stage for manifest in manifests if manifest] == ["dpo", "sft", "pretrain"]
    assert manifests[2] is not None
    assert manifests[2].parents == ()
    assert manifests[1] is not None
    assert [parent.digest for parent in manifests[1].parents] == [manifests[2].digest] == [links[2].digest]


def test_the_manifest_records_how_the_checkpoint_was_made(family: Path) -> None:
    manifest = read_manifest(family / "tuned")
    assert manifest is not None
    assert manifest.finished
    assert manifest.trainer == {"entry_point": "harness.trainers.sft:train", "class": "trl.SFTTrainer"}
    assert manifest.arguments["learning_rate"] == 1e-3
    assert manifest.arguments["weight_decay"] == 0.0, "defaults are recorded, too"
    assert manifest.adapter is not None
    assert manifest.adapter["r"] == 4
    (source,) = manifest.sources
    assert source.digest is not None
    assert source.tokens == manifest.tokens == sum(row.tokens for row in manifest.ledger)
    assert 2000 - 64 < manifest.tokens <= 2000
    assert manifest.wall_seconds > 0
    assert {"torch", "trl", "transformers", "python"} <= manifest.versions.keys()
    assert manifest.spec["data"]["budget_tokens"] == 2000


def test_a_manifest_is_read_back_unchanged(family: Path, tmp_path: Path) -> None:
    manifest = read_manifest(family / "base")
    assert manifest is not None
    write_manifest(tmp_path, manifest)
    assert read_manifest(tmp_path) == manifest
    (row, *_) = json.loads((tmp_path / "stage.json").read_text())["ledger"]
    assert row.keys() == {"phase", "source", "tokens", "share", "asked_share"}, "reports read these keys"


def test_the_tree_is_shown_from_scratch_to_the_checkpoint(family: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lineage", str(family / "preferred")]) == 0
    output = capsys.readouterr().out
    places = [output.index(part) for part in ("from scratch", "pretrain-stage", "sft-stage", "dpo-stage")]
    assert places == sorted(places)
    assert output.count("verified") == 3
    assert "one 100.0%" in output
    assert "adapter lora, seed" in output


def test_the_tree_says_that_an_adapter_is_part_of_the_weights(
    family: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    questions = {"path": str(family / "questions.jsonl"), "format": "instruction"}
    adapter = {"r": 4, "merge": True}
    sft.train(stage("sft", questions, **{"from": str(family / "base")}, adapter=adapter), tmp_path / "merged")
    assert main(["lineage", str(tmp_path / "merged")]) == 0
    assert "adapter lora, merged into the weights" in capsys.readouterr().out


def test_a_checkpoint_without_a_manifest_is_a_root(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parent = chat_model(tmp_path / "elsewhere")
    (link,) = lineage.chain(str(parent))
    assert (link.status, link.manifest) == ("root", None)
    assert lineage.verify(resolve(str(parent))) == "root"
    assert main(["lineage", str(parent)]) == 0
    assert "no manifest" in capsys.readouterr().out


def test_a_parent_whose_weights_changed_is_seen_when_a_child_is_trained_or_checked(
    family: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = copied(family, tmp_path / "family")
    chat_model(tmp_path / "other", seed=9)
    weights = bytearray((folder / "base" / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (folder / "base" / "model.safetensors").write_bytes(weights)
    own, parent, *_ = lineage.chain(str(folder / "tuned"))  # an adapter: its digest changes with its base
    with pytest.raises(CheckpointError, match="its weights changed after sft-stage was trained from it"):
        lineage.check_unchanged([replace(own, status="verified"), parent])
    with pytest.raises(CheckpointError, match=r"do not match the digest in its stage\.json"):
        lineage.verify(resolve(str(folder / "base")))
    questions = {"path": str(folder / "questions.jsonl"), "format": "instruction"}
    with pytest.raises(CheckpointError, match="restore the checkpoint"):
        sft.train(stage("sft", questions, **{"from": str(folder / "base")}), tmp_path / "child")
    assert main(["lineage", str(folder / "tuned")]) == 1
    assert "do not match the recorded digest" in capsys.readouterr().out


def test_an_absent_parent_is_reported_as_missing(family: Path, tmp_path: Path) -> None:
    folder = copied(family, tmp_path / "family")
    shutil.rmtree(folder / "tuned")
    links = lineage.chain(str(folder / "preferred"))
    assert [link.status for link in links] == ["verified", "missing"]
    assert links[1].digest is not None


def test_a_damaged_manifest_is_an_error_naming_file_and_field(family: Path, tmp_path: Path) -> None:
    written = json.loads((family / "base" / "stage.json").read_text())
    (tmp_path / "stage.json").write_text(json.dumps({**written, "seed": "one"}))
    with pytest.raises(CheckpointError, match=r"stage\.json: field seed: .*schema_version 1"):
        read_manifest(tmp_path)
    (tmp_path / "stage.json").write_text("{")
    with pytest.raises(CheckpointError, match="not readable as JSON"):
        read_manifest(tmp_path)


def test_saved_states_are_marked_unfinished(family: Path) -> None:
    states = sorted((family / "base" / "training").glob("checkpoint-*"))
    manifests = [read_manifest(state) for state in states]
    assert states
    assert all(manifest is not None and not manifest.finished for manifest in manifests)
    (first, *_) = [manifest for manifest in manifests if manifest is not None]
    assert first.tokens == sum(row.tokens for row in first.ledger) == first.sequences * 64


def test_an_adapter_of_an_adapter_and_merged_weights_can_be_loaded(family: Path, tmp_path: Path) -> None:
    questions = {"path": str(family / "questions.jsonl"), "format": "instruction"}
    tuned = {"from": str(family / "tuned")}
    again = sft.train(stage("sft", questions, **tuned, adapter={"r": 2}), tmp_path / "again")
    merged = sft.train(stage("sft", questions, **tuned, adapter={"r": 2, "merge": True}), tmp_path / "merged")
    assert again.adapter == (tmp_path / "again").resolve()
    assert again.weights == (tmp_path / "again" / "base").resolve(), "the parent's weights with its adapter merged"
    assert merged.adapter is None
    (tmp_path / "again").rename(tmp_path / "moved")
    again = resolve(str(tmp_path / "moved"))
    assert again.weights == tmp_path / "moved" / "base"
    (state,) = sorted((tmp_path / "moved" / "training").glob("checkpoint-*"))[-1:]
    assert resolve(str(state)).weights.resolve() == (tmp_path / "moved" / "base").resolve()
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    ids = torch.tensor([[5, 6, 7, 8]])
    stacked = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(again.weights), again.adapter)
    plain = AutoModelForCausalLM.from_pretrained(merged.weights)
    torch.testing.assert_close(stacked(ids).logits, plain(ids).logits, rtol=1e-4, atol=1e-4)


def as_version_1(manifest: dict[str, Any]) -> dict[str, Any]:
    """A manifest as earlier releases wrote it."""
    parents = manifest.pop("parents")
    return {**manifest, "schema_version": 1, "parent": parents[0] if parents else None}


def to_version_1(folder: Path) -> None:
    """Rewrite all manifests below a folder, those of saved states too."""
    for path in folder.rglob("stage.json"):
        path.write_text(json.dumps(as_version_1(json.loads(path.read_text()))))


def test_manifests_of_version_1_are_read_and_version_2_is_written(family: Path, tmp_path: Path) -> None:
    folder = copied(family, tmp_path / "family")
    current = [read_manifest(folder / name) for name in ("base", "tuned", "preferred")]
    links = lineage.chain(str(folder / "preferred"))
    to_version_1(folder)
    assert '"parent": null' in (folder / "base" / "stage.json").read_text()
    old = [read_manifest(folder / name) for name in ("base", "tuned", "preferred")]
    assert old == current
    assert lineage.chain(str(folder / "preferred")) == links
    assert len(links) == 3
    assert old[1] is not None
    write_manifest(tmp_path, old[1])
    written = json.loads((tmp_path / "stage.json").read_text())
    assert (written["schema_version"], len(written["parents"])) == (2, 1)
    assert "parent" not in written


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"schema_version": 3}, "field schema_version: Input should be 2"),
        ({"schema_version": 1}, "field schema_version: Input should be 2"),  # of version 1, but with parents
        ({"parent": None}, "field parent: Extra inputs are not permitted"),
        ({"schema_version": 1, "parent": {"name": "x"}, "parents": []}, "field schema_version: Input should be 2"),
    ],
)
def test_a_manifest_of_no_version_is_refused(
    family: Path, tmp_path: Path, change: dict[str, Any], problem: str
) -> None:
    written = json.loads((family / "tuned" / "stage.json").read_text())
    (tmp_path / "stage.json").write_text(json.dumps({**written, **change}))
    with pytest.raises(CheckpointError) as refusal:
        read_manifest(tmp_path)
    assert problem in str(refusal.value)
    assert "reads schema_version 1 and 2" in str(refusal.value)


def test_a_training_with_states_of_version_1_is_resumed(family: Path, tmp_path: Path) -> None:
    folder = copied(family, tmp_path / "family")
    to_version_1(folder)
    out = folder / "tuned"
    questions = {"path": str(folder / "questions.jsonl"), "format": "instruction"}
    (out / "stage.json").unlink()
    shutil.rmtree(sorted((out / "training").glob("checkpoint-*"), key=lambda path: int(path.name[11:]))[-1])
    recorded = json.loads((out / "training" / "spec.json").read_text().replace(str(family), str(folder)))
    (out / "training" / "spec.json").write_text(json.dumps(recorded))
    sft.train(stage("sft", questions, **{"from": str(folder / "base")}, adapter={"r": 4}), out)
    manifest, before = read_manifest(out), read_manifest(family / "tuned")
    assert manifest is not None
    assert before is not None
    assert (manifest.resumed, manifest.tokens) == (1, before.tokens)
    assert [parent.digest for parent in manifest.parents] == [parent.digest for parent in before.parents]


def with_parents(folder: Path, *parents: Path, seed: int) -> Path:
    """A tiny model whose manifest names these parents."""
    chat_model(folder, seed=seed)
    digests = [checkpoint_digest(resolve(str(parent))) for parent in parents]
    manifest = StageManifest(
        stage="sft", name=folder.name, finished=True, step=1, digest=checkpoint_digest(resolve(str(folder))),
        parents=tuple(
            Parent(name=parent.name, source=str(parent), path=str(parent), digest=digest)
            for parent, digest in zip(parents, digests, strict=True)
        ),
        trainer={}, arguments={}, seed=0, spec={}, mixture={}, budget_tokens=1, tokens=1, sequences=1, sources=(),
        ledger=(), wall_seconds=1.0, started="2025-01-01T00:00:00", device="cpu",
    )  # fmt: skip
    write_manifest(folder, manifest)
    return folder


def test_a_checkpoint_with_two_children_occurs_once_and_parents_stand_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = chat_model(tmp_path / "root")
    left, right = (with_parents(tmp_path / name, root, seed=seed) for seed, name in enumerate(("left", "right"), 1))
    far = with_parents(tmp_path / "far", right, seed=3)
    child = with_parents(tmp_path / "child", left, far, root, seed=4)
    links = lineage.chain(str(child))
    assert [link.name for link in links] == ["child", "left", "far", "root", "right"]
    assert [link.name for link in lineage.oldest_first(links)] == ["root", "left", "right", "far", "child"]
    assert main(["lineage", str(child)]) == 0
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert [line for line in lines if line.startswith(("from", "its parents"))] == [
        "its parents are unknown", "from 1", "from 1", "from 3", "from 2, 4, 1",
    ]  # fmt: skip


def test_a_lineage_that_leads_back_to_itself_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = chat_model(tmp_path / "root")
    one = with_parents(tmp_path / "one", root, seed=1)
    two = with_parents(tmp_path / "two", one, root, seed=2)
    manifest = read_manifest(two)
    assert manifest is not None
    write_manifest(root, manifest.model_copy(update={"name": "root", "digest": None}))
    with pytest.raises(CheckpointError, match="its lineage leads back to itself"):
        lineage.chain(str(two))
    assert main(["lineage", str(two)]) == 2
    error = capsys.readouterr().err
    assert "its lineage leads back to itself; correct stage.json there" in error
    assert "\n" not in error.strip()


EVAL_FILES = ["gsm8k/test.jsonl", "boolq/boolq.jsonl"]


@pytest.mark.parametrize("name", EVAL_FILES)
def test_an_evaluation_file_is_refused_by_its_path(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True)
    write_jsonl(path, [{"instruction": "a", "output": "b"}])
    spec = stage("sft", {"path": str(path), "format": "instruction"}, **{"from": str(chat_model(tmp_path / "parent"))})
    with pytest.raises(InputError, match="is evaluation data of this project"):
        sft.train(spec, tmp_path / "out")


def test_a_renamed_copy_of_an_evaluation_file_is_refused_by_its_bytes(
    tmp_path: Path, synthetic_project: Project
) -> None:
    synthetic_project.pin("gsm8k_test", "gsm8k_train")
    shutil.copy(synthetic_project.data / "gsm8k" / "test.jsonl", tmp_path / "innocent.jsonl")
    source = {
        "path": str(tmp_path / "innocent.jsonl"), "format": "instruction",
        "fields": {"instruction": "question", "output": "answer"},
    }  # fmt: skip
    spec = stage("sft", source, **{"from": str(chat_model(tmp_path / "parent"))})
    spec["trainer"]["max_length"] = 1024
    with pytest.raises(InputError, match="gsm8k_test"):
        sft.train(spec, tmp_path / "out")
    shutil.copy(synthetic_project.data / "gsm8k" / "train.jsonl", tmp_path / "innocent.jsonl")
    sft.train(spec, tmp_path / "out")


def test_a_tasks_test_split_is_refused_unless_allowed_and_then_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parent = chat_model(tmp_path / "parent")
    spec = stage("sft", {"task": "mini_logic", "split": "test"}, **{"from": str(parent)})
    spec["trainer"] = {**CPU, "max_length": 512}
    with pytest.raises(InputError, match="mini_logic:test"):
        sft.train(spec, tmp_path / "out")
    sft.train({**spec, "allow_eval_data": True}, tmp_path / "out")
    manifest = read_manifest(tmp_path / "out")
    assert manifest is not None
    assert manifest.allow_eval_data
    assert manifest.eval_data == ("mini_logic:test",)
    assert main(["lineage", str(tmp_path / "out")]) == 0
    assert "trained on evaluation data: mini_logic:test" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("hub", "split", "held"),
    [
        ("ceval/ceval-exam", "val", "ceval_logic_val"),
        ("openai/gsm8k", "test", "gsm8k_test"),
        ("openai/GSM8K", "train+test[:5]", "gsm8k_test"),
        ("openai/openai_humaneval", "train", "humaneval"),
    ],
)
def test_an_evaluated_hub_data_set_is_refused_before_it_is_opened(
    tmp_path: Path, hub: str, split: str, held: str
) -> None:
    source = {"hub": hub, "split": split, "format": "instruction"}
    spec = stage("sft", source, **{"from": str(chat_model(tmp_path / "parent"))})
    with pytest.raises(InputError, match=held):
        sft.train(spec, tmp_path / "out")


def test_the_train_split_of_a_hub_data_set_is_no_evaluation_data() -> None:
    assert eval_data_of(SourceSpec(hub="openai/gsm8k", split="train[:10%]"), ()) == ()


def test_a_folder_given_as_hub_id_is_searched_for_evaluation_data(tmp_path: Path, synthetic_project: Project) -> None:
    synthetic_project.pin("gsm8k_test")
    (tmp_path / "hub").mkdir()
    shutil.copy(synthetic_project.data / "gsm8k" / "test.jsonl", tmp_path / "hub" / "innocent.jsonl")
    assert eval_data_of(SourceSpec(hub=str(tmp_path / "hub")), ()) == ("gsm8k_test",)


def test_evaluation_data_of_an_absent_ancestor_is_still_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = stage("sft", {"task": "mini_logic", "split": "test"}, **{"from": str(chat_model(tmp_path / "root"))})
    spec["trainer"] = {**CPU, "max_length": 512}
    sft.train({**spec, "allow_eval_data": True}, tmp_path / "first")
    questions = {"path": str(write_jsonl(tmp_path / "questions.jsonl", instructions(20))), "format": "instruction"}
    sft.train(stage("sft", questions, **{"from": str(tmp_path / "first")}), tmp_path / "second")
    sft.train(stage("sft", questions, **{"from": str(tmp_path / "second")}), tmp_path / "third")

    def warnings() -> list[str]:
        links = lineage.chain(str(tmp_path / "third"))
        manifests = [link.manifest.to_json() if link.manifest else None for link in links]
        return lineage.contamination_warnings("third", [{"manifest": manifest} for manifest in manifests])

    assert warnings() == ["third was trained on evaluation data (sft-stage): mini_logic:test."]
    assert main(["lineage", str(tmp_path / "nobody")]) == 2
    assert f"harness lineage: {tmp_path / 'nobody'}: no such folder" in capsys.readouterr().err
    shutil.rmtree(tmp_path / "first")
    shutil.rmtree(tmp_path / "second")
    assert warnings() == ["third was trained on evaluation data (before sft-stage): mini_logic:test."]
    assert main(["lineage", str(tmp_path / "third")]) == 0
    assert "earlier stages were trained on evaluation data: mini_logic:test" in capsys.readouterr().out


def test_a_child_of_a_changed_parent_is_not_evaluated(
    tmp_path: Path, own_cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    questions = {"path": str(write_jsonl(tmp_path / "questions.jsonl", instructions(20))), "format": "instruction"}
    sft.train(stage("sft", questions, **{"from": str(chat_model(tmp_path / "parent"))}), tmp_path / "child")
    words = ["eval", "--model", str(tmp_path / "child"), "--tasks", "mini_logic", "--limit", "1"]
    assert main([*words, "--output_path", str(tmp_path / "runs")]) == 0
    weights = tmp_path / "parent" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    capsys.readouterr()
    assert main([*words, "--output_path", str(tmp_path / "more")]) == 2
    assert "its weights changed after" in capsys.readouterr().err
    assert not list((tmp_path / "more").rglob("*.json*"))


def test_a_parent_from_the_hub_is_verified_in_the_local_cache(
    family: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub.constants as constants

    revision = "0123456789" * 4
    snapshot = tmp_path / "hub" / "models--own--base" / "snapshots" / revision
    shutil.copytree(family / "base", snapshot, ignore=shutil.ignore_patterns("training"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    folder = copied(family, tmp_path / "family")
    manifest = read_manifest(folder / "tuned")
    assert manifest is not None
    (recorded,) = manifest.parents
    for place, status in (("own/base", "verified"), ("own/other", "missing")):
        parent = recorded.model_copy(update={"path": None, "source": place, "revision": revision})
        assert lineage.find_parent(parent)[1] == status
    weights = snapshot / "model.safetensors"
    changed = bytearray(weights.read_bytes())
    changed[-1] ^= 1
    weights.write_bytes(changed)
    parent = recorded.model_copy(update={"path": None, "source": "own/base", "revision": revision})
    assert lineage.find_parent(parent)[1] == "changed"


def test_a_tasks_training_stream_contains_no_test_item() -> None:
    from itertools import islice

    from harness.trainers.data.readers import Cursor
    from harness.trainers.data.task_reader import TaskReader, generator_of

    test = {item.key for item in generator_of("mini_logic").generate("test", 400)}
    train = {raw.value["key"] for raw in islice(TaskReader(task="mini_logic").read(Cursor()), 400)}
    assert not test & train


@pytest.mark.parametrize(("repeats", "words"), [(0, ""), (1, ", repeated once"), (2, ", repeated 2 times")])
def test_a_repeated_source_shows_how_often_it_was_read(repeats: int, words: str) -> None:
    assert _repeated(repeats) == words
