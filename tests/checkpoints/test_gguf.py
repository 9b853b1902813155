"""A GGUF file is the model that it holds, or it is refused by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from harness.checkpoints.resolver import resolve
from harness.errors import CheckpointError
from tests.models import save_tiny_gguf, save_tiny_llama

LLAMA3 = {
    "rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}  # fmt: skip


@pytest.fixture
def model(tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path / "empty"))
    return save_tiny_llama(tmp_path / "model")


def logits(folder: Path) -> torch.Tensor:
    """The logits of some tokens that stand far apart, where scaled rotary frequencies differ."""
    tokens, places = torch.arange(2, 60)[None], 100 * torch.arange(58)[None]
    with torch.no_grad():
        found: torch.Tensor = AutoModelForCausalLM.from_pretrained(folder)(tokens, position_ids=places).logits
    return found


def rewritten(
    source: Path,
    target: Path,
    *,
    keys: Mapping[str, Any] | None = None,
    tensors: Mapping[str, np.ndarray[Any, Any]] | None = None,
    keep: Callable[[str], bool] = lambda _: True,
) -> Path:
    """Copy a GGUF file, with other keys and tensors."""
    import gguf

    reader = gguf.GGUFReader(source)
    writer = gguf.GGUFWriter(target, "llama")
    for name, field in reader.fields.items():
        if not name.startswith("GGUF.") and name != "general.architecture" and name not in (keys or {}):
            sub_type = field.types[1] if len(field.types) > 1 else None
            writer.add_key_value(name, field.contents(), field.types[0], sub_type)
    for name, value in (keys or {}).items():
        kinds = {str: gguf.GGUFValueType.STRING, float: gguf.GGUFValueType.FLOAT32, bool: gguf.GGUFValueType.BOOL}
        writer.add_key_value(name, value, kinds.get(type(value), gguf.GGUFValueType.UINT32))
    for tensor in reader.tensors:
        if keep(tensor.name):
            writer.add_tensor(tensor.name, tensor.data)
    for name, values in (tensors or {}).items():
        writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target


def test_a_whole_file_is_the_model(model: Path, tmp_path: Path) -> None:
    file = save_tiny_gguf(tmp_path / "whole.gguf", model)
    assert torch.equal(logits(resolve(str(file)).weights), logits(model))
    again = rewritten(file, tmp_path / "again.gguf")
    assert torch.equal(logits(resolve(str(again)).weights), logits(model))


@pytest.mark.parametrize("missing", ["blk.1.ffn_up.weight", "blk.0.attn_norm.weight", "token_embd.weight"])
def test_a_file_that_lacks_a_tensor_is_refused(missing: str, model: Path, tmp_path: Path) -> None:
    file = save_tiny_gguf(tmp_path / "whole.gguf", model)
    part = rewritten(file, tmp_path / "part.gguf", keep=lambda name: name != missing)
    with pytest.raises(CheckpointError, match=r"part\.gguf: (lacks 1 of|its tensors hold)"):
        resolve(str(part))


def test_a_tensor_that_is_not_used_is_named(model: Path, tmp_path: Path) -> None:
    file = save_tiny_gguf(tmp_path / "whole.gguf", model)
    more = {"blk.0.attn_q_norm.weight": np.ones(8, dtype=np.float32)}
    with pytest.raises(CheckpointError, match=r"transformers does not use blk\.0\.attn_q_norm\.weight"):
        resolve(str(rewritten(file, tmp_path / "more.gguf", tensors=more)))


def test_a_part_of_a_split_file_is_refused(model: Path, tmp_path: Path) -> None:
    file = save_tiny_gguf(tmp_path / "whole.gguf", model)
    keys = {"split.count": 3, "split.no": 0, "split.tensors.count": 21}
    part = rewritten(file, tmp_path / "model-00001-of-00003.gguf", keys=keys, keep=lambda name: "blk.1" not in name)
    with pytest.raises(CheckpointError, match="is part 1 of 3 of a split file; merge the parts"):
        resolve(str(part))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("llama.rope.scaling.type", "yarn"),
        ("llama.rope.scaling.type", "linear"),
        ("llama.rope.scaling.factor", 4.0),
        ("llama.attention.sliding_window", 16),
        ("llama.attention.key_length", 16),
        ("llama.expert_count", 8),
        ("llama.final_logit_softcapping", 30.0),
        ("llama.attention.scale", 0.5),
        ("llama.logit_scale", 0.25),
    ],
)
def test_a_key_that_would_be_ignored_is_refused(key: str, value: object, model: Path, tmp_path: Path) -> None:
    file = save_tiny_gguf(tmp_path / "whole.gguf", model)
    changed = rewritten(file, tmp_path / "changed.gguf", keys={key: value})
    with pytest.raises(CheckpointError, match=rf"changed\.gguf: has {key} = {value}"):
        resolve(str(changed))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("llama.rope.scaling.type", "none"),
        ("llama.attention.key_length", 8),
        ("llama.attention.causal", True),
        ("llama.expert_count", 0),
        ("quantize.imatrix.entries_count", 3),
        ("general.finetune", "chat"),
    ],
)
def test_a_key_that_changes_nothing_is_accepted(key: str, value: object, model: Path, tmp_path: Path) -> None:
    file = save_tiny_gguf(tmp_path / "whole.gguf", model)
    same = rewritten(file, tmp_path / "same.gguf", keys={key: value})
    assert torch.equal(logits(resolve(str(same)).weights), logits(model))


def llama3_divisors(folder: Path) -> np.ndarray[Any, Any]:
    """What llama.cpp's converter writes as ``rope_freqs.weight``: the plain frequencies over Llama 3's."""
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    config = AutoConfig.from_pretrained(folder)
    scaled, _ = ROPE_INIT_FUNCTIONS["llama3"](config, torch.device("cpu"))
    plain = 1 / 500000.0 ** (torch.arange(0, 8, 2) / 8)
    return (plain / scaled).numpy().astype(np.float32)


def test_the_frequencies_of_llama_3_are_applied(model: Path, tmp_path: Path) -> None:
    config = AutoConfig.from_pretrained(model)
    config.rope_parameters = LLAMA3
    scaled = tmp_path / "scaled"
    llama = AutoModelForCausalLM.from_pretrained(model, config=config)
    llama.save_pretrained(scaled)
    file = save_tiny_gguf(tmp_path / "whole.gguf", model)
    divisors = llama3_divisors(scaled)
    assert divisors.max() == pytest.approx(8)
    keys = {"llama.rope.freq_base": 500000.0}
    long = rewritten(file, tmp_path / "long.gguf", keys=keys, tensors={"rope_freqs.weight": divisors})
    assert torch.allclose(logits(resolve(str(long)).weights), logits(scaled), atol=1e-6)
    plain = rewritten(file, tmp_path / "plain.gguf", keys=keys)
    assert not torch.allclose(logits(resolve(str(plain)).weights), logits(scaled), atol=1e-4)


def test_frequencies_of_another_formula_are_refused(model: Path, tmp_path: Path) -> None:
    file = save_tiny_gguf(tmp_path / "whole.gguf", model)
    odd = {"rope_freqs.weight": np.array([1, 2, 3, 4], dtype=np.float32)}
    with pytest.raises(CheckpointError, match="does not follow Llama 3's scaling"):
        resolve(str(rewritten(file, tmp_path / "odd.gguf", tensors=odd)))


@pytest.mark.parametrize("wanted", [True, False])
def test_texts_begin_with_bos_as_the_file_says(wanted: bool, model: Path, tmp_path: Path) -> None:
    file = save_tiny_gguf(tmp_path / "whole.gguf", model)
    changed = rewritten(file, tmp_path / "bos.gguf", keys={"tokenizer.ggml.add_bos_token": wanted})
    tokenizer = AutoTokenizer.from_pretrained(resolve(str(changed)).tokenizer)
    bare = tokenizer("a cat", add_special_tokens=False)["input_ids"]
    assert tokenizer("a cat")["input_ids"] == ([tokenizer.bos_token_id, *bare] if wanted else bare)
