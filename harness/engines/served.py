"""Models behind a service with OpenAI's protocol, through lm-eval's ``local-completions`` and similar classes.

lm-eval writes and parses the messages. This engine sends several at the same time, and yields each answer as soon as it
arrives, so that it is journalled at once:

    --backend lm-eval:local-completions --model NAME
    --model_args base_url=http://host:8000/v1/completions num_concurrent=16 max_retries=10

A request that fails for a temporary reason (too many requests, a server error, no connection, an incomplete response)
is sent again. The wait is what the service asks for in the header Retry-After, and at least half a second; without the
header it doubles, from half a second to half a minute. With 10 attempts, a service may be down for one to two minutes.
"""

from __future__ import annotations

import queue
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from harness.engines.base import Answer, Batch, EngineDied, Failure, FailureReason, Request
from harness.engines.instances import as_answer, as_instance
from harness.errors import InputError, one_line

if TYPE_CHECKING:
    from lm_eval.api.model import LM

CONCURRENT, ATTEMPTS = 8, 10
SETTINGS = ("num_concurrent", "max_retries")  # in --model_args; they change no answer
PASSING = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
SECONDS_FIRST, SECONDS_LONGEST = 0.5, 30.0
# Longest pause that a service may ask for, in seconds, or longest time in which it only asks for pauses; then the run
# ends, and the same command resumes it later.
SECONDS_PATIENCE = 600.0
# Longest time that one request may be put off in all, in seconds. Under a strict rate limit, chance decides which of
# many requests is answered next, so this is much longer.
SECONDS_PER_REQUEST = 3600.0


@dataclass(frozen=True, kw_only=True)
class Service:
    """How requests are sent to a service.

    Attributes:
        concurrent: Number of messages sent at the same time.
        attempts: Largest number of times that a message is sent.
    """

    concurrent: int = CONCURRENT
    attempts: int = ATTEMPTS


def service_of(arguments: Mapping[str, Any]) -> Service:
    """Read `SETTINGS` from ``--model_args``. Raises: InputError: one is not a positive whole number."""
    values = {}
    for name, default in zip(SETTINGS, (CONCURRENT, ATTEMPTS), strict=True):
        value = arguments.get(name, default)
        if not isinstance(value, int) or value < 1:
            raise InputError(f"--model_args {name}={value}: give a whole number of 1 or more.")
        values[name] = value
    return Service(concurrent=values["num_concurrent"], attempts=values["max_retries"])


