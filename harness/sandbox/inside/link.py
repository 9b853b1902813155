"""One end of the channel between the tests and the solution: objects that stay here, requests that go there.

Both ends work alike. A plain value crosses as a copy, any other object as a number in the table of its own end, and the
other end uses a `remote.Remote` in its place::

    tests                                                   solution
    queue = Queue()     ["do", "call", [["home", 0]]...]    table[0] is Queue; its instance becomes table[1]
    <Remote 1>          ["value", ["ref", [1, "object", "Queue", null]], null]
    queue.push(5)       ["do", "getattr", [["home", 1], "push"]] and so on
    sort_by(x, key)     key is a function of the tests      <Remote 0>, each call is a request to the tests

While one end waits for a reply it answers requests of the other: `key` above is called while `sort_by` runs.
"""

from __future__ import annotations

import collections
import copy
import io
import operator
import types
from collections.abc import Callable
from typing import Any

from . import wire
from .remote import BINARY, Remote, coroutine, number_at_home, value_with

# What one end may do with an object of the other.
OPERATIONS: dict[str, Callable[..., Any]] = {
    "call": lambda target, *args, **kwargs: target(*args, **kwargs),
    "enter": lambda target: target.__enter__(),
    "exit": lambda target, *args: target.__exit__(*args),
    "isinstance": lambda target, value: isinstance(value, target),
    "issubclass": lambda target, value: issubclass(value, target),
    "equal": lambda target, value: bool(target == value),
    "less": lambda target, value: bool(target < value),
    "less or equal": lambda target, value: bool(target <= value),
    "contains": lambda target, value: value in target,
    **{f.__name__: f for f in (getattr, setattr, delattr, iter, next, len, bool, str, repr, int, float, complex)},
    **{f.__name__: f for f in (hash, abs, round, reversed, dir, format, bytes, divmod, pow)},
    **{f.__name__: f for f in (operator.getitem, operator.setitem, operator.delitem, operator.index)},
    **{f.__name__: f for f in (operator.neg, operator.pos, operator.invert)},
    **{f.__name__: f for f in (copy.copy, copy.deepcopy)},
    "await": lambda target: finish(target),
    "aiter": lambda target: target.__aiter__(),
    "anext": lambda target: finish(target.__anext__()),
    "aenter": lambda target: finish(target.__aenter__()),
    "aexit": lambda target, *args: finish(target.__aexit__(*args)),
}
OPERATIONS |= {name: getattr(operator, name) for name in BINARY}
OPERATIONS |= {f"i{name.rstrip('_')}": getattr(operator, f"i{name.rstrip('_')}") for name in BINARY} | {
    "ipow": operator.ipow
}
_IMMUTABLE = (int, float, str, bool, bytes, type(None))
MAX_TEXT = 2000
NO_NUMBER = -1  # of a builtin exception class, which both ends have
_event_loops: list[Any] = []


def finish(awaitable: Any) -> Any:
    """Run a coroutine, or something else that can be awaited, to its end; returns its result.

    Each process has an event loop for this, because the other end cannot run one step of a coroutine at a time. If a
    loop runs already, the awaiting code is within it, and another thread runs the coroutine.
    """

    async def run() -> Any:
        return await awaitable

    # Only few programs use these modules, which take longer to import than most programs run.
    import asyncio
    from concurrent.futures import ThreadPoolExecutor

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        if not _event_loops:
            _event_loops.append(asyncio.new_event_loop())
        return _event_loops[0].run_until_complete(run())
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(asyncio.run, run()).result()


class Gone(BaseException):
    """The other end has ended. A BaseException, so that ``except Exception`` in a test does not catch it."""


