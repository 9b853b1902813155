"""The solution as its tests see it: a channel that sends requests within limits, and stand-ins for its objects.

The tests are ordinary Python. A call of the solution's function becomes a request to the solution's process, and what
it returns arrives as a plain value, which Python's own types compare. An object of a class that the solution defines
arrives as a `Remote`: its methods can be called, but it is never equal to a plain value, so a solution gains nothing by
returning an object whose ``__eq__`` is always true.
"""

from __future__ import annotations

import builtins
import importlib
import os
import select
import signal
import time
from collections.abc import Iterator
from typing import Any

from . import wire

# Modules that the tests may use without importing them, if the solution imported them. They are imported here afresh:
# the solution may have patched its own copy.
_MODULES = (
    "cmath",
    "collections",
    "datetime",
    "decimal",
    "fractions",
    "itertools",
    "json",
    "math",
    "operator",
    "random",
    "re",
    "string",
    "sys",
)

TICK_SECONDS = 0.1


class SolutionLost(BaseException):
    """The solution's process has ended. A BaseException, so that ``except Exception`` in a test does not catch it."""


class LimitReached(BaseException):
    """A limit was reached; the arguments are the verdict's status and detail. A BaseException for the same reason."""


class Channel:
    """Sends requests to the solution's process, within its limits, and turns replies into values or exceptions.

    The messages are listed in `solution.serve`.
    """

    def __init__(self, descriptor: int, output: int, pid: int, limits: dict[str, Any]) -> None:
        self.descriptor, self.output, self.limits = descriptor, output, limits
        # The kernel's clock id of another process's CPU time, as in clock_getcpuclockid(3), which Python lacks:
        # pid 17 gives (~17 << 3) | 2 = -142. One call reads it; parsing /proc/17/stat for each request would be slow.
        self.clock = (~pid << 3) | 2
        self.wall_seconds_left = limits["wall_seconds"]
        self.output_bytes_left = limits["output_kb"] << 10
        self.classes: dict[int, Any] = {}  # number of an exception class of the solution: its stand-in here
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

    def _wait(self) -> None:
        """Wait for a reply. Raises: LimitReached."""
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

    def request(self, message: list[Any]) -> tuple[Any, Any]:
        """Send one request; returns the result and the arguments afterwards, both still encoded.

        Raises:
            SolutionLost: The solution's process has ended.
            LimitReached: It has used up a limit.
            Exception: The exception that the request raised there, see `exception`.
        """
        try:
            wire.send(self.descriptor, message)
            self._wait()
            reply = wire.receive(self.descriptor)
        except wire.Closed:
            raise SolutionLost from None
        # ["value", 42, null] or ["raised", [4, "class", "Bad", "ValueError"], "negative"]
        if reply[0] == "raised":
            raise self.exception(reply[1], str(reply[2]))
        return reply[1], reply[2]

    def operate(self, name: str, *values: Any, **keywords: Any) -> Any:
        """Do the operation `name` in the solution's process; afterwards mutable arguments are as it left them."""
        # operate("call", <Remote 0>, [3, 1]) sends ["call", [["ref", [0]], ["list", [3, 1]]], []]
        encoded = [wire.encode(value, export) for value in values]
        keyword_pairs = [[key, wire.encode(value, export)] for key, value in keywords.items()]
        result, after = self.request([name, encoded, keyword_pairs])
        if after is not None:
            for value, now in zip(values, after, strict=True):
                update(value, wire.decode(now, self.resolve))
        return wire.decode(result, self.resolve)

    def resolve(self, reference: list[Any]) -> Any:
        """Turn a reference into a module, an exception class or a `Remote`."""
        # [-1, "module", "math", null], [4, "class", "Bad", "ValueError"], [3, "object", "Node", null]
        number, kind, name, base = reference
        if kind == "module":
            # The name is the solution's word: importing whatever it names would run any module in this process.
            if name not in _MODULES:
                raise NameError(f"the tests use the module {name!r} but do not import it")
            return importlib.import_module(name)
        if kind == "class" and base is not None:
            return self.exception_class(int(number), str(name), str(base))
        return Remote(self, int(number), str(name))

    def exception_class(self, number: int, name: str, base: str) -> Any:
        """Return the builtin exception `name`, or a class made here for one that the solution defines."""
        # "Bad", a ValueError there, becomes a class Bad(ValueError) here, so that a test's `except ValueError` works.
        root = getattr(builtins, base, None)
        can_be_raised = isinstance(root, type) and issubclass(root, Exception) and not issubclass(root, _ENDS_LOOPS)
        parent: Any = root if can_be_raised else SolutionRaised
        if parent.__name__ == name:
            return parent
        if number not in self.classes:
            self.classes[number] = type(name, (parent,), {"number": number})
        return self.classes[number]

    def exception(self, reference: list[Any], text: str) -> BaseException:
        """Return the exception to raise here for one raised there; its ``from_solution`` is "ValueError: text"."""
        kind = self.resolve(reference)
        try:
            error = kind(text)
        except Exception:  # a class such as UnicodeDecodeError needs more arguments than a text
            error = SolutionRaised(f"{reference[2]}: {text}")
        error.from_solution = f"{reference[2]}: {text}" if text else str(reference[2])
        return error  # type: ignore[no-any-return]


