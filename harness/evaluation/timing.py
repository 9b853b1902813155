"""Times one batch of an engine, for the mean time per request; computes no metrics and saves nothing."""

from __future__ import annotations

import math
import time

from harness.evaluation.model_under_test import find_model, with_template
from harness.evaluation.requests import build
from harness.evaluation.run import load_tasks
from harness.evaluation.spec import EvaluationSpec, options_in_force

BATCH = 256  # requests, from each task in proportion to its size
WARM_UP = 4  # requests before them


def seconds_per_request(spec: EvaluationSpec) -> float:
    """Return the mean time per request of the spec's only model, not counting the time to open the engine.

    Raises:
        InputError: the model, a task or a flag is wrong.
        EngineError: the engine cannot be opened.
    """
    model = with_template(find_model(spec.models[0], spec), spec)
    with options_in_force(spec):
        _, tasks, _ = load_tasks(spec)
        built = build(tasks.tasks, spec.prompt, model.template)
        share = min(1.0, BATCH / sum(len(task.requests) for task in built.values()))
        # The first ones of each task, not every n-th: as in a whole run, the choices of an item share its prompt.
        batch = [
            request for task in built.values() for request in task.requests[: math.ceil(share * len(task.requests))]
        ]
        engine = model.open({}, any(request.kind == "generate_until" for request in batch))
        try:
            for _ in engine.answer(batch[:WARM_UP]):
                pass
            began = time.perf_counter()
            for _ in engine.answer(batch):
                pass
            return (time.perf_counter() - began) / len(batch)
        finally:
            engine.close()
