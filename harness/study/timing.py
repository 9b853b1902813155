"""Estimates the time of nodes without a similar finished node, from two steps per stage and one batch of requests.

A stage is timed with the model that its parent's timed steps produced, so parents need not exist. Stages with the same
trainer settings and size are timed once: seeds and mixtures do not change the speed.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from harness.errors import one_line
from harness.study.costs import Cost
from harness.study.folder import StudyFolder
from harness.study.nodes import Evaluation, Graph, Node, Training, with_folders
from harness.study.outcomes import Outcome
from harness.training import find_planner

Measure = Callable[[Node, Path], float]
"""``(evaluation, checkpoint) -> seconds per request``."""
LONGEST_REASON = 300  # characters
SPEED_FIELDS = ("stage", "trainer", "adapter", "architecture", "dtype")  # of a stage file


@dataclass(frozen=True, kw_only=True)
class _Timed:
    """A stage that was timed: seconds per step, and its model after these steps."""

    seconds_per_step: float
    model: Path


@contextmanager
def _threads(cpus: int | None) -> Iterator[None]:
    """Give torch as many threads as the node's own process will have; None leaves them."""
    if cpus is None:
        yield
        return
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(cpus)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class Timings:
    """Measures on demand, and deletes its models on exit; use it as a context manager.

    Attributes:
        failed: Why a stage or an evaluation was not timed, by its name.
    """

    def __init__(
        self,
        graph: Graph,
        folder: StudyFolder,
        done: Mapping[str, Outcome],
        measure: Measure,
        notify: Callable[[str], None] = lambda _name: None,
    ) -> None:
        """`measure` times a batch of an evaluation; `notify` gets the name of what is about to be timed."""
        self.graph, self.folder, self.done, self._notify = graph, folder, done, notify
        self.failed: dict[str, str] = {}
        self._measure = measure
        self._place = tempfile.TemporaryDirectory(prefix="harness-timing-")
        self._stages: dict[str, _Timed | None] = {}
        self._batches: dict[str, float | None] = {}

    def __enter__(self) -> Timings:
        return self

    def __exit__(self, _kind: type[BaseException] | None, _error: object, _trace: TracebackType | None) -> None:
        self._place.cleanup()

    def timed(self, node: Node, cost: Cost) -> Cost:
        """Return a node's cost with its estimated time, if that can be measured here."""
        if cost.seconds is None and isinstance(node.work, Training) and cost.steps:
            stage, steps = self._stage(node), cost.steps / node.work.processes  # each takes a batch per step
            return cost if stage is None else replace(cost, seconds=stage.seconds_per_step * steps)
        if cost.seconds is None and isinstance(node.work, Evaluation):
            each = self._batch(node, node.work)
            return cost if each is None else replace(cost, seconds=each * cost.requests)
        return cost

    def _stage(self, node: Node) -> _Timed | None:
        speed = self._speed(node)
        if speed not in self._stages:
            self._notify(node.stage)
            try:
                self._stages[speed] = self._time(node)
            except Exception as error:  # such as out of memory, of any library
                self._stages[speed] = None
                self.failed[node.stage] = one_line(error, max_characters=LONGEST_REASON)
        return self._stages[speed]

    def _speed(self, node: Node) -> str:
        """Return what decides the speed of a stage's steps: its settings and its parent's."""
        assert isinstance(node.work, Training)
        own = {name: node.work.spec.get(name) for name in SPEED_FIELDS}
        parent = str(node.work.spec.get("from", ""))
        above = [self._speed(self.graph[key]) for key in node.parents] or [parent]
        return json.dumps([own, above], sort_keys=True, default=str)

    def _time(self, node: Node) -> _Timed | None:
        assert isinstance(node.work, Training)
        planner = find_planner(node.work.spec)
        parents = {key: self._checkpoint(self.graph[key]) for key in node.parents}
        if planner is None or None in parents.values():
            return None
        model = Path(self._place.name) / node.key
        spec = with_folders(dict(node.work.spec), lambda _kind, key: str(parents[key]))
        with _threads(node.needs.cpus):
            plan: Mapping[str, Any] = planner({**spec, "name": node.label}, estimate=True, keep=model)
        seconds = plan.get("stage", {}).get("seconds per step")
        return None if seconds is None else _Timed(seconds_per_step=float(seconds), model=model)

    def _checkpoint(self, node: Node) -> Path | None:
        """Return a stage's checkpoint, or a model of the same size."""
        if node.key in self.done:
            return self.folder.checkpoint(node)
        timed = self._stage(node)
        return None if timed is None else timed.model

    def _batch(self, node: Node, work: Evaluation) -> float | None:
        trained = self.graph[work.checkpoint]
        name = f"{work.set_key}/{self._speed(trained)}"
        if name not in self._batches:
            checkpoint = self._checkpoint(trained)
            self._notify(f"{node.alike} of {trained.stage}")
            try:
                with _threads(node.needs.cpus):
                    self._batches[name] = None if checkpoint is None else self._measure(node, checkpoint)
            except Exception as error:
                self._batches[name] = None
                self.failed[node.alike] = one_line(error, max_characters=LONGEST_REASON)
        return self._batches[name]
