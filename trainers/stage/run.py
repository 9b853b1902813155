"""Run a stage: check and plan it, let the library train, and record what happened in the manifest.

There is no training loop here: steps, saving and loading states are the library's. This project adds the order of the
data, the number of steps, and the record of both.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.checkpoints.checkpoint import Checkpoint
from harness.checkpoints.identity import checkpoint_digest
from harness.checkpoints.metrics_log import METRICS_NAME
from harness.checkpoints.resolver import resolve
from harness.checkpoints.stage_manifest import write_manifest
from harness.errors import InputError, last_line
from harness.trainers.data.consumed import check_unchanged
from harness.trainers.data.mixture import Stream
from harness.trainers.data.stream_dataset import StreamDataset, stream_at
from harness.trainers.stage import adapters, models
from harness.trainers.stage.building import build_trainer
from harness.trainers.stage.folder import (
    claim_folder,
    data_changed,
    folder_status,
    is_main_process,
    last_complete_state,
    remember_files,
    save_stream_state,
)
from harness.trainers.stage.job import WORK_FOLDER, Method, StageJob
from harness.trainers.stage.launchers import is_launched
from harness.trainers.stage.manifest import RunHistory, manifest
from harness.trainers.stage.merging import merge_adapter
from harness.trainers.stage.prepare import prepare
from harness.trainers.stage.steps import plan_steps, sequences_after, tokens_after
from harness.trainers.stage.trackers import put_tokens_on_the_axis


def run(method: Method, spec_fields: Mapping[str, Any], out_dir: Path) -> Checkpoint:
    """Train a stage, or resume it from its last complete state; see `harness.training.Trainer`.

    Raises:
        InputError: any part of the user's input is wrong, or the output folder holds another stage.
    """
    from accelerate import PartialState  # type: ignore[import-untyped]
    from transformers import PrinterCallback

    out_dir = out_dir.expanduser().resolve()
    job = prepare(method, spec_fields, out_dir)
    with PartialState().main_process_first():
        status = folder_status(job)
        if status == "finished":
            return resolve(str(out_dir))
        last_state, history = last_complete_state(job)
        if status == "begun":
            _check_consumed(job, history)
        plan_steps(job, job.log if status == "begun" and is_main_process() else None)
    job.dataset = StreamDataset(job.mixture, job.n_sequences, job.log, writes=is_main_process())
    job.callbacks = _callbacks(job, history)
    trainer = build_trainer(job)
    with PartialState().main_process_first():
        if status == "free" and is_main_process():  # only now, so that a failed start leaves the folder free
            claim_folder(job)
    # Only after `build`: the library's trainer reads the first example to learn the columns, and with `n_skipped` set
    # that would be the end of the data when all was trained on.
    if last_state is not None:
        trainer.args.eval_on_start = False
        job.dataset.n_skipped = sequences_after(job, history.step)
        if history.stream is not None:
            job.dataset.recent_states[job.dataset.n_skipped] = history.stream
    put_tokens_on_the_axis(trainer, lambda step: tokens_after(job, step))
    trainer.remove_callback(PrinterCallback)  # standard output is for results
    with _stopped_bar(job.callbacks):
        try:
            trainer.train(resume_from_checkpoint=str(last_state) if last_state is not None else None)
        except InputError as error:
            # From a data loader's worker process the message arrives at the end of that worker's traceback:
            #   "Caught InputError in DataLoader worker process 0.\nOriginal Traceback ...\n
            #    harness.errors.InputError: rows.jsonl, line 7: not JSON (...); correct or remove the line."
            raise type(error)(re.sub(r"^harness\.errors\.\w+: ", "", last_line(error))) from None
    return _finish(job, trainer, history)


def _check_consumed(job: StageJob, history: RunHistory) -> None:
    """Check that what was trained on is unchanged; forget what the log says of later records if files were written.

    Raises:
        InputError: a record that was trained on has changed.
    """
    state = history.stream
    for source, place in zip(job.mixture.sources, state["taps"] if state else (), strict=False):
        check_unchanged(source, place)
    if is_main_process() and data_changed(job):
        job.log.keep_until(state["index"] if state else 0)
        remember_files(job)


def _callbacks(job: StageJob, history: RunHistory) -> list[Any]:
    from transformers import TrainerCallback

    from harness.trainers.stage.divergence import NoteConstantRewards, StopWhenDiverged
    from harness.trainers.stage.held_out_loss import held_out_callbacks
    from harness.trainers.stage.metrics_log import MetricsLog
    from harness.trainers.stage.progress import TrainingProgress

    class StateManifest(TrainerCallback):
        """Writes the manifest into each state the trainer saves; last, so that a state without one is incomplete."""

        def on_save(self, args: Any, state: Any, control: Any, **more: Any) -> None:  # noqa: ARG002 - the library's
            if state.is_world_process_zero:
                stream = _stream_after(job, sequences_after(job, state.global_step))
                folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
                adapters.name_base_relatively(job, folder)
                save_stream_state(folder, stream.state())
                write_manifest(folder, manifest(job, stream, history, state))

    return [
        *held_out_callbacks(job),
        StopWhenDiverged(),
        NoteConstantRewards(history.notes),
        StateManifest(),
        MetricsLog(job.out_dir / METRICS_NAME, tokens_at=lambda step: tokens_after(job, step), step=history.step),
        TrainingProgress(name=job.spec.name, tokens=job.mixture.budget_tokens, steps=job.steps),
    ]


def _stream_after(job: StageJob, n_sequences: int) -> Stream:
    """Return the stream as it was after the trainer had trained on so many examples."""
    # Not the data set's own stream: the trainer fetches batches ahead, so that one is past the step being saved.
    assert job.dataset is not None
    return stream_at(job.mixture, job.log, n_sequences, job.dataset.recent_states)


@contextmanager
def _stopped_bar(callbacks: list[Any]) -> Iterator[None]:
    """Stop the progress bar when training ends or fails."""
    try:
        yield
    finally:
        callbacks[-1].bar.stop()


def _finish(job: StageJob, trainer: Any, history: RunHistory) -> Checkpoint:
    """Write weights, tokenizer and manifest; the manifest last, because it declares the stage finished."""
    import torch

    adapter, out_dir = job.spec.adapter, job.out_dir
    if trainer.state.global_step < job.steps:
        history.notes.append(
            f"ended after {trainer.state.global_step:,} of {job.steps:,} steps: the held-out loss made no progress"
        )
    # An unfinished manifest goes first: if a kill interrupts the saving, the weights are known as this stage's.
    if is_main_process():
        stream = _stream_after(job, sequences_after(job, trainer.state.global_step))
        write_manifest(out_dir, manifest(job, stream, history, trainer.state))
    if trainer.is_fsdp_enabled:  # FSDP's default format can only be read back by FSDP
        trainer.accelerator.state.fsdp_plugin.set_state_dict_type("FULL_STATE_DICT")
    if adapter is not None and adapter.merge:
        trained = out_dir / WORK_FOLDER / "adapter"
        trainer.save_model(str(trained))
        if is_main_process():
            # Not the model of the training itself: its base may be in 4 bits, or spread over devices.
            base = models.load_model(job.spec, job.parent, job.model_config, dtype=torch.float32)
            merge_adapter(base, trained).to(models.weights_dtype(job.spec)).save_pretrained(out_dir)
    else:
        trainer.save_model(str(out_dir))
    if is_main_process():
        adapters.name_base_relatively(job, out_dir)
        job.tokenizer.save_pretrained(out_dir)
        checkpoint = resolve(str(out_dir))
        write_manifest(
            out_dir,
            manifest(job, stream, history, trainer.state, digest=checkpoint_digest(checkpoint)),
        )
    trainer.accelerator.wait_for_everyone()
    if is_launched():  # a process that ends early would break the connections of the others
        trainer.accelerator.state.destroy_process_group()
    return resolve(str(out_dir))
