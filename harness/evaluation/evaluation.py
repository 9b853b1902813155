"""One evaluation as one frozen object: everything that is decided before the first request is answered."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from harness.evaluation.model_under_test import ModelUnderTest
from harness.evaluation.requests import TaskRequests, build
from harness.evaluation.spec import EvaluationSpec
from harness.suite.catalogue import LoadedTasks


@dataclass(frozen=True, kw_only=True)
class Start:
    """When an evaluation began.

    Attributes:
        moment: Local time, for the record and its file names.
        clock: `time.perf_counter` at that moment, for the wall time.
    """

    moment: datetime = field(default_factory=datetime.now)
    clock: float = field(default_factory=time.perf_counter)


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """One model on its tasks, with every prompt rendered.

    Attributes:
        spec: What the user asked for. `spec.tasks` are the names that can run on this machine.
        model: The model under test.
        tasks: lm-eval's task objects.
        requests: By task name.
        notes: Sentences for the record, such as which tasks of a group were left out.
        start: When it began.
    """

    spec: EvaluationSpec
    model: ModelUnderTest
    tasks: LoadedTasks
    requests: Mapping[str, TaskRequests]
    notes: tuple[str, ...]
    start: Start

    @classmethod
    def begin(
        cls, spec: EvaluationSpec, model: ModelUnderTest, tasks: LoadedTasks, notes: tuple[str, ...] = ()
    ) -> Evaluation:
        """Start the clock and render the prompts of every task for this model.

        Raises:
            TaskError: a task cannot render its prompts.
        """
        start = Start()
        requests = build(tasks.tasks, spec.prompt, model.template)
        return cls(spec=spec, model=model, tasks=tasks, requests=requests, notes=notes, start=start)
