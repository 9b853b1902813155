"""Plain values cross the wire unchanged in value and type; malformed data is refused."""

from __future__ import annotations

import collections
import datetime
import decimal
import fractions
import json
import os
import pathlib
import uuid
import zoneinfo
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.sandbox.inside import wire

hashable = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=()))
    | st.binary()
    | st.complex_numbers(allow_nan=False)
    | st.datetimes()
    | st.timedeltas()
    | st.fractions()
    | st.decimals(allow_nan=False),
    lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3),
    max_leaves=5,
)
values: st.SearchStrategy[object] = st.recursive(
    hashable | st.sets(hashable, max_size=3) | st.builds(bytearray, st.binary()),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(hashable, inner, max_size=3)
        | st.builds(collections.deque, st.lists(inner, max_size=3))
        | st.builds(collections.OrderedDict, st.dictionaries(hashable, inner, max_size=3))
    ),
    max_leaves=8,
)


def no_reference(value: object) -> Any:
    pytest.fail(f"{value!r} crosses as a reference")


def across(value: object) -> Any:
    return wire.decode(json.loads(json.dumps(wire.encode(value, no_reference))), malformed)


def malformed(data: list[Any]) -> Any:
    raise ValueError(f"malformed value {data!r}")


@given(values)
def test_values_come_back_equal_and_with_the_same_types(value: object) -> None:
    back = across(value)
    assert back == value
    assert repr(back) == repr(value) or isinstance(value, set | frozenset | dict | list | tuple | collections.deque)
    assert type(back) is type(value)


ODD_VALUES = [
    -0.0,
    float("inf"),
    "\ud800",
    range(1, 9, 3),
    int,
    dict,
    fractions.Fraction(1, 3),
    decimal.Decimal("1E+400"),
    datetime.date(1, 1, 1),
    collections.Counter("aab"),
    pathlib.PurePosixPath("/a/b"),
    pathlib.PosixPath("a"),
    datetime.datetime(2020, 1, 2, tzinfo=datetime.UTC),
    datetime.time(1, 2, tzinfo=datetime.timezone(datetime.timedelta(hours=2), "here")),
    uuid.UUID(int=5),
    zoneinfo.ZoneInfo("UTC"),
    {"a": 1}.keys(),
    {"a": 1}.items(),
    slice(1, None, 2),
    ...,
    NotImplemented,
    datetime.datetime,
    object,
]


@pytest.mark.parametrize("value", ODD_VALUES, ids=ascii)
def test_odd_values_come_back_too(value: object) -> None:
    assert repr(across(value)) == repr(value)


@pytest.mark.parametrize("exponent", [1000, 4300, 5000, 50000])
def test_integers_longer_than_python_prints_come_back(exponent: int) -> None:
    assert (across(-(10**exponent)) == -(10**exponent)) is True


MALFORMED = [["ref"], ["make", "os.system", [["list", ["id"]]]], ["type", "nothing"], {}, [], ["?"]]


@pytest.mark.parametrize("data", MALFORMED)
def test_malformed_data_is_refused(data: object) -> None:
    with pytest.raises((ValueError, KeyError, IndexError)):
        wire.decode(data, malformed)


def test_a_frame_that_is_too_long_is_refused_before_it_is_read() -> None:
    reader, writer = os.pipe()
    os.write(writer, (1 << 31).to_bytes(4, "big"))
    with pytest.raises(ValueError, match="larger"):
        wire.receive(reader)
    os.close(writer)
    os.close(reader)
