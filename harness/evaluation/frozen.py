"""Score exactly the requests that were asked: lm-eval renders no prompt a second time.

lm-eval's `evaluate` builds all requests again. A task with random few-shot examples then draws different ones, because
items with failed requests are skipped and the random generator is in another state. Inside `frozen`, a task uses the
instances that it is given. It is a run-time patch of single task objects, undone at the end.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from harness.errors import HarnessError
from harness.evaluation.pieces import Piece

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance
    from lm_eval.api.task import Task


def instances_of(instances: Sequence[Instance], items: Sequence[int]) -> list[Instance]:
    """Return the instances of some items without answers, numbered as `evaluate` numbers the items of ``samples``.

    With the items 2 and 5, the instances of item 5 get the number 1. If all items are wanted, their numbers are right
    already; the instances themselves are then returned, because a million copies would take a gigabyte.
    """
    if list(items) == list(dict.fromkeys(one.doc_id for one in instances)) == list(range(len(items))):
        for one in instances:
            one.resps, one.filtered_resps = [], {}
        return list(instances)
    numbers = {item: number for number, item in enumerate(items)}
    return [
        replace(one, metadata=(one.task_name, numbers[one.doc_id], one.repeats), resps=[], filtered_resps={})
        for one in instances
        if one.doc_id in numbers
    ]


@contextmanager
def frozen(task: Task, piece: Piece) -> Iterator[None]:
    """Let `evaluate` score this piece of a task inside the block, and aggregate nothing.

    Raises:
        HarnessError: this version of lm-eval builds requests in another way.
    """
    hidden = ("build_all_requests", "doc_iterator", "aggregation")
    if not all(callable(getattr(task, name, None)) for name in hidden) or not hasattr(task, "_instances"):
        raise HarnessError(
            "this version of lm-eval builds requests in another way than expected; install the version that "
            "pyproject.toml names"
        )
    own: Any = task
    before = own._instances  # noqa: SLF001 - where lm-eval's `Task` keeps them
    docs = piece.docs

    def keep(**_: Any) -> None:
        own._instances = piece.instances  # noqa: SLF001

    # Each hides the method of the class.
    own.build_all_requests = keep
    own.aggregation = _NoMeans
    if docs is not None:
        own.doc_iterator = lambda **_: enumerate(docs)
    try:
        yield
    finally:
        for name in hidden:
            own.__dict__.pop(name, None)
        own._instances = before  # noqa: SLF001


class _NoMeans(dict[str, Any]):
    """Aggregates any metric to nothing: the mean over a piece is not wanted."""

    def __missing__(self, metric: str) -> Any:
        return lambda values: None  # noqa: ARG005
