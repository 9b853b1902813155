"""Parquet: ``results.parquet`` and ``items.parquet``, with the columns of `harness.records.frames`."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import PurePosixPath

from harness.export.registry import ExportFile, ExportOptions
from harness.export.runs import malformed_is_damage, named_models
from harness.records import Records, items_frame, results_frame


def export(records: Records, options: ExportOptions) -> Iterator[ExportFile]:
    """Yield one row per model, task and metric, and one row per model, task, filter and item."""
    models = named_models(records, options)
    folder = records.models[0].folders[0]
    for name, make in (("results", results_frame), ("items", items_frame)):
        buffer = io.BytesIO()
        with malformed_is_damage(folder):
            make(models).to_parquet(buffer, index=False)
        yield ExportFile(path=PurePosixPath(f"{name}.parquet"), content=[buffer.getvalue()])
