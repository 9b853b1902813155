"""Products of a model's linear layers with oneDNN, on a CPU where this is faster than what torch does.

torch multiplies float32 matrices with MKL, which reaches less than half of oneDNN's rate on some AMD processors. For
bfloat16, torch calls oneDNN, which copies the weights into a layout of its own in each product; with 8 rows, the copy
takes as long as the product. Here each weight is reordered into that layout once, and the plain one is freed. GFLOP/s
on two cores of an AMD EPYC with AVX-512 and bfloat16 units, for the weights of SmolLM2-135M:

                           8 rows   40 rows   512 rows
    float32, torch             47       125        200
    float32, reordered        130       330        460
    bfloat16, torch           120       380        770
    bfloat16, reordered       235       580        900

torch has no public function for this. The two operators are those that `torch.compile` calls for frozen weights
(torch/_inductor/fx_passes/mkldnn_fusion.py). They are tested when the first model is opened, and not used if they fail.
"""

from __future__ import annotations

import functools
import itertools
import logging
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from harness.engines.hf.freed_memory import return_freed_memory
from harness.errors import first_line

logger = logging.getLogger(__name__)

# Smaller layers gain nothing.
LEAST_WEIGHTS = 2**16
# Rows of the products that are timed (a step of a batch, a pack), and how much of torch's time they may take. On a
# processor near these limits, one process may use oneDNN and another not; their scores then differ by rounding.
_ROWS = {8: 0.8, 256: 1.05}
# Inputs and outputs of the layer that is timed, as in a small model.
_SIZE = 1024
# Largest difference from torch's products, which add in another order, relative to the largest value.
_AGREE = {torch.float32: 1e-5, torch.bfloat16: 1e-2}


class OneDnnLinear(nn.Linear):
    """A linear layer that oneDNN computes. `model.to` does not move its reordered weight, which is no parameter.

    Args:
        layer: The layer that it replaces.
        reordered: Whether to keep the weight in oneDNN's layout. If not, the plain weight stays.
    """

    def __init__(self, layer: nn.Linear, *, reordered: bool) -> None:
        nn.Module.__init__(self)  # `nn.Linear` would make a weight
        self.in_features, self.out_features = layer.in_features, layer.out_features
        self.bias = layer.bias
        self._weight = _reordered(layer.weight.detach()) if reordered else layer.weight

    @property
    def weight(self) -> Tensor:  # type: ignore[override]
        """The plain weight, [outputs, inputs], for code that reads it, such as DoRA's.

        Code that reads it does so in each forward pass, so the layer then keeps the plain weight instead.
        """
        if self._weight.is_mkldnn:
            self._weight = self._weight.to_dense()
        return self._weight

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's name
        """[..., inputs] -> [..., outputs]."""
        return product(input, self._weight, self.bias)


def use_onednn(model: nn.Module) -> bool:
    """Let oneDNN compute the large linear layers of a model that is only evaluated; returns whether it does.

    A weight that two modules share, such as a tied embedding, stays plain, because reordering would store it twice. In
    bfloat16 its layer is not replaced: torch calls oneDNN for plain weights too.

    Args:
        model: A model on any device. Its layers are replaced in place.
    """
    users = Counter(weight.data_ptr() for module in model.modules() for weight in module.parameters(recurse=False))
    at_one_place = _at_one_place(model) - _with_changing_weights(model)
    names = [
        name for name, module in model.named_modules() if id(module) in at_one_place and _is_large_and_plain(module)
    ]
    replaced = [name for name in names if _replace(model, name, users)]
    if replaced:
        _release_checkpoint(model)
    return bool(replaced)


def _at_one_place(model: nn.Module) -> set[int]:
    """The `id` of each module that is registered once. Replacing one of several would not free the plain weight."""
    places = Counter(id(child) for module in model.modules() for child in module._modules.values())  # noqa: SLF001
    return {number for number, count in places.items() if count == 1}


