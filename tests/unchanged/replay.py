"""Check that an old journal still answers everything: ``python -m tests.unchanged.replay DIR``.

The evaluations of models that made DIR are run again with the code of this checkout, on a copy of DIR's journal. Each
must take every answer from it: a changed key, engine version or digest of a checkpoint shows here.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path
from typing import Any

from tests.unchanged import plan
from tests.unchanged.places import fixed_place, harness


def replay(work: Path) -> list[str]:
    """Run the evaluations anew in a copy of a made folder; returns a line for each that asked an engine."""
    faults: list[str] = []
    for name, words in (plan.engine_runs("replayed") | plan.trained_runs("replayed")).items():
        done = harness(words)
        records = [json.loads(p.read_text("utf-8")) for p in Path(work, words[-1]).rglob("run_*.json")]
        problem = problem_of(records) if records else done.stderr.strip() or "no record"
        known = sum(record["from_journal"] for record in records)
        print(f"{name}: {problem or f'{known} answers from the journal'}", flush=True)
        faults += [f"{name}: {problem}"] if problem else []
    return faults


def problem_of(records: list[dict[str, Any]]) -> str:
    """Return which models an engine was opened for; nothing when the journal answered everything."""
    asked = [record["model"]["name"] for record in records if record["engine"] is not None]
    return f"an engine was asked for {', '.join(asked)}" if asked else ""


def main() -> int:
    """Replay; 1 when an engine was asked."""
    parser = argparse.ArgumentParser(prog="python -m tests.unchanged.replay", description=__doc__)
    parser.add_argument("folder", type=Path, metavar="DIR", help="a folder that tests.unchanged.make wrote")
    folder: Path = parser.parse_args().folder
    with fixed_place() as work:
        shutil.copytree(folder, work, symlinks=True, dirs_exist_ok=True, ignore=shutil.ignore_patterns("metadata"))
        faults = replay(work)
    print(f"{len(faults)} evaluations asked an engine" if faults else "the journal answered everything")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
