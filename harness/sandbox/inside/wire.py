"""Messages between processes: frames of JSON over a file descriptor, and Python values as JSON.

Only data crosses: builtin values and a fixed list of standard library value types. Every other object crosses as a
reference that the receiver cannot look into. Reading a frame never runs code that the sender chose, which is why this
is not pickle.
"""

from __future__ import annotations

import builtins
import importlib
import os
import struct
from collections.abc import Callable
from json import dumps, loads  # by name: tests may patch the module
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
#     Color.RED           ["with", 1, ["ref", [3, ...]]]          an IntEnum: its value, and the object itself
#     np.arange(2)        ["numpy", "<i8", [2], "0000...", true]  type, shape, bytes, whether it is an array
#     Node()              ["ref", [3, "object", "Node", null]]    an object that stays where it is
# Every JSON list is tagged, so a program cannot return a list that reads as something else.


def _datetime_parts(value: Any) -> list[Any]:
    return [value.year, value.month, value.day, value.hour, value.minute, value.second, value.microsecond, value.tzinfo]


# Value types of the standard library that cross by value: from a value to its constructor's arguments.
_TO_PARTS: dict[str, Callable[[Any], list[Any]]] = {
    "collections.Counter": lambda v: [dict(v)],
    "collections.OrderedDict": lambda v: [list(v.items())],
    "collections.defaultdict": lambda v: [None, dict(v)],
    "collections.deque": lambda v: [list(v), v.maxlen],
    "datetime.date": lambda v: [v.year, v.month, v.day],
    "datetime.time": lambda v: [v.hour, v.minute, v.second, v.microsecond, v.tzinfo],
    "datetime.datetime": _datetime_parts,
    "datetime.timedelta": lambda v: [v.days, v.seconds, v.microseconds],
    "datetime.timezone": lambda v: list(v.__getinitargs__()),
    "decimal.Decimal": lambda v: [str(v)],
    "fractions.Fraction": lambda v: [v.numerator, v.denominator],
    "array.array": lambda v: [v.typecode, v.tolist()],
    "pathlib.PosixPath": lambda v: [str(v)],
    "pathlib.PurePosixPath": lambda v: [str(v)],
    "pathlib.PureWindowsPath": lambda v: [str(v)],
    "uuid.UUID": lambda v: [v.hex],
    "zoneinfo.ZoneInfo": lambda v: [v.key],
    "io.StringIO": lambda v: [v.getvalue()],
    "io.BytesIO": lambda v: [v.getvalue()],
    "builtins.complex": lambda v: [v.real, v.imag],
    "builtins.range": lambda v: [v.start, v.stop, v.step],
    "builtins.slice": lambda v: [v.start, v.stop, v.step],
    "builtins.memoryview": lambda v: [v.tobytes()],
    "types.MappingProxyType": lambda v: [dict(v)],
    "collections.ChainMap": lambda v: list(v.maps),
    "collections.UserDict": lambda v: [v.data],
    "collections.UserList": lambda v: [v.data],
    "collections.UserString": lambda v: [v.data],
    "re.compile": lambda v: [v.pattern, v.flags],
    **{
        f"ipaddress.IP{version}{kind}": lambda v: [str(v)]
        for version in ("v4", "v6")
        for kind in ("Address", "Network", "Interface")
    },
}
_C_NAMES = {
    "_io.StringIO": "io.StringIO",
    "_io.BytesIO": "io.BytesIO",
    "builtins.mappingproxy": "types.MappingProxyType",
    "re.Pattern": "re.compile",
}
_SCALARS = (bool, int, float, str)
_TYPES: dict[type, str] = {
    kind: kind.__name__
    for kind in vars(builtins).values()
    if isinstance(kind, type) and not issubclass(kind, BaseException) and kind is not type
} | {type(None): "NoneType"}
_TYPE_OF_NAME = {name: kind for kind, name in _TYPES.items()}
_SINGLETONS: dict[str, Any] = {"Ellipsis": ..., "NotImplemented": NotImplemented}
_VIEWS: dict[type, str] = {type({}.keys()): "keys", type({}.values()): "values", type({}.items()): "items"}
_FROM_TEXT: dict[str, Callable[[str], Any]] = {
    "int": lambda text: int(text, 16),
    "bytes": bytes.fromhex,
    "bytearray": bytearray.fromhex,
    "singleton": _SINGLETONS.__getitem__,
    "type": _TYPE_OF_NAME.__getitem__,
}
_VALUE_BASES: tuple[Any, ...] = (int, float, str, bytes, tuple, frozenset)
# By the builtin's own methods: str() of a member of `class Colour(str, Enum)` is "Colour.RED", but its value is "red".
_PLAIN: dict[Any, Callable[[Any], Any]] = {
    int: int.__int__,
    float: float.__float__,
    str: str.__str__,
    bytes: lambda value: bytes.__getitem__(value, slice(None)),
    tuple: lambda value: tuple.__getitem__(value, slice(None)),
    frozenset: lambda value: frozenset(frozenset.__iter__(value)),
}
_CONTAINER_BASES: tuple[Any, ...] = (list, set, dict)
_SEQUENCES: dict[str, Callable[[list[Any]], Any]] = {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset}


