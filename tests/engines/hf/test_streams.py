"""Two passes side by side: each part once, each stream with its own threads, failures handled when nothing runs."""

from __future__ import annotations

import functools
import gc
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
import torch

from harness.engines.base import EngineDied, Failure
from harness.engines.hf.runner import Budget, Job, Runner
from harness.engines.hf.streams import Streams


def test_parts_run_at_the_same_time_with_their_share_of_the_threads() -> None:
    before = torch.get_num_threads()
    meet = threading.Barrier(2, timeout=60)

    def run(part: str) -> tuple[str, int]:
        meet.wait()  # breaks unless both are running
        return part, torch.get_num_threads()

    threads = dict(Streams().map(run, ["a", "b"]))
    assert sorted(threads) == ["a", "b"]
    assert sorted(threads.values()) == sorted([max(1, before // 2), max(1, before - before // 2)])
    assert torch.get_num_threads() == before
    seen: list[int] = []
    new = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
    new.start()
    new.join()
    assert seen == [before], "a thread that starts later has all of them too"


def test_a_single_part_is_run_by_the_caller_with_all_threads() -> None:
    def run(part: str) -> tuple[str, int, int]:
        return part, threading.get_ident(), torch.get_num_threads()

    assert list(Streams().map(run, ["a"])) == [("a", threading.get_ident(), torch.get_num_threads())]
    assert list(Streams().map(run, [])) == []


def test_a_stream_that_is_done_takes_the_next_part_and_does_not_wait_for_the_other() -> None:
    others_done = threading.Event()

    def run(part: int) -> int:
        if part == 0:
            assert others_done.wait(timeout=60), "the other stream waits for this one"
        return part

    results = []
    for part in Streams().map(run, range(5)):
        results.append(part)
        if len(results) == 4:
            others_done.set()
    assert sorted(results[:4]) == [1, 2, 3, 4]
    assert results[4] == 0


def test_a_part_that_runs_alone_has_nothing_beside_it_and_decides_what_follows() -> None:
    running: list[str] = []
    beside: dict[str, list[str]] = {}
    threads: dict[str, int] = {}
    decided = False
    first_two = threading.Barrier(2, timeout=60)
    others_done = threading.Event()

    def parts() -> Iterator[str]:
        yield from ["a", "b", "c", "alone"]
        assert decided, "what follows is read before it has run"
        yield from ["d", "e"]

    def run(part: str) -> str:
        nonlocal decided
        beside[part] = list(running)
        running.append(part)
        if part in ("a", "b"):
            first_two.wait()
        if part == "b":
            assert others_done.wait(timeout=60)
            time.sleep(0.1)  # a part that must run alone would begin now if it did not wait for this one
        if part == "c":
            others_done.set()
        threads[part] = threading.get_ident()
        beside[part] += [other for other in running if other != part]
        decided = decided or part == "alone"
        running.remove(part)
        return part

    results = list(Streams().map(run, parts(), alone=lambda part: part == "alone"))
    assert sorted(results[:3]) == ["a", "b", "c"]
    assert results[3] == "alone"
    assert sorted(results[4:]) == ["d", "e"]
    assert beside["alone"] == []
    assert threads["alone"] == threading.get_ident(), "the caller runs it, on all threads"
    assert any(beside.values()), "the others run side by side"


def test_parts_are_read_by_the_caller_one_ahead() -> None:
    read: list[tuple[int, int]] = []

    def parts() -> Iterator[int]:
        for part in range(6):
            read.append((part, threading.get_ident()))
            yield part

    results = Streams().map(lambda part: part, parts())
    next(results)
    assert [part for part, _ in read] == [0, 1, 2], "two are begun and one is waiting"
    assert sorted(results) != []
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
            yield Job(
                members=part,
                run=functools.partial(compute, part),
                tokens=len(part),
                alone=2 * len(part) > self.runner.budget.tokens,
                fallback=fallback,
            )

    def drain(self, members: Iterable[int]) -> list[tuple[int, int | Failure]]:
        def plain(left: list[int]) -> Iterator[Job[int]]:
            assert self.fallback is not None
            return self._jobs(left, 2, self.fallback, None)

        def cut(left: list[int]) -> Iterator[Job[int]]:
            size = max(1, self.runner.budget.tokens // 2)
            return self._jobs(left, size, self.compute, plain if self.fallback else None)

        return [pair for results in self.runner.drain(list(members), cut, Streams()) for pair in results.items()]


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


def test_the_results_of_a_job_beside_one_that_failed_are_not_computed_again() -> None:
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


def test_a_job_that_ran_out_of_memory_beside_another_is_repeated_alone() -> None:
    meet = threading.Barrier(2, timeout=60)
    attempts: list[int] = []

    def run(part: list[int]) -> dict[int, int]:
        [member] = part
        attempts.append(member)
        if len(attempts) <= 2:
            meet.wait()
            if member == 0:
                raise torch.OutOfMemoryError
        return squares(part)

    assert sorted(Bench(run, tokens=2).drain(range(4))) == [(index, index * index) for index in range(4)]
    assert sorted(attempts) == [0, 0, 1, 2, 3]


def test_a_small_part_that_fails_beside_a_large_one_does_not_shrink_the_budget_to_its_size() -> None:
    sizes = {number: 900 if number else 10 for number in range(4)}
    runner: Runner[int] = Runner(Budget(tokens=2000, scored=1000))
    meet = threading.Barrier(2, timeout=60)
    failed: list[int] = []

    def run(number: int) -> dict[int, int]:
        if number < 2 and not failed:
            meet.wait()
            if number == 0:
                failed.append(number)
                meet.wait()
                raise MemoryError
            meet.wait()
            time.sleep(0.1)  # still computing when the other is out of memory
        return {number: number}

    def cut(left: list[int]) -> Iterator[Job[int]]:
        for number in left:
            yield Job(members=[number], run=functools.partial(run, number), tokens=sizes[number])

    results = [pair for part in runner.drain(range(4), cut, Streams()) for pair in part.items()]
    assert sorted(results) == [(number, number) for number in range(4)]
    assert failed == [0]
    assert runner.budget.tokens == (10 + 900) // 2


def test_the_fallback_runs_alone_and_only_the_member_that_causes_the_error_fails() -> None:
    packs: list[list[int]] = []
    rows: list[list[int]] = []
    together: list[list[int]] = []

    def run(part: list[int]) -> dict[int, int]:
        packs.append(part)
        together.extend(rows)
        time.sleep(0.01)
        together.extend(rows)
        packs.remove(part)
        if 7 in part:
            raise ValueError("seven")
        return squares(part)

    def alone(part: list[int]) -> dict[int, int]:
        rows.append(part)
        together.extend(packs)
        time.sleep(0.02)
        together.extend(packs)
        rows.remove(part)
        if 7 in part:
            raise ValueError("seven")
        return squares(part)

    results = dict(Bench(run, tokens=8, fallback=alone).drain(range(20)))
    assert results.pop(7) == Failure(reason="error", message="ValueError: seven")
    assert results == {index: index * index for index in range(20) if index != 7}
    assert not together, "packs are computed beside the fallback"


def test_errors_do_not_end_the_round() -> None:
    cuts: list[list[int]] = []
    runner: Runner[int] = Runner(Budget(tokens=100, scored=100))

    def fails(number: int) -> dict[int, int]:
        raise ValueError(str(number))

    def cut(left: list[int]) -> Iterator[Job[int]]:
        cuts.append(left)
        for number in left:
            yield Job(members=[number], run=functools.partial(fails, number), tokens=1)

    results = [pair for part in runner.drain(range(9), cut, Streams()) for pair in part.items()]
    assert sorted(results) == [(n, Failure(reason="error", message=f"ValueError: {n}")) for n in range(9)]
    assert len(cuts) == 1, "what is left is planned anew for each"


def test_a_failed_pass_keeps_no_tensor_alive() -> None:
    held: list[weakref.ref[torch.Tensor]] = []
    still: list[bool] = []
    meet = threading.Barrier(2, timeout=60)

    def exhausted(part: list[int]) -> dict[int, int]:
        if len(part) == 1:
            still.extend(reference() is not None for reference in held)
            return squares(part)
        activations = torch.zeros(10)
        held.append(weakref.ref(activations))
        meet.wait()
        raise torch.OutOfMemoryError

    gc.collect()
    gc.disable()
    try:
        Bench(exhausted, tokens=4).drain(range(4))
    finally:
        gc.enable()
    assert len(held) == 2
    assert not any(still)
