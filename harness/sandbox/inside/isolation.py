"""What separates a program from the server and from every other program: namespaces, mounts, no privileges.

With bubblewrap, each program gets a process namespace, a user namespace and empty folders::

    server (process 1 of the sandbox)
      ├── examiner                    invisible to the program
      └── process namespace:   1, 2   processes that only wait; the namespace ends with process 1
                                  3   the solution, without capabilities, with its own /proc, /tmp and /dev/shm

Elsewhere, it gets a process namespace and a user namespace if the kernel allows them.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

from . import kernel

SCRATCH, SHARED_MEMORY = "/tmp", "/dev/shm"  # noqa: S108 - mounted afresh for each program
FIRST_PID = 3
_FLAGS = {"nosuid": kernel.MS_NOSUID, "nodev": kernel.MS_NODEV, "noexec": kernel.MS_NOEXEC}
_SIOCSIFFLAGS, _IFF_UP_RUNNING = 0x8914, 0x41
MAX_DESCRIPTORS = 256  # of the server


def map_own_ids(proc: int, uid: int, gid: int) -> None:
    """Map a user and a group to themselves, in the user namespace that this process has just entered.

    Args:
        proc: Descriptor of a writable /proc.
        uid: The user's number outside.
        gid: The group's number outside.
    """
    kernel.prctl(kernel.PR_SET_DUMPABLE, 1)  # otherwise the files below belong to root
    for name, text in (("setgroups", "deny"), ("gid_map", f"{gid} {gid} 1"), ("uid_map", f"{uid} {uid} 1")):
        write_file(proc, f"self/{name}", text)


def write_file(folder: int, name: str, text: str) -> None:
    """Write to a file of the kernel below the open folder `folder`."""
    file = os.open(name, os.O_WRONLY | os.O_CLOEXEC, dir_fd=folder)
    try:
        os.write(file, text.encode())
    finally:
        os.close(file)


def read_file(folder: int, name: str) -> str:
    """Read a file of the kernel below the open folder `folder`, in one call."""
    file = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=folder)
    try:
        return os.read(file, 1 << 16).decode()
    finally:
        os.close(file)


def make_read_only() -> None:
    """Make every mount read-only except /proc, which programs see through another mount.

    Device files in particular: a sandbox that root has started could change the modes of the host's devices.
    """
    # 36 35 98:0 /null /dev/null rw,nosuid,relatime master:1 - devtmpfs dev rw
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        _, _, _, _, target, options, *_ = line.split(" ")
        if not target.startswith("/proc"):
            flags = sum(_FLAGS.get(option, 0) for option in options.split(","))
            # A space is written as \040; other characters stand there in UTF-8.
            target = target.encode().decode("unicode_escape").encode("latin-1").decode()
            with contextlib.suppress(FileNotFoundError):  # another mount lies over it, so programs cannot reach it
                kernel.mount("none", target, None, flags | kernel.MS_REMOUNT | kernel.MS_BIND | kernel.MS_RDONLY)


def raise_loopback() -> None:
    """Turn on the loopback device of a new network namespace."""
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", _IFF_UP_RUNNING))


def sockets_left(proc: int) -> str:
    """Return what the network namespace still holds, such as ``TCP tw 1``; empty if there are no sockets.

    A closed connection keeps its port for a minute ("time wait"), and no other program can listen there meanwhile.

    Args:
        proc: Descriptor of a /proc.
    """
    left = []
    for name in ("sockstat", "sockstat6"):
        with contextlib.suppress(FileNotFoundError):  # a kernel without the protocol
            # TCP: inuse 0 orphan 0 tw 1 alloc 3 mem 0        `orphan`, `alloc` and `mem` count the whole machine's
            for line in read_file(proc, f"self/net/{name}").splitlines():
                protocol, *words = line.split()
                counts = dict(zip(words[::2], words[1::2], strict=True))
                left += [
                    f"{protocol[:-1]} {key} {counts[key]}" for key in ("inuse", "tw") if counts.get(key, "0") > "0"
                ]
    return ", ".join(left)


class Isolation:
    """Makes the namespaces of one program after another. The server's own namespaces stay as they are."""

    def __init__(self, mounts: bool, namespaces: bool) -> None:
        """Look at the server's namespaces.

        Args:
            mounts: Whether programs get folders and a network of their own, as in bubblewrap's sandbox.
            namespaces: Whether the server has a process and a user namespace, in which it may make others.
        """
        self.mounts = mounts
        self.proc = os.open("/proc", os.O_PATH | os.O_CLOEXEC)
        self.uid, self.gid = os.geteuid(), os.getegid()
        self.own_processes = self._open_namespace("pid") if namespaces else None
        self.own_mounts = self._open_namespace("mnt") if mounts else None

    def _open_namespace(self, kind: str) -> int:
        return os.open(f"self/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC, dir_fd=self.proc)

    @property
    def alone(self) -> bool:
        """Whether each program gets its own process namespace and user namespace."""
        return self.own_processes is not None

    def has_children(self) -> bool:
        """Whether the server has a child left, such as one that an examiner has started and not ended."""
        return bool(read_file(self.proc, "thread-self/children").strip())

    def pid_in_proc(self, pid: int) -> int:
        """Return the number that /proc knows a child by: it may belong to another process namespace than this one's."""
        if self.mounts or not self.alone:
            return pid
        descriptor = os.pidfd_open(pid)
        # /proc/self/fdinfo/7: "pos:\t0\nflags:\t02000002\n...Pid:\t4711\nNSpid:\t4711\t3\n"
        text = read_file(self.proc, f"self/fdinfo/{descriptor}")
        os.close(descriptor)
        return int(text.partition("\nPid:\t")[2].partition("\n")[0])

    def renew(self, file_mb: int) -> None:
        """Make new folders for the next program, and a new network unless the old one is as new.

        They belong to the server's present mount namespace, which examiner and solution inherit: tests may write files
        that the solution reads.

        Args:
            file_mb: Size of each folder, in MiB.
        """
        if self.own_mounts is None:
            return
        kernel.setns(self.own_mounts, kernel.CLONE_NEWNS)
        kernel.unshare(kernel.CLONE_NEWNS)
        for folder in (SCRATCH, SHARED_MEMORY):
            options = f"size={file_mb}m,mode=1777"
            kernel.mount("tmpfs", folder, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, options)
        os.chdir(SCRATCH)
        if sockets_left(self.proc):
            kernel.unshare(kernel.CLONE_NEWNET)
            raise_loopback()

    @contextlib.contextmanager
    def process_namespace(self) -> Iterator[None]:
        """Within the block, children are born into one new process namespace."""
        if self.own_processes is None:
            yield
            return
        kernel.unshare(kernel.CLONE_NEWPID)
        try:
            yield
        finally:
            kernel.setns(self.own_processes, kernel.CLONE_NEWPID)

    def start_waiting(self) -> list[int]:
        """Start processes 1 and 2 of the new process namespace; returns their pids here, process 1 first.

        Without process 1 the solution would be it, and the kernel does not deliver signals to it as usual. Pids 1 and 2
        have long meant the sandbox itself: a program that attacks them should not hit itself.
        """
        if not self.alone:
            return []
        return [kernel.clone_waiting() for _ in range(FIRST_PID - 1)]

    def enter(self) -> None:
        """In a solution's process: see the own processes only, and give up every privilege."""
        if self.mounts:
            flags = kernel.MS_RDONLY | kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC
            kernel.mount("proc", "/proc", "proc", flags, "subset=pid")
        if self.alone:
            kernel.unshare(kernel.CLONE_NEWUSER)
            map_own_ids(self.proc, self.uid, self.gid)
            with contextlib.suppress(OSError):  # the system call filter denies them as well
                write_file(self.proc, "sys/user/max_user_namespaces", "0")
        kernel.drop_capabilities()
