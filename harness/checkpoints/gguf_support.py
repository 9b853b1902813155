"""What a GGUF file says that transformers' reader ignores: applied here where that is possible, else refused by name.

transformers maps some keys and tensors of each architecture and drops the others without a word. A file with
``llama.rope.scaling.type = yarn`` or with the tensor ``rope_freqs.weight`` then gives another model than the one it
holds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import CheckpointError

if TYPE_CHECKING:
    from gguf import GGUFReader

# Llama 3's scaling of rotary frequencies, of which GGUF keeps the result only; see `llama3_scaling`.
LOW_FREQ_FACTOR, HIGH_FREQ_FACTOR, ORIGINAL_CONTEXT = 1.0, 4.0, 8192
ROPE_FREQS = "rope_freqs.weight"
# Names of pre-tokenizers for which llama.cpp adds BOS without being told.
_PRE_WITH_BOS = ("llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2")
REMEDY = "convert the original checkpoint to a transformers folder, or use that one"


def _head_dim(config: Any) -> int:
    return int(getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)


def _rotary_dim(config: Any) -> float:
    rope = getattr(config, "rope_parameters", None) or {}
    share: Any = rope.get("partial_rotary_factor") or getattr(config, "partial_rotary_factor", None) or 1.0
    return float(_head_dim(config) * share)


def _field(name: str) -> Callable[[Any, Any], bool]:
    return lambda value, config: _equal(value, getattr(config, name, None))


def _is(*allowed: Any) -> Callable[[Any, Any], bool]:
    return lambda value, _: value in allowed


# Keys that transformers does not read, and whether a value of theirs changes nothing: it is the configuration's own,
# or it turns the feature off.
HARMLESS: Mapping[str, Callable[[Any, Any], bool]] = {
    "vocab_size": lambda *_: True,
    "tensor_data_layout": lambda *_: True,
    "attention.causal": _is(True),
    "attention.key_length": lambda value, config: value == _head_dim(config),
    "attention.value_length": lambda value, config: value == _head_dim(config),
    "attention.sliding_window": _field("sliding_window"),
    "attention.clamp_kqv": _is(0),
    "attn_logit_softcapping": _field("attn_logit_softcapping"),
    "final_logit_softcapping": _field("final_logit_softcapping"),
    "rope.dimension_count": lambda value, config: value == _rotary_dim(config),
    "rope.scaling.type": _is("none"),
    "rope.scaling.factor": _is(0, 1),
    "rope.scaling.attn_factor": _is(0, 1),
    "rope.scaling.finetuned": _is(False),
    "expert_count": _is(0),
    "expert_used_count": _is(0),
    "use_parallel_residual": _field("use_parallel_residual"),
    "pooling_type": _is(0),
}


def check_keys(path: Path, reader: GGUFReader, config: Any) -> None:
    """Refuse a part of a split file, and keys that would change the model if they were read.

    Args:
        path: The file, for messages.
        reader: The file, opened.
        config: The configuration that transformers makes of it.

    Raises:
        CheckpointError: names the key and its value.
    """
    keys = {name: field.contents() for name, field in reader.fields.items() if not name.startswith("GGUF.")}
    parts = keys.get("split.count") or 1
    if parts > 1:
        number = int(keys.get("split.no", 0)) + 1
        raise CheckpointError(
            f"{path}: is part {number} of {parts} of a split file; merge the parts with `llama-gguf-split --merge "
            "FIRST_PART OUTPUT` and give the merged file."
        )
    for key, value in _unread(keys):
        if not HARMLESS.get(key.partition(".")[2], _is())(value, config):
            raise CheckpointError(
                f"{path}: has {key} = {str(value)[:40]}, which transformers does not apply to GGUF files; {REMEDY}."
            )


def _unread(keys: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the keys of the file's architecture that transformers does not read."""
    from transformers.modeling_gguf_pytorch_utils import GGUF_TO_TRANSFORMERS_MAPPING

    architecture = str(keys["general.architecture"])
    mapping: Any = GGUF_TO_TRANSFORMERS_MAPPING["config"]
    known = mapping.get(architecture.replace("-", "_"), {})
    for key, value in keys.items():
        prefix, _, name = key.partition(".")
        if prefix == architecture and known.get(name) is None:
            yield key, value


def _equal(value: Any, expected: Any) -> bool:
    if isinstance(value, float) and isinstance(expected, int | float):
        return math.isclose(value, expected, rel_tol=1e-6)
    return bool(value == expected)


