"""What a trainer contributes (`Method`), and a stage that was checked and planned (`StageJob`).

A trainer in another package needs one function and an entry point, and may use nothing from here (docs/training.md):

    [project.entry-points."harness.trainers"]
    orpo = "my_package.orpo:train"      # train(spec, out_dir) -> harness.checkpoints.Checkpoint

With a `Method` it gets the rest as well: stage file checks, mixtures, token budget, resuming and the manifest. This is
`harness.trainers.dpo` without its details:

    def build(job: StageJob) -> DPOTrainer:
        model, adapter = model_and_adapter(job)
        return DPOTrainer(model=model, args=job.config, train_dataset=job.dataset, peft_config=adapter,
                          processing_class=job.tokenizer, callbacks=job.callbacks)

    METHOD = Method(
        stage="dpo",
        config_class=lambda: DPOConfig,
        trainer_class="trl.DPOTrainer",
        defaults={},
        encode=lambda tokenizer, config: preference_encoder(tokenizer, max_length=config.max_length),
        packed_length=lambda config: None,
        build=build,
    )
    train, plan = entry_points(METHOD)

A new stage also needs the formats it learns from, in `harness.trainers.data.formats.STAGE_FORMATS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from harness.checkpoints.checkpoint import Checkpoint
from harness.checkpoints.folders import SAVED_STATES
from harness.trainers.data.chat import Tokenizer
from harness.trainers.data.examples import Encode
from harness.trainers.data.mixture import Mixture
from harness.trainers.data.stream_dataset import StreamDataset, StreamLog
from harness.trainers.stage.held_out import HeldOut
from harness.trainers.stage.spec import StageSpec

WORK_FOLDER = SAVED_STATES  # in the checkpoint's folder; also holds the stream's log and the spec
STREAM_LOG = "stream.jsonl"


@dataclass(frozen=True, kw_only=True)
class Method:
    """What distinguishes one trainer from another.

    Attributes:
        stage: Its name in the stage file.
        config_class: Returns the library's configuration class; a function, because importing the class is slow.
        trainer_class: Name of the library's trainer class, for the manifest.
        defaults: Configuration fields that this trainer sets differently from the library.
        encode: ``(tokenizer, config) -> encoder`` of the stream.
        packed_length: ``(config) -> tokens per packed sequence``; None for one record per example.
        build: ``(job) -> the library's trainer``.
        stream_unit: ``(config) -> (examples, steps)`` of the smallest unit that the trainer reads whole; the stream is
            cut to whole units. None where the trainer reads single batches.
        held_out: What the held-out loss is a mean over, ``tokens`` or ``examples``; None where there is none.
        hardware_defaults: Returns configuration fields that depend on the machine.
    """

    stage: str
    config_class: Callable[[], type]
    trainer_class: str
    defaults: Mapping[str, Any]
    encode: Callable[[Tokenizer, Any], Encode]
    packed_length: Callable[[Any], int | None]
    build: Callable[[StageJob], Any]
    stream_unit: Callable[[Any], tuple[int, int]] | None = None
    held_out: Literal["tokens", "examples"] | None = None
    hardware_defaults: Callable[[], Mapping[str, Any]] = dict


@dataclass(kw_only=True)
class StageJob:
    """A stage that was checked and planned.

    Attributes:
        method: Its trainer.
        spec: The stage file.
        out_dir: Folder of the checkpoint.
        parent: The checkpoint it starts from; None from scratch.
        tokenizer: Its tokenizer, with end-of-sequence and padding tokens.
        model_config: transformers' configuration of the model.
        config: The library's training configuration; its steps follow from `n_sequences`.
        mixture: The data.
        parent_digest: The parent's digest when the stage was checked.
        eval_data: Evaluation data by source, where the stage file allows it.
        inherited_eval_data: Evaluation data that earlier stages were trained on.
        held_out: Records whose loss is measured.
        twin: Configuration of a tiny model that stands in for the stage's, see `rehearsal`.
        n_sequences: Examples of the stream that are trained on.
        steps: Optimizer steps.
        dataset: The stream as the trainer reads it.
        callbacks: Of the library's trainer.
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
    held_out: list[HeldOut] = field(default_factory=list)
    twin: Any = None
    n_sequences: int = 0
    steps: int = 0
    dataset: StreamDataset | None = None
    callbacks: list[Any] = field(default_factory=list)

    @property
    def eval_dataset(self) -> dict[str, Any] | None:
        """The held-out records as the library's trainer takes them; None if there are none."""
        import datasets

        return {one.name: datasets.Dataset.from_list(list(one.examples)) for one in self.held_out} or None

    @property
    def log(self) -> StreamLog:
        """The stream's log."""
        return StreamLog(self.out_dir / WORK_FOLDER / STREAM_LOG)
