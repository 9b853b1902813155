"""The process of a job: it locks the job's nodes, ends with the process that started it, and becomes the command.

    python -m harness.study.executors.process PARENT 1 LOCK... -- eval --model ...
    python -m harness.study.executors.process PARENT 2 LOCK... -- train ...    becomes accelerate with 2 processes

A second process for the same node waits until the first has ended, even if whoever started the first was killed.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from harness.study.executors import PASSED_ON, Job

PR_SET_PDEATHSIG = 1  # linux/prctl.h
SECONDS_TO_END = 10.0
MODULE = "harness.study.executors.process"
# Set here so that accelerate does not read these values from the user's configuration file: the stage file decides.
LAUNCHER = (
    "-m", "accelerate.commands.launch", "--multi_gpu", "--num_machines", "1", "--mixed_precision", "no",
    "--dynamo_backend", "no", "--main_process_port", "0",
)  # fmt: skip


def start(job: Job) -> subprocess.Popen[bytes]:
    """Start a job's process; its output is appended to the job's log."""
    job.log.parent.mkdir(parents=True, exist_ok=True)
    command = [
        sys.executable,
        "-m",
        MODULE,
        str(os.getpid()),
        str(job.processes),
        *map(str, job.locks),
        "--",
        *job.words,
    ]
    own = {name: value for name, value in os.environ.items() if name not in PASSED_ON}
    with job.log.open("ab") as log:
        return subprocess.Popen(  # noqa: S603 - our own command
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**own, **job.environment},
            cwd=job.cwd,
            start_new_session=True,
        )


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process and its children: asked first, then forced."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(SECONDS_TO_END)
            return


def run(job: Job) -> int:
    """Run a job to its end, for executors on other machines; return its exit code."""
    process = start(job)
    try:
        return process.wait()
    finally:
        if process.poll() is None:
            end(process)


def note(job: Job, text: str) -> None:
    """Append a line to a job's log about what its command cannot say itself, such as the loss of its machine."""
    job.log.parent.mkdir(parents=True, exist_ok=True)
    with job.log.open("a", encoding="utf-8") as log:
        log.write(f"{text}\n")


def end_with(parent: int) -> None:
    """End this process when its parent ends. Linux only; elsewhere the lock alone keeps a node from running twice."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before
        os._exit(1)


def queue(paths: Sequence[Path]) -> None:
    """Empty lock files before their job is submitted, so that `started_on` says None until it has them."""
    for path in paths:
        path.write_bytes(b"")


def started_on(paths: Sequence[Path]) -> str | None:
    """Return the host on which the job with these lock files runs or ran; None while it is queued."""
    try:
        hosts = [path.read_text(encoding="utf-8") for path in paths]
    except OSError:
        return None
    return hosts[-1] if hosts and all(hosts) else None


def lock(paths: Sequence[Path]) -> None:
    """Lock files for as long as this process, or the command that it becomes, lives; wait for those that are locked.

    Each then contains the name of this host.
    """
    for path in sorted(paths):  # two processes that want the same files cannot wait for each other
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        os.set_inheritable(descriptor, True)
        os.truncate(descriptor, 0)
        os.write(descriptor, socket.gethostname().encode())


def main(arguments: Sequence[str]) -> None:
    """Lock, and become the command."""
    split = arguments.index("--")
    parent, processes, *locks = arguments[:split]
    end_with(int(parent))
    lock([Path(path) for path in locks])
    words = ["-m", "harness", *arguments[split + 1 :]]
    if int(processes) > 1:
        # The launcher's processes would survive if it is killed. So each runs this module and ends with the launcher.
        own = ["-m", MODULE, str(os.getpid()), "1", *arguments[split:]]
        words = [*LAUNCHER, "--num_processes", processes, *own]
    os.execv(sys.executable, [sys.executable, *words])  # noqa: S606 - our own command


if __name__ == "__main__":
    main(sys.argv[1:])
