"""Score exactly the requests that were asked: lm-eval renders no prompt a second time.

lm-eval's `evaluate` builds all requests again. A task with random few-shot examples then draws different ones, because
items with failed requests are skipped and the random generator is in another state. Inside `frozen_requests`, a task
uses the instances that it is given. It is a run-time patch of single task objects, undone at the end.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from harness.errors import HarnessError

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
def frozen_requests(tasks: Mapping[str, Task], instances: Mapping[str, list[Instance]]) -> Iterator[None]:
    """Let `evaluate` use these instances of each task inside the block.

    Raises:
        HarnessError: this version of lm-eval builds requests in another way.
    """
    with ExitStack() as stack:
        for name, task in tasks.items():
            if not callable(getattr(task, "build_all_requests", None)) or not hasattr(task, "_instances"):
                raise HarnessError(
                    "this version of lm-eval builds requests in another way than expected; install the version that "
                    "pyproject.toml names"
                )
            stack.enter_context(_frozen(task, instances[name]))
        yield


@contextmanager
def _frozen(task: Any, instances: list[Instance]) -> Iterator[None]:
    before = task._instances  # noqa: SLF001 - where lm-eval's `Task` keeps them

    def keep(**_: Any) -> None:
        task._instances = instances  # noqa: SLF001

    task.build_all_requests = keep  # hides the method of the class
    try:
        yield
    finally:
        del task.build_all_requests
        task._instances = before  # noqa: SLF001
