"""Run a study repeatedly, end the runner with SIGKILL at random moments, and let the last run finish.

    python -m tests.study.kill_study SITE KILLS SEED LONGEST_SECONDS -- run experiment.yaml --output_path out

See `tests.killing`; SITE holds the distribution of `tests.study.package`.
"""

from __future__ import annotations

import json
import os
import sys
from importlib import import_module
from pathlib import Path

from harness.console import quiet_libraries
from tests.killing import repeat
from tests.study.forks import USED

if __name__ == "__main__":
    quiet_libraries()
    sys.path.insert(0, sys.argv[1])
    for module in USED:
        import_module(module)
    print(json.dumps(repeat(sys.argv[2:], Path(os.environ["HARNESS_CACHE_DIR"]).with_suffix(".out"))))
