"""How many sequences and optimizer steps a budget makes, and which sequences a step has behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.errors import InputError
from harness.trainers.data.stream_dataset import StreamLog, logged
from harness.trainers.stage.config import configured

if TYPE_CHECKING:
    from harness.trainers.stage.job import Job


def plan_steps(job: Job, log: StreamLog | None) -> list[list[int]] | None:
    """Find out how many sequences and steps the budget makes, and set the configuration's steps.

    A packed stream that repeats its sources needs no reading for that. Any other is read once, up to the budget.
    What it will hold is then known exactly.

    Returns:
        The tokens that it will hold, ``[phase][source]``; None when it needed no reading.

    Raises:
        InputError: the budget is below one sequence, or a record on the way is wrong.
    """
    mixture, config = job.mixture, job.config
    counted = None
    if mixture.packed_length is not None and mixture.repeat:
        available = mixture.budget_tokens // mixture.packed_length
    else:
        counted = mixture.stream(log.last() if log is not None else None)
        for _ in logged(counted, log):
            pass
        available = counted.index
    unit, steps_per_unit = (job.method.per_step or _per_batch)(config)
    job.sequences = available - available % unit
    if job.sequences == 0:
        least = f"one sequence ({mixture.packed_length} tokens)" if mixture.packed_length else "one sequence"
        least = least if unit == 1 else f"the {unit} sequences that are read at a time"
        raise InputError(
            f"data.budget_tokens: {mixture.budget_tokens} is below {least}; raise it, or give shorter sequences."
        )
    job.steps = -(-job.sequences * steps_per_unit // unit) if job.method.per_step else _steps(config, job.sequences)
    job.config = configured(job.method, job.spec, job.out_dir, steps=job.steps)
    return counted.ledger.tokens if counted is not None else None


def _per_batch(config: Any) -> tuple[int, int]:
    """With several processes a batch must be whole, else the last would be filled up with its first sequences."""
    return (config.train_batch_size * config.world_size, 0) if config.world_size > 1 else (1, 0)


def _steps(config: Any, sequences: int) -> int:
    # A process that sees several devices gives each of them a batch: `train_batch_size` counts them all.
    batches = -(-sequences // (config.train_batch_size * config.world_size))
    return int(-(-batches // config.gradient_accumulation_steps))


def sequences_after(job: Job, step: int) -> int:
    """Return how many sequences were trained on after `step` optimizer steps."""
    config = job.config
    if job.method.per_step is not None:
        unit, steps_per_unit = job.method.per_step(config)
        return int(step // steps_per_unit * unit)
    a_step = config.train_batch_size * config.world_size * config.gradient_accumulation_steps
    return min(job.sequences, int(step * a_step))
