"""A kill costs one batch, a rerun costs nothing, a fault is never a score."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from harness.engines.base import Answer, Batch, Request
from harness.evaluation.answering import answer
from harness.evaluation.journal import Journal
from harness.records.run_folder import read_record
from tests.conftest import ROOT, HarnessCommand
from tests.evaluation.contents import without_times
from tests.killing import killed_often
from tests.models import save_tiny_llama
from tests.tasks_for_tests import eval_words, write_tasks
from tests.waiting import CEILING_SECONDS, wait_until

BATCH = 16


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tasks(tmp_path_factory.mktemp("tasks"), items=200)


def _survives(kills: int, tmp_path: Path, tasks: Path, cache: Path, harness_command: HarnessCommand) -> None:
    # 1,000 requests in batches of 16, 20 ms each: about a second; the kills fall anywhere in it.
    words = eval_words(tasks, tmp_path / "killed", "--model_args", "delay_seconds=0.02")
    log = tmp_path / "asked.log"
    codes = killed_often(
        words, kills=kills, longest=0.6, cache=cache, module="tests.evaluation.kill_often", first=[log]
    )
    assert codes[-1] == 0
    assert codes.count(-signal.SIGKILL) >= kills * 3 // 4, "the kills must fall within the runs"
    asked: dict[tuple[str, str], list[int]] = defaultdict(list)
    for line in (tmp_path / "asked.log").read_text().splitlines():
        run, context, continuation = json.loads(line)
        asked[(context, continuation)].append(run)
    total = len(asked)
    # A request is asked twice only when a kill fell between its answer and its batch's commit: one batch per kill.
    again = sum(len(runs) - 1 for runs in asked.values())
    assert again <= BATCH * kills
    per_kill: dict[int, int] = defaultdict(int)
    for runs in asked.values():
        assert len(set(runs)) == len(runs), "never twice in a run"
        for run in runs[:-1]:
            per_kill[run] += 1
    assert max(per_kill.values(), default=0) <= BATCH
    assert total == 200 * 4 + 200
    begun = [json.loads(line) for line in (tmp_path / "asked.begun").read_text().splitlines()]
    assert all(to_ask + held == total for _, to_ask, held in begun), "what is journalled is never asked for again"
    undisturbed = eval_words(tasks, tmp_path / "whole", "--model_args", "delay_seconds=0.02")
    assert harness_command(*undisturbed, env={"HARNESS_CACHE_DIR": str(tmp_path / "empty")}).returncode == 0
    assert without_times(tmp_path / "killed" / "uniform") == without_times(tmp_path / "whole" / "uniform")
    assert not list((tmp_path / "killed").rglob(".writing-*"))


def test_twelve_kills_lose_at_most_a_batch_each(
    tmp_path: Path, tasks: Path, own_cache: Path, harness_command: HarnessCommand
) -> None:
    _survives(12, tmp_path, tasks, own_cache, harness_command)


@pytest.mark.slow
def test_a_hundred_kills_lose_at_most_a_batch_each(
    tmp_path: Path, tasks: Path, own_cache: Path, harness_command: HarnessCommand
) -> None:
    _survives(100, tmp_path, tasks, own_cache, harness_command)


def _survives_with_programs(kills: int, tmp_path: Path, cache: Path, harness_command: HarnessCommand) -> None:
    words = ["eval", "--backend", "scripted", "--model", "corrupted", "--tasks", "mini_code_gen", "--output_path"]
    codes = killed_often([*words, tmp_path / "killed"], kills=kills, longest=3, cache=cache)
    assert codes[-1] == 0
    assert -signal.SIGKILL in codes
    whole = harness_command(*words, tmp_path / "whole", env={"HARNESS_CACHE_DIR": str(tmp_path / "empty")})
    assert whole.returncode == 0, whole.stderr
    assert without_times(tmp_path / "killed" / "corrupted") == without_times(tmp_path / "whole" / "corrupted")
    assert not list((tmp_path / "killed").rglob(".writing-*"))


def test_an_evaluation_with_programs_killed_twice_ends_with_the_same_results(
    tmp_path: Path, own_cache: Path, harness_command: HarnessCommand, bubblewrap: str
) -> None:
    assert bubblewrap
    _survives_with_programs(2, tmp_path, own_cache, harness_command)


@pytest.mark.slow  # reduced twin: the test above
def test_an_evaluation_with_programs_killed_twenty_times_ends_with_the_same_results(
    tmp_path: Path, own_cache: Path, harness_command: HarnessCommand, bubblewrap: str
) -> None:
    assert bubblewrap
    _survives_with_programs(20, tmp_path, own_cache, harness_command)


def _kill_real_model(times: int, model: Path, tasks: Path, tmp_path: Path, harness_command: HarnessCommand) -> None:
    words = [
        "eval",
        "--model",
        model,
        "--tasks",
        "t_choice",
        "--include_path",
        tasks,
        "--limit",
        60,
        "--dtype",
        "float32",
    ]
    environment = dict(os.environ, HARNESS_CACHE_DIR=str(tmp_path / "cache"))
    journal = tmp_path / "cache" / "journal.sqlite"
    before = 0
    for kill in range(times):
        command = [sys.executable, "-m", "harness", *map(str, words), "--output_path", str(tmp_path / "killed")]
        process = subprocess.Popen(
            command, env=environment, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        _wait_for_answers(journal, before + 8 * (kill % 3) + 1, process)
        process.kill()
        process.wait()
        assert _journalled(journal) >= before, "nothing that was written is lost"
        before = _journalled(journal)
    assert before > 0
    done = harness_command(*words, "--output_path", tmp_path / "killed")
    assert done.returncode == 0, done.stderr
    assert f"{before} answers from the journal" in done.stdout
    whole = harness_command(*words, "--output_path", tmp_path / "whole", "--no_cache")
    assert whole.returncode == 0
    results = [
        json.loads(next((tmp_path / k).rglob("results_*.json")).read_text())["results"] for k in ("killed", "whole")
    ]
    assert results[0] == results[1]


def _wait_for_answers(journal: Path, count: int, process: subprocess.Popen[Any]) -> None:
    """Return when the journal holds `count` answers, or the process has ended."""

    def done() -> bool:
        return _journalled(journal) >= count or process.poll() is not None

    wait_until(done, f"{count} answers are in the journal")


def _journalled(journal: Path) -> int:
    try:
        with sqlite3.connect(f"file:{journal}?mode=ro", uri=True, timeout=5) as database:
            return int(database.execute("SELECT COUNT(*) FROM answers").fetchone()[0])
    except sqlite3.Error:
        return 0


def test_the_real_model_killed_twice_ends_with_the_same_results(
    smollm2: Path, tasks: Path, tmp_path: Path, harness_command: HarnessCommand
) -> None:
    _kill_real_model(2, smollm2, tasks, tmp_path, harness_command)


@pytest.mark.slow
def test_the_real_model_killed_ten_times_ends_with_the_same_results(
    smollm2: Path, tasks: Path, tmp_path: Path, harness_command: HarnessCommand
) -> None:
    _kill_real_model(10, smollm2, tasks, tmp_path, harness_command)


def test_a_rerun_reads_no_weights(tmp_path: Path, tasks: Path, harness_command: HarnessCommand) -> None:
    model = save_tiny_llama(tmp_path / "tiny")
    words = [
        "eval",
        "--model",
        model,
        "--tasks",
        "t_choice",
        "--include_path",
        tasks,
        "--output_path",
        tmp_path / "out",
    ]
    assert harness_command(*words).returncode == 0
    loader = (
        "import sys, harness.cli; code = harness.cli.main(sys.argv[1:]); print('torch' in sys.modules); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", loader, *map(str, words)], capture_output=True, text=True, cwd=ROOT, check=False,
        env={**os.environ, "HARNESS_CACHE_DIR": str(tmp_path / "cache")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "800 answers from the journal" in done.stdout
    assert done.stdout.splitlines()[-1] == "False", "torch was not even imported"


def test_a_retrained_checkpoint_at_the_same_path_is_asked_again(
    tmp_path: Path, tasks: Path, harness_here: HarnessCommand
) -> None:
    words = ["--tasks", "t_choice", "--limit", 5, "--include_path", tasks, "--output_path", tmp_path / "out"]
    model = save_tiny_llama(tmp_path / "tiny")
    assert harness_here("eval", "--model", model, *words).returncode == 0
    save_tiny_llama(tmp_path / "tiny", seed=3)
    second = harness_here("eval", "--model", model, *words)
    assert second.returncode == 0
    assert "from the journal" not in second.stdout
    moved = shutil.move(model, tmp_path / "moved")
    third = harness_here("eval", "--model", moved, *words)
    assert "20 answers from the journal" in third.stdout, "the same bytes elsewhere are the same checkpoint"


FAULTS = {
    "raises=0.1": "error",
    "nan=0.1": "not_finite",
    "missing=0.1": "missing",
    "hang=0.002": "timeout",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_no_fault_becomes_a_score(fault: str, tmp_path: Path, tasks: Path, harness_here: HarnessCommand) -> None:
    words = eval_words(tasks, tmp_path, "--model_args", fault, "--engine_timeout", "2", model="oracle")
    done = harness_here(*words)
    assert done.returncode == 1
    assert "incomplete" in done.stderr
    record = read_record(tmp_path / "oracle")
    choice = record.tasks["t_choice"]
    assert not record.complete
    assert choice.failures.keys() == {FAULTS[fault]}
    assert choice.failed == choice.asked - choice.answered == choice.failures[FAULTS[fault]] > 0
    assert choice.items_scored < choice.items
    # The oracle is right about whatever it answers: one wrong item would be a fault that became a score.
    assert choice.value in (1.0, None)
    generate = record.tasks["t_generate"]
    assert generate.value in (1.0, None)
    assert generate.items_scored < generate.items
    if fault == "nan=0.1":
        assert generate.failures.keys() == {"empty"}


def test_allowed_failures_make_a_complete_record(tmp_path: Path, tasks: Path, harness_here: HarnessCommand) -> None:
    words = eval_words(tasks, tmp_path, "--model_args", "raises=0.01", model="oracle")
    failed = harness_here(*words)
    assert failed.returncode == 1
    count = sum(task.failed for task in read_record(tmp_path / "oracle").tasks.values())
    assert harness_here(*words, "--allow_failures", count - 1).returncode == 1
    assert harness_here(*words, "--allow_failures", count).returncode == 0


def test_an_engine_that_dies_is_opened_once_more(tmp_path: Path, tasks: Path, harness_here: HarnessCommand) -> None:
    done = harness_here(*eval_words(tasks, tmp_path, "--model_args", "die_after=600"))
    assert done.returncode == 0, done.stderr
    assert read_record(tmp_path / "uniform").restarts == 1


def test_an_engine_that_raises_an_unexpected_exception_ends_the_run_tidily(
    tmp_path: Path, tasks: Path, harness_here: HarnessCommand
) -> None:
    words = eval_words(tasks, tmp_path, "--model_args", "throws=0.01")
    done = harness_here(*words)
    assert done.returncode == 1
    assert "died twice (RuntimeError: scripted surprise)" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.rglob("results_*"))


def test_no_answer_counts_of_an_engine_that_loses_count(
    tmp_path: Path, tasks: Path, harness_here: HarnessCommand
) -> None:
    done = harness_here(*eval_words(tasks, tmp_path, "--model_args", "twice=0.01", model="oracle"))
    assert done.returncode == 1
    assert "twice" in done.stderr
    assert not list(tmp_path.rglob("results_*"))


def test_an_engine_that_dies_twice_ends_the_run_which_can_be_resumed(
    tmp_path: Path, tasks: Path, harness_here: HarnessCommand
) -> None:
    words = eval_words(tasks, tmp_path, "--model_args", "die_after=320")
    done = harness_here(*words)
    assert done.returncode == 1
    assert "died twice" in done.stderr
    assert "640 of 1,000" in done.stderr
    assert not list(tmp_path.rglob("results_*"))
    assert harness_here(*words).returncode == 0
    assert read_record(tmp_path / "uniform").from_journal == 640


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_the_run_tidily(number: int, tmp_path: Path, tasks: Path, own_cache: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "harness",
        *eval_words(tasks, tmp_path / "out", "--model_args", "delay_seconds=1"),
    ]
    journal = own_cache / "journal.sqlite"
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    wait_until(lambda: _journalled(journal) >= 32, "two batches are in the journal", process=process)
    process.send_signal(number)
    _, err = process.communicate(timeout=CEILING_SECONDS)
    # A batch takes a second: the run did not go on for more than a few. How long Python takes to end is not limited.
    assert _journalled(journal) <= 32 + 10 * BATCH
    assert process.returncode == 130
    assert err.strip() == "harness eval: interrupted; run the same command again to resume."


def test_two_processes_share_a_journal(tmp_path: Path, tasks: Path, own_cache: Path) -> None:
    commands = [
        [sys.executable, "-m", "harness", *eval_words(tasks, tmp_path / name, "--model_args", "delay_seconds=0.01")]
        for name in ("a", "b")
    ]
    running = [
        subprocess.Popen(c, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) for c in commands
    ]
    for process in running:
        _, err = process.communicate(timeout=CEILING_SECONDS)
        assert process.returncode == 0, err
    assert _journalled(own_cache / "journal.sqlite") == 1000
    assert without_times(tmp_path / "a" / "uniform") == without_times(tmp_path / "b" / "uniform")


def test_a_corrupted_journal_is_one_clear_error(
    tmp_path: Path, tasks: Path, own_cache: Path, harness_here: HarnessCommand
) -> None:
    (own_cache / "journal.sqlite").write_bytes(b"SQLite format 3\0" + os.urandom(5000))
    done = harness_here(*eval_words(tasks, tmp_path))
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert "journal.sqlite: damaged" in done.stderr
    assert "--no_cache" in done.stderr


@pytest.mark.parametrize("change", ["logprob='abc'", "logprob=5.0", "logprob=9e999", "tokens='x'", "cut_tokens=-3",
                                     "is_greedy=7", "logprob=NULL"])  # fmt: skip
def test_a_value_that_no_engine_gives_is_one_clear_error(
    tmp_path: Path, tasks: Path, own_cache: Path, harness_here: HarnessCommand, change: str
) -> None:
    assert harness_here(*eval_words(tasks, tmp_path)).returncode == 0
    with closing(sqlite3.connect(own_cache / "journal.sqlite")) as journal, journal:
        journal.execute(f"UPDATE answers SET {change}")  # noqa: S608 - our own text
    done = harness_here(*eval_words(tasks, tmp_path / "again"))
    assert (done.returncode, len(done.stderr.strip().splitlines())) == (2, 1)
    assert "journal.sqlite: damaged" in done.stderr


def test_a_full_disk_is_one_clear_error_and_what_was_written_stays(
    tmp_path: Path, tasks: Path, own_cache: Path, harness_here: HarnessCommand
) -> None:
    """The kernel refuses to let the journal grow: the same answer that SQLite gets from a full disk."""
    words = eval_words(tasks, tmp_path / "out")
    limited = "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (120_000, 120_000)); "
    limited += "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); from harness.cli import main; "
    command = [sys.executable, "-c", f"{limited}sys.exit(main({words!r}))"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 1, done.stderr
    assert "journal.sqlite" in done.stderr
    assert "Free disk space" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.rglob("results_*"))
    held = _journalled(own_cache / "journal.sqlite")
    assert 0 < held < 1000
    assert harness_here(*words).returncode == 0
    assert read_record(tmp_path / "out" / "uniform").from_journal == held


def test_a_cache_folder_that_cannot_be_written_is_one_clear_error(
    tmp_path: Path, tasks: Path, harness_here: HarnessCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARNESS_CACHE_DIR", "/proc/harness")  # read-only for root, too
    done = harness_here(*eval_words(tasks, tmp_path))
    assert done.returncode in (1, 2)
    assert len(done.stderr.strip().splitlines()) == 1
    assert "/proc/harness" in done.stderr
    assert harness_here(*eval_words(tasks, tmp_path, "--no_cache")).returncode == 0


def test_clearing_the_journal_under_a_run_loses_nothing_that_comes_after(
    tmp_path: Path, tasks: Path, own_cache: Path, harness_here: HarnessCommand
) -> None:
    journal = own_cache / "journal.sqlite"
    words = eval_words(tasks, tmp_path / "out", "--model_args", "delay_seconds=0.1")
    assert harness_here("cache", "info").returncode == 0  # imports what `clear` needs, which then takes no time
    process = subprocess.Popen([sys.executable, "-m", "harness", *words], cwd=ROOT, stdout=subprocess.DEVNULL)
    wait_until(lambda: _journalled(journal) >= 160, "160 answers are in the journal", process=process)
    assert harness_here("cache", "clear", "journal").returncode == 0
    assert process.wait(timeout=CEILING_SECONDS) == 0
    assert 0 < _journalled(journal) < 1000
    info = harness_here("cache", "info")
    assert re.search(rf"^uniform +{_journalled(journal):,}  ", info.stdout, re.MULTILINE)
    held = _journalled(journal)
    assert harness_here(*words).returncode == 0
    assert read_record(tmp_path / "out" / "uniform").from_journal == held


@pytest.mark.parametrize("version", [0, 1])
@pytest.mark.parametrize("shared", [False, True])
def test_answers_of_an_older_journal_are_used(
    version: int,
    shared: bool,
    tmp_path: Path,
    own_cache: Path,
    harness_here: HarnessCommand,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Format 1 had no column encoded_apart; a run killed at once leaves the number 0."""
    tasks = write_tasks(tmp_path / "tasks", items=3)
    assert harness_here(*eval_words(tasks, tmp_path / "first")).returncode == 0
    with sqlite3.connect(own_cache / "journal.sqlite") as database:
        database.execute("ALTER TABLE answers DROP COLUMN encoded_apart")
        database.execute(f"PRAGMA user_version = {version}")
    database.close()
    if shared:
        monkeypatch.setenv("HARNESS_CACHE_READ_ONLY", "1")
    done = harness_here(*eval_words(tasks, tmp_path / "second"))
    assert done.returncode == 0, done.stderr
    known = 0 if shared and version == 0 else 15
    assert read_record(tmp_path / "second" / "uniform").from_journal == known
    assert without_times(tmp_path / "first" / "uniform") == without_times(tmp_path / "second" / "uniform")


