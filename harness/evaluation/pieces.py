"""A task with very many items goes through lm-eval in pieces.

lm-eval keeps an `Instance` per request and several dictionaries per item until a task is scored: 2.5 kilobytes per
request, so a million requests need 2.5 gigabytes. A request and its answer take a fifth of that. So the prompts of a
large task are rendered `ITEMS` items at a time, and only their requests are kept. To be scored, each piece gets its
instances again, made from the requests and the documents.

Only a task whose pieces cannot influence each other is divided (`can_be_divided`). Any other is one piece, with the
instances that lm-eval made.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain, groupby, islice
from typing import TYPE_CHECKING, Any

from harness.engines.base import Request
from harness.suite.item_table import is_dataset, rows_of

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance
    from lm_eval.api.task import Task

LARGE = 20_000  # items; making the instances again takes time, so smaller tasks stay whole
ITEMS = 2000
# Functions in a task file; they could change a document, which an instance made again would not show.
FUNCTIONS = ("doc_to_text", "doc_to_target", "doc_to_choice", "process_results")
# Filters that treat each answer by itself.
FILTERS = ("lm_eval.filters.extraction", "lm_eval.filters.selection", "lm_eval.filters.transformation")

Numbered = tuple[int, dict[str, Any]]  # an item's index in the evaluation split, and its document


@dataclass(frozen=True, slots=True)
class Form:
    """What an instance has besides its document and its texts; equal for most items of a task.

    Attributes:
        kind: lm-eval's request type.
        idx: Number of the request among those of its item.
        repeats: Answers wanted.
        generation: Generation arguments; None for log-likelihoods. Not to be changed.
    """

    kind: str
    idx: int
    repeats: int | None
    generation: Mapping[str, Any] | None


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Some items of a task, ready to be scored.

    Attributes:
        docs: Their documents; None if lm-eval is to read them from the split.
        items: The items' indices in the evaluation split.
        instances: Their instances, without answers, numbered from 0 as `evaluate` numbers the items of ``samples``.
        known: Requests by the `id` of their instance, for instances without repeats.
        item_requests: Each request with its item's index; other items may be among them.
    """

    docs: list[dict[str, Any]] | None
    items: list[int] = field(default_factory=list)
    instances: list[Instance] = field(default_factory=list)
    known: dict[int, Request] = field(default_factory=dict)
    item_requests: list[tuple[int, Request]] = field(default_factory=list)

    def add(self, task: Task, item: int, doc: dict[str, Any], group: Iterable[tuple[int, Form, list[Request]]]) -> None:
        """Add an item of `task`; each part of `group` has its index, a form, and a request per repeat."""
        assert self.docs is not None
        for _, form, repeats in group:
            instance = _instance(task, doc, len(self.items), form, repeats[0])
            self.instances.append(instance)
            self.item_requests.extend((item, request) for request in repeats)
            if form.repeats == 1:
                self.known[id(instance)] = repeats[0]
        self.items.append(item)
        self.docs.append(doc)


def can_be_divided(task: Task, items: int) -> bool:
    """Whether a task is large, and each of its items is rendered, filtered and scored by itself."""
    from lm_eval.api.task import ConfigurableTask

    if items <= LARGE or type(task) is not ConfigurableTask:
        return False
    if any(callable(getattr(task.config, name, None)) for name in FUNCTIONS):
        return False
    ensembles = task._filters  # noqa: SLF001 - lm-eval has no other way to see them
    return len(ensembles) == 1 and all(_is_known(each) for each in ensembles[0].filters)


def _is_known(make_filter: Any) -> bool:
    kind = make_filter.func if isinstance(make_filter, functools.partial) else make_filter
    return getattr(kind, "__module__", "") in FILTERS


def forget_examples(task: Task) -> None:
    """Drop the possible examples of a task whose prompts have none; lm-eval lists all documents of their split."""
    if not task.get_config("num_fewshot") and hasattr(task, "sampler"):
        task.sampler.df = []


def divided(task: Task, limit: int | None) -> Iterator[list[Numbered]]:
    """Yield a task's numbered documents in lists of `ITEMS`."""
    docs = task.eval_docs
    rows = islice(enumerate(rows_of(docs) if is_dataset(docs) else docs), limit)
    while piece := list(islice(rows, ITEMS)):
        yield piece


@contextmanager
def only(task: Any, docs: Sequence[Numbered]) -> Iterator[None]:
    """Let lm-eval render these documents of a task alone, and forget the instances afterwards."""
    task.doc_iterator = lambda **_: iter(docs)  # hides the method of the class
    try:
        yield
    finally:
        del task.doc_iterator
        task._instances = None  # noqa: SLF001 - where lm-eval's `Task` keeps them


class Forms:
    """The forms of a divided task's instances, in lm-eval's order; equal ones are the same object."""

    def __init__(self) -> None:
        self._forms: list[Form] = []
        self._same: dict[tuple[Any, ...], Form] = {}

    def add(self, instance: Instance, generation: str) -> None:
        """Keep the form of an instance; `generation` are its arguments in a text that can be compared."""
        key = (instance.request_type, instance.idx, instance.repeats, generation)
        form = self._same.get(key)
        if form is None:
            arguments = instance.args[1] if generation else None
            form = self._same[key] = Form(instance.request_type, instance.idx, instance.repeats, arguments)
        self._forms.append(form)

    def __iter__(self) -> Iterator[Form]:
        return iter(self._forms)


def made_again(
    task: Task, items: Sequence[int], requests: Sequence[Request], forms: Forms, scored: Sequence[int]
) -> Iterator[Piece]:
    """Yield the items of a divided task that are in `scored`, in pieces, with their instances made again.

    Args:
        task: lm-eval's task object.
        items: For each request, its item's index.
        requests: All requests, in lm-eval's order; the repeats of a request follow each other.
        forms: The forms of the instances that they were made from.
        scored: Indices of the items to score, in order.
    """
    wanted = frozenset(scored)
    docs = chain.from_iterable(divided(task, items[-1] + 1))
    piece = Piece(docs=[])
    for item, group in groupby(_by_instance(zip(items, requests, strict=True), forms), key=lambda one: one[0]):
        doc = next(doc for number, doc in docs if number == item)  # an item without requests is passed over
        if item in wanted:
            piece.add(task, item, doc, group)
        if len(piece.items) == ITEMS:
            yield piece
            piece = Piece(docs=[])
    if piece.items:
        yield piece


def _by_instance(
    item_requests: Iterable[tuple[int, Request]], forms: Forms
) -> Iterator[tuple[int, Form, list[Request]]]:
    """Yield the item, the form and the requests, one per repeat, of each instance."""
    rest = iter(item_requests)
    for form in forms:
        repeats = list(islice(rest, form.repeats or 1))
        yield repeats[0][0], form, [request for _, request in repeats]


def _instance(task: Task, doc: dict[str, Any], number: int, form: Form, request: Request) -> Instance:
    from lm_eval.api.instance import Instance

    arguments: tuple[Any, ...] = (request.context, request.continuation)
    if form.kind == "loglikelihood_rolling":
        arguments = (request.continuation,)
    elif form.kind == "generate_until":
        arguments = (request.context, copy.deepcopy(form.generation))
    return Instance(form.kind, doc, arguments, form.idx, (task.config.task, number, form.repeats))
