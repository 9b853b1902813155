"""The keys of ``run_<time>.json`` are a file format: they stay, whatever the fields are called in Python."""

from __future__ import annotations

import json
import os
import resource
import time
from pathlib import Path
from typing import Any

from harness.records.run_files import RunFiles
from harness.records.run_folder import RunRecord, json_line, read_record

RECORD: dict[str, Any] = {
    "schema_version": 1, "time": "2026-01-01T00-00-00", "command": "harness eval", "harness_version": "0.1.0",
    "model": {"name": "m"}, "answerer": {"engine": "scripted"}, "engine": None, "from_journal": 0, "restarts": 0,
    "prompt": {}, "asked_for": {"tasks": ["t"]}, "tasks": {}, "aggregate": {}, "allowed_failures": 0,
    "complete": True, "notes": [], "versions": {},
}  # fmt: skip

SAMPLE: dict[str, Any] = {
    "doc_id": 0, "doc": {}, "target": 0, "arguments": [("2 + 2 =", " 4")], "resps": [[(-0.5, True)], [[1, None, "é"]]],
    "filtered_resps": [(-0.5, True), {"status": ["passed"]}], "filter": "none", "metrics": [], "doc_hash": "0" * 64,
    "prompt_hash": "1" * 64, "target_hash": "2" * 64,
}  # fmt: skip


def test_a_record_is_written_with_the_keys_it_is_read_with(tmp_path: Path) -> None:
    record = RunRecord.model_validate(RECORD)
    assert (record.fingerprint, record.task_arguments) == (RECORD["answerer"], RECORD["asked_for"])
    with RunFiles(tmp_path, "m", "sha256:1") as files:
        files.finish(record, {})
    assert json.loads((tmp_path / "m" / "run.json").read_text()) == RECORD
    assert read_record(tmp_path / "m") == record


def test_a_run_that_ends_early_leaves_nothing(tmp_path: Path) -> None:
    with RunFiles(tmp_path, "m", "sha256:1") as files:
        files.add_samples("t", [SAMPLE])
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_another_checkpoint_took_meanwhile_is_left_to_it(tmp_path: Path) -> None:
    first, second = (
        RunRecord.model_validate({**RECORD, "model": {"name": "m", "digest": f"sha256:{digest * 8}"}})
        for digest in ("a", "b")
    )
    with RunFiles(tmp_path, "m", "sha256:" + "a" * 8) as slow:
        slow.add_samples("t", [SAMPLE])
        with RunFiles(tmp_path, "m", "sha256:" + "b" * 8) as fast:
            fast.finish(second, {})
        slow.finish(first, {})
    assert read_record(tmp_path / "m") == second
    assert read_record(tmp_path / "m-aaaaaaaa") == first
    assert not list((tmp_path / "m").glob("samples_*"))
    assert len(list((tmp_path / "m-aaaaaaaa").glob("samples_t_*.jsonl"))) == 1


def test_a_run_of_more_tasks_than_files_may_be_open(tmp_path: Path) -> None:
    record = RunRecord.model_validate({**RECORD, "model": {"name": "m", "digest": "sha256:1"}})
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    names = [f"t{number}" for number in range(150)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(list(Path("/proc/self/fd").iterdir())) + 50, hard))
    try:
        with RunFiles(tmp_path, "m", "sha256:1") as files:
            for name in [*names, names[0]]:
                files.add_samples(name, [SAMPLE])
            files.finish(record, {})
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    lines = {file.name.split("_")[1]: len(file.read_text().splitlines()) for file in tmp_path.glob("m/samples_*")}
    assert lines == {name: 2 if name == names[0] else 1 for name in names}


def test_the_files_of_a_slow_run_on_another_host_stay(tmp_path: Path) -> None:
    record = RunRecord.model_validate({**RECORD, "model": {"name": "m", "digest": "sha256:1"}})
    with RunFiles(tmp_path, "m", "sha256:1") as slow:
        slow.add_samples("a", [SAMPLE])
        elsewhere = slow._work.with_name(".writing-elsewhere-1-abc")
        slow._work.rename(elsewhere)
        slow._work = elsewhere
        os.utime(elsewhere, (time.time() - 7200,) * 2)
        with RunFiles(tmp_path, "m", "sha256:1"):
            pass
        slow.add_samples("b", [SAMPLE])
        slow.finish(record, {})
    assert len(list((tmp_path / "m").glob("samples_*"))) == 2


def test_a_line_of_a_samples_file_is_what_lm_eval_writes() -> None:
    from lm_eval.utils import sanitize_list

    line = json.loads(json_line(SAMPLE))
    for field in ("resps", "filtered_resps"):
        assert line[field] == json.loads(json.dumps(sanitize_list(SAMPLE[field])))
    assert line["arguments"] == {"gen_args_0": {"arg_0": "2 + 2 =", "arg_1": " 4"}}
    assert line["target"] == "0"
