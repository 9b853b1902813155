"""The ranks of one command: the processes that torchrun, accelerate or Slurm started for it.

    torchrun --nproc-per-node 4 -m harness eval --model CKPT --tasks reasoning --output_path runs/eval

Rank 0 does what a single process does, and is also a replica; the other ranks are only replicas. Rank 0 publishes its
address and a key in the store of torch.distributed; everything else goes over one connection per rank.

A lost rank is not replaced, because only the program that started it could do that. Its chunk goes to another rank.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import socket
import struct
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection, Listener, answer_challenge, deliver_challenge
from typing import Any

from harness.engines.replicated.connected import ConnectedReplica
from harness.engines.replicated.team import Replica
from harness.engines.replicated.worker import Reply, Worker, serve
from harness.errors import EngineError, InputError

SECONDS_TO_START = 600.0  # for the slowest rank
SECONDS_TO_SAY_HELLO = 30.0
SECONDS_TO_END = 60.0  # how long rank 0 waits at the end for ranks that have not connected yet
FIRST_PORT, PORTS = 20000, 20000  # range of default ports under Slurm
INTERRUPTED = 130  # exit code after Ctrl-C or SIGTERM
# A machine that loses power closes no connection: after these seconds without a reply, it counts as lost.
KEEPALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}


@dataclass(frozen=True, kw_only=True)
class Rank:
    """A process among the ranks of a command.

    Attributes:
        number: From 0.
        size: Number of ranks.
        local: Its number among those of its machine.
        machine: Where rank 0 runs.
        port: Of the store.
        attempt: How often torchrun has restarted the ranks.
        store_exists: Whether torchrun itself keeps the store; otherwise rank 0 does.
        one_machine: Whether all ranks run on this machine.
    """

    number: int
    size: int
    local: int
    machine: str
    port: int
    attempt: int = 0
    store_exists: bool = False
    one_machine: bool = False


def this_rank(environment: Mapping[str, str]) -> Rank | None:
    """Return this process's rank; None if it is the only one.

    Raises:
        InputError: a variable is missing or is not a number.
    """
    number, size = number_of_rank(environment)
    if size <= 1:
        return None
    return (_of_torch if _has_torch(environment) else _of_slurm)(environment, number, size)


def number_of_rank(environment: Mapping[str, str]) -> tuple[int, int]:
    """Return the number of this process among the ranks, and how many ranks there are; (0, 1) if it is the only one.

    Raises:
        InputError: a variable is not a number.
    """
    if _has_torch(environment):
        return _number(environment, "RANK"), _number(environment, "WORLD_SIZE")
    # A batch script runs once, but Slurm sets SLURM_NTASKS and SLURM_PROCID there too. SLURM_STEP_NUM_TASKS is the
    # number of tasks of a step.
    if {"SLURM_STEP_ID", "SLURM_STEP_NUM_TASKS", "SLURM_PROCID"} <= environment.keys():
        return _number(environment, "SLURM_PROCID"), _number(environment, "SLURM_STEP_NUM_TASKS")
    return 0, 1


def _has_torch(environment: Mapping[str, str]) -> bool:
    return "RANK" in environment and "WORLD_SIZE" in environment


def _of_torch(environment: Mapping[str, str], number: int, size: int) -> Rank:
    for name in ("MASTER_ADDR", "MASTER_PORT"):
        if name not in environment:
            raise InputError(
                f"WORLD_SIZE={size}: {name} is not set; start the ranks with torchrun or accelerate, or unset "
                "WORLD_SIZE."
            )
    return Rank(
        number=number,
        size=size,
        local=_number(environment, "LOCAL_RANK", "0"),
        machine=environment["MASTER_ADDR"],
        port=_number(environment, "MASTER_PORT"),
        attempt=_number(environment, "TORCHELASTIC_RESTART_COUNT", "0"),
        store_exists=environment.get("TORCHELASTIC_USE_AGENT_STORE") == "True",
        one_machine=_number(environment, "LOCAL_WORLD_SIZE", "0") == size,
    )


def _of_slurm(environment: Mapping[str, str], number: int, size: int) -> Rank:
    machines = environment.get("SLURM_STEP_NODELIST", "127.0.0.1")
    port = FIRST_PORT + _number(environment, "SLURM_JOB_ID", "0") % PORTS
    return Rank(
        number=number,
        size=size,
        local=_number(environment, "SLURM_LOCALID", "0"),
        machine=environment.get("MASTER_ADDR") or first_machine(machines),
        port=_number(environment, "MASTER_PORT", str(port)),
        one_machine=environment.get("SLURM_STEP_NUM_NODES") == "1",
    )


def first_machine(machines: str) -> str:
    """Return the first host of a Slurm host list: ``gpu03`` for ``gpu[03-05,9],login1``."""
    match = re.match(r"([^,\[]+)(?:\[(\w+))?([^,\[\]]*)", machines)
    assert match, machines
    name, number = match[1], match[2] or ""
    rest = re.match(r"[^\]]*\]([^,]*)", machines[len(name) :]) if number else None
    return f"{name}{number}{rest[1] if rest else ''}"


def _number(environment: Mapping[str, str], name: str, default: str | None = None) -> int:
    text = environment.get(name, default) or ""
    if not text.isdecimal():
        raise InputError(f"{name}={text}: is not a number; start the ranks with torchrun, accelerate or srun.")
    return int(text)


class Ranks:
    """The team of rank 0: itself, and every rank that has connected.

    Args:
        rank: Rank 0.
        words: Its command line; a rank with a different one is rejected.

    Raises:
        EngineError: the store cannot be reached.
    """

    def __init__(self, rank: Rank, words: Sequence[str]) -> None:
        self.turns = [threading.Lock() for _ in range(rank.size)]
        self._words = list(words)
        self._changed = threading.Condition()
        self._arrived: dict[int, ConnectedReplica] = {}
        self._came: set[int] = {0}
        self._closed = False
        self._here = _Here()
        self._key = secrets.token_bytes(32)
        self._listener = Listener(("127.0.0.1" if rank.one_machine else "0.0.0.0", 0))  # noqa: S104
        threading.Thread(target=self._accept, daemon=True, name="ranks").start()
        machine = "127.0.0.1" if rank.one_machine else rank.machine
        self._store = _store(rank)
        self._store.set(_place(rank), f"{machine} {self._listener.address[1]} {self._key.hex()}")

    def launch(self, place: int) -> Replica | None:
        """Wait until the rank of this number has connected, and return it."""
        if place == 0:
            return self._here
        with self._changed:
            self._changed.wait_for(lambda: place in self._arrived or self._closed)
            return None if self._closed else self._arrived[place]

    def renew(self, place: int) -> None:
        """Remove a lost rank. If only its engine died, the rank stays and opens another engine."""
        with self._changed:
            if place in self._arrived and self._arrived[place].lost:
                self._arrived.pop(place).close()

    def abandon(self, place: int) -> None:
        """Let the rank finish its work, because it cannot be replaced."""

    def close(self, exit_code: int) -> None:
        """Tell all ranks to exit, even those that connect late."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            if exit_code != INTERRUPTED:
                self._changed.wait_for(lambda: len(self._came) == len(self.turns), timeout=SECONDS_TO_END)
            for replica in self._arrived.values():
                replica.end(exit_code)
        with contextlib.suppress(OSError):
            self._listener.close()
        if self.turns[0].acquire(blocking=False):  # otherwise it is in the middle of something
            list(self._here.call("close"))  # it raises nothing
            self._here.end()

    def _accept(self) -> None:
        while True:
            try:
                connection = self._listener.accept()
            except OSError:
                if self._closed:
                    return
            else:  # each in a thread of its own, because a connection that says nothing may be somebody else's
                threading.Thread(target=self._welcome, args=(connection,), daemon=True, name="hello").start()

    def _welcome(self, connection: Connection[Any, Any]) -> None:
        """Let a rank in; close a connection that does not know the key or says nothing for `SECONDS_TO_SAY_HELLO`."""
        try:
            _limit_waiting(connection, SECONDS_TO_SAY_HELLO)
            deliver_challenge(connection, self._key)
            answer_challenge(connection, self._key)
            number, words = connection.recv()
            connection.send(words == self._words)
            _limit_waiting(connection, 0.0)
        except (AuthenticationError, OSError, EOFError):
            connection.close()
            return
        with self._changed:
            self._came.add(number)
            if words == self._words:
                _keep_alive(connection)
                self._arrived[number] = ConnectedReplica(connection, f"rank {number}")
            self._changed.notify_all()


