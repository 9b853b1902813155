"""What tells one trainer from another (`Method`), and a stage that was checked and planned (`Job`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.checkpoints.checkpoint import Checkpoint
from harness.trainers.data.encoding import Tokenizer
from harness.trainers.data.mixture import Encode, Mixture
from harness.trainers.data.stream_dataset import StreamDataset, StreamLog
from harness.trainers.stage.spec import StageSpec

WORK = "training"  # below the checkpoint's folder: trainer states, the stream's log, the spec


@dataclass(frozen=True, kw_only=True)
class Method:
    """What tells one trainer from another.

    Attributes:
        stage: The stage file's word for it.
        config_class: Gives the library's configuration class; called late, because importing it is slow.
        trainer_class: Name of the library's class, for the manifest.
        defaults: Fields of the configuration that this trainer sets otherwise than the library.
        encode: Makes the stream's encoder.
        packed_length: Tokens of a packed sequence; None: one record a sequence.
        build: Makes the library's trainer.
        per_step: ``(config) -> (sequences a unit, steps a unit)``: the stream is cut to whole units.
        machine: Defaults that the machine decides.
    """

    stage: str
    config_class: Callable[[], type]
    trainer_class: str
    defaults: Mapping[str, Any]
    encode: Callable[[Tokenizer, Any], Encode]
    packed_length: Callable[[Any], int | None]
    build: Callable[[Job], Any]
    per_step: Callable[[Any], tuple[int, int]] | None = None
    machine: Callable[[], Mapping[str, Any]] = dict


@dataclass(kw_only=True)
class Job:
    """A stage that was checked and planned.

    Attributes:
        method: Which trainer.
        spec: The stage file.
        out_dir: Where the checkpoint goes.
        parent: What it starts from.
        tokenizer: With tokens that end and pad.
        model_config: transformers' configuration of the model.
        config: The library's configuration; its steps follow from `sequences`.
        mixture: The data.
        parent_digest: The parent's digest when the stage was checked.
        eval_data: Evaluation data by source, where that is allowed.
        inherited_eval_data: What its parents were trained on.
        sequences: How many of the stream's sequences are trained on.
        steps: Optimizer steps.
        dataset: The stream as the trainer reads it.
    """

    method: Method
    spec: StageSpec
    out_dir: Path
    parent: Checkpoint | None
    tokenizer: Tokenizer
    model_config: Any
    config: Any
    mixture: Mixture
    parent_digest: str | None
    eval_data: dict[str, tuple[str, ...]]
    inherited_eval_data: tuple[str, ...]
    sequences: int = 0
    steps: int = 0
    dataset: StreamDataset | None = None
    callbacks: list[Any] = field(default_factory=list)

    @property
    def log(self) -> StreamLog:
        """The stream's log."""
        return StreamLog(self.out_dir / WORK / "stream.jsonl")
