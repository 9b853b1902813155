"""The stage file: its fields, checked. A wrong one is an error of one line that names the field and what is allowed.

What the fields mean to a trainer stands in that trainer; where data lies is `sources.py`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError
from pydantic_core import ErrorDetails

from harness.errors import InputError, did_you_mean
from harness.trainers.data.schedules import Schedule
from harness.trainers.data.spec import DataSpec, MixtureSpec, Section, SourceSpec, read_schedule


class AdapterSpec(Section):
    """A PEFT adapter instead of full weights.

    Attributes:
        type: ``lora``, or ``qlora`` (the frozen weights in 4 bits, on CUDA).
        r: Rank.
        alpha: Scale; twice the rank when absent.
        dropout: Of the adapter's input.
        target_modules: Which layers; all linear ones when absent.
        merge: Write merged weights instead of the adapter.
    """

    type: Literal["lora", "qlora"] = "lora"
    r: int = Field(default=16, gt=0)
    alpha: float | None = None
    dropout: float = Field(default=0.0, ge=0, lt=1)
    target_modules: list[str] | str = "all-linear"
    merge: bool = False


class TokenizerSpec(Section):
    """A tokenizer to be trained on the sources: byte-level BPE.

    Attributes:
        vocab_size: Its size, special tokens included.
        sample_mb: How much text of the sources, together, it is trained on.
    """

    vocab_size: int = Field(default=8192, ge=260)
    sample_mb: float = Field(default=20, gt=0)


class StageSpec(Section):
    """A stage file.

    Attributes:
        stage: Which trainer.
        name: How records call the result.
        from_: The parent: a checkpoint folder or hub id. Absent only for `pretrain` from scratch.
        architecture: For pretraining from scratch: ``tiny``, ``30m``, ``125m``, ``350m`` or a transformers config.
        tokenizer: For pretraining from scratch: a folder or hub id, or settings of one to be trained.
        seed: Of the order of data and of training.
        adapter: None: full weights.
        trainer: RecordFields of the TRL or transformers configuration.
        dtype: Of the weights in training; ``auto`` is bfloat16 for QLoRA and float32 else.
        allow_eval_data: Let this project's evaluation data be a source; the manifest and every report say so.
    """

    stage: str
    name: str = Field(min_length=1)
    from_: str | None = Field(default=None, alias="from")
    architecture: str | dict[str, Any] | None = None
    tokenizer: str | TokenizerSpec | None = None
    seed: int = Field(default=0, ge=0)
    data: DataSpec
    adapter: AdapterSpec | None = None
    trainer: dict[str, Any] = Field(default_factory=dict)
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    allow_eval_data: bool = False

    @property
    def schedule(self) -> Schedule:
        """The mixture as a schedule.

        Raises:
            InputError: unknown sources, weights that are negative or sum to 0, or a schedule without its weights.
        """
        return read_schedule(self.data)

    def resolved(self) -> dict[str, Any]:
        """The stage file with every default that is a value, as plain values."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


def parse(spec: Mapping[str, Any], stage: str) -> StageSpec:
    """Check a stage file's contents.

    Raises:
        InputError: an unknown key ("did you mean"), a missing or wrong value, or another trainer's stage.
    """
    try:
        parsed = StageSpec.model_validate(spec)
    except ValidationError as error:
        raise InputError(_first_fault(error.errors()[0])) from None
    assert parsed.stage == stage, "the entry point of one stage was given the spec of another"
    _ = parsed.schedule
    if parsed.stage != "pretrain" and parsed.from_ is None:
        raise InputError(f"from: {stage} starts from a checkpoint; give a folder or hub id.")
    if parsed.stage == "pretrain" and parsed.from_ is None and parsed.architecture is None:
        raise InputError("from: give a checkpoint to continue, or architecture and tokenizer to start from scratch.")
    if parsed.from_ is None and parsed.tokenizer is None:
        raise InputError("tokenizer: pretraining from scratch needs one; give a folder, or {vocab_size: N} to train.")
    if parsed.from_ is not None and isinstance(parsed.tokenizer, TokenizerSpec):
        raise InputError("tokenizer: a parent's tokenizer cannot be trained anew; remove it, or remove from.")
    return parsed


def _first_fault(fault: ErrorDetails) -> str:
    path = [str(part) for part in fault["loc"] if part not in ("TokenizerSpec", "str", "dict[str,any]")]
    where = ".".join(path)
    if fault["type"] == "extra_forbidden":
        known = _known_keys(path[:-1])
        return f"{where}: unknown key; allowed are {', '.join(known)}.{did_you_mean(path[-1], known)}"
    if fault["type"] == "missing":
        return f"{where}: is missing; see docs/training.md for the stage file."
    given = "" if isinstance(fault["input"], Mapping) else f" (it is {fault['input']!r})"
    return f"{where or 'stage file'}: {fault['msg'].removeprefix('Value error, ')}{given}."


SECTIONS: dict[str, type[BaseModel]] = {
    "data": DataSpec, "data.mixture": MixtureSpec, "adapter": AdapterSpec, "tokenizer": TokenizerSpec,
}  # fmt: skip


def _known_keys(path: list[str]) -> list[str]:
    model = StageSpec if not path else SECTIONS.get(".".join(path), SourceSpec)
    return [field.alias or name for name, field in model.model_fields.items()]
