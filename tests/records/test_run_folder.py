"""The keys of ``run_<time>.json`` are a file format: they stay, whatever the fields are called in Python."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from harness.records.run_folder import RunRecord, read_record, write

RECORD: dict[str, Any] = {
    "schema_version": 1, "time": "2026-01-01T00-00-00", "command": "harness eval", "harness_version": "0.1.0",
    "model": {"name": "m"}, "answerer": {"engine": "scripted"}, "engine": None, "from_journal": 0, "restarts": 0,
    "prompt": {}, "asked_for": {"tasks": ["t"]}, "tasks": {}, "aggregate": {}, "allowed_failures": 0,
    "complete": True, "notes": [], "versions": {},
}  # fmt: skip


def test_a_record_is_written_with_the_keys_it_is_read_with(tmp_path: Path) -> None:
    record = RunRecord.model_validate(RECORD)
    assert (record.fingerprint, record.task_arguments) == (RECORD["answerer"], RECORD["asked_for"])
    write(tmp_path / "run", record, {}, {})
    assert json.loads((tmp_path / "run" / "run.json").read_text()) == RECORD
    assert read_record(tmp_path / "run") == record
