"""Measure the held-out loss with the library's own trainer, exactly per token, on one device or on many.

The library's `evaluate` averages over batches, so that a short text weighs as much as a long one. This one adds up the
loss of all tokens (`pretrain`, `sft`) or of all examples (`dpo`, `kto`) and divides once. The library keeps the best
state and ends a stage without progress.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from transformers import EarlyStoppingCallback, TrainerCallback

from harness.trainers.data.examples import IGNORED
from harness.trainers.stage.held_out import TOKENS
from harness.trainers.stage.job import StageJob
from harness.trainers.stage.steps import tokens_after

if TYPE_CHECKING:
    import torch


def with_held_out_loss(trainer_class: type, job: StageJob) -> Any:
    """Return a subclass of a library's trainer whose `evaluate` measures the stage's held-out loss.

    It logs, in nats, ``eval_loss`` (the mean over the sources) and ``eval_SOURCE_loss``; where the loss is one of
    tokens, also ``eval_SOURCE_bits_per_byte``.
    """
    if not job.held_out:
        return trainer_class

    class WithHeldOutLoss(trainer_class):  # type: ignore[misc] # a class that is known at run time only
        """See `with_held_out_loss`."""

        def evaluate(self, *_args: Any, **_more: Any) -> dict[str, float]:
            training = self.model.training
            self.model.eval()  # until the metrics are logged: TRL logs those of training or of evaluation by this
            metrics = {}
            for held_out in job.held_out:
                nats, count = _total(self, held_out.examples, per_token=job.method.held_out == "tokens")
                metrics[f"eval_{held_out.name}_loss"] = nats / count
                if held_out.text_bytes:
                    metrics[f"eval_{held_out.name}_bits_per_byte"] = nats / math.log(2) / held_out.text_bytes
            losses = [metrics[f"eval_{held_out.name}_loss"] for held_out in job.held_out]
            metrics["eval_loss"] = sum(losses) / len(losses)
            metrics[TOKENS] = tokens_after(job, self.state.global_step)
            self.log(dict(metrics))
            self.model.train(training)
            control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
            self.control: Any = control
            return metrics

    WithHeldOutLoss.__name__ = trainer_class.__name__
    return WithHeldOutLoss


def held_out_callbacks(job: StageJob) -> list[TrainerCallback]:
    """Return the callbacks that save the best state, and end a stage that makes no progress."""
    evaluate = job.spec.evaluate
    if evaluate is None:
        return []
    patience = [EndWithoutProgress(evaluate.patience)] if evaluate.patience is not None else []
    return [_SaveTheBest(), *patience]


class _SaveTheBest(TrainerCallback):
    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any = None, **more: Any) -> None:  # noqa: ARG002
        """Save a state that is the best so far; the library would only do so at a multiple of `save_steps`."""
        if args.load_best_model_at_end and state.global_step > 0:
            value = metrics[args.metric_for_best_model]
            control.should_save |= state.best_metric is None or value < state.best_metric


class EndWithoutProgress(EarlyStoppingCallback):
    """The library's callback; the state in which it ends a stage is not saved.

    A stage that is killed after that ends at the same step when it resumes from an earlier state. From a state in which
    patience is at its end, the library would train on.
    """

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any = None, **more: Any) -> None:
        """Count measurements without progress."""
        library: Any = super()
        library.on_evaluate(args, state, control, metrics, **more)
        if self.early_stopping_patience_counter >= self.early_stopping_patience:
            control.should_save = False


def _total(trainer: Any, examples: Sequence[dict[str, Any]], *, per_token: bool) -> tuple[float, float]:
    """Return the loss of all examples in nats, added up over all devices, and the number of tokens or examples."""
    import torch

    model = trainer.model_wrapped if trainer.is_in_train else trainer.model
    measure = _tokens_loss if per_token else _examples_loss
    total = torch.zeros(2, dtype=torch.float64)
    with torch.no_grad(), trainer.compute_loss_context_manager():
        for batch, counts in _own_batches(trainer, examples):
            total += counts * measure(trainer, model, batch)
    if trainer.args.world_size > 1:
        # Float32 on the device: not every backend adds up float64.
        total = trainer.accelerator.reduce(total.float().to(trainer.args.device)).cpu()
    return float(total[0]), float(total[1])


def _own_batches(trainer: Any, examples: Sequence[dict[str, Any]]) -> Iterator[tuple[list[dict[str, Any]], int]]:
    """Yield this process's batches, and 1, or 0 for a batch that only keeps the processes in step."""
    # Five batches on two processes: the first reads 0 2 4, the second 1 3 and 0 again, which does not count. Models
    # whose weights are spread over processes need all of them in each forward pass.
    args = trainer.args
    size, world, rank = args.eval_batch_size, args.world_size, args.process_index
    batches = [list(examples[begin : begin + size]) for begin in range(0, len(examples), size)]
    for number in range(rank, -(-len(batches) // world) * world, world):
        yield (batches[number], 1) if number < len(batches) else (batches[0], 0)


def _tokens_loss(trainer: Any, model: Any, batch: list[dict[str, Any]]) -> torch.Tensor:
    """Return the negative log-likelihood of the tokens with a label, and their number."""
    import torch

    inputs = trainer._prepare_inputs(trainer.data_collator(batch))  # noqa: SLF001 - places them on the device
    labels = inputs.pop("labels")[..., 1:]
    logits = model(**{**inputs, "use_cache": False}).logits[..., :-1, :]
    learned = labels != IGNORED
    loss = torch.nn.functional.cross_entropy(logits[learned].float(), labels[learned], reduction="sum")
    return torch.tensor([loss.item(), learned.sum().item()], dtype=torch.float64)


def _examples_loss(trainer: Any, model: Any, batch: list[dict[str, Any]]) -> torch.Tensor:
    """Return the trainer's own loss, which is a mean over examples, times their number, and that number."""
    import torch

    inputs = trainer._prepare_inputs(trainer.data_collator(batch))  # noqa: SLF001 - places them on the device
    return torch.tensor([trainer.compute_loss(model, inputs).item() * len(batch), len(batch)], dtype=torch.float64)
