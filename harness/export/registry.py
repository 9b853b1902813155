"""What a format is, and the formats of all installed packages, found by entry points.

It imports nothing heavy, because `harness --help` lists the formats; a format is imported when it is used.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Protocol, cast

from harness.errors import InputError, did_you_mean, first_line

if TYPE_CHECKING:
    from harness.records import Records

GROUP = "harness.exporters"


def _ignore(_note: str) -> None:
    """The default of `ExportOptions.note`."""


@dataclass(frozen=True, kw_only=True)
class ExportFile:
    """One file of an export.

    Attributes:
        path: Its place below the output folder.
        content: Its bytes, in parts.
    """

    path: PurePosixPath
    content: Iterable[bytes]


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """What an export may depend on besides the records.

    Attributes:
        model_id: ``org/name`` of the model; None for a name made from its lineage.
        note: Called with one sentence on each thing that the export leaves out.
    """

    model_id: str | None = None
    note: Callable[[str], None] = _ignore


class Exporter(Protocol):
    """A format."""

    def __call__(self, records: Records, options: ExportOptions) -> Iterator[ExportFile]:
        """Yield the files. Raises: HarnessError: the records cannot be exported; nothing is written then."""


@functools.cache
def exporter_names() -> dict[str, EntryPoint]:
    """Return the entry points of all formats by name."""
    return {point.name: point for point in sorted(entry_points(group=GROUP), key=lambda point: point.name)}


def find_exporter(name: str) -> Exporter:
    """Import a format.

    Raises:
        InputError: It is unknown, or its package cannot be imported.
    """
    known = exporter_names()
    if name not in known:
        raise InputError(f"--format {name}: unknown; give one of {', '.join(known)}.{did_you_mean(name, known)}")
    try:
        return cast("Exporter", known[name].load())
    except ImportError as error:
        raise InputError(
            f"--format {name}: {known[name].value} cannot be imported ({first_line(error)}); repair or remove the "
            "package that provides it."
        ) from error
