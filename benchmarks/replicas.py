"""Measure the speed-up of several replicas: two on two cores with the real model, and sixteen scripted ones.

    python -m benchmarks.replicas [--settings cores linear] [--items 400] [--requests 160000] [--rounds 3]

``cores``: SmolLM2-135M in float32, as one process with all cores and as one replica per core. ``linear``: scripted
engines that take as long as a GPU would; 90% of linear means that 16 replicas with a journal are 14.4 times as fast as
one process without replicas and journal. Opening the engines is not counted.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.rows import RESULTS, record, surroundings
from experiments.reference_model import reference_model
from harness.checkpoints.identity import checkpoint_digest, tokenizer_digest
from harness.checkpoints.resolver import resolve
from harness.engines.base import Engine, Request
from harness.engines.replicated.devices import available_cores, environments
from harness.engines.replicated.engine import ReplicatedEngine
from harness.engines.replicated.processes import Processes
from harness.engines.replicated.recipe import Recipe
from harness.engines.spec import EngineSpec
from harness.evaluation.answering import answer
from harness.evaluation.journal import Journal

REPLICAS = RESULTS / "replicas.jsonl"
SETTINGS = ("cores", "linear")
CHOICES = 4
LATENCY = {"delay_seconds": 0.008, "batch": 8}  # 1,000 requests per second and replica
WORDS = (
    "the",
    "a",
    "man",
    "woman",
    "child",
    "dog",
    "walks",
    "runs",
    "opens",
    "door",
    "window",
    "takes",
    "puts",
    "slowly",
)


def requests_of(items: int) -> list[Request]:
    """Generated items: a context of 60 words with four endings of 8."""
    draw = random.Random(0)
    texts = [[" ".join(draw.choices(WORDS, k=length)) for length in (60, 8, 8, 8, 8)] for _ in range(items)]
    return [
        Request(kind="loglikelihood", context=f"{number}: {context}", continuation=f" {ending}")
        for number, (context, *endings) in enumerate(texts)
        for ending in endings
    ]


def seconds_of(open_engine: Callable[[], Engine], requests: Sequence[Request], *, durable: bool = True) -> float:
    """Open an engine and return its time for all requests; with a journal on the disk if `durable`."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.sqlite" if durable else None
        return _seconds_of(open_engine, requests, path)


def _seconds_of(open_engine: Callable[[], Engine], requests: Sequence[Request], path: Path | None) -> float:
    with Journal(path, {"name": "any"}) as journal:
        engine = open_engine()
        start = time.perf_counter()
        outcome = answer(requests, journal, lambda: engine)
        seconds = time.perf_counter() - start
    assert len(outcome.answers) == len(set(requests))
    return seconds


def replicated(recipe: Recipe, team: Processes) -> Engine:
    """Open the engine in every replica before any request is sent."""
    engine = ReplicatedEngine(team, recipe)
    while engine.open_replicas < len(team.turns):
        time.sleep(0.05)
    return engine


def cores(items: int, rounds: int) -> dict[str, Any]:
    """Measure one process with all cores, and one replica per core."""
    checkpoint, requests, count = resolve(str(reference_model())), requests_of(items), available_cores()
    spec = EngineSpec(backend="hf", dtype="float32", device="cpu")
    digests = checkpoint_digest(checkpoint), tokenizer_digest(checkpoint)
    recipe = Recipe(model=checkpoint.source, spec=spec, digests=digests)
    alone, shared = [], []
    for _ in range(rounds):
        alone.append(seconds_of(recipe.open, requests))
        team = Processes(environments(count, spec, loads_weights=True))
        shared.append(seconds_of(lambda team=team: replicated(recipe, team), requests))  # type: ignore[misc]
        team.close()
    one, many = statistics.median(alone), statistics.median(shared)
    return {
        "requests": len(requests),
        "replicas": count,
        "one_process_seconds": round(one, 2),
        "replicas_seconds": round(many, 2),
        "ratio": round(one / many, 3),
    }


def linear(replicas: int, requests: int, rounds: int) -> dict[str, Any]:
    """Measure one process on one replica's share of the requests, and all replicas on all requests."""
    everything = requests_of(requests // CHOICES)
    share = everything[: len(everything) // replicas]
    recipe = Recipe(model="uniform", spec=EngineSpec(backend="scripted", model_args=LATENCY))
    alone, shared = [], []
    for _ in range(rounds):
        alone.append(len(share) / seconds_of(recipe.open, share, durable=False))
        team = Processes([{} for _ in range(replicas)])
        shared.append(len(everything) / seconds_of(lambda team=team: replicated(recipe, team), everything))  # type: ignore[misc]
        team.close()
    one, many = statistics.median(alone), statistics.median(shared)
    return {
        "requests": len(everything),
        "replicas": replicas,
        **LATENCY,
        "one_process_requests_per_second": round(one, 1),
        "replicas_requests_per_second": round(many, 1),
        "share_of_linear": round(many / (replicas * one), 3),
    }


def main() -> None:
    """Measure the settings and record the rows."""
    rows = "Rows are printed and added to benchmarks/results/replicas.jsonl."
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None, epilog=rows)
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=SETTINGS, help="default: both")
    parser.add_argument("--items", type=int, default=400, help="items of cores, four requests each (default: 400)")
    parser.add_argument("--replicas", type=int, default=16, help="scripted replicas of linear (default: 16)")
    parser.add_argument("--requests", type=int, default=160_000, help="requests of linear (default: 160000)")
    parser.add_argument("--rounds", type=int, default=3, help="the median is reported (default: 3)")
    parser.add_argument("--output", type=Path, default=REPLICAS, help="file of the rows")
    options = parser.parse_args()
    for setting in options.settings:
        if setting == "cores":
            figures = cores(options.items, options.rounds)
        else:
            figures = linear(options.replicas, options.requests, options.rounds)
        row = {"benchmark": "replicas", "setting": setting, "rounds": options.rounds, **figures}
        record({**row, "load_average": round(os.getloadavg()[1], 1), **surroundings()}, options.output)


if __name__ == "__main__":
    main()
