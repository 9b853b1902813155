"""Reports with `--overlap FILE`: scores with and without the items that occur in training data."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection
from pathlib import Path

import pytest

from harness.cli import main
from tests.reports.records_for_tests import write_run

TASK = "ceval_logic_paper"  # of `write_run`, with 22 items
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(own_cache: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    def run(*words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main([str(word) for word in words])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """`seen` has the first 10 items right and 3 of the others, `fair` has 2 and 9."""
    write_run(tmp_path / "runs", "seen", [*range(10), 10, 11, 12])
    write_run(tmp_path / "runs", "fair", [*range(2), *range(10, 19)])
    return tmp_path / "runs"


def overlap_file(path: Path, items: Collection[int], task: str = TASK) -> Path:
    rows = [
        {"task": task, "item": str(n), "doc_hash": hashlib.sha256(f"{TASK} {n}".encode()).hexdigest()} for n in items
    ]
    path.write_text(json.dumps({"tables": {"overlap": [{"task": task}], "items": rows}}), encoding="utf-8")
    return path


def test_a_leaderboard_ranks_the_models_once_more_without_overlapping_items(
    command: Command, runs: Path, tmp_path: Path
) -> None:
    file = overlap_file(tmp_path / "o.json", range(10))
    code, out, _ = command("leaderboard", runs, "--overlap", file, "--format", "json")
    tables = json.loads(out)["tables"]
    assert code == 0
    by_model = {row["model"]: row for row in tables["overlap"]}
    assert (by_model["seen"]["rank"], by_model["seen"]["rank_without"]) == (1, 2)
    assert by_model["seen"]["items_without"] == 12
    assert by_model["fair"]["overall_without"] == pytest.approx((9 / 12 - 0.25) / 0.75)
    values = {row["model"]: row for row in tables["overlap_tasks"]}
    assert values["seen"]["value"] == pytest.approx(13 / 22)
    assert values["seen"]["value_without"] == pytest.approx(3 / 12)
    assert (values["seen"]["items"], values["seen"]["overlapping"]) == (22, 10)


def test_a_comparison_shows_the_difference_without_overlapping_items(
    command: Command, runs: Path, tmp_path: Path
) -> None:
    file = overlap_file(tmp_path / "o.json", range(10))
    code, out, _ = command("compare", runs / "seen", runs / "fair", "--overlap", file, "--format", "json")
    tables = json.loads(out)["tables"]
    assert code == 0
    assert tables["differences"][0]["difference"] == pytest.approx(-2 / 22)
    assert tables["differences_without"][0]["difference"] == pytest.approx(6 / 12)
    assert tables["differences_without"][0]["items"] == 12


def test_without_an_overlapping_item_both_scores_are_equal(command: Command, runs: Path, tmp_path: Path) -> None:
    _, out, _ = command("leaderboard", runs, "--overlap", overlap_file(tmp_path / "o.json", []), "--format", "json")
    for row in json.loads(out)["tables"]["overlap"]:
        assert (row["overall"], row["rank"], row["items"]) == (
            row["overall_without"], row["rank_without"], row["items_without"],
        )  # fmt: skip


@pytest.mark.parametrize(
    ("items", "task", "reason"),
    [(range(22), TASK, "all its items overlap"), (range(3), "another", "it was not searched for o.json")],
)
@pytest.mark.parametrize("words", [("leaderboard", ""), ("compare", "seen", "fair")])
def test_a_task_without_clean_items_is_named(
    command: Command, runs: Path, tmp_path: Path, items: range, task: str, reason: str, words: tuple[str, ...]
) -> None:
    file = overlap_file(tmp_path / "o.json", items, task)
    code, out, _ = command(words[0], *(runs / word for word in words[1:]), "--overlap", file, "--format", "json")
    assert code == 0
    assert f"{TASK}: no value without overlapping items; {reason}." in json.loads(out)["notes"]


def test_the_page_shows_both_scores(command: Command, runs: Path, tmp_path: Path) -> None:
    file = overlap_file(tmp_path / "o.json", range(10))
    assert command("leaderboard", runs, "--overlap", file, "--output_path", tmp_path / "b.html")[0] == 0
    assert "Overall with and without overlapping items" in (tmp_path / "b.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("content", ["", "[]", '{"tables": {}}', '{"tables": {"overlap": [], "items": [{}]}}'])
def test_a_file_that_is_no_search_is_refused(command: Command, runs: Path, tmp_path: Path, content: str) -> None:
    (tmp_path / "o.json").write_text(content, encoding="utf-8")
    code, _, err = command("leaderboard", runs, "--overlap", tmp_path / "o.json")
    assert code == 2
    assert "is no result of a search" in err
