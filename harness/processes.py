"""Whether a process of this machine still runs."""

from __future__ import annotations

from pathlib import Path


def has_ended(pid: str) -> bool:
    """Whether there is no such process, or only a zombie: it has ended, but its parent has not waited for it.

    Reads Linux's ``/proc``; without it, every process counts as ended. One that this user may not see still runs.
    """
    try:
        # `4711 (python -m x) S 1 ...`: the state follows the name, which may hold spaces and brackets.
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return True
    except PermissionError:  # /proc is mounted with hidepid
        return False
    return text.rpartition(")")[2].split()[0] in ("Z", "X")
