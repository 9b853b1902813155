r"""From lm-eval's task objects to requests, and back: the border between answering and scoring.

`build` has lm-eval render every prompt and turns each instance into a `Request`, which is plain text::

    Request(kind="loglikelihood", context="Question: 2 + 2?\nAnswer:", continuation=" 4")

`Replay` is an lm-eval model that only looks answers up, so that lm-eval's own `evaluate` does all filtering, scoring
and aggregation.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

from lm_eval.api.model import LM
from lm_eval.defaults import DEFAULT_OTHER_SEED, DEFAULT_RANDOM_SEED
from lm_eval.evaluator_utils import get_sample_size

from harness.engines.base import Answer, Request
from harness.engines.thoughts import ThinkTags
from harness.errors import HarnessError, InputError, TaskError, did_you_mean, one_line
from harness.evaluation.frozen import instances_of
from harness.evaluation.pieces import Forms, Piece, can_be_divided, divided, forget_examples, made_again, only
from harness.suite.choice_keys import CHOICES, right_choices

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance
    from lm_eval.api.task import Task

ChatTemplate = Callable[..., str]
NAMED = 8  # tasks that a message names


@dataclass(frozen=True, kw_only=True)
class Seeds:
    """lm-eval's four seeds and their defaults."""

    random: int | None = DEFAULT_RANDOM_SEED
    numpy: int | None = DEFAULT_OTHER_SEED
    torch: int | None = DEFAULT_OTHER_SEED
    fewshot: int | None = DEFAULT_OTHER_SEED


@dataclass(frozen=True, kw_only=True)
class PromptSpec:
    """The options, besides the task, that decide the prompts.

    Attributes:
        limit: Items per task: a count, or a share when below 1; None for all.
        samples: Numbers of the items of some tasks, from 0; all items of the others are evaluated.
        num_fewshot: Examples in the context; None uses each task's own number.
        gen_kwargs: Generation arguments that override the tasks' own.
        system_instruction: System message.
        system_as_user: Whether the system message is put in front of the first user message.
        apply_chat_template: True, or the name of one of the tokenizer's templates.
        chat_template_args: Further variables of the template.
        fewshot_as_multiturn: Whether examples are turns of the chat.
        seeds: lm-eval's seeds.
    """

    limit: float | None = None
    samples: Mapping[str, Sequence[int]] = field(default_factory=dict)
    num_fewshot: int | None = None
    gen_kwargs: Mapping[str, Any] = field(default_factory=dict)
    system_instruction: str | None = None
    system_as_user: bool = False
    apply_chat_template: bool | str = False
    chat_template_args: Mapping[str, Any] = field(default_factory=dict)
    fewshot_as_multiturn: bool = False
    seeds: Seeds = field(default_factory=Seeds)


@dataclass(frozen=True, kw_only=True)
class TaskRequests:
    """The requests of one task.

    Attributes:
        requests: One or more per item, in lm-eval's order.
        items: For each request, the item's index in the evaluation split.
        instances: The instances of lm-eval that they were made from, one for all repeats of a request; for a task that
            is divided, the forms from which they are made again.
    """

    requests: list[Request]
    items: list[int]
    instances: list[Instance] | Forms

    def pieces(self, task: Task, scored: Sequence[int]) -> Iterator[Piece]:
        """Yield the items in `scored`, which are in order, with their instances."""
        if isinstance(self.instances, Forms):
            yield from made_again(task, self.items, self.requests, self.instances, scored)
            return
        known = {}
        if len(self.instances) == len(self.requests):
            known = {id(one): request for one, request in zip(self.instances, self.requests, strict=True)}
        instances = instances_of(self.instances, scored)
        item_requests = list(zip(self.items, self.requests, strict=True))
        yield Piece(docs=None, items=_Indices(scored), instances=instances, known=known, item_requests=item_requests)

    def add(self, instance: Instance, seeds: Seeds) -> Request:
        """Add the requests of the next instance; returns the first."""
        first, repeats = as_request(instance, 0, seeds), instance.repeats or 1
        if not (isinstance(first.context, str) and isinstance(first.continuation, str)):
            raise TaskError(_not_text(instance))
        self.requests.append(first)
        self.items.append(cast("int", instance.doc_id))
        for repeat in range(1, repeats):
            self.requests.append(as_request(instance, repeat, seeds))
            self.items.append(cast("int", instance.doc_id))
        return first


