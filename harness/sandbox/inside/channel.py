"""The tests' end of the channel: keeps the solution within its limits, and its objects and exceptions harmless."""

from __future__ import annotations

import builtins
import importlib
import os
import select
import signal
import sys
import time
import types
from typing import Any

from . import link, wire
from .remote import Remote, SolutionRaised, number_at_home

# Modules that the tests may use without importing them. They are imported here: the solution may have patched its own
# copy, or have defined something else by that name.
MODULES = (
    *("bisect", "cmath", "collections", "copy", "datetime", "decimal", "fractions", "functools", "heapq", "itertools"),
    *("json", "math", "operator", "os", "random", "re", "statistics", "string", "sys", "time", "typing"),
)
TICK_SECONDS = 0.1
# If the solution could raise these in the tests' process, a `for` loop or generator of the tests would simply end, and
# the assertions after that point would never run.
_ENDS_LOOPS = (StopIteration, StopAsyncIteration)
# These end the tests, and that is no pass.
_ENDS_TESTS = (SystemExit, KeyboardInterrupt)


class LimitReached(BaseException):
    """A limit was reached; the arguments are the verdict's status and detail. A BaseException, like `link.Gone`."""


class Unsupported(TypeError):  # noqa: N818 - the name of the verdict's status
    """The tests do something that this sandbox cannot do, whatever the solution is; see docs/sandbox.md."""


