"""Start, use and end the processes that hold vLLM engines (`worker`): one, or several side by side.

Several are data parallelism: each holds the whole model on its own devices and takes a share of every batch. This file
knows nothing about requests and does not import vllm.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import harness
from harness.engines.base import EngineDied, Scored
from harness.engines.vllm.generation import Generated, Generation, Refused
from harness.engines.vllm.queries import Group, shares
from harness.errors import EngineError, InputError

# Environment variables of the processes, unless the user has set them.
ENVIRONMENT = {
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_NO_USAGE_STATS": "1",
    "TQDM_DISABLE": "1",
    # vLLM is opened for one position more than the model's context, which is never computed: see `options`.
    "VLLM_ALLOW_LONG_MAX_MODEL_LEN": "1",
}
SECONDS_TO_END = 3.0


class VllmProcess:
    """One process with one engine. It starts when this object is constructed; `ask` and `answer` talk to it."""

    def __init__(self, arguments: Mapping[str, Any], device: str, environment: Mapping[str, str]) -> None:
        ours, theirs = Pipe()
        source = str(Path(harness.__file__).resolve().parent.parent)
        path = os.pathsep.join(filter(None, [source, os.environ.get("PYTHONPATH")]))
        command = [sys.executable, "-m", "harness.engines.vllm.worker", str(theirs.fileno()), str(os.getpid())]
        # In a session of its own, so that Ctrl-C in the terminal reaches only this process, which then ends the others.
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            command,
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            env={**ENVIRONMENT, **os.environ, **environment, "PYTHONPATH": path},
            start_new_session=True,
        )
        theirs.close()
        self._connection: Connection[Any, Any] = ours
        self._idle, self._closed = True, False
        self.ask("open", dict(arguments), device)

    def ask(self, name: str, *arguments: Any) -> None:
        """Send a message; call `answer` before sending the next.

        Raises:
            EngineDied: the process has ended.
        """
        self._idle = False
        try:
            self._connection.send((name, arguments))
        except OSError as error:
            raise self._gone() from error

    def answer(self) -> Any:
        """Wait for the answer to the last message.

        Raises:
            InputError: the engine refuses its arguments.
            EngineDied: the engine failed or its process has ended.
        """
        try:
            status, result = self._connection.recv()
        except (EOFError, OSError) as error:
            raise self._gone() from error
        except BaseException:  # such as Ctrl-C: the answer would stay in the pipe and be read as the next message's
            self.close()
            raise
        self._idle = True
        if status == "input_error":
            raise InputError(result)
        if status == "died":
            raise EngineDied(result)
        return result

    def close(self) -> None:
        """End the process and its children; their memory is free when this returns.

        An idle engine gets a moment to clean up, a busy one is killed.
        """
        if self._closed:  # by now its process number may belong to another process
            return
        self._closed = True
        if self._idle:
            self._connection.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=SECONDS_TO_END)
        deadline = time.monotonic() + SECONDS_TO_END
        with contextlib.suppress(ProcessLookupError):
            while time.monotonic() < deadline:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.poll()
                time.sleep(0.02)
        self._connection.close()

    @property
    def alive(self) -> bool:
        """Whether the process is running."""
        return self._process.poll() is None

    def _gone(self) -> EngineDied:
        try:
            code: int | None = self._process.wait(timeout=SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            code = None
        return EngineDied(f"vLLM's process ended (exit code {code}); its log is on standard error")


class Engines:
    """The engines of one model.

    Args:
        arguments: Arguments of vLLM's EngineArgs.
        device: ``auto``, ``cpu`` or ``cuda``.
        environments: For each process, its environment variables besides the user's.

    Attributes:
        description: The first engine's description.

    Raises:
        InputError: vLLM refuses the arguments.
        EngineError: an engine cannot be opened.
    """

    def __init__(self, arguments: Mapping[str, Any], device: str, environments: Sequence[Mapping[str, str]]) -> None:
        self._workers = [VllmProcess(arguments, device, environment) for environment in environments]
        try:
            descriptions = [worker.answer() for worker in self._workers]
        except EngineDied as death:
            self.close()
            raise EngineError(f"--backend vllm: the engine cannot be opened ({death}).") from death
        except BaseException:
            self.close()
            raise
        self.description: dict[str, Any] = descriptions[0]

    @property
    def count(self) -> int:
        """Number of engines that share the work."""
        return len(self._workers)

    @property
    def alive(self) -> bool:
        """Whether every engine's process is running."""
        return all(worker.alive for worker in self._workers)

    def reset(self) -> None:
        """Forget all cached prefixes.

        Raises:
            EngineDied: an engine has ended; the methods below raise it too.
        """
        self._each("reset", [()] * self.count)

    def load(self, adapter: str) -> None:
        """Load an adapter; raises `InputError` when vLLM refuses it."""
        self._each("load", [(adapter,)] * self.count)

    def score(self, groups: Sequence[Group], adapter: str | None) -> tuple[list[list[Scored | Refused]], int]:
        """Score every continuation of every group; also returns the number of queries that had to be repeated."""
        parts = self._each("score", [(part, adapter) for part in shares(groups, self.count)])
        return [scores for part, _ in parts for scores in part], sum(repeated for _, repeated in parts)

    def generate(self, generations: Sequence[Generation], adapter: str | None) -> list[Generated | Refused]:
        """Continue every prompt."""
        count = self.count
        parts = self._each("generate", [(list(generations[start::count]), adapter) for start in range(count)])
        answers: list[Generated | Refused] = [Refused("not computed")] * len(generations)
        for start, part in enumerate(parts):
            answers[start::count] = part
        return answers

    def close(self) -> None:
        """End every process."""
        for worker in self._workers:
            worker.close()

    def _each(self, name: str, arguments: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Send a message to every engine, then wait for all answers.

        When one engine has ended all are ended: answers of the others would stay unread in their pipes.
        """
        answers: list[Any] = []
        refusal: InputError | None = None
        try:
            for worker, own in zip(self._workers, arguments, strict=True):
                worker.ask(name, *own)
            for worker in self._workers:
                try:
                    answers.append(worker.answer())
                except InputError as error:
                    refusal = error
        except BaseException:
            self.close()
            raise
        if refusal is not None:
            raise refusal
        return answers