def _not_text(instance: Instance) -> str:
    wrong = next(text for text in instance.args if not isinstance(text, str))
    return (
        f"task {instance.task_name}: item {instance.doc_id}: the prompt or answer is {type(wrong).__name__} "
        f"{wrong!r:.60}, not a string; make doc_to_text and doc_to_target return one."
    )


class _Indices(list[int]):
    """Item numbers with a fast ``in``, which lm-eval evaluates once per item of the split."""

    def __init__(self, items: Sequence[int]) -> None:
        super().__init__(items)
        self._members = frozenset(items)

    def __contains__(self, item: object) -> bool:
        return item in self._members


def configure(tasks: Mapping[str, Task], spec: PromptSpec) -> None:
    """Set few-shot count, generation arguments and few-shot seed on the task objects, as lm-eval's command does.

    A task whose YAML says ``num_fewshot: 0`` keeps it, as in lm-eval: such a task makes no sense with examples.
    """
    for task in tasks.values():
        if task.get_config("output_type") == "generate_until" and spec.gen_kwargs:
            task.set_config(key="generation_kwargs", value=dict(spec.gen_kwargs), update=True)
        own = task.get_config("num_fewshot")
        if spec.num_fewshot is not None and own != 0:
            task.set_config(key="num_fewshot", value=spec.num_fewshot)
        elif own is None:
            task.set_config(key="num_fewshot", value=0)


def without_scores(tasks: Mapping[str, Task]) -> None:
    """Let the tasks compute no metric and run no filter, so that nothing but the answers is recorded."""
    from lm_eval.filters import build_filter_ensemble

    for task in tasks.values():
        task.process_results = lambda _doc, _results: {}
        task._filters = [build_filter_ensemble("none", [("take_first", None)])]  # noqa: SLF001 - where `Task` keeps them


def check_samples(tasks: Mapping[str, Task], spec: PromptSpec) -> None:
    """Refuse item numbers of a task that is not evaluated. Raises: InputError: there is one."""
    for name in spec.samples:
        if name not in tasks:
            raise InputError(
                f"--samples {name}: not one of the evaluated tasks ({', '.join(list(tasks)[:NAMED])}); name a task, no "
                f"group.{did_you_mean(name, tasks)}"
            )


def without_examples(tasks: Mapping[str, Task], spec: PromptSpec) -> list[str]:
    """Return a note on the tasks that stay without examples although the user asks for some."""
    kept = [name for name, task in tasks.items() if task.get_config("num_fewshot") == 0]
    if not spec.num_fewshot or not kept:
        return []
    return [f"--num_fewshot {spec.num_fewshot}: not for {', '.join(kept)}, which are always without examples."]


def with_evaluated_examples(tasks: Mapping[str, Task]) -> list[str]:
    """Return a note on the tasks whose examples are evaluated items too, each in the prompts of the others."""
    names = [name for name, task in tasks.items() if task.get_config("num_fewshot") and _shows_what_it_evaluates(task)]
    if not names:
        return []
    return [f"{', '.join(names)}: no other split for examples, so evaluated items are examples for each other."]


def _shows_what_it_evaluates(task: Task) -> bool:
    if getattr(task.get_config("fewshot_config"), "samples", None):
        return False
    splits = ("fewshot_split", "training_split", "validation_split", "test_split")  # in lm-eval's order
    shown = next((task.get_config(split) for split in splits if task.get_config(split)), None)
    return bool(shown == (task.get_config("test_split") or task.get_config("validation_split")))


def build(tasks: Mapping[str, Task], spec: PromptSpec, chat_template: ChatTemplate | None) -> dict[str, TaskRequests]:
    """Render every prompt of every task.

    Raises:
        TaskError: a task cannot render its prompts, or needs more than text.
    """
    return {name: _build_task(name, task, spec, chat_template) for name, task in tasks.items()}