class Channel(link.Link):
    """Sends requests to the solution's process, within its limits, and turns replies into values or exceptions.

    Attributes:
        failure: The first failed assertion, or unsupported use, in a function of the tests that the solution called.
            The solution may have swallowed it.
    """

    guarded = True
    failure: BaseException | None = None

    def __init__(self, descriptor: int, output: int, pid: int, limits: dict[str, Any]) -> None:
        super().__init__(descriptor)
        self.output, self.limits = output, limits
        # The kernel's clock id of another process's CPU time, as in clock_getcpuclockid(3), which Python lacks:
        # pid 17 gives (~17 << 3) | 2 = -142. One call reads it; parsing /proc/17/stat for each request would be slow.
        self.clock = (~pid << 3) | 2
        self.wall_seconds_left = limits["wall_seconds"]
        self.output_bytes_left = limits["output_kb"] << 10
        self.own_streams = (sys.stdout, sys.stderr, sys.stdin, builtins.input)
        self.poll = select.poll()
        self.poll.register(descriptor, select.POLLIN)
        self.poll.register(output, select.POLLIN)

    def __enter__(self) -> Channel:
        """Limit wall time by an alarm, which also interrupts tests that loop without sending a request.

        The alarm counts ticks and does not read the clock, so that a machine that is suspended for a minute costs the
        program one tick.
        """
        signal.signal(signal.SIGALRM, self._tick)
        signal.setitimer(signal.ITIMER_REAL, TICK_SECONDS, TICK_SECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        """Turn the alarm off."""
        signal.setitimer(signal.ITIMER_REAL, 0)

    def _tick(self, *_: object) -> None:
        self.wall_seconds_left -= TICK_SECONDS
        if self.wall_seconds_left <= 0:
            raise LimitReached("timeout", f"wall time: more than {self.limits['wall_seconds']:.3g} s")

    def wait(self) -> None:
        """Wait for a message. Raises: LimitReached."""
        while True:
            try:
                cpu_left = self.limits["cpu_seconds"] - time.clock_gettime(self.clock)
            except OSError:  # the process has ended, as reading will show
                return
            if cpu_left <= 0:
                raise LimitReached("timeout", f"CPU time: more than {self.limits['cpu_seconds']:.3g} s")
            # A process uses at most a second of this clock per second (threads aside), so nothing needs checking
            # sooner; with 3 s left, the poll lasts up to 3 s. Then the loop reads the clock again.
            ready = dict(self.poll.poll(1000 * cpu_left + 1))
            # Output is read while waiting. A program that prints more than the pipe holds would block otherwise.
            if self.output in ready:
                self._read_output()
            if self.descriptor in ready:
                return

    def _read_output(self) -> None:
        size = len(os.read(self.output, 1 << 16))
        self.output_bytes_left -= size
        if not size:
            self.poll.unregister(self.output)
        if self.output_bytes_left < 0:
            raise LimitReached("killed", f"output: more than {self.limits['output_kb']} KiB")

    def load(self, solution: str, setup: str, names: list[str]) -> dict[str, Any]:
        """Load the solution; returns those of `names` that it defines, still encoded."""
        definitions, _ = self.request(["load", solution, setup, names])
        return dict(definitions)

    def request(self, message: list[Any]) -> tuple[Any, Any]:
        """Send a request; while the tests have replaced standard streams, the solution uses the replacements."""
        stdout, stderr, stdin, read_line = self.own_streams
        replaced = [sys.stdout is not stdout, sys.stderr is not stderr]
        replaced.append(sys.stdin is not stdin or builtins.input is not read_line)
        if any(replaced):
            message = ["with streams", replaced, message]
        return super().request(message)

    def perform(self, name: str, values: list[Any], keywords: dict[str, Any]) -> Any:
        """Do for the solution what it may ask for: use functions and objects that the tests have passed to it.

        Only public names, so that it cannot get from a function to the module around it. Raises: PermissionError.
        """
        if name == "write":
            stream, text = values
            return (sys.stderr if stream == "stderr" else sys.stdout).write(str(text))
        if name == "input":
            return builtins.input(*map(str, values))
        if name == "readline":
            return sys.stdin.readline()
        target = values[0]
        if name not in _ALLOWED or id(target) not in self.numbers:
            raise PermissionError(f"the solution may not use {name} on an object that the tests have not passed to it")
        if name in ("getattr", "setattr") and not is_open(target, values[1]):
            raise AttributeError(f"{type(target).__name__!r} object has no attribute {values[1]!r} for the solution")
        try:
            return super().perform(name, values, keywords)
        except (AssertionError, Unsupported) as error:
            if getattr(error, "from_solution", None) is None:
                self.failure = self.failure or error
            raise

    def not_answered(self) -> Any:
        """Return the exceptions that end the tests."""
        return (link.Gone, LimitReached)

    def export(self, value: Any) -> Any:
        """Return the data for an object that the tests pass. Raises: Unsupported."""
        kind = type(value)
        if not (
            number_at_home(value, self) is not None
            or isinstance(value, (type, BaseException, types.ModuleType))
            or callable(value)
            or hasattr(kind, "__next__")
            or hasattr(kind, "__await__")
            or is_open(value, "any")
        ):
            raise Unsupported(f"the tests pass the solution a {kind.__name__}, which cannot be passed")
        return super().export(value)

    def module(self, name: str) -> Any:
        """Return this process's own module."""
        # The name is the solution's word: importing whatever it names would run any module in this process.
        if name not in MODULES:
            raise NameError(f"the tests use the module {name!r} but do not import it")
        return importlib.import_module(name)

    def exception_class(self, remote: Remote | None, name: str, base: str) -> Any:
        """Return the builtin exception `name`, or a class made here for one that the solution defines."""
        # "Bad", a ValueError there, becomes a class Bad(ValueError) here, so that a test's `except ValueError` works.
        root = getattr(builtins, base, None)
        can_be_raised = root in _ENDS_TESTS or (
            isinstance(root, type) and issubclass(root, Exception) and not issubclass(root, _ENDS_LOOPS)
        )
        parent: Any = root if can_be_raised else SolutionRaised
        if parent.__name__ == name:
            return parent
        members = {"__getattr__": _attribute_there, "__str__": _text_there}
        return type(name, (parent,), members | ({"_sandbox_remote": remote} if remote else {}))

    def exception(self, described: list[Any]) -> BaseException:
        """Return an exception to raise here for one of the solution; its ``from_solution`` is "ValueError: text"."""
        if described[0] == "home":  # the tests raised it, and it passed through the solution
            own = self.own_object(described[1])
            if isinstance(own, Exception) and not isinstance(own, _ENDS_LOOPS):
                return own
            raise ValueError("malformed value")
        reference, text, arguments, number, cause = described
        kind, name, text = self.stand_in(reference), str(reference[2]), str(text)
        if not (isinstance(kind, type) and issubclass(kind, BaseException)):
            raise ValueError("malformed value")
        error: BaseException = _make_error(
            kind, None if arguments is None else wire.decode(arguments, self.resolve), text, name
        )
        error.__cause__ = None if cause is None else self.exception(cause)
        from_solution = f"{name}: {text}" if text else name
        remote = Remote(self, int(number), name)
        vars(error).update(from_solution=from_solution, _sandbox_text=text, _sandbox_remote=remote)
        return error


_ALLOWED = {
    *("call", "getattr", "setattr", "getitem", "setitem", "delitem", "iter", "next", "len", "bool", "str", "repr"),
    *("int", "float", "equal", "less", "contains", "enter", "exit", "isinstance", "hash", "await"),
}


def is_open(value: Any, name: object) -> bool:
    """Whether the solution may use the attribute `name` of `value`, an object of the tests' own class or a mock object.

    Not what begins with an underscore, which leads to the tests' module; nor a mock's own methods, such as
    ``assert_called_once_with``, which the solution could replace.
    """
    kind = type(value)
    if type(name) is not str or name.startswith("_"):
        return False
    if kind.__module__ == "unittest.mock":
        return name not in dir(kind) and not name.startswith(("assert", "call", "method_calls", "mock_calls"))
    return kind.__module__ == "__main__"


def _make_error(kind: Any, arguments: Any, text: str, name: str) -> Any:
    for values in ((text,) if arguments is None else tuple(arguments), (text,)):
        try:
            error = kind(*values)
            if isinstance(error, kind):
                return error
        except Exception:  # noqa: S112 - a class such as UnicodeDecodeError needs certain arguments
            continue
    return SolutionRaised(f"{name}: {text}")


def _attribute_there(error: Any, name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    return getattr(vars(error)["_sandbox_remote"], name)


def _text_there(error: Any) -> str:
    return str(vars(error).get("_sandbox_text", ""))
