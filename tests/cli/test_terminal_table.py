"""A table fits any terminal without cutting a number, and says what it leaves out."""

from __future__ import annotations

import io
from collections.abc import Sequence

import hypothesis.strategies as st
from hypothesis import given
from rich.cells import cell_len

from harness.console import VisibleConsole
from harness.terminal_table import Place, TableColumn, TableRow, TerminalTable, print_table

PLACES: tuple[Place, ...] = ("group", "name", "keep", "below", "", "aside", "fold")


def lines_of(table: TerminalTable, width: int, *, wide: bool = False) -> list[str]:
    """The lines of a table on a terminal of this width."""
    file = io.StringIO()
    console = VisibleConsole(file=file, width=width, force_terminal=True, color_system=None, highlight=False)
    print_table(table, console, wide=wide)
    return file.getvalue().splitlines()


def table_of(headings: Sequence[tuple[str, Place]], *rows: Sequence[str]) -> TerminalTable:
    """A table whose first column holds texts and whose others hold numbers."""
    columns = tuple(
        TableColumn(heading=heading, place=place, numbers=number > 0 and place != "fold")
        for number, (heading, place) in enumerate(headings)
    )
    return TerminalTable(columns=columns, rows=tuple(TableRow(cells=tuple(row)) for row in rows))


WHOLE = table_of(
    [("task", "name"), ("n", ""), ("value", "keep"), ("s.e. of items", "aside"), ("95% interval", "keep")],
    ("arc_easy", "2,376", "0.614", "0.010", "0.594 to 0.633"),
)


def test_a_table_that_fits_stays_on_one_line_per_row() -> None:
    assert lines_of(WHOLE, 55) == [
        "task          n  value  s.e. of items    95% interval",
        "arc_easy  2,376  0.614          0.010  0.594 to 0.633",
    ]


def test_headings_take_several_lines_before_a_column_is_left_out() -> None:
    assert lines_of(WHOLE, 48) == [
        "                         s.e.",
        "                           of",
        "task          n  value  items    95% interval",
        "arc_easy  2,376  0.614  0.010  0.594 to 0.633",
    ]


def test_columns_aside_are_left_out_first_and_named() -> None:
    assert lines_of(WHOLE, 40) == [
        "task          n  value    95% interval",
        "arc_easy  2,376  0.614  0.594 to 0.633",
        "Not shown, for lack of width: s.e. of",
        "items; --wide shows them.",
    ]
    assert lines_of(WHOLE, 35)[2] == "Not shown, for lack of width: n,"
    assert lines_of(WHOLE, 35, wide=True) == lines_of(WHOLE, 200)


def test_an_empty_column_goes_without_a_word() -> None:
    table = table_of([("task", "name"), ("value", "keep"), ("failed", "keep")], ("arc_easy", "0.614", "-"))
    assert lines_of(table, 17) == ["task      value", "arc_easy  0.614"]


def test_columns_continue_below_with_the_names() -> None:
    table = table_of(
        [("model", "name"), ("overall", "keep"), ("logic", "below"), ("legal", "below")],
        ("base", "0.100", "0.200", "0.300"),
    )
    assert lines_of(table, 25) == [
        "model  overall", "base     0.100", "", "model  logic  legal", "base   0.200  0.300",
    ]  # fmt: skip
    assert lines_of(table, 15)[-2:] == ["model  legal", "base   0.300"]


def test_a_long_name_takes_several_lines_and_loses_no_letter() -> None:
    name = "Qwen3-0.6B-Base-text-then-code-then-chat-seed-0"
    table = table_of([("model", "name"), ("overall", "keep")], (name, "0.100"))
    rows = lines_of(table, 40)[1:]
    assert "".join(row[:31].strip() for row in rows) == name
    assert rows[0].endswith("0.100")
    assert rows[0].startswith("Qwen3-0.6B-Base-text-then-code-  ")


WORDS = st.text("ab c-_", min_size=1, max_size=30).map(lambda text: " ".join(text.split()) or "a")


@st.composite
def tables(draw: st.DrawFn) -> TerminalTable:
    headings = [("name", "name"), *draw(st.lists(st.tuples(WORDS, st.sampled_from(PLACES)), max_size=8))]
    numbers = st.floats(-1, 1).map(lambda value: f"{value:+.4f}")
    rows = draw(st.lists(st.tuples(WORDS, *(numbers for _ in headings[1:])), min_size=1, max_size=3))
    return table_of(headings, *rows)


@given(table=tables(), width=st.integers(30, 200))
def test_no_number_that_is_kept_is_ever_cut(table: TerminalTable, width: int) -> None:
    lines = lines_of(table, width)
    kept = [number for number, column in enumerate(table.columns) if column.place in ("name", "keep", "below")]
    words = [word for line in lines for word in line.split()]
    for row in table.rows:
        for number in kept[1:]:
            assert row.cells[number] in words
    least = 22 + sum(14 for number in kept[1:]) + sum(22 for column in table.columns if column.place == "fold")
    if width >= least:
        assert all(cell_len(line) <= width for line in lines if not line.startswith("Not shown"))


def test_a_group_stands_once_above_its_rows_where_the_table_is_too_wide() -> None:
    rows = [(model, task, "0.614") for model in ("a-model-with-a-long-name", "b") for task in ("arc_easy", "arc")]
    table = table_of([("model", "group"), ("task", ""), ("value", "keep")], *rows)
    texts = TerminalTable(
        columns=(*table.columns[:1], TableColumn(heading="task", place="name"), table.columns[2]), rows=table.rows
    )
    assert lines_of(texts, 80)[:2] == [
        "model                     task      value",
        "a-model-with-a-long-name  arc_easy  0.614",
    ]
    assert lines_of(texts, 30) == [
        "task      value",
        "model:",
        "a-model-with-a-long-name",
        "arc_easy  0.614",
        "arc       0.614",
        "",
        "model: b",
        "arc_easy  0.614",
        "arc       0.614",
    ]
