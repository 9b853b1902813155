"""Products of a model's linear layers with oneDNN, on a CPU where this is faster than what torch does.

torch multiplies float32 matrices with MKL, which reaches less than half of oneDNN's rate on some AMD processors. For
bfloat16, torch calls oneDNN, which copies the weights into a layout of its own (blocks of a few rows and columns) in
each product; with 8 rows, the copy takes as long as the product. Here each weight is brought into that layout once, and
the plain one is freed. GFLOP/s on two cores of an AMD EPYC with AVX-512 and bfloat16 units, for the weights of
SmolLM2-135M:

                        8 rows   40 rows   512 rows
    float32, torch          47       125        200
    float32, blocked       130       330        460
    bfloat16, torch        120       380        770
    bfloat16, blocked      235       580        900

torch has no public function for this. The two operators are those that `torch.compile` calls for frozen weights
(torch/_inductor/fx_passes/mkldnn_fusion.py). They are tested when the first model is opened, and not used if they fail.
"""

from __future__ import annotations

import functools
import logging
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from harness.engines.hf.freed_memory import give_back
from harness.errors import first_line

logger = logging.getLogger(__name__)

# Smaller layers gain nothing.
LEAST_WEIGHTS = 2**16
# Rows of the products that are timed (a step of a batch, a pack), and how much of torch's time they may take.
_ROWS = {8: 0.9, 256: 1.05}
# Inputs and outputs of the layer that is timed, as in a small model.
_SIZE = 1024
# Largest difference from torch's products, which add in another order, relative to the largest value.
_AGREE = {torch.float32: 1e-5, torch.bfloat16: 1e-2}


class BlockedLinear(nn.Linear):
    """A linear layer that oneDNN computes.

    Args:
        layer: The layer that it replaces.
        blocked: Whether to keep the weight in oneDNN's layout. If not, the plain weight stays.
    """

    def __init__(self, layer: nn.Linear, *, blocked: bool) -> None:
        nn.Module.__init__(self)  # `nn.Linear` would make a weight
        self.in_features, self.out_features = layer.in_features, layer.out_features
        self.bias = layer.bias
        self._weight = _blocked(layer.weight.detach()) if blocked else layer.weight

    @property
    def weight(self) -> Tensor:  # type: ignore[override]
        """The plain weight, [outputs, inputs], for code that reads it (DoRA); a blocked one is copied each time."""
        return self._weight.to_dense() if self._weight.is_mkldnn else self._weight

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's name
        """[..., inputs] -> [..., outputs]."""
        return product(input, self._weight, self.bias)


def use_onednn(model: nn.Module) -> bool:
    """Let oneDNN compute the large linear layers of a model that is only evaluated; returns whether it does.

    A weight that another module uses too, such as the embedding of tied weights, stays plain, so that it is not kept
    twice; in bfloat16 such a layer stays torch's, which computes the same.

    Args:
        model: A model on any device. Its layers are replaced in place.
    """
    users = Counter(own.data_ptr() for module in model.modules() for own in module.parameters(recurse=False))
    names = [name for name, module in model.named_modules() if _is_large_and_plain(module)]
    replaced = [name for name in names if _replace(model, name, users)]
    if replaced:
        _free_plain_weights(model)
    return bool(replaced)


def _replace(model: nn.Module, name: str, users: Counter[int]) -> bool:
    """Replace the layer `name` if oneDNN is faster; nothing keeps the plain one, so that its memory is freed."""
    layer = model.get_submodule(name)
    assert isinstance(layer, nn.Linear)
    alone = users[layer.weight.data_ptr()] == 1
    if not is_faster(layer.weight.dtype) or not (alone or layer.weight.dtype == torch.float32):
        return False
    model.set_submodule(name, BlockedLinear(layer, blocked=alone))
    return True


@functools.cache
def is_faster(dtype: torch.dtype) -> bool:
    """Whether oneDNN's products with blocked weights are faster here than torch's, and give the same; measured."""
    if dtype not in _AGREE:
        return False
    try:
        return all(_is_faster(dtype, rows, share) for rows, share in _ROWS.items())
    except Exception as error:  # logged; torch's own products need nothing of what failed here
        logger.info("oneDNN's products are not used: %s", first_line(error))
        return False


def _is_faster(dtype: torch.dtype, rows: int, share: float) -> bool:
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(_SIZE, _SIZE, generator=generator).to(dtype)
    states = torch.randn(rows, _SIZE, generator=generator).to(dtype)
    blocked = _blocked(weight)
    expected, found = nn.functional.linear(states, weight), product(states, blocked)
    agree = bool((expected - found).abs().max() <= _AGREE[dtype] * expected.abs().max())
    theirs, ours = _seconds(lambda: nn.functional.linear(states, weight), lambda: product(states, blocked))
    return agree and ours < share * theirs


def _blocked(weight: Tensor) -> Tensor:
    blocked: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight, None)  # noqa: SLF001 - see above
    return blocked


def product(states: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """[..., inputs] and a weight of [outputs, inputs], plain or blocked -> [..., outputs]; in float32 or bfloat16."""
    found: Tensor = torch.ops.mkldnn._linear_pointwise(states, weight, bias, "none", [], "")  # noqa: SLF001
    return found


def _seconds(*functions: Callable[[], Any]) -> list[float]:
    """Return the shortest time of each function, measured in turns."""
    times: list[list[float]] = [[] for _ in functions]
    for _ in range(7):
        for own, function in zip(times, functions, strict=True):
            began = time.perf_counter()
            function()
            own.append(time.perf_counter() - began)
    return [min(own) for own in times]


def _is_large_and_plain(module: nn.Module) -> bool:
    """Whether a module is torch's linear layer, with nothing around it (as quantized weights have), and large."""
    if type(module) is not nn.Linear or "forward" in vars(module):
        return False
    if module._forward_hooks or module._forward_pre_hooks:  # noqa: SLF001 - torch has no public name
        return False
    weight = module.weight
    strided = type(weight) is nn.Parameter and weight.layout == torch.strided
    return strided and weight.device.type == "cpu" and weight.numel() >= LEAST_WEIGHTS


def _free_plain_weights(model: nn.Module) -> None:
    """Give the memory of the replaced weights back to the system."""
    # As long as one weight is read from the checkpoint's file, all of the file stays in memory.
    for parameter in model.parameters():
        if type(parameter) is nn.Parameter:  # quantized weights have types of their own
            parameter.data = parameter.data.clone()
    give_back()
