"""A filter that denies system calls no program needs: tracing, keyrings, kernel interfaces, odd sockets, leases.

It adds to the protection of the namespaces. Calls that need a privilege are not listed: no program has one.
"""

from __future__ import annotations

import errno
import platform
import struct
from collections.abc import Iterator

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
    "fanotify_init": (300, 262),
}
_LOCKS = {"flock": (73, 32)}
_CLONE3 = (435, 435)
_CLONE = (56, 220)
_FCNTL = (72, 25)
_SOCKETS = {"socket": (41, 198), "socketpair": (53, 199)}
_FAMILIES = (1, 2, 10)  # AF_UNIX, AF_INET, AF_INET6
# Calls that name a process in their first or second argument: only 0, the caller itself, is allowed.
_OWN_ONLY = {
    "prlimit64": ((302, 261), 0),
    "sched_setparam": ((142, 118), 0),
    "sched_setscheduler": ((144, 119), 0),
    "sched_setaffinity": ((203, 122), 0),
    "sched_setattr": ((314, 274), 0),
    "setpriority": ((141, 140), 1),
    "ioprio_set": ((251, 30), 1),
}
# First arguments of the last two: who they change. PRIO_PROCESS is 0 there and 1 here; others name groups and users.
_WHICH = {"setpriority": 0, "ioprio_set": 1}
_CLONE_NAMESPACES = 0x7E020000  # CLONE_NEW*: CGROUP, UTS, IPC, USER, PID and NET; NS
_F_SETLK, _F_SETLKW, _F_OFD_SETLK, _F_OFD_SETLKW, _F_SETLEASE, _F_NOTIFY = 6, 7, 37, 38, 1024, 1026

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06  # classic BPF: ld abs, jeq, jge, jset, ret
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_NUMBER_OFFSET, _ARCH_OFFSET, _ARGUMENTS_OFFSET = 0, 4, 16  # in struct seccomp_data; arguments have 8 bytes each
_X32 = 0x40000000  # calls of x86_64's second table have this bit; without a check they would bypass the list
_DENY = (_RETURN, 0, 0, _ERRNO | errno.EPERM)
Step = tuple[int, int, int, int]


def _argument(index: int) -> Step:
    """Load the low half of an argument; all those checked here are 32 bits wide in the kernel."""
    return (_LOAD, 0, 0, _ARGUMENTS_OFFSET + 8 * index)


def _only_if_one_of(number: int, index: int, allowed: tuple[int, ...]) -> list[Step]:
    """Deny the call `number` unless its argument `index` is one of `allowed`.

    For ``socket`` (41 on x86_64) and the families 1, 2 and 10; each step is (operation, steps to skip if true, steps to
    skip if false, value), and the number of the call is loaded before and after::

        equal to 41? else skip all   load argument 0   1? to ALLOW   2? to ALLOW   10? to ALLOW   DENY   ALLOW
    """
    checks: list[Step] = [(_EQUAL, len(allowed) - place, 0, value) for place, value in enumerate(allowed)]
    return _if_number(number, [_argument(index), *checks, _DENY])


def _unless_one_of(number: int, index: int, denied: tuple[int, ...]) -> list[Step]:
    """Deny the call `number` if its argument `index` is one of `denied`."""
    checks: list[Step] = [(_EQUAL, len(denied) - place, 0, value) for place, value in enumerate(denied)]
    allow: Step = (_RETURN, 0, 0, _ALLOW)
    # The check at `place` jumps over the later checks and over `allow`.
    return [(_EQUAL, 0, len(checks) + 3, number), _argument(index), *checks, allow, _DENY]


def _if_number(number: int, steps: list[Step]) -> list[Step]:
    """Run `steps`, then allow, if the call is `number`; otherwise skip them."""
    return [(_EQUAL, 0, len(steps) + 1, number), *steps, (_RETURN, 0, 0, _ALLOW)]


def _rules(column: int, locks: bool) -> Iterator[Step]:
    """Yield the steps for each call; the number of the call is loaded when a rule begins."""
    denied = _DENIED if locks else _DENIED | _LOCKS
    for pair in denied.values():
        yield from [(_EQUAL, 0, 1, pair[column]), _DENY]
    # clone3 takes its flags from memory, which a filter cannot read; the C library then uses clone.
    yield from [(_EQUAL, 0, 1, _CLONE3[column]), (_RETURN, 0, 0, _ERRNO | errno.ENOSYS)]
    yield from _if_number(_CLONE[column], [_argument(0), (_ANY_BIT, 0, 1, _CLONE_NAMESPACES), _DENY])
    file_locks = () if locks else (_F_SETLK, _F_SETLKW, _F_OFD_SETLK, _F_OFD_SETLKW)
    yield from _unless_one_of(_FCNTL[column], 1, (_F_SETLEASE, _F_NOTIFY, *file_locks))
    for pair in _SOCKETS.values():
        yield from _only_if_one_of(pair[column], 0, _FAMILIES)
    for name, (pair, index) in _OWN_ONLY.items():
        if name in _WHICH:  # both arguments must fit
            which: list[Step] = [_argument(0), (_EQUAL, 1, 0, _WHICH[name]), _DENY]
            yield from _if_number(pair[column], [*which, _argument(index), (_EQUAL, 1, 0, 0), _DENY])
        else:
            yield from _only_if_one_of(pair[column], index, (0,))


def program(locks: bool = True) -> bytes | None:
    """Return the filter, an array of ``struct sock_filter``; None on an unknown architecture.

    Args:
        locks: Whether programs may lock files. If not, a lock on a library's file would be seen outside the sandbox.
    """
    machines = ("x86_64", "aarch64")
    if platform.machine() not in machines:
        return None
    column = machines.index(platform.machine())
    steps: list[Step] = [
        (_LOAD, 0, 0, _ARCH_OFFSET),
        (_EQUAL, 1, 0, _AUDIT_ARCH[column]),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER_OFFSET),
        (_AT_LEAST, 0, 1, _X32),
        _DENY,
        *_rules(column, locks),
        (_RETURN, 0, 0, _ALLOW),
    ]
    return b"".join(struct.pack("=HBBI", *step) for step in steps)
