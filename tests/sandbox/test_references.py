"""The reference solutions of MBPP and HumanEval pass their own tests; exceptions are listed with their reason."""

from __future__ import annotations

import gzip
import itertools
import json
import random
from pathlib import Path

import pytest

from harness.sandbox import Program, run_programs

# Identifier: why its tests fail for its own solution. Empty, because every reference passes.
WRONG_TESTS: dict[str, str] = {}


def mbpp(folder: Path) -> dict[str, Program]:
    rows = [json.loads(line) for line in (folder / "mbpp" / "mbpp.jsonl").read_text().splitlines()]
    return {
        f"mbpp/{row['task_id']}": Program(
            row["code"], "\n".join(row["test_list"] + row["challenge_test_list"]), row["test_setup_code"]
        )
        for row in rows
    }


def mbpp_sanitized(folder: Path) -> dict[str, Program]:
    return {
        f"mbpp_sanitized/{row['task_id']}": Program(
            row["code"], "\n".join(row["test_list"]), "\n".join(row["test_imports"])
        )
        for row in json.loads((folder / "mbpp" / "sanitized-mbpp.json").read_text())
    }


def humaneval(folder: Path) -> dict[str, Program]:
    with gzip.open(folder / "humaneval" / "HumanEval.jsonl.gz", "rt") as file:
        rows = [json.loads(line) for line in file]
    return {
        row["task_id"]: Program(
            row["prompt"] + row["canonical_solution"], f"{row['test']}\ncheck({row['entry_point']})\n"
        )
        for row in rows
    }


@pytest.mark.parametrize(("read", "count"), [(mbpp, 974), (mbpp_sanitized, 427), (humaneval, 164)])
def test_all_references_pass(read: object, count: int, data_dir: Path, bubblewrap: str) -> None:
    assert callable(read)
    programs: dict[str, Program] = read(data_dir)
    assert len(programs) == count
    verdicts = dict(zip(programs, run_programs(list(programs.values()), backend=bubblewrap), strict=True))
    failures = {name: verdict for name, verdict in verdicts.items() if verdict.status != "passed"}
    assert failures.keys() == WRONG_TESTS.keys() & programs.keys(), failures


@pytest.mark.slow  # reduced twin: the test above
@pytest.mark.parametrize("workers", [1, 2, 8])
def test_all_references_pass_five_times_in_any_order(workers: int, data_dir: Path, bubblewrap: str) -> None:
    programs = [program for read in (mbpp, mbpp_sanitized, humaneval) for program in read(data_dir).values()]
    for seed in range(5):
        random.Random(seed).shuffle(programs)
        verdicts = run_programs(programs, workers=workers, backend=bubblewrap)
        assert [verdict for verdict in verdicts if verdict.status != "passed"] == []


@pytest.mark.parametrize("read", [mbpp_sanitized, humaneval])
def test_no_reference_passes_the_tests_of_the_next_task(read: object, data_dir: Path, bubblewrap: str) -> None:
    """The function names differ, so a pass would be a fault of the sandbox."""
    assert callable(read)
    programs: list[Program] = list(read(data_dir).values())
    shifted = [Program(a.solution, b.tests, b.setup) for a, b in itertools.pairwise(programs)]
    verdicts = run_programs(shifted, backend=bubblewrap)
    assert "passed" not in {verdict.status for verdict in verdicts}
