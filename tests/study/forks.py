"""Run `harness` in forks of a process that has imported what it needs, which saves seconds of imports per run.

    python -m tests.study.forks SITE

Reads one JSON object per line and answers each with the exit code, or -9 for a run that it killed:

    {"words": [...], "environment": {...}, "out": "file", "err": "file", "kill_after": 1.5}

SITE holds the distribution of `tests.study.package`. The tests' own process is not forked, because its libraries have
threads, and a fork of a process with threads can wait for a lock forever.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent

USED = (
    "harness.cli.run_command", "harness.engines.hf.engine", "harness.evaluation.counting", "harness.evaluation.run",
    "harness.reports.commands.compare", "harness.reports.commands.leaderboard", "harness.reports.commands.overlap",
    "harness.trainers.average", "harness.trainers.pretrain", "harness.trainers.stage.run", "tests.models",
    "tests.study.package",
)  # fmt: skip


class Forks:
    """The process, seen from the tests."""

    def __init__(self, site: Path) -> None:
        environment = {**os.environ, "TOKENIZERS_PARALLELISM": "false"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.study.forks", str(site)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT,
        )  # fmt: skip

    def run(
        self, words: Sequence[object], environment: Mapping[str, str], place: Path, kill_after: float | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, or kill it after `kill_after` seconds; output goes to files in `place`."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        out, err = place / "printed.out", place / "printed.err"
        arguments = [str(word) for word in words]
        request = {
            "words": arguments, "environment": dict(environment), "out": str(out), "err": str(err),
            "kill_after": kill_after,
        }  # fmt: skip
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        code = int(self._process.stdout.readline())
        return subprocess.CompletedProcess(arguments, code, out.read_text(), err.read_text())

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


def _run(request: Mapping[str, Any]) -> int:
    """Run a command in a fork; return its exit code."""
    from harness.cli import main

    child = os.fork()
    if child:
        if request["kill_after"] is not None:
            time.sleep(request["kill_after"])
            os.kill(child, signal.SIGKILL)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    for number, name in enumerate(("out", "err"), start=1):
        with Path(request[name]).open("w") as file:
            os.dup2(file.fileno(), number)
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv = ["harness", *request["words"]]
    try:
        code = main(request["words"])
    except SystemExit as stop:
        code = int(stop.code or 0)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _serve() -> None:
    for line in sys.stdin:
        print(_run(json.loads(line)), flush=True)


if __name__ == "__main__":
    from harness.console import quiet_libraries

    quiet_libraries()
    sys.path.insert(0, sys.argv[1])
    for module in USED:
        import_module(module)
    # With more, a process that has computed something cannot be forked: the child would wait for its threads.
    import_module("torch").set_num_threads(1)
    _serve()
