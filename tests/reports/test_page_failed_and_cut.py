"""A study with a failed run: failed and truncated requests stand beside every number that they affect."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.cli import main
from tests.reports.browsing import every, one
from tests.reports.browsing_checks import low_contrast, phone
from tests.reports.small_designs import lineage, write_study

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

FAILED_AND_CUT = "2 failed, 7 cut"


def spoil(run: Path, task: str) -> None:
    """Change a record as if requests of a task had failed and been truncated."""
    (file,) = {path.resolve() for path in run.rglob("run.json")}
    record = json.loads(file.read_text(encoding="utf-8"))
    record["tasks"][task] |= {"cut": 7, "failed": 2, "failures": {"timeout": 2}}
    file.write_text(json.dumps(record), encoding="utf-8")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the runs, the page and its JSON; NC-0 has failed and truncated requests on one of two tasks."""
    folder = tmp_path_factory.mktemp("failed-study")
    names = [(p, t, seed) for p in (0, 1) for t in (0, 1) for seed in (0, 1)]
    lineages = {f"{'NC'[p]}{'NC'[t]}-{seed}": lineage(p, t, seed) for p, t, seed in names}
    design = write_study(folder, lineages=lineages)
    spoil(folder / "runs" / "NC-0", "first")
    for ending in ("html", "json"):
        assert main(["compare", "--design", str(design), "--output_path", str(folder / f"page.{ending}")]) == 0
    return folder


@pytest.fixture
def opened(browser: Chrome, study: Path) -> Chrome:
    browser.get("about:blank")
    browser.get((study / "page.html").as_uri())
    return browser


def test_the_matrix_counts_them_overall_too(opened: Chrome, study: Path) -> None:
    marked = {
        (cell.get_attribute("data-arm"), cell.get_attribute("data-task"))
        for cell in every(opened, "#matrix-table .cell button")
        if FAILED_AND_CUT in cell.text
    }
    assert marked == {("NC", "first"), ("NC", "overall")}
    rows = json.loads((study / "page.json").read_text(encoding="utf-8"))["tables"]["matrix"]
    assert {(row["arm"], row["task"]) for row in rows if (row["failed"], row["cut"]) == (2, 7)} == marked


def test_the_contrasts_of_affected_arms_name_them(opened: Chrome) -> None:
    shown = opened.execute_script(
        "const table = document.querySelector('#table-contrasts');"
        "const keys = [...table.tHead.rows[0].cells].map((cell) => cell.dataset.key);"
        "return [...table.tBodies[0].rows].map((row) =>"
        " Object.fromEntries([...row.cells].map((cell, at) => [keys[at], cell.textContent])));"
    )
    texts = {(row["task"], row["contrast"]): row["failed_and_cut"] for row in shown}
    for contrast in ("pretrain", "tune", "interaction", "NC-NN"):
        assert texts["first", contrast] == texts["overall", contrast] == FAILED_AND_CUT
        assert not texts["second", contrast]
    assert not texts["first", "CC-CN"]
    arms = {row.text.split()[0]: row.text for row in every(opened, "#table-arms tbody tr")}
    assert [name for name, text in arms.items() if text.endswith(FAILED_AND_CUT)] == ["NC"]


def test_the_rows_of_the_effects_are_marked(opened: Chrome) -> None:
    names = {text.text for text in every(opened, "#effects .beside .name")}
    assert names == {"overall †", "first †", "second"}
    assert "† Some requests failed or were truncated" in one(opened, "#effects").text


def test_both_names_of_a_row_stay_in_view(opened: Chrome) -> None:
    """Scrolled to its last columns, the table of contrasts still says which task and which contrast."""
    script = """
    const table = document.querySelector("#table-contrasts"), wide = table.closest(".wide");
    wide.scrollLeft = 1e6;
    const measure = () => {
      const cells = [...table.tBodies[0].rows[3].querySelectorAll(".name")];
      const boxes = cells.map((cell) => cell.getBoundingClientRect()), frame = wide.getBoundingClientRect();
      return [wide.scrollLeft, boxes.map((box) => [box.left - frame.left, box.right - frame.left]), frame.width];
    };
    requestAnimationFrame(() => requestAnimationFrame(() => arguments[0](measure())));
    """
    with phone(opened):
        scrolled, boxes, width = opened.execute_async_script(script)
    assert scrolled > 100, "the table is wider than a phone"
    (left, middle), (next_left, right) = boxes
    assert left == pytest.approx(0, abs=1)
    assert next_left == pytest.approx(middle, abs=1), "beside each other, not above"
    assert right < 0.65 * width, "numbers have room"


def test_the_page_names_the_command_that_shows_every_item(opened: Chrome, study: Path) -> None:
    words = shlex.split(one(opened, "#matrix .command code").text)
    assert words[:2] == ["harness", "view"]
    assert len(words[2:]) == 8
    assert all(Path(word).is_relative_to(study / "runs") for word in words[2:])


def test_lines_and_texts_are_readable_in_both_themes(opened: Chrome) -> None:
    opened.execute_script("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
    for theme in ("light", "dark"):
        opened.execute_script("document.documentElement.dataset.theme = arguments[0]", theme)
        assert low_contrast(opened) == []


def test_a_line_that_cannot_be_seen_is_reported(browser: Chrome) -> None:
    shapes = {
        "pale": '<path class="pale" stroke="#e3e2dc" d="M1 1V9"/>',
        "clear": '<path class="clear" stroke="#63625d" d="M1 1V9"/>',
        "dot": '<circle class="dot" fill="#b9b8b2" r="3"/>',
    }
    text = '<text class="word" fill="#999" y="9">word</text>'
    browser.get(f"data:text/html,<svg>{''.join(shapes.values())}{text}</svg>".replace("#", "%23"))
    low: list[Any] = [one.split()[0] for one in low_contrast(browser)]
    assert sorted(low) == ["circle.dot", "path.pale", "text.word"]


def test_seeds_are_drawn_as_one_on_a_page_of_many_runs(browser: Chrome, tmp_path: Path) -> None:
    """16 runs of four recipes, which are too many to draw each by itself; failed and cut follow the overall value."""
    names = [(p, t, seed) for p in (0, 1) for t in (0, 1) for seed in range(4)]
    lineages = {f"{'NC'[p]}{'NC'[t]}-{seed}": lineage(p, t, seed) for p, t, seed in names}
    write_study(tmp_path, seeds=4, lineages=lineages)
    spoil(tmp_path / "runs" / "NC-0", "first")
    page = tmp_path / "board.html"
    assert main(["leaderboard", str(tmp_path / "runs"), "--output_path", str(page)]) == 0
    browser.get(page.as_uri())
    labels = [text.text for text in every(browser, "#design text")]
    assert {"NN", "NC", "CN", "CC", "pre-0", "pre-1"} <= set(labels)
    assert sum("4 runs" in label for label in labels) == 6
    keys = [cell.get_attribute("data-key") for cell in every(browser, "#table-leaderboard thead th")]
    at = keys.index("interval")
    assert [key for key in keys[at + 1 :] if key][:2] == ["failed", "cut"]
    assert one(browser, "#table-leaderboard th[data-key=cut]").rect["x"] < 1280
    sentences = [sentence.text for sentence in every(browser, ".answer p")]
    assert len(sentences) == 2
    assert "differences from " in sentences[1]
    assert sentences[1].endswith("Holm's correction.")
