"""Two passes side by side: each part once, each stream with its own threads, trouble seen to when nothing else runs."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from harness.scorers.base import Answer, EngineDied, Failure
from harness.scorers.batches import Budget, Job, Runner
from harness.scorers.streams import Streams
from tests.scorers.families import save_family
from tests.scorers.test_packed import answers, mixed_requests, open_packed


def test_parts_run_at_the_same_time_on_their_share_of_the_threads() -> None:
    before = torch.get_num_threads()
    meet = threading.Barrier(2, timeout=60)

    def run(part: str) -> tuple[str, int]:
        meet.wait()  # breaks unless both are running
        return part, torch.get_num_threads()

    said = dict(Streams().map(run, ["a", "b"]))
    assert sorted(said) == ["a", "b"]
    assert sorted(said.values()) == sorted([max(1, before // 2), max(1, before - before // 2)])
    assert torch.get_num_threads() == before
    seen: list[int] = []
    new = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
    new.start()
    new.join()
    assert seen == [before], "a thread that starts later has all of them too"


def test_a_single_part_is_run_by_the_caller_on_all_threads() -> None:
    def run(part: str) -> tuple[str, int, int]:
        return part, threading.get_ident(), torch.get_num_threads()

    assert list(Streams().map(run, ["a"])) == [("a", threading.get_ident(), torch.get_num_threads())]
    assert list(Streams().map(run, [])) == []


def test_a_stream_that_is_done_takes_the_next_part_and_does_not_wait_for_the_other() -> None:
    others_done = threading.Event()
    ended: list[int] = []

    def run(part: int) -> int:
        if part == 0:
            assert others_done.wait(timeout=60), "the other stream waits for this one"
        ended.append(part)
        if len(ended) == 4:
            others_done.set()
        return part

    assert list(Streams().map(run, range(5))) == [1, 2, 3, 4, 0]


def test_parts_are_read_by_the_caller_one_ahead() -> None:
    read: list[tuple[int, int]] = []

    def parts() -> Iterator[int]:
        for part in range(6):
            read.append((part, threading.get_ident()))
            yield part

    found = Streams().map(lambda part: part, parts())
    next(found)
    assert [part for part, _ in read] == [0, 1, 2], "two are begun and one is waiting"
    assert sorted(found) != []
    assert {thread for _, thread in read} == {threading.get_ident()}


def test_the_threads_end_with_their_owner() -> None:
    others = set(threading.enumerate())
    mine = Streams()
    threads = set(threading.enumerate()) - others
    assert len(threads) == 2
    del mine
    for thread in threads:
        thread.join(timeout=60)
        assert not thread.is_alive()


def test_an_error_is_raised_when_the_other_part_is_done() -> None:
    before, done = torch.get_num_threads(), threading.Event()
    failed = threading.Event()

    def run(part: str) -> None:
        if part == "bad":
            failed.set()
            raise EngineDied("gone")
        failed.wait(timeout=60)
        done.set()

    with pytest.raises(EngineDied):
        list(Streams().map(run, ["bad", "good", "never begun"]))
    assert done.is_set()
    assert torch.get_num_threads() == before


Compute = Callable[[list[int]], dict[int, int]]


class Bench:
    """A runner over `members`, cut into jobs as large as its budget allows; two jobs share the budget."""

    def __init__(self, compute: Compute, *, tokens: int, fallback: Compute | None = None) -> None:
        self.runner: Runner[int] = Runner(Budget(tokens=tokens, scored=1000))
        self.compute, self.fallback = compute, fallback

    def _jobs(self, left: list[int], size: int, compute: Compute, fallback: Any) -> Iterator[Job[int]]:
        for start in range(0, len(left), size):
            part = left[start : start + size]
            yield Job(members=part, run=lambda part=part: compute(part), tokens=2 * len(part), fallback=fallback)  # type: ignore[misc]

    def drain(self, members: Iterable[int]) -> list[tuple[int, int | Failure]]:
        def plain(left: list[int]) -> Iterator[Job[int]]:
            assert self.fallback is not None
            return self._jobs(left, 2, self.fallback, None)

        def cut(left: list[int]) -> Iterator[Job[int]]:
            size = max(1, self.runner.budget.tokens // 2)
            return self._jobs(left, size, self.compute, plain if self.fallback else None)

        return [pair for found in self.runner.drain(list(members), cut, Streams()) for pair in found.items()]


def squares(part: list[int]) -> dict[int, int]:
    return {index: index * index for index in part}


def test_two_that_run_out_of_memory_side_by_side_halve_the_budget_once() -> None:
    meet = threading.Barrier(2, timeout=60)
    exhausted: list[list[int]] = []

    def small_memory(part: list[int]) -> dict[int, int]:
        if len(part) > 4:
            exhausted.append(part)
            meet.wait()  # until both are out of memory
            raise torch.OutOfMemoryError
        return squares(part)

    bench = Bench(small_memory, tokens=16)
    assert sorted(bench.drain(range(30))) == [(index, index * index) for index in range(30)]
    assert bench.runner.budget.tokens == 8
    assert len(exhausted) == 2, "nothing is begun once memory ran out"


def test_what_ran_beside_one_in_trouble_is_kept_and_not_computed_again() -> None:
    begun = threading.Event()
    computed: list[int] = []

    def run(part: list[int]) -> dict[int, int]:
        if 0 in part and len(part) > 1:
            assert begun.wait(timeout=60)
            raise MemoryError
        begun.set()
        computed.extend(part)
        return squares(part)

    bench = Bench(run, tokens=8)
    assert sorted(bench.drain(range(20))) == [(index, index * index) for index in range(20)]
    assert sorted(computed) == list(range(20))


def test_the_fallback_runs_alone_and_only_the_guilty_fails() -> None:
    lock = threading.Lock()

    def alone(part: list[int]) -> dict[int, int]:
        assert lock.acquire(blocking=False), "packs are computed beside the fallback"
        try:
            if 7 in part:
                raise ValueError("seven")
            return squares(part)
        finally:
            lock.release()

    def run(part: list[int]) -> dict[int, int]:
        if 7 in part:
            raise ValueError("seven")
        assert not lock.locked(), "packs are computed beside the fallback"
        return squares(part)

    found = dict(Bench(run, tokens=8, fallback=alone).drain(range(20)))
    assert found.pop(7) == Failure(reason="error", message="ValueError: seven")
    assert found == {index: index * index for index in range(20) if index != 7}


def test_a_failed_pass_leaves_no_tensor_behind() -> None:
    held: list[weakref.ref[torch.Tensor]] = []
    still: list[bool] = []

    def exhausted(part: list[int]) -> dict[int, int]:
        if len(part) == 1:
            still.extend(reference() is not None for reference in held)
            return squares(part)
        activations = torch.zeros(10)
        held.append(weakref.ref(activations))
        raise torch.OutOfMemoryError

    gc.collect()
    gc.disable()
    try:
        Bench(exhausted, tokens=4).drain(range(4))
    finally:
        gc.enable()
    assert len(held) == 2
    assert not any(still)


def test_one_thread_and_two_streams_give_the_same_scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_num_threads()
    requests = mixed_requests(5)
    path = save_family(tmp_path, "llama")
    threads: set[str] = set()
    original = Runner._attempt

    def noted(runner: Runner[Any], job: Job[Any]) -> Any:
        threads.add(threading.current_thread().name)
        return original(runner, job)

    monkeypatch.setattr(Runner, "_attempt", noted)
    try:
        torch.set_num_threads(2)
        scorer = open_packed(path)
        two = answers(scorer, requests)
        assert "stream" in threads
        threads.clear()
        torch.set_num_threads(1)
        one = answers(scorer, requests)
        assert threads == {threading.main_thread().name}
    finally:
        torch.set_num_threads(before)
    for a, b in zip(one, two, strict=True):
        assert isinstance(a, Answer)
        assert isinstance(b, Answer)
        assert a.logprob == pytest.approx(b.logprob, abs=1e-4, rel=0)
