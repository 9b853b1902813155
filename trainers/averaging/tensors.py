"""The tensors of checkpoints: where each is stored, and whether all checkpoints have the same ones.

Only the headers of the files are read, and the values of tied weights that are stored twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from harness.checkpoints.checkpoint import Checkpoint
from harness.errors import SpecError
from harness.trainers.averaging.members import Member

if TYPE_CHECKING:
    import torch

# Names of safetensors' data types. Others, such as those of 8 bits, cannot be averaged.
FLOATS = ("F64", "F32", "BF16", "F16")
INTEGERS = ("BOOL", "U8", "I8", "U16", "I16", "U32", "I32", "U64", "I64")


@dataclass(frozen=True, kw_only=True)
class StoredTensor:
    """A tensor in a file.

    Attributes:
        file: A safetensors file.
        dtype: Data type, in safetensors' words, such as ``BF16``.
        shape: Its shape.
    """

    file: Path
    dtype: str
    shape: tuple[int, ...]


Tensors = dict[str, StoredTensor]


def stored_tensors(checkpoint: Checkpoint) -> Tensors:
    """Return the tensors of a checkpoint by name; the values are not read."""
    from safetensors import safe_open

    tensors: Tensors = {}
    for file in checkpoint.weight_files:
        with safe_open(file, framework="pt") as opened:
            for name in opened.keys():  # noqa: SIM118 - the object is no mapping
                part = opened.get_slice(name)
                tensors[name] = StoredTensor(file=file, dtype=part.get_dtype(), shape=tuple(part.get_shape()))
    return tensors


@contextmanager
def reader() -> Iterator[Callable[[str, StoredTensor], torch.Tensor]]:
    """Give a function that reads a tensor's values; files stay open until the end."""
    from safetensors import safe_open

    with ExitStack() as files:
        opened = cache(lambda file: files.enter_context(safe_open(file, framework="pt")))

        def read(name: str, tensor: StoredTensor) -> torch.Tensor:
            values: torch.Tensor = opened(tensor.file).get_tensor(name)
            return values

        yield read


def common_tensors(members: Sequence[Member], *, any_dtype: bool) -> list[Tensors]:
    """Return the tensors of each member, all with the same names.

    Args:
        members: The checkpoints.
        any_dtype: Whether the data types of floats may differ, because the stage file names that of the average.

    Raises:
        InputError: names the first tensor that one of them lacks, or that has another shape or data type.
    """
    all_tensors = [stored_tensors(member.checkpoint) for member in members]
    if any(tensors.keys() != all_tensors[0].keys() for tensors in all_tensors):
        all_tensors = [_without_tied(*pair) for pair in zip(members, all_tensors, strict=True)]
    for member, tensors in zip(members, all_tensors, strict=True):
        _check_same(members[0], all_tensors[0], member, tensors, any_dtype=any_dtype)
    return all_tensors


def _check_same(first: Member, expected: Tensors, member: Member, tensors: Tensors, *, any_dtype: bool) -> None:
    for name in sorted({*expected, *tensors}):
        if name not in tensors or name not in expected:
            lacks, has = (member, first) if name in expected else (first, member)
            raise SpecError(
                f"checkpoints: {lacks.place} has no tensor {name}, which {has.place} has; give checkpoints of one "
                "model."
            )
        one, other = expected[name], tensors[name]
        if one.shape != other.shape:
            raise SpecError(
                f"checkpoints: tensor {name} has shape {list(one.shape)} in {first.place} and {list(other.shape)} in "
                f"{member.place}; give checkpoints of one model."
            )
        if other.dtype not in (*FLOATS, *INTEGERS):
            raise SpecError(
                f"checkpoints: tensor {name} is {other.dtype} in {member.place}, which cannot be averaged; give "
                "checkpoints in float32, bfloat16 or float16."
            )
        if one.dtype != other.dtype and not (any_dtype and one.dtype in FLOATS and other.dtype in FLOATS):
            raise SpecError(
                f"checkpoints: tensor {name} is {one.dtype} in {first.place} and {other.dtype} in {member.place}; set "
                "dtype, for example dtype: float32."
            )


def _without_tied(member: Member, tensors: Tensors) -> Tensors:
    """Leave out a second copy of tied weights, which some programs store and others do not.

    Raises:
        InputError: the copies differ, so they are not tied.
    """
    kept = dict(tensors)
    for copy, original in _tied_names(member.checkpoint).items():
        if copy in tensors and original in tensors:
            with reader() as read:
                tied = read(copy, tensors[copy]).equal(read(original, tensors[original]))
            if not tied:
                raise SpecError(
                    f"checkpoints: {copy} and {original} differ in {member.place}, but its config.json says that they "
                    "are tied; set tie_word_embeddings: false there, or save the checkpoint again."
                )
            del kept[copy]
    return kept


def _tied_names(checkpoint: Checkpoint) -> Mapping[str, str]:
    """Return the tied weights of a model: {"lm_head.weight": "model.embed_tokens.weight"}."""
    from transformers import AutoConfig

    from harness.trainers.stage.twins import empty_model

    try:
        model = empty_model(AutoConfig.from_pretrained(checkpoint.weights, trust_remote_code=False))
    except Exception:  # a model that transformers cannot build has no tied weights that are known
        return {}
    names: Mapping[str, str] = model.all_tied_weights_keys
    return names
