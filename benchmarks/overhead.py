"""Measure what an evaluation costs besides its model: processor time and memory, compared with lm-eval.

    python -m benchmarks.overhead [--settings choices linear] [--items 10042] [--requests 1000000] [--rounds 3]

The items are generated: a context of 40 words and four endings of 12, about as long as HellaSwag's. Both sides read the
same task file and write all samples. This harness answers with ``--backend scripted``, lm-eval with its model
``dummy``.

``choices``: as many items as HellaSwag has, first new, then from the journal. ``linear``: up to a million requests,
this harness only. Start-up is subtracted from each figure: it is what the same command takes on one item.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.rows import RESULTS, record, surroundings

OVERHEAD = RESULTS / "overhead.jsonl"
SETTINGS = ("choices", "linear")
CHOICES = 4
SHARES = (0.25, 0.5, 1.0)  # of --requests, to see whether the time is linear
WORDS = (
    *("the", "a", "man", "woman", "child", "dog", "walks", "runs", "opens", "closes", "door", "window", "takes"),
    *("puts", "slowly", "quickly", "and", "then", "into", "over", "with", "water", "bread", "board", "ball", "room"),
)
TASK = """task: made
dataset_path: json
dataset_kwargs: {{data_files: {{validation: {items}}}}}
output_type: multiple_choice
validation_split: validation
doc_to_text: "{{{{query}}}}"
doc_to_target: "{{{{label}}}}"
doc_to_choice: choices
metric_list:
  - {{metric: acc, aggregation: mean, higher_is_better: true}}
  - {{metric: acc_norm, aggregation: mean, higher_is_better: true}}