def _build_task(name: str, task: Task, spec: PromptSpec, chat_template: ChatTemplate | None) -> TaskRequests:
    if getattr(task, "MULTIMODAL", False):
        raise TaskError(f"task {name}: asks about images or sound; give text-only tasks.")
    task.set_fewshot_seed(seed=spec.seeds.fewshot)
    _check_examples(name, task)
    chosen = _chosen_items(name, task, spec)
    try:
        if chosen is not None:
            return _chosen_requests(task, spec, chat_template, chosen)
        return _divided_requests(task, spec, chat_template) or _all_requests(task, spec, chat_template)
    except HarnessError:
        raise
    # Rendering runs the task's own templates and functions; whatever they raise is an error of that task.
    except Exception as error:
        reason = one_line(error, max_characters=300)
        raise TaskError(f"task {name}: its prompts cannot be rendered ({type(error).__name__}: {reason}).") from error


def _all_requests(task: Task, spec: PromptSpec, chat_template: ChatTemplate | None) -> TaskRequests:
    _render(task, spec, chat_template, limit=get_sample_size(task, spec.limit))
    return _requests_of(list(task.instances), spec)


def _chosen_requests(
    task: Task, spec: PromptSpec, chat_template: ChatTemplate | None, items: list[int]
) -> TaskRequests:
    _render(task, spec, chat_template, samples=items)
    return _requests_of(_with_item_numbers(task.instances, items), spec)


def _requests_of(instances: list[Instance], spec: PromptSpec) -> TaskRequests:
    built = TaskRequests(requests=[], items=[], instances=instances)
    for instance in instances:
        built.add(instance, spec.seeds)
    return built


def _divided_requests(task: Task, spec: PromptSpec, chat_template: ChatTemplate | None) -> TaskRequests | None:
    """Render a large task in pieces; None if it cannot be divided."""
    limit = get_sample_size(task, spec.limit)
    items = len(task.eval_docs)
    if not can_be_divided(task, items if limit is None else min(limit, items)):
        return None
    forget_examples(task)
    forms = Forms()
    built = TaskRequests(requests=[], items=[], instances=forms)
    for docs in divided(task, limit):
        with only(task, docs):
            _render(task, spec, chat_template)
            for instance in task.instances:
                forms.add(instance, built.add(instance, spec.seeds).generation)
    return built


def _render(task: Task, spec: PromptSpec, chat_template: ChatTemplate | None, **which: Any) -> None:
    task.build_all_requests(
        system_instruction=spec.system_instruction,
        apply_chat_template=chat_template is not None,
        fewshot_as_multiturn=spec.fewshot_as_multiturn,
        chat_template=chat_template,
        **which,
    )


def _chosen_items(name: str, task: Task, spec: PromptSpec) -> list[int] | None:
    """Return the numbers of the items to evaluate, sorted; None for those that `limit` allows."""
    if name not in spec.samples:
        return None
    items, count = sorted(set(spec.samples[name])), len(task.eval_docs)
    if not items or items[0] < 0 or items[-1] >= count:
        wrong = (items[0] if items[0] < 0 else items[-1]) if items else "no item"
        raise TaskError(f"--samples {name}: {wrong}: the task has items 0 to {count - 1}; give some of their numbers.")
    return items


def _with_item_numbers(instances: Sequence[Instance], items: Sequence[int]) -> list[Instance]:
    """Return the instances with their items' numbers in the split: lm-eval numbers the chosen items from 0."""
    return [replace(one, metadata=(one.task_name, items[one.doc_id], one.repeats)) for one in instances]


def _check_examples(name: str, task: Task) -> None:
    """Check that a task with a fixed set of examples has as many as the user wants."""
    shots = task.get_config("num_fewshot") or 0
    if not shots or getattr(task.config.fewshot_config, "sampler", None) != "first_n":
        return
    available = len(list(task.fewshot_docs() or ()))
    if shots > available:
        raise TaskError(
            f"--num_fewshot {shots}: {name} has {available} examples; give {available} or fewer, or leave the task out."
        )


