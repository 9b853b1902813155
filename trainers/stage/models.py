"""Models for a stage: the parent's, or new ones. Only this module loads the weights of whole models."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.checkpoints.checkpoint import Checkpoint
from harness.checkpoints.fit import check_causal, check_size, check_whole
from harness.checkpoints.resolver import resolve
from harness.errors import CheckpointError, HarnessError, SpecError, did_you_mean, first_line, last_line
from harness.trainers.data.chat import Tokenizer
from harness.trainers.stage.merging import merge_adapter
from harness.trainers.stage.spec import StageSpec
from harness.trainers.stage.tokenizers import CONTEXT_TOKENS

if TYPE_CHECKING:
    import torch

# Llama-style with tied embeddings; the names give the number of parameters with a vocabulary of 32k.
ARCHITECTURES: dict[str, dict[str, int]] = {
    "tiny": {"hidden_size": 64, "intermediate_size": 192, "num_hidden_layers": 2, "num_attention_heads": 4},
    "30m": {"hidden_size": 384, "intermediate_size": 1024, "num_hidden_layers": 10, "num_attention_heads": 6},
    "125m": {"hidden_size": 768, "intermediate_size": 2048, "num_hidden_layers": 14, "num_attention_heads": 12},
    "350m": {"hidden_size": 1024, "intermediate_size": 2816, "num_hidden_layers": 24, "num_attention_heads": 16},
}
STAGE_FILES = (".yaml", ".yml")
SHAPE = ("model_type", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")


def find_parent(spec: StageSpec) -> Checkpoint | None:
    """Return the resolved checkpoint that the stage starts from; None when it starts from scratch."""
    if spec.from_ is None:
        return None
    if Path(spec.from_).suffix in STAGE_FILES and Path(spec.from_).is_file():
        raise SpecError(
            f"from: {spec.from_} is a stage file; train it first, and give the folder of its checkpoint (only "
            "--dry_run can do without)."
        )
    _check_place(spec.from_)
    try:
        return resolve(spec.from_)
    except CheckpointError as error:
        raise CheckpointError(f"from: {str(error).removeprefix('--model ')}") from None


def _check_place(named: str) -> None:
    """Check that a path leads somewhere: a name below an existing folder, or of a stage file, is no hub id."""
    path = Path(named).expanduser()
    siblings = [each.name for each in path.parent.iterdir()] if path.parent.is_dir() else []
    is_path = path.suffix in STAGE_FILES or path.is_absolute() or (siblings and len(path.parts) > 1)
    if is_path and not path.exists():
        raise SpecError(f"from: {named}: there is no such folder.{did_you_mean(path.name, siblings)}")


def model_config(spec: StageSpec, parent: Checkpoint | None, tokenizer: Tokenizer) -> Any:
    """Return the transformers configuration of the stage's model.

    Raises:
        InputError: the architecture is unknown or not the parent's, the parent is no causal language model, or the
            tokenizer has more tokens than the model has embeddings.
    """
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, AutoConfig

    if parent is None:
        config = _new_config(spec, tokenizer)
    else:
        check_causal(parent.weights)
        check_size(parent.weights)
        with _opening(spec):
            config = AutoConfig.from_pretrained(parent.weights, trust_remote_code=False)
    if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING:
        raise SpecError(f"from: {spec.from_} is a {config.model_type} model; give a causal language model.")
    return checked_config(spec, config, tokenizer)


def checked_config(spec: StageSpec, config: Any, tokenizer: Tokenizer) -> Any:
    """Return a model's configuration.

    Raises:
        InputError: it is not of the architecture that the stage file names, or has too few rows for the tokenizer.
    """
    if spec.from_ is not None and spec.architecture is not None:
        requested = _new_config(spec, tokenizer)
        for name in SHAPE:
            if getattr(requested, name, None) != getattr(config, name, None):
                raise SpecError(
                    f"architecture: {spec.architecture} has {name} {getattr(requested, name, None)}, the parent "
                    f"{spec.from_} has {getattr(config, name, None)}; remove architecture to use the parent's."
                )
    rows = config.get_text_config().vocab_size
    if len(tokenizer) > rows:
        raise SpecError(
            f"tokenizer: has {len(tokenizer)} tokens, but {spec.from_ or spec.architecture} has {rows} embeddings; "
            "give the model's own tokenizer."
        )
    return config


def _new_config(spec: StageSpec, tokenizer: Tokenizer) -> Any:
    from transformers import CONFIG_MAPPING

    ends = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    architecture = spec.architecture
    if isinstance(architecture, str):
        if architecture not in ARCHITECTURES:
            hint = did_you_mean(architecture, ARCHITECTURES)
            raise SpecError(
                f"architecture: {architecture!r} is unknown; give {', '.join(ARCHITECTURES)} or a transformers "
                f"config as a mapping.{hint}"
            )
        architecture = {
            "model_type": "llama",
            "max_position_embeddings": CONTEXT_TOKENS,
            "tie_word_embeddings": True,
            **ARCHITECTURES[architecture],
        }
    assert architecture is not None
    model_type = str(architecture.get("model_type"))
    if model_type not in CONFIG_MAPPING:
        hint = did_you_mean(model_type, CONFIG_MAPPING.keys())
        raise SpecError(f"architecture.model_type: transformers has no {model_type!r}; give another.{hint}")
    settings = {name: value for name, value in architecture.items() if name != "model_type"}
    known = set(CONFIG_MAPPING[model_type]().to_dict())
    for name in settings:
        if name not in known:
            raise SpecError(f"architecture.{name}: {model_type} has no such field.{did_you_mean(name, known)}")
    settings = {"vocab_size": len(tokenizer), "bos_token_id": tokenizer.bos_token_id, **ends, **settings}
    try:
        return CONFIG_MAPPING[model_type](**settings)
    except Exception as error:  # each architecture checks its sizes in its own way
        raise SpecError(
            f"architecture: transformers refuses it ({last_line(error, max_characters=200)}); correct it."
        ) from None


def weights_dtype(spec: StageSpec) -> torch.dtype:
    """Return the data type of a stage's weights."""
    import torch

    names = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    quantized = spec.adapter is not None and spec.adapter.type == "qlora"
    return names.get(spec.dtype, torch.bfloat16 if quantized else torch.float32)


