"""Checkpoints: finding and checking them, and their digests."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from harness.checkpoints.identity import checkpoint_digest
from harness.checkpoints.resolver import expand, resolve
from harness.errors import CheckpointError
from tests.models import save_tiny_adapter, save_tiny_llama


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_llama(tmp_path_factory.mktemp("base") / "model")


@pytest.fixture
def model(base: Path, tmp_path: Path, own_cache: Path) -> Path:
    return Path(shutil.copytree(base, tmp_path / "model"))


def test_a_transformers_folder_is_found(model: Path) -> None:
    checkpoint = resolve(str(model))
    assert (checkpoint.kind, checkpoint.name, checkpoint.weights) == ("folder", "model", model)
    assert [p.name for p in checkpoint.weight_files] == ["model.safetensors"]


def test_an_adapter_finds_its_base_and_uses_its_tokenizer(base: Path, tmp_path: Path, own_cache: Path) -> None:
    checkpoint = resolve(str(save_tiny_adapter(tmp_path / "adapter", base)))
    assert checkpoint.kind == "adapter"
    assert checkpoint.weights == base
    assert checkpoint.tokenizer == base
    assert checkpoint.adapter == tmp_path / "adapter"


def test_sharded_weights_are_all_named(tmp_path: Path, own_cache: Path) -> None:
    folder = save_tiny_llama(tmp_path / "sharded", shard="40KB")
    assert len(resolve(str(folder)).weight_files) > 1


def test_a_folder_of_checkpoints_expands_to_each_in_order_of_steps(model: Path, tmp_path: Path) -> None:
    for step in (20, 3, 100):
        shutil.copytree(model, tmp_path / "run" / f"checkpoint-{step}")
    steps = [Path(p).name for p in expand(str(tmp_path / "run"))]
    assert steps == ["checkpoint-3", "checkpoint-20", "checkpoint-100"]
    assert resolve(expand(str(tmp_path / "run"))[0]).name == "run/checkpoint-3"


def test_a_state_that_a_stage_saved_is_called_after_the_stage(model: Path, tmp_path: Path) -> None:
    """`--model runs/sft/training`: beside other stages' states, `training/checkpoint-3` would not say which it is."""
    for run in ("sft", "other"):
        shutil.copytree(model, tmp_path / run / "training" / "checkpoint-3")
    (tmp_path / "sft" / "training" / "checkpoint-3" / "stage.json").write_text("{}")
    names = [resolve(*expand(str(tmp_path / run / "training"))).name for run in ("sft", "other")]
    assert names == ["sft/checkpoint-3", "training/checkpoint-3"], "without a manifest, another program saved it"


def test_a_gguf_file_answers_as_its_converted_folder(smollm2: Path) -> None:
    config = json.loads((smollm2 / "config.json").read_text(encoding="utf-8"))
    assert (config["model_type"], config["dtype"], config["num_hidden_layers"]) == ("llama", "float32", 30)


