"""A pool of warm sandboxes: runs a batch in parallel, returns verdicts in order, replaces damaged sandboxes.

One thread serves all workers; each worker runs at most one program at a time. `inside.server` lists the messages.
"""

from __future__ import annotations

import atexit
import functools
import json
import logging
import os
import selectors
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from typing import Any

from harness.sandbox import backends, calibration
from harness.sandbox.inside import wire
from harness.sandbox.programs import Limits, Program, Verdict

log = logging.getLogger(__name__)

# The examiner ends a program at its limit. A sandbox that has not answered this much later is killed from outside.
GRACE_SECONDS = 0.5
START_SECONDS = 60.0
SLICE_SECONDS = 0.1
MAX_NOT_CLEAN = 3


class Worker:
    """One sandbox and the program that it runs."""

    def __init__(self, backend: str, limits: Limits) -> None:
        """Start it; it is ready once it says so. `limits` are scaled to this machine."""
        self.sandbox = backends.BACKENDS[backend](limits)
        self.limits = limits
        processes = limits.processes if self.sandbox.limit_processes else 0
        self.received = bytearray()
        self.index: int | None = None  # of the program that it runs
        self.ready = False  # a clean process waits for a program
        self.used = False  # it was ready at least once
        self.began = time.monotonic()
        self.waiting_seconds = 0.0
        self._write(asdict(limits) | {"processes": processes})

    def fileno(self) -> int:
        """Return the descriptor that its messages arrive on."""
        assert self.sandbox.process.stdout is not None
        return self.sandbox.process.stdout.fileno()

    def send_program(self, index: int, program: Program) -> None:
        """Send one program."""
        self.index, self.ready = index, False
        self.began, self.waiting_seconds = time.monotonic(), 0.0
        self._write(asdict(program))

    def _write(self, message: object) -> None:
        data = memoryview(wire.frame(message))
        assert self.sandbox.process.stdin is not None
        descriptor = self.sandbox.process.stdin.fileno()
        try:
            while data:
                data = data[os.write(descriptor, data) :]
        except BrokenPipeError:
            pass  # reading will show that it has ended

    @property
    def late(self) -> bool:
        """Whether a message is overdue."""
        if self.ready:
            return False
        allowed = START_SECONDS if self.index is None else self.limits.wall_seconds + GRACE_SECONDS
        return self.waiting_seconds > allowed

    def messages(self) -> list[Any] | None:
        """Return the complete messages that have arrived; None when the sandbox has ended."""
        data = os.read(self.fileno(), 1 << 16)
        if not data:
            return None
        self.received += data
        messages = []
        while len(self.received) >= 4:
            (size,) = struct.unpack(">I", self.received[:4])
            if len(self.received) < 4 + size:
                break
            messages.append(json.loads(bytes(self.received[4 : 4 + size])))
            del self.received[: 4 + size]
        return messages

    def close(self) -> str:
        """Kill the sandbox and all its processes; returns what it wrote to standard error."""
        process = self.sandbox.process
        process.kill()
        _, errors = process.communicate()
        self.sandbox.clean_up()
        return errors.decode(errors="replace").strip()


@functools.cache
def _starter(pid: int) -> ThreadPoolExecutor:  # noqa: ARG001 - a forked process needs its own thread
    """Return the thread that starts workers. It never ends, because bubblewrap ends with the thread that started it."""
    return ThreadPoolExecutor(1, thread_name_prefix="sandbox-starter")