class _Here:
    """The replica inside rank 0."""

    def __init__(self) -> None:
        self._worker = Worker()

    def call(self, name: str, *arguments: Any) -> Iterator[Reply]:
        return self._worker.call(name, *arguments)

    def end(self) -> None:
        self._worker.end()


def follow(rank: Rank, words: Sequence[str]) -> int:
    """Run as a rank other than 0: answer the chunks from rank 0, and return the exit code that rank 0 sends.

    Raises:
        EngineError: rank 0 cannot be reached.
        InputError: rank 0 has another command line.
    """
    connection = _connect(rank)
    connection.send((rank.number, list(words)))
    try:
        equal = connection.recv()
    except (EOFError, OSError) as error:
        raise EngineError(f"rank {rank.number}: rank 0 has ended; run the same command again to resume.") from error
    if not equal:
        raise InputError(
            f"rank {rank.number}: its command line differs from that of rank 0, so they cannot share the work; start "
            "the ranks with one command, or start separate evaluations with `env -u RANK -u SLURM_STEP_ID`."
        )
    return serve(connection)


def _connect(rank: Rank) -> Connection[Any, Any]:
    try:
        machine, port, key = _store(rank).get(_place(rank)).decode().split()
    except (RuntimeError, OSError) as error:
        raise _unreachable(rank, error) from error
    deadline = time.monotonic() + SECONDS_TO_SAY_HELLO
    while True:
        try:
            connection = Client((machine, int(port)), authkey=bytes.fromhex(key))
            _keep_alive(connection)
            return connection
        except (OSError, EOFError, AuthenticationError) as error:
            if time.monotonic() > deadline:
                raise _unreachable(rank, error) from error
            time.sleep(0.2)


