"""The stage `average`: right values, refusals, the output folder, and what it inherits from its parents."""

from __future__ import annotations

import importlib
import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer, GPT2Config, set_seed

from harness.checkpoints import lineage
from harness.checkpoints.resolver import resolve
from harness.checkpoints.stage_manifest import StageManifest, read_manifest, write_manifest
from harness.cli import main
from harness.errors import InputError
from harness.trainers import average, pretrain, sft
from harness.trainers.averaging.spec import AverageSpec, parse
from tests.conftest import ROOT
from tests.models import save_tiny_adapter, save_tiny_llama, tiny_tokenizer
from tests.trainers.helpers import CPU, chat_model, documents, instructions, write_jsonl

WEIGHTS = "model.safetensors"


def save_gpt2(folder: Path, seed: int) -> Path:
    """A tiny GPT-2, whose output layer shares the weights of the embeddings."""
    set_seed(seed)
    tokenizer = tiny_tokenizer()
    size: dict[str, Any] = {"vocab_size": len(tokenizer), "n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": 64}
    AutoModelForCausalLM.from_config(  # type: ignore[no-untyped-call]
        GPT2Config(**size, bos_token_id=0, eos_token_id=1)
    ).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def three(folder: Path, save: Callable[..., Path] = save_tiny_llama) -> list[Path]:
    """Three models of one architecture, as the states of a training."""
    return [save(folder / f"checkpoint-{step}", seed=seed) for seed, step in enumerate((20, 100, 110))]


def spec(*checkpoints: Path | str, **more: Any) -> dict[str, Any]:
    return {"stage": "average", "name": "averaged", "checkpoints": [str(place) for place in checkpoints], **more}


def edited(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    """Change the tensors of a checkpoint."""
    tensors = load_file(folder / WEIGHTS)
    change(tensors)
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})


def set_config(folder: Path, **fields: Any) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **fields}))


def expected(checkpoints: list[Path], weights: list[float]) -> dict[str, np.ndarray[Any, Any]]:
    """The average in float64."""
    loaded = [load_file(path / WEIGHTS) for path in checkpoints]
    return {
        name: np.tensordot(weights, np.stack([tensors[name].double().numpy() for tensors in loaded]), axes=1)
        for name in loaded[0]
    }


@pytest.mark.parametrize("save", [save_tiny_llama, save_gpt2])
@pytest.mark.parametrize(
    ("method", "weights"),
    [
        ({}, [1 / 3, 1 / 3, 1 / 3]),
        ({"method": "ema", "decay": 0.5}, [1 / 7, 2 / 7, 4 / 7]),
    ],
)
def test_the_average_equals_that_in_float64(
    tmp_path: Path, save: Callable[..., Path], method: dict[str, Any], weights: list[float]
) -> None:
    checkpoints = three(tmp_path, save)
    average.train(spec(*reversed(checkpoints), **method), tmp_path / "out")  # ordered by step, not as listed
    averaged = load_file(tmp_path / "out" / WEIGHTS)
    oracle = expected(checkpoints, weights)
    assert averaged.keys() == oracle.keys()
    assert "lm_head.weight" not in averaged or save is save_tiny_llama
    for name, values in averaged.items():
        assert values.dtype == torch.float32
        np.testing.assert_allclose(values.double().numpy(), oracle[name], rtol=1e-6, atol=1e-7, err_msg=name)
    loaded: Any = AutoModelForCausalLM.from_pretrained(tmp_path / "out", output_loading_info=True)
    model, info = loaded
    assert not info["missing_keys"]
    if save is save_gpt2:
        assert model.lm_head.weight is model.transformer.wte.weight


def test_the_weights_of_an_ema_are_those_of_pandas() -> None:
    values = [3.0, -1.0, 4.0, 1.0, 5.0]
    for decay in (0.2, 0.9, 0.99):
        weights = parse(spec("a", "b", method="ema", decay=decay)).weights(len(values))
        theirs = pd.Series(values).ewm(alpha=1 - decay, adjust=True).mean().iloc[-1]
        assert sum(weight * value for weight, value in zip(weights, values, strict=True)) == pytest.approx(theirs)
        assert weights == sorted(weights), "the newest weighs most"
    assert parse(spec("a", "b", method="ema")).resolved()["decay"] == 0.9


