"""The stream as a data set that a trainer reads in order, and the log that lets training resume anywhere in it.

The log holds the stream's state at every 64th example. To find the stream at example `n`, for resuming there or for
counting what was trained on, take the last entry at or before `n` and read on from it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from zlib import crc32

import datasets
from datasets.iterable_dataset import ExamplesIterable
from torch.utils.data import get_worker_info

from harness.errors import MALFORMED
from harness.trainers.data.examples import TrainingExample
from harness.trainers.data.mixture import Mixture, Stream

ENTRY_EVERY = 64
STATES_KEPT = 1024  # more examples than a trainer fetches ahead of its current step


# One line of the log, training/stream.jsonl; `taps` has one entry per source, `cursor` is (file, offset, record):
#   {"crc32": 3610183213, "state": {"index": 64, "phase": 0, "phase_began": 0, "taps": [{"place": {"turn": 0,
#    "block": 0, "cursor": [0, 0, 0], "within": 40, "seen": 0}, "used": 12}, ...], "ledger": {"tokens": ...}}}
# A state for every example would be exact without reading on, but the file would grow with the data (a million
# sequences: several hundred MB); reading on from the last entry costs at most 63 examples.
class StreamLog:
    """States of a stream by example, one JSON line each; one process writes. Only `keep_until` removes states."""

    def __init__(self, path: Path) -> None:
        """`path` need not exist."""
        self.path = path

    def entries(self) -> Iterator[dict[str, Any]]:
        """Yield the states in order; skip lines that are incomplete or damaged."""
        if not self.path.exists():
            return
        with self.path.open(encoding="utf-8", errors="replace") as file:
            for line in file:
                entry = _whole(line)
                if entry is not None:
                    yield entry

    def last(self, at_most: int | None = None) -> dict[str, Any] | None:
        """Return the last state at or before example `at_most`."""
        last = None
        for entry in self.entries():
            if at_most is not None and entry["index"] > at_most:
                break
            last = entry
        return last

    def append(self, entry: dict[str, Any]) -> None:
        """Write one state."""
        with self.path.open("a+b") as file:
            if file.tell() > 0:
                file.seek(-1, 2)
                # A kill may have cut the last line short. Without a line end of its own, `{"index": 12` would swallow
                # the new entry as well.
                if file.read(1) != b"\n":
                    file.write(b"\n")
            text = json.dumps(entry)
            file.write(f'{{"crc32": {crc32(text.encode())}, "state": {text}}}\n'.encode())

    def keep_until(self, index: int) -> None:
        """Remove the states after example `index`: the records that they came from may have changed."""
        kept = [entry for entry in self.entries() if entry["index"] <= index]
        if self.path.exists():
            part = self.path.with_suffix(".part")
            part.unlink(missing_ok=True)
            log = StreamLog(part)
            for entry in kept:
                log.append(entry)
            part.replace(self.path) if kept else self.path.unlink()


def _whole(line: str) -> dict[str, Any] | None:
    """Return the state in a line of the log; None if the line was cut short or changed."""
    try:
        entry = json.loads(line)
        if "state" not in entry:  # written by a release without checksums
            return dict(entry) if isinstance(entry["index"], int) else None
        state: dict[str, Any] = entry["state"]
        return state if crc32(json.dumps(state).encode()) == entry["crc32"] else None
    except MALFORMED:
        return None


def log_states(stream: Stream, log: StreamLog | None) -> Iterator[TrainingExample]:
    """Yield the examples of `stream`; append every 64th state that the log does not hold yet."""
    logged = (log.last() or {"index": 0})["index"] if log is not None else 0
    for example in stream:
        if log is not None and stream.index % ENTRY_EVERY == 0 and stream.index > logged:
            log.append(stream.state())
        yield example


def stream_at(
    mixture: Mixture, log: StreamLog, index: int, recent_states: Mapping[int, dict[str, Any]] | None = None
) -> Stream:
    """Return the stream as it is before example `index`; `recent_states` are states by index beside the log's."""
    stream = mixture.stream((recent_states or {}).get(index) or log.last(index))
    examples = iter(stream)
    while stream.index < index and next(examples, None) is not None:
        pass
    return stream


class StreamDataset(datasets.IterableDataset):  # type: ignore[misc] # the library is untyped
    """The first `length` examples of a mixture in order, for any number of workers and devices.

    Attributes:
        n_skipped: Examples that training consumed before it was interrupted; set before a resumed training.
        recent_states: The stream's last states by index, so that a state the trainer saves can be described without
            reading the stream again; empty where a worker process reads.
    """

    def __init__(self, mixture: Mixture, length: int, log: StreamLog, *, writes: bool = True) -> None:
        """`writes` is true in the one process that writes the log."""
        self.mixture, self.length, self.log, self.writes = mixture, length, log, writes
        self.n_skipped = 0
        self.recent_states: dict[int, dict[str, Any]] = {}
        super().__init__(ExamplesIterable(self._examples, {}))

    def __len__(self) -> int:
        """Number of examples: it makes the trainer's steps, its learning rate schedule and its last batch exact."""
        return self.length

    def _examples(self) -> Iterator[tuple[int, dict[str, Any]]]:
        worker = get_worker_info()
        if worker is not None and worker.id > 0:
            return  # a single reader keeps the order
        if self.n_skipped >= self.length:
            return  # all was trained on; TRL's own data set has no length and would take one step more
        # A resumed trainer reads and discards the batches it was trained on before. With n_skipped 3 it gets
        #   first first first  example 3  example 4 ...
        # The copies cost nothing, while reading the real examples would tokenize the data again from the beginning.
        if self.n_skipped:
            first = next(iter(self.mixture.stream())).columns
            for index in range(self.n_skipped):
                yield index, first
        stream = stream_at(self.mixture, self.log, self.n_skipped, self.recent_states)
        for example in log_states(stream, self.log if self.writes else None):
            # The trainer saves a state some examples after it fetched them, so the states in between are kept.
            self.recent_states[stream.index] = stream.state()
            self.recent_states.pop(stream.index - STATES_KEPT, None)
            yield stream.index - 1, example.columns
            if stream.index == self.length:
                return
