"""Names from strangers' files: they are shown, and do nothing."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import pytest

from harness.reports.documents import tables
from harness.reports.documents.latex import latex as write_latex
from harness.reports.documents.tables import Column, Document, Row, Table
from harness.visible import visible
from tests.reports.conftest import Command
from tests.reports.records_for_tests import write_run

NAMES = [
    "evil\x1b[2J\x1b]0;title\x07",
    "abc\u202e\u2066gpj.exe",
    "=1+1|<b>bold</b>`x`",
    "-2+3\x9b31m",
    "@sum\x85(a)\u2028",
    "$x_{1}$\\end",
]
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    for number, name in enumerate(NAMES):
        write_run(folder, name, right=range(5, 9 + 2 * number))
    return folder


@pytest.mark.parametrize("command_name", ["leaderboard", "compare"])
@pytest.mark.parametrize("kind", ["table", "md", "csv", "latex", "html"])
def test_names_in_reports_control_nothing(
    command_name: str, kind: str, hostile: Path, command: Command, tmp_path: Path
) -> None:
    words = [hostile / name for name in NAMES] if command_name == "compare" else [hostile]
    out = tmp_path / "out"
    code, printed, errors = command(command_name, *words, "--format", kind, "--output_path", out)
    assert code == 0, errors
    assert not CONTROL.search(out.read_text() + printed + errors)
    if kind == "csv":
        for row in csv.reader(out.read_text().splitlines()):
            assert not [cell for cell in row if cell[:1] in ("=", "+", "@") or re.match(r"-\d\+", cell)]


@pytest.mark.parametrize("command_name", ["leaderboard", "compare"])
def test_charts_of_such_names_are_drawn(command_name: str, hostile: Path, command: Command, tmp_path: Path) -> None:
    pytest.importorskip("vl_convert")
    words = [hostile / name for name in NAMES] if command_name == "compare" else [hostile]
    code, _, errors = command(command_name, *words, "--format", "csv", "--charts", tmp_path / "charts")
    assert code == 0, errors
    assert (tmp_path / "charts" / "differences.png").stat().st_size > 1000
    assert "Traceback" not in errors


def document(name: str) -> Document:
    columns = (Column(key="model", heading="model", kind="text"), Column(key="value", heading="value"))
    rows = (Row(cells={"model": name, "value": -0.5}),)
    table = Table(key="t", title=name, columns=columns, rows=rows)
    return Document(title=name, command=f"harness compare '{name}' ```", tables=(table,), notes=(f"{name} is best",))


@pytest.mark.parametrize(
    ("name", "markdown", "csv_cell", "latex"),
    [
        ("a|b", r"a\|b", "a|b", r"a\textbar{}b"),
        ("<img src=x>", r"\<img src=x\>", "<img src=x>", "$<$img src=x$>$"),
        ("=HYPERLINK(1)", "=HYPERLINK(1)", "'=HYPERLINK(1)", "=HYPERLINK(1)"),
        ("+1", "+1", "'+1", "+1"),
        ("mbpp_test", "mbpp_test", "mbpp_test", r"mbpp\_test"),
        ("_odd_", r"\_odd\_", "_odd_", r"\_odd\_"),
        ("a\nb", "a b", "a\nb", r"a\textbackslash{}nb"),
        ("\x1b[1m", r"\\u001b\[1m", r"\u001b[1m", r"\textbackslash{}u001b{[}1m"),
    ],
)
def test_a_name_is_escaped_in_each_format(name: str, markdown: str, csv_cell: str, latex: str) -> None:
    assert f"| {markdown} | -0.500 |" in tables.markdown(document(name))
    rows = list(csv.reader(io.StringIO(tables.csv(document(name)))))
    assert rows[1][0] == csv_cell
    assert ",-0.5" in tables.csv(document(name))
    assert f"{latex} &" in write_latex(document(name))


def test_visible_text_keeps_what_people_write() -> None:
    for text in ("naïve 模型 é 🙂", "line\nnext\ttab", "~/a b/c.json"):
        assert visible(text) == text
    assert visible("a\nb", one_line=True) == r"a\nb"
    assert visible("\ud800") == r"\ud800"


def test_errors_are_one_line_whatever_a_path_contains(command: Command, tmp_path: Path) -> None:
    code, _, errors = command("leaderboard", tmp_path / "no\x1b[2J\nsuch\u202efolder")
    assert code == 2
    assert errors.count("\n") == 1
    assert not CONTROL.search(errors.rstrip("\n"))


def test_commands_on_a_terminal_show_names_escaped(command: Command, tmp_path: Path, hostile: Path) -> None:
    code, printed, errors = command("leaderboard", hostile)
    assert code == 0
    assert not CONTROL.search(printed.replace("\n", "") + errors.replace("\n", ""))
    assert r"evil\u001b[2J" in printed
