"""Run commands one after the other, each in a fork of a process that has already imported the modules.

    python -m tests.malformed.forks
    {"words": ["lineage", "/tmp/model"], "cache": "/tmp/cache"}               a line on standard input
    {"code": 2, "out": "", "err": "harness lineage: ...", "cpu_seconds": 0.1, "megabytes": 650}      and one back

A command that uses more than `CPU_LIMIT_SECONDS` of CPU time is killed by the kernel; its code is negative.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.conftest import ROOT

CPU_LIMIT_SECONDS = 20


class Forks:
    """Starts the fork server and sends it commands."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.malformed.forks"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            text=True,
        )

    def run(self, words: list[str], cache: Path) -> dict[str, Any]:
        """Run `harness` with these words; returns what the module's docstring shows."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"words": words, "cache": str(cache)}) + "\n")
        self._process.stdin.flush()
        done: dict[str, Any] = json.loads(self._process.stdout.readline())
        return done

    def close(self) -> None:
        """End the process, which ends with its input."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def in_a_fork(words: list[str], cache: str) -> dict[str, Any]:
    """Run one command, and measure it."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = os.fork()
        if child == 0:
            os.dup2(out.fileno(), 1)
            os.dup2(err.fileno(), 2)
            os._exit(_command(words, cache))
        _, status, used = os.wait4(child, 0)
        out.seek(0)
        err.seek(0)
        return {
            "code": os.waitstatus_to_exitcode(status),
            "out": out.read().decode("utf-8", "replace"),
            "err": err.read().decode("utf-8", "replace"),
            "cpu_seconds": used.ru_utime + used.ru_stime,
            "megabytes": used.ru_maxrss // 1024,
        }


def _command(words: list[str], cache: str) -> int:
    import traceback

    from harness.cli import main

    resource.setrlimit(resource.RLIMIT_CPU, (CPU_LIMIT_SECONDS, CPU_LIMIT_SECONDS))
    os.environ["HARNESS_CACHE_DIR"] = cache
    try:
        code = main(words)
    except SystemExit as stop:
        code = int(stop.code or 0)
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return code


if __name__ == "__main__":
    from harness.console import quiet_libraries

    quiet_libraries()
    # Imported once, before the forks.
    from transformers import LlamaForCausalLM, Trainer  # noqa: F401 - imported when they are named

    import harness.checkpoints.lineage
    import harness.engines.hf.engine
    import harness.evaluation.rescoring
    import harness.evaluation.run
    import harness.reports.commands.compare
    import harness.trainers.pretrain
    import harness.trainers.sft  # noqa: F401

    for line in sys.stdin:
        print(json.dumps(in_a_fork(**json.loads(line))), flush=True)
