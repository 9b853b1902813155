"""The stage file: its fields and their validation. An error is one line with the field and what is allowed.

    {"stage": "sft", "name": "a", "from": "runs/base", "data": {"budget_token": 1, ...}}
    ->  data.budget_token: unknown key; allowed are budget_tokens, sources, ... Did you mean budget_tokens?

The `data:` section is in `trainers.data.spec`; the fields of `trainer:` are checked in `config`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from harness.errors import SpecError, did_you_mean
from harness.redaction import without_secret_values
from harness.trainers.data.schedules import Schedule
from harness.trainers.data.spec import DataSpec, MixtureSpec, Section, SourceSpec, read_schedule


class AdapterSpec(Section):
    """A PEFT adapter instead of full weights.

    Attributes:
        type: ``lora``, or ``qlora`` (frozen weights in 4 bits; needs CUDA).
        r: Rank.
        alpha: Scale; twice the rank when absent.
        dropout: Dropout on the adapter's input.
        target_modules: Layers with an adapter; all linear layers when absent.
        merge: Write merged weights instead of the adapter.
    """

    type: Literal["lora", "qlora"] = "lora"
    r: int = Field(default=16, gt=0)
    alpha: float | None = None
    dropout: float = Field(default=0.0, ge=0, lt=1)
    target_modules: list[str] | str = "all-linear"
    merge: bool = False


class EvaluateSpec(Section):
    """The loss on records that are not trained on, measured during training.

    Attributes:
        sources: Where they are, by name.
        every: Steps between two measurements; there is one before the first step and one after the last, too.
        keep: Whether the checkpoint has the weights of the last step, or of the best measurement.
        best_on: The source whose loss selects the best measurement; the mean over all sources when absent.
        patience: Measurements without progress after which the stage ends; it never ends early when absent.
    """

    sources: dict[str, SourceSpec] = Field(min_length=1)
    every: int = Field(gt=0)
    keep: Literal["last", "best"] = "last"
    best_on: str | None = None
    patience: int | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _best_on_is_a_source(self) -> EvaluateSpec:
        if self.best_on is not None and self.best_on not in self.sources:
            raise ValueError(f"best_on must be one of {', '.join(self.sources)}")
        return self

    @property
    def metric(self) -> str:
        """The library's name of the loss that says what is best."""
        return "eval_loss" if self.best_on is None else f"eval_{self.best_on}_loss"


class TokenizerSpec(Section):
    """A byte-level BPE tokenizer to train on the sources.

    Attributes:
        vocab_size: Its size, including special tokens.
        sample_mb: Megabytes of text to train it on, from all sources together.
    """

    vocab_size: int = Field(default=8192, ge=260)
    sample_mb: float = Field(default=20, gt=0)


class StageSpec(Section):
    """A stage file.

    Attributes:
        stage: The trainer: ``pretrain``, ``sft``, ``dpo``, ``kto``, ``grpo``, or another package's.
        name: The checkpoint's name in records and reports.
        from_: The parent: a checkpoint folder or hub id. Absent only for `pretrain` from scratch.
        architecture: For pretraining from scratch: ``tiny``, ``30m``, ``125m``, ``350m`` or a transformers config.
        tokenizer: A folder or hub id, or the settings of a tokenizer to train; the parent's when absent.
        chat_template: A file or the name of a template, instead of the tokenizer's own.
        seed: Seed of the data order and of training.
        data: Sources, mixture and token budget.
        adapter: Adapter settings; None for full weights.
        trainer: Fields of the TRL or transformers configuration.
        dtype: Data type of the weights in training; ``auto`` is bfloat16 for QLoRA and float32 otherwise.
        evaluate: Measure the loss on other records during training; None to measure nothing.
        allow_eval_data: Allow this project's evaluation data as a source; the manifest and every report say so.
    """

    stage: str
    name: str = Field(min_length=1)
    from_: str | None = Field(default=None, alias="from")
    architecture: str | dict[str, Any] | None = None
    tokenizer: str | TokenizerSpec | None = None
    chat_template: str | None = None
    seed: int = Field(default=0, ge=0)
    data: DataSpec
    adapter: AdapterSpec | None = None
    trainer: dict[str, Any] = Field(default_factory=dict)
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    evaluate: EvaluateSpec | None = None
    allow_eval_data: bool = False

    @property
    def schedule(self) -> Schedule:
        """The mixture as a schedule.

        Raises:
            InputError: unknown sources, weights that are negative or sum to 0, or a schedule without its weights.
        """
        return read_schedule(self.data)

    def resolved(self) -> dict[str, Any]:
        """The stage file with its defaults filled in, as plain values, without secrets such as ``hub_token``."""
        fields = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        return {**fields, "trainer": without_secret_values(fields["trainer"])}


