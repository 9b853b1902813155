"""Build the library's trainer for a planned stage, and check it before anything is written."""

from __future__ import annotations

import shutil
from typing import Any

from harness.errors import SpecError, one_line
from harness.trainers.stage.folder import is_main_process
from harness.trainers.stage.job import StageJob
from harness.trainers.stage.packing_check import check_packing


def build_trainer(job: StageJob) -> Any:
    """Return the library's trainer, with its optimizer, checked.

    Raises:
        InputError: the library refuses the stage; nothing that was written for it is left.
    """
    before = set(job.out_dir.iterdir()) if job.out_dir.is_dir() else None
    try:
        trainer = job.method.build(job)
        check_packing(job, trainer)
        if not (trainer.is_deepspeed_enabled or trainer.is_fsdp_enabled):
            # The library would do so only after the folder is claimed; it makes the schedule again.
            trainer.create_optimizer_and_scheduler(num_training_steps=job.config.max_steps)
        return trainer
    except Exception as error:
        if is_main_process():
            for path in set(job.out_dir.iterdir()) - (before or set()) if job.out_dir.is_dir() else ():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            if before is None and job.out_dir.is_dir():
                job.out_dir.rmdir()
        refused = isinstance(error, ValueError | TypeError | ImportError | NotImplementedError | RuntimeError)
        if refused and "memory" not in str(error):
            raise SpecError(
                f"{job.spec.stage}: {job.method.trainer_class} refuses this stage "
                f"({one_line(error, max_characters=300)}); change trainer or adapter in the stage file."
            ) from error
        raise