def test_verify_ignores_the_cached_digest_of_a_gguf_file(
    tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that changed behind its size and time: its old conversion is taken, unless it is verified."""
    from harness.checkpoints import gguf

    def convert(path: Path, folder: Path) -> None:
        save_tiny_llama(folder, seed=path.read_bytes()[-1])

    monkeypatch.setattr(gguf, "_convert", convert)
    (own_cache / "models").unlink()  # the shared one
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF\x01")
    stat = path.stat()
    first = resolve(str(path)).weights
    with path.open("r+b") as file:
        file.write(b"GGUF\x02")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert resolve(str(path)).weights == first
    assert resolve(str(path), verify=True).weights != first


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def _as_pickle(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")


def _drop_tokenizer(folder: Path) -> None:
    for path in folder.glob("token*"):
        path.unlink()


def _bad_header(folder: Path) -> None:
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[:8] + b"[" * 40 + content[48:])


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "no weights"),
    "truncated weights": (lambda f: _cut(f / "model.safetensors"), "damaged or cut off"),
    "weights of 3 bytes": (lambda f: (f / "model.safetensors").write_bytes(b"abc"), "damaged or cut off"),
    "a header that is not JSON": (_bad_header, "damaged or cut off"),
    "no config": (lambda f: (f / "config.json").unlink(), "no such file"),
    "a config that is not JSON": (lambda f: (f / "config.json").write_text("{"), "not readable as JSON"),
    "a config that is a list": (lambda f: (f / "config.json").write_text("[]"), "must be a JSON object"),
    "a config of no model": (lambda f: (f / "config.json").write_text("{}"), "neither model_type nor"),
    "no tokenizer": (_drop_tokenizer, "no tokenizer files"),
    "pickled weights": (_as_pickle, "--allow_pickle"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_the_error_of_a_damaged_folder_names_the_problem(name: str, model: Path) -> None:
    damage, expected = DAMAGE[name]
    damage(model)
    with pytest.raises(CheckpointError, match=expected) as caught:
        resolve(str(model))
    assert str(model) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_pickled_weights_are_accepted_if_allowed(model: Path) -> None:
    _as_pickle(model)
    assert resolve(str(model), allow_pickle=True).weight_files == (model / "pytorch_model.bin",)


def test_a_missing_shard_is_named(tmp_path: Path, own_cache: Path) -> None:
    folder = save_tiny_llama(tmp_path / "sharded", shard="40KB")
    shard = sorted(folder.glob("model-*.safetensors"))[0]
    shard.unlink()
    with pytest.raises(CheckpointError, match=shard.name):
        resolve(str(folder))


def test_an_index_must_not_refer_to_files_outside_its_folder(tmp_path: Path, own_cache: Path) -> None:
    folder = save_tiny_llama(tmp_path / "sharded", shard="40KB")
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "../../elsewhere.safetensors"}}))
    with pytest.raises(CheckpointError, match="outside its folder"):
        resolve(str(folder))


@pytest.mark.parametrize("source", ["./nowhere", "/no/such/folder", "no such model", "a/b/c", "missing.gguf"])
def test_a_missing_path_is_not_looked_up_on_the_hub(source: str) -> None:
    with pytest.raises(CheckpointError, match="no such folder or file"):
        resolve(source)


@pytest.fixture
def hub(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """A local copy of the hub in which own/model has two tags; returns the folder of each."""
    import huggingface_hub.constants as constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    place = tmp_path / "hub" / "models--own--model"
    folders = {}
    for number, tag in enumerate(("v1", "refs/pr/2")):
        commit = str(number) * 40
        folders[tag] = place / "snapshots" / commit
        shutil.copytree(base, folders[tag])
        (place / "refs" / tag).parent.mkdir(parents=True, exist_ok=True)
        (place / "refs" / tag).write_text(commit)
    return folders


def test_a_hub_id_may_name_its_revision(hub: dict[str, Path], own_cache: Path) -> None:
    for tag, folder in hub.items():
        for source, revision in ((f"own/model@{tag}", None), (f"own/model@{folder.name}", None), ("own/model", tag),
                                 (f"own/model@{tag}", "v9")):  # fmt: skip
            checkpoint = resolve(source, revision=revision)
            assert (checkpoint.name, checkpoint.kind, checkpoint.revision) == ("own/model", "hub", folder.name)
            assert checkpoint.weights == folder
    with pytest.raises(CheckpointError, match="own/model: neither a local path nor available"):
        resolve("own/model@v3")


def test_the_parent_of_a_stage_may_name_its_revision(hub: dict[str, Path], own_cache: Path, tmp_path: Path) -> None:
    from harness.study.experiment import read_experiment
    from harness.study.graph import build_graph
    from harness.trainers.stage.models import find_parent
    from harness.trainers.stage.spec import StageSpec

    data = {"budget_tokens": 1, "sources": {"a": {"path": "a.jsonl"}}}
    fields = {"stage": "sft", "name": "a", "from": "own/model@v1", "data": data}
    parent = find_parent(StageSpec.model_validate(fields))
    assert parent is not None
    assert parent.weights == hub["v1"]
    keys = set()
    for revision in ("v1", "v2"):
        stages = {"tuned": fields | {"from": f"own/model@{revision}"}}
        (tmp_path / "study.yaml").write_text(json.dumps({"name": "pinned", "stages": stages}))
        keys |= set(build_graph(read_experiment(tmp_path / "study.yaml")))
    assert len(keys) == 2, "a different revision gives a different node"


def test_a_folder_with_an_at_sign_is_a_folder(model: Path) -> None:
    place = model.rename(model.with_name("model@v1"))
    assert resolve(str(place)).weights == place


def test_an_adapter_without_its_base_raises_an_error(base: Path, tmp_path: Path, own_cache: Path) -> None:
    folder = save_tiny_adapter(tmp_path / "adapter", base)
    config = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps(config | {"base_model_name_or_path": "./gone"}))
    with pytest.raises(CheckpointError, match=r"base '\./gone' cannot be used"):
        resolve(str(folder))


def test_a_file_that_is_not_gguf_raises_an_error(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"not one")
    with pytest.raises(CheckpointError, match="not a GGUF file"):
        resolve(str(path))
    path.write_bytes(b"GGUF" + bytes(64))
    with pytest.raises(CheckpointError, match="cannot read this GGUF file"):
        resolve(str(path))


def test_equal_bytes_elsewhere_are_the_same_checkpoint(model: Path, tmp_path: Path) -> None:
    shutil.copytree(model, tmp_path / "copy")
    assert checkpoint_digest(resolve(str(model))) == checkpoint_digest(resolve(str(tmp_path / "copy")))


def test_a_retrained_checkpoint_at_the_same_path_is_another(model: Path, tmp_path: Path) -> None:
    before = checkpoint_digest(resolve(str(model)))
    save_tiny_llama(model, seed=7)
    assert checkpoint_digest(resolve(str(model))) != before


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "config.json"])
def test_every_file_that_determines_answers_changes_the_digest(name: str, model: Path) -> None:
    before = checkpoint_digest(resolve(str(model)))
    path = model / name
    path.write_text((path.read_text() if path.exists() else "") + "\n")
    assert checkpoint_digest(resolve(str(model))) != before


def test_other_files_next_to_the_weights_do_not_change_the_digest(model: Path) -> None:
    before = checkpoint_digest(resolve(str(model)))
    (model / "trainer_state.json").write_text("{}")
    assert checkpoint_digest(resolve(str(model))) == before


def test_verify_detects_a_change_with_equal_size_and_time(model: Path) -> None:
    checkpoint, weights = resolve(str(model)), model / "model.safetensors"
    before = checkpoint_digest(checkpoint)
    stat = weights.stat()
    with weights.open("r+b") as file:
        file.seek(-1, 2)
        last = file.read(1)
        file.seek(-1, 2)
        file.write(bytes([last[0] ^ 1]))
    os.utime(weights, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert checkpoint_digest(checkpoint) == before, "remembered"
    assert checkpoint_digest(checkpoint, verify=True) != before
