"""Experiment trackers work on this machine alone, and have tokens on the horizontal axis."""

from __future__ import annotations

import json
import os
import sqlite3
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT
from tests.trainers.helpers import CPU, chat_model, instructions, write_jsonl
from tests.waiting import CEILING_SECONDS


def wandb_records(path: Path) -> Iterator[bytes]:
    """The records of a W&B file: a header of 7 bytes, then LevelDB's log format, in blocks of 32 KiB."""
    content, place, record = path.read_bytes(), 7, b""
    while place + 7 <= len(content):
        left = 32768 - place % 32768
        if left < 7:
            place += left
            continue
        _, length, kind = struct.unpack("<IHB", content[place : place + 7])
        record += content[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # a whole record, or the last part of one
            yield record
            record = b""


def test_trackers_get_tokens_as_steps(tmp_path: Path, own_cache: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # type: ignore[import-untyped]
    from wandb.proto import wandb_internal_pb2

    messages: Any = wandb_internal_pb2
    (tmp_path / "wandb").mkdir()
    source = {"path": str(write_jsonl(tmp_path / "data.jsonl", instructions(30)))}
    spec = {
        "stage": "sft", "name": "tracked", "from": str(chat_model(tmp_path / "parent")),
        "data": {"budget_tokens": 800, "sources": {"one": source}},
        "trainer": {**CPU, "report_to": ["tensorboard", "wandb", "trackio"]},
    }  # fmt: skip
    (tmp_path / "stage.yaml").write_text(yaml.safe_dump(spec), encoding="utf-8")
    # A process of its own: the trackers read their settings when they are imported, and write the last values at exit.
    places = {"WANDB_MODE": "offline", "WANDB_SILENT": "true", "TRACKIO_DIR": str(tmp_path / "trackio")}
    subprocess.run(
        [sys.executable, "-m", "harness", "train", "stage.yaml", "--output_path", "out"],
        env={**os.environ, "HARNESS_CACHE_DIR": str(own_cache), "PYTHONPATH": str(ROOT), **places},
        cwd=tmp_path, capture_output=True, check=True, timeout=CEILING_SECONDS,
    )  # fmt: skip
    lines = [json.loads(line) for line in (tmp_path / "out" / "metrics.jsonl").read_text().splitlines()]
    expected = [(line["tokens"], line["step"], pytest.approx(line["loss"], rel=1e-5)) for line in lines]
    assert len(expected) > 5

    (events,) = (tmp_path / "out").rglob("events.out.tfevents.*")
    accumulator = EventAccumulator(str(events.parent)).Reload()
    steps = {event.step: event.value for event in accumulator.Scalars("train/step")}
    assert [(e.step, steps[e.step], e.value) for e in accumulator.Scalars("train/loss")] == expected

    rows: list[dict[str, Any]] = []
    (run,) = tmp_path.rglob("*.wandb")
    for raw in wandb_records(run):
        record = messages.Record()
        record.ParseFromString(raw)
        items = {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in record.history.item}
        rows += [items] if "train/loss" in items else []
    assert [(row["train/global_step"], row["train/step"], row["train/loss"]) for row in rows] == expected

    with sqlite3.connect(next((tmp_path / "trackio").glob("*.db"))) as database:
        rows = [json.loads(row) for (row,) in database.execute("select metrics from metrics order by id")]
        names = database.execute("select distinct run_name from metrics").fetchall()
    logged = [(r["train/global_step"], r["train/step"], r["train/loss"]) for r in rows if "train/loss" in r]
    assert logged == expected
    assert names == [("tracked",)]