def parse(spec: Mapping[str, Any], stage: str) -> StageSpec:
    """Validate a stage file's contents.

    Raises:
        InputError: an unknown key ("did you mean"), a missing or wrong value, or another trainer's stage.
    """
    try:
        parsed = StageSpec.model_validate(spec)
    except ValidationError as error:
        # An unknown key first: it may be a field that is missing, misspelt.
        faults = sorted(error.errors(), key=lambda fault: fault["type"] != "extra_forbidden")
        raise SpecError(_message(faults[0])) from None
    assert parsed.stage == stage, "the entry point belongs to another stage"
    _ = parsed.schedule
    if parsed.stage != "pretrain" and parsed.from_ is None:
        raise SpecError(f"from: is missing; {stage} starts from a checkpoint; give a folder or hub id.")
    if parsed.stage == "pretrain" and parsed.from_ is None and parsed.architecture is None:
        raise SpecError(
            "from: is missing; give a checkpoint to continue, or architecture and tokenizer to start from scratch."
        )
    if parsed.from_ is None and parsed.tokenizer is None:
        raise SpecError(
            "tokenizer: is missing; pretraining from scratch needs a folder, or {vocab_size: N} to train one."
        )
    if parsed.from_ is not None and isinstance(parsed.tokenizer, TokenizerSpec):
        raise SpecError("tokenizer: the parent's tokenizer cannot be retrained; remove tokenizer, or remove from.")
    return parsed


def _message(fault: ErrorDetails) -> str:
    path = [str(part) for part in fault["loc"] if part not in ("TokenizerSpec", "str", "dict[str,any]")]
    where = ".".join(path)
    if fault["type"] == "extra_forbidden":
        known = _known_keys(path[:-1])
        ours = OTHER_NAMES.get(where)
        meant = f" Did you mean {ours}?" if ours else did_you_mean(path[-1], known)
        return f"{where}: unknown key; allowed are {', '.join(known)}.{meant}"
    if fault["type"] == "missing":
        return f"{where}: is missing; see docs/training.md for the stage file."
    given = "" if isinstance(fault["input"], Mapping) else f" (it is {fault['input']!r})"
    return f"{where or 'stage file'}: {fault['msg'].removeprefix('Value error, ')}{given}."


# Names of keys in PEFT and other trainers that are spelled too differently for a hint.
OTHER_NAMES = {
    "adapter.rank": "r",
    "adapter.lora_r": "r",
    "adapter.lora_rank": "r",
    "adapter.modules": "target_modules",
}

SECTIONS: dict[str, type[BaseModel]] = {
    "data": DataSpec, "data.mixture": MixtureSpec, "adapter": AdapterSpec, "tokenizer": TokenizerSpec,
    "evaluate": EvaluateSpec,
}  # fmt: skip


def _known_keys(path: list[str]) -> list[str]:
    model = StageSpec if not path else SECTIONS.get(".".join(path), SourceSpec)
    return [field.alias or name for name, field in model.model_fields.items()]
