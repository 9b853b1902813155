"""Half-precision matrix products at float32's speed, on processors that have no units for half precision.

There, torch multiplies bfloat16 and float16 matrices many times slower than float32 ones. Inside `upcast_matmuls` the
operands of a product are widened, multiplied in float32, and the result is rounded back: the same inputs and outputs
in the same dtype, each product rounded once. Everything else stays as it is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

# Rows below which widening the weights costs more than it saves.
_LEAST_ROWS = 32
_PRODUCTS = (torch.nn.functional.linear, torch.addmm, torch.matmul)


class upcast_matmuls(TorchFunctionMode):  # noqa: N801 - a context manager, used like torch.inference_mode
    """Multiply half-precision matrices in float32 while this is entered."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run `func`, widened when it is a large product of half-precision matrices."""
        kwargs = kwargs or {}
        if func in _PRODUCTS and _is_large_and_half(args):
            wide = [value.float() if isinstance(value, Tensor) else value for value in args]
            named = {name: value.float() if isinstance(value, Tensor) else value for name, value in kwargs.items()}
            return func(*wide, **named).to(args[0].dtype)
        return func(*args, **kwargs)


def half_products_are_slow(dtype: torch.dtype, device: torch.device) -> bool:
    """Whether products in `dtype` take more than twice the time of float32 here; asked of the machine itself."""
    if device.type != "cpu" or dtype not in (torch.bfloat16, torch.float16):
        return False
    return _seconds(dtype) > 2 * _seconds(torch.float32)


def _seconds(dtype: torch.dtype) -> float:
    """The fastest of three products of middling matrices."""
    rows, weights = torch.ones(256, 1024, dtype=dtype), torch.ones(1024, 1024, dtype=dtype)
    times = []
    for _ in range(3):
        start = time.perf_counter()
        torch.nn.functional.linear(rows, weights)
        times.append(time.perf_counter() - start)
    return min(times)


def _is_large_and_half(args: Sequence[Any]) -> bool:
    """Whether the factors are half precision and the left one has many rows."""
    factors = [value for value in args if isinstance(value, Tensor) and value.dim() > 1]
    if len(factors) < 2 or any(factor.dtype not in (torch.bfloat16, torch.float16) for factor in factors):
        return False
    left = factors[-2] if len(factors) > 2 else factors[0]
    return left.numel() // left.shape[-1] >= _LEAST_ROWS
