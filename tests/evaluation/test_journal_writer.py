"""Quick batches are written to the journal together, and no answer waits for a slow engine."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from harness.engines.base import Answer, Batch, Request
from harness.errors import HarnessError
from harness.evaluation import journal_writer
from harness.evaluation.answering import answer
from harness.evaluation.journal import Journal, JournalError, answer_counts
from harness.evaluation.journal_writer import JournalWriter
from tests.waiting import wait_until

REQUESTS = [Request(kind="loglikelihood", context=f"{number} + 1 =", continuation=" 2") for number in range(100)]


class OneByOne:
    """Yields batches of one; before the last it waits for `proceed`."""

    def __init__(self, proceed: threading.Event) -> None:
        self.description: dict[str, object] = {}
        self._proceed = proceed

    def answer(self, requests: Sequence[Request]) -> Iterator[Batch]:
        for index in range(len(requests)):
            if index == len(requests) - 1:
                self._proceed.wait()
            yield [(index, Answer(logprob=-1.0, is_greedy=False))]

    def close(self) -> None:
        pass


def journalled(path: Path) -> int:
    return sum(count for _, count in answer_counts(path))


def test_answers_are_written_although_the_engine_yields_nothing_more(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    proceed = threading.Event()
    held: list[int] = []

    def watch() -> None:
        try:
            wait_until(lambda: path.exists() and journalled(path) == 99, "all but the last answer are in the journal")
            held.append(journalled(path))
        finally:
            proceed.set()

    watcher = threading.Thread(target=watch)
    with Journal(path, {"name": "one by one"}) as journal:
        watcher.start()
        outcome = answer(REQUESTS, journal, lambda: OneByOne(proceed))
        assert journalled(path) == 100
    watcher.join()
    assert held == [99]
    assert len(outcome.answers) == 100


def test_quick_batches_share_a_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_writer, "WRITE_SECONDS", 3600.0)
    commits: list[int] = []
    record = Journal.record

    def counted(self: Journal, answers: Sequence[tuple[Request, Answer]]) -> None:
        commits.append(len(answers))
        record(self, answers)

    monkeypatch.setattr(Journal, "record", counted)
    proceed = threading.Event()
    proceed.set()
    with Journal(tmp_path / "journal.sqlite", {"name": "one by one"}) as journal:
        answer(REQUESTS, journal, lambda: OneByOne(proceed))
        assert len(journal.lookup(REQUESTS)) == 100
    assert commits == [1, 99]


def test_an_error_of_the_timer_is_raised_by_the_next_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = [(request, Answer(logprob=-1.0, is_greedy=True)) for request in REQUESTS]
    failed = threading.Event()
    with Journal(tmp_path / "journal.sqlite", {"name": "none"}) as journal:
        writer = JournalWriter(journal)
        writer.add(pairs[:1])

        def full(*_: object) -> None:
            failed.set()
            raise JournalError("the disk is full")

        monkeypatch.setattr(journal, "record", full)
        monkeypatch.setattr(writer, "_written_at", float("inf"))  # as if the last commit was just now
        writer.add(pairs[1:2])
        assert failed.wait(60)
        with pytest.raises(HarnessError, match="the disk is full"):
            writer.flush()