metadata: {{version: 1.0}}
"""


@dataclass(frozen=True, kw_only=True)
class Spent:
    """What a command took.

    Attributes:
        processor_seconds: Processor time, in user and system mode, of the command and the processes it started.
        peak_bytes: Largest resident memory of one of these processes.
    """

    processor_seconds: float
    peak_bytes: int

    def beyond(self, start: Spent) -> Spent:
        """Return the cost without that of the start-up."""
        return Spent(
            processor_seconds=self.processor_seconds - start.processor_seconds,
            peak_bytes=self.peak_bytes - start.peak_bytes,
        )


def write_task(folder: Path, items: int) -> Path:
    """Write a task with this many items; returns its folder."""
    draw = random.Random(0)
    folder.mkdir(parents=True)
    with (folder / "items.jsonl").open("w", encoding="utf-8") as file:
        for number in range(items):
            texts = [" ".join(draw.choices(WORDS, k=length)) for length in (40, 12, 12, 12, 12)]
            label = str(draw.randrange(CHOICES))
            row = {"ind": number, "query": f"{number}: {texts[0]}", "choices": texts[1:], "label": label}
            file.write(json.dumps(row) + "\n")
    (folder / "made.yaml").write_text(TASK.format(items=folder / "items.jsonl"), encoding="utf-8")
    return folder


class Commands:
    """Runs the measured commands, with separate caches below `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._runs = 0
        self._environment = {
            **os.environ,
            "HF_DATASETS_CACHE": str(folder / "datasets"),
            "HARNESS_CACHE_DIR": str(folder / "cache"),
            "HF_HUB_OFFLINE": "1",
            "TQDM_DISABLE": "1",
        }

    def ours(self, task: Path, *more: str) -> Spent:
        """Evaluate a task with scripted answers."""
        script = ["eval", "--backend", "scripted", "--model", "uniform"]
        return self._run(["-m", "harness", *script, *self._words(task), *more])

    def theirs(self, task: Path) -> Spent:
        """Evaluate a task with lm-eval's dummy model."""
        return self._run(["-m", "lm_eval", "run", "--model", "dummy", "--log_samples", *self._words(task)])

    def _words(self, task: Path) -> list[str]:
        self._runs += 1
        output = str(self._folder / "out" / str(self._runs))
        return ["--tasks", "made", "--include_path", str(task), "--output_path", output]

    def _run(self, words: Sequence[str]) -> Spent:
        with (self._folder / "log").open("w+") as log:
            process = subprocess.Popen([sys.executable, *words], env=self._environment, stdout=log, stderr=log)
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode:
                log.seek(0)
                raise RuntimeError(f"{' '.join(words)}: exit {process.returncode}: {log.read()[-2000:]}")
        return Spent(processor_seconds=usage.ru_utime + usage.ru_stime, peak_bytes=usage.ru_maxrss * 1024)


def choices(folder: Path, items: int, rounds: int) -> dict[str, Any]:
    """Measure both sides in turn: seconds of processor time and bytes of memory beyond start-up."""
    commands = Commands(folder)
    one, many = write_task(folder / "one", 1), write_task(folder / "many", items)
    for task in (one, many):
        commands.ours(task, "--no_cache")  # `datasets` converts the files once, for both sides
    taken: dict[str, list[Spent]] = {"ours": [], "again": [], "theirs": []}
    starts: dict[str, list[Spent]] = {"ours": [], "theirs": []}
    for _ in range(rounds):
        starts["ours"].append(commands.ours(one, "--no_cache"))
        starts["theirs"].append(commands.theirs(one))
        (folder / "cache" / "journal.sqlite").unlink(missing_ok=True)
        taken["ours"].append(commands.ours(many))
        taken["again"].append(commands.ours(many))
        taken["theirs"].append(commands.theirs(many))
    start = {side: _median(values) for side, values in starts.items()}
    spent = {side: _median(values).beyond(start.get(side, start["ours"])) for side, values in taken.items()}
    return {
        "items": items,
        "requests": items * CHOICES,
        "rounds": rounds,
        **_figures("ours", spent["ours"]),
        **_figures("ours_from_journal", spent["again"]),
        **_figures("theirs", spent["theirs"]),
        "ratio": round(spent["theirs"].processor_seconds / spent["ours"].processor_seconds, 2),
        **_figures("ours_start", start["ours"]),
        **_figures("theirs_start", start["theirs"]),
    }


def linear(folder: Path, requests: int) -> list[dict[str, Any]]:
    """Measure our side at growing numbers of requests."""
    commands = Commands(folder)
    one = write_task(folder / "one", 1)
    commands.ours(one, "--no_cache")
    start = commands.ours(one, "--no_cache")
    rows = []
    for share in SHARES:
        items = int(requests * share) // CHOICES
        task = write_task(folder / f"items-{items}", items)
        spent = commands.ours(task).beyond(start)
        each = spent.processor_seconds / (items * CHOICES)
        rows.append({"requests": items * CHOICES, "microseconds_per_request": round(each * 1e6, 1)})
        rows[-1] |= _figures("ours", spent)
    return rows


def _median(runs: Sequence[Spent]) -> Spent:
    return Spent(
        processor_seconds=statistics.median(run.processor_seconds for run in runs),
        peak_bytes=int(statistics.median(run.peak_bytes for run in runs)),
    )


def _figures(name: str, spent: Spent) -> dict[str, float]:
    return {
        f"{name}_processor_seconds": round(spent.processor_seconds, 2),
        f"{name}_megabytes": round(spent.peak_bytes / 1e6),
    }


def main() -> None:
    """Measure the settings and record the rows."""
    rows = "Rows are printed and added to benchmarks/results/overhead.jsonl."
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None, epilog=rows)
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=SETTINGS, help="default: both")
    parser.add_argument(
        "--items", type=int, default=10042, help="items of choices, four requests each (default: 10042)"
    )
    parser.add_argument("--requests", type=int, default=1_000_000, help="largest number for linear (default: 1000000)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of choices; the median is reported (default: 3)")
    options = parser.parse_args()
    for setting in options.settings:
        with tempfile.TemporaryDirectory(prefix="overhead-") as folder:
            place = Path(folder)
            few = [choices(place, options.items, options.rounds)] if setting == "choices" else []
            for figures in few or linear(place, options.requests):
                row = {"benchmark": "overhead", "setting": setting, **figures}
                record({**row, "load_average": round(os.getloadavg()[1], 1), **surroundings()}, OVERHEAD)


if __name__ == "__main__":
    main()
