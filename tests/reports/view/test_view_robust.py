"""What the viewer writes and where: the index in the cache, nothing into the records, and nothing half done."""

from __future__ import annotations

import hashlib
import resource
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.errors import HarnessError
from harness.reports.view.export import FORMATS, exported
from harness.reports.view.filters import Filter
from tests.conftest import ROOT
from tests.reports.view.records import pages_of, write_all

BOTH = Filter(models=("base", "code"))
KILLED = """
import os, signal, sys
from pathlib import Path
from harness.reports.view import preparing
from tests.reports.view.records import pages_of
building = preparing.build
preparing.build = lambda *words, **flags: (building(*words, **flags), os.kill(os.getpid(), signal.SIGKILL))
pages_of(Path(sys.argv[1]))
"""


def snapshot(folder: Path) -> dict[str, tuple[int, int, str]]:
    """Mode, time of change and digest of every file and folder."""
    return {
        str(path.relative_to(folder)): (
            path.stat().st_mode,
            path.stat().st_mtime_ns,
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "",
        )
        for path in [folder, *folder.rglob("*")]
    }


def files(cache: Path) -> list[str]:
    return sorted(path.suffix or path.name[:10] for path in (cache / "view").iterdir())


def test_nothing_is_written_into_the_records(own_cache: Path, tmp_path: Path) -> None:
    folder = write_all(tmp_path / "records")
    before = snapshot(folder)
    pages = pages_of(folder)
    pages.overview(), pages.comparison(BOTH, chosen=True), pages.items(BOTH)
    for item in pages.index.items(range(pages.index.count)):
        pages.item(item, BOTH)
    for kind in FORMATS:
        assert "".join(exported(pages.index, pages.details, BOTH, kind))
    assert snapshot(folder) == before


def test_the_index_is_for_its_user_only(own_cache: Path, tmp_path: Path) -> None:
    """It holds the words of prompts and answers."""
    pages_of(write_all(tmp_path / "records"))
    folder = own_cache / "view"
    (file,) = folder.iterdir()
    assert [stat.S_IMODE(path.stat().st_mode) for path in (folder, file)] == [0o700, 0o600]


def test_two_viewers_that_start_together_leave_one_index(own_cache: Path, tmp_path: Path) -> None:
    folder = write_all(tmp_path / "records")
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(pages_of, [folder, folder]))
    assert [pages.index.count for pages in both] == [20, 20]
    assert files(own_cache) == [".sqlite"]


def test_a_start_that_is_killed_leaves_nothing_that_is_used(own_cache: Path, tmp_path: Path) -> None:
    folder = write_all(tmp_path / "records")
    killed = subprocess.run([sys.executable, "-c", KILLED, folder], cwd=ROOT, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert files(own_cache) == [".building-"]
    assert pages_of(folder).index.count == 20
    assert files(own_cache) == [".building-", ".sqlite"], (
        "another viewer might still be writing it; a day later it goes"
    )


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Let no file grow beyond `size` bytes, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("size", [0, 4096, 30_000])
def test_on_a_full_disk_one_line_says_what_to_do_and_nothing_is_left(
    own_cache: Path, tmp_path: Path, size: int
) -> None:
    folder = write_all(tmp_path / "records")
    with largest_file(size), pytest.raises(HarnessError, match=r"the index cannot be written.*free disk space"):
        pages_of(folder)
    assert files(own_cache) == []
    assert pages_of(folder).index.count == 20
