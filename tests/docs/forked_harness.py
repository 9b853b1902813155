"""Make the word `harness` of a shell run in forks of one process, which spares each command seconds of imports.

    python -m tests.docs.forked_harness serve SOCKET      imports what commands need, then waits
    python -m tests.docs.forked_harness SOCKET WORDS...   runs `harness WORDS...` there, with its own output and folder

The client sends its standard output and error, its working folder and its environment, and ends with the exit code.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
USED = (
    "harness.engines.hf.engine", "harness.evaluation.run", "harness.reports.commands.compare",
    "harness.reports.commands.leaderboard", "harness.trainers.sft", "trl",
)  # fmt: skip
LONGEST = 1 << 16  # bytes of a request
START_SECONDS = 120


@contextmanager
def forked_harness(folder: Path) -> Iterator[dict[str, str]]:
    """Serve while the block lasts; yields the environment in which bash knows the word `harness`."""
    address, functions = folder / "socket", folder / "functions.sh"
    client = f"{sys.executable} -S {Path(__file__).resolve()} {address}"
    functions.write_text(f'harness() {{ {client} "$@"; }}\n')
    server = subprocess.Popen([sys.executable, "-m", "tests.docs.forked_harness", "serve", str(address)], cwd=ROOT)
    deadline = time.monotonic() + START_SECONDS
    while not address.exists() and server.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    try:
        yield {"BASH_ENV": str(functions)}
    finally:
        server.terminate()
        server.wait()


def ask(address: str, words: list[str]) -> int:
    """Send words to the server; return the exit code."""
    request = {"words": words, "cwd": os.getcwd(), "environment": dict(os.environ)}  # noqa: PTH109 - pathlib is slow
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(address)
        socket.send_fds(connection, [json.dumps(request).encode()], [1, 2])
        return int(connection.recv(16) or b"1")


def serve(address: str) -> None:
    """Answer one request after the other, each in a fork."""
    from harness.console import quiet_libraries

    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # its threads would not survive the fork
    quiet_libraries()
    for module in USED:
        import_module(module)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{address}.new")
        listener.listen()
        Path(f"{address}.new").rename(address)
        while True:
            connection, _ = listener.accept()
            with connection:
                text, descriptors, _, _ = socket.recv_fds(connection, LONGEST, 2)
                child = os.fork()
                if child == 0:
                    os._exit(_command(text, descriptors))
                _, status = os.waitpid(child, 0)
                for descriptor in descriptors:
                    os.close(descriptor)
                connection.send(str(os.waitstatus_to_exitcode(status)).encode())


def _command(text: bytes, descriptors: list[int]) -> int:
    from harness.cli import main

    request = json.loads(text)
    os.dup2(descriptors[0], 1)
    os.dup2(descriptors[1], 2)
    os.chdir(request["cwd"])
    os.environ.update(request["environment"])
    sys.argv = ["harness", *request["words"]]
    try:
        code = main(request["words"])
    except SystemExit as stop:
        code = int(stop.code or 0)
    sys.stdout.flush()
    sys.stderr.flush()
    return code


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2])
    else:
        sys.exit(ask(sys.argv[1], sys.argv[2:]))
