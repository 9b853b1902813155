"""Messages between processes: frames of JSON over a file descriptor, and Python values as JSON.

Only data crosses: builtin values and a fixed list of standard library value types. Every other object crosses as a
reference that the receiver cannot look into. Reading a frame never runs code that the sender chose, which is why this
is not pickle.
"""

from __future__ import annotations

import importlib
import os
import struct
from collections.abc import Callable
from json import dumps, loads  # by name, so that tests may patch the module
from typing import Any

MAX_FRAME_BYTES = 64 << 20
_PLAIN_INT_BITS = 4096  # Python refuses to print integers much longer than this in decimal


class Closed(Exception):  # noqa: N818 - the end of a file, not an error
    """The other end is closed."""


def read_exactly(descriptor: int, size: int) -> bytes:
    """Read `size` bytes. Raises: Closed at the end of the file."""
    data = os.read(descriptor, size) if size else b""
    while len(data) < size:
        more = os.read(descriptor, size - len(data))
        if not more:
            raise Closed
        data += more
    return data


# A frame is the length of the body in four bytes, big-endian, then the body as JSON:
#     00 00 00 04   74 72 75 65        the value true
# Not one line per message, because the receiver must learn the size before it reads: the sender may be a hostile
# program that writes without end.
def frame(message: object) -> bytes:
    """Return `message` as one frame."""
    body = dumps(message).encode()
    return struct.pack(">I", len(body)) + body


def send(descriptor: int, message: object) -> None:
    """Write one frame. Raises: Closed when the other end is closed."""
    data = frame(message)
    try:
        written = os.write(descriptor, data)
        while written < len(data):
            written += os.write(descriptor, data[written:])
    except (BrokenPipeError, ConnectionResetError):
        raise Closed from None


def receive(descriptor: int) -> Any:
    """Read one frame. Raises: Closed; ValueError when it is too long or not JSON."""
    try:
        head = os.read(descriptor, 4)
        if not head:
            raise Closed
        head += read_exactly(descriptor, 4 - len(head))
        (size,) = struct.unpack(">I", head)
        if size > MAX_FRAME_BYTES:
            raise ValueError(f"a value of {size} bytes is larger than the limit of {MAX_FRAME_BYTES}")
        return loads(read_exactly(descriptor, size))
    except ConnectionResetError:
        raise Closed from None


# Values as JSON. JSON has one kind of list and only strings as keys, so each container carries its type:
#     [1, (2.5, "a")]     ["list", [1, ["tuple", [2.5, "a"]]]]
#     {1: b"\xff"}        ["dict", [[1, ["bytes", "ff"]]]]
#     10**2000            ["int", "0x2d..."]                      longer than Python prints in decimal
#     Fraction(1, 3)      ["make", "fractions.Fraction", [1, 3]]  the class and its constructor's arguments
#     Node()              ["ref", [3, "object", "Node", null]]    an entry of the solution's ObjectTable
# Every JSON list is tagged, so a program cannot return a list that reads as something else.

# Value types of the standard library that cross by value: from a value to its constructor's arguments.
_TO_PARTS: dict[str, Callable[[Any], list[Any]]] = {
    "collections.Counter": lambda v: [dict(v)],
    "collections.OrderedDict": lambda v: [list(v.items())],
    "collections.defaultdict": lambda v: [None, dict(v)],
    "collections.deque": lambda v: [list(v), v.maxlen],
    "datetime.date": lambda v: [v.year, v.month, v.day],
    "datetime.time": lambda v: [v.hour, v.minute, v.second, v.microsecond],
    "datetime.datetime": lambda v: [v.year, v.month, v.day, v.hour, v.minute, v.second, v.microsecond],
    "datetime.timedelta": lambda v: [v.days, v.seconds, v.microseconds],
    "decimal.Decimal": lambda v: [str(v)],
    "fractions.Fraction": lambda v: [v.numerator, v.denominator],
    "array.array": lambda v: [v.typecode, v.tolist()],
    "builtins.complex": lambda v: [v.real, v.imag],
    "builtins.range": lambda v: [v.start, v.stop, v.step],
}
_SCALARS = (bool, int, float, str)
_TYPES: tuple[type, ...] = (bool, int, float, complex, str, bytes, list, tuple, set, frozenset, dict, type(None))
_FROM_TEXT: dict[str, Callable[[str], Any]] = {
    "int": lambda text: int(text, 16),
    "bytes": bytes.fromhex,
    "bytearray": bytearray.fromhex,
    "type": {kind.__name__: kind for kind in _TYPES}.__getitem__,
}
_BASES: tuple[Any, ...] = (int, float, str, bytes, list, tuple, set, frozenset, dict)
_SEQUENCES: dict[str, Callable[[list[Any]], Any]] = {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset}


