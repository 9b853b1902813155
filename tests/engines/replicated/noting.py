"""An installed distribution for these tests: the engine `noting`, which logs its requests and may die.

Each request is noted when its batch is answered, as one line ``[process, context]`` of the file that the variable NOTES
names. A request whose context contains "deadly" ends the process by SIGKILL; one with "odd" raises. With the variable
TOGETHER=2, no request is answered before the engine is open in two processes.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.engines.base import Answer, Batch, Request
from harness.engines.kind import EngineKind
from harness.engines.spec import EngineSpec

NOTES, TOGETHER = "NOTES", "TOGETHER"
BATCH = 4


class NotingEngine:
    """Answers with a number that only this request has, as a log-probability."""

    def __init__(self, seconds: float) -> None:
        self.description: dict[str, Any] = {"engine": "noting"}
        self._seconds = seconds
        with _opened().open("a") as file:
            file.write(f"{os.getpid()}\n")

    def answer(self, requests: Sequence[Request]) -> Iterator[Batch]:
        """Answer four at a time."""
        while len(set(_opened().read_text().split())) < int(os.environ.get(TOGETHER, "1")):
            time.sleep(0.01)
        for start in range(0, len(requests), BATCH):
            time.sleep(self._seconds)
            batch: Batch = []
            for index in range(start, min(start + BATCH, len(requests))):
                if "deadly" in requests[index].context:
                    os.kill(os.getpid(), signal.SIGKILL)
                if "odd" in requests[index].context:
                    raise RuntimeError("an odd request")
                batch.append((index, answer_to(requests[index])))
            with Path(os.environ[NOTES]).open("a") as file:  # one write, so that lines of two processes do not mix
                file.write("".join(json.dumps([os.getpid(), requests[index].context]) + "\n" for index, _ in batch))
            yield batch

    def close(self) -> None:
        """Nothing to free."""


def _opened() -> Path:
    return Path(os.environ[NOTES]).with_suffix(".opened")


def answer_to(request: Request) -> Answer:
    """The right answer, from 0 to -1000 nats."""
    digest = hashlib.sha256(f"{request.context}|{request.continuation}".encode()).digest()
    return Answer(logprob=-1000 * int.from_bytes(digest[:6], "big") / 2**48, is_greedy=False)


def _open(name: str, spec: EngineSpec, gold: Mapping[Request, bool | str]) -> NotingEngine:
    return NotingEngine(float(spec.model_args.get("seconds", 0.0)))


NOTING = EngineKind(version=1, open_script=_open)


def install(site: Path) -> Path:
    """Write the distribution into a folder; the test adds the folder to Python's path."""
    place = site / "noting-1.dist-info"
    place.mkdir(parents=True)
    (place / "METADATA").write_text("Metadata-Version: 2.1\nName: noting\nVersion: 1\n")
    (place / "entry_points.txt").write_text("[harness.engines]\nnoting = tests.engines.replicated.noting:NOTING\n")
    return site


def noted(path: Path) -> list[tuple[int, str]]:
    """Return each request with the process that answered it."""
    lines = path.read_text().splitlines() if path.exists() else []
    return [(process, context) for process, context in map(json.loads, lines)]
