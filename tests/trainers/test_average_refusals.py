"""The stage `average` refuses checkpoints that do not fit together, and wrong fields, in one line each."""

from __future__ import annotations

import importlib
import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer

from harness.errors import InputError
from harness.trainers import average
from harness.trainers.averaging.spec import parse
from tests.models import save_tiny_adapter, save_tiny_llama, tiny_tokenizer
from tests.trainers.averages import WEIGHTS, edited, set_config, spec, three


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
