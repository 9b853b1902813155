"""Memory that is freed but still held by the C library."""

from __future__ import annotations

import contextlib
import ctypes


def return_freed_memory() -> None:
    """Return memory that this process has freed to the system.

    glibc keeps it until it is told to return it (malloc_trim(3)). Imports of torch and transformers leave 30 MB, and
    replaced weights of a model leave its size. Without this function, nothing happens.
    """
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
