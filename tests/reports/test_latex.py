"""LaTeX for a paper: columns that fit, aligned numbers, bold rows, captions and labels; compiled by LaTeX."""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.reports.analysis.comparison import compare
from harness.reports.analysis.differences import Arm
from harness.reports.analysis.intervals import IntervalCache
from harness.reports.documents.captions import comparison_caption, overall_caption
from harness.reports.documents.comparison import comparison_document
from harness.reports.documents.latex import latex as write_latex
from harness.reports.documents.latex_columns import COLUMN_WIDTH, layout
from harness.reports.documents.leaderboard import task_values
from harness.reports.documents.tables import Column, Document, Row, Table
from tests.reports.conftest import Command
from tests.reports.models_for_tests import answers, model
from tests.reports.records_for_tests import write_run_of
from tests.reports.typesetting import MISSING, complaints, has_latex

RESULT = {"weak": (3, 8), "strong_model": (19, 9)}  # right answers of 22
# What LaTeX would take as a command, a ligature, an option of the line before, or what pdfLaTeX does not know.
NAMES = [
    "a|b", "a--b", "[a]", "*a", "a_b^c~d", "50%", "{x}", r"\end", "<a>", "''", "`a`",
    "naïve", "«x»", "Ωß−≤", "模型-7B", "🙂", "x\u0301",
]  # fmt: skip


@pytest.fixture
def models(tmp_path: Path) -> list[Path]:
    return [
        write_run_of(tmp_path, name, {"ceval_logic_paper": range(logic), "other_task": range(other)})
        for name, (logic, other) in RESULT.items()
    ]


@pytest.fixture
def three(tmp_path: Path) -> Path:
    """A folder with three models of long names on three tasks of long names."""
    for number in range(3):
        rights = {f"a_task_with_a_longer_name_{task}": range(4 + 6 * number + task) for task in range(3)}
        write_run_of(tmp_path / "three", f"training-checkpoint-12000-of-an-experiment-with-seed-{number}", rights)
    return tmp_path / "three"


def latex(command: Command, *words: object) -> str:
    code, out, err = command(*words, "--format", "latex")
    assert code == 0, err
    return out


def tables_of(command: Command, *words: object) -> dict[str, list[dict[str, Any]]]:
    code, out, err = command(*words, "--format", "json")
    assert code == 0, err
    tables: dict[str, list[dict[str, Any]]] = json.loads(out)["tables"]
    return tables


def floats(text: str) -> dict[str, str]:
    """The floats by label; those that continue one before are part of it."""
    parts = text.split(r"\begin{table}")[1:]
    made: dict[str, str] = {}
    for part in parts:
        label = re.search(r"\\label\{tab:([^}]+)\}", part)
        key = label[1] if label else list(made)[-1]
        made[key] = made.get(key, "") + part
    return made


def rows_of(part: str) -> list[str]:
    body = part.split(r"\midrule")[1].split(r"\bottomrule")[0]
    return [line for line in body.splitlines() if " & " in line]


def caption_of(part: str) -> str:
    return part.split(r"\caption{")[1].split("\n")[0]


def test_a_table_has_the_columns_that_fit_one_column(command: Command, models: list[Path]) -> None:
    text = latex(command, "compare", *models)
    differences = text.split(r"\begin{table}")[1]
    head = differences.split(r"\toprule")[1].split(r"\midrule")[0]
    assert head.strip() == r"task & {difference} & \multicolumn{2}{c}{95\% interval} & {p corr.} \\"
    assert differences.count("S[table-format=") == 4
    assert r"\label{tab:differences}" in differences


def test_numbers_are_aligned_by_siunitx_and_significant_rows_are_bold(command: Command, models: list[Path]) -> None:
    rows = rows_of(floats(latex(command, "compare", *models))["differences"])
    logic, other = rows
    assert "+0.727" in logic
    assert logic.count(r"\bfseries") == 5
    assert r"{\bfseries $<$0.001}" in logic
    assert other.startswith("other")
    assert " & +0.045 & " in other
    assert r"\bfseries" not in other


