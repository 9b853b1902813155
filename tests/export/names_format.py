"""A format of another package, for a test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from harness.export import ExportFile, ExportOptions
from harness.records import Records


def export(records: Records, options: ExportOptions) -> Iterator[ExportFile]:
    names = "".join(f"{model.name}\n" for model in records.models) or "none\n"
    yield ExportFile(path=PurePosixPath("names.txt"), content=[names.encode()])
