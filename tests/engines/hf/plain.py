"""Transformers and PEFT without this project: a model's scores and greedy texts, one request at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

Open = Callable[[], Any]


def greedy_texts(open_model: Open, tokenizer: Any, contexts: Sequence[str], *, new: int = 40) -> list[str]:
    """What `generate` writes after each context, on a model opened for it alone: some keep state between calls."""
    texts = []
    for context in contexts:
        ids = tokenizer(context, return_tensors="pt").input_ids
        output = open_model().generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=new, do_sample=False, pad_token_id=0
        )
        texts.append(str(tokenizer.decode(output[0, ids.shape[1] :], skip_special_tokens=True)))
    return texts


@torch.no_grad()
def logprob(model: Any, tokenizer: Any, context: str, continuation: str) -> float:
    """Log-probability of the continuation's tokens after the context's."""
    start, ids = len(tokenizer(context).input_ids), tokenizer(context + continuation).input_ids
    logprobs = model(input_ids=torch.tensor([ids])).logits[0, -len(ids) :].log_softmax(dim=-1)
    return float(sum(logprobs[position - 1, ids[position]] for position in range(start, len(ids))))