def test_a_damaged_journal_is_cleared_by_removing_it(own_cache: Path, harness_here: HarnessCommand) -> None:
    (own_cache / "journal.sqlite").write_bytes(os.urandom(9000))
    assert harness_here("cache", "clear", "journal").returncode == 0
    assert not (own_cache / "journal.sqlite").exists()


def test_a_metric_that_raises_is_the_tasks_error_and_the_answers_are_kept(
    tmp_path: Path, harness_here: HarnessCommand
) -> None:
    tasks = write_tasks(tmp_path / "tasks", items=6)
    (tasks / "broken.py").write_text("def results(doc, answers):\n    return {'acc': 1 / 0}\n")
    text = (tasks / "choice.yaml").read_text()
    (tasks / "choice.yaml").write_text(text + "process_results: !function broken.results\n")
    words = eval_words(tasks, tmp_path / "out", "--tasks", "t_choice")
    done = harness_here(*words)
    assert done.returncode == 2
    assert "t_choice: scoring failed with ZeroDivisionError" in done.stderr
    assert "broken.py, line 2" in done.stderr
    assert "Traceback" not in done.stderr
    (tasks / "choice.yaml").write_text(text)
    assert "30 answers from the journal" in harness_here(*words).stdout


def test_words_that_are_no_text_are_refused_before_any_work(tmp_path: Path, harness_here: HarnessCommand) -> None:
    done = harness_here("eval", "--model", "oracle", "--output_path", f"{tmp_path}/\udcff")
    assert done.returncode == 2
    assert "is not UTF-8" in done.stderr