def test_bfloat16_is_averaged_in_float32_and_rounded_once(tmp_path: Path) -> None:
    checkpoints = three(tmp_path)
    for path in checkpoints:
        edited(path, lambda tensors: tensors.update({k: v.bfloat16() for k, v in tensors.items()}))
        set_config(path, dtype="bfloat16")
    average.train(spec(*checkpoints), tmp_path / "out")
    for name, values in load_file(tmp_path / "out" / WEIGHTS).items():
        assert values.dtype == torch.bfloat16
        oracle = torch.from_numpy(expected(checkpoints, [1, 1, 1])[name] / 3)
        assert torch.equal(values, oracle.bfloat16()), name
        if values.numel() > 1000:
            one, two, last = (load_file(path / WEIGHTS)[name] for path in checkpoints)
            rounded_often = (one + two + last) / 3
            assert not torch.equal(rounded_often, values), "the test would not see another way of rounding"


def test_the_data_type_can_be_given_and_must_be_where_checkpoints_differ(tmp_path: Path) -> None:
    checkpoints = three(tmp_path)
    edited(checkpoints[1], lambda tensors: tensors.update({k: v.half() for k, v in tensors.items()}))
    with pytest.raises(InputError, match=r"tensor lm_head\.weight is F32 in .*20 and F16 in .*100; set dtype"):
        average.train(spec(*checkpoints), tmp_path / "out")
    average.train(spec(*checkpoints, dtype="bfloat16"), tmp_path / "out")
    assert {values.dtype for values in load_file(tmp_path / "out" / WEIGHTS).values()} == {torch.bfloat16}
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "out").dtype == torch.bfloat16


def test_a_large_average_is_written_in_several_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoints = [
        save_tiny_llama(tmp_path / f"checkpoint-{seed}", seed=seed, shard="40KB") for seed in (1, 2)
    ]  # also read from several files
    average.train(spec(*checkpoints), tmp_path / "one")
    monkeypatch.setattr("harness.trainers.averaging.writing.FILE_BYTES", 30_000)
    average.train(spec(*checkpoints), tmp_path / "several")
    files = sorted((tmp_path / "several").glob("model-*.safetensors"))
    assert len(files) > 2
    whole = load_file(tmp_path / "one" / WEIGHTS)
    for file in files:
        with safe_open(file, framework="pt") as opened:
            size = sum(opened.get_tensor(name).nbytes for name in opened.keys())  # noqa: SIM118
            assert size <= 30_000 or len(opened.keys()) == 1
    models = [AutoModelForCausalLM.from_pretrained(tmp_path / name).state_dict() for name in ("one", "several")]
    assert whole.keys() == models[0].keys() == models[1].keys()
    assert all(torch.equal(models[0][name], models[1][name]) for name in whole)


def test_a_second_copy_of_tied_weights_in_one_checkpoint_is_left_out(tmp_path: Path) -> None:
    checkpoints = three(tmp_path, save_gpt2)
    head, embeddings = "lm_head.weight", "transformer.wte.weight"
    edited(checkpoints[1], lambda tensors: tensors.update({head: tensors[embeddings].clone()}))
    average.train(spec(*checkpoints), tmp_path / "out")
    assert head not in load_file(tmp_path / "out" / WEIGHTS)
    edited(checkpoints[1], lambda tensors: tensors[head].add_(1))
    with pytest.raises(InputError, match=r"lm_head\.weight and transformer\.wte\.weight differ in .*checkpoint-100"):
        average.train(spec(*checkpoints), tmp_path / "again")


def test_integer_tensors_are_kept_where_equal_and_refused_where_not(tmp_path: Path) -> None:
    checkpoints = three(tmp_path)
    for path in checkpoints:
        edited(path, lambda tensors: tensors.update(mask=torch.tensor([True, False]), places=torch.arange(4)))
    average.train(spec(*checkpoints), tmp_path / "out")
    written = load_file(tmp_path / "out" / WEIGHTS)
    assert written["mask"].tolist() == [True, False]
    assert written["places"].tolist() == [0, 1, 2, 3]
    edited(checkpoints[2], lambda tensors: tensors["places"].add_(1))
    with pytest.raises(InputError, match="tensor places holds integers, which are not averaged, and differs"):
        average.train(spec(*checkpoints), tmp_path / "again")
    assert not (tmp_path / "again").exists(), "a folder is not claimed by an average that cannot be made"