class Link:
    """One end of the channel; `channel` and `solution` say what each end allows the other.

    Attributes:
        guarded: Whether results must not reveal what was computed with plain values; see `remote`.
    """

    guarded = False

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        # Own objects that the other end refers to. Never removed, so that an ``id`` is not used again meanwhile.
        self.objects: list[Any] = []
        self.numbers: dict[int, int] = {}  # id of an object: its number
        self.stand_ins: dict[int, Any] = {}  # number at the other end: what stands for that object here
        self.values_with: dict[int, Any] = {}  # the same for objects that are values, such as an IntEnum's members

    def number_of(self, value: Any) -> int:
        """Return the number of an object of this end."""
        number = self.numbers.setdefault(id(value), len(self.objects))
        if number == len(self.objects):
            self.objects.append(value)
        return number

    def export(self, value: Any) -> Any:
        """Return the data for an object that does not cross by value.

        ``["ref", [0, "object", "function", None]]`` for a function, ``["ref", [4, "class", "Bad", "ValueError"]]`` for
        an exception class, ``["home", 7]`` for one of the other end's, ``["module", "math"]`` for a module.
        """
        home = number_at_home(value, self)
        if home is not None:
            return ["home", home]
        if isinstance(value, types.ModuleType):
            return ["module", value.__name__]
        if isinstance(value, BaseException):
            return ["exception", self.describe(value)]
        return ["ref", self.reference(value)]

    def reference(self, value: Any) -> list[Any]:
        """Return number, kind, name and, of an exception class, the builtin class that it is or derives from."""
        if isinstance(value, type):
            base = builtin_exception(value)
            number = NO_NUMBER if base and value.__module__ == "builtins" else self.number_of(value)
            return [number, "class", value.__name__, base]
        kind = "coroutine" if isinstance(value, types.CoroutineType) else "object"
        return [self.number_of(value), kind, type(value).__name__, None]

    def resolve(self, data: list[Any]) -> Any:
        """Return what tagged data stand for here. Raises: ValueError if malformed."""
        if data[0] == "home":
            return self.own_object(data[1])
        if data[0] == "ref":
            return self.stand_in(data[1])
        if data[0] == "with":
            return value_with(wire.decode(data[1], self.resolve), wire.decode(data[2], self.resolve))
        if data[0] == "module":
            return self.module(data[1])
        if data[0] == "exception":
            return self.exception(data[1])
        raise ValueError("malformed value")

    def own_object(self, number: Any) -> Any:
        """Return an object of this end by its number. Raises: ValueError."""
        if type(number) is not int or not 0 <= number < len(self.objects):
            raise ValueError("malformed value")
        return self.objects[number]

    def stand_in(self, reference: list[Any]) -> Any:
        """Return what stands here for an object of the other end: always the same for the same object."""
        number = int(reference[0])
        if number == NO_NUMBER:
            return self.exception_class(None, str(reference[2]), str(reference[3]))
        if number not in self.stand_ins:
            remote = Remote(self, number, str(reference[2]))
            if reference[1] == "class" and reference[3] is not None:
                self.stand_ins[number] = self.exception_class(remote, str(reference[2]), str(reference[3]))
            else:
                self.stand_ins[number] = coroutine(remote) if reference[1] == "coroutine" else remote
        return self.stand_ins[number]

    def describe(self, error: BaseException, depth: int = 0) -> list[Any]:
        """Return class, text, arguments, number and cause of an exception.

        ``[[4, "class", "Bad", "ValueError"], "negative", ["tuple", ["negative"]], 9, None]``; None also stands in place
        of arguments that do not cross.
        """
        home = number_at_home(error, self)
        if home is not None:
            return ["home", home]
        try:
            text = str(error)[:MAX_TEXT]
        except BaseException:
            text = ""
        try:
            parts = error.args
            if isinstance(error, OSError) and error.filename is not None and len(parts) == 2:
                parts = (*parts, error.filename)  # it takes this argument and does not keep it there
            arguments = wire.encode(parts, self.export)
        except BaseException:
            arguments = None
        cause = None if error.__cause__ is None or depth else self.describe(error.__cause__, depth + 1)
        return [self.reference(type(error)), text, arguments, self.number_of(error), cause]

    def operate(self, name: str, *values: Any, **keywords: Any) -> Any:
        """Do the operation `name` at the other end; afterwards mutable arguments are as it left them."""
        # operate("call", <Remote 0>, [3, 1]) sends ["do", "call", [["home", 0], ["list", [3, 1]]], []]
        encoded = [wire.encode(value, self.export) for value in values]
        keyword_pairs = [[key, wire.encode(value, self.export)] for key, value in keywords.items()]
        result, after = self.request(["do", name, encoded, keyword_pairs])
        if after is not None:
            for value, now in zip(values, after, strict=True):
                update(value, wire.decode(now, self.resolve))
        return wire.decode(result, self.resolve)

    def request(self, message: list[Any]) -> tuple[Any, Any]:
        """Send one request; returns the result and the arguments afterwards, both still encoded.

        Raises:
            Gone: The other end has ended.
            Exception: The exception that the request raised there.
        """
        try:
            wire.send(self.descriptor, message)
            while True:
                self.wait()
                reply = wire.receive(self.descriptor)
                if reply[0] == "value":
                    return reply[1], reply[2]
                if reply[0] == "raised":
                    raise self.exception(reply[1])
                wire.send(self.descriptor, self.answer(reply))
        except wire.Closed:
            raise Gone from None

    def answer(self, request: list[Any]) -> list[Any]:
        """Do what the other end asks; the reply holds the value and, if they have changed, the arguments."""
        _, name, encoded, keywords = request
        values = wire.decode(["list", encoded], self.resolve)
        try:
            named = wire.decode(["dict", keywords], self.resolve)
            result = wire.encode(self.perform(name, values, named), self.export)
            if all(type(value) in _IMMUTABLE for value in values[1:]):
                return ["value", result, None]
            # The arguments crossed as copies. The tests may check that a list was sorted in place, so they go back.
            after = [wire.encode(value, self.export) for value in values]
            return ["value", result, None if after == encoded else after]
        except self.not_answered():
            raise
        except BaseException as error:  # the other end decides what an exception means, even SystemExit
            return ["raised", self.describe(error)]

    def not_answered(self) -> type[BaseException]:
        """Return the class of exceptions that are no answer but end this process."""
        return Gone

    def wait(self) -> None:
        """Wait for a message."""

    def perform(self, name: str, values: list[Any], keywords: dict[str, Any]) -> Any:
        """Do one operation on an object of this end."""
        return OPERATIONS[name](*values, **keywords)

    def module(self, name: str) -> Any:
        """Return the module that stands for a module of the other end."""
        raise NotImplementedError

    def exception_class(self, remote: Remote | None, name: str, base: str) -> Any:
        """Return a class for an exception class of the other end."""
        raise NotImplementedError

    def exception(self, described: list[Any]) -> BaseException:
        """Return an exception for one of the other end; see `describe`."""
        raise NotImplementedError


