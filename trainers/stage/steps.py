"""Convert between tokens, sequences and optimizer steps: what a budget gives, and what a step has trained on.

A "sequence" here is one example of the stream, packed or not: one row of a batch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.errors import SpecError
from harness.trainers.data.mixture import Stream
from harness.trainers.data.stream_dataset import StreamLog, log_states
from harness.trainers.stage.config import configured

if TYPE_CHECKING:
    from harness.trainers.stage.job import StageJob


def plan_steps(job: StageJob, log: StreamLog | None) -> Stream | None:
    """Set the job's number of sequences and steps, and the configuration's steps.

    Returns:
        The stream after its last example; None when it need not be read for this.

    Raises:
        InputError: the budget is below one sequence, or a record within the budget is wrong.
    """
    # A packed stream that repeats its sources has budget // packed_length sequences, whatever the data. The length of
    # any other stream depends on its records, so it is read once, up to the budget; a log is written on the way if one
    # is given.
    mixture, config = job.mixture, job.config
    counted = None
    if mixture.packed_length is not None and mixture.repeat:
        n_available = mixture.budget_tokens // mixture.packed_length
    else:
        counted = mixture.stream(log.last() if log is not None else None)
        for _ in log_states(counted, log):
            pass
        n_available = counted.index
    # GRPO with 8 prompts per generation batch that feed 4 steps: 100 prompts -> 96 sequences, 48 steps.
    unit, steps_per_unit = (job.method.stream_unit or _batch_unit)(config)
    job.n_sequences = n_available - n_available % unit
    if job.n_sequences == 0:
        least = f"one sequence ({mixture.packed_length} tokens)" if mixture.packed_length else "one sequence"
        least = least if unit == 1 else f"the {unit} sequences of one batch"
        field = "budget_tokens" if job.spec.data.num_train_epochs is None else "num_train_epochs"
        raise SpecError(
            f"data.{field}: {mixture.budget_tokens} tokens are below {least}; raise it, or use shorter sequences."
        )
    job.steps = (
        -(-job.n_sequences * steps_per_unit // unit) if job.method.stream_unit else _steps(config, job.n_sequences)
    )
    job.config = configured(job.method, job.spec, job.out_dir, steps=job.steps)
    return counted


def _batch_unit(config: Any) -> tuple[int, int]:
    # With several processes accelerate completes a partial last batch with sequences from the beginning, which would
    # train on them twice; the stream is cut to whole batches instead. A single process takes a smaller last batch.
    return (config.train_batch_size * config.world_size, 0) if config.world_size > 1 else (1, 0)


def _steps(config: Any, n_sequences: int) -> int:
    # A process that sees several devices gives each of them a batch; `train_batch_size` is their sum.
    batches = -(-n_sequences // (config.train_batch_size * config.world_size))
    return int(-(-batches // config.gradient_accumulation_steps))


def sequences_after(job: StageJob, step: int) -> int:
    """Return how many sequences have been trained on after `step` optimizer steps."""
    config = job.config
    if job.method.stream_unit is not None:
        unit, steps_per_unit = job.method.stream_unit(config)
        return int(step // steps_per_unit * unit)
    per_step = config.train_batch_size * config.world_size * config.gradient_accumulation_steps
    return min(job.n_sequences, int(step * per_step))


def tokens_after(job: StageJob, step: int) -> int:
    """Return how many tokens have been trained on after `step` optimizer steps.

    The number is exact where the stream remembers that place; elsewhere, as in a process whose data another process
    reads, the sequences since the last entry of the stream's log count with their mean length.
    """
    assert job.dataset is not None
    sequences = sequences_after(job, step)
    if sequences == 0:
        return 0
    known = job.dataset.recent_states.get(sequences) or job.log.last(sequences)
    if known is None or known["index"] == 0:
        return round(job.mixture.budget_tokens * step / job.steps)
    total: int = sum(map(sum, known["ledger"]["tokens"]))
    return round(total * sequences / int(known["index"]))