def as_request(instance: Instance, repeat: int, seeds: Seeds) -> Request:
    """Turn an lm-eval instance into a request. All repeats of a greedy generation are the same request."""
    if instance.request_type == "loglikelihood_rolling":
        return Request(kind="loglikelihood_rolling", context="", continuation=instance.args[0])
    context, second = instance.args
    if instance.request_type == "loglikelihood":
        return Request("loglikelihood", context, second)
    do_sample = second.get("do_sample")
    sampled = float(second.get("temperature") or 0.0) > 0.0 if do_sample is None else bool(do_sample)
    return Request(
        kind="generate_until",
        context=context,
        generation=json.dumps(second, sort_keys=True, ensure_ascii=False, default=str),
        repeat=repeat if sampled else 0,
        seed=seeds.torch if sampled else None,
    )


class Replay(LM):  # type: ignore[misc]
    """An lm-eval model that looks answers up. A request without an answer raises KeyError; it never becomes a score.

    Args:
        answers: By request.
        seeds: The seeds the requests were built with.
        chat_template: The template the requests were built with, if any.
        think_tags: The tags around the model's thoughts, which are not scored; None if it has none.
        known: Requests by the `id` of their instance; for other instances the request is built again.
    """

    def __init__(
        self,
        answers: Mapping[Request, Answer],
        seeds: Seeds,
        chat_template: ChatTemplate | None,
        think_tags: ThinkTags | None = None,
        known: Mapping[int, Request] | None = None,
    ) -> None:
        super().__init__()
        self._known = known or {}
        self._think_tags = think_tags
        self._answers = answers
        self._seeds = seeds
        self._chat_template = chat_template

    def loglikelihood(self, requests: list[Instance]) -> list[tuple[float, bool]]:
        """Look up log-likelihoods."""
        return [(cast("float", a.logprob), bool(a.is_greedy)) for a in self._look_up(requests)]

    def loglikelihood_rolling(self, requests: list[Instance]) -> list[float]:
        """Look up rolling log-likelihoods."""
        return [cast("float", answer.logprob) for answer in self._look_up(requests)]

    def generate_until(self, requests: list[Instance]) -> list[str]:
        """Look up generated texts, without their thoughts; a text whose thought is not closed has no answer."""
        texts = [cast("str", answer.text) for answer in self._look_up(requests)]
        tags = self._think_tags
        if tags is None:
            return texts
        return [tags.answer(text, one.args[0]) or "" for text, one in zip(texts, requests, strict=True)]

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """Render a chat with the template that the requests were built with."""
        assert self._chat_template is not None
        return self._chat_template(chat_history, add_generation_prompt=add_generation_prompt)

    @property
    def tokenizer_name(self) -> str:
        """Used by lm-eval's request cache only, which is off."""
        return ""

    def _look_up(self, instances: Sequence[Instance]) -> list[Answer]:
        # lm-eval passes an instance with three repeats as the same object three times: the n-th time is repeat n.
        seen: Counter[int] = Counter()
        answers = []
        for instance in instances:
            repeat = 0
            if instance.repeats != 1:
                repeat = seen[id(instance)]
                seen[id(instance)] += 1
            request = self._known.get(id(instance)) or as_request(instance, repeat, self._seeds)
            answers.append(self._answers[request])
        return answers


def gold_answers(tasks: Mapping[str, Task], requests: Mapping[str, TaskRequests]) -> dict[Request, bool | str]:
    """Return an oracle's answers: True for right continuations, the target text for generations."""
    gold: dict[Request, bool | str] = {}
    for name, task in tasks.items():
        position, built = 0, requests[name]
        for piece in built.pieces(task, sorted(set(built.items))):
            for instance in piece.instances:
                gold[built.requests[position]] = _is_gold(task, instance)
                position += instance.repeats or 1
    return gold


def _is_gold(task: Task, instance: Instance) -> bool | str:
    if instance.request_type == "generate_until":
        target = task.doc_to_target(instance.doc)
        if isinstance(target, int) and task.config.doc_to_choice is not None:
            target = task.doc_to_choice(instance.doc)[target]
        return str(target[0] if isinstance(target, list) else target)
    if task.OUTPUT_TYPE != CHOICES:
        return True
    return instance.idx in right_choices(task, instance.doc)
