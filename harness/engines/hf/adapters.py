"""Apply a PEFT adapter to its base, whose embeddings get the number of rows that the adapter was trained with.

A base may have more rows than its tokenizer has tokens (Qwen2.5: 151,936 for 151,665). Rows that no text uses still
count in every softmax, so none are removed because the tokenizer is smaller. Training may add rows for new tokens, or
remove rows; then the adapter holds the embeddings, and their shape says how many there were:

    base 320 rows, adapter with "base_model.model.lm_head.weight" [320, 32]   ->  320
    base 320 rows, adapter with "base_model.model.lm_head.weight" [324, 32]   ->  324
    base 320 rows, adapter without embeddings, tokenizer of 300 tokens        ->  320
    base 320 rows, adapter without embeddings, tokenizer of 322 tokens        ->  322, as in lm-eval
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.checkpoints.checkpoint import ADAPTER_SAFETENSORS
from harness.errors import CheckpointError, whole_reason

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# Tensors of an adapter for an embedding or an output layer, and which of their dimensions counts the rows.
_ROW_DIMENSION = {
    "weight": 0,
    "base_layer.weight": 0,
    "token_adapter.base_layer.weight": 0,
    "lora_embedding_A": 1,
    "lora_B.weight": 0,
}


def with_adapter(model: Any, tokenizer: PreTrainedTokenizerBase, adapter: str) -> Any:
    """Apply the adapter in the folder `adapter`, unmerged.

    Raises:
        CheckpointError: PEFT cannot read it, or it does not fit `model`.
    """
    from peft import PeftModel

    try:
        _resize_embeddings(model, _trained_rows(model, adapter) or _rows_for(model, tokenizer))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            adapted = PeftModel.from_pretrained(model, adapter)
    except Exception as error:  # damaged files raise exceptions of any type
        raise CheckpointError(f"cannot open the adapter {adapter!r}: {whole_reason(error)}") from error
    missing = [warning.message for warning in caught if "missing adapter keys" in str(warning.message)]
    if missing and isinstance(missing[0], Warning):  # PEFT draws them at random
        raise CheckpointError(
            f"the adapter {adapter!r} lacks some of its weights; save it again ({whole_reason(missing[0])})."
        )
    return adapted


def _trained_rows(model: Any, adapter: str) -> int | None:
    """The rows of the embeddings that the adapter holds or changes; None if it leaves them alone."""
    embeddings = [model.get_input_embeddings(), model.get_output_embeddings()]
    names = [name for name, module in model.named_modules() if any(module is own for own in embeddings)]
    dimension_of = {f"base_model.model.{name}.{part}": axis for name in names for part, axis in _ROW_DIMENSION.items()}
    shapes = _shapes(adapter)
    return max((shapes[name][axis] for name, axis in dimension_of.items() if name in shapes), default=None)


def _shapes(adapter: str) -> dict[str, tuple[int, ...]]:
    """Return the shape of each of the adapter's tensors; only a pickle is read whole for that."""
    path = Path(adapter) / ADAPTER_SAFETENSORS
    if path.is_file():
        from safetensors import safe_open

        with safe_open(path, framework="numpy") as tensors:
            return {name: tuple(tensors.get_slice(name).get_shape()) for name in tensors.keys()}  # noqa: SIM118
    from peft import load_peft_weights

    return {name: tuple(tensor.shape) for name, tensor in load_peft_weights(adapter, device="cpu").items()}


def _rows_for(model: Any, tokenizer: PreTrainedTokenizerBase) -> int:
    """Rows for every token, but never fewer than there are."""
    rows: int = model.get_input_embeddings().weight.shape[0]
    return max(len(tokenizer), rows)


def virtual_tokens(model: Any) -> int:
    """Positions of the context that a prompt-learning adapter takes; 0 for other adapters and plain models."""
    from peft import PeftModel

    config = model.active_peft_config if isinstance(model, PeftModel) else None
    return config.num_virtual_tokens if config is not None and config.is_prompt_learning else 0


def _resize_embeddings(model: Any, rows: int) -> None:
    """Give the embeddings `rows` rows; new ones are near the mean of the others, and the same each time."""
    import torch

    if model.get_input_embeddings().weight.shape[0] != rows:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model.resize_token_embeddings(rows)
