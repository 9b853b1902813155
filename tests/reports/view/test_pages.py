"""Ranks and differences on the pages are those that the commands print, cell by cell; exports hold what is shown."""

from __future__ import annotations

import csv
import io
import json
import re
import shlex
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from urllib.request import HTTPCookieProcessor, build_opener

import pytest

from harness.errors import InputError
from harness.reports.documents.tables import Kind
from harness.reports.documents.tables import text as cell_text
from harness.reports.view.export import CSV_COLUMNS, exported
from harness.reports.view.filters import Filter, matches
from harness.reports.view.pages import Pages
from tests.reports.conftest import Command
from tests.reports.records_for_tests import write_run
from tests.reports.view.records import choice, pages_of, text, viewer, write_model

BOTH = Filter(models=("base", "code"))
KINDS: dict[str, Kind] = {
    "overall": "value", "standard_error": "value", "mean_baseline": "value", "mean_arm": "value", "logic": "value",
    "difference": "difference", "interval": "interval", "p": "p", "p_corrected": "p", "detectable": "value",
    "ranks": "ranks", "rank": "count", "items": "count", "gained": "count", "lost": "count", "failed": "count",
    "tasks": "count",
}  # fmt: skip


class _Tables(HTMLParser):
    """The texts of the cells of each table, by the table's id; drawings have no text."""

    def __init__(self) -> None:
        super().__init__()
        self.tables: dict[str, list[list[str]]] = {}
        self._table, self._in_cell = "", False

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        named = dict(attributes)
        if tag == "table":
            self._table = named.get("id") or "unnamed"
            self.tables[self._table] = []
        elif tag == "tr":
            self.tables[self._table].append([])
        elif tag in ("td", "th"):
            self._in_cell = named.get("class") != "drawing"
            if self._in_cell:
                self.tables[self._table][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._in_cell = False

    def handle_data(self, data: str) -> None:
        if self._in_cell:
            self.tables[self._table][-1][-1] += data


def tables_of(html: str) -> dict[str, list[list[str]]]:
    parser = _Tables()
    parser.feed(html)
    return parser.tables


def as_shown(document: dict[str, object], table: str) -> list[set[str]]:
    """The texts that each row of a JSON document must show."""
    tables = document["tables"]
    assert isinstance(tables, dict)
    json_only = {("differences", "standard_error"), ("leaderboard", "standard_error")}
    kinds = {key: kind for key, kind in KINDS.items() if (table, key) not in json_only}
    return [{cell_text(row[key], kind) for key, kind in kinds.items() if key in row} for row in tables[table]]


@pytest.fixture
def three(cache: Path, tmp_path: Path) -> Path:
    for name, right in (("weak", range(30)), ("strong", range(55)), ("middle", range(5, 48))):
        write_run(tmp_path, name, right, items=60)
    return tmp_path


def printed(command: Command, words: str) -> dict[str, object]:
    code, out, err = command(*shlex.split(words)[1:], "--format", "json")
    assert code == 0, err
    document = json.loads(out)
    assert isinstance(document, dict)
    return document


def test_the_leaderboard_is_that_of_the_command(three: Path, command: Command) -> None:
    html = pages_of(three).overview()
    document = printed(command, f"harness leaderboard {three}")
    rows = tables_of(html)["table-leaderboard"][1:]
    expected = as_shown(document, "leaderboard")
    assert len(rows) == len(expected) == 3
    for row, shown in zip(rows, expected, strict=True):
        assert shown <= set(row)
    assert [row[1] for row in rows] == ["strong", "middle", "weak"]
    values = tables_of(html)["table-tasks"][1:]
    for row, shown in zip(values, as_shown(document, "tasks"), strict=True):
        assert shown <= set(row)


def test_the_differences_are_those_of_the_command_below_them(three: Path, command: Command) -> None:
    html = pages_of(three).comparison(Filter(models=("middle", "strong", "weak")), chosen=True)
    line = next(line for line in html.splitlines() if "<code>harness compare" in line)
    document = printed(command, line.partition("<code>")[2].partition("</code>")[0])
    for table in ("differences", "overall"):
        rows = tables_of(html)[f"table-{table}"][1:]
        expected = as_shown(document, table)
        assert len(rows) == len(expected) > 0
        for row, shown in zip(rows, expected, strict=True):
            assert shown <= set(row)
    notes = document["notes"]
    assert isinstance(notes, list)
    assert all(note.replace("'", "&#39;") in html for note in notes)


def test_without_a_choice_every_model_is_compared_with_the_leader_as_on_the_reports_page(three: Path) -> None:
    html = pages_of(three).comparison(Filter(models=("strong", "middle")), chosen=False)
    assert "2 models against strong" in html
    assert "every pair of models" in html


def test_a_value_leads_to_its_items_and_a_number_of_items_to_these(pages: Pages) -> None:
    assert "/items?model=base&amp;model=code&amp;task=colours" in pages.overview()
    html = pages.comparison(BOTH, chosen=True)
    assert "/items?model=base&amp;model=code&amp;task=colours&amp;outcome=gained" in html


def test_one_model_has_values_and_no_ranks(cache: Path, tmp_path: Path) -> None:
    write_model(tmp_path, "alone", {"colours": [choice("colours", n, n < 2) for n in range(4)]})
    html = pages_of(tmp_path).overview()
    assert "1 model, 1 task, 4 items" in html
    assert "table-leaderboard" not in html
    assert "0.500" in html


def test_models_with_other_prompts_are_not_ranked_unless_forced(cache: Path, tmp_path: Path) -> None:
    for name, prompt in (("one", "a" * 64), ("two", "b" * 64)):
        rows = [choice("colours", n, n < 2, prompt_hash=prompt) for n in range(4)]
        write_model(tmp_path, name, {"colours": rows})
    html = pages_of(tmp_path).overview()
    assert "No ranking:" in html
    assert "items have other prompts" in html
    compared = pages_of(tmp_path).comparison(Filter(models=("one", "two")), chosen=True)
    assert "Not compared:" in compared
    assert 'action="/compare"' in compared, "other models can be chosen"
    forced = pages_of(tmp_path, force=True)
    assert "table-leaderboard" in forced.overview()
    assert "table-differences" in forced.comparison(Filter(models=("one", "two")), chosen=True)


def test_an_item_shows_likelihoods_choices_and_the_key(pages: Pages) -> None:
    html = item_page(pages, "colours", 0)
    assert '<span class="likelihood chosen">-1.00</span>' in html
    assert html.count("likelihood chosen") == 2
    assert "67%" in html, "exp(-1) / (exp(-1) + exp(-2) + exp(-3))"
    assert html.count("the right choice") == 1


def test_an_item_shows_how_its_answer_was_read_and_what_differs(pages: Pages) -> None:
    html = item_page(pages, "words", 0)
    assert 'read">(B)</mark>' in html
    assert 'read as <b class="extracted">B</b> from “(B)”, rule answer' in html
    html = item_page(pages, "words", 1)
    assert '<mark class="changed">light</mark>' in html
    assert '<mark class="changed">dark</mark>' in html
    assert "no answer could be read" in item_page(pages, "words", 3)
    assert "tokens cut from each input: 7" in item_page(pages, "words", 2)


def test_an_item_shows_the_verdict_on_a_program(pages: Pages) -> None:
    html = item_page(pages, "programs", 1)
    assert "<b>failed</b>: AssertionError: got 1" in html
    assert "def answer():" in html


def test_a_failed_request_is_shown_as_failed_and_not_as_wrong(pages: Pages) -> None:
    html = item_page(pages, "colours", 11)
    assert "failed" in html
    assert 'class="outcome wrong"' in html, "of the base model"
    assert html.count('class="outcome wrong"') == 1


def item_page(pages: Pages, task: str, doc_id: int, models: tuple[str, ...] = ("base", "code")) -> str:
    items = pages.index.task(task)
    assert items is not None
    return pages.item(pages.index.items([items.first + doc_id])[0], Filter(models=models, task=task))


def test_previous_and_next_follow_the_filter(pages: Pages) -> None:
    wanted = Filter(models=("base", "code"), outcome="lost")
    numbers = matches(pages.index, wanted).numbers.tolist()
    html = pages.item(pages.index.items([numbers[1]])[0], wanted)
    assert f"2 of {len(numbers)}" in html
    for step, number in (("prev", numbers[0]), ("next", numbers[2])):
        (item,) = pages.index.items([number])
        assert (
            f'rel="{step}" href="/item?model=base&amp;model=code&amp;task={item.task}&amp;outcome=lost&amp;id={item.id}'
            in html
        )


def test_a_long_list_has_pages(cache: Path, tmp_path: Path) -> None:
    write_model(tmp_path, "one", {"words": [text("words", n, f"yes {n}", True) for n in range(120)]})
    pages = pages_of(tmp_path)
    wanted = Filter(models=("one",), page=3)
    html = pages.items(wanted)
    assert "101–120 of 120" in html
    assert "page=2" in html
    assert "page=4" not in html
    assert "101–120 of 120" in pages.items(Filter(models=("one",), page=9)), "a page beyond the last is the last"


def test_an_export_holds_all_rows_of_the_list_in_its_order(cache: Path, tmp_path: Path) -> None:
    rows = [text("words", n, f"answer {'even' if n % 2 == 0 else 'odd'} {n}", n % 3 == 0) for n in range(260)]
    write_model(tmp_path, "one", {"words": rows[:130] + rows[:129:-1]})
    write_model(tmp_path, "two", {"words": [row | {"acc": 1.0} for row in rows]})
    pages = pages_of(tmp_path)
    for fields in (
        {},
        {"outcome": "gained"},
        {"words": "even"},
        {"outcome": "right", "words": "even", "task": "words"},
    ):
        wanted = Filter(models=("one", "two"), **fields)  # type: ignore[arg-type]  # the fields' own types
        shown: list[str] = []
        for page in range(1, 7):
            html = pages.items(replace(wanted, page=page))
            names = re.findall(r"<small>words <b>(\d+)</b>", html)
            shown += names if f"page {page} of" in html or page == 1 else []
        lines = "".join(exported(pages.index, pages.details, replace(wanted, page=2), "jsonl")).splitlines()
        table = csv.DictReader(io.StringIO("".join(exported(pages.index, pages.details, wanted, "csv"))))
        assert [str(json.loads(line)["doc_id"]) for line in lines] == shown
        assert [row["doc_id"] for row in table] == [name for name in shown for _ in wanted.models]
        assert len(shown) == len(set(shown)) > 20


def test_an_export_without_items_has_a_head_only(pages: Pages) -> None:
    nothing = Filter(models=("base",), words="nowhere")
    assert "".join(exported(pages.index, pages.details, nothing, "csv")).splitlines() == [",".join(CSV_COLUMNS)]
    assert "".join(exported(pages.index, pages.details, nothing, "jsonl")) == ""


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_no_text_of_a_record_is_a_formula_in_a_spreadsheet(cache: Path, tmp_path: Path, start: str) -> None:
    """In the name of the task and the model, the prompt, the answer and the expected answer."""
    words = f'{start}HYPERLINK("http://example.org","x")'
    asked = {"gen_args_0": {"arg_0": words, "arg_1": "{}"}}
    write_model(tmp_path, "=model", {"@task": [text("@task", 0, words, True, arguments=asked, target=words)]})
    pages = pages_of(tmp_path)
    (row,) = csv.DictReader(
        io.StringIO("".join(exported(pages.index, pages.details, Filter(models=pages.index.models), "csv")))
    )
    for column in ("task", "model", "prompt", "answer", "expected", "text"):
        assert row[column].startswith("'"), column
    assert row["value"] == "1.0"


def test_csv_has_a_row_per_item_and_model_and_no_formulas(pages: Pages) -> None:
    wanted = Filter(models=("base", "code"), outcome="failed")
    rows = list(csv.DictReader(io.StringIO("".join(exported(pages.index, pages.details, wanted, "csv")))))
    assert [(row["doc_id"], row["model"], row["outcome"]) for row in rows] == [
        ("10", "base", "wrong"), ("10", "code", "failed"), ("11", "base", "wrong"), ("11", "code", "failed"),
    ]  # fmt: skip
    assert rows[1]["value"] == ""
    assert json.loads(rows[0]["log_likelihoods"]) == [-2.0, -1.0, -3.0]
    assert json.loads(rows[0]["choices"]) == ["red", "green", "blue"]
    assert json.loads(rows[0]["metrics"]) == {"acc": 0.0}
    assert [rows[1][column] for column in ("choices", "log_likelihoods", "metrics", "status")] == [""] * 4


def test_both_formats_have_the_verdicts_on_programs_and_jsonl_the_programs(pages: Pages) -> None:
    wanted = Filter(models=("code",), task="programs")
    first, second = csv.DictReader(io.StringIO("".join(exported(pages.index, pages.details, wanted, "csv"))))
    assert (first["status"], first["detail"], first["metrics"]) == ("passed", "", '{"acc": 1.0}')
    assert (second["status"], second["detail"], second["metrics"]) == (
        "failed",
        "AssertionError: got 1",
        '{"acc": 0.0}',
    )
    lines = "".join(exported(pages.index, pages.details, wanted, "jsonl")).splitlines()
    answer = json.loads(lines[1])["answers"][0]
    assert answer["metrics"] == {"acc": 0.0}
    assert answer["programs"] == [
        {"solution": "def answer():\n    return 1\n", "status": "failed", "detail": "AssertionError: got 1"}
    ]


def linked(pages: Pages, html: str, words: str) -> str:
    """The content of the first address on a page that holds these words."""
    (path, *_) = [unescape(one) for one in re.findall(r'href="(/[^"]*)"', html) if words in unescape(one)]
    opener = build_opener(HTTPCookieProcessor())
    with viewer(pages) as address:
        place, _, token = address.partition("/?")
        with opener.open(f"{place}{path}&{token}", timeout=30) as answer:
            assert answer.headers["Content-Disposition"].startswith("attachment")
            content: str = answer.read().decode()
    return content


def test_the_page_of_one_item_saves_this_item(pages: Pages) -> None:
    html = item_page(pages, "colours", 3)
    rows = list(csv.DictReader(io.StringIO(linked(pages, html, "format=csv"))))
    assert [(row["task"], row["doc_id"], row["model"]) for row in rows] == [
        ("colours", "3", "base"), ("colours", "3", "code"),
    ]  # fmt: skip
    assert json.loads(linked(pages, html, "format=jsonl"))["doc_id"] == 3


def test_every_table_is_saved_as_the_commands_write_it(three: Path, command: Command) -> None:
    pages = pages_of(three)
    overview = pages.overview()
    assert linked(pages, overview, "name=leaderboard") == command("leaderboard", str(three), "--format", "csv")[1]
    values = list(csv.DictReader(io.StringIO(linked(pages, overview, "name=tasks"))))
    assert {(row["model"], row["value"]) for row in values} >= {("strong", str(55 / 60)), ("weak", "0.5")}
    chosen = pages.comparison(Filter(models=("middle", "weak")), chosen=True)
    names = ("middle", "weak", "--runs", str(three))
    assert linked(pages, chosen, "name=differences") == command("compare", *names, "--format", "csv")[1]
    assert linked(pages, chosen, "name=overall").startswith("domain,tasks,difference,")
    against_leader = pages.comparison(Filter(models=("strong", "middle")), chosen=False)
    assert {row["arm"] for row in csv.DictReader(io.StringIO(linked(pages, against_leader, "name=differences")))} == {
        "middle", "weak",
    }  # fmt: skip


def test_a_table_that_does_not_exist_is_named(pages: Pages) -> None:
    with pytest.raises(InputError, match="no table won here; there are differences"):
        pages.table("won", BOTH, chosen=True)


def test_jsonl_holds_every_item_of_the_filter(pages: Pages) -> None:
    wanted = Filter(models=("base", "code"), words="energy", page=7)
    lines = "".join(exported(pages.index, pages.details, wanted, "jsonl")).splitlines()
    items = [json.loads(line) for line in lines]
    assert {(item["task"], item["doc_id"]) for item in items} == {("words", n) for n in range(6)}
    assert items[1]["answers"][1] == {
        "model": "code", "outcome": "wrong", "value": 0.0, "cut": False, "unparsed": False,
        "answer": "the dark energy of plant 1", "log_likelihoods": [], "texts": ["the dark energy of plant 1"],
        "programs": [], "metrics": {"acc": 0.0},
    }  # fmt: skip
