"""An evaluation in somebody's process leaves that process as it was, and prints nothing there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from harness.console import SETTINGS

SCRIPT = """
import logging, os, sys
import tqdm
import tqdm.auto

import harness

before = dict(os.environ), logging.getLogger("lm_eval").level, logging.getLogger().handlers[:]
harness.evaluate(model="oracle", backend="scripted", tasks="mini_logic", limit=5, output_path="out")
harness.load("out")
after = dict(os.environ), logging.getLogger("lm_eval").level, logging.getLogger().handlers[:]
changed = {name for name in before[0].keys() | after[0].keys() if before[0].get(name) != after[0].get(name)}
print(sorted(name for name in changed if not name.startswith("HF_")), before[1:] == after[1:])
print(sum(1 for _ in tqdm.tqdm(range(3), file=sys.stdout, desc="own bar")))
"""


def test_a_notebook_keeps_its_variables_its_loggers_and_its_bars(tmp_path: Path) -> None:
    kept = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**kept, "HARNESS_CACHE_DIR": str(tmp_path / "cache")},
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    first, *bar, last = done.stdout.strip().split("\n")
    assert first == "[] True"
    assert "own bar" in "".join(bar)
    assert last.endswith("3")
