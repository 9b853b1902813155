"""Control groups: limits on the memory of all processes of a sandbox together, and on their number.

Resource limits (``RLIMIT_AS``, ``RLIMIT_NPROC``) hold for each process separately, and root's processes are not limited
in number at all, so root needs a control group. Both layouts are supported::

    version 1   /proc/self/cgroup "4:memory:/user"   /sys/fs/cgroup/memory/user/harness-sandbox-17-0
    version 2   /proc/self/cgroup "0::/user/app"     /sys/fs/cgroup/user/harness-sandbox-17-0
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
from harness.processes import has_ended
from harness.sandbox.programs import Limits

# A sandbox's own processes: bubblewrap, its first one, the server, an examiner, two that wait beside the program.
OWN_PROCESSES = 6
SPARE_MB = 128  # for them
_ROOT = Path("/sys/fs/cgroup")
_numbers = itertools.count()


@dataclass(frozen=True, slots=True)
class Group:
    """The control group of one sandbox: one folder for each hierarchy."""

    folders: tuple[Path, ...]

    def wrap(self, command: list[str]) -> list[str]:
        """Return a command that joins the group and then becomes `command`."""
        join = 'while [ "$1" != -- ]; do echo $$ > "$1/cgroup.procs" || exit 1; shift; done; shift; exec "$@"'
        return ["/bin/sh", "-c", join, "sh", *map(str, self.folders), "--", *command]

    def remove(self) -> None:
        """Remove the folders, waiting up to a second for the kernel to release the last process."""
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
    """Return the folders in which this process may create groups, by controller (``memory``, ``pids``)."""
    folders: dict[str, Path] = {}
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            for name in ("memory", "pids"):
                folder: Path | None
                if not controllers:  # version 2
                    folder = nearest_delegating(name, path)
                elif name in controllers.split(","):
                    folder = _ROOT / name / path.lstrip("/")
                else:
                    continue
                if folder is not None and _may_create(folder):
                    folders[name] = folder
                    _remove_stale(folder)
    return folders


def nearest_delegating(controller: str, path: str) -> Path | None:
    """Return the nearest version 2 group, from this process's own upwards, whose children have `controller`.

    Usually not the own group: a group that contains processes cannot delegate controllers to children, except the root.
    """
    own = _ROOT / path.lstrip("/")
    above = [folder for folder in (own, *own.parents) if folder.is_relative_to(_ROOT)]
    return next((f for f in above if controller in _words(f / "cgroup.subtree_control") and _may_create(f)), None)


def _words(file: Path) -> list[str]:
    with contextlib.suppress(OSError):
        return file.read_text().split()
    return []


def _remove_stale(parent: Path) -> None:
    """Remove the groups of harness processes that were killed."""
    for folder in parent.glob("harness-sandbox-*"):
        if has_ended(folder.name.split("-")[2]):
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
    """Create a group that holds one sandbox within `limits`; None if this user may not create one."""
    name = f"harness-sandbox-{os.getpid()}-{next(_numbers)}"
    memory = str((limits.memory_mb + limits.file_mb + SPARE_MB) << 20)
    values = {
        "memory": {"memory.max": memory, "memory.limit_in_bytes": memory},
        "pids": {"pids.max": str(limits.processes + OWN_PROCESSES)},
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
                f"cannot create the sandbox's control group {folder} ({error.strerror}); free the memory and pids "
                "controllers there, or run as a user who may not create groups: resource limits then apply instead"
            ) from None
    return Group(tuple(sorted(folders))) if folders else None


def problem() -> str | None:
    """Return why the number of processes cannot be limited here; None if it can."""
    if os.geteuid() == 0 and "pids" not in parents():
        return (
            "resource limits do not apply to root's processes and no control group can be created; run as another user"
        )
    return None
