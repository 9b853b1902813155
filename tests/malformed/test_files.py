"""Damage files of every type, with a fixed seed, and read each with a real command."""

from __future__ import annotations

import random
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.malformed.damage import BROKEN, CHANGED
from tests.malformed.forks import Forks
from tests.malformed.world import TARGETS, Target, build

SECONDS, MEGABYTES = 5, 1024
PER_TARGET, PER_TARGET_IN_CI = 12, 2


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the good files in `world` and an untouched copy in `whole`."""
    home = tmp_path_factory.mktemp("malformed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARNESS_CACHE_DIR", str(home / "world" / "cache"))
        build(home / "world")
    shutil.copytree(home / "world", home / "whole", symlinks=True)
    return home


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    running = Forks()
    yield running
    running.close()


def files(folder: Path) -> set[Path]:
    """Return every file below a folder, except SQLite files and locks."""
    return {path for path in folder.rglob("*") if path.is_file() and not re.search(r"sqlite|\.lock$", path.name)}


def check(target: Target, seed: int, home: Path, forks: Forks) -> None:
    """Damage the file in a fresh copy of the world, and run the command."""
    world, out = home / "world", home / "out"
    shutil.rmtree(world)
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(home / "whole", world, symlinks=True)
    path = [path for path in sorted(world.glob(target.file)) if not path.is_symlink()][-1]
    rng = random.Random(f"{target} {seed}")
    damage = rng.choice(BROKEN[path.suffix] + CHANGED[path.suffix])
    damage(path, rng)
    before = files(world)
    done = forks.run(target.command(world, out), world / "cache")
    what = (damage.__name__, path.read_bytes()[:300], done)
    must_be_refused = damage in BROKEN[path.suffix] and not target.heals
    assert done["code"] in ((2,) if must_be_refused else (0, 1, 2)), what
    assert "Traceback" not in done["err"], what
    assert done["cpu_seconds"] < SECONDS, what  # CPU time, so other load on the machine does not matter
    assert done["megabytes"] < MEGABYTES, what
    if done["code"] == 2:
        lines = done["err"] or done["out"].split("\n", 1)[0] + "\n"  # `tasks validate` prints what it finds
        assert lines.count("\n") == 1, what
        # A value of the right form may contradict another file: then it is enough to name the task.
        names = [path.name, str(path.parent), *([] if must_be_refused else ["t_", "--output_path"])]
        assert any(name in lines for name in names), what
        assert not files(out), what
        assert files(world) == before, what


def cases(start: int, end: int) -> list[object]:
    return [
        pytest.param(target, seed, id=f"{number}-{target.file.replace('/', '-')}-{seed}")
        for number, target in enumerate(TARGETS)
        for seed in range(start, end)
    ]


@pytest.mark.parametrize(("target", "seed"), cases(0, PER_TARGET_IN_CI))
def test_a_malformed_file_is_named_in_one_line(target: Target, seed: int, home: Path, forks: Forks) -> None:
    check(target, seed, home, forks)


@pytest.mark.slow  # reduced twin: the test above
@pytest.mark.parametrize(("target", "seed"), cases(PER_TARGET_IN_CI, PER_TARGET))
def test_many_more_malformed_files_are_named_in_one_line(target: Target, seed: int, home: Path, forks: Forks) -> None:
    check(target, seed, home, forks)