def test_an_empty_journal_file_holds_nothing(own_cache: Path, harness_here: HarnessCommand) -> None:
    (own_cache / "journal.sqlite").touch()
    assert harness_here("cache", "info").returncode == 0


def test_half_a_surrogate_pair_is_a_failure_and_no_crash(tmp_path: Path) -> None:
    """Careless services send them; they can neither be journalled nor written to a record."""
    requests = [
        Request(kind="generate_until", context=context, generation="{}", continuation="")
        for context in ("odd answer", "odd \udc00 prompt", "right")
    ]

    class Careless:
        @property
        def description(self) -> dict[str, object]:
            return {}

        def answer(self, asked: Sequence[Request]) -> Iterator[Batch]:
            yield [(i, Answer(text="\ud800" if "odd" in r.context else "yes")) for i, r in enumerate(asked)]

        def close(self) -> None:
            pass

    with Journal(tmp_path / "journal.sqlite", {"name": "careless"}) as journal:
        outcome = answer(requests, journal, Careless)
    assert [outcome.failures[r].reason for r in requests[:2]] == ["malformed", "malformed"]
    assert outcome.answers == {requests[2]: Answer(text="yes")}


def test_a_folder_that_a_killed_writer_left_is_removed_by_the_next_run(
    tmp_path: Path, tasks: Path, harness_here: HarnessCommand
) -> None:
    folder = tmp_path / "uniform"
    gone, listed = (subprocess.Popen([sys.executable, "-c", "pass"]) for _ in range(2))
    gone.wait()
    os.waitid(os.P_PID, listed.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and nobody has asked after it
    numbers = (gone.pid, listed.pid, os.getpid())
    folders = [folder / f".writing-{socket.gethostname()}-{number}-abc" for number in numbers]
    for each in folders:
        each.mkdir(parents=True)
    (folder / ".writing-x7_ab12c").mkdir()  # as an earlier release named them
    assert harness_here(*eval_words(tasks, tmp_path)).returncode == 0
    assert [each.exists() for each in folders] == [False, False, True]
    listed.wait()
