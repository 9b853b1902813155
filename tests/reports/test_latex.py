"""LaTeX for a paper: columns that fit, aligned numbers, bold rows, captions and labels; compiled by LaTeX."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.reports.conftest import Command
from tests.reports.records_for_tests import write_run_of

PAPER = r"""\documentclass[twocolumn]{article}
\usepackage{booktabs}
\usepackage{siunitx}
\begin{document}
%s
\end{document}
"""
RESULT = {"weak": (3, 8), "strong_model": (19, 9)}  # right answers of 22


@pytest.fixture
def models(tmp_path: Path) -> list[Path]:
    return [
        write_run_of(tmp_path, name, {"ceval_logic_paper": range(logic), "other_task": range(other)})
        for name, (logic, other) in RESULT.items()
    ]


def latex(command: Command, *words: object) -> str:
    code, out, err = command(*words, "--format", "latex")
    assert code == 0, err
    return out


def test_a_table_has_the_columns_that_fit_one_column(command: Command, models: list[Path]) -> None:
    text = latex(command, "compare", *models)
    differences = text.split(r"\begin{table}")[1]
    head = differences.split(r"\toprule")[1].split(r"\midrule")[0]
    assert head.strip() == r"task & {difference} & \multicolumn{2}{c}{95\% interval} & {p corr.} \\"
    assert differences.count("S[table-format=") == 4
    assert r"\label{tab:differences}" in differences


def test_numbers_are_aligned_by_siunitx_and_significant_rows_are_bold(command: Command, models: list[Path]) -> None:
    rows = latex(command, "compare", *models).split(r"\begin{table}")[1].split(r"\midrule")[1]
    logic = next(line for line in rows.splitlines() if "ceval" in line)
    other = next(line for line in rows.splitlines() if "other" in line)
    assert r"\bfseries ceval\_logic\_paper & \bfseries +0.727 & \bfseries 0." in logic
    assert "{$<$0.001}" in logic
    assert other.startswith(r"other\_task & +0.045 & ")


def test_the_caption_names_test_correction_and_items(command: Command, models: list[Path]) -> None:
    caption = latex(command, "compare", *models).split(r"\caption{")[1].split("\n")[0]
    for words in ("McNemar", "Holm", "3 tests", "n = 22 items per task", "Difference from weak", "Bold: significant"):
        assert words in caption


def test_a_leaderboard_and_a_design_have_captions_and_labels(command: Command, models: list[Path], small: Path) -> None:
    board = latex(command, "leaderboard", *models)
    assert r"\label{tab:leaderboard}" in board
    assert "ranks and groups test all pairs of models at once" in board
    design = latex(command, "compare", "--design", small)
    assert "2 training runs per arm from 2 pre-training runs" in design
    assert r"\label{tab:contrasts}" in design


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


@pytest.mark.slow
def test_latex_sets_every_table_without_an_overfull_line(
    command: Command, models: list[Path], small: Path, tmp_path: Path
) -> None:
    """The reduced twin is all of the above; a table that is too wide would be an overfull box."""
    program = shutil.which("pdflatex")
    if program is None:
        missing = "pdflatex is missing: sudo apt-get install texlive-latex-recommended texlive-science"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(missing)
    parts = [
        latex(command, "compare", *models),
        latex(command, "compare", "--design", small),
        latex(command, "leaderboard", *models),
    ]
    (tmp_path / "paper.tex").write_text(PAPER % "\n\\clearpage\n".join(parts), encoding="utf-8")
    done = subprocess.run(
        [program, "-interaction=nonstopmode", "-halt-on-error", "paper.tex"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]
    wide = [float(points) for points in re.findall(r"Overfull \\hbox \(([\d.]+)pt too wide\)", done.stdout)]
    assert [points for points in wide if points > 1.0] == [], done.stdout
