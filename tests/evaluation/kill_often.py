"""Run one evaluation again and again and end it with SIGKILL at random moments; used by test_survival.py.

    python -m tests.evaluation.kill_often KILLS SEED LONGEST_SECONDS LOG -- eval ...

Imports are paid once: each run is a fork of this process, and its end is a real SIGKILL. What the engine is asked is
appended to LOG, one line of JSON a request, with the number of the run; and when a run begins, how many it asks and how
many the journal holds. Prints how each run ended.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from harness.cli import main
from harness.console import quiet_libraries

quiet_libraries()
import lm_eval.evaluator  # noqa: E402, F401 - paid once, before the forks

from harness.engines.base import Batch, Request  # noqa: E402
from harness.engines.scripted import ScriptedEngine  # noqa: E402
from harness.evaluation import journal  # noqa: E402
from harness.evaluation import run as _evaluation  # noqa: E402, F401 - imported once, before the forks


def log_what_is_asked(log: Path, run: int) -> None:
    """Let the scripted engine note each request before it answers; it answers as before."""
    answer = ScriptedEngine.answer

    def noting(self: ScriptedEngine, requests: Sequence[Request]) -> Iterator[Batch]:
        held = sum(count for _, count in journal.answer_counts(journal.default_path()))
        with log.with_suffix(".begun").open("a") as file:
            file.write(json.dumps([run, len(requests), held]) + "\n")
        for batch in answer(self, requests):
            with log.open("a") as file:
                for index, _ in batch:
                    file.write(json.dumps([run, requests[index].context, requests[index].continuation]) + "\n")
            yield batch

    ScriptedEngine.answer = noting  # type: ignore[method-assign]


def run_once(words: list[str], log: Path, run: int, kill_after: float | None) -> int:
    """Return the exit code, or -SIGKILL."""
    child = os.fork()
    if child == 0:
        log_what_is_asked(log, run)
        with log.with_suffix(".out").open("w") as out:
            os.dup2(out.fileno(), 1)
            os.dup2(out.fileno(), 2)
            code = main(words)
            sys.stdout.flush()
            os._exit(code)
    if kill_after is not None:
        time.sleep(kill_after)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    split = sys.argv.index("--")
    kills, seed, longest, log = sys.argv[1:split]
    words, rng = sys.argv[split + 1 :], random.Random(int(seed))
    codes = [run_once(words, Path(log), run, rng.uniform(0, float(longest))) for run in range(int(kills))]
    codes.append(run_once(words, Path(log), int(kills), None))
    print(json.dumps(codes))
