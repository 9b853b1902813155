"""Every number on every kind of page is that of its own cell of JSON, and a changed number is found."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from harness.cli import main
from tests.reports.browsing import every
from tests.reports.page_numbers import compare_with_json
from tests.reports.page_values import Findings, matches
from tests.reports.small_designs import write_study
from tests.reports.study_records import RunTask, write_study_run
from tests.reports.test_page_models import chain  # noqa: F401 - a fixture
from tests.reports.test_stage_pairs import write_three_stages
from tests.reports.test_study_curves import write_checkpoints

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

COMMANDS = ("harness leaderboard", "harness compare")


@dataclass(frozen=True, kw_only=True)
class Page:
    """A page, and the JSON that has its numbers: of its own command, then of the command lines below its sections."""

    file: Path
    documents: list[dict[str, Any]]


def written(browser: Chrome, folder: Path, *words: object) -> Page:
    """Write a page, and the JSON of its command and of those that it names."""
    file = folder / "page.html"
    assert main([*map(str, words), "--output_path", str(file)]) == 0
    browser.get(file.as_uri())
    lines = [code.get_attribute("textContent") for code in every(browser, "section > .command code")]
    named = [shlex.split(line.removesuffix(" --format json"))[1:] for line in lines if line.startswith(COMMANDS)]
    # The command of a page that a test writes is the one of the tests.
    commands = [list(map(str, words)), *(line for line in named if "-q" not in line and "--output_path" not in line)]
    documents = []
    for at, command in enumerate(map(list, dict.fromkeys(map(tuple, commands)))):
        assert main([*command, "--output_path", str(folder / f"{at}.json")]) == 0
        documents.append(json.loads((folder / f"{at}.json").read_text(encoding="utf-8")))
    return Page(file=file, documents=documents)


def compared(browser: Chrome, page: Page, html: str | None = None) -> Findings:
    """Compare a page with JSON; `html` is shown in its place."""
    file = page.file
    if html is not None:
        file = page.file.with_name("changed.html")
        file.write_text(html, encoding="utf-8")
    browser.get("about:blank")
    browser.get(file.as_uri())
    return compare_with_json(browser, page.documents)


def check(browser: Chrome, page: Page, *, least: int) -> None:
    """Check that at least so many numbers are compared, and that all are right."""
    findings = compared(browser, page)
    assert not findings.wrong, "\n".join([f"{len(findings.wrong)} numbers:", *findings.wrong[:30]])
    assert findings.compared > least


@pytest.fixture(scope="module")
def study(browser: Chrome, example: Path, tmp_path_factory: pytest.TempPathFactory) -> Page:
    """The worked study."""
    return written(browser, tmp_path_factory.mktemp("study"), "compare", "--design", example)


def with_failures(run: Path, task: str) -> None:
    """Note in a record that some requests failed and some were cut."""
    file = run.resolve() / "run.json"
    record = json.loads(file.read_text(encoding="utf-8"))
    record["tasks"][task] |= {"cut": 7, "failed": 2, "failures": {"timeout": 2}}
    file.write_text(json.dumps(record), encoding="utf-8")


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of three models on four tasks; some requests of one failed or were cut."""
    folder, rng = tmp_path_factory.mktemp("three"), np.random.default_rng(5)
    for name, level in (("low", 0.3), ("middle", 0.5), ("high", 0.8)):
        tasks = {
            task: RunTask(values=(rng.random(20) < level).astype(float), domain=domain)
            for task, domain in (("logic_a", "logic"), ("logic_b", "logic"), ("law", "legal"), ("facts", "general"))
        }
        run = write_study_run(folder, name, tasks)
        if name == "middle":
            with_failures(run, "law")
    return folder


@pytest.fixture(scope="module")
def board(browser: Chrome, three: Path, tmp_path_factory: pytest.TempPathFactory) -> Page:
    """A leaderboard of three models."""
    return written(browser, tmp_path_factory.mktemp("board"), "leaderboard", three)


@pytest.fixture(scope="module")
def curves(browser: Chrome, chain: Path, tmp_path_factory: pytest.TempPathFactory) -> Page:  # noqa: F811
    """A leaderboard of a chain of checkpoints."""
    return written(browser, tmp_path_factory.mktemp("curves"), "leaderboard", chain)


