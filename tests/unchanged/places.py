"""Where the runs are made, and with which environment.

Records, manifests and adapters hold absolute paths, and digests of adapters depend on them. So every set of runs is
made at one fixed place and moved to its folder afterwards; a lock keeps two makers apart.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WORK = Path(tempfile.gettempdir()) / "harness-unchanged"
METADATA = WORK / "metadata"
LIMIT_SECONDS = 600


@contextmanager
def fixed_place() -> Iterator[Path]:
    """Give the empty folder `WORK` to one process at a time."""
    with WORK.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        shutil.rmtree(WORK, ignore_errors=True)
        WORK.mkdir()
        write_metadata(METADATA)
        yield WORK


def write_metadata(folder: Path) -> None:
    """Write what installing this checkout would: its entry points, which come before those of what is installed.

    So the code of two checkouts runs in one environment, whichever of them is installed there.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines: list[str] = []
    for group, points in project["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {place}" for name, place in points.items())]
    info = folder / f"stage_harness-{project['version']}.dist-info"
    info.mkdir(parents=True)
    header = ["Metadata-Version: 2.1", f"Name: {project['name']}", f"Version: {project['version']}"]
    (info / "METADATA").write_text("\n".join(header) + "\n", encoding="utf-8")
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def environment() -> dict[str, str]:
    """One thread, fixed hashes, no network, no data folder: what is needed for runs that repeat bit for bit."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("HARNESS_")}
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    return {
        **kept,
        **threads,
        "COLUMNS": "120",
        "HARNESS_CACHE_DIR": str(WORK / "cache"),
        "HF_DATASETS_CACHE": str(WORK / "datasets"),
        "HF_HUB_OFFLINE": "1",
        "NO_COLOR": "1",
        "PYTHONHASHSEED": "0",
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(METADATA)]),
        "TOKENIZERS_PARALLELISM": "false",
    }


def link_downloads(cache: Path) -> None:
    """Link what the user's cache already holds, so that nothing large is fetched or converted twice."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    mine = Path(os.environ.get("HARNESS_CACHE_DIR") or base / "stage-harness")
    cache.mkdir(parents=True, exist_ok=True)
    for part in ("downloads", "models"):
        (mine / part).mkdir(parents=True, exist_ok=True)
        (cache / part).symlink_to((mine / part).resolve())


def harness(words: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run one command of the harness in `WORK`, which is a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "harness", *words],
        cwd=WORK,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )
