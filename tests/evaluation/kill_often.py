"""Run one evaluation again and again and end it with SIGKILL at random moments; used by test_survival.py.

    python -m tests.evaluation.kill_often LOG KILLS SEED LONGEST_SECONDS -- eval ...

Runs and kills as `tests.killing` does. What the engine is asked is
appended to LOG, one line of JSON a request, with the number of the run; and when a run begins, how many it asks and how
many the journal holds. Prints how each run ended.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from harness.console import quiet_libraries

quiet_libraries()
import lm_eval.evaluator  # noqa: E402, F401 - paid once, before the forks

from harness.engines.base import Batch, Request  # noqa: E402
from harness.engines.scripted import ScriptedEngine  # noqa: E402
from harness.evaluation import journal  # noqa: E402
from harness.evaluation import run as _evaluation  # noqa: E402, F401 - imported once, before the forks
from tests.killing import repeat  # noqa: E402


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


if __name__ == "__main__":
    log = Path(sys.argv[1])
    print(json.dumps(repeat(sys.argv[2:], log.with_suffix(".out"), lambda run: log_what_is_asked(log, run))))
