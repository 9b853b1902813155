"""Halves of a pack side by side: shared out evenly, each with its own threads, errors raised behind both."""

from __future__ import annotations

import contextlib
import gc
import threading
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harness.scorers.base import Answer
from harness.scorers.prefix import Unit
from harness.scorers.streams import Streams, halves
from tests.scorers.families import save_family
from tests.scorers.test_packed import answers, mixed_requests, open_packed


def unit(tokens: int) -> Unit:
    made = Unit(depth=0)
    made.extend(list(range(tokens)))
    return made


@given(st.lists(st.integers(1, 300), min_size=1, max_size=40))
def test_halves_hold_every_unit_once_and_are_even(sizes: list[int]) -> None:
    units = [unit(size) for size in sizes]
    parts = halves(units)
    assert sorted(id(each) for part in parts for each in part) == sorted(id(each) for each in units)
    tokens = [sum(len(each.tokens) for each in part) for part in parts]
    assert len(parts) == 1 or max(tokens) <= 1.25 * min(tokens)


@pytest.mark.parametrize(
    ("sizes", "parts"), [([9], 1), ([9, 9], 2), ([9, 9, 9], 1), ([30, 10], 1), ([7, 6, 5, 4], 2), ([100] * 9, 2)]
)
def test_what_cannot_be_halved_stays_together(sizes: list[int], parts: int) -> None:
    assert len(halves([unit(size) for size in sizes])) == parts


def test_parts_run_at_the_same_time_on_their_share_of_the_threads() -> None:
    before = torch.get_num_threads()
    meet = threading.Barrier(2, timeout=60)

    def run(part: str) -> tuple[str, int]:
        meet.wait()  # breaks unless both are running
        return part, torch.get_num_threads()

    streams = Streams()
    said = dict(streams.map(run, ["a", "b"]))
    assert sorted(said.values()) == sorted([max(1, before // 2), max(1, before - before // 2)])
    assert list(said) == ["a", "b"]
    assert torch.get_num_threads() == before
    seen: list[int] = []
    new = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
    new.start()
    new.join()
    assert seen == [before], "a thread that starts later has all of them too"


def test_the_threads_end_with_their_owner() -> None:
    others = set(threading.enumerate())
    mine = Streams()
    threads = set(threading.enumerate()) - others
    assert len(threads) == 2
    del mine
    for thread in threads:
        thread.join(timeout=60)
        assert not thread.is_alive()


def test_a_failed_pass_leaves_no_tensor_behind() -> None:
    streams = Streams()
    held: list[weakref.ref[torch.Tensor]] = []

    def run(part: str) -> None:
        activations = torch.zeros(10)
        held.append(weakref.ref(activations))
        raise ValueError(part)

    gc.collect()
    gc.disable()
    try:
        with contextlib.suppress(ValueError):
            streams.map(run, ["a", "b"])
        assert [reference() for reference in held] == [None, None]
    finally:
        gc.enable()


def test_an_error_is_raised_when_the_other_part_is_done() -> None:
    before, done = torch.get_num_threads(), threading.Event()
    failed = threading.Event()

    def run(part: str) -> None:
        if part == "bad":
            failed.set()
            raise torch.OutOfMemoryError("no memory")
        failed.wait(timeout=60)
        done.set()

    streams = Streams()
    with pytest.raises(torch.OutOfMemoryError):
        streams.map(run, ["bad", "good"])
    assert done.is_set()
    assert torch.get_num_threads() == before


def test_one_thread_and_two_streams_give_the_same_scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_num_threads()
    requests = mixed_requests(5)
    maps: list[int] = []
    original = Streams.map

    def counted(streams: Streams, run: Any, parts: Sequence[Any]) -> list[Any]:
        maps.append(len(parts))
        return original(streams, run, parts)

    monkeypatch.setattr(Streams, "map", counted)
    try:
        torch.set_num_threads(2)
        scorer = open_packed(save_family(tmp_path, "llama"))
        maps.clear()
        two = answers(scorer, requests)
        assert set(maps) == {2}
        maps.clear()
        torch.set_num_threads(1)
        one = answers(scorer, requests)
        assert not maps
    finally:
        torch.set_num_threads(before)
    for a, b in zip(one, two, strict=True):
        assert isinstance(a, Answer)
        assert isinstance(b, Answer)
        assert a.logprob == pytest.approx(b.logprob, abs=1e-4, rel=0)
