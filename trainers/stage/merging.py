"""Merging an adapter into its base, with a check that the merged model computes what base and adapter compute."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import HarnessError

if TYPE_CHECKING:
    import torch

LARGEST_DIFFERENCE = 1e-4  # of the logits in float32, relative to the largest one if that is above 1
_ROWS, _TOKENS = 2, 16  # of the batch that is compared


def merge_adapter(model: Any, adapter: str | Path) -> Any:
    """Return `model`, in float32, with a saved adapter merged into its weights.

    Raises:
        HarnessError: the logits of the merged model differ from those of base and adapter.
    """
    from peft import PeftModel

    adapted = PeftModel.from_pretrained(model, str(adapter)).eval()
    _untie_if_adapted(adapted.get_base_model())
    expected = _logits(adapted)
    merged = adapted.merge_and_unload()
    difference = (_logits(merged) - expected).abs().max().item()
    if not difference <= LARGEST_DIFFERENCE * max(1.0, expected.abs().max().item()):
        raise HarnessError(
            f"{adapter}: merged into its base, the model's logits differ by {difference:.2g}; set adapter.merge: false "
            "and keep the adapter."
        )
    return merged


def _untie_if_adapted(model: Any) -> None:
    """Give the output layer weights of its own if it shares those of the embeddings and one of them has an adapter.

    The adapter changes one of the two; merged into shared weights it would change both.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer

    layers = [model.get_input_embeddings(), model.get_output_embeddings()]
    if not any(isinstance(layer, BaseTunerLayer) for layer in layers):
        return
    embeddings, head = (getattr(layer, "base_layer", layer) for layer in layers)
    if head is None or head.weight is not embeddings.weight:
        return
    import torch

    head.weight = torch.nn.Parameter(head.weight.detach().clone())
    model.config.get_text_config().tie_word_embeddings = False
    model.config.tie_word_embeddings = False


def _logits(model: Any) -> torch.Tensor:
    import torch

    device = next(model.parameters()).device
    rows = model.config.get_text_config().vocab_size
    ids = torch.randint(rows, (_ROWS, _TOKENS), generator=torch.Generator().manual_seed(0)).to(device)
    with torch.no_grad():
        logits: torch.Tensor = model(input_ids=ids).logits.float()
    return logits
