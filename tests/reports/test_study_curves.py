"""Curves over tokens of a factorial study whose runs have several checkpoints: analysis, JSON and page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from harness.cli import main
from tests.reports.browsing import every, log, one
from tests.reports.browsing_checks import cut_texts, forget, low_contrast, phone
from tests.reports.small_designs import FACTORS, Values, answers
from tests.reports.study_records import RunTask, write_design, write_study_run

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

STEPS = (10, 20, 30)
SEEDS = (0, 1)
BEFORE = 500_000  # tokens of the parent
OVERALL, LOSS = "overall, chance-centred", "held-out loss (less is better)"


def values(p: int, t: int, seed: int, step: int) -> Values:
    return answers((p, t), 100 * seed + step, gain=0.01 * step * (p + t))


def lineage(p: int, t: int, seed: int, step: int) -> list[dict[str, Any]]:
    """The checkpoint at a step of a tuning run, and its parent; the last one is the finished stage."""
    pre, own = f"pre-{p}-{seed}", f"tuned-{p}{t}-{seed}"
    stage = {"seed": seed, "spec": {}, "sources": [{"name": "text"}]}
    loss = [{"step": at, "tokens": 1_000 * at, "loss": 3.0 - 0.01 * at - 0.1 * seed} for at in STEPS if at <= step]
    tuned = {
        "stage": "sft", "name": own, "finished": step == STEPS[-1], "step": step, "tokens": 1_000 * step,
        "parents": [{"name": pre, "digest": f"sha256:{pre}"}], "evaluation": {"curve": loss},
    }  # fmt: skip
    base = {"stage": "pretrain", "name": pre, "finished": True, "step": 5, "tokens": BEFORE, "parents": []}
    digests = (f"{own}-{step}", pre)
    return [
        {"name": digest, "digest": f"sha256:{digest}", "location": "x", "status": "verified", "manifest": one | stage}
        for digest, one in zip(digests, (tuned, base), strict=True)
    ]


def write_checkpoints(folder: Path, steps: Sequence[int] = STEPS) -> Path:
    """A 2 x 2 with two seeds and checkpoints at each step; returns the design file."""
    runs = []
    for p, pretrain in enumerate(FACTORS["pretrain"]):
        for t, tune in enumerate(FACTORS["tune"]):
            for seed in SEEDS:
                for step in steps:
                    name = f"{'NC'[p]}{'NC'[t]}-{seed}-{step}"
                    tasks = {
                        "first": RunTask(values=values(p, t, seed, step), clusters=np.repeat(range(20), 2)),
                        "second": RunTask(values=values(p, t, 7 + seed, step), domain="legal"),
                    }
                    write_study_run(folder / "runs", name, tasks, lineage(p, t, seed, step))
                    parent = f"pre-{pretrain}-{seed}"
                    runs.append({"run": f"runs/{name}", "pretrain": pretrain, "tune": tune, "parent": parent,
                                 "seed": seed, "step": step})  # fmt: skip
    return write_design(folder / "design.yaml", FACTORS, runs)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the page and the JSON of one command."""
    folder = tmp_path_factory.mktemp("curves")
    design = write_checkpoints(folder)
    for ending in ("html", "json"):
        assert main(["compare", "--design", str(design), "--output_path", str(folder / f"page.{ending}")]) == 0
    return folder


@pytest.fixture(scope="module")
def tables(written: Path) -> dict[str, list[dict[str, Any]]]:
    return dict(json.loads((written / "page.json").read_text(encoding="utf-8"))["tables"])


def test_each_point_is_the_mean_over_seeds_at_its_tokens(tables: dict[str, Any]) -> None:
    points = {(row["curve"], row["line"], row["tokens"]): row for row in tables["curves"]}
    for p, t in ((0, 0), (0, 1), (1, 0), (1, 1)):
        arm = f"{'NC'[p]}{'NC'[t]}"
        for step in STEPS:
            tokens = BEFORE + 1_000 * step
            means = [float(np.mean([values(p, t, at + seed, step) for seed in SEEDS])) for at in (0, 7)]
            assert points["first", arm, tokens]["value"] == pytest.approx(means[0])
            assert points["second", arm, tokens]["value"] == pytest.approx(means[1])
            centred = float(np.mean([(mean - 0.25) / 0.75 for mean in means]))
            assert points[OVERALL, arm, tokens]["value"] == pytest.approx(centred)
    assert len(points) == 4 * len(STEPS) * 4


def test_the_end_of_a_line_is_the_value_of_the_matrix_with_its_interval(tables: dict[str, Any]) -> None:
    matrix = {(row["arm"], row["task"]): row for row in tables["matrix"]}
    ends = [row for row in tables["curves"] if row["tokens"] == BEFORE + 1_000 * STEPS[-1] and row["curve"] != LOSS]
    assert len(ends) == 4 * 3
    for row in ends:
        cell = matrix[row["line"], "overall" if row["curve"] == OVERALL else row["curve"]]
        assert row["value"] == pytest.approx(cell["value"])
        assert row["band"] == pytest.approx(cell["interval"])
        assert row["band_is"] == "95% interval"


def test_held_out_loss_is_the_mean_and_the_range_of_the_runs(tables: dict[str, Any]) -> None:
    rows = [row for row in tables["curves"] if (row["curve"], row["line"]) == (LOSS, "NC")]
    assert [row["tokens"] for row in rows] == [BEFORE + 1_000 * step for step in STEPS]
    assert [row["value"] for row in rows] == pytest.approx([2.95 - 0.01 * step for step in STEPS])
    assert rows[0]["band"] == pytest.approx([2.8, 2.9])
    assert rows[0]["band_is"] == "range of the runs"


def test_the_page_draws_a_line_per_arm_with_held_out_loss_beside_accuracy(browser: Chrome, written: Path) -> None:
    forget(browser)
    browser.get((written / "page.html").as_uri())
    curves = every(browser, "#curves > .figures .curve")
    assert [one(curve, "text").text for curve in curves] == [OVERALL, LOSS]
    for curve in curves:
        assert len(every(curve, "circle")) == 4 * len(STEPS)
        assert len(every(curve, "[class^=band-]")) == 4
        names = [text.text for text in every(curve, "text")]
        assert {"NN", "NC", "CN", "CC", "tokens"} <= set(names)
    beside = [curve.rect["y"] for curve in curves]
    assert beside[0] == beside[1], "beside each other"
    assert [one(curve, "text").text for curve in every(browser, "#curves details .curve")] == ["second", "first"]
    assert "mean and range of the runs" in one(browser, "#curves .hint").text
    assert log(browser, "browser") == []


def test_the_curves_are_whole_and_readable_on_a_phone(browser: Chrome, written: Path) -> None:
    browser.get((written / "page.html").as_uri())
    assert cut_texts(browser) == []
    assert low_contrast(browser) == []
    with phone(browser):
        assert cut_texts(browser) == []
        assert browser.execute_script("return document.documentElement.scrollWidth") <= 390


def test_charts_have_the_curves_too(written: Path, tmp_path: Path) -> None:
    assert main(["compare", "--design", str(written / "design.yaml"), "--charts", str(tmp_path)]) == 0
    stems = {file.name.partition(".")[0] for file in tmp_path.iterdir()}
    assert stems == {"effects", "tokens", "held_out_loss"}


def test_runs_of_one_checkpoint_have_no_curves(tmp_path: Path) -> None:
    design = write_checkpoints(tmp_path, STEPS[-1:])
    for ending in ("html", "json"):
        assert main(["compare", "--design", str(design), "--output_path", str(tmp_path / f"page.{ending}")]) == 0
    assert "curves" not in json.loads((tmp_path / "page.json").read_text(encoding="utf-8"))["tables"]
    assert 'id="curves"' not in (tmp_path / "page.html").read_text(encoding="utf-8")
