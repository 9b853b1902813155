"""Memory that is freed but still held by the C library."""

from __future__ import annotations

import contextlib
import ctypes


def give_back() -> None:
    """Give memory that this process has freed back to the system.

    glibc keeps it until it is told to return it (malloc_trim(3)). Imports of torch and transformers leave 30 MB, and
    replaced weights of a model leave its size. Other C libraries do not have this function; nothing happens there.
    """
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)
