"""The objects that the functions return: frames, pages for notebooks, charts, and the same numbers as the commands."""

from __future__ import annotations

import json
import math
import os
from html.parser import HTMLParser
from pathlib import Path

import pytest

import harness
from harness.records.run_folder import read_record
from tests.conftest import HarnessCommand
from tests.tasks_for_tests import write_tasks

MODELS = ("oracle", "corrupted", "uniform")


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tasks(tmp_path_factory.mktemp("tasks"))


@pytest.fixture(scope="module")
def runs(tasks: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of three scripts, one folder each."""
    folder = tmp_path_factory.mktemp("runs")
    for model in MODELS:
        _evaluate(model, tasks, folder / model)
    return folder


def _evaluate(model: str | list[str], tasks: Path, output: Path | None) -> harness.EvaluationResults:
    return harness.evaluate(
        model=model,
        backend="scripted",
        tasks=["t_choice", "mini_logic"],
        include_path=tasks,
        limit=20,
        output_path=output,
        no_cache=True,
        dry_run=output is None,
    )


class _Words(HTMLParser):
    """The texts of a page; raises if its tags are not balanced."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def _words(shown: object) -> list[str]:
    """The texts of what a notebook shows."""
    parser = _Words()
    parser.feed(shown._repr_html_())  # type: ignore[attr-defined]
    assert not parser.open
    return parser.words


def test_an_evaluation_holds_what_its_record_says(
    tasks: Path, tmp_path: Path, own_cache: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    results = _evaluate("oracle", tasks, tmp_path / "out")
    assert capfd.readouterr() == ("", ""), "nothing is printed"
    record = read_record(tmp_path / "out" / "oracle")
    frame = results.frame()
    assert list(frame["task"]) == list(record.tasks) == ["t_choice", "mini_logic"]
    for row, task in zip(frame.itertuples(), record.tasks.values(), strict=True):
        assert (row.value, row.stderr, (row.low, row.high)) == (task.value, task.stderr, task.interval)
        assert (row.items, row.failed, row.chance) == (task.items_scored, 0, task.chance)
    assert results.models == ("oracle",)
    assert Path(results) == tmp_path / "out" / "oracle"
    assert len(results.items()) == 40
    domains = results.domains().set_index("domain")
    assert domains.loc["overall", "centred"] == record.aggregate["reasoning"]["centred"] == 1.0
    words = record.command.split()
    assert words[:2] == ["harness", "eval"]
    assert f"--output_path={tmp_path / 'out'}" in words


def test_an_evaluation_shows_itself(tasks: Path, tmp_path: Path, own_cache: Path) -> None:
    results = _evaluate(["oracle", "uniform"], tasks, tmp_path / "out")
    words = _words(results)
    assert {"oracle", "uniform", "mini_logic", "1.000"} <= set(words)
    assert "mini_logic" in repr(results)
    chart = results.plot().to_dict()
    rows = chart["data"]["values"]
    assert {(row["model"], row["task"], row["value"]) for row in rows} == set(
        results.frame()[["model", "task", "value"]].itertuples(index=False, name=None)
    )
    with pytest.raises(harness.InputError, match="holds 2 models"):
        os.fspath(results)


def test_a_dry_run_writes_nothing(tasks: Path, tmp_path: Path, own_cache: Path) -> None:
    results = _evaluate("oracle", tasks, None)
    assert len(results.frame()) == 2
    assert not results.files
    with pytest.raises(harness.InputError, match="no record was written"):
        results.items()
    with pytest.raises(harness.InputError, match="no record was written"):
        Path(results)


def test_failed_requests_raise_with_the_results_and_can_be_allowed(
    tasks: Path, tmp_path: Path, own_cache: Path
) -> None:
    def evaluate(allowed: int) -> harness.EvaluationResults:
        return harness.evaluate(
            model="oracle",
            backend="scripted",
            model_args={"raises": 0.2},
            tasks="t_choice",
            include_path=tasks,
            output_path=tmp_path / "out",
            allow_failures=allowed,
        )

    with pytest.raises(harness.IncompleteEvaluation) as raised:
        evaluate(0)
    results = raised.value.results
    failed = int(results.frame()["failed"].sum())
    assert failed > 0
    assert f"{failed} requests failed, 0 allowed" in str(raised.value)
    assert any(f"{failed} of 96 requests failed" in word for word in _words(results))
    assert evaluate(failed).complete


def test_a_comparison_has_the_numbers_of_the_command(runs: Path, harness_here: HarnessCommand) -> None:
    models = [runs / name / name for name in ("uniform", "oracle", "corrupted")]
    done = harness_here("compare", *models, "--format", "json")
    tables = json.loads(done.stdout)["tables"]
    comparison = harness.compare(*models)
    assert comparison.tables == tuple(tables)
    for name, rows in tables.items():
        frame = comparison.frame(name)
        assert len(frame) == len(rows)
        for column in {"value", "difference", "p", "p_corrected"} & set(frame):
            expected = [math.nan if row[column] is None else row[column] for row in rows]
            assert frame[column].to_list() == pytest.approx(expected, nan_ok=True)
        if name != "settings":
            assert frame["interval_low"].to_list() == [row["interval"][0] for row in rows]
    assert comparison.notes == tuple(json.loads(done.stdout)["notes"])
    assert comparison.headlines[0] in _words(comparison)
    assert comparison.headlines[0] in repr(comparison)
    assert "mini_logic" in json.dumps(comparison.plot().to_dict())
    assert comparison.plot("domains").to_dict()["title"]
    assert comparison.page().startswith("<!")
    with pytest.raises(harness.InputError, match="give one of differences"):
        comparison.plot("difference")
    with pytest.raises(harness.InputError, match="Did you mean overall"):
        comparison.frame("overal")


def test_a_leaderboard_has_the_numbers_of_the_command(runs: Path, harness_here: HarnessCommand) -> None:
    tables = json.loads(harness_here("leaderboard", runs, "--format", "json").stdout)["tables"]
    board = harness.leaderboard(runs)
    assert board.tables == tuple(tables)
    assert board.frame()["model"].to_list() == ["oracle", "uniform", "corrupted"]
    assert board.frame()["overall"].to_list() == [row["overall"] for row in tables["leaderboard"]]
    assert len(board.frame("tasks")) == 6
    assert "leads" in board.headlines[0]
    assert "How good is each model" in json.dumps(board.plot().to_dict())
    assert "oracle" in _words(board)


def test_files_are_written_without_a_word(runs: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    models = [runs / name / name for name in ("uniform", "oracle")]
    page = harness.compare(*models, output_path=tmp_path / "page.html", charts=tmp_path / "charts")
    table = harness.leaderboard(runs, output_path=tmp_path / "board.csv")
    assert capfd.readouterr() == ("", "")
    assert all(path.is_file() for path in (*page.files, *table.files))
    assert {path.name for path in page.files} >= {"page.html", "differences.svg"}
    assert (tmp_path / "page.html").read_text() == page.page()
    assert (tmp_path / "board.csv").read_text().startswith("rank,")


def test_loaded_records_have_frames_and_intervals(runs: Path) -> None:
    records = harness.load(runs, tasks="mini_*")
    assert [model.name for model in records.models] == sorted(MODELS)
    assert set(records.frame()["task"]) == {"mini_logic"}
    assert len(records.items()) == 60
    assert "LoadedRecords of 3 models" in repr(records)
    rows = {row["model"]: row for row in records.plot().to_dict()["data"]["values"]}
    assert rows["oracle"]["value"] == 1.0
    recorded = read_record(runs / "oracle" / "oracle").tasks["mini_logic"].interval
    assert (rows["oracle"]["low"], rows["oracle"]["high"]) == recorded
    assert "oracle" in _words(records)
    with pytest.raises(harness.HarnessError, match="no such"):
        harness.load(runs / "nowhere")


def test_names_from_strangers_are_escaped(runs: Path) -> None:
    from harness.notebook import ShownTable, fragment

    table = ShownTable(title="<b>", headings=("<i>",), numeric=(False,), rows=(("<script>\u202e",),))
    text = fragment("<u>", [table], ["a & b"])
    assert not any(tag in text for tag in ("<script", "<b>", "<i>", "<u>", "\u202e"))
    assert "a &amp; b" in text


def test_long_tables_are_cut_and_say_so() -> None:
    from harness.notebook import MOST_ROWS, ShownTable, fragment

    rows = tuple((str(number),) for number in range(MOST_ROWS + 3))
    text = fragment("t", [ShownTable(title="", headings=("n",), numeric=(True,), rows=rows)])
    assert text.count("<td") == MOST_ROWS
    assert "3 more rows" in text


def test_the_help_says_that_no_record_is_written_without_an_output_path(
    tasks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "output_path: Folder for the records; without it none is written." in str(harness.evaluate.__doc__)
    results = harness.evaluate(
        model="oracle", backend="scripted", tasks="t_choice", include_path=tasks, limit=2, no_cache=True
    )
    assert (results.files, list(tmp_path.iterdir())) == ((), [])


def test_results_of_several_models_are_taken_as_their_runs(tasks: Path, tmp_path: Path) -> None:
    results = _evaluate(["uniform", "oracle"], tasks, tmp_path / "both")
    assert [model.name for model in harness.load(results).models] == ["oracle", "uniform"]
    assert set(harness.leaderboard(results).frame()["model"]) == {"oracle", "uniform"}
    comparison = harness.compare(results)
    assert comparison.headlines == harness.compare(*(file.parent for file in results.files)).headlines
    assert comparison.headlines[0].startswith("oracle against uniform")


@pytest.mark.parametrize(
    ("function", "places", "problem"),
    [
        ("load", (), "load: no run folders; give one or more"),
        (
            "load",
            (["runs"],),
            "load: ['runs']: is no run folder; give each folder as an argument. Write harness.load(*",
        ),
        ("compare", (3,), "compare: 3: is no run folder; give each folder as an argument."),
        ("compare", (None, "runs"), "compare: None: is no run folder"),
    ],
)
def test_what_is_no_run_folder_is_one_line(function: str, places: tuple[object, ...], problem: str) -> None:
    with pytest.raises(harness.InputError) as raised:
        getattr(harness, function)(*places)
    assert str(raised.value).startswith(problem)
    assert "\n" not in str(raised.value)


def test_loaded_records_are_no_folder(runs: Path, tasks: Path) -> None:
    for function in (harness.compare, harness.leaderboard, harness.load):
        with pytest.raises(harness.InputError, match="LoadedRecords have no folder of their own; give the folders"):
            function(harness.load(runs))
    with pytest.raises(harness.InputError, match="no record was written"):
        harness.compare(_evaluate("oracle", tasks, None), runs / "oracle")
