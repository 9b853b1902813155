"""Models and tokenizers for a stage: the parent's, or new ones. Only this module loads the weights of whole models."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.checkpoints.checkpoint import Checkpoint
from harness.checkpoints.fit import check_causal, check_size, check_whole
from harness.checkpoints.resolver import resolve
from harness.errors import CheckpointError, HarnessError, SpecError, did_you_mean, first_line
from harness.trainers.data.encoding import Tokenizer
from harness.trainers.data.sources import Source, SourcePosition
from harness.trainers.stage.spec import StageSpec, TokenizerSpec

# Llama-style with tied embeddings; the names give the number of parameters with a vocabulary of 32k.
ARCHITECTURES: dict[str, dict[str, int]] = {
    "tiny": {"hidden_size": 64, "intermediate_size": 192, "num_hidden_layers": 2, "num_attention_heads": 4},
    "30m": {"hidden_size": 384, "intermediate_size": 1024, "num_hidden_layers": 10, "num_attention_heads": 6},
    "125m": {"hidden_size": 768, "intermediate_size": 2048, "num_hidden_layers": 14, "num_attention_heads": 12},
    "350m": {"hidden_size": 1024, "intermediate_size": 2816, "num_hidden_layers": 24, "num_attention_heads": 16},
}
CONTEXT_TOKENS = 2048
END, PAD = "<|endoftext|>", "<|pad|>"
SHAPE = ("model_type", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")


def find_parent(spec: StageSpec) -> Checkpoint | None:
    """Return the resolved checkpoint that the stage starts from; None when it starts from scratch."""
    if spec.from_ is None:
        return None
    try:
        return resolve(spec.from_)
    except CheckpointError as error:
        raise CheckpointError(f"from: {str(error).removeprefix('--model ')}") from None


def load_tokenizer(
    spec: StageSpec, parent: Checkpoint | None, sources: Sequence[Source], saved: Path | None
) -> Tokenizer:
    """Return the stage's tokenizer, with end-of-sequence and padding tokens.

    Args:
        spec: The stage.
        parent: Its parent.
        sources: Texts to train a tokenizer on.
        saved: Folder of the tokenizer that an earlier run of this stage trained; None when there is none.

    Raises:
        InputError: it cannot be loaded, has no end-of-sequence token, or differs from the parent's.
    """
    from transformers import AutoTokenizer

    if isinstance(spec.tokenizer, TokenizerSpec):
        return train_tokenizer(spec.tokenizer, sources) if saved is None else AutoTokenizer.from_pretrained(saved)
    place = spec.tokenizer if parent is None else str(parent.tokenizer)
    tokenizer = _open_tokenizer(str(place))
    if parent is not None and spec.tokenizer is not None:
        other = _open_tokenizer(spec.tokenizer).get_vocab()
        if other != tokenizer.get_vocab():
            raise SpecError(
                f"tokenizer: {spec.tokenizer} has another vocabulary ({len(other)} tokens) than the parent "
                f"{spec.from_} ({len(tokenizer)}); remove tokenizer to use the parent's."
            )
    if tokenizer.eos_token is None:
        raise SpecError(f"tokenizer: {place} has no end-of-sequence token; set eos_token in its configuration.")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def _open_tokenizer(place: str) -> Tokenizer:
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(place)
    except (OSError, ValueError) as error:
        raise SpecError(f"tokenizer: {place} cannot be loaded ({first_line(error, max_characters=160)}).") from None


def train_tokenizer(spec: TokenizerSpec, sources: Sequence[Source]) -> Tokenizer:
    """Train a byte-level BPE tokenizer on the beginnings of the sources, with equal shares of text."""
    from tokenizers import Tokenizer as Bpe
    from tokenizers import decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    raw = Bpe(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=spec.vocab_size,
        special_tokens=[END, PAD],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    share = int(spec.sample_mb * 1e6 / len(sources))
    raw.train_from_iterator(itertools.chain.from_iterable(_first_texts(source, share) for source in sources), trainer)
    fast: Any = PreTrainedTokenizerFast
    return fast(tokenizer_object=raw, bos_token=END, eos_token=END, pad_token=PAD, model_max_length=CONTEXT_TOKENS)


def _first_texts(source: Source, characters: int) -> Iterator[str]:
    for record, _, _ in source.read_epoch(SourcePosition()):
        text = record["text"] if "text" in record else f"{record['prompt']}{record['completion']}"
        yield text
        characters -= len(text)
        if characters <= 0:
            return


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
    if parent is not None and spec.architecture is not None:
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
    return CONFIG_MAPPING[model_type](
        **{"vocab_size": len(tokenizer), "bos_token_id": tokenizer.bos_token_id, **ends, **settings}
    )


def load_model(spec: StageSpec, parent: Checkpoint | None, config: Any, quantization: Any = None) -> Any:
    """Return the model to train: new weights from the seed, or the parent's with its adapter merged into them."""
    import torch
    from transformers import set_seed

    names = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    quantized = spec.adapter is not None and spec.adapter.type == "qlora"
    dtype = names.get(spec.dtype, torch.bfloat16 if quantized else torch.float32)
    if parent is None:
        set_seed(spec.seed)
        return _auto().from_config(config, dtype=dtype)
    with _opening(spec):
        more = {"quantization_config": quantization} if quantization is not None else {}
        model, info = _auto().from_pretrained(parent.weights, dtype=dtype, output_loading_info=True, **more)
        check_whole(str(parent.weights), info)
        if parent.adapter is not None:
            from peft import PeftModel

            # PEFT freezes the weights below an adapter; once merged, all of them are trained again.
            model = PeftModel.from_pretrained(model, parent.adapter).merge_and_unload().requires_grad_(True)
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


def empty_model(config: Any) -> Any:
    """Return a model of this configuration without allocating its weights."""
    import torch

    with torch.device("meta"):
        return _auto().from_config(config)


def count_parameters(config: Any) -> int:
    """Return the number of parameters of a model of this configuration, without allocating its weights."""
    return sum(parameter.numel() for parameter in empty_model(config).parameters())


def _auto() -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM
