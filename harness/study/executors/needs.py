"""What a node needs from the machine that runs it; ``needs:`` of the experiment file."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class NeedsSpec(BaseModel):
    """What a node needs from the machine that runs it.

    Attributes:
        cpus: CPU cores, and threads of its libraries; None lets the libraries decide and counts as one core.
        gpus: GPUs.
        memory_gb: Gigabytes of memory; None asks for none in particular.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    cpus: int | None = Field(default=None, gt=0)
    gpus: int = Field(default=0, ge=0)
    memory_gb: float | None = Field(default=None, gt=0)
