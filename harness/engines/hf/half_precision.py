"""Half-precision matrix products at float32's speed, on processors without units for half precision.

On these, torch multiplies bfloat16 and float16 matrices many times slower than float32 ones. Inside `upcast_matmuls`
the operands of a large product are converted to float32 and multiplied, and the result is rounded back: inputs and
outputs keep their dtype, and each product is rounded once. Nothing else changes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

# With fewer rows, converting the weights costs more than it saves.
_LEAST_ROWS = 32
_PRODUCTS = (torch.nn.functional.linear, torch.addmm, torch.matmul)


class upcast_matmuls(TorchFunctionMode):  # noqa: N801 - a context manager, used like torch.inference_mode
    """A context in which large half-precision matrices are multiplied in float32."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run `func`, in float32 when it is a large product of half-precision matrices."""
        kwargs = kwargs or {}
        if func in _PRODUCTS and _is_large_and_half(args):
            upcast = [value.float() if isinstance(value, Tensor) else value for value in args]
            named = {name: value.float() if isinstance(value, Tensor) else value for name, value in kwargs.items()}
            return func(*upcast, **named).to(args[0].dtype)
        return func(*args, **kwargs)


def half_products_are_slow(dtype: torch.dtype, device: torch.device) -> bool:
    """Whether products in `dtype` take more than twice as long as in float32 on this machine; measured."""
    if device.type != "cpu" or dtype not in (torch.bfloat16, torch.float16):
        return False
    return _seconds(dtype) > 2 * _seconds(torch.float32)


def _seconds(dtype: torch.dtype) -> float:
    """Time of the fastest of three products of medium-sized matrices."""
    rows, weights = torch.ones(256, 1024, dtype=dtype), torch.ones(1024, 1024, dtype=dtype)
    times = []
    for _ in range(3):
        start = time.perf_counter()
        torch.nn.functional.linear(rows, weights)
        times.append(time.perf_counter() - start)
    return min(times)


def _is_large_and_half(args: Sequence[Any]) -> bool:
    """Whether all factors are half precision and the left one has many rows; addmm's first argument is no factor."""
    factors = [value for value in args if isinstance(value, Tensor) and value.dim() > 1]
    if len(factors) < 2 or any(factor.dtype not in (torch.bfloat16, torch.float16) for factor in factors):
        return False
    left = factors[-2] if len(factors) > 2 else factors[0]
    return left.numel() // left.shape[-1] >= _LEAST_ROWS