def _with_changing_weights(model: nn.Module) -> set[int]:
    """The `id` of each layer with a parameter that PEFT replaces in each pass (LoRA's `target_parameters`)."""
    if "peft" not in sys.modules:
        return set()
    from peft.tuners.lora.layer import ParamWrapper

    wrappers = [module for module in model.modules() if isinstance(module, ParamWrapper)]
    return {id(layer) for wrapper in wrappers for layer in wrapper.base_layer.modules()}


def _replace(model: nn.Module, name: str, users: Counter[int]) -> bool:
    """Replace the layer `name` if oneDNN is faster; nothing keeps the plain one, so that its memory is freed."""
    layer = model.get_submodule(name)
    assert isinstance(layer, nn.Linear)
    alone = users[layer.weight.data_ptr()] == 1
    if not is_faster(layer.weight.dtype) or not (alone or layer.weight.dtype == torch.float32):
        return False
    model.set_submodule(name, OneDnnLinear(layer, reordered=alone))
    return True


@functools.cache
def is_faster(dtype: torch.dtype) -> bool:
    """Whether oneDNN is worth using on this machine, measured once per process.

    With a reordered weight it must take at least 20% less time than torch at 8 rows, at most 5% more at 256, and give
    the same results up to rounding. Attention, whose matrices are plain, relies on this measurement too.
    """
    if dtype not in _AGREE:
        return False
    try:
        return all(_is_faster(dtype, rows, share) for rows, share in _ROWS.items())
    except Exception as error:  # logged; torch's own products do not use these operators
        logger.info("oneDNN's products are not used: %s", first_line(error))
        return False


def _is_faster(dtype: torch.dtype, rows: int, share: float) -> bool:
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(_SIZE, _SIZE, generator=generator).to(dtype)
    states = torch.randn(rows, _SIZE, generator=generator).to(dtype)
    reordered = _reordered(weight)
    expected, output = nn.functional.linear(states, weight), product(states, reordered)
    agree = bool((expected - output).abs().max() <= _AGREE[dtype] * expected.abs().max())
    torch_seconds, onednn_seconds = _seconds(
        lambda: nn.functional.linear(states, weight), lambda: product(states, reordered)
    )
    return agree and onednn_seconds < share * torch_seconds


def _reordered(weight: Tensor) -> Tensor:
    reordered: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight, None)  # noqa: SLF001 - see above
    return reordered


def product(states: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """[..., inputs] and a weight of [outputs, inputs], plain or reordered -> [..., outputs]; in float32 or bfloat16."""
    output: Tensor = torch.ops.mkldnn._linear_pointwise(states, weight, bias, "none", [], "")  # noqa: SLF001
    return output


def _seconds(*functions: Callable[[], Any]) -> list[float]:
    """Return the shortest time of each function, measured in turns."""
    all_seconds: list[list[float]] = [[] for _ in functions]
    for _ in range(7):
        for seconds, function in zip(all_seconds, functions, strict=True):
            began = time.perf_counter()
            function()
            seconds.append(time.perf_counter() - began)
    return [min(seconds) for seconds in all_seconds]


def _is_large_and_plain(module: nn.Module) -> bool:
    """Whether a module on a CPU is exactly `nn.Linear`, large, and without hooks, other code or a quantized weight."""
    if type(module) is not nn.Linear or "forward" in vars(module):
        return False
    if module._forward_hooks or module._forward_pre_hooks:  # noqa: SLF001 - torch has no public name
        return False
    weight = module.weight
    strided = type(weight) is nn.Parameter and weight.layout == torch.strided
    return strided and weight.device.type == "cpu" and weight.numel() >= LEAST_WEIGHTS


def _release_checkpoint(model: nn.Module) -> None:
    """Give the memory of the replaced weights and of the checkpoint's file back to the system."""
    # As long as one tensor is read from the file, all of it stays in memory.
    for tensor in itertools.chain(model.parameters(), model.buffers()):
        if type(tensor) in (nn.Parameter, Tensor):  # quantized weights have types of their own
            tensor.data = tensor.data.clone()
    return_freed_memory()
