"""What separates a program from the server and from every other program: namespaces, mounts, no privileges.

With bubblewrap, each program gets a process namespace, a user namespace and empty folders::

    server (process 1 of the sandbox)
      ├── examiner                    invisible to the program
      └── process namespace:      1   a process that only waits; the namespace ends with it
                                 10   the solution, without capabilities, with its own /proc, /tmp and /dev/shm

Elsewhere, it gets a process namespace and a user namespace if the kernel allows them.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

from . import kernel

SCRATCH, SHARED_MEMORY = "/tmp", "/dev/shm"  # noqa: S108 - mounted afresh for each program
STAGING = "/server/staging"
# Pids 1 and 2 have meant the sandbox itself for long: a program that attacks them should not hit itself.
FIRST_PID = 10
_FLAGS = {"nosuid": kernel.MS_NOSUID, "nodev": kernel.MS_NODEV, "noexec": kernel.MS_NOEXEC, "noatime": 1024}
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


def make_read_only() -> None:
    """Make every mount read-only except /proc and /tmp.

    Device files in particular: a sandbox that root has started could change the modes of the host's devices.
    """
    # 36 35 98:0 /null /dev/null rw,nosuid,relatime master:1 - devtmpfs dev rw
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        _, _, _, _, target, options, *_ = line.split(" ")
        if not target.startswith("/proc") and target != SCRATCH:
            flags = sum(_FLAGS.get(option, 0) for option in options.split(","))
            target = target.encode().decode("unicode_escape")  # a space is written as \040
            kernel.mount("none", target, None, flags | kernel.MS_REMOUNT | kernel.MS_BIND | kernel.MS_RDONLY)


def raise_loopback() -> None:
    """Turn on the loopback device of a new network namespace."""
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", _IFF_UP_RUNNING))


def sockets_left() -> str:
    """Return what the network namespace still holds, such as ``TCP tw 1``; empty if there are no sockets.

    A closed connection keeps its port for a minute ("time wait"), and no other program can listen there meanwhile.
    """
    left = []
    for name in ("sockstat", "sockstat6"):
        with contextlib.suppress(FileNotFoundError):  # a kernel without the protocol
            # TCP: inuse 0 orphan 0 tw 1 alloc 3 mem 0        `orphan`, `alloc` and `mem` count the whole machine's
            for line in Path(f"/proc/self/net/{name}").read_text().splitlines():
                protocol, *words = line.split()
                counts = dict(zip(words[::2], words[1::2], strict=True))
                left += [f"{protocol[:-1]} {key} {counts[key]}" for key in ("inuse", "tw") if counts.get(key, "0") > "0"]
    return ", ".join(left)


class Isolation:
    """Makes the namespaces of one program after another. The server's own namespaces stay as they are."""

    def __init__(self, mounts: bool) -> None:
        """Look at the server's namespaces.

        Args:
            mounts: Whether programs get folders and a network of their own, as in bubblewrap's sandbox.
        """
        self.mounts = mounts
        self.proc = os.open("/proc", os.O_PATH | os.O_CLOEXEC)
        self.uid, self.gid = os.geteuid(), os.getegid()
        # Process 1 has a process namespace in which it may make others.
        self.renewed = False
        self.own_processes = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC) if os.getpid() == 1 else None

    @property
    def alone(self) -> bool:
        """Whether each program gets its own process namespace and user namespace."""
        return self.own_processes is not None

    def renew(self, file_mb: int) -> None:
        """Empty the folders for programs' files, and replace the network unless it is as new.

        Both folders share one file system of `file_mb` MiB. The examiner sees them too, since tests may write files
        that the solution reads.
        """
        if not self.mounts:
            return
        if self.renewed:
            kernel.unmount(SHARED_MEMORY)
            kernel.unmount(SCRATCH)
        kernel.mount("tmpfs", STAGING, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, f"size={file_mb}m")
        for name, target in (("tmp", SCRATCH), ("shm", SHARED_MEMORY)):
            os.mkdir(f"{STAGING}/{name}")
            os.chmod(f"{STAGING}/{name}", 0o1777)
            kernel.mount(f"{STAGING}/{name}", target, None, kernel.MS_BIND)
        kernel.unmount(STAGING)
        os.chdir(SCRATCH)
        self.renewed = True
        if sockets_left():
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

    def fork_init(self) -> int | None:
        """Fork process 1 of the new process namespace; returns its pid here, None where there is no namespace.

        Without it the solution would be process 1, to which the kernel does not deliver signals as usual.
        """
        if not self.alone:
            return None
        ready, ready_in = os.pipe()
        pid = os.fork()
        if pid == 0:
            with contextlib.suppress(OSError):
                write_file(self.proc, "sys/kernel/ns_last_pid", str(FIRST_PID - 1))
            os.closerange(0, MAX_DESCRIPTORS)  # this tells the server that it is ready
            while True:
                signal.pause()
        os.close(ready_in)
        os.read(ready, 1)
        os.close(ready)
        return pid

    def enter(self) -> None:
        """In a solution's process: enter its own namespaces and give up every privilege."""
        if self.alone:
            if self.mounts:
                kernel.unshare(kernel.CLONE_NEWNS)
                options = kernel.MS_RDONLY | kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC
                kernel.mount("proc", "/proc", "proc", options, "subset=pid")
            kernel.unshare(kernel.CLONE_NEWUSER)
            map_own_ids(self.proc, self.uid, self.gid)
            with contextlib.suppress(OSError):  # the system call filter denies them as well
                write_file(self.proc, "sys/user/max_user_namespaces", "0")
        kernel.drop_capabilities()
