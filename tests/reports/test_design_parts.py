"""Parts of a factorial analysis: parents in both schemas, numeric factors, names of arms, the overall value."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.errors import RecordError
from harness.records import ModelRecords
from harness.reports.analysis.contrasts import cell_label, design_contrasts
from harness.reports.analysis.factor_lines import numeric_levels
from harness.reports.analysis.stages import stages_of
from harness.reports.analysis.task_values import TaskValues, overall_tables
from harness.reports.charts.drawing import svg
from harness.reports.charts.forest import Effect, draw_forest
from harness.stats.factorial import Runs, estimate_contrast
from harness.stats.item_sets import ItemLabels


def model(*manifests: dict[str, Any]) -> ModelRecords:
    """A model with a lineage of these manifests, its own first."""
    links = tuple({"name": "x", "digest": f"sha256:{at}", "manifest": one} for at, one in enumerate(manifests))
    return ModelRecords(
        name="m", recorded_name="m", source="m", digest="sha256:0", identity=("m",), folders=(Path(),), tasks={},
        unscored={}, lineage=links,
    )  # fmt: skip


PARENT = {"name": "p", "digest": "sha256:1"}


@pytest.mark.parametrize(
    ("own", "parents"),
    [
        ({"parent": PARENT}, ("sha256:1",)),
        ({"parent": None}, ()),
        ({"parents": [PARENT, {"name": "q", "digest": "sha256:2"}]}, ("sha256:1", "sha256:2")),
        ({"parents": []}, ()),
    ],
)
def test_parents_are_read_in_both_schemas(own: dict[str, Any], parents: tuple[str, ...]) -> None:
    (stage,) = stages_of(model({"stage": "sft", "name": "a", "seed": 3, **own}))
    assert (stage.parents, stage.seed, stage.digest) == (parents, 3, "sha256:0")


def test_stages_are_listed_from_the_oldest_and_a_root_without_manifest_is_none() -> None:
    record = model({"stage": "sft", "name": "b", "parent": PARENT}, {"stage": "pretrain", "name": "a", "parent": None})
    assert [stage.name for stage in stages_of(record)] == ["a", "b"]
    assert stages_of(model()) == ()


def test_a_damaged_lineage_is_named() -> None:
    with pytest.raises(RecordError, match="m: the lineage in its run"):
        stages_of(model({"name": "a"}))


@pytest.mark.parametrize(
    ("name", "levels", "expected"),
    [
        ("share", ["0", "0.3", "0.5"], [0.0, 0.3, 0.5]),
        ("scale", ["135M", "360M", "1.7B"], [math.log(1.35e8), math.log(3.6e8), math.log(1.7e9)]),
        ("size", ["10", "100", "1000"], [math.log(10), math.log(100), math.log(1000)]),
        ("share", ["0", "0.3"], None),
        ("schedule", ["uniform", "up", "down"], None),
        ("schedule", ["0", "up", "1"], None),
    ],
)
def test_numeric_levels(name: str, levels: list[str], expected: list[float] | None) -> None:
    assert numeric_levels(name, levels) == (None if expected is None else pytest.approx(expected))


def test_arms_are_named_by_reference_and_other_level() -> None:
    factors = {"pretrain": ("text", "code"), "tune": ("plain", "code"), "share": ("0", "0.3", "0.5")}
    assert cell_label(("code", "plain", "0.3"), factors) == "CN/0.3"
    assert cell_label(("a", "b"), {"x": ("a", "c", "d"), "y": ("b", "e", "f")}) == "a/b"


def test_contrasts_of_any_design_sum_to_zero() -> None:
    factors = {"pretrain": ("text", "code"), "tune": ("plain", "code"), "share": ("0", "0.3", "0.5")}
    cells = {(p, t, s) for p in factors["pretrain"] for t in factors["tune"] for s in factors["share"]}
    for spec in design_contrasts(factors, cells, []):
        assert sum(spec.coefficients.values()) == pytest.approx(0.0)
    main = design_contrasts(factors, cells, [])[0]
    assert len(main.coefficients) == 12
    assert sum(map(abs, main.coefficients.values())) == pytest.approx(2.0)


def task(name: str, domain: str, docs: str, values: list[list[float]], chance: float = 0.0) -> TaskValues:
    return TaskValues(
        task=name, domain=domain, metric="acc,none", chance=chance, on_scale=True, values=np.array(values),
        clusters=None, labels=labels(docs),
    )  # fmt: skip


def labels(docs: str, left_out: str = "") -> ItemLabels:
    """One item per letter; those of `left_out` have no value, because a request failed."""
    kept = [at for at, doc in enumerate(docs) if doc not in left_out]
    return ItemLabels(docs=[docs[at].encode() for at in kept], positions=kept, rows=len(docs), clusters=None)


def test_the_overall_value_is_the_mean_over_domains_and_items_count_once() -> None:
    tasks = [
        task("letter", "logic", "ab", [[1.0, 0.0], [1.0, 1.0]]),
        task("cloze", "logic", "ba", [[1.0, 0.0], [0.0, 0.0]]),
        task("other", "logic", "cd", [[0.0, 0.0], [1.0, 1.0]]),
        task("law", "legal", "ef", [[0.5, 0.5], [1.0, 1.0]], chance=0.5),
        task("chat", "general", "gh", [[0.0, 0.0], [1.0, 1.0]]),
    ]
    tables = overall_tables(tasks)
    assert [table.weight for table in tables] == [0.25, 0.25, 0.5]
    # Items a and b: the mean of both templates, in the order of the first: a 1 and 0, b 0 and 1.
    assert tables[0].values.tolist() == [[0.5, 0.5], [0.5, 0.5]]
    assert tables[2].values.tolist() == [[0.0, 0.0], [1.0, 1.0]]
    total = sum(table.weight * table.values.mean(axis=1) for table in tables)
    assert total.tolist() == [0.125, 0.875]


def item_error(*tasks: TaskValues) -> float:
    """The error of items of the second of two runs minus the first, overall."""
    contrast = estimate_contrast(overall_tables(tasks), Runs(cells=["a", "b"], plots=["a", "b"]), {"a": -1.0, "b": 1.0})
    return contrast.se_items


def random_task(name: str, docs: str, draw: int, left_out: str = "") -> TaskValues:
    """Two runs with random answers; variants of the benchmark x with one `draw` have the same answers."""
    own = labels(docs, left_out)
    answers = np.random.default_rng(draw).integers(0, 2, (2, len(docs))).astype(float)[:, list(own.positions)]
    return replace(task(name, "logic", docs, []), values=answers, labels=own, items_from="x")


ENGLISH, CHINESE, LONGER = "abcdefghijkl", "ABCDEFGHIJKL", "ABCDEFGHIJKLMNO"


def test_a_copy_of_a_task_adds_no_items() -> None:
    letter, cloze = random_task("x_letter", ENGLISH, 1), random_task("x_cloze", ENGLISH, 1)
    assert item_error(letter, cloze) == pytest.approx(item_error(letter))


def test_variants_of_unknown_correspondence_count_as_fully_correlated() -> None:
    """A language with more items: nothing says which correspond, so its items are no further evidence."""
    letter, cloze = random_task("x_letter", ENGLISH, 1), random_task("x_cloze", ENGLISH, 1)
    chinese = random_task("x_zh", LONGER, 2)
    expected = 2 / 3 * item_error(letter) + 1 / 3 * item_error(chinese)
    assert item_error(letter, cloze, chinese) == pytest.approx(expected)


def test_variants_correspond_by_their_position_in_the_task_even_if_requests_failed() -> None:
    """Two languages with the same answers, of which the first item failed in one: the others stay aligned."""
    english, chinese = random_task("x_en", ENGLISH, 1), random_task("x_zh", CHINESE, 1, left_out="A")
    d, e = (one.values[1] - one.values[0] for one in (english, chinese))
    n, m = d.size, e.size
    shared = float((d - d.mean())[1:] @ (e - e.mean())) / (math.sqrt((1 - 1 / n) * (1 - 1 / m)) * n * m)
    variance = (item_error(english) ** 2 + item_error(chinese) ** 2 + 2 * shared) / 4
    assert item_error(english, chinese) == pytest.approx(math.sqrt(variance))


def test_an_item_that_failed_in_one_variant_does_not_make_the_variants_independent() -> None:
    whole, part = random_task("x", ENGLISH, 1), random_task("x_cloze", ENGLISH, 1, left_out="c")
    other = replace(random_task("y", "mnop", 3), items_from="y")
    assert [table.weight for table in overall_tables([whole, part, other])] == [0.25, 0.25, 0.5]
    assert item_error(whole, part) == pytest.approx(item_error(whole), rel=0.1)


def test_variants_whose_clusters_join_all_items_count_as_fully_correlated() -> None:
    """One variant is clustered by passage, the other by templates across all passages: one unit without an error."""
    by_passage, by_template = (
        replace(one, clusters=np.array(list(clusters)), labels=replace(one.labels, clusters=list(clusters)))
        for one, clusters in (
            (random_task("x_letter", "abcdefgh", 1), "00112233"),
            (random_task("x_cloze", "abcdefgh", 2), "01010101"),
        )
    )
    one, other = (replace(task, items_from="x") for task in (by_passage, by_template))
    runs = Runs(cells=["N", "C"], plots=["p", "q"])
    both = estimate_contrast(overall_tables([one, other]), runs, {"N": -1.0, "C": 1.0})
    alone = [
        estimate_contrast([replace(task.table, values=task.centred)], runs, {"N": -1.0, "C": 1.0}).se
        for task in (one, other)
    ]
    assert both.se == pytest.approx(sum(alone) / 2)


def test_the_drawing_escapes_names_and_leaves_out_what_is_not_finite() -> None:
    effects = [
        Effect(row="<b>", column="tune", value=0.1, low=0.0, high=0.2, quiet=False),
        Effect(row="none", column="tune", value=0.0, low=math.nan, high=math.nan, quiet=True),
    ]
    drawn = svg(draw_forest(effects, "Effects"))
    assert "&lt;b&gt;" in drawn
    assert "<b>" not in drawn
    assert drawn.count("<circle") == 1
