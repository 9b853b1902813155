"""Make the fixed set of runs and its snapshot: ``python -m tests.unchanged.make DIR``."""

from __future__ import annotations

import argparse
import json
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.unchanged import plan
from tests.unchanged.inputs import write_inputs
from tests.unchanged.places import ROOT, fixed_place, harness, link_downloads


def run_all(work: Path, runs: Mapping[str, Sequence[str]]) -> None:
    """Run the commands in order; what each printed and its exit code go to ``commands.json``."""
    (work / "out" / "reports").mkdir(parents=True)
    printed: dict[str, dict[str, object]] = {}
    made = {"root": str(ROOT), "commands": printed}
    for name, words in runs.items():
        began = time.monotonic()
        done = harness(words)
        printed[name] = {"words": list(words), "exit": done.returncode, "out": done.stdout, "err": done.stderr}
        print(f"{name}: exit {done.returncode}, {time.monotonic() - began:.1f} s", flush=True)
        (work / "commands.json").write_text(json.dumps(made, indent=1, ensure_ascii=False), encoding="utf-8")


def main() -> None:
    """Make all runs in a folder that does not exist yet."""
    parser = argparse.ArgumentParser(prog="python -m tests.unchanged.make", description=__doc__)
    parser.add_argument("folder", type=Path, metavar="DIR", help="a folder that does not exist yet")
    parser.add_argument("--only", default="", metavar="WORD", help="only runs whose name begins so, to try the maker")
    args = parser.parse_args()
    if args.folder.exists():
        parser.error(f"{args.folder} exists; give another folder")
    runs = {name: words for name, words in plan.everything().items() if name.startswith(args.only)}
    with fixed_place() as work:
        link_downloads(work / "cache")
        write_inputs(work)
        run_all(work, runs)
        shutil.move(work, args.folder)
    print(f"written: {args.folder}")


if __name__ == "__main__":
    main()