def load_model(
    spec: StageSpec,
    parent: Checkpoint | None,
    config: Any,
    quantization: Any = None,
    dtype: torch.dtype | None = None,
) -> Any:
    """Return the model to train: new weights from the seed, or the parent's with its adapter merged into them.

    `dtype` replaces the stage's data type.
    """
    import torch
    from transformers import set_seed

    dtype = dtype or weights_dtype(spec)
    if parent is None:
        set_seed(spec.seed)
        return _auto().from_config(config, dtype=dtype)
    with _opening(spec):
        more = {"quantization_config": quantization} if quantization is not None else {}
        first = dtype if parent.adapter is None else torch.float32  # in which an adapter is merged
        model, info = _auto().from_pretrained(parent.weights, dtype=first, output_loading_info=True, **more)
        check_whole(str(parent.weights), info)
        if parent.adapter is not None:
            # PEFT freezes the weights below an adapter; once merged, all of them are trained again.
            model = merge_adapter(model, parent.adapter).to(dtype).requires_grad_(True)
    return model


@contextmanager
def _opening(spec: StageSpec) -> Iterator[None]:
    """Turn errors from the parent's damaged files into one that names the parent."""
    try:
        yield
    except Exception as error:
        if isinstance(error, HarnessError) or "memory" in str(error):
            raise
        raise SpecError(
            f"from: {spec.from_}: cannot be opened ({first_line(error, max_characters=200)}); restore its files, or "
            "give another checkpoint."
        ) from error


def _auto() -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM
