"""One report computes each document, ranking, test and bootstrap once, also when it writes a page and charts."""

from __future__ import annotations

import importlib
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.reports.conftest import Command
from tests.reports.records_for_tests import write_run

# Everything that costs time, by module; each is imported before it is counted, so that no name is bound later.
COUNTED = {
    "harness.reports.analysis.comparison": ("compare",),
    "harness.reports.analysis.leaderboard": ("rank",),
    "harness.reports.analysis.domains": ("board_estimates",),
    "harness.reports.documents.comparison": ("comparison_document",),
    "harness.reports.documents.leaderboard": ("leaderboard_document", "task_values"),
    "harness.stats": ("compare_paired", "rank_models", "interval"),
}
IMPORTED = ("harness.reports.page.html", "harness.reports.page.report", "harness.reports.charts.charts")
TASKS, MODELS, ITEMS = ("right_or_wrong", "shares"), ("first", "second", "third"), 30


@pytest.fixture
def mixed_runs(tmp_path: Path) -> Path:
    """Three models on two tasks: one scored 0 or 1, one with shares, whose intervals need a bootstrap."""
    rng = np.random.default_rng(0)
    for model in MODELS:
        rows = [{"acc": round(float(share), 3)} for share in rng.random(ITEMS)]
        right = np.flatnonzero(rng.random(ITEMS) < 0.6).tolist()
        write_run(tmp_path / "a", model, right, task=TASKS[0], items=ITEMS)
        write_run(tmp_path / "b", model, (), task=TASKS[1], items=ITEMS, extra=rows)
    return tmp_path


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Calls by name of the function, and by content of the values for intervals."""
    counts: Counter[str] = Counter()

    def counting(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **kwargs: Any) -> Any:
            content = f" of {args[0].tobytes().hex()[:400]}" if name == "interval" else ""
            counts[name + content] += 1
            return function(*args, **kwargs)

        return counted

    for module in IMPORTED:
        importlib.import_module(module)
    for module, names in COUNTED.items():
        for name in names:
            function: Callable[..., Any] = getattr(importlib.import_module(module), name)
            for other in [one for key, one in sys.modules.items() if key.startswith("harness")]:
                if getattr(other, name, None) is function:
                    monkeypatch.setattr(other, name, counting(name, function))
    return counts


@pytest.mark.parametrize("kind", ["html", "json", "table"])
@pytest.mark.parametrize("name", ["compare", "leaderboard"])
def test_a_report_with_charts_computes_nothing_twice(
    name: str, kind: str, mixed_runs: Path, command: Command, calls: Counter[str], tmp_path: Path
) -> None:
    words = [mixed_runs] if name == "leaderboard" else [*MODELS, "--runs", mixed_runs]
    code, _, err = command(
        name, *words, "--format", kind, "--output_path", tmp_path / "out", "--charts", tmp_path / "charts"
    )
    assert code == 0, err
    others = len(MODELS) - 1
    pairs = others * (others + 1) // 2 if kind == "html" or (kind == "json" and name == "compare") else others
    assert calls.pop("compare_paired") == len(TASKS) * pairs, "one test per task and pair"
    assert {call: count for call, count in calls.items() if count > 1} == {}
    assert sum(call.startswith("interval of") for call in calls) == len(TASKS) * len(MODELS)
    assert {"compare", "rank", "rank_models", "board_estimates"} <= set(calls)


def test_a_refused_comparison_has_run_no_test(mixed_runs: Path, command: Command, calls: Counter[str]) -> None:
    """A leaderboard tries again without the tasks that cannot be compared; the first try must not cost a test."""
    results = next((mixed_runs / "b" / "second").glob("results_*.json"))
    results.write_text(results.read_text().replace('"versions": {"shares": 1}', '"versions": {"shares": 2}'))
    code, _, err = command("compare", *MODELS, "--runs", mixed_runs)
    assert code == 2
    assert "version differs" in err
    assert calls["compare_paired"] == 0