def builtin_exception(kind: type) -> str | None:
    """Return the name of the builtin exception that `kind` is or derives from; None if it is not an exception."""
    names = [base.__name__ for base in kind.__mro__ if base.__module__ == "builtins"]
    return names[0] if issubclass(kind, BaseException) else None


def update(old: Any, new: Any) -> None:
    """Make a container of this end equal to the other end's changed copy, in place and in depth.

    Not ``old[:] = new``, because another reference to an inner container may exist::

        row = [2, 1]; table = [row]
        sort_rows(table)          # the copy comes back as [[1, 2]]
        assert row == [1, 2]      # holds only if `row` itself was changed
    """
    if type(old) is not type(new):
        return
    if isinstance(old, list):
        for mine, theirs in zip(old, new, strict=False):
            update(mine, theirs)
        # An inner container that is equal now stays this end's own object; other entries are replaced.
        old[:] = [m if m == t else t for m, t in zip(old, new, strict=False)] + new[len(old) :]
    elif isinstance(old, (dict, set)):
        if old != new or list(old) != list(new):
            old.clear()
            old.update(new)
    elif isinstance(old, bytearray):
        old[:] = new
    elif isinstance(old, (io.StringIO, io.BytesIO)):
        old.seek(0)
        old.truncate()
        old.write(new.getvalue())
    elif type(old).__module__ == "numpy" and old.shape and old.shape == new.shape:
        old[...] = new
    elif isinstance(old, collections.deque):
        old.clear()
        old.extend(new)
