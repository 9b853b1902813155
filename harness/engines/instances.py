"""Requests as lm-eval's instances, and what its models return as answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.engines.base import Answer, Failure, Request, loglikelihood_answer

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance


def as_instance(request: Request, *, as_chat: bool) -> Instance:
    """Return the lm-eval instance of a request; `as_chat` for a service that takes chat messages."""
    from lm_eval.api.instance import Instance
    from lm_eval.models.api_models import JsonChatStr

    arguments: tuple[Any, ...]
    if request.kind == "loglikelihood":
        arguments = (request.context, request.continuation)
    elif request.kind == "loglikelihood_rolling":
        arguments = (request.continuation,)
    else:
        context = JsonChatStr(request.context) if as_chat else request.context
        arguments = (context, request.generation_arguments)
    return Instance(request_type=request.kind, doc={}, arguments=arguments, idx=0)


def as_answer(response: Any) -> Answer | Failure:
    """Convert what an lm-eval model returns for one instance."""
    if response is None:
        return Failure(reason="missing", message="the engine returned no answer")
    if isinstance(response, str):
        # lm-eval's services return "" both when they fail and when the model generates nothing.
        return Answer(text=response) if response else Failure(reason="empty", message="the engine returned no text")
    if isinstance(response, tuple | list):
        logprob, is_greedy = response
        return loglikelihood_answer(float(logprob), is_greedy=bool(is_greedy))
    return loglikelihood_answer(float(response), is_greedy=False)
