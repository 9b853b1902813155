"""Pages on a phone: names of models, tasks, factors, levels and sources that are long and have no space."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import yaml

from harness.cli import main
from tests.reports.browsing_checks import phone
from tests.reports.study_records import RunTask, write_design, write_study_run

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

LONG = "x" * 190
TASKS = (f"t{'y' * 100}", "second")
# Parts of the page that end beyond it; what scrolls inside a box of its own does not.
BEYOND = """
return [...document.querySelectorAll("body *")].filter((part) =>
  part.checkVisibility() && !part.closest(".wide, .command, .figures figure, svg, pre")
  && part.getBoundingClientRect().right > innerWidth + 1
).map((part) => part.outerHTML.slice(0, 120));
"""
# Columns with a long name that leave no room on a phone for what stands beside them, by their first letters.
WIDE_COLUMNS = """
return [...document.querySelectorAll(".grid thead th, .matrix thead th")].filter((head) =>
  head.checkVisibility() && head.textContent.length > 80 && head.getBoundingClientRect().width > 180
).map((head) => head.textContent.slice(0, 20));
"""


def _tasks(right: int) -> dict[str, RunTask]:
    return {task: RunTask(values=(np.arange(20) < right).astype(float), domain=f"d{'z' * 90}") for task in TASKS}


def _stage(name: str, step: int, parent: str = "") -> dict[str, Any]:
    source = {"name": f"source{'w' * 90}", "tokens": 100 * step}
    manifest = {
        "name": name, "stage": "sft" if parent else "pretrain", "tokens": 100 * step, "finished": step == 2,
        "step": step, "seed": 0, "parents": [{"name": parent, "digest": parent}] if parent else [],
        "sources": [source], "evaluation": {"curve": [{"step": 1, "tokens": 100, "loss": 2.0}]},
    }  # fmt: skip
    digest = name if step == 2 else f"{name}/checkpoint-{step}"
    return {"name": name, "digest": digest, "status": "verified", "manifest": manifest}


def _chain(folder: Path) -> list[str]:
    """A leaderboard of the checkpoints of two stages."""
    base, tuned = f"base{LONG}", f"tuned{LONG}"
    for step in (1, 2):
        write_study_run(folder / f"base-{step}", f"{base[:150]}-{step}", _tasks(6 + step), [_stage(base, step)])
        lineage = [_stage(tuned, step, base), _stage(base, 2)]
        write_study_run(folder / f"tuned-{step}", f"{tuned[:150]}-{step}", _tasks(12 + step), lineage)
    return ["leaderboard", str(folder)]


def _study(folder: Path) -> list[str]:
    """A factorial study."""
    factors = {f"pretrain{LONG}": [f"text{LONG}", f"code{LONG}"], f"tune{LONG}": [f"plain{LONG}", f"code{LONG}"]}
    (first, levels), (second, others) = factors.items()
    runs = []
    for number in range(8):
        name = f"{number}{LONG}"
        write_study_run(folder / str(number), name, _tasks(8 + number))
        cell = {first: levels[number // 4], second: others[number // 2 % 2]}
        runs.append({"run": str(number), "parent": f"{number // 4}{number % 2}{LONG}", "seed": number % 2, **cell})
    return ["compare", "--design", str(write_design(folder / "design.yaml", factors, runs))]


def _power(folder: Path) -> list[str]:
    plan = {"factors": {f"tune{LONG}": ["a", f"b{LONG}"]}, "seeds": 3, "tasks": {task: {"items": 99} for task in TASKS}}
    (folder / "plan.yaml").write_text(yaml.safe_dump(plan), encoding="utf-8")
    return ["power", str(folder / "plan.yaml")]


@pytest.mark.parametrize("kind", [_chain, _study, _power])
def test_long_names_do_not_widen_the_page_of_a_phone(browser: Chrome, kind: Any, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    assert main([*kind(tmp_path), "--output_path", str(page)]) == 0
    browser.get(page.as_uri())
    with phone(browser):
        wide = browser.execute_script(WIDE_COLUMNS)
        browser.execute_script("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
        beyond = browser.execute_script(BEYOND)
        assert (browser.execute_script("return document.documentElement.scrollWidth"), beyond) == (390, [])
    assert wide == []
