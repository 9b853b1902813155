"""Stand-ins for objects of the other end of the channel. Each operation on one is a request.

A stand-in is never equal to a plain value, so a solution gains nothing by returning an object whose ``__eq__`` is
always true. Nor can it learn an expected value: an operator that takes a plain value, as in ``f(2) - 1.5``, gives only
another stand-in, and no number can be made of that one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, Protocol

# Binary operators, by their names in the module `operator`.
BINARY = ("add", "sub", "mul", "truediv", "floordiv", "mod", "matmul", "lshift", "rshift", "and_", "or_", "xor")


class Peer(Protocol):
    """The other end of the channel, as stand-ins use it; `link.Link` is one."""

    values_with: dict[int, Any]
    guarded: bool

    def operate(self, name: str, *values: Any, **keywords: Any) -> Any:
        """Do an operation there."""


class SolutionRaised(Exception):  # noqa: N818 - stands for any exception of the solution
    """Stands for an exception that must not be raised here as itself: SystemExit, StopIteration and the like."""


class Remote:
    """An object of the other end."""

    __slots__ = ("__weakref__", "_link", "_name", "_number", "_tainted")

    def __init__(self, link: Peer, number: int, name: str) -> None:
        # Not self._link = ...: __setattr__ below sends that to the other end.
        for key, value in (("_link", link), ("_number", number), ("_name", name), ("_tainted", False)):
            object.__setattr__(self, key, value)

    def _do(self, operation: str, *values: Any, **keywords: Any) -> Any:
        result = self._link.operate(operation, self, *values, **keywords)
        return _guard(operation, (self, *values, *keywords.values()), result)

    def __call__(self, *values: Any, **keywords: Any) -> Any:
        return self._do("call", *values, **keywords)

    def __getattr__(self, name: str) -> Any:
        return self._do("getattr", name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._do("setattr", name, value)

    def __delattr__(self, name: str) -> None:
        self._do("delattr", name)

    @property
    def __dict__(self) -> Any:  # type: ignore[override]
        return self._do("getattr", "__dict__")

    @property
    def __doc__(self) -> Any:  # type: ignore[override]
        return self._do("getattr", "__doc__")

    @property
    def __module__(self) -> Any:  # type: ignore[override]
        return self._do("getattr", "__module__")

    def __dir__(self) -> Any:
        return self._do("dir")

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
        # The end of the other end's iterator arrives as a class StopIteration(SolutionRaised). Here, where next() was
        # called, it becomes the real StopIteration.
        try:
            return self._do("next")
        except SolutionRaised as error:
            if type(error).__name__ == "StopIteration":
                raise StopIteration from None
            raise

    def __contains__(self, value: Any) -> bool:
        if isinstance(value, Remote):
            return bool(self._do("contains", value))
        return any(value is item or value == item for item in self)

    def __reversed__(self) -> Any:
        return iter(self._do("reversed"))

    def __enter__(self) -> Any:
        return self._do("enter")

    def __exit__(self, kind: Any, error: Any, trace: Any) -> bool:
        return bool(self._do("exit", kind, error, None))

    def __await__(self) -> Any:
        return _finish(self).__await__()

    def __aiter__(self) -> AsyncIterator[Any]:
        return self._do("aiter")  # type: ignore[no-any-return]

    async def __anext__(self) -> Any:
        try:
            return self._do("anext")
        except SolutionRaised as error:
            if type(error).__name__ == "StopAsyncIteration":
                raise StopAsyncIteration from None
            raise

    async def __aenter__(self) -> Any:
        return self._do("aenter")

    async def __aexit__(self, kind: Any, error: Any, trace: Any) -> bool:
        return bool(self._do("aexit", kind, error, None))

    def __instancecheck__(self, value: Any) -> bool:
        at_home = number_at_home(value, self._link) is not None
        return at_home and bool(self._do("isinstance", value))

    def __subclasscheck__(self, value: Any) -> bool:
        at_home = number_at_home(value, self._link) is not None
        return at_home and bool(self._do("issubclass", value))

    # Two objects of the other end are compared by their own __eq__. With a plain value there is no request at all:
    # `Liar() == 42` is False here, whatever Liar.__eq__ returns there.
    def __eq__(self, other: object) -> bool:
        return isinstance(other, Remote) and bool(self._do("equal", other))

    def __lt__(self, other: object) -> bool:
        return bool(self._do("less", other)) if isinstance(other, Remote) else NotImplemented

    def __le__(self, other: object) -> bool:
        return bool(self._do("less or equal", other)) if isinstance(other, Remote) else NotImplemented

    def __gt__(self, other: object) -> bool:
        return bool(other._do("less", self)) if isinstance(other, Remote) else NotImplemented

    def __ge__(self, other: object) -> bool:
        return bool(other._do("less or equal", self)) if isinstance(other, Remote) else NotImplemented

    def __copy__(self) -> Any:
        return self._do("copy")

    def __deepcopy__(self, _: Any) -> Any:
        return self._do("deepcopy")


# What may be known of an object that was computed with a plain value, which may be the expected one.
_HARMLESS = {"equal", "less", "less or equal", "isinstance", "issubclass", "hash", "repr", "setattr", "setitem"}


def _guard(operation: str, operands: tuple[Any, ...], result: Any) -> Any:
    """Return the result of an operation, unless it could be a comparison with an expected value in disguise.

    ``solve(4) - 0.5`` is an object marked as tainted, and so is what is computed with it. If it gave a number, such as
    ``abs(solve(4) - 0.5)``, the solution could choose 0. Raises: TypeError.
    """
    if not any(map(_is_tainted, operands)):
        return result
    if isinstance(result, Remote):
        object.__setattr__(result, "_tainted", result._link.guarded)  # noqa: SLF001
        return result
    if operation in _HARMLESS:
        return result
    raise TypeError(f"{operation} of an object that was computed with a plain value is not supported")


def _is_tainted(value: Any) -> bool:
    if type(value) is Remote:
        return bool(value._tainted)  # noqa: SLF001
    if isinstance(value, dict):
        return any(map(_is_tainted, (*value, *value.values())))
    return isinstance(value, list | tuple | set | frozenset) and any(map(_is_tainted, value))


def _unary(operation: str) -> Callable[..., Any]:
    def method(self: Remote, *values: Any) -> Any:
        return self._do(operation, *values)

    return method


def _binary(operation: str, swapped: bool) -> Callable[[Remote, Any], Any]:
    def method(self: Remote, other: Any) -> Any:
        values = (other, self) if swapped else (self, other)
        result = self._link.operate(operation, *values)
        if self._link.guarded and not isinstance(other, Remote):
            if not isinstance(result, Remote):
                return NotImplemented
            object.__setattr__(result, "_tainted", True)
        return _guard(operation, values, result)

    return method


def _add_operators() -> None:
    for name in ("bool", "int", "float", "complex", "abs", "round", "index", "len", "bytes", "neg", "pos", "invert"):
        setattr(Remote, f"__{name}__", _unary(name))
    for name in ("str", "repr", "hash", "format"):
        setattr(Remote, f"__{name}__", _unary(name))
    for name in BINARY:
        plain = name.rstrip("_")
        setattr(Remote, f"__{plain}__", _binary(name, swapped=False))
        setattr(Remote, f"__r{plain}__", _binary(name, swapped=True))
        setattr(Remote, f"__i{plain}__", _binary(f"i{plain}", swapped=False))
    for name in ("pow", "divmod"):
        setattr(Remote, f"__{name}__", _binary(name, swapped=False))
        setattr(Remote, f"__r{name}__", _binary(name, swapped=True))


_add_operators()


async def _finish(remote: Remote) -> Any:
    """Run a coroutine or another awaitable of the other end, there, until it has a result."""
    return remote._do("await")  # noqa: SLF001


def coroutine(remote: Remote) -> Coroutine[Any, Any, Any]:
    """Return a coroutine that stands for one of the other end, so that ``asyncio.run`` accepts it."""
    return _Coroutine(remote)


class _Coroutine(Coroutine[Any, Any, Any]):
    """Stands for a coroutine; the object itself stays at the other end."""

    def __init__(self, remote: Remote) -> None:
        self._sandbox_remote = remote
        self._running: Coroutine[Any, Any, Any] | None = None

    def _run(self) -> Coroutine[Any, Any, Any]:
        if self._running is None:
            self._running = _finish(self._sandbox_remote)
        return self._running

    def __await__(self) -> Any:
        return self._run().__await__()

    def send(self, value: Any) -> Any:
        return self._run().send(value)

    def throw(self, *error: Any) -> Any:
        return self._run().throw(*error)

    def close(self) -> None:
        if self._running is not None:
            self._running.close()


class _WithRemote:
    """Added to a builtin type: a plain value together with the object of the other end that it is the value of."""

    _sandbox_remote: Any

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sandbox_remote, name)

    def __str__(self) -> str:
        return str(self._sandbox_remote)

    def __repr__(self) -> str:
        return repr(self._sandbox_remote)

    def __format__(self, spec: str) -> str:
        return format(self._sandbox_remote, spec)


_CLASSES_WITH_REMOTE: dict[type, Any] = {
    base: type(base.__name__, (_WithRemote, base), {}) for base in (int, float, str, bytes, tuple, frozenset)
}


def value_with(value: Any, remote: Any) -> Any:
    """Return `value`, of a builtin type, with the attributes of the object that it is the value of.

    ``Color.RED``, an IntEnum, is 1 and has a name; ``Point(1, 2)``, a named tuple, is ``(1, 2)`` and has an ``x``. It
    is equal to what the plain value is equal to. The same object gives the same value each time, as ``is`` expects.
    """
    if not isinstance(remote, Remote):  # it has come home
        return remote
    link, number = remote._link, remote._number  # noqa: SLF001
    if type(value) not in _CLASSES_WITH_REMOTE:
        raise ValueError("malformed value")
    known = link.values_with.get(number)
    if known is None or not isinstance(known, type(value)) or known != value:  # a list in a tuple may have changed
        known = link.values_with[number] = _CLASSES_WITH_REMOTE[type(value)](value)
        vars(known)["_sandbox_remote"] = remote
    return known


def number_at_home(value: Any, link: Peer) -> int | None:
    """Return the number that a stand-in's object has at the other end of `link`; None if it is not a stand-in."""
    remote = value if type(value) is Remote else _own_attributes(value).get("_sandbox_remote")
    return remote._number if type(remote) is Remote and remote._link is link else None  # noqa: SLF001


def _own_attributes(value: Any) -> Any:
    """Return the attributes of an object itself, not of its class, without calling any code of its class."""
    try:
        return (type if isinstance(value, type) else object).__getattribute__(value, "__dict__")
    except AttributeError:
        return {}
