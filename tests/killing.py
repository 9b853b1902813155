"""Run a command repeatedly, end it with SIGKILL at random moments, and let the last run finish.

    python -m tests.killing KILLS SEED LONGEST_SECONDS -- train stage.yaml --output_path out

Modules are imported once: each run is a fork of this process, and only the fork gets the SIGKILL.
Prints how each run ended: its exit code, or -9 if it was killed.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from harness.cli import main
from harness.console import quiet_libraries
from tests.waiting import CEILING_SECONDS

SEED = 7  # of the moments
ROOT = Path(__file__).resolve().parent.parent


def run_once(words: Sequence[str], kill_after: float | None, output: Path, prepare: Callable[[], None]) -> int:
    """Run one command in a fork; returns the exit code, or -SIGKILL.

    Args:
        words: The command.
        kill_after: Seconds; None lets it end.
        output: File for what it prints.
        prepare: Called in the fork, before the command.
    """
    child = os.fork()
    if child == 0:
        prepare()
        with output.open("w") as out:
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


def killed_often(
    words: Sequence[object],
    *,
    kills: int,
    longest: float,
    cache: Path,
    module: str = "tests.killing",
    first: Sequence[object] = (),
) -> list[int]:
    """Run the command in this way, in a process of its own; returns how each run ended.

    Args:
        words: The command.
        kills: How often.
        longest: The latest moment of a kill, in seconds.
        cache: The cache folder.
        module: The module to run: this one, or one that takes arguments of its own before these.
        first: The arguments that come first, for such a module.
    """
    arguments = [*first, kills, SEED, longest, "--", *words]
    command = [sys.executable, "-m", module, *map(str, arguments)]
    environment = {**os.environ, "HARNESS_CACHE_DIR": str(cache)}
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment, cwd=ROOT, check=False, timeout=CEILING_SECONDS
    )
    assert done.returncode == 0, done.stderr
    codes: list[int] = json.loads(done.stdout.splitlines()[-1])
    return codes


def repeat(arguments: Sequence[str], output: Path, prepare: Callable[[int], None] = lambda _run: None) -> list[int]:
    """Run and kill as the arguments of this module say; `prepare` is called in each fork with the number of the run."""
    split = arguments.index("--")
    kills, seed, longest = arguments[:split]
    words, rng = arguments[split + 1 :], random.Random(int(seed))
    moments: list[float | None] = [rng.uniform(0, float(longest)) for _ in range(int(kills))]
    return [
        run_once(words, moment, output, lambda run=run: prepare(run))  # type: ignore[misc]
        for run, moment in enumerate([*moments, None])
    ]


if __name__ == "__main__":
    quiet_libraries()
    import trl  # noqa: F401

    import harness.engines.hf.engine
    import harness.evaluation.run  # noqa: F401

    print(json.dumps(repeat(sys.argv[1:], Path(os.environ["HARNESS_CACHE_DIR"]).with_suffix(".out"))))
