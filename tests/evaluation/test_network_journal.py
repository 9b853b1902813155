"""On a network file system each host writes its own journal file without WAL, and reads those of the others."""

from __future__ import annotations

import os
import re
import socket
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from harness import file_systems
from harness.engines.base import Answer, Request
from harness.evaluation import journal as journal_module
from harness.evaluation.journal import DamagedJournalError, Journal, JournalError, answer_counts, clear, mode_of
from harness.evaluation.journal_files import files_of, place_of, read_other
from harness.records.run_folder import read_record
from tests.conftest import HarnessCommand
from tests.evaluation.contents import without_times
from tests.tasks_for_tests import eval_words, write_tasks

MODEL: dict[str, object] = {"name": "any"}
REQUESTS = [Request(kind="generate_until", context=f"question {number}", generation="{}") for number in range(40)]
ANSWERS = [Answer(text=f"answer {number} " * 500) for number in range(40)]  # some pages each
Move = Callable[[str], None]


@pytest.fixture
def on_host(own_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Move:
    """The cache is on NFS; calling this moves the test to another host."""
    table = tmp_path / "mounts"
    table.write_text(f"22 1 0:21 / / rw - ext4 /dev/sda rw\n23 22 0:22 / {own_cache} rw - nfs4 server:/cache rw\n")
    monkeypatch.setattr(file_systems, "MOUNTS", table)

    def move(host: str) -> None:
        monkeypatch.setattr(socket, "gethostname", lambda: host)

    move("node1")
    return move


def _mode(file: Path) -> str:
    with closing(sqlite3.connect(file)) as database:
        return str(database.execute("PRAGMA journal_mode").fetchone()[0])


def test_each_host_has_a_file_without_wal_and_uses_the_answers_of_the_others(
    on_host: Move, own_cache: Path, tmp_path: Path, harness_here: HarnessCommand
) -> None:
    tasks = write_tasks(tmp_path / "tasks", items=6)
    assert harness_here(*eval_words(tasks, tmp_path / "one", "--limit", 2)).returncode == 0
    on_host("node 2")
    assert harness_here(*eval_words(tasks, tmp_path / "two")).returncode == 0
    assert read_record(tmp_path / "two" / "uniform").from_journal == 10
    on_host("node1")
    assert harness_here(*eval_words(tasks, tmp_path / "three")).returncode == 0
    assert read_record(tmp_path / "three" / "uniform").from_journal == 30
    names = sorted(file.name for file in own_cache.iterdir() if file.name.startswith("journal"))
    assert names == ["journal-node1.sqlite", "journal-node_2.sqlite"]
    assert [_mode(own_cache / name) for name in names] == ["delete", "delete"]
    assert without_times(tmp_path / "two" / "uniform") == without_times(tmp_path / "three" / "uniform")
    assert re.search(r"^uniform +30 ", harness_here("cache", "info").stdout, re.MULTILINE)
    assert harness_here("cache", "clear", "journal").returncode == 0
    assert answer_counts(own_cache / "journal.sqlite") == []


def test_doctor_shows_the_file_and_the_mode_that_sqlite_reports(
    on_host: Move, own_cache: Path, harness_here: HarnessCommand
) -> None:
    assert "mode delete, not created yet" in harness_here("doctor").stdout
    path = own_cache / "journal.sqlite"
    Journal(path, MODEL).close()
    on_host("node2")
    Journal(path, MODEL).close()
    report = harness_here("doctor").stdout
    assert "journal-node2.sqlite (written by this host only), on nfs4\n  mode delete\n" in report
    assert "files of other hosts, read only: journal-node1.sqlite" in report
    with closing(sqlite3.connect(own_cache / "journal-node2.sqlite")) as database:
        database.execute("PRAGMA journal_mode = WAL")
    assert "mode delete, but the file has mode wal" in harness_here("doctor").stdout
    assert mode_of(path) == "wal"


def test_a_read_only_cache_is_read_whole(on_host: Move, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = own_cache / "journal.sqlite"
    for host, part in (("node1", slice(0, 3)), ("node2", slice(3, 9))):
        on_host(host)
        with Journal(path, MODEL) as journal:
            journal.record(zip(REQUESTS[part], ANSWERS[part], strict=True))
    monkeypatch.setenv("HARNESS_CACHE_READ_ONLY", "1")
    for host in ("node2", "node3"):
        on_host(host)
        with Journal(path, MODEL) as journal:
            assert journal.lookup(REQUESTS) == dict(enumerate(ANSWERS[:9]))
    assert len(files_of(path)) == 2


def test_a_file_of_an_earlier_release_is_read(on_host: Move, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = own_cache / "journal.sqlite"
    with monkeypatch.context() as local:
        (own_cache / "table").write_text("22 1 0:21 / / rw - ext4 /dev/sda rw\n")
        local.setattr(file_systems, "MOUNTS", own_cache / "table")
        with Journal(path, MODEL) as journal:
            journal.record(zip(REQUESTS[:2], ANSWERS[:2], strict=True))
        assert _mode(path) == "wal"
    with Journal(path, MODEL) as journal:
        assert journal.lookup(REQUESTS) == dict(enumerate(ANSWERS[:2]))


def test_a_link_to_a_journal_on_a_network_file_system_is_followed(
    on_host: Move, own_cache: Path, tmp_path: Path
) -> None:
    link = tmp_path / "link.sqlite"
    link.symlink_to(own_cache / "answers.sqlite")
    for host, part in (("node1", slice(0, 3)), ("node2", slice(3, 9))):
        on_host(host)
        with Journal(link, MODEL) as journal:
            journal.record(zip(REQUESTS[part], ANSWERS[part], strict=True))
    names = ["answers-node1.sqlite", "answers-node2.sqlite"]
    assert files_of(link) == [own_cache / name for name in names]
    assert [_mode(own_cache / name) for name in names] == ["delete", "delete"]
    with Journal(link, MODEL) as journal:
        assert journal.lookup(REQUESTS) == dict(enumerate(ANSWERS[:9]))


def test_a_file_that_stays_in_wal_is_refused(on_host: Move, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "BUSY_SECONDS", 0.2)
    path = own_cache / "journal.sqlite"
    with closing(sqlite3.connect(place_of(path).file)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("CREATE TABLE held (number)")
        with pytest.raises(JournalError, match=r"journal-node1\.sqlite: the journal cannot be used"):
            Journal(path, MODEL)


def test_a_damaged_file_of_another_host_is_named(on_host: Move, own_cache: Path) -> None:
    (own_cache / "journal-node2.sqlite").write_bytes(b"SQLite format 3\0" + os.urandom(5000))
    with Journal(own_cache / "journal.sqlite", MODEL) as journal, pytest.raises(DamagedJournalError, match="node2"):
        journal.lookup(REQUESTS)


def test_a_transaction_of_another_host_is_read_completely_or_not_at_all(on_host: Move, own_cache: Path) -> None:
    """The writer's cache holds a few pages, so it writes into the file long before it commits."""
    path = own_cache / "journal.sqlite"
    done = threading.Event()

    def write() -> None:
        with Journal(path, MODEL) as journal:
            journal._database.execute("PRAGMA cache_size = 5")
            for number in range(60):
                requests = [Request(kind="generate_until", context=f"{number} {r.context}") for r in REQUESTS[:20]]
                journal.record(zip(requests, ANSWERS, strict=False))
                time.sleep(0.02)  # long enough for a read on a busy machine
        done.set()

    file = place_of(path).file
    Journal(path, MODEL).close()
    writer = threading.Thread(target=write)
    writer.start()
    seen: list[int] = []
    while not done.is_set():
        if (count := read_other(file, _whole_answers)) is not None:
            seen.append(count)
    writer.join()
    assert not [count for count in seen if count % 20]
    assert seen == sorted(seen)
    assert len(set(seen)) > 5, "some were read between two transactions"
    assert sum(count for _, count in answer_counts(path)) == 1200


def _whole_answers(database: sqlite3.Connection) -> int:
    texts = [text for (text,) in database.execute("SELECT text FROM answers")]
    assert set(texts) <= {answer.text for answer in ANSWERS}
    return len(texts)


def test_clearing_reaches_every_host(on_host: Move, own_cache: Path) -> None:
    path = own_cache / "journal.sqlite"
    for host in ("node1", "node2"):
        on_host(host)
        with Journal(path, MODEL) as journal:
            journal.record(zip(REQUESTS, ANSWERS, strict=True))
    assert answer_counts(path) == [('{"name": "any"}', 80)]
    clear(path)
    assert answer_counts(path) == []
    assert [_mode(file) for file in files_of(path)] == ["delete", "delete"]


def test_a_journal_without_a_suffix_leaves_sqlites_own_files_alone(
    tmp_path: Path, harness_here: HarnessCommand
) -> None:
    tasks, path = write_tasks(tmp_path / "tasks", items=2), tmp_path / "jj"
    (tmp_path / "jj-out").mkdir()
    with closing(Journal(path, MODEL)):  # open all the time, so that jj-shm and jj-wal are there
        for name in ("one", "two"):
            done = harness_here(*eval_words(tasks, tmp_path / name, "--use_cache", path))
            assert done.returncode == 0, done.stderr
            assert {file.name for file in tmp_path.glob("jj-???")} == {"jj-out", "jj-shm", "jj-wal"}
        assert files_of(path) == [path]
    assert read_record(tmp_path / "two" / "uniform").from_journal == 10
    (tmp_path / "jj-node1").write_bytes(path.read_bytes())
    assert files_of(path) == [path, tmp_path / "jj-node1"]