def lm_eval_arguments(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments for lm-eval, which sends each message once and waits for its answer."""
    return {**arguments, "num_concurrent": 1, "max_retries": 1}


class ServedEngine:
    """A service as an `Engine`.

    Args:
        lm: lm-eval's model, opened with `lm_eval_arguments`.
        backend: Its name.
        service: How requests are sent.
        as_chat: Whether it takes chat messages.
    """

    def __init__(self, lm: LM, backend: str, service: Service, *, as_chat: bool) -> None:
        self._lm = lm
        self._backend = backend
        self._service = service
        self._as_chat = as_chat
        self._pause = Pause()
        self._stopped = threading.Event()  # of the current call of `answer`
        # lm-eval's models are not thread-safe. A thread holds this lock except while it waits for the service.
        self._turn = threading.Lock()
        self._lm.model_call = self._outside_turn(self._lm.model_call)

    @property
    def description(self) -> dict[str, Any]:
        """The backend and its class."""
        return {"backend": self._backend, "model_class": type(self._lm).__name__}

    def answer(self, requests: Sequence[Request]) -> Iterator[Batch]:
        """Send the requests, several at a time; yields each answer when it arrives.

        Raises:
            EngineDied: the service cannot be reached.
        """
        call = _Call(requests)
        self._stopped = call.stopped
        for _ in range(min(self._service.concurrent, len(requests))):
            # Daemon threads, so that the program can exit while a message is still waiting for its answer.
            threading.Thread(target=self._work, args=(call,), daemon=True, name="service").start()
        try:
            for _ in requests:
                answered = call.done.get()
                if isinstance(answered, EngineDied):
                    raise answered
                yield [answered]
        finally:
            call.stopped.set()

    def close(self) -> None:
        """Stop asking."""
        self._stopped.set()

    def _work(self, call: _Call) -> None:
        try:
            while not call.stopped.is_set():
                index = call.todo.get_nowait()
                call.done.put((index, self._ask(call.requests[index], call.stopped)))
        except queue.Empty:
            return
        except EngineDied as death:
            call.done.put(death)

    def _ask(self, request: Request, stopped: threading.Event) -> Answer | Failure:
        """Send a request until it is answered or fails for a permanent reason.

        Raises:
            EngineDied: the service cannot be reached, or asks for a long pause.
        """
        import requests as http

        attempts, paused_seconds, reason = 0, 0.0, Failure(reason="error", message="the engine was closed")
        while attempts < self._service.attempts and paused_seconds <= SECONDS_PER_REQUEST and not stopped.is_set():
            self._pause.wait(stopped)
            try:
                return self._once(request)
            except http.HTTPError as error:
                reason = _failure(error)
                if error.response is None or error.response.status_code not in PASSING:
                    return reason
                if pause := self._pause.start(error.response.headers.get("Retry-After")):
                    paused_seconds += pause
                    continue
            except (http.exceptions.ChunkedEncodingError, http.exceptions.JSONDecodeError) as error:
                reason = _failure(error)  # the service ended while it sent the answer
            except (http.ConnectionError, http.Timeout) as error:
                reason = _failure(error)
                if attempts + 1 == self._service.attempts and not isinstance(error, http.Timeout):
                    raise EngineDied(f"the service cannot be reached: {reason.message}") from error
            except Exception as error:  # lm-eval cannot parse the answer, or cannot write the message
                return _failure(error)
            longest = min(SECONDS_LONGEST, SECONDS_FIRST * 2**attempts)
            stopped.wait(longest * random.uniform(0.5, 1.0))  # random, so that the threads do not all retry at once
            attempts += 1
        return reason

    def _once(self, request: Request) -> Answer | Failure:
        instance = as_instance(request, as_chat=self._as_chat)
        with self._turn:
            responses = getattr(self._lm, instance.request_type)([instance], disable_tqdm=True)
        self._pause.over()
        return as_answer(responses[0]) if responses else Failure(reason="missing", message="no answer")

    def _outside_turn(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap lm-eval's function that sends a message, so that other threads can work while it waits."""

        def called(*arguments: Any, **named: Any) -> Any:
            self._turn.release()
            try:
                return call(*arguments, **named)
            finally:
                self._turn.acquire()

        return called


class _Call:
    """One call of `ServedEngine.answer`, which its threads share."""

    def __init__(self, requests: Sequence[Request]) -> None:
        self.requests = requests
        self.todo: queue.SimpleQueue[int] = queue.SimpleQueue()
        self.done: queue.SimpleQueue[tuple[int, Answer | Failure] | EngineDied] = queue.SimpleQueue()
        self.stopped = threading.Event()
        for index in range(len(requests)):
            self.todo.put(index)


class Pause:
    """A pause that the service asks for; all threads keep it."""

    def __init__(self) -> None:
        self._until = 0.0
        self._began: float | None = None  # when the service last stopped answering
        self._changing = threading.Lock()

    def start(self, header: str | None) -> float | None:
        """Start the pause that the header Retry-After asks for, and return its seconds; None without such a header.

        Raises:
            EngineDied: the pause is too long, or so are several pauses in a row without an answer between them.
        """
        seconds = retry_after(header)
        if seconds is None:
            return None
        seconds = max(seconds, SECONDS_FIRST)
        with self._changing:
            now = time.monotonic()
            self._began = now if self._began is None else self._began
            self._until = max(self._until, now + seconds)
            if self._until - self._began > SECONDS_PATIENCE:
                raise EngineDied(f"the service asks for a pause of {self._until - self._began:.0f} s")
        return seconds

    def over(self) -> None:
        """Record that the service has answered."""
        with self._changing:
            self._began = None

    def wait(self, stopped: threading.Event) -> None:
        """Wait until the pause is over, or the caller wants no more answers."""
        while (left := self._until - time.monotonic()) > 0 and not stopped.is_set():
            stopped.wait(left)


def retry_after(header: str | None) -> float | None:
    """Return the seconds that a header Retry-After asks for: a number or a date (RFC 9110, 10.2.3)."""
    if header is None:
        return None
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        moment = parsedate_to_datetime(header)
    except ValueError:
        return None
    return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds())


def _failure(error: Exception) -> Failure:
    from requests import Timeout

    reason: FailureReason = "timeout" if isinstance(error, Timeout) else "error"
    text = getattr(getattr(error, "response", None), "text", "")  # of HTTPError: the error text of the service
    message = f"{type(error).__name__}: {one_line(error, max_characters=300)} {text}".strip()
    return Failure(reason=reason, message=" ".join(message.split())[:500])
