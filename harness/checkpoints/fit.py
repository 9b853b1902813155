"""Check that a model's configuration and its weight files match.

`check_causal` and `check_size` run before the model is built. With tied embeddings a classifier would be scored as a
language model, and one wrong number in a damaged file could take hours or all memory, and end in an error that does
not name the cause. `check_whole` runs after the weights are loaded.

    config.json: {"num_hidden_layers": 1000000000, ...}, model.safetensors: 272 tensors
    ->  config.json: num_hidden_layers is 1000000000, but at most 1024 are possible with these weight files; ...
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.checkpoints.checkpoint import read_json, weight_files
from harness.errors import CheckpointError

MAX_WEIGHTS_PER_BYTE = 8  # the densest quantisation has one bit per weight
MAX_BUFFER_BYTES = 1 << 28  # tables that a model computes and does not save, such as masks
# Fields that count layers, experts and so on: num_hidden_layers, n_layer, n_routed_experts. Layers may share weights,
# so a model can have more layers than tensors.
PARTS = re.compile(r"(layers?|blocks?|experts?|depth|towers?)$")
MAX_SHARED_PARTS = 1024
MAX_LABELS = 1_000_000  # transformers makes a table of them, also for a language model

# Class names in `architectures` of models that predict no next token: BertForMaskedLM, LlamaForSequenceClassification,
# Qwen2ForRewardModel, LlamaModel (without a head), but not GPT2LMHeadModel.
NOT_CAUSAL = re.compile(
    r"(For(SequenceClassification|TokenClassification|MaskedLM|QuestionAnswering|MultipleChoice|NextSentencePrediction"
    r"|PreTraining|ImageClassification|FeatureExtraction|TextEncoding|Embedding\w*|\w*Reward\w*|Score|Regression)"
    r"|RewardModel|ValueHead\w*|Classifier|Encoder|(?<!LMHead)(?<!DoubleHeads)Model)$"
)


def check_causal(folder: Path) -> None:
    """Refuse a transformers folder whose `config.json` says that it holds no causal language model.

    Raises:
        CheckpointError: it is an encoder-decoder, or a model with another head or without one.
    """
    path = folder / "config.json"
    config = read_json(path, "a transformers folder")
    auto_map = config.get("auto_map")
    if isinstance(auto_map, Mapping) and "AutoModelForCausalLM" in auto_map:  # whatever its class is called
        return
    if config.get("is_encoder_decoder") is True:
        raise CheckpointError(f"{path}: is_encoder_decoder is true; give a causal language model.")
    names = config.get("architectures")
    others = [str(name) for name in names if NOT_CAUSAL.search(str(name))] if isinstance(names, list) else []
    if others and len(others) == len(names or ()):
        raise CheckpointError(
            f"{path}: architectures says {others[0]}, which predicts no next token; give a causal language model, such "
            "as a *ForCausalLM."
        )


def check_size(folder: Path) -> None:
    """Compare `config.json` with the weight files of a transformers folder.

    Raises:
        CheckpointError: the configuration describes a model that cannot be in these files.
    """
    from transformers import AutoConfig

    path = folder / "config.json"
    files = weight_files(folder, allow_pickle=True)
    numbers = read_json(path, "a transformers folder")
    check_parts(path, numbers, sum(map(_tensors, files)))
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    except Exception:
        return
    check_weights(path, config, sum(file.stat().st_size for file in files))


def _tensors(file: Path) -> int:
    from safetensors import safe_open

    if file.suffix != ".safetensors":
        return 0
    with safe_open(file, framework="np") as tensors:
        return len(tensors.keys())


def check_parts(path: Path, config: Mapping[str, Any], tensors: int) -> None:
    """Compare the numbers of layers, experts and the like with the number of tensors.

    Args:
        path: The configuration's file, for the message.
        config: Its fields.
        tensors: How many there are in the weight files.

    Raises:
        CheckpointError: there are more parts than tensors.
    """
    most = max(MAX_SHARED_PARTS, tensors)
    for name, number in _numbers(config):
        limit = most if PARTS.search(name) else MAX_LABELS if name == "num_labels" else None
        if limit is not None and number > limit:
            raise CheckpointError(
                f"{path}: {name} is {str(number)[:20]}, but at most {limit} are possible with these weight files; "
                "restore the original file."
            )


def _numbers(config: Any, name: str = "") -> Iterator[tuple[str, float]]:
    """Yield every number of a configuration with the name of its field, at any depth."""
    if isinstance(config, Mapping):
        for key, value in config.items():
            yield from _numbers(value, str(key))
    elif isinstance(config, list):
        for value in config:
            yield from _numbers(value, name)
    elif isinstance(config, int | float) and not isinstance(config, bool):
        yield name, config


def check_weights(path: Path, config: Any, size: int) -> None:
    """Build the model without its memory, and compare it with the size of its weight files.

    A model that cannot be built is not checked; loading it reports the error. Call `check_parts` first, because this
    builds every layer.

    Raises:
        CheckpointError: the model has more weights than files of `size` bytes can hold.
    """
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.initialization import no_init_weights

    try:
        with torch.device("meta"), no_init_weights():
            model = AutoModelForCausalLM.from_config(config)  # type: ignore[no-untyped-call]
        weights = sum(weight.numel() for weight in model.parameters())
        buffers = sum(buffer.nbytes for buffer in model.buffers())
    except Exception:
        return
    if weights > MAX_WEIGHTS_PER_BYTE * size or buffers > MAX_BUFFER_BYTES + size:
        raise CheckpointError(
            f"{path}: describes a model of {weights:,} weights, which cannot fit in weight files of {size:,} bytes; "
            "restore the original file."
        )


def check_whole(path: str, info: Mapping[str, Any]) -> None:
    """Refuse incomplete weights: transformers initialises missing ones randomly, which makes scores meaningless.

    Args:
        path: The model's folder or hub id, for the message.
        info: What `from_pretrained` returns with ``output_loading_info``.

    Raises:
        CheckpointError: a weight is missing or has another shape.
    """
    absent = sorted([*info["missing_keys"], *(str(key[0]) for key in info["mismatched_keys"])])
    if absent:
        raise CheckpointError(
            f"{path}: lacks {len(absent)} of the model's weights, or has them in another shape (first: {absent[0]}); "
            "give a complete causal language model, saved with its head."
        )
