"""Run three evaluations at once on one journal, two of them in one output folder, and kill them at random moments.

    python -m tests.evaluation.kill_together FOLDER SEED... -- eval ...

For each seed, three lines of runs start side by side. A line repeats its command until one run is not killed. What each
run asks is noted. Prints a line of JSON for each seed; fails when an answer or a record is lost or doubled.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from harness.console import quiet_libraries

quiet_libraries()
import lm_eval.evaluator  # noqa: E402, F401 - paid once, before the forks

from harness.cli import main  # noqa: E402
from harness.engines.base import Batch, Request  # noqa: E402
from harness.engines.scripted import ScriptedEngine  # noqa: E402
from harness.evaluation import run as _evaluation  # noqa: E402, F401 - imported once, before the forks
from harness.evaluation.journal import answer_counts  # noqa: E402
from tests.evaluation.contents import without_times  # noqa: E402

LINES = ("shared", "shared", "own")  # the output folder of each line
MOST_KILLS, LONGEST_SECONDS = 3, 0.5
MODEL = "uniform"


@dataclass
class Line:
    """Runs of one command, one after the other.

    Attributes:
        output: The folder of their records.
        moments: When the next runs are killed, in seconds after their start; the run after these ends by itself.
    """

    output: Path
    moments: list[float]
    process: int = 0
    kill_at: float | None = None
    killed: int = 0
    codes: list[int] = field(default_factory=list)

    def start(self, words: Sequence[str], log: Path) -> None:
        """Start the next run in a fork."""
        self.kill_at = time.monotonic() + self.moments.pop() if self.moments else None
        self.process = os.fork()
        if self.process:
            return
        held = held_by(log.parent / "cache" / "journal.sqlite")
        note_what_is_asked(log, held)
        with log.with_suffix(".out").open("a") as out:
            os.dup2(out.fileno(), 1)
            os.dup2(out.fileno(), 2)
            code = main([*words, "--output_path", str(self.output)])
            sys.stdout.flush()
            os._exit(code)

    def goes_on(self) -> bool:
        """Kill the run if its moment has come. False when it has ended."""
        if self.kill_at is not None and time.monotonic() >= self.kill_at:
            os.kill(self.process, signal.SIGKILL)
            self.kill_at = None
        ended, status = os.waitpid(self.process, os.WNOHANG)
        if ended:
            self.codes.append(os.waitstatus_to_exitcode(status))
            self.killed += self.codes[-1] == -signal.SIGKILL
        return not ended


def held_by(journal: Path) -> int:
    """How many answers a journal holds."""
    return sum(count for _, count in answer_counts(journal))


def note_what_is_asked(log: Path, held: int) -> None:
    """Make the scripted engine log its requests, and the number of answers in the journal when the run began."""
    answer = ScriptedEngine.answer

    def noting(self: ScriptedEngine, requests: Sequence[Request]) -> Iterator[Batch]:
        with log.open("a") as file:
            file.write(json.dumps([held, [f"{r.context}|{r.continuation}" for r in requests]]) + "\n")
        yield from answer(self, requests)

    ScriptedEngine.answer = noting  # type: ignore[method-assign]


def together(folder: Path, seed: int, words: Sequence[str]) -> list[Line]:
    """Run the three lines to their ends."""
    os.environ["HARNESS_CACHE_DIR"] = str(folder / "cache")
    (folder / "cache").mkdir(parents=True)
    rng = random.Random(seed)
    lines = [
        Line(output=folder / name, moments=[rng.uniform(0, LONGEST_SECONDS) for _ in range(rng.randint(0, MOST_KILLS))])
        for name in LINES
    ]
    for line in lines:
        line.start(words, folder / "asked")
    running = list(lines)
    while running:
        for line in list(running):
            if not line.goes_on():
                if line.codes[-1] == -signal.SIGKILL:
                    line.start(words, folder / "asked")
                else:
                    running.remove(line)
        time.sleep(0.002)
    return lines


def check(folder: Path, lines: Sequence[Line], whole: dict[str, str]) -> None:
    """Check that nothing is lost or duplicated; `whole` holds the files of an uninterrupted run."""
    assert [line.codes[-1] for line in lines] == [0, 0, 0], (folder / "asked.out").read_text()
    with closing(sqlite3.connect(folder / "cache" / "journal.sqlite")) as journal:
        assert journal.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        keys, answers = journal.execute("SELECT COUNT(DISTINCT key), COUNT(*) FROM answers").fetchone()
    asked = [json.loads(line) for line in (folder / "asked").read_text().splitlines()]
    distinct = {request for _, requests in asked for request in requests}
    assert keys == answers == len(distinct), "each request has one answer"
    for held, requests in asked:
        assert max(Counter(requests).values()) == 1, "no request is sent twice in a run"
        assert len(requests) <= len(distinct) - held, "no request is sent that was journalled when the run began"
    for name in set(LINES):
        place = folder / name / MODEL
        ended = sum(line.output.name == name for line in lines)
        # A killed run may have written its record just before.
        results = sorted(place.glob("results_*.json"))
        assert ended <= len(results) <= ended + sum(line.killed for line in lines)
        assert not list(place.glob(".writing-*"))
        assert (place / "run.json").resolve().name in {
            f"run_{file.stem.removeprefix('results_')}.json" for file in results
        }
        for file in results:
            moment = file.stem.removeprefix("results_")
            assert without_times(place, f"*_{moment}.json*") == whole, "the record equals that of an uninterrupted run"


def one_seed(folder: Path, seed: int, words: Sequence[str], whole: dict[str, str]) -> None:
    """Run and check one seed."""
    lines = together(folder / str(seed), seed, words)
    check(folder / str(seed), lines, whole)
    print(json.dumps({"seed": seed, "killed": sum(line.killed for line in lines)}), flush=True)


def undisturbed(folder: Path, words: Sequence[str]) -> dict[str, str]:
    """Return the files of an uninterrupted run."""
    os.environ["HARNESS_CACHE_DIR"] = str(folder / "cache")
    (folder / "cache").mkdir(parents=True)
    line = Line(output=folder / "out", moments=[])
    line.start(words, folder / "asked")
    while line.goes_on():
        time.sleep(0.01)
    assert line.codes == [0], (folder / "asked.out").read_text()
    return without_times(folder / "out" / MODEL)


if __name__ == "__main__":
    split = sys.argv.index("--")
    place, command = Path(sys.argv[1]), sys.argv[split + 1 :]
    expected = undisturbed(place / "whole", command)
    for number in map(int, sys.argv[2:split]):
        one_seed(place, number, command, expected)
