"""The stage `average`: right values, the dry run, and the output folder."""

from __future__ import annotations

import json
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
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from harness.checkpoints import lineage
from harness.checkpoints.resolver import resolve
from harness.checkpoints.stage_manifest import read_manifest
from harness.cli import main
from harness.errors import InputError
from harness.trainers import average, pretrain
from harness.trainers.averaging.spec import AverageSpec, parse
from tests.conftest import ROOT
from tests.models import save_tiny_llama
from tests.trainers.averages import WEIGHTS, edited, expected, save_gpt2, set_config, spec, three, training_on
from tests.trainers.helpers import documents, write_jsonl


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
        pretrain.train(training_on(texts, tokens=1000, **{"from": str(checkpoints[0])}), out)
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


def test_the_guide_names_every_field_of_an_average() -> None:
    guide = (ROOT / "docs" / "training.md").read_text(encoding="utf-8").split("## Average checkpoints")[1]
    section = guide.split("\n## ")[0]
    for name in AverageSpec.model_fields:
        assert f"`{name}`" in section, name