@pytest.mark.parametrize("right", [(3, 8), (8, 8)])
def test_bold_is_what_survives_correction_in_every_table(
    right: tuple[int, int], command: Command, tmp_path: Path
) -> None:
    results = {"first": right, "second": (19, 9), "third": (9, 9)}
    for name, (logic, other) in results.items():
        write_run_of(tmp_path / "runs", name, {"ceval_logic_paper": range(logic), "other_task": range(other)})
    words = ("compare", *results, "--runs", tmp_path / "runs")
    written, tables = floats(latex(command, *words)), tables_of(command, *words)
    for key in ("differences", "overall"):
        expected = [row["p_corrected"] is not None and row["p_corrected"] <= 0.05 for row in tables[key]]
        assert [r"\bfseries" in row for row in rows_of(written[key])] == expected, key
        assert ("Bold: significant at 5" in caption_of(written[key])) == any(expected)


def test_a_significant_row_stays_bold_if_requests_failed(command: Command, runs: Path, failed_run: Path) -> None:
    words = ("compare", failed_run, runs / "oracle")
    rows = rows_of(floats(latex(command, *words))["differences"])
    expected = tables_of(command, *words)["differences"]
    assert [r"\bfseries" in row for row in rows] == [row["p_corrected"] <= 0.05 for row in expected]
    assert any(row["failed_baseline"] and row["p_corrected"] <= 0.05 for row in expected)


def test_the_caption_names_test_correction_and_items(command: Command, models: list[Path]) -> None:
    written = floats(latex(command, "compare", *models))
    common = ("Holm", "3 tests", "n = 22 items per task", "ifference from weak", "Bold: significant")
    for words in ("McNemar", *common):
        assert words in caption_of(written["differences"])
    for words in ("over 2 tasks", "combines those of the tasks; p agrees with this interval", *common[:-1]):
        assert words in caption_of(written["overall"])
    assert "McNemar" not in caption_of(written["overall"])


def test_the_caption_of_several_runs_names_their_test() -> None:
    rng = np.random.default_rng(0)
    arms = [
        Arm(name=arm, models=tuple(model(f"{arm}-{seed}", {"logic/t": answers(rng, [0.2] * 40)}) for seed in (0, 1)))
        for arm in ("text", "code")
    ]
    comparison = compare(arms, correction="bh")
    for caption in (comparison_caption(comparison), overall_caption(comparison)):
        assert "p by Student's t over items and runs (2 runs per arm), corrected for " in caption
        assert "by Benjamini and Hochberg's method" in caption
        assert "McNemar" not in caption


def test_every_table_of_a_leaderboard_has_a_caption(command: Command, models: list[Path]) -> None:
    board = floats(latex(command, "leaderboard", *models, "--against", "weak"))
    assert list(board) == ["leaderboard", "against", "tasks"]
    assert "ranks and groups test all pairs of models at once" in caption_of(board["leaderboard"])
    for words in ("p agrees with this interval", "corrected for 3 tests by Holm", "n = 22 items per task"):
        assert words in caption_of(board["against"])
    assert "Wilson's" in caption_of(board["tasks"])


def test_a_design_has_captions_and_labels(command: Command, small: Path) -> None:
    design = floats(latex(command, "compare", "--design", small))
    assert "2 training runs per arm from 2 pre-training runs" in caption_of(design["contrasts"])
    assert "mean over domains and training runs, of 2 tasks" in caption_of(design["arms"])
    assert "{p corr.}" in design["contrasts"]
    for name in ("overall (primary)", "first (secondary)", "first (exploratory)"):
        assert rf"\emph{{{name}}}" in design["contrasts"]


