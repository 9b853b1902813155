"""Whether a process of this machine still runs."""

from __future__ import annotations

import os
from pathlib import Path


def has_ended(pid: str) -> bool:
    """Whether there is no such process, or only a zombie: it has ended, but its parent has not waited for it.

    Reads Linux's ``/proc``; without it, every process counts as ended.
    """
    try:
        # `4711 (python -m x) S 1 ...`: the state follows the name, which may hold spaces and brackets.
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except PermissionError:  # a process of another user, where /proc is mounted with hidepid=1
        return False
    except (FileNotFoundError, ProcessLookupError):
        return not _is_hidden(pid)
    return text.rpartition(")")[2].split()[0] in ("Z", "X")


def _is_hidden(pid: str) -> bool:
    """Whether a process that ``/proc`` does not show is one of another user, hidden by hidepid=2."""
    if not Path("/proc/self").exists():
        return False
    try:
        os.kill(int(pid), 0)  # sends nothing
    except PermissionError:
        return True
    except (ProcessLookupError, ValueError, OverflowError):
        return False
    return True
