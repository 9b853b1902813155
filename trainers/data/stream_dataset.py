"""The stream as a data set that a trainer reads in order, and the log that lets it be entered anywhere.

The log keeps where the stream stood at every 64th sequence. Whoever wants to know the stream at sequence `n`, to go on
there or to count what was trained on, takes the last entry before it and walks the rest.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import datasets
from datasets.iterable_dataset import ExamplesIterable
from torch.utils.data import get_worker_info

from harness.trainers.data.mixture import Mixture, Sequence, Stream

ENTRY_EVERY = 64
STATES_KEPT = 1024  # more sequences than a trainer fetches ahead of the step it is at


class StreamLog:
    """States of a stream by sequence, one JSON line each; only ever appended to, by one process."""

    def __init__(self, path: Path) -> None:
        """`path` need not exist."""
        self.path = path

    def entries(self) -> Iterator[dict[str, Any]]:
        """Yield the states in order; a line that a kill cut off is passed over."""
        if not self.path.exists():
            return
        with self.path.open(encoding="utf-8") as file:
            for line in file:
                try:
                    yield json.loads(line)
                except json.JSONDecodeError:
                    continue

    def last(self, at_most: int | None = None) -> dict[str, Any] | None:
        """Return the last state at or before sequence `at_most`."""
        found = None
        for entry in self.entries():
            if at_most is not None and entry["index"] > at_most:
                break
            found = entry
        return found

    def append(self, entry: dict[str, Any]) -> None:
        """Write one state."""
        with self.path.open("a+b") as file:
            if file.tell() > 0:
                file.seek(-1, 2)
                if file.read(1) != b"\n":  # a kill cut the last line off
                    file.write(b"\n")
            file.write(json.dumps(entry).encode() + b"\n")


def logged(stream: Stream, log: StreamLog | None) -> Iterator[Sequence]:
    """Yield the sequences of `stream`, entering every 64th state that the log does not have yet."""
    known = (log.last() or {"index": 0})["index"] if log is not None else 0
    for sequence in stream:
        if log is not None and stream.index % ENTRY_EVERY == 0 and stream.index > known:
            log.append(stream.state())
        yield sequence


def stream_at(
    mixture: Mixture, log: StreamLog, index: int, passed: Mapping[int, dict[str, Any]] | None = None
) -> Stream:
    """Return the stream as it stands before sequence `index`; `passed` holds states by index beside the log's."""
    stream = mixture.stream((passed or {}).get(index) or log.last(index))
    sequences = iter(stream)
    while stream.index < index and next(sequences, None) is not None:
        pass
    return stream


class StreamDataset(datasets.IterableDataset):  # type: ignore[misc] # the library is untyped
    """The first `length` sequences of a mixture, in their order, whatever the number of workers and devices.

    After a kill the trainer skips the batches it was trained on before. The stream is not read for those: the first
    `skipped` items are copies of the first one, and cost nothing.

    `passed` has the stream's last states by index, so that a state the trainer saves is described without reading
    again; it stays empty where a worker process reads.
    """

    def __init__(self, mixture: Mixture, length: int, log: StreamLog, *, writes: bool = True) -> None:
        """`writes` is true in the one process that keeps the log."""
        self.mixture, self.length, self.log, self.writes = mixture, length, log, writes
        self.skipped = 0
        self.passed: dict[int, dict[str, Any]] = {}
        super().__init__(ExamplesIterable(self._examples, {}))

    def __len__(self) -> int:
        """Number of sequences: what makes the trainer's steps, its schedule and its last batch exact."""
        return self.length

    def _examples(self) -> Iterator[tuple[int, dict[str, Any]]]:
        worker = get_worker_info()
        if worker is not None and worker.id > 0:
            return  # one reader keeps the order
        if self.skipped >= self.length:
            return  # all was trained on; TRL's own data set has no length and would take a step more
        if self.skipped:
            first = next(iter(self.mixture.stream())).columns
            for index in range(self.skipped):
                yield index, first
        stream = stream_at(self.mixture, self.log, self.skipped)
        for sequence in logged(stream, self.log if self.writes else None):
            self.passed[stream.index] = stream.state()
            self.passed.pop(stream.index - STATES_KEPT, None)
            yield stream.index - 1, sequence.columns
            if stream.index == self.length:
                return