def test_failed_requests_stand_in_tables_and_captions(command: Command, runs: Path, failed_run: Path) -> None:
    folders = (failed_run, runs / "oracle")
    board = floats(latex(command, "leaderboard", *folders))
    tables = tables_of(command, "leaderboard", *folders)
    failed = {row["model"]: row["failed"] for row in tables["leaderboard"]}
    assert sum(failed.values()) > 0
    for key in ("leaderboard", "tasks"):
        assert "{failed}" in board[key]
        last = [row.removesuffix(r" \\").split(" & ")[-1].removeprefix(r"\bfseries ") for row in rows_of(board[key])]
        assert last == [str(row["failed"]) for row in tables[key]]
    caption = caption_of(floats(latex(command, "compare", *folders))["differences"])
    assert f"Requests without an answer, whose items are left out: uniform {failed['uniform']}." in caption


def test_columns_can_be_chosen_in_any_order(command: Command, models: list[Path]) -> None:
    text = latex(command, "compare", *models, "--columns", "p,task,standard_error")
    head = text.split(r"\toprule")[1].split(r"\midrule")[0]
    assert head.strip() == r"{p} & task & {standard\_error} \\"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--columns", "tusk", "--format", "latex"), "--columns tusk: no table has it; give domain, task,"),
        (("--columns", "task"), "--columns task: only for LaTeX tables; give --format latex, or leave it out."),
    ],
)
def test_wrong_columns_are_an_error_of_one_line(
    words: tuple[str, ...], message: str, command: Command, models: list[Path]
) -> None:
    code, out, err = command("compare", *models, *words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err


def test_several_models_stand_above_their_rows(command: Command, three: Path) -> None:
    differences = floats(latex(command, "compare", *sorted(three.iterdir())))["differences"]
    head = differences.split(r"\toprule")[1].split(r"\midrule")[0]
    assert head.strip() == r"task & {difference} & \multicolumn{2}{c}{95\% interval} & {p corr.} \\"
    assert differences.count(r"\multicolumn{5}{@{}l@{}}") == 2
    assert len(rows_of(differences)) == 6


@pytest.mark.parametrize("n_models", [2, 3, 5])
@pytest.mark.parametrize("longest", [6, 24, 60])
def test_the_estimated_width_is_at_most_a_column(n_models: int, longest: int) -> None:
    rng = np.random.default_rng(0)
    arms = []
    for number in range(n_models):
        values = {f"logic/{'a_long_task_name_' * 4}"[: longest + 6] + str(t): answers(rng, [0.2] * 40) for t in "12"}
        one = model(f"{'a-long-model-name-' * 4}"[:longest] + str(number), values)
        arms.append(Arm(name=one.name, models=(one,)))
    document = comparison_document(compare(arms), "harness compare")
    for table in document.tables:
        chosen = layout(table, ())
        assert chosen.width <= COLUMN_WIDTH, table.key
        assert {one.column.key for one in chosen.columns} >= {"difference", "interval", "p_corrected"}
        names = {one.column.key for one in chosen.columns} | {chosen.group.key if chosen.group else ""}
        assert names >= ({"arm"} if n_models > 2 else set())


def test_a_column_without_room_is_named_in_the_caption() -> None:
    wide = [Column(key=f"c{n}", heading=f"heading{n}") for n in range(9)]
    rows = (Row(cells={"model": "m", **{column.key: 0.5 for column in wide}}),)
    table = Table(key="t", title="T", columns=(Column(key="model", heading="m", kind="text"), *wide), rows=rows)
    text = write_latex(Document(title="T", command="", tables=(table,), notes=("Result.",)))
    shown = [column.heading for column in wide if f"{{{column.heading}}}" in text]
    left_out = [column.heading for column in wide if column.heading not in shown]
    assert 0 < len(shown) < 9
    assert f"Omitted for space: {', '.join(left_out)}." in text


def long_table() -> Document:
    """The values of 18 models on 8 tasks."""
    rng = np.random.default_rng(0)
    values = [
        model(f"model-{number}", {f"logic/task_{task}": answers(rng, [0.2] * 40) for task in range(8)})
        for number in range(18)
    ]
    table = task_values(values, IntervalCache())
    return Document(title="T", command="", tables=(table,), notes=("Result.",))


def test_a_long_table_becomes_floats_of_one_page_with_one_label() -> None:
    text = write_latex(long_table())
    parts = text.split(r"\begin{table}")[1:]
    assert [len(rows_of(part)) <= 46 for part in parts] == [True] * len(parts)
    assert sum(len(rows_of(part)) for part in parts) == 18 * 8
    assert len(parts) == 4
    assert text.count(r"\label{") == 1
    assert [r"\addtocounter{table}{-1}" in part for part in parts] == [False, True, True, True]
    for part in parts:
        first = part.split(r"\midrule")[1].strip()
        assert first.startswith(r"\multicolumn{4}{@{}l@{}}{\emph{task\_"), "the task of the first rows"


def hostile_table() -> Document:
    columns = (Column(key="model", heading="[model]", kind="text"), Column(key="value", heading="value"))
    rows = tuple(Row(cells={"model": name, "value": -0.5}) for name in NAMES)
    table = Table(key="t", title=" ".join(NAMES), columns=columns, rows=rows)
    return Document(title="T", command="", tables=(table,), notes=("Result.",), caveats=tuple(NAMES))


def test_characters_that_pdflatex_lacks_have_a_definition() -> None:
    text = write_latex(hostile_table())
    assert r"\pdftexlacks{模型}{U+6A21 U+578B}" in text
    assert r"\providecommand{\pdftexlacks}" in text.split(r"\pdftexlacks{")[0]
    assert "providecommand" not in write_latex(long_table())


def test_latex_sets_small_tables_within_a_column(command: Command, three: Path, small: Path, tmp_path: Path) -> None:
    """Where LaTeX is missing, the widths are estimated, as above."""
    if not has_latex():
        pytest.skip(MISSING)
    models = sorted(three.iterdir())
    parts = [
        latex(command, "compare", *models),
        latex(command, "leaderboard", three, "--against", models[0].name),
        write_latex(hostile_table()),
    ]
    assert complaints(parts, tmp_path) == []


def test_what_does_not_fit_a_page_is_found(tmp_path: Path) -> None:
    if not has_latex():
        pytest.skip(MISSING)
    for wrong, words in (
        (r"\rule{300pt}{1pt}", "Overfull"),
        (r"\rule{1pt}{900pt}", "Float too large"),
        ("模", "Unicode character"),
    ):
        assert [words in one for one in complaints([rf"\begin{{table}}{wrong}\end{{table}}"], tmp_path)] == [True]


@pytest.mark.slow
@pytest.mark.parametrize("options", ["", ",a4paper"])
def test_latex_sets_every_table_without_an_overfull_line(
    options: str, command: Command, three: Path, small: Path, runs: Path, failed_run: Path, tmp_path: Path
) -> None:
    """The reduced twin is the test above. A table that is too wide is an overfull box, one too long a large float."""
    if not has_latex():
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(MISSING)
    models = sorted(three.iterdir())
    overlap = ("--overlap", overlap_file(tmp_path / "overlap.json", "a_task_with_a_longer_name_0"))
    parts = [
        latex(command, "compare", *models, *overlap),
        latex(command, "compare", *models, "--doses", "0,0.5,1"),
        latex(command, "compare", *models[:2], "--margin", "0.05"),
        latex(command, "compare", "--design", small),
        latex(command, "leaderboard", three, "--against", models[0].name, *overlap),
        latex(command, "leaderboard", runs, failed_run, "--all"),
        latex(command, "compare", failed_run, runs / "oracle", runs / "corrupted"),
        write_latex(long_table()),
        write_latex(hostile_table()),
    ]
    assert complaints(parts, tmp_path, options=options) == []


def overlap_file(path: Path, task: str) -> Path:
    hashes = [hashlib.sha256(f"{task} {item}".encode()).hexdigest() for item in range(5)]
    rows = [{"task": task, "item": "", "doc_hash": digest} for digest in hashes]
    path.write_text(json.dumps({"tables": {"overlap": [{"task": task}], "items": rows}}))
    return path