def _store(rank: Rank) -> Any:
    """Open the store of torch.distributed, in which rank 0 publishes its address."""
    from torch.distributed import TCPStore  # type: ignore[attr-defined]  # documented, and missing in its __all__

    try:
        return TCPStore(
            rank.machine,
            rank.port,
            is_master=rank.number == 0 and not rank.store_exists,
            wait_for_workers=False,
            timeout=timedelta(seconds=SECONDS_TO_START),
        )
    except (RuntimeError, OSError) as error:
        raise _unreachable(rank, error) from error


def _place(rank: Rank) -> str:
    return f"harness/{rank.attempt}/rank 0"


def _unreachable(rank: Rank, error: Exception) -> EngineError:
    return EngineError(
        f"rank {rank.number}: cannot reach the other ranks at {rank.machine}:{rank.port} (MASTER_ADDR, MASTER_PORT): "
        f"{type(error).__name__}; check that rank 0 runs there and that the port is free."
    )


def _keep_alive(connection: Connection[Any, Any]) -> None:
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(connection.fileno())) as link:
        link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in KEEPALIVE.items():
            if hasattr(socket, name):  # not on every system
                link.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _limit_waiting(connection: Connection[Any, Any], seconds: float) -> None:
    """Let a read from the other end fail with OSError after these seconds; 0 waits for ever."""
    with socket.socket(fileno=os.dup(connection.fileno())) as link:
        interval = struct.pack("ll", int(seconds), int(seconds % 1 * 1e6))  # struct timeval: seconds, microseconds
        link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, interval)
