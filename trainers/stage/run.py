"""What the four trainers share: a spec is checked and planned, the library trains, the manifest says what happened.

A trainer brings a `Method`; `run` does the rest. There is no training loop here: stepping, saving and resuming are the
libraries'. What is added is the order of the data, the number of steps, and the record of both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.checkpoints.checkpoint import Checkpoint
from harness.checkpoints.identity import checkpoint_digest
from harness.checkpoints.resolver import resolve
from harness.checkpoints.stage_manifest import write_manifest
from harness.errors import InputError, last_line
from harness.trainers.data.mixture import Stream
from harness.trainers.data.stream_dataset import StreamDataset, stream_at
from harness.trainers.stage import adapters, models
from harness.trainers.stage.folder import claim, is_main, last_saved, look
from harness.trainers.stage.job import WORK, Job, Method
from harness.trainers.stage.manifest import Described, manifest
from harness.trainers.stage.prepare import prepare
from harness.trainers.stage.steps import plan_steps, sequences_after


def run(method: Method, spec_fields: Mapping[str, Any], out_dir: Path) -> Checkpoint:
    """Train a stage, or go on with it where it was stopped; see `harness.training.Trainer`.

    Raises:
        InputError: whatever of the user's input is wrong, an output folder that holds another stage included.
    """
    from accelerate import PartialState  # type: ignore[import-untyped]
    from transformers import PrinterCallback

    out_dir = out_dir.expanduser().resolve()
    job = prepare(method, spec_fields, out_dir)
    with PartialState().main_process_first():  # the others then see a folder that is theirs
        state = look(job)
        if state == "finished":
            return resolve(str(out_dir))
        plan_steps(job, job.log if state == "begun" and is_main() else None)
        if state == "free":
            claim(job)
    job.dataset = StreamDataset(job.mixture, job.sequences, job.log, writes=is_main())
    last, described = last_saved(job)
    job.callbacks = _callbacks(job, described)
    trainer = method.build(job)
    if last is not None:  # only now: to build the trainer is to look at the first record
        job.dataset.skipped = sequences_after(job, described.step)
    trainer.remove_callback(PrinterCallback)  # standard output is for results
    with _stopped_bar(job.callbacks):
        try:
            trainer.train(resume_from_checkpoint=str(last) if last is not None else None)
        except InputError as error:  # from a loader's worker it comes with that worker's traceback before it
            raise InputError(last_line(error).removeprefix("harness.errors.InputError: ")) from None
    return _finish(job, trainer, described)


def _callbacks(job: Job, described: Described) -> list[Any]:
    from transformers import TrainerCallback

    from harness.trainers.stage.progress import TrainingProgress

    class SavedState(TrainerCallback):
        """Writes the manifest into each state the trainer saves, last: a state without one was cut off."""

        def on_save(self, args: Any, state: Any, control: Any, **more: Any) -> None:  # noqa: ARG002 - the library's
            if state.is_world_process_zero:
                stream = stream_now(job, sequences_after(job, state.global_step))
                folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
                write_manifest(folder, manifest(job, stream, described, step=state.global_step))

    return [SavedState(), TrainingProgress(name=job.spec.name, tokens=job.mixture.budget_tokens, steps=job.steps)]


def stream_now(job: Job, sequences: int) -> Stream:
    """Return the stream as it stood when the trainer had been given so many sequences."""
    assert job.dataset is not None
    return stream_at(job.mixture, job.log, sequences, job.dataset.passed)


@contextmanager
def _stopped_bar(callbacks: list[Any]) -> Iterator[None]:
    try:
        yield
    finally:
        callbacks[-1].bar.stop()


def _finish(job: Job, trainer: Any, described: Described) -> Checkpoint:
    """Write weights, tokenizer and manifest; the manifest last, because it says that the stage is finished."""
    adapter, out_dir = job.spec.adapter, job.out_dir
    if is_main():  # weights that a kill leaves without their last manifest are then known as this stage's, unfinished
        stream = stream_now(job, job.sequences)
        write_manifest(out_dir, manifest(job, stream, described, step=trainer.state.global_step))
    if trainer.is_fsdp_enabled:  # its own way of saving leaves pieces that no one but it can read
        trainer.accelerator.state.fsdp_plugin.set_state_dict_type("FULL_STATE_DICT")
    if adapter is not None and adapter.merge:
        trained = out_dir / WORK / "adapter"
        trainer.save_model(str(trained))
        if is_main():
            base = models.load_model(job.spec, job.parent, job.model_config, None)
            adapters.merged(base, trained).save_pretrained(out_dir)
    else:
        trainer.save_model(str(out_dir))
    if is_main():
        job.tokenizer.save_pretrained(out_dir)
        checkpoint = resolve(str(out_dir))
        write_manifest(
            out_dir,
            manifest(job, stream, described, step=trainer.state.global_step, digest=checkpoint_digest(checkpoint)),
        )
    trainer.accelerator.wait_for_everyone()
    return resolve(str(out_dir))
