"""lm-eval's `hf` model on the same requests, the reference for every score."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM

from harness.engines.base import Request


def open_hflm(path: Path, **arguments: Any) -> HFLM:
    """lm-eval's model on the CPU in float32, one request at a time."""
    return HFLM(pretrained=str(path), device="cpu", **{"dtype": "float32", "batch_size": 1, **arguments})


def instances(requests: Sequence[Request]) -> list[Instance]:
    """The requests as lm-eval's instances."""
    converted = []
    for request in requests:
        if request.kind == "loglikelihood":
            arguments: tuple[Any, ...] = (request.context, request.continuation)
        elif request.kind == "loglikelihood_rolling":
            arguments = (request.continuation,)
        else:
            arguments = (request.context, request.generation_arguments)
        converted.append(Instance(request_type=request.kind, doc={}, arguments=arguments, idx=0))
    return converted