class SolutionRaised(Exception):  # noqa: N818 - stands for any exception of the solution
    """Stands for an exception that must not be raised here as itself: SystemExit, StopIteration and the like."""


# If the solution could raise these in the tests' process, a `for` loop or generator of the tests would simply end, and
# the assertions after that point would never run.
_ENDS_LOOPS = (StopIteration, StopAsyncIteration)


class Remote:
    """An object of a class that the solution defines. Each operation on it is a request to the solution's process."""

    def __init__(self, channel: Channel, number: int, name: str) -> None:
        # Not self._remote = ...: __setattr__ below sends that to the solution.
        object.__setattr__(self, "_remote", (channel, number, name))

    def _do(self, operation: str, *values: Any, **keywords: Any) -> Any:
        return self._remote[0].operate(operation, self, *values, **keywords)

    def __call__(self, *values: Any, **keywords: Any) -> Any:
        return self._do("call", *values, **keywords)

    def __getattr__(self, name: str) -> Any:
        return self._do("getattr", name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._do("setattr", name, value)

    def __delattr__(self, name: str) -> None:
        self._do("delattr", name)

    def __getitem__(self, key: Any) -> Any:
        return self._do("getitem", key)

    def __setitem__(self, key: Any, value: Any) -> None:
        self._do("setitem", key, value)

    def __delitem__(self, key: Any) -> None:
        self._do("delitem", key)

    def __iter__(self) -> Iterator[Any]:
        iterator = self._do("iter")
        if not isinstance(iterator, Remote):
            raise TypeError("the solution's __iter__ did not return an iterator")
        while True:
            try:
                value = next(iterator)
            except StopIteration:
                return
            yield value

    def __next__(self) -> Any:
        # The end of the solution's iterator arrives as a class StopIteration(SolutionRaised), see `exception_class`.
        # Here, where the tests called next(), it becomes the real StopIteration.
        try:
            return self._do("next")
        except SolutionRaised as error:
            if type(error).__name__ == "StopIteration":
                raise StopIteration from None
            raise

    def __enter__(self) -> Any:
        return self._do("enter")

    def __exit__(self, kind: Any, error: Any, trace: Any) -> bool:
        return bool(self._do("exit", None, None, None))

    def __len__(self) -> int:
        return self._do("len")  # type: ignore[no-any-return]

    def __bool__(self) -> bool:
        return self._do("bool")  # type: ignore[no-any-return]

    def __str__(self) -> str:
        return self._do("str")  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        return self._do("repr")  # type: ignore[no-any-return]

    def __int__(self) -> int:
        return self._do("int")  # type: ignore[no-any-return]

    def __float__(self) -> float:
        return self._do("float")  # type: ignore[no-any-return]

    def __instancecheck__(self, value: Any) -> bool:
        return isinstance(value, Remote) and bool(self._do("isinstance", value))

    # Two objects of the solution are compared by the solution's own __eq__. With a plain value there is no request at
    # all: `Liar() == 42` is False here, whatever Liar.__eq__ returns there.
    def __eq__(self, other: object) -> bool:
        return isinstance(other, Remote) and bool(self._do("equal", other))

    def __hash__(self) -> int:
        return hash(self._remote[1])


def export(value: Any) -> list[Any]:
    """Return the reference to one of the solution's objects. Raises: TypeError for an object of the tests' own."""
    if type(value) is Remote:
        return [value._remote[1]]  # noqa: SLF001 - the two belong together
    if isinstance(value, type) and issubclass(value, Exception) and "number" in vars(value):
        return [vars(value)["number"]]
    raise TypeError(f"the tests pass the solution a {type(value).__name__}; only plain values can be passed")


def update(old: Any, new: Any) -> None:
    """Make the tests' own container equal to the solution's changed copy, in place and in depth.

    Not ``old[:] = new``, because the tests may hold another reference to an inner container::

        row = [2, 1]; table = [row]
        sort_rows(table)          # the copy comes back as [[1, 2]]
        assert row == [1, 2]      # holds only if `row` itself was changed
    """
    if type(old) is not type(new):
        return
    if isinstance(old, list):
        for mine, theirs in zip(old, new, strict=False):
            update(mine, theirs)
        # An inner container that is equal now stays the tests' own object; other entries are replaced.
        old[:] = [m if m == t else t for m, t in zip(old, new, strict=False)] + new[len(old) :]
    elif isinstance(old, (dict, set)):
        if old != new or list(old) != list(new):
            old.clear()
            old.update(new)
    elif isinstance(old, bytearray):
        old[:] = new
