"""System calls that Python has no function for. Each raises OSError, as Python's own do."""

from __future__ import annotations

import ctypes
import os
import signal
import struct

CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x20000, 0x10000000, 0x20000000, 0x40000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_BIND = 1, 2, 4, 8, 32, 4096
MS_REC, MS_PRIVATE = 1 << 14, 1 << 18
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 4, 22, 36, 38
_SECCOMP_MODE_FILTER = 2
_CAPABILITY_VERSION = 0x20080522
_ioprio_get = {"x86_64": 252, "aarch64": 31}.get(os.uname().machine)
_rt_sigaction = {"x86_64": 13, "aarch64": 134}.get(os.uname().machine)
_IOPRIO_WHO_PROCESS = 1
_CLONE_VM, _CLONE_FS, _CLONE_FILES = 0x100, 0x200, 0x400
_STACK_BYTES = 1 << 14
# A stack for all processes that wait: none of them ever returns to our code, and none reads what is on it.
_waiting_stack = ctypes.create_string_buffer(_STACK_BYTES)
_libc = ctypes.CDLL(None, use_errno=True)
# Looked up once, here: in each fork, a look-up would write to memory that the processes share until then.
_unshare, _setns, _mount, _prctl, _capset, _clone, _syscall = (
    getattr(_libc, name) for name in ("unshare", "setns", "mount", "prctl", "capset", "clone", "syscall")
)


class _FilterProgram(ctypes.Structure):  # struct sock_fprog
    _fields_ = (("length", ctypes.c_ushort), ("steps", ctypes.c_char_p))


def _checked(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def unshare(flags: int) -> None:
    """Leave namespaces; of process namespaces, only children leave."""
    _checked(_unshare(flags), "unshare")


def clone_waiting() -> int:
    """Start a process that only waits until it is killed; returns its pid.

    It shares this process's memory and descriptors, so that nothing is copied, and runs one function of the C library
    on another stack: ``pause``.
    """
    pause = ctypes.cast(_libc.pause, ctypes.c_void_p)
    top = ctypes.c_void_p(ctypes.addressof(_waiting_stack) + _STACK_BYTES - 64)
    flags = _CLONE_VM | _CLONE_FS | _CLONE_FILES | signal.SIGCHLD
    return _checked(_clone(pause, top, flags, None), "clone")


def setns(descriptor: int, kind: int) -> None:
    """Enter the namespace that `descriptor` refers to."""
    _checked(_setns(descriptor, kind), "setns")


def mount(source: str, target: str, kind: str | None, flags: int, options: str | None = None) -> None:
    """Mount `source` on `target`."""
    words = [word.encode() if word is not None else None for word in (source, target, kind, options)]
    _checked(_mount(words[0], words[1], words[2], ctypes.c_ulong(flags), words[3]), f"mount {target}")


def prctl(option: int, value: int) -> None:
    """Change a property of this process."""
    _checked(_prctl(option, ctypes.c_ulong(value), 0, 0, 0), f"prctl {option}")


def default_signal(number: int) -> None:
    """Give a signal its default action, also one that the C library keeps for itself (32, 33) and refuses to change."""
    if _rt_sigaction is not None:
        nothing = bytes(32)  # struct sigaction of the kernel: no handler, no flags, no mask
        _checked(_syscall(_rt_sigaction, number, nothing, None, 8), f"signal {number}")


def drop_capabilities() -> None:
    """Give up all capabilities for good: with no new privileges, no program that is started can bring any back."""
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    header, nothing = struct.pack("=Ii", _CAPABILITY_VERSION, 0), bytes(24)
    _checked(_capset(header, nothing), "capset")


def install_filter(program: bytes) -> None:
    """Filter the system calls of this process and its children from now on; see `seccomp`."""
    steps = _FilterProgram(len(program) // 8, program)
    _checked(_prctl(PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(steps), 0, 0), "seccomp")


def io_priority(pid: int) -> int:
    """Return a process's class and level of input and output, as ioprio_get(2) does; 0 on other processors."""
    return 0 if _ioprio_get is None else int(_syscall(_ioprio_get, _IOPRIO_WHO_PROCESS, pid))