@pytest.mark.parametrize(
    ("shown", "value", "right"),
    [
        ("+0.097", 0.0972, True), ("-0.097", 0.0972, False), ("+0.098", 0.0972, False), ("0.097", -0.0972, False),
        ("-0.000", -0.0002, True), ("+0.000", -0.0002, False), ("1,204", 1204, True), ("1,205", 1204, False),
        ("<0.001", 0.0004, True), ("<0.001", 0.004, False), ("0.1 to 0.3", [0.12, 0.28], True),
        ("0.1 to 0.3", [-0.12, 0.28], False), ("2-4", [2, 4], True), ("2", [2, 2], True), ("3", [2, 2], False),
        ("-", None, True), ("0.000", None, False), ("-", 0.1, False), ("12.5", 12.46, True), ("12.5", 12.44, False),
    ],
)  # fmt: skip
def test_a_text_shows_a_value_with_its_sign_and_all_its_digits(shown: str, value: Any, right: bool) -> None:
    assert matches(shown, value) is right


def test_the_page_of_the_worked_study(browser: Chrome, study: Page) -> None:
    tables = 35 * 13 + 4 * 6  # contrasts, arms
    matrix = 4 * 5 * (3 + 5 * 2 + 4 * 10)  # its cells; every pair in it, and in the sentence on a cell
    check(browser, study, least=tables + matrix)


def test_the_page_of_a_study_with_three_stages(browser: Chrome, tmp_path: Path) -> None:
    page = written(browser, tmp_path, "compare", "--design", write_three_stages(tmp_path, lineages=True))
    assert {"design", "lineage"} <= page.documents[0]["tables"].keys()
    check(browser, page, least=1000)


def test_the_page_of_a_study_with_a_failed_run(browser: Chrome, tmp_path: Path) -> None:
    design = write_study(tmp_path)
    with_failures(next((tmp_path / "runs").iterdir()), "first")
    page = written(browser, tmp_path, "compare", "--design", design)
    assert {row["failed"] for row in page.documents[0]["tables"]["matrix"]} == {0, 2}
    check(browser, page, least=700)


def test_the_page_of_a_study_with_several_checkpoints(browser: Chrome, tmp_path: Path) -> None:
    page = written(browser, tmp_path, "compare", "--design", write_checkpoints(tmp_path, (10, 30)))
    assert {"curves", "lineage"} <= page.documents[0]["tables"].keys()
    check(browser, page, least=1000)


def test_the_page_of_a_leaderboard(browser: Chrome, board: Page) -> None:
    tables = 3 * 10 + 12 * 13 + 8 * 20  # ranks, values, differences
    check(browser, board, least=tables + 3 * 5 * (3 + 4 * 2 + 3 * 10))


def test_the_page_of_a_leaderboard_against_a_chosen_model(browser: Chrome, three: Path, tmp_path: Path) -> None:
    page = written(browser, tmp_path, "leaderboard", three, "--against", "middle")
    assert "against" in page.documents[0]["tables"]
    check(browser, page, least=800)


@pytest.mark.parametrize("models", [["low", "middle", "high"], ["low", "high"]])
def test_the_page_of_a_comparison(browser: Chrome, three: Path, tmp_path: Path, models: list[str]) -> None:
    check(browser, written(browser, tmp_path, "compare", *(three / name for name in models)), least=400)


def test_the_page_of_recipes_of_several_seeds(browser: Chrome, example: Path, tmp_path: Path) -> None:
    runs = example.parent / "runs"
    arms = [f"{arm}={','.join(str(runs / f'{arm}-{seed}') for seed in range(3))}" for arm in ("NN", "NC", "CC")]
    check(browser, written(browser, tmp_path, "compare", *arms), least=600)


def test_the_page_of_a_chain_of_checkpoints(browser: Chrome, curves: Page) -> None:
    assert {"curves", "ledger", "lineage"} <= curves.documents[0]["tables"].keys()
    check(browser, curves, least=700)


def next_digit(match: re.Match[str]) -> str:
    """Change the last digit of a match."""
    return f"{match[0][:-1]}{(int(match[0][-1]) + 1) % 10}"


def other_sign(match: re.Match[str]) -> str:
    return match[0].translate(str.maketrans("+-", "-+"))


def swapped(match: re.Match[str]) -> str:
    """Exchange the first group and the last."""
    return f"{match[3]}{match[2]}{match[1]}"


