"""Time two systems alternately, so that a busy machine slows both."""

from __future__ import annotations

import os
import statistics
from collections.abc import Sequence
from typing import Any

from benchmarks.rows import agreement, timing
from benchmarks.sides import Pair, Side


def compare(
    ours: Side, others: Sequence[Side], pairs: list[Pair], *, rounds: int, kind: str = "loglikelihood"
) -> dict[str, Any]:
    """Time `ours` and the fastest of `others`; returns the figures of a row.

    All sides first answer a quarter of the requests, which chooses the fastest of `others`.

    Args:
        ours: This harness.
        others: Another tool, possibly with several batch sizes.
        pairs: The requests.
        rounds: How often each side is timed; the median counts.
        kind: ``loglikelihood`` or ``generate_until``.
    """
    some = pairs[: max(4, len(pairs) // 4)]
    warm = {side.name: side.ask(kind, some) for side in (ours, *others)}
    theirs = min(others, key=lambda side: float(warm[side.name]["seconds"]))
    taken: dict[str, list[dict[str, Any]]] = {ours.name: [], theirs.name: []}
    for _ in range(rounds):
        for side in (ours, theirs):
            taken[side.name].append(side.ask(kind, pairs))
    mine, other = taken[ours.name], taken[theirs.name]
    # The memory of the other batch sizes is that of their warm-up, on fewer requests.
    last = warm | {name: runs[-1] for name, runs in taken.items()}
    return {
        "requests": len(pairs),
        "theirs": theirs.name,
        **timing(len(pairs), _median(mine, "seconds"), _median(other, "seconds")),
        "processor_seconds_ratio": round(_median(other, "busy_seconds") / _median(mine, "busy_seconds"), 2),
        **agreement(kind, mine[-1]["answers"], other[-1]["answers"]),
        "threads": mine[-1]["threads"],
        "load_average": round(os.getloadavg()[1], 1),
        "warm_up_seconds": {name: round(run["seconds"], 2) for name, run in warm.items()},
        "all_seconds": {name: [round(run["seconds"], 2) for run in runs] for name, runs in taken.items()},
        "peak_gib": {name: round(run["peak_bytes"] / 2**30, 2) for name, run in last.items()},
    }


def _median(runs: Sequence[dict[str, Any]], key: str) -> float:
    return statistics.median(float(run[key]) for run in runs)
