"""`harness eval --replicas N` writes the same record as one process, even if engines fail."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from harness.records.run_folder import read_record
from tests.conftest import ROOT, HarnessCommand
from tests.engines.service import Service
from tests.evaluation.contents import without_times
from tests.models import save_tiny_llama
from tests.tasks_for_tests import eval_words, write_long_tasks, write_tasks
from tests.waiting import CEILING_SECONDS, running, wait_until


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tasks(tmp_path_factory.mktemp("tasks"), items=200)


@pytest.mark.parametrize("fault", ["batch=16", "raises=0.1", "nan=0.1", "missing=0.1"])
def test_the_record_is_that_of_one_process(
    fault: str, tmp_path: Path, tasks: Path, harness_here: HarnessCommand
) -> None:
    words = ["--no_cache", "--allow_failures", 1000, "--model_args", fault]
    assert harness_here(*eval_words(tasks, tmp_path / "two", *words, "--replicas", 2)).returncode == 0
    assert harness_here(*eval_words(tasks, tmp_path / "one", *words)).returncode == 0
    assert without_times(tmp_path / "two" / "uniform") == without_times(tmp_path / "one" / "uniform")


def test_all_requests_are_answered_although_engines_die(
    tmp_path: Path, tasks: Path, harness_here: HarnessCommand, caplog: pytest.LogCaptureFixture
) -> None:
    assert harness_here(*eval_words(tasks, tmp_path, "--model_args", "die_after=300", "--replicas", 2)).returncode == 0
    assert "died (scripted death after" in caplog.text
    record = read_record(tmp_path / "uniform")
    assert sum(task.answered for task in record.tasks.values()) == 1000
    assert record.restarts == 0


def test_a_chunk_may_take_longer_than_the_timeout_of_a_batch(tmp_path: Path, harness_here: HarnessCommand) -> None:
    """The largest chunk holds 36 requests: nine batches, which take five seconds."""
    tasks = write_long_tasks(tmp_path / "tasks", items=18, words=90)
    words: list[object] = ["eval", "--backend", "scripted", "--model", "uniform", "--tasks", "t_choice"]
    words += ["--include_path", tasks, "--model_args", "delay_seconds=0.55", "batch=4"]
    words += ["--engine_timeout", 4, "--replicas", 2]
    done = harness_here(*words, "--output_path", tmp_path)
    assert done.returncode == 0, done.stderr
    assert read_record(tmp_path / "uniform").tasks["t_choice"].answered == 72


def test_a_served_model_takes_replicas(tmp_path: Path, tasks: Path, harness_here: HarnessCommand) -> None:
    service = Service()
    words: list[object] = ["eval", "--backend", "lm-eval:local-completions", "--model", "any", "--tasks", "t_generate"]
    words += ["--include_path", tasks, "--output_path", tmp_path, "--replicas", 2, "--engine_timeout", 60]
    words += ["--model_args", f"base_url=http://127.0.0.1:{service.port}/v1/completions", "tokenizer_backend=none"]
    done = harness_here(*words)
    service.close()
    assert done.returncode == 0, done.stderr
    assert read_record(tmp_path / "any").tasks["t_generate"].answered == 200
    assert set(service.asked.values()) == {1}


def test_a_hanging_replica_fails_only_its_own_requests(tmp_path: Path, harness_here: HarnessCommand) -> None:
    tasks = write_long_tasks(tmp_path / "tasks", items=200, words=90)
    words = eval_words(tasks, tmp_path, "--model_args", "hang=0.002", "--engine_timeout", "1", "--replicas", "2")
    assert harness_here(*words).returncode == 1
    failures = [task.failures for task in read_record(tmp_path / "uniform").tasks.values()]
    assert {reason for counts in failures for reason in counts} == {"timeout"}
    assert 0 < sum(sum(counts.values()) for counts in failures) < 1000


def test_one_and_two_replicas_of_a_model_give_the_same_bytes(
    tmp_path: Path, tasks: Path, harness_here: HarnessCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its rounding depends on what is computed together."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    model = save_tiny_llama(tmp_path / "tiny")
    words = ["eval", "--model", model, "--tasks", "t_all", "--include_path", tasks, "--limit", 60, "--no_cache"]
    for count in (1, 2):
        out = tmp_path / str(count)
        done = harness_here(*words, "--output_path", out, "--replicas", count, "--dtype", "float32")
        assert done.returncode == 0, done.stderr
    assert without_times(tmp_path / "1" / "tiny") == without_times(tmp_path / "2" / "tiny")


def test_a_killed_replica_of_a_model_changes_no_byte(
    tmp_path: Path, own_cache: Path, harness_here: HarnessCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its chunk is computed again as a whole, because the rounding of its answers depends on each other."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    model = save_tiny_llama(tmp_path / "tiny")
    tasks = write_long_tasks(tmp_path / "tasks", items=150, words=60)
    words: list[object] = ["eval", "--model", model, "--tasks", "t_choice", "--include_path", tasks]
    words += ["--dtype", "float32", "--output_path"]
    command = [sys.executable, "-m", "harness", *words, tmp_path / "killed", "--replicas", 2]
    with subprocess.Popen(list(map(str, command)), cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        wait_until(lambda: _answered(own_cache), "answers arrive", process=process, interval_seconds=0.002)
        os.kill(_children(process.pid)[0], signal.SIGKILL)
        _, err = process.communicate(timeout=CEILING_SECONDS)
    assert process.returncode == 0, err
    assert err.count("its requests are sent again") == 1
    assert harness_here(*words, tmp_path / "whole", "--replicas", 1, "--no_cache").returncode == 0
    assert without_times(tmp_path / "killed" / "tiny") == without_times(tmp_path / "whole" / "tiny")


def _answered(cache: Path) -> int:
    try:
        with closing(sqlite3.connect(f"file:{cache / 'journal.sqlite'}?mode=ro", uri=True)) as journal:
            return int(journal.execute("SELECT COUNT(*) FROM answers").fetchone()[0])
    except sqlite3.Error:
        return 0


def _children(process: int) -> list[int]:
    """The processes that a process has started; those of its threads count as well."""
    lists = [place.read_text() for place in Path(f"/proc/{process}/task").glob("*/children")]
    return [int(child) for text in lists for child in text.split()]


def test_requests_that_fit_into_one_chunk_give_the_bytes_of_a_run_without_replicas(
    tmp_path: Path, tasks: Path, harness_here: HarnessCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """About 40 characters per request, and the smallest chunk has 4,096; larger sets differ by rounding."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    model = save_tiny_llama(tmp_path / "tiny")
    words = ["eval", "--model", model, "--tasks", "t_choice", "--include_path", tasks, "--limit", 12, "--no_cache"]
    for name, more in (("plain", []), ("replicas", ["--replicas", 1])):
        done = harness_here(*words, "--output_path", tmp_path / name, "--dtype", "float32", *more)
        assert done.returncode == 0, done.stderr
    assert without_times(tmp_path / "plain" / "tiny") == without_times(tmp_path / "replicas" / "tiny")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_replicas_end_with_the_command(number: int, tmp_path: Path, tasks: Path, own_cache: Path) -> None:
    words = eval_words(tasks, tmp_path, "--model_args", "delay_seconds=60", "--replicas", "2")
    process = subprocess.Popen([sys.executable, "-m", "harness", *words], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    wait_until(lambda: len(_children(process.pid)) == 2, "two replicas run", process=process)
    pids = _children(process.pid)
    process.send_signal(number)
    _, err = process.communicate(timeout=CEILING_SECONDS)
    wait_until(lambda: not any(map(running, pids)), "they have ended")
    if number == signal.SIGINT:
        assert process.returncode == 130
        assert err.strip() == "harness eval: interrupted; run the same command again to resume."


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--replicas", "0"], "0: give a whole number of 1 or more, or auto"),
        (["--replicas", "many"], "many: give a whole number of 1 or more, or auto"),
        (["--on", "raye"], "raye: give ray, or ray:ADDRESS such as ray:HOST:6379"),
        (["--on", "ray:"], "ray:: give ray, or ray:ADDRESS"),
        (["--on", "ray:nowhere"], "--on ray:nowhere: give HOST:PORT"),
        (["--replicas", "999", "--backend", "hf", "--device", "cpu"], "--replicas 999: this process may use"),
        (["--replicas", "2", "--backend", "hf", "--device", "cuda:1"], "--device cuda:1: each replica has its own"),
    ],
)
def test_wrong_flags_give_one_clear_error(
    words: list[str], message: str, tmp_path: Path, tasks: Path, harness_here: HarnessCommand
) -> None:
    done = harness_here(*eval_words(tasks, tmp_path / "out", *words))
    assert (done.returncode, len(done.stderr.strip().splitlines())) == (2, 1)
    assert message in done.stderr
    assert not (tmp_path / "out").exists()