CELL = r"<b>[^<]+</b><i>[^<]+</i>"
CHANGES: dict[str, tuple[str, str, Callable[[re.Match[str]], str]]] = {
    "sign in a table": ("study", r'(?<=">)[+-](?=\d\.\d{3}</td>)', other_sign),
    "digit in a table": ("study", r">0\.\d{3}(?=</td>)", next_digit),
    "low end of an interval": ("study", r">-?\d\.\d{3}(?= to -?\d\.\d{3}</td>)", next_digit),
    "two rows of a table": (
        "study", r'(<td class="number"[^>]*>[+-][\d.]+</td>)(.*?)(<td class="number"[^>]*>[+-][\d.]+</td>)', swapped,
    ),
    "integer in a table": ("study", r'(?<=data-value="3">)3(?=</td>)', next_digit),
    "value in the matrix": ("study", r"(?<=<b>)\d\.\d{3}(?=</b>)", next_digit),
    "two cells of the matrix": ("study", rf"({CELL})(.*?)({CELL})", swapped),
    "sign in the matrix": ("study", r'(?<=<span class="change">)[+-](?=\d)', other_sign),
    "sign of a pair": ("study", r'(?<="pairs":\[\[0,1,0,)-?(?=\d)', lambda match: "" if match[0] else "-"),
    "detectable effect of a pair": ("study", r'"pairs":\[\[0,1,0(?:,[^,]+){5},0\.\d+', next_digit),
    "runs of an arm": ("study", r"\d(?= runs</small>)", next_digit),
    "number of tests": ("study", r"\d(?= tests, by Holm)", next_digit),
    "sign in a forest plot": ("study", r"(?<=<title>overall, tune: )[+-]", other_sign),
    "end in a forest plot": ("study", r"<title>overall, tune: \S+ 95% interval \S+ to [+-]0.\d\d\d", next_digit),
    "place of a dot": ("study", r'<circle class="(?:quiet-)?dot" cx="\d\d', next_digit),
    "tick of a forest plot": ("study", r"(?<=>)\u2212(?=0\.\d+</text>)", lambda match: ""),
    "number in the answer": ("study", r"pretrain \(\+0\.\d{3}", next_digit),
    "number in a headline": ("study", r'(?<=<p class="lead">)[^<]*?0\.\d{3}', next_digit),
    "gained items": ("board", r'"against":\[\[(?:[^\]]+\],\[)?[^\]]*,\d+(?=,\d+\])', next_digit),
    "items": ("board", r'(?<=data-value="20">)20(?=</td>)', next_digit),
    "failed requests of a model": ("board", r'middle</th><t[dh][^>]*>law</t[dh]><td class="number">2', next_digit),
    "cut requests in the matrix": ("board", r"2 failed, 7(?= cut</span>)", next_digit),
    "failed requests of a difference": ("board", r"2(?= failed, 7 cut</td>)", next_digit),
    "guessing": ("board", r"guessing 0\.\d\d", next_digit),
    "value of a domain": ("board", r'</th><td class="number">\d\.\d{3}(?=</td><td><svg)', next_digit),
    "tooltip in a table": ("board", r"(?<=<title>)-?\d\.\d{3}(?=, 95%)", next_digit),
    "end of an interval drawn": ("board", r'<path class="interval" d="M\d\d', next_digit),
    "items that flipped": ("board", r"\d(?= items on which)", next_digit),
    "models in the question": ("board", r"<h1>Which of \d", next_digit),
    "value of a curve": ("curves", r"<title>base: \d\.\d{3}", next_digit),
    "tokens of a curve": ("curves", r"<title>base: [^<]*, 50\d(?= tokens)", next_digit),
    "tokens in the ledger": ("curves", r'(?<=data-value="10">)10(?=</td>)', next_digit),
    "share of a mixture": ("curves", r"(?<=<title>text: )\d+\.\d(?=%)", next_digit),
    "tokens of a checkpoint": ("curves", r">pretrain 50\d(?= tokens)", next_digit),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_one_changed_number_is_found(browser: Chrome, request: pytest.FixtureRequest, change: str) -> None:
    kind, pattern, changed = CHANGES[change]
    page: Page = request.getfixturevalue(kind)
    whole = page.file.read_text(encoding="utf-8")
    html, count = re.subn(pattern, changed, whole, count=1, flags=re.DOTALL)
    assert count == 1
    assert html != whole
    assert compared(browser, page, html).wrong