def _wider(folder: Path) -> None:
    edited(folder, lambda tensors: tensors.update({"model.norm.weight": torch.zeros(33)}))


def _incomplete(folder: Path) -> None:
    edited(folder, lambda tensors: tensors.pop("model.norm.weight"))


def _not_finite(folder: Path) -> None:
    edited(folder, lambda tensors: tensors["model.norm.weight"].fill_(float("nan")))


def _eight_bits(folder: Path) -> None:
    edited(folder, lambda t: t.update({"model.norm.weight": t["model.norm.weight"].to(torch.float8_e4m3fn)}))


def _other_tokens(folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["<new>"])
    tokenizer.save_pretrained(folder)


def _other_template(folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = "{{ messages }}"
    tokenizer.save_pretrained(folder)


BAD_CHECKPOINTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "shape": (_wider, r"tensor model\.norm\.weight has shape \[32\] in .*20 and \[33\] in .*100"),
    "missing": (_incomplete, r"checkpoint-100 has no tensor model\.norm\.weight, which .*checkpoint-20 has"),
    "not finite": (_not_finite, r"tensor model\.norm\.weight of .*checkpoint-100 has weights that are not finite"),
    "8 bits": (_eight_bits, r"tensor model\.norm\.weight is F8_E4M3 in .*checkpoint-100"),
    "layers": (lambda folder: set_config(folder, num_hidden_layers=3), r"num_hidden_layers is 2 in .*20 and 3 in"),
    "quantized": (lambda folder: set_config(folder, quantization_config={"bits": 4}), "has a quantization_config"),
    "classifier": (lambda folder: set_config(folder, architectures=["BertForMaskedLM"]), "predicts no next token"),
    "vocabulary": (_other_tokens, r"different tokenizers \(their vocabulary differs\)"),
    "template": (_other_template, r"different tokenizers \(their chat template differs\)"),
    "pickled": (lambda folder: (folder / WEIGHTS).rename(folder / "pytorch_model.bin") and None, "pickled weights"),
}


@pytest.mark.parametrize("name", BAD_CHECKPOINTS)
def test_checkpoints_that_do_not_fit_together_are_refused(tmp_path: Path, name: str) -> None:
    break_one, message = BAD_CHECKPOINTS[name]
    checkpoints = three(tmp_path)
    break_one(checkpoints[1])
    with pytest.raises(InputError, match=message) as refusal:
        average.train(spec(*checkpoints), tmp_path / "out")
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "out").exists()


