"""`cache info`: a table of the models whose answers the journal holds, by the names that people gave them."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

from harness.evaluation.journal import Journal, model_names
from tests.conftest import HarnessCommand
from tests.tasks_for_tests import eval_words, write_tasks

FINGERPRINT: dict[str, object] = {
    "weights": "sha256:9f86d081884c7d659a2f", "engine": "hf", "dtype": "bfloat16", "max_length": 512,
}  # fmt: skip


def _add_answer(journal: Path, *statements: str) -> None:
    """Add an answer of the journal's only model, then run further statements."""
    with sqlite3.connect(journal) as database:
        (model,) = database.execute("SELECT answerer FROM answerers").fetchone()
        database.execute("INSERT INTO answers VALUES (x'01', ?, -1.0, 1, NULL, 3, 0, 0)", (model,))
        for statement in statements:
            database.execute(statement)
    database.close()


def test_a_model_has_its_name_and_the_number_of_its_answers(
    tmp_path: Path, own_cache: Path, harness_here: HarnessCommand
) -> None:
    tasks = write_tasks(tmp_path / "tasks", items=6)
    assert harness_here(*eval_words(tasks, tmp_path / "out")).returncode == 0
    printed = harness_here("cache", "info").stdout
    assert printed.startswith(f"cache folder: {own_cache}\n")
    assert re.search(r"^journal +\d+\.\d kB$", printed, re.MULTILINE), printed
    assert re.search(r"^model +answers +engine +dtype +weights", printed, re.MULTILINE), printed
    assert re.search(r"^uniform +30  scripted +- +uniform", printed, re.MULTILINE), printed


def test_a_checkpoint_of_two_names_has_both(own_cache: Path, harness_here: HarnessCommand) -> None:
    journal = own_cache / "journal.sqlite"
    for name in ("tuned", "best", "tuned"):
        Journal(journal, FINGERPRINT, name).close()
    assert list(model_names(journal).values()) == [["best", "tuned"]]
    _add_answer(journal)
    line = r"^best, tuned +1  hf +bfloat16  9f86d081884c  max_length=512$"
    assert re.search(line, harness_here("cache", "info").stdout, re.MULTILINE)


def test_a_journal_of_an_earlier_release_has_no_names(own_cache: Path, harness_here: HarnessCommand) -> None:
    journal = own_cache / "journal.sqlite"
    Journal(journal, FINGERPRINT).close()
    _add_answer(journal, "DROP TABLE names")
    assert re.search(r"^9f86d081884c +1  hf", harness_here("cache", "info").stdout, re.MULTILINE)
