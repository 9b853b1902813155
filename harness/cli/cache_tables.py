"""The cache as tables: the size of its parts, and the models whose answers the journal holds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from rich.filesize import decimal

from harness.errors import MALFORMED
from harness.terminal_table import TableColumn, TableRow, TerminalTable

DIGITS = 12  # of a digest; enough to tell the models of one journal apart
WEIGHTS = ("weights", "script", "name")  # keys of a fingerprint that say which model it is; it has one of them
PARTS_COLUMNS = (TableColumn(heading="part", place="name"), TableColumn(heading="size", numbers=True, place="keep"))
MODELS_COLUMNS = (
    TableColumn(heading="model", place="name"),
    TableColumn(heading="answers", numbers=True, place="keep"),
    TableColumn(heading="engine"),
    TableColumn(heading="dtype"),
    TableColumn(heading="weights", place="keep"),
    TableColumn(heading="further settings", place="aside"),
)


def parts_table(sizes: Mapping[str, int]) -> TerminalTable:
    """Return the table of the parts with their sizes, in bytes."""
    rows = tuple(TableRow(cells=(part, decimal(size))) for part, size in sizes.items())
    return TerminalTable(columns=PARTS_COLUMNS, rows=rows)


def models_table(counts: Sequence[tuple[str, int]], names: Mapping[str, Sequence[str]]) -> TerminalTable:
    """Return the table of models.

    Args:
        counts: Fingerprint in JSON and number of answers of each model.
        names: What a model was called, by its fingerprint; a model of an earlier release may have no name.
    """
    rows = tuple(TableRow(cells=_cells(text, count, names.get(text, ()))) for text, count in counts)
    return TerminalTable(columns=MODELS_COLUMNS, rows=rows)


def _cells(text: str, count: int, names: Sequence[str]) -> tuple[str, ...]:
    fingerprint = _fingerprint(text)
    weights = next((str(fingerprint.pop(key)) for key in WEIGHTS if key in fingerprint), "-")
    engine, dtype = (str(fingerprint.pop(key, None) or "-") for key in ("engine", "dtype"))
    further = " ".join(
        f"{key}={_short(value)}" for key, value in sorted(fingerprint.items()) if value not in (None, {})
    )
    return (", ".join(names) or _short(weights), f"{count:,}", engine, dtype, _short(weights), further)


def _fingerprint(text: str) -> dict[str, Any]:
    """Return a fingerprint's fields; none if the text is damaged."""
    try:
        return dict(json.loads(text))
    except MALFORMED:
        return {}


def _short(value: object) -> str:
    """Return a value of a fingerprint; of a digest, its first digits: ``sha256:9f86d0...`` -> ``9f86d0818884``."""
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    return text.removeprefix("sha256:")[:DIGITS] if text.startswith("sha256:") else text
