"""The solution as its tests see it: a channel that asks within limits, and objects that live on the other side.

What the solution returns arrives as plain values, compared by Python's own types; an object of the solution's own class
arrives as a `Remote`, which has methods but is never equal to a plain value.
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

# Modules that the tests may find in the solution's name space without importing them; they are imported here anew.
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
    """The solution's process is gone."""


class LimitReached(BaseException):
    """A limit was reached; the arguments are the verdict's status and detail."""


class Channel:
    """Asks the solution's process, within its limits, and turns its answers into values or exceptions."""

    def __init__(self, descriptor: int, output: int, pid: int, limits: dict[str, Any]) -> None:
        self.descriptor, self.output, self.limits = descriptor, output, limits
        self.clock = (~pid << 3) | 2  # the kernel's clock id of another process's CPU time
        self.wall_seconds_left = limits["wall_seconds"]
        self.output_bytes_left = limits["output_kb"] << 10
        self.classes: dict[int, Any] = {}
        self.poll = select.poll()
        self.poll.register(descriptor, select.POLLIN)
        self.poll.register(output, select.POLLIN)

    def __enter__(self) -> Channel:
        """Count wall time by an alarm, which also rings for tests that loop without asking anything.

        Ticks are counted and not the clock read, so that a machine that is suspended for a minute costs one tick.
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
        """Wait for an answer. Raises: LimitReached."""
        while True:
            try:
                cpu_left = self.limits["cpu_seconds"] - time.clock_gettime(self.clock)
            except OSError:  # the process is gone, as reading will show
                return
            if cpu_left <= 0:
                raise LimitReached("timeout", f"CPU time: more than {self.limits['cpu_seconds']:.3g} s")
            ready = dict(self.poll.poll(1000 * cpu_left + 1))
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
        """Send one request; returns the reply's value and its arguments afterwards, both undecoded."""
        try:
            wire.send(self.descriptor, message)
            self._wait()
            reply = wire.receive(self.descriptor)
        except wire.Closed:
            raise SolutionLost from None
        if reply[0] == "raised":
            raise self.exception(reply[1], str(reply[2]))
        return reply[1], reply[2]

    def operate(self, name: str, *values: Any, **keywords: Any) -> Any:
        """Do `name` on the other side; mutable arguments are afterwards what it made of them."""
        encoded = [wire.encode(value, export) for value in values]
        keyword_pairs = [[key, wire.encode(value, export)] for key, value in keywords.items()]
        result, after = self.request([name, encoded, keyword_pairs])
        if after is not None:
            for value, now in zip(values, after, strict=True):
                update(value, wire.decode(now, self.resolve))
        return wire.decode(result, self.resolve)

    def resolve(self, reference: list[Any]) -> Any:
        """Turn a reference into a module, an exception class or a `Remote`."""
        number, kind, name, base = reference
        if kind == "module":
            if name not in _MODULES:
                raise NameError(f"the tests use the module {name!r} but do not import it")
            return importlib.import_module(name)
        if kind == "class" and base is not None:
            return self.exception_class(int(number), str(name), str(base))
        return Remote(self, int(number), str(name))

    def exception_class(self, number: int, name: str, base: str) -> Any:
        """Return the builtin exception `name`, or a class here that stands for the solution's own."""
        root = getattr(builtins, base, None)
        can_be_raised_here = (
            isinstance(root, type) and issubclass(root, Exception) and not issubclass(root, _ENDS_LOOPS)
        )
        parent: Any = root if can_be_raised_here else SolutionRaised
        if parent.__name__ == name:
            return parent
        if number not in self.classes:
            self.classes[number] = type(name, (parent,), {"number": number})
        return self.classes[number]

    def exception(self, reference: list[Any], text: str) -> BaseException:
        """Build what is raised here for an exception there."""
        kind = self.resolve(reference)
        try:
            error = kind(text)
        except Exception:
            error = SolutionRaised(f"{reference[2]}: {text}")
        error.from_solution = f"{reference[2]}: {text}" if text else str(reference[2])
        return error  # type: ignore[no-any-return]


class SolutionRaised(Exception):  # noqa: N818 - stands for whatever the solution raised
    """Stands for an exception that must not be raised here as itself: SystemExit, StopIteration and their like."""


# These would end a loop or a generator of the tests as if it had gone through.
_ENDS_LOOPS = (StopIteration, StopAsyncIteration)


class Remote:
    """An object of the solution's own kind. Everything asked of it happens on the other side."""

    def __init__(self, channel: Channel, number: int, name: str) -> None:
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
            raise TypeError("the solution's __iter__ returned no iterator")
        while True:
            try:
                value = next(iterator)
            except StopIteration:
                return
            yield value

    def __next__(self) -> Any:
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

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Remote) and bool(self._do("equal", other))

    def __hash__(self) -> int:
        return hash(self._remote[1])


def export(value: Any) -> list[Any]:
    """Name one of the solution's own objects to the solution. Raises: TypeError for an object of the tests."""
    if type(value) is Remote:
        return [value._remote[1]]  # noqa: SLF001 - the two belong together
    if isinstance(value, type) and issubclass(value, Exception) and "number" in vars(value):
        return [vars(value)["number"]]
    raise TypeError(f"the tests hand the solution a {type(value).__name__}; only plain values can cross")


def update(old: Any, new: Any) -> None:
    """Make the tests' own container equal to what the solution made of its copy, in place and in depth."""
    if type(old) is not type(new):
        return
    if isinstance(old, list):
        for mine, theirs in zip(old, new, strict=False):
            update(mine, theirs)
        old[:] = [m if m == t else t for m, t in zip(old, new, strict=False)] + new[len(old) :]
    elif isinstance(old, (dict, set)):
        if old != new or list(old) != list(new):
            old.clear()
            old.update(new)
    elif isinstance(old, bytearray):
        old[:] = new