class Pool:
    """Workers of one backend with one set of limits, kept warm between batches."""

    def __init__(self, backend: str, limits: Limits) -> None:
        """Create an empty pool; the first batch starts its workers. `limits` are scaled to this machine."""
        self.backend, self.limits = backend, limits
        self.workers: list[Worker] = []
        self.retried: set[int] = set()  # programs whose worker has ended once while they ran
        self.not_clean = 0  # new workers in a row that were not clean

    def run(
        self, programs: Sequence[Program], workers: int, progress: Callable[[int], None] | None = None
    ) -> list[Verdict]:
        """Run the batch; see `harness.sandbox.run_programs`."""
        verdicts: dict[int, Verdict] = {}
        queue = deque(range(len(programs)))
        self.retried.clear()
        try:
            with selectors.DefaultSelector() as selector:
                at_once = min(workers, len(programs))
                self._resize(at_once + max(1, at_once // 2), selector)
                while len(verdicts) < len(programs):
                    before = len(verdicts)
                    self._give_next(at_once, queue, programs)
                    self._poll(selector, verdicts, queue)
                    if progress and len(verdicts) > before:
                        progress(len(verdicts))
        except BaseException:
            self.close()  # some workers may still run a program
            raise
        return [verdicts[index] for index in range(len(programs))]

    def close(self) -> None:
        """Kill all workers."""
        while self.workers:
            self.workers.pop().close()

    def _start(self) -> Worker:
        return _starter(os.getpid()).submit(Worker, self.backend, self.limits).result()

    def _resize(self, count: int, selector: selectors.BaseSelector) -> None:
        """Start or end workers until there are `count`, all alive."""
        for worker in [worker for worker in self.workers if worker.sandbox.process.poll() is not None]:
            self.workers.remove(worker)  # it has ended since the last batch
            worker.close()
        while len(self.workers) > count:
            self.workers.pop().close()
        while len(self.workers) < count:
            self.workers.append(self._start())
        for worker in self.workers:
            selector.register(worker, selectors.EVENT_READ, worker)

    def _give_next(self, at_once: int, queue: deque[int], programs: Sequence[Program]) -> None:
        """Send programs to workers that are ready, so that up to `at_once` programs run.

        There are more workers than that: while some run programs, others prepare fresh processes for the next ones.
        """
        idle = at_once - sum(worker.index is not None for worker in self.workers)
        for worker in [worker for worker in self.workers if worker.ready][:idle]:
            if queue:
                index = queue.popleft()
                worker.send_program(index, programs[index])

    def _poll(self, selector: selectors.BaseSelector, verdicts: dict[int, Verdict], queue: deque[int]) -> None:
        """Wait once for messages, for workers that end and for deadlines."""
        began = time.monotonic()
        events = selector.select(SLICE_SECONDS)
        # If the machine was suspended meanwhile, its programs are charged one slice at most.
        elapsed = min(time.monotonic() - began, SLICE_SECONDS)
        for each in self.workers:
            each.waiting_seconds += elapsed
        for key, _ in events:
            worker: Worker = key.data
            messages = worker.messages()
            if messages is None:
                if worker.index is not None and worker.index not in self.retried:
                    # The machine may have killed it for lack of memory: only the second time is a verdict.
                    self.retried.add(worker.index)
                    queue.appendleft(worker.index)
                    worker.index = None
                self._replace(worker, selector, verdicts, "the program brought its sandbox down")
            else:
                usable = [self._handle(worker, message, verdicts) for message in messages]
                if not all(usable):
                    self._replace(worker, selector, verdicts, "retired")
        for late in [each for each in self.workers if each.late]:
            self._replace(late, selector, verdicts, "the sandbox did not answer in time")

    def _handle(self, worker: Worker, message: Any, verdicts: dict[int, Verdict]) -> bool:
        """Handle one message; returns whether the worker may run another program."""
        if "unclean" in message:
            self._note_not_clean(worker, message["unclean"])
            return False
        if "ready" in message:
            if not message["alone"] and not worker.used:
                log.warning(
                    "the kernel allows no process namespace: a program can also kill every process of this user"
                )
            worker.ready = worker.used = True
            self.not_clean = 0
            return True
        assert worker.index is not None
        reusable: bool = message.pop("reusable")
        verdicts[worker.index] = Verdict(**message)
        worker.index, worker.waiting_seconds = None, 0.0
        return reusable

    def _note_not_clean(self, worker: Worker, problem: str) -> None:
        """Log that a worker is replaced, and give up if new ones are never clean. Raises: SandboxError."""
        log.warning("a sandbox is replaced because its next program would not have started clean: %s", problem)
        self.not_clean += not worker.used
        worker.used = True  # it did start
        if self.not_clean >= MAX_NOT_CLEAN:
            raise backends.SandboxError(
                f"{self.backend} makes no clean sandbox: {problem}; run the programs on another machine, or "
                "unprotected with --unsafe_code allow"
            )

    def _replace(
        self, worker: Worker, selector: selectors.BaseSelector, verdicts: dict[int, Verdict], reason: str
    ) -> None:
        """Replace a worker that has ended or must end; the verdict on its program, if it has one, is ``killed``."""
        selector.unregister(worker)
        errors = worker.close()
        if not worker.used:
            raise backends.SandboxError(f"{self.backend} does not start: {errors or reason}; {backends.REMEDY}")
        if worker.index is not None:
            spent = time.monotonic() - worker.began
            verdicts[worker.index] = Verdict("killed", reason, 0.0, spent)
        fresh = self._start()
        self.workers[self.workers.index(worker)] = fresh
        selector.register(fresh, selectors.EVENT_READ, fresh)


_lock = threading.Lock()
_idle: dict[tuple[int, str, str, Limits], Pool] = {}


def run_programs(
    programs: Sequence[Program],
    *,
    limits: Limits = Limits(),  # noqa: B008 - frozen
    workers: int | None = None,
    backend: str | None = None,
    progress: Callable[[int], None] | None = None,
) -> list[Verdict]:
    """Run all programs in parallel, each in a sandbox, and return their verdicts in the same order.

    Args:
        programs: The programs to run.
        limits: Limits for each program; on a machine slower than the reference, time limits are raised.
        workers: Number of programs that run at a time; default: the number of CPUs that this process may use.
        backend: ``auto``, ``bubblewrap``, ``docker``, ``podman`` or ``unsafe``; default: what `use_backend` says, else
            HARNESS_SANDBOX, else ``auto``.
        progress: Called with the number of programs that are done.

    Raises:
        SandboxError: No sandbox is available, or it does not start. No program has run outside a sandbox.
    """
    name = backends.choose(backend)
    if not programs:
        return []
    factor = calibration.slowdown()
    scaled = replace(limits, cpu_seconds=limits.cpu_seconds * factor, wall_seconds=limits.wall_seconds * factor)
    # Backend and packages are part of the key: a pool started without protection never serves a safe batch. So is the
    # process: after a fork, two processes would read from the same sandboxes.
    key = (os.getpid(), name, str(backends.site_folder()), scaled)
    with _lock:
        pool = _idle.pop(key, None) or Pool(name, scaled)
    verdicts = pool.run(programs, workers or len(os.sched_getaffinity(0)), progress)
    with _lock:
        others = [other for other_key, other in _idle.items() if other_key[0] == os.getpid()]
        _idle.clear()
        _idle[key] = pool
    for other in others:
        other.close()
    return verdicts


@atexit.register
def close_idle() -> None:
    """Kill the workers that are kept warm for another batch."""
    with _lock:
        pools = [pool for key, pool in _idle.items() if key[0] == os.getpid()]
        _idle.clear()
    for pool in pools:
        pool.close()
