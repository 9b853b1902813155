"""A control group for each worker, where this user may make one: all its processes' memory together, and their number.

Resource limits count each process for itself and do not bind the number of root's processes at all, so root needs a
group. Both layouts are known: version 2, where the controllers are enabled below our own group, and version 1.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import time
from dataclasses import dataclass
from pathlib import Path

from harness.errors import InputError
from harness.sandbox.programs import Limits

SPARE_MB = 128  # for the server and the tests' process
_ROOT = Path("/sys/fs/cgroup")
_numbers = itertools.count()


@dataclass(frozen=True, slots=True)
class Group:
    """One worker's control group: a folder for each hierarchy."""

    folders: tuple[Path, ...]

    def wrap(self, command: list[str]) -> list[str]:
        """Wrap `command` so that it joins the group before it starts."""
        join = 'while [ "$1" != -- ]; do echo $$ > "$1/cgroup.procs" || exit 1; shift; done; shift; exec "$@"'
        return ["/bin/sh", "-c", join, "sh", *map(str, self.folders), "--", *command]

    def remove(self) -> None:
        """Remove the folders as soon as the kernel lets go of the last process."""
        for folder in self.folders:
            for _ in range(100):
                try:
                    folder.rmdir()
                    break
                except FileNotFoundError:
                    break
                except OSError:
                    time.sleep(0.01)


@functools.cache
def parents() -> dict[str, Path]:
    """Folders in which this process may make groups, by controller (``memory``, ``pids``)."""
    folders: dict[str, Path] = {}
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, names, path = line.split(":", 2)
            for name in ("memory", "pids"):
                is_version_1 = name in names.split(",")
                folder = (
                    _ROOT / name / path.lstrip("/")
                    if is_version_1
                    else None
                    if names
                    else nearest_delegating(name, path)
                )
                if folder is not None and _may_create(folder):
                    folders[name] = folder
                    _remove_stale(folder)
    return folders


def nearest_delegating(controller: str, path: str) -> Path | None:
    """The nearest group of the second version, from this process's own upwards, whose children have the controller.

    It is not its own: a group that holds processes can hand no controller on, the root aside.
    """
    own = _ROOT / path.lstrip("/")
    above = [folder for folder in (own, *own.parents) if folder.is_relative_to(_ROOT)]
    return next((f for f in above if controller in _words(f / "cgroup.subtree_control") and _may_create(f)), None)


def _words(file: Path) -> list[str]:
    with contextlib.suppress(OSError):
        return file.read_text().split()
    return []


def _remove_stale(parent: Path) -> None:
    """Remove what a killed harness could not."""
    for folder in parent.glob("harness-sandbox-*"):
        if not Path(f"/proc/{folder.name.split('-')[2]}").exists():
            with contextlib.suppress(OSError):
                folder.rmdir()


def _may_create(folder: Path) -> bool:
    probe = folder / f"harness-probe-{os.getpid()}"
    try:
        probe.mkdir()
        probe.rmdir()
    except OSError:
        return False
    return True


def create(limits: Limits) -> Group | None:
    """Make a group that holds one worker within `limits`; None where this user may not."""
    name = f"harness-sandbox-{os.getpid()}-{next(_numbers)}"
    memory = str((limits.memory_mb + limits.file_mb + SPARE_MB) << 20)
    # The examiner, the keeper and bubblewrap's outer process.
    values = {
        "memory": {"memory.max": memory, "memory.limit_in_bytes": memory},
        "pids": {"pids.max": str(limits.processes + 3)},
    }
    folders: set[Path] = set()
    for controller, parent in parents().items():
        folder = parent / name
        try:
            folder.mkdir(exist_ok=True)
            folders.add(folder)
            for file, value in values[controller].items():
                if (folder / file).exists():
                    (folder / file).write_text(value)
        except OSError as error:
            raise InputError(
                f"the sandbox's control group {folder} cannot be made ({error.strerror}); free the controllers there, "
                "or run as a user who has none, whom resource limits bind."
            ) from None
    return Group(tuple(sorted(folders))) if folders else None


def problem() -> str | None:
    """Why the number of processes cannot be limited here; None when it can."""
    if os.geteuid() == 0 and "pids" not in parents():
        return "root's processes are not bound by resource limits and no control group may be made; use another user"
    return None
