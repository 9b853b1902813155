"""The time that processes take to start, which estimates of training steps and of batches do not include.

A process imports the libraries of its command before it works. This is most of its start, and with small models most
of its time.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import cache

from harness.study.costs import Cost
from harness.study.nodes import Evaluation, Graph, Kind

# What a command imports, by the kind of its node. A missing one ends the imports early, which makes the time shorter.
LIBRARIES: Mapping[str, str] = {
    "train": "import torch, transformers, trl",
    "evaluate": "import torch, transformers, lm_eval.evaluator",
}


def with_starts(graph: Graph, costs: Mapping[str, Cost]) -> dict[str, Cost]:
    """Return costs with the start of a process added to each estimated time.

    Each training has a process of its own. Evaluations of the same tasks and flags share one, so only the first of them
    gets its start.

    Args:
        graph: The graph.
        costs: By key; those without a time stay as they are.
    """
    started: set[str] = set()
    added = dict(costs)
    for key, cost in costs.items():
        node = graph[key]
        process = node.work.set_key if isinstance(node.work, Evaluation) else key
        if cost.seconds is not None and process not in started:
            started.add(process)
            added[key] = replace(cost, seconds=cost.seconds + seconds_to_start(node.kind))
    return added


@cache
def seconds_to_start(kind: Kind) -> float:
    """Return how long a process takes to start on this machine; 0 for kinds that are not timed."""
    if kind not in LIBRARIES:
        return 0.0
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", LIBRARIES[kind]], capture_output=True, check=False)  # noqa: S603
    return time.perf_counter() - began