def encode(value: Any, export: Callable[[Any], Any]) -> Any:
    """Return `value` as JSON data; `export` returns the reference for an object that cannot cross by value.

    An instance of a subclass of a builtin type (an IntEnum, a named tuple) crosses as the builtin value, so that its
    own methods, such as an ``__eq__`` that is always true, take no part in comparisons on the other side.
    """
    kind = type(value)
    # Exact types first, by `type` and not `isinstance`: a subclass is handled at the end, after its methods are gone.
    if kind is int and value.bit_length() > _PLAIN_INT_BITS:
        return ["int", hex(value)]
    if value is None or kind in _SCALARS:
        return value
    if kind.__name__ in _SEQUENCES and kind.__module__ == "builtins":
        return [kind.__name__, [encode(item, export) for item in value]]
    if kind is dict:
        return ["dict", [[encode(k, export), encode(v, export)] for k, v in value.items()]]
    if kind in (bytes, bytearray):
        return [kind.__name__, value.hex()]
    if kind is type and value in _TYPES:
        return ["type", value.__name__]
    name = f"{kind.__module__}.{kind.__qualname__}"
    if name in _TO_PARTS and getattr(value, "tzinfo", None) is None:
        return ["make", name, [encode(part, export) for part in _TO_PARTS[name](value)]]
    # class Point(namedtuple("P", "x y")): Point(1, 2) crosses as ["tuple", [1, 2]]; class Cache(dict) with a method
    # `get_or_load` crosses as a reference, because the tests may call that method.
    for base in _BASES:
        if isinstance(value, base) and not _has_methods_of_its_own(kind, base):
            return encode(base(value), export)
    return ["ref", export(value)]


def _has_methods_of_its_own(kind: type, base: type) -> bool:
    """Whether `kind`, a subclass of a mutable container, adds public methods to those of `base`."""
    return base in (list, dict, set) and any(not name.startswith("_") for name in set(dir(kind)) - set(dir(base)))


def decode(data: Any, resolve: Callable[[Any], Any]) -> Any:
    """Undo `encode`; `resolve` returns the object that stands for a reference here. Raises: ValueError if malformed."""
    if not isinstance(data, list):
        if data is None or type(data) in _SCALARS:
            return data
        raise ValueError("malformed value")
    tag = data[0]
    if tag in _SEQUENCES:
        return _SEQUENCES[tag]([decode(item, resolve) for item in data[1]])
    if tag == "dict":
        return {decode(k, resolve): decode(v, resolve) for k, v in data[1]}
    if tag in _FROM_TEXT:
        return _FROM_TEXT[tag](data[1])
    # Only classes in the list above are ever imported and called: ["make", "os.system", ...] is malformed.
    if tag == "make" and data[1] in _TO_PARTS:
        module, _, name = data[1].rpartition(".")
        return getattr(importlib.import_module(module), name)(*[decode(part, resolve) for part in data[2]])
    if tag == "ref":
        return resolve(data[1])
    raise ValueError("malformed value")
