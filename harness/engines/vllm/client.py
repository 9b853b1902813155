"""Start, use and end the processes that hold vLLM engines (`worker`): one, or several side by side.

Several are data parallelism: each holds the whole model on its own devices and takes a share of every batch. This file
knows nothing about requests and does not import vllm.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import harness
from harness.engines.base import EngineDied, Scored
from harness.engines.vllm.generation import Generated, Generation, Refused
from harness.engines.vllm.queries import Counts, Group, shares
from harness.errors import EngineError, InputError

logger = logging.getLogger(__name__)

# Environment variables of the processes, unless the user has set them.
ENVIRONMENT = {
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_NO_USAGE_STATS": "1",
    "TQDM_DISABLE": "1",
    # vLLM is opened for one position more than the model's context, which is never computed: see `options`.
    "VLLM_ALLOW_LONG_MAX_MODEL_LEN": "1",
    # All processes of an engine are on this machine. By default vLLM looks for the address that reaches the internet.
    "VLLM_HOST_IP": "127.0.0.1",
    # vLLM's CUDA build imports flashinfer for its sampler without checking that it is installed.
    **({} if find_spec("flashinfer") else {"VLLM_USE_FLASHINFER_SAMPLER": "0"}),
}
SECONDS_TO_END = 3.0
# On CUDA vLLM runs the model in a child process. If that fails to start, the error says only this and "see above".
REASON_IS_LOST = "Engine core initialization failed"
IN_ONE_PROCESS = {"VLLM_ENABLE_V1_MULTIPROCESSING": "0"}


class VllmProcess:
    """One process with one engine. It starts when this object is constructed; `ask` and `answer` talk to it.

    Answers come in the order of the messages. A message may be sent before the answer to the last one is read.
    """

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
        self._unanswered, self._closed = 0, False
        self.ask("open", dict(arguments), device)

    def ask(self, name: str, *arguments: Any) -> None:
        """Send a message; `answer` returns its answer.

        Raises:
            EngineDied: the process has ended.
        """
        self._unanswered += 1
        try:
            self._connection.send((name, arguments))
        except OSError as error:
            raise self._gone() from error

    def answer(self) -> Any:
        """Wait for the answer to the oldest message without one.

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
        self._unanswered -= 1
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
        if not self._unanswered:
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
        self._workers: list[VllmProcess] = []
        try:
            self.description: dict[str, Any] = self._open(arguments, device, environments)
        except EngineDied as death:
            raise EngineError(f"--backend vllm: the engine cannot be opened ({death}).") from death

    def _open(
        self, arguments: Mapping[str, Any], device: str, environments: Sequence[Mapping[str, str]]
    ) -> dict[str, Any]:
        """Start the processes. If they fail without a reason, start them again without child processes, to get it."""
        self._workers = [VllmProcess(arguments, device, environment) for environment in environments]
        try:
            descriptions: list[dict[str, Any]] = [worker.answer() for worker in self._workers]
        except EngineDied as death:
            self.close()
            again = [{**own, **IN_ONE_PROCESS} for own in environments]
            if REASON_IS_LOST not in str(death) or again == list(environments):
                raise
            logger.warning("vLLM does not start and gives no reason (%s); starting it once more in one process", death)
            return self._open(arguments, device, again)
        except BaseException:
            self.close()
            raise
        return descriptions[0]

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

    def score(
        self, batches: Iterable[Sequence[Group]], adapter: str | None
    ) -> Iterator[tuple[list[list[Scored | Refused]], Counts]]:
        """Score every continuation of every group, batch by batch; also yields how many queries a batch took."""
        messages = ([(part, adapter) for part in shares(groups, self.count)] for groups in batches)
        for parts in self._ahead("score", messages):
            counts = [own for _, own in parts]
            total = Counts(queries=sum(own.queries for own in counts), repeated=sum(own.repeated for own in counts))
            yield [scores for part, _ in parts for scores in part], total

    def generate(
        self, batches: Iterable[Sequence[Generation]], adapter: str | None
    ) -> Iterator[list[Generated | Refused]]:
        """Continue every prompt, batch by batch."""
        count = self.count
        messages = ([(list(batch[start::count]), adapter) for start in range(count)] for batch in batches)
        for parts in self._ahead("generate", messages):
            answers: list[Generated | Refused] = [Refused("not computed")] * sum(map(len, parts))
            for start, part in enumerate(parts):
                answers[start::count] = part
            yield answers

    def close(self) -> None:
        """End every process."""
        for worker in self._workers:
            worker.close()

    def _ahead(self, name: str, messages: Iterable[Sequence[tuple[Any, ...]]]) -> Iterator[list[Any]]:
        """Yield the answers to `messages`; each message is sent before the answer to the previous one is read.

        So an engine has its next batch while the caller makes another and processes the last answers.
        """
        unanswered = 0
        for arguments in messages:
            self._send(name, arguments)
            unanswered += 1
            if unanswered == 2:
                yield self._receive()
                unanswered -= 1
        if unanswered:
            yield self._receive()

    def _each(self, name: str, arguments: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Send a message to every engine, then wait for all answers."""
        self._send(name, arguments)
        return self._receive()

    def _send(self, name: str, arguments: Sequence[tuple[Any, ...]]) -> None:
        with self._all_or_none():
            for worker, own in zip(self._workers, arguments, strict=True):
                worker.ask(name, *own)

    def _receive(self) -> list[Any]:
        answers: list[Any] = []
        refusal: InputError | None = None
        with self._all_or_none():
            for worker in self._workers:
                try:
                    answers.append(worker.answer())
                except InputError as error:
                    refusal = error
        if refusal is not None:
            raise refusal
        return answers

    @contextlib.contextmanager
    def _all_or_none(self) -> Iterator[None]:
        """End all engines if one fails: answers of the others would stay unread in their pipes."""
        try:
            yield
        except BaseException:
            self.close()
            raise
