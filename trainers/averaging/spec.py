"""The stage file of an average: its fields and their validation, and the weight of each checkpoint.

{"stage": "average", "name": "a", "checkpoint": [...]}
->  checkpoint: unknown key; allowed are stage, name, checkpoints, ... Did you mean checkpoints?
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from harness.errors import SpecError, did_you_mean
from harness.trainers.data.spec import Section

DEFAULT_DECAY = 0.9


class AverageSpec(Section):
    """A stage file with ``stage: average``.

    Attributes:
        stage: ``average``.
        name: The checkpoint's name in records and reports.
        checkpoints: Folders, hub ids or globs; a folder of ``checkpoint-N`` folders stands for all of them.
        last: Use only so many of them, those with the most training steps; all when absent.
        method: ``mean``, or ``ema``, in which a checkpoint weighs `decay` times as much as the next one.
        decay: For ``ema``, above 0 and below 1; 0.9 when absent.
        dtype: Data type of the written weights; ``auto`` is that of the checkpoints.
    """

    stage: Literal["average"]
    name: str = Field(min_length=1)
    checkpoints: tuple[str, ...] = Field(min_length=1)
    last: int | None = Field(default=None, ge=2)
    method: Literal["mean", "ema"] = "mean"
    decay: float | None = Field(default=None, gt=0, lt=1)
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"

    @field_validator("checkpoints", mode="before")
    @classmethod
    def _one_glob(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _decay_has_an_effect(self) -> AverageSpec:
        if self.method == "mean" and self.decay is not None:
            raise ValueError("decay: has no effect on a mean; remove it, or set method: ema")
        return self

    def resolved(self) -> dict[str, Any]:
        """The stage file with its defaults filled in, as plain values."""
        fields = self.model_dump(mode="json", exclude_none=True)
        return fields if self.method == "mean" else {**fields, "decay": self.decay or DEFAULT_DECAY}

    def weights(self, n_checkpoints: int) -> list[float]:
        """Return the weight of each checkpoint, from the first training step to the last; the sum is 1.

        The weights of an EMA are decay**(n-1), ..., decay, 1, divided by their sum. This is the exponential moving
        average corrected for its start, as in Adam (Kingma and Ba 2015, arXiv 1412.6980, section 3). Without the
        correction the first checkpoint would weigh decay**(n-1): of five checkpoints, 66% at a decay of 0.9.
        """
        decay = 1.0 if self.method == "mean" else self.decay or DEFAULT_DECAY
        powers = [decay**age for age in range(n_checkpoints - 1, -1, -1)]
        return [power / sum(powers) for power in powers]


def parse(spec: Mapping[str, Any]) -> AverageSpec:
    """Validate a stage file's contents.

    Raises:
        InputError: an unknown key ("did you mean"), or a missing or wrong value.
    """
    try:
        return AverageSpec.model_validate(spec)
    except ValidationError as error:
        fault = error.errors()[0]
    field = ".".join(map(str, fault["loc"]))
    if fault["type"] == "extra_forbidden":
        known = list(AverageSpec.model_fields)
        raise SpecError(f"{field}: unknown key; allowed are {', '.join(known)}.{did_you_mean(field, known)}")
    if fault["type"] == "missing":
        raise SpecError(f"{field}: is missing; see docs/training.md for the stage file of an average.")
    problem = fault["msg"].removeprefix("Value error, ")
    raise SpecError(f"{field}: {problem} (it is {fault['input']!r})." if field else f"{problem}.")