def test_an_overflow_of_float16_is_refused(tmp_path: Path) -> None:
    checkpoints = three(tmp_path)
    for path in checkpoints:
        edited(path, lambda tensors: tensors["model.norm.weight"].fill_(1e5))
    with pytest.raises(InputError, match="of the average in float16 has weights that are not finite"):
        average.train(spec(*checkpoints, dtype="float16"), tmp_path / "out")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"checkpoint": ["a"]}, "checkpoint: unknown key; allowed are stage, name, .* Did you mean checkpoints?"),
        ({"data": {}}, "data: unknown key; allowed are"),
        ({"last": 1}, "last: .*greater than or equal to 2"),
        ({"method": "median"}, r"method: .*'mean' or 'ema' \(it is 'median'\)"),
        ({"decay": 0.9}, "decay: has no effect on a mean"),
        ({"method": "ema", "decay": 1}, "decay: .*less than 1"),
        ({"checkpoints": []}, "checkpoints: .*at least 1 item"),
        ({"name": ""}, "name: .*at least 1 character"),
    ],
)
def test_wrong_fields_are_one_line_errors(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as refusal:
        parse({**spec("a", "b"), **fields})
    assert "\n" not in str(refusal.value)


def test_a_missing_field_is_named() -> None:
    with pytest.raises(InputError, match=r"checkpoints: is missing; see docs/training\.md"):
        parse({"stage": "average", "name": "a"})


def test_the_choice_of_checkpoints_is_checked(tmp_path: Path) -> None:
    checkpoints = three(tmp_path / "states")
    other = save_tiny_llama(tmp_path / "other", seed=7)
    copy = Path(shutil.copytree(checkpoints[0], tmp_path / "copy"))
    wrong: list[tuple[list[Path | str], dict[str, Any], str]] = [
        ([checkpoints[0]], {}, "is 1 checkpoint; an average needs at least two"),
        ([checkpoints[0], checkpoints[0]], {}, "is 1 checkpoint"),
        ([checkpoints[0], copy], {}, "copy have the same weights, which would count twice"),
        ([tmp_path / "nothing-*"], {}, "matches no folder; correct the glob"),
        ([tmp_path / "states" / "checkpoint-*"], {"last": 4}, "last: is 4, but checkpoints has 3"),
        ([*checkpoints, other], {"last": 2}, "last: .*other has no training step"),
        ([*checkpoints, other], {"method": "ema"}, "method: .*other has no training step"),
        ([checkpoints[0], tmp_path / "gone"], {}, "checkpoints: .*gone: no such folder"),
    ]
    for places, fields, message in wrong:
        with pytest.raises(InputError, match=message):
            average.plan(spec(*places, **fields))
    elsewhere = save_tiny_llama(tmp_path / "later" / "checkpoint-7", seed=8)
    with pytest.raises(InputError, match="of two trainings, so their steps cannot be compared"):
        average.plan(spec(*checkpoints, elsewhere, last=2))
    average.plan(spec(*checkpoints, other))  # a mean needs no order


def test_the_dry_run_prints_checkpoints_steps_and_weights_and_writes_nothing(
    tmp_path: Path, own_cache: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # a long path would fill several lines
    three(tmp_path / "states")
    stage = tmp_path / "stage.yaml"
    stage.write_text(yaml.safe_dump(spec("states/checkpoint-*", last=2, method="ema", decay=0.5)))
    before = sorted(tmp_path.rglob("*"))
    assert main(["train", str(stage), "--dry_run"]) == 0
    output = capsys.readouterr().out
    rows = [line.split() for line in output.splitlines() if "/checkpoint-" in line and not line.startswith("-")]
    assert [(Path(row[0]).name, row[1], row[2]) for row in rows] == [
        ("checkpoint-100", "100", "0.3333"),
        ("checkpoint-110", "110", "0.6667"),
    ]
    assert [path for path in sorted(tmp_path.rglob("*")) if own_cache not in path.parents] == [
        path for path in before if own_cache not in path.parents
    ]
    assert main(["train", str(stage), "last=9", "--dry_run"]) == 2
    assert f"{stage}: last: is 9, but checkpoints has 3" in capsys.readouterr().err


def test_an_adapter_is_refused_and_the_command_in_the_message_merges_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = save_tiny_llama(tmp_path / "base")
    adapters = [tmp_path / "one", tmp_path / "two"]
    for path in adapters:
        save_tiny_adapter(path, base)
        tiny_tokenizer().save_pretrained(path)
    edited_adapter = load_file(adapters[1] / "adapter_model.safetensors")
    save_file({name: -values for name, values in edited_adapter.items()}, adapters[1] / "adapter_model.safetensors")
    merged = []
    for path, other in zip(adapters, reversed(adapters), strict=True):
        with pytest.raises(InputError, match="is an adapter; the average of LoRA's factors") as refusal:
            average.plan(spec(path, other))
        (command,) = [part for part in str(refusal.value).split("`") if part.startswith("python ")]
        _, _, module, *words = shlex.split(command)
        monkeypatch.setattr(sys, "argv", [module, *words])
        assert importlib.import_module(module).main() == 0
        merged.append(Path(words[-1]))
    edited(merged[1], lambda tensors: tensors["model.norm.weight"].mul_(2))  # both merge to B A
    average.train(spec(*merged), tmp_path / "out")
    layer = "model.layers.0.self_attn.q_proj.weight"
    assert not torch.equal(load_file(tmp_path / "out" / WEIGHTS)[layer], load_file(base / WEIGHTS)[layer])


def test_a_finished_average_is_kept_and_another_stage_is_refused(tmp_path: Path) -> None:
    checkpoints = three(tmp_path / "states")
    out = tmp_path / "states" / "out"
    everything = spec(f"{tmp_path}/states/*")
    average.train(everything, out)
    times = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    average.train(everything, out)  # the glob matches the average itself, which is no checkpoint of its own
    assert {path: path.stat().st_mtime_ns for path in out.iterdir()} == times
    for fields, message in (
        ({"name": "b"}, "holds another stage ('averaged', name 'averaged' instead of 'b'); give another folder"),
        ({"method": "ema"}, "method 'mean' instead of 'ema'"),
        ({"last": 2}, "checkpoints states/checkpoint-20, states/checkpoint-100, states/checkpoint-110 instead of "),
    ):
        with pytest.raises(InputError) as refusal:
            average.train({**everything, **fields}, out)
        assert message in str(refusal.value)
    with pytest.raises(InputError, match="is not empty and holds no average"):
        average.train(spec(*checkpoints[1:]), checkpoints[0])
    texts = write_jsonl(tmp_path / "texts.jsonl", documents(20))
    with pytest.raises(InputError, match="is not empty and holds no stage"):
        pretrain.train(_texts(texts, tokens=1000, **{"from": str(checkpoints[0])}), out)
    assert read_manifest(out) is not None


def test_an_average_that_was_killed_is_written_again(tmp_path: Path) -> None:
    checkpoints = three(tmp_path / "states")
    stage = spec(*checkpoints)
    code = (
        "import os, json, sys, safetensors.torch as st\n"
        "import harness.trainers.averaging.writing as writing\n"
        "from harness.trainers import average\n"
        "from pathlib import Path\n"
        "save, calls = st.save_file, []\n"
        "def dying(tensors, path, **more):\n"
        "    save(tensors, path, **more)\n"
        "    calls.append(path)\n"
        "    len(calls) == 2 and os.kill(os.getpid(), 9)\n"
        "st.save_file, writing.FILE_BYTES = dying, 30_000\n"
        "average.train(json.loads(sys.argv[1]), Path(sys.argv[2]))\n"
    )
    out = tmp_path / "out"
    words = [sys.executable, "-c", code, json.dumps(stage), str(out)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == -9, done.stderr
    assert sorted(path.suffix for path in out.iterdir()) == [".json", ".part", ".safetensors"]
    half = read_manifest(out)
    assert half is not None
    assert not half.finished
    with pytest.raises(InputError):
        resolve(str(out))
    average.train(stage, out)
    average.train(stage, tmp_path / "whole")
    assert sorted(path.name for path in out.iterdir()) == sorted(path.name for path in (tmp_path / "whole").iterdir())
    manifests = [read_manifest(folder) for folder in (out, tmp_path / "whole")]
    assert manifests[0] is not None
    assert manifests[1] is not None
    assert manifests[0].finished
    assert manifests[0].digest == manifests[1].digest == lineage.chain(str(out))[0].digest


def _texts(path: Path, *, tokens: int, **more: Any) -> dict[str, Any]:
    return {
        "stage": "pretrain",
        "name": "base",
        "data": {"budget_tokens": tokens, "sources": {"text": {"path": str(path), "format": "text"}}},
        "trainer": {**CPU, "max_length": 64, "save_steps": 4, "save_total_limit": 5},
        **more,
    }


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training with five saved states, their average, and a child that was trained from it."""
    folder = tmp_path_factory.mktemp("trained")
    texts = write_jsonl(folder / "text.jsonl", documents(100))
    pretrain.train(
        _texts(texts, tokens=3200, architecture="tiny", tokenizer={"vocab_size": 300}, chat_template="plain"),
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


def test_the_guide_names_every_field_of_an_average() -> None:
    guide = (ROOT / "docs" / "training.md").read_text(encoding="utf-8").split("## Average checkpoints")[1]
    section = guide.split("\n## ")[0]
    for name in AverageSpec.model_fields:
        assert f"`{name}`" in section, name
