"""What the C library does with memory that tensors give back; on a CPU every activation comes from it."""

from __future__ import annotations

import ctypes

# glibc's malloc.h
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
NEVER = 2**31 - 1


def keep_freed_memory() -> None:
    """Let glibc keep what is freed for the next tensors, instead of giving it back to the kernel each time.

    By default it maps each large tensor anew, and the kernel clears every page of it again: about a tenth of the time
    of a forward pass. Another C library is left as it is.
    """
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    mallopt(M_MMAP_MAX, 0)
    mallopt(M_TRIM_THRESHOLD, NEVER)