def check_tensors(path: Path, reader: GGUFReader, model: Any) -> None:
    """Check that each weight of the model came from the file, and that each tensor of the file became one.

    Both have the same number of values then: a conversion reorders and renames them, but neither adds nor drops any.

    Raises:
        CheckpointError: names a tensor that was not used, if that is it.
    """
    weights = {id(weight): weight.numel() for weight in model.parameters()}
    values = {tensor.name: int(tensor.n_elements) for tensor in reader.tensors if tensor.name != ROPE_FREQS}
    if sum(weights.values()) == sum(values.values()):
        return
    unused = sorted(set(values) - _known_tensors(model))
    found = f"; transformers does not use {unused[0]}" if unused else ""
    raise CheckpointError(
        f"{path}: its tensors hold {sum(values.values()):,} values, the model has {sum(weights.values()):,}{found}. "
        f"Check that the file is complete, or {REMEDY}."
    )


def _known_tensors(model: Any) -> set[str]:
    from transformers.modeling_gguf_pytorch_utils import TensorProcessor, get_gguf_hf_weights_map

    return set(get_gguf_hf_weights_map(model, TensorProcessor(config={})))  # type: ignore[no-untyped-call]


def llama3_scaling(path: Path, reader: GGUFReader, config: Any) -> dict[str, Any] | None:
    """Return the rotary parameters behind ``rope_freqs.weight``; None if the file has no such tensor, or only ones.

    The tensor holds a divisor for each rotary frequency (in Llama 3.1 from 1 for short waves to 8 for long ones).
    The formula is that of transformers' `_compute_llama3_parameters`. The largest divisor is its factor; the other
    constants are those of every published Llama 3. If they do not give this tensor, the file is refused.

    Raises:
        CheckpointError: the divisors follow another formula.
    """
    import numpy as np

    tensor = next((tensor for tensor in reader.tensors if tensor.name == ROPE_FREQS), None)
    if tensor is None:
        return None
    divisors = np.asarray(tensor.data, dtype=np.float64).ravel()
    if np.allclose(divisors, 1.0):
        return None
    factor = float(divisors.max())
    theta = float((getattr(config, "rope_parameters", None) or {}).get("rope_theta") or config.rope_theta)
    waves = 2 * math.pi * theta ** (np.arange(len(divisors)) / len(divisors))
    smooth = (ORIGINAL_CONTEXT / waves - LOW_FREQ_FACTOR) / (HIGH_FREQ_FACTOR - LOW_FREQ_FACTOR)
    between = 1 / ((1 - smooth) / factor + smooth)
    short, long = waves < ORIGINAL_CONTEXT / HIGH_FREQ_FACTOR, waves > ORIGINAL_CONTEXT / LOW_FREQ_FACTOR
    expected = np.where(short, 1.0, np.where(long, factor, between))
    if not np.allclose(divisors, expected, rtol=1e-4):
        raise CheckpointError(f"{path}: {ROPE_FREQS} does not follow Llama 3's scaling of frequencies; {REMEDY}.")
    return {
        "rope_type": "llama3",
        "rope_theta": theta,
        "factor": factor,
        "low_freq_factor": LOW_FREQ_FACTOR,
        "high_freq_factor": HIGH_FREQ_FACTOR,
        "original_max_position_embeddings": ORIGINAL_CONTEXT,
    }


def begins_with_bos(reader: GGUFReader) -> bool | None:
    """Return whether the file's texts begin with BOS; None if neither the file nor llama.cpp's default says so.

    Source of the defaults: llama.cpp, `llama_vocab::impl::load`.
    """
    given = _value(reader, "tokenizer.ggml.add_bos_token")
    if given is not None:
        return bool(given)
    if _value(reader, "tokenizer.ggml.model") == "llama":
        return True
    return True if _value(reader, "tokenizer.ggml.pre") in _PRE_WITH_BOS else None


def set_bos(path: Path, tokenizer: Any, wanted: bool | None) -> None:
    """Make a converted tokenizer begin its texts with BOS, or not. Raises: CheckpointError if it cannot."""
    if wanted is None or _adds_bos(tokenizer) == wanted:
        return
    tokenizer.add_bos_token = wanted
    if _adds_bos(tokenizer) != wanted:
        raise CheckpointError(
            f"{path}: its texts {'begin' if wanted else 'do not begin'} with BOS, but not those of transformers' "
            f"tokenizer; {REMEDY}."
        )


def _adds_bos(tokenizer: Any) -> bool:
    return tokenizer.bos_token_id is not None and tokenizer.bos_token_id in tokenizer("a")["input_ids"][:1]


def _value(reader: GGUFReader, key: str) -> Any:
    field = reader.get_field(key)
    return None if field is None else field.contents()