def encode(value: Any, export: Callable[[Any], Any]) -> Any:
    """Return `value` as JSON data; `export` returns the data for an object that cannot cross by value.

    An instance of a subclass of a builtin type (an IntEnum, a named tuple) crosses as the builtin value with a
    reference, so that its own methods, such as an ``__eq__`` that is always true, take no part in comparisons.
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
    return _encode_rare(value, kind, export)


def _encode_rare(value: Any, kind: type, export: Callable[[Any], Any]) -> Any:
    if kind in _VIEWS:
        return [_VIEWS[kind], [encode(part, export) for part in value]]
    if value is ... or value is NotImplemented:
        return ["singleton", repr(value)]
    if isinstance(value, type):
        return _encode_class(value, export)
    name = f"{kind.__module__}.{kind.__qualname__}"
    name = _C_NAMES.get(name, name)
    if name in _TO_PARTS and not _other_time_zone(value):
        return ["make", name, [encode(part, export) for part in _TO_PARTS[name](value)]]
    if kind.__module__ == "numpy" and hasattr(value, "dtype") and not value.dtype.hasobject:
        return ["numpy", value.dtype.str, list(value.shape), value.tobytes().hex(), kind.__name__ == "ndarray"]
    return _encode_subclass(value, kind, export)


def _encode_class(value: type, export: Callable[[Any], Any]) -> Any:
    # By identity: a metaclass of the solution may have an `__eq__` of its own, and no hash.
    builtin = next((name for kind, name in _TYPES.items() if kind is value), None)
    if builtin:
        return ["type", builtin]
    name = f"{value.__module__}.{value.__qualname__}"
    return ["class", name] if name in _TO_PARTS and _class(name) is value else export(value)


def _encode_subclass(value: Any, kind: type, export: Callable[[Any], Any]) -> Any:
    for base in _VALUE_BASES:
        if isinstance(value, base):
            return ["with", encode(_PLAIN[base](value), export), export(value)]
    # class Cache(dict) with a method `get_or_load` crosses as a reference, because the tests may call that method.
    for base in _CONTAINER_BASES:
        if isinstance(value, base) and all(name.startswith("_") for name in set(dir(kind)) - set(dir(base))):
            return encode(base(value), export)
    return export(value)


def _other_time_zone(value: Any) -> bool:
    """Whether `value` has a time zone of a class that does not cross by value."""
    zone = getattr(value, "tzinfo", None)
    return zone is not None and f"{type(zone).__module__}.{type(zone).__qualname__}" not in _TO_PARTS


def _class(name: str) -> Any:
    """Return a class of the list above; no other is ever imported."""
    if name not in _TO_PARTS:
        raise ValueError("malformed value")
    module, _, attribute = name.rpartition(".")
    return getattr(importlib.import_module(module), attribute)


def decode(data: Any, resolve: Callable[[list[Any]], Any]) -> Any:
    """Undo `encode`; `resolve` returns what other tagged data stand for. Raises: ValueError if malformed."""
    if not isinstance(data, list):
        if data is None or type(data) in _SCALARS:
            return data
        raise ValueError("malformed value")
    tag = data[0]
    if tag in _SEQUENCES:
        return _SEQUENCES[tag]([decode(item, resolve) for item in data[1]])
    if tag == "dict":
        return {decode(k, resolve): decode(v, resolve) for k, v in data[1]}
    return _decode_rare(tag, data, resolve)


def _decode_rare(tag: Any, data: list[Any], resolve: Callable[[list[Any]], Any]) -> Any:
    if tag in _FROM_TEXT:
        return _FROM_TEXT[tag](data[1])
    if tag == "make":
        return _class(data[1])(*[decode(part, resolve) for part in data[2]])
    if tag == "class":
        return _class(data[1])
    if tag in _VIEWS.values():
        return _view(tag, [decode(part, resolve) for part in data[1]])
    if tag == "numpy":
        return _array(*data[1:])
    return resolve(data)


def _array(kind: str, shape: list[int], content: str, is_array: bool) -> Any:
    """Return a numpy array, or the scalar of numpy's that it would hold."""
    numpy = importlib.import_module("numpy")
    array = numpy.frombuffer(bytes.fromhex(content), dtype=numpy.dtype(kind)).reshape(shape).copy()
    return array if is_array else array[()]


def _view(tag: str, parts: list[Any]) -> Any:
    """Return a dictionary's view with these entries."""
    if tag == "keys":
        return dict.fromkeys(parts).keys()
    if tag == "items":
        return dict(parts).items()
    return dict(enumerate(parts)).values()
