"""Curves over tokens of a leaderboard: runs of several seeds are one line, in colours and words that are true."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from harness.reports.analysis.domains import BoardEstimates
from harness.reports.analysis.lineage_graph import lineage_nodes
from harness.reports.analysis.training_curves import LOSS_TITLE, RANGE, CurvePanel, training_curves
from harness.reports.charts.training_curves import draw_training_curve
from harness.reports.documents.captions import curves_key
from harness.stats.combining import Estimate
from tests.reports.models_for_tests import model

DATA, SEEDS, STEPS = ("C", "N"), (0, 1, 2), (10, 20, 30)


def stage(name: str, seed: int, step: int, parent: str = "") -> dict[str, Any]:
    """A link of a lineage, with the held-out losses until this step; step 30 is the finished stage."""
    losses = [{"tokens": 100 * at, "loss": 3.0 - 0.01 * at - 0.1 * seed} for at in STEPS if at <= step]
    manifest = {
        "name": name, "stage": "sft" if parent else "pretrain", "tokens": 100 * step, "finished": step == STEPS[-1],
        "step": step, "seed": seed, "parents": [{"name": parent, "digest": parent}] if parent else [],
        "evaluation": {"curve": losses},
    }  # fmt: skip
    digest = name if step == STEPS[-1] else f"{name}/checkpoint-{step}"
    return {"name": name, "digest": digest, "status": "verified", "manifest": manifest}


def study(seeds: tuple[int, ...] = SEEDS) -> tuple[CurvePanel, ...]:
    """Two bases and four tunings, each of several seeds and with three evaluated checkpoints."""
    models, values = [], {}
    for (at, base), seed, step in itertools.product(enumerate(DATA), seeds, STEPS):
        root = stage(f"base-{base}-{seed}", seed, STEPS[-1])
        links: list[tuple[tuple[dict[str, Any], ...], float]] = [
            ((stage(f"base-{base}-{seed}", seed, step),), 0.1 * at)
        ]
        for tuned in DATA:
            own = stage(f"tuned-{base}-{tuned}-{seed}", seed, step, f"base-{base}-{seed}")
            links.append(((own, root), 0.3 + 0.03 * at + 0.05 * (tuned == "C")))
        for lineage, value in links:
            name = lineage[0]["digest"]
            models.append(model(name, {"t": np.array([1.0, 0.0])}, lineage=lineage))
            whole = value + 0.001 * step + 0.02 * seed
            values[name] = Estimate(value=whole, low=whole - 0.1, high=whole + 0.1)
    return training_curves(lineage_nodes(models), BoardEstimates(overall=values, domains=()))


def test_seeds_are_averaged_per_recipe() -> None:
    overall, loss = study()
    assert [line.name for line in overall.lines] == ["tuned-C-C", "tuned-C-N", "tuned-N-C", "tuned-N-N"]
    assert [line.colour for line in overall.lines] == [0, 1, 2, 3]
    line = overall.lines[0]
    assert [(one.model, one.tokens) for one in line.points] == [
        ("base-C step 10", 1000), ("base-C step 20", 2000), ("base-C", 3000),
        ("tuned-C-C step 10", 4000), ("tuned-C-C step 20", 5000), ("tuned-C-C", 6000),
    ]  # fmt: skip
    end = line.points[-1]
    assert (end.value, end.low, end.high) == pytest.approx((0.40, 0.38, 0.42)), "mean and range of 0.38, 0.40, 0.42"
    assert overall.band == loss.band == RANGE
    assert loss.title == LOSS_TITLE
    assert {one.name for one in loss.lines} == {"base-C", "base-N", *(line.name for line in overall.lines)}
    first = loss.lines[0].points[0]
    assert (first.value, first.low, first.high) == pytest.approx((2.8, 2.7, 2.9))


def test_one_seed_keeps_its_name_and_its_interval() -> None:
    overall = study(seeds=(0,))[0]
    assert [line.name for line in overall.lines] == ["tuned-C-C-0", "tuned-C-N-0", "tuned-N-C-0", "tuned-N-N-0"]
    end = overall.lines[0].points[-1]
    assert (end.value, end.low, end.high) == pytest.approx((0.38, 0.28, 0.48))
    assert overall.band == "95% interval"


def test_names_have_the_colour_of_their_line_and_a_leader_to_its_end() -> None:
    overall = study()[0]
    drawing = draw_training_curve(overall)
    names = {mark.text: mark for mark in drawing.marks if mark.style.startswith("small label-")}
    leaders = [mark for mark in drawing.marks if mark.style.startswith("leader")]
    dots = {(mark.x, mark.y): mark.data["model"] for mark in drawing.marks if mark.kind == "point"}
    assert len(leaders) == len(names) == 4
    for line in overall.lines:
        name = names[line.name]
        (leader,) = (mark for mark in leaders if dots[mark.x, mark.y] == line.name)
        assert name.style == f"small label-{line.colour}"
        assert leader.style == f"leader line-{line.colour}"
        assert (leader.y2, leader.x2 < name.x) == (name.y - 4, True)


def test_the_key_says_what_lines_and_bands_are_and_where_there_are_none() -> None:
    overall, loss = study()
    assert curves_key([overall, loss]) == ("Lines: mean over the runs of a recipe; bands: range of the runs.")
    lines = overall.lines * 2
    crowded = CurvePanel(title="overall", chance=0.0, lines=lines, band=RANGE)
    assert [mark for mark in draw_training_curve(overall).marks if mark.kind == "band"]
    assert not [mark for mark in draw_training_curve(crowded).marks if mark.kind == "band"]
    assert curves_key([overall, crowded]).endswith("; bands, where there are at most 6 lines: range of the runs.")
    assert curves_key([crowded]).endswith(", without bands, because there are more than 6 lines.")
