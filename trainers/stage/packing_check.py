"""Test whether a model keeps the documents of a packed sequence apart. There is no list of architectures.

    sequence    a a a a a a  b b b b b b      two documents
    changed     c c c c c c  b b b b b b      the logits of the second one must stay the same

Models with plain attention derive the boundaries from the positions, which restart with each document. Recurrent models
(Mamba, RWKV) carry a state across them, and models whose positions come from elsewhere (ALiBi, OPT) do not see them.
"""

from __future__ import annotations

import random
from typing import Any

from harness.errors import SpecError
from harness.trainers.stage.job import StageJob

_TOKENS = 12  # per document
_SAME = 1e-4  # largest difference of logits, relative to the largest logit


def check_packing(job: StageJob, trainer: Any) -> None:
    """Check that the documents of a packed sequence do not see each other; the trainer has its model already.

    Raises:
        InputError: they do, and the stage file does not say that they may.
    """
    if job.mixture.packed_length is None or not getattr(job.config, "separate_documents", True):
        return
    drawn = random.Random(0)
    rows = job.model_config.get_text_config().vocab_size
    first, other, second = ([drawn.randrange(rows) for _ in range(_TOKENS)] for _ in range(3))
    before, after = (_logits_of_second(trainer, document, second) for document in (first, other))
    if (before - after).abs().max() <= _SAME * max(1.0, float(before.abs().max())):
        return
    remedy = (
        "set trainer.separate_documents: false if they may, as in most pre-training, or give another architecture"
        if job.method.stage == "pretrain"
        else "set trainer.packing: false"
    )
    kind = job.model_config.model_type
    raise SpecError(f"trainer: in a {kind} model the documents of a packed sequence see each other; {remedy}.")


def _logits_of_second(trainer: Any, first: list[int], second: list[int]) -> Any:
    import torch

    example = {"input_ids": first + second, "labels": first + second, "seq_lengths": [len(first), len(second)]}
    model = trainer.model
    device = next(model.parameters()).device
    inputs = {
        name: value.to(device) if isinstance(value, torch.Tensor) else value
        for name, value in trainer.data_collator([example]).items()
    }
    training = model.training
    model.eval()
    with torch.no_grad():
        logits = model(**{**inputs, "use_cache": False}).logits
    model.train(training)
    return logits.reshape(-1, logits.shape[-1])[len(first) :].float()
