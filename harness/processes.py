"""Whether a process of this machine, known by its number, still runs."""

from __future__ import annotations

from pathlib import Path


def has_ended(number: str) -> bool:
    """Whether there is no such process, or one that was killed and stays listed until its parent asks after it.

    Reads Linux's ``/proc``; without it, every process counts as ended.
    """
    try:
        # `4711 (python -m x) S 1 ...`: the state follows the name, which may hold spaces and brackets.
        text = Path(f"/proc/{number}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return True
    return text.rpartition(")")[2].split()[0] in ("Z", "X")
