"""Training text by source, from whatever package knows how to read it.

    [project.entry-points."harness.training_texts"]
    files = "harness.trainers.stage.training_texts:open_streams"

The function takes the places on the command line, stage files, output folders or data, and returns one stream per
source.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import NamedTuple

from harness.errors import InputError

GROUP = "harness.training_texts"


class TextPiece(NamedTuple):
    """A document, or the next part of one that is too long for memory.

    Attributes:
        text: Its text.
        where: File and line or record; for a text file only the file.
        line: The line of the file at which the text begins; None if `where` is complete.
        continues: Whether it continues the previous piece, perhaps in the middle of a word.
        record: Number of its record, from 1, in reading order; 0 if unknown.
    """

    text: str
    where: str
    line: int | None = None
    continues: bool = False
    record: int = 0


@dataclass(frozen=True, kw_only=True)
class StreamHistory:
    """How far a stage had read a source at each point of its training.

    Attributes:
        stage: The stage's output folder.
        checkpoints: ``(step, sequences)`` of each saved state, and of the last one or the finished checkpoint.
        drawn: ``(sequences, records of the source that were drawn by then)``, in order.
    """

    stage: str
    checkpoints: tuple[tuple[int, int], ...]
    drawn: tuple[tuple[int, int], ...]

    def sequence_of(self, record: int) -> int | None:
        """Return the number of sequences after which a record had been drawn; None if it was not drawn or is unknown.

        The number is exact at each of `checkpoints`; between them, it is rounded up to the next entry of the log.
        """
        at = bisect_left(self.drawn, record, key=lambda pair: pair[1])
        return self.drawn[at][0] if record and at < len(self.drawn) else None


@dataclass(frozen=True, kw_only=True)
class TextStream:
    """The text of one source.

    Attributes:
        name: Of the source.
        location: Path, hub id or task.
        pieces: Its documents, read once.
        note: How much of the source this is; empty for all of it.
        history: When its records were drawn; None if no stage has read it.
    """

    name: str
    location: str
    pieces: Iterable[TextPiece]
    note: str = ""
    history: StreamHistory | None = None


def open_streams(places: Sequence[str]) -> list[TextStream]:
    """Return the sources of stage files, output folders of stages, and data files, folders or globs.

    Raises:
        InputError: a place is missing, empty or of another kind; or no installed package reads training data.
    """
    for entry in entry_points(group=GROUP):
        streams: list[TextStream] = entry.load()(places)
        return streams
    raise InputError("no installed package reads training data; install stage-harness again, with its entry points.")
