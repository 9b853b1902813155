"""A filter that denies system calls no program needs: tracing, keyrings, kernel interfaces, System V objects.

It adds to the protection of the namespaces. Calls that need a privilege are not listed: nothing in the sandbox has one.
"""

from __future__ import annotations

import errno
import os
import platform
import struct

# Numbers of (x86_64, aarch64), from the kernel's system call tables.
_AUDIT_ARCH = (0xC000003E, 0xC00000B7)
_DENIED = {
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "kcmp": (312, 272),
    "pidfd_getfd": (438, 438),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "unshare": (272, 97),
    "setns": (308, 268),
    "shmget": (29, 194),
    "msgget": (68, 186),
    "semget": (64, 190),
    "mq_open": (240, 180),
}
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06  # classic BPF: ld abs, jeq, jge, ret
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_NUMBER_OFFSET, _ARCH_OFFSET = 0, 4  # in struct seccomp_data
_X32 = 0x40000000  # calls of x86_64's second table have this bit; without a check they would bypass the list


def program() -> bytes | None:
    """Return the filter for bubblewrap, an array of ``struct sock_filter``; None on an unknown architecture."""
    machines = ("x86_64", "aarch64")
    if platform.machine() not in machines:
        return None
    column = machines.index(platform.machine())
    numbers = [pair[column] for pair in _DENIED.values()]
    # Each step is (operation, steps to skip if true, steps to skip if false, value). With two denied calls:
    #     0 load architecture   1 equal? to 3   2 kill   3 load number   4 >= X32? to 8
    #     5 equal to first? to 8   6 equal to second? to 8   7 allow   8 return EPERM
    steps = [
        (_LOAD, 0, 0, _ARCH_OFFSET),
        (_EQUAL, 1, 0, _AUDIT_ARCH[column]),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER_OFFSET),
        (_AT_LEAST, len(numbers) + 1, 0, _X32),
        *((_EQUAL, len(numbers) - place, 0, number) for place, number in enumerate(numbers)),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _ERRNO | errno.EPERM),
    ]
    return b"".join(struct.pack("=HBBI", *step) for step in steps)


def descriptor() -> int | None:
    """Return a file descriptor from which the filter can be read once; None on an unknown architecture."""
    filter_bytes = program()
    if filter_bytes is None:
        return None
    reader, writer = os.pipe()
    os.write(writer, filter_bytes)
    os.close(writer)
    return reader
