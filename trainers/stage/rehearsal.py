"""Take a few steps in a temporary folder: with a tiny twin to find errors early, or with the model to time a step."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from harness.errors import HarnessError, InputError, SpecError, one_line
from harness.trainers.data.stream_dataset import StreamDataset, StreamLog
from harness.trainers.stage.config import EVALUATE, ONLY_WITH, configured
from harness.trainers.stage.job import StageJob
from harness.trainers.stage.launchers import SPREADS, is_launched
from harness.trainers.stage.trackers import tracker_callbacks
from harness.trainers.stage.twins import tiny_twin

FEW_TOKENS = 2048  # of the first batch, for the twin, whose vocabulary is as large as the model's
SHORT = 256  # tokens per packed sequence, for the twin
FEW_ANSWER_TOKENS = 8  # per answer that GRPO samples, for the twin
TIMED_STEPS = 2  # after one that warms up


def rehearse(job: StageJob) -> bool:
    """Build the library's trainer on a tiny twin of the model, and take one step on the first batch.

    Returns:
        Whether a step was taken; false if no tiny model of this architecture can be built.

    Raises:
        InputError: the library refuses the stage, or the step fails.
    """
    twin = tiny_twin(job.model_config)
    if twin is None:
        return False
    changed: dict[str, Any] = {"use_vllm": False} if hasattr(job.config, "use_vllm") else {}
    if not is_launched():
        changed |= dict.fromkeys(SPREADS)
    if hasattr(job.config, "max_completion_length"):
        changed["max_completion_length"] = min(FEW_ANSWER_TOKENS, job.config.max_completion_length)
    elif hasattr(job.config, "max_length"):
        changed |= {"gradient_accumulation_steps": 1, "per_device_train_batch_size": _few(job)}
    mixture = job.mixture
    if mixture.packed_length is not None:
        mixture = replace(mixture, packed_length=min(SHORT, mixture.packed_length))
    try:
        for _ in _steps(replace(job, twin=twin, mixture=mixture), 1, changed):
            pass
    except InputError:
        raise
    except Exception as error:
        if isinstance(error, HarnessError):
            raise
        raise SpecError(
            f"{job.spec.stage}: a first step on a tiny {job.model_config.model_type} model fails "
            f"({one_line(error, max_characters=300)}); change trainer, adapter or data in the stage file."
        ) from error
    return True


def seconds_per_step(job: StageJob, keep: Path | None = None) -> float:
    """Return how long a step takes: the mean of `TIMED_STEPS` after the first, with the stage's own model and data.

    `keep` is a folder in which to save the model after these steps.
    """
    moments = list(_steps(job, 1 + TIMED_STEPS, {}, keep))
    return (moments[-1] - moments[0]) / (len(moments) - 1) if len(moments) > 1 else 0.0


def _few(job: StageJob) -> int:
    """Return how many sequences of the first batch have few tokens together; KTO needs at least two."""
    size = int(job.config.per_device_train_batch_size)
    sizes = (example.tokens for example in itertools.islice(job.mixture.stream(), size))
    totals = itertools.accumulate(sizes)
    return max(min(2, size), sum(total <= FEW_TOKENS for total in totals))


def _steps(job: StageJob, steps: int, changed: dict[str, Any], keep: Path | None = None) -> Iterator[float]:
    """Train for some steps in a folder that is removed; yield when each of them ended."""
    from transformers import PrinterCallback

    from harness.trainers.stage.building import build_trainer

    ends = _StepEnds()
    with TemporaryDirectory() as folder:
        out_dir = Path(folder) / "rehearsal"
        given = {name: value for name, value in job.spec.trainer.items() if ONLY_WITH.get(name) != EVALUATE}
        spec = job.spec.model_copy(update={"trainer": {**given, **changed}, "evaluate": None})
        config = configured(job.method, spec, out_dir, steps=steps)
        config.save_strategy = "no"
        few = replace(job, spec=spec, out_dir=out_dir, config=deepcopy(config), steps=steps, held_out=[])
        few.n_sequences = min(job.n_sequences, _sequences(few, steps))
        few.dataset = StreamDataset(job.mixture, few.n_sequences, StreamLog(out_dir / "stream.jsonl"), writes=False)
        few.callbacks = [ends.callback()]
        trainer = build_trainer(few)
        trainer.remove_callback(PrinterCallback)
        for callback in tracker_callbacks(trainer):
            trainer.remove_callback(callback)  # there is nothing to report
        trainer.train()
        if keep is not None:
            trainer.save_model(str(keep))
    yield from ends.moments


def _sequences(job: StageJob, steps: int) -> int:
    config = job.config
    if job.method.stream_unit is not None:
        unit, steps_per_unit = job.method.stream_unit(config)
        return -(-steps // steps_per_unit) * unit
    return int(steps * config.train_batch_size * config.world_size * config.gradient_accumulation_steps)


class _StepEnds:
    """Remembers when steps ended."""

    def __init__(self) -> None:
        self.moments: list[float] = []

    def callback(self) -> Any:
        from transformers import TrainerCallback

        moments = self.moments

        class Remember(TrainerCallback):
            """Notes the time after each step."""

            def on_step_end(self, *_args: Any, **_more: Any) -> None:
                moments.append(time.perf_counter())

        return Remember()
