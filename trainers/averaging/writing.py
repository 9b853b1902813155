"""Average the tensors of checkpoints, one tensor at a time, and write them as safetensors files.

Only one tensor of one checkpoint is in memory at a time, its sum in float32, and the file that is being written (at
most `FILE_BYTES`, unless a single tensor is larger).
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from harness.checkpoints.checkpoint import SAFETENSORS
from harness.console import VisibleConsole
from harness.errors import SpecError
from harness.trainers.averaging.tensors import FLOATS, StoredTensor, Tensors, reader

if TYPE_CHECKING:
    import torch

FILE_BYTES = 2 * 2**30
SINGLE, INDEX = SAFETENSORS
# Names of torch and of safetensors.
DTYPES = {"float64": "F64", "float32": "F32", "bfloat16": "BF16", "float16": "F16"}
Read = Callable[[str, StoredTensor], "torch.Tensor"]


@dataclass(frozen=True, kw_only=True)
class Part:
    """A checkpoint in the sum.

    Attributes:
        place: What errors call it.
        weight: Its weight; those of all parts sum to 1.
        tensors: Its tensors; all parts have the same names and shapes.
    """

    place: str
    weight: float
    tensors: Tensors


def write_average(parts: Sequence[Part], folder: Path, dtype: str) -> None:
    """Write the average; a file appears under its name when it is complete.

    Args:
        parts: The checkpoints.
        folder: Where to write ``model.safetensors``, or several files and their index.
        dtype: Data type of the written floats: ``float32``, ``bfloat16``, ``float16``, or ``auto`` (each tensor's).

    Raises:
        InputError: a weight is not finite, or an integer tensor is not the same in all checkpoints.
    """
    from safetensors.torch import save_file

    sizes = _sizes(parts[0].tensors, dtype)
    files = _files(sizes)
    with _bar() as bar:
        task = bar.add_task("average", total=sum(sizes.values()))
        for file, names in files.items():
            part, tensors = folder / f"{file}.part", {}
            with reader() as read:
                for name, values in _averaged(parts, names, dtype, read):
                    tensors[name] = values
                    bar.advance(task, sizes[name])
            save_file(tensors, part, metadata={"format": "pt"})
            part.replace(folder / file)
    if len(files) > 1:
        index = {
            "metadata": {"total_size": sum(sizes.values())},
            "weight_map": {name: file for file, names in files.items() for name in names},
        }
        (folder / INDEX).write_text(json.dumps(index, indent=2), encoding="utf-8")


def _bar() -> Progress:
    """A bar on standard error, on a terminal only."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=VisibleConsole(file=sys.stderr),
        transient=True,
        disable=not sys.stderr.isatty(),
    )


def _files(sizes: Mapping[str, int]) -> dict[str, list[str]]:
    """Divide the tensors among files: {"model-00001-of-00002.safetensors": [names], ...}."""
    groups: list[list[str]] = [[]]
    size = 0
    for name, bytes_ in sizes.items():
        if groups[-1] and size + bytes_ > FILE_BYTES:
            groups.append([])
            size = 0
        groups[-1].append(name)
        size += bytes_
    if len(groups) == 1:
        return {SINGLE: groups[0]}
    return {f"model-{n:05}-of-{len(groups):05}.safetensors": names for n, names in enumerate(groups, 1)}


def _sizes(tensors: Tensors, dtype: str) -> Mapping[str, int]:
    """Return the bytes of each tensor as written."""
    bits = {"BOOL": 8, "BF16": 16}  # the others end with their bits: F32, I64
    written = {
        name: DTYPES.get(dtype, tensor.dtype) if tensor.dtype in FLOATS else tensor.dtype
        for name, tensor in tensors.items()
    }
    return {
        name: math.prod(tensors[name].shape) * (bits.get(kind) or int(kind.lstrip("FIU"))) // 8
        for name, kind in written.items()
    }


def _averaged(
    parts: Sequence[Part], names: Sequence[str], dtype: str, read: Read
) -> Iterator[tuple[str, torch.Tensor]]:
    import torch

    # Relative to the largest weight, and divided by their sum at the end: those of a mean are then 1, its sum is exact
    # for weights in 16 bits, and a mean halfway between two such numbers is rounded as such.
    largest = max(part.weight for part in parts)
    weights = [part.weight / largest for part in parts]
    for name in names:
        first = parts[0].tensors[name]
        if first.dtype not in FLOATS:
            yield name, _common(parts, name, read)
            continue
        kind = dtype if dtype != "auto" else next(own for own, stored in DTYPES.items() if stored == first.dtype)
        total = torch.zeros(first.shape, dtype=torch.float32)
        for part, weight in zip(parts, weights, strict=True):
            values = read(name, part.tensors[name])
            _check_finite(values, f"{name} of {part.place}")
            total.add_(values.to(torch.float32), alpha=weight)
        total.div_(sum(weights))
        written: torch.Tensor = total.to(getattr(torch, kind))
        _check_finite(written, f"{name} of the average in {kind}")
        yield name, written


def _check_finite(values: torch.Tensor, what: str) -> None:
    if not values.isfinite().all():
        raise SpecError(
            f"checkpoints: tensor {what} has weights that are not finite; leave out the checkpoint, or change dtype."
        )


def _common(parts: Sequence[Part], name: str, read: Read) -> torch.Tensor:
    """Return an integer tensor, such as a mask, that all parts share."""
    first = read(name, parts[0].tensors[name])
    for part in parts[1:]:
        if not first.equal(read(name, part.tensors[name])):
            raise SpecError(
                f"checkpoints: tensor {name} holds integers, which are not averaged, and differs between "
                f"{parts[0].place} and {part.place}; give checkpoints of one model."
            )
    return first
