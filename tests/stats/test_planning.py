"""Power before training: the published figures, simulated power, and components from a study that exists."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from harness.stats.factorial import ItemTable, Runs, estimate_contrast, two_by_two
from harness.stats.families import dunnett_p
from harness.stats.noncentral import detectable_effect, power_of
from harness.stats.planning import (
    PlannedTask,
    clusters_needed,
    estimate_components,
    plan_contrast,
    pooled_components,
    seeds_needed,
)
from harness.stats.shapes import SHAPES, Components, Shape, dunnett_level

NAMES = ("first", "second", "interaction")
# Points at n = 22, 200, 1000, 4000, by (t.975 + t.80) s.e.: from the worked example's planning figures, three seeds.
PUBLISHED = {
    22: (18.5, 18.3, 34.8),
    200: (6.5, 5.9, 11.1),
    1000: (4.0, 2.8, 5.3),
    4000: (3.4, 1.6, 3.2),
}


@pytest.mark.parametrize("items", PUBLISHED)
def test_the_formulas_give_the_published_detectable_effects(items: int) -> None:
    for name, points in zip(NAMES, PUBLISHED[items], strict=True):
        planned = plan_contrast(name, [PlannedTask(items=items, clusters=items)], 3)
        simple = (stats.t.ppf(0.975, planned.df) + stats.t.ppf(0.80, planned.df)) * planned.se
        assert 100 * simple == pytest.approx(points, abs=0.06)
        assert simple < planned.mde < 1.2 * simple


@pytest.mark.parametrize(("df", "shift"), [(2.5, 2.0), (5.0, 4.0), (30.0, 0.5), (300.0, 2.0)])
def test_power_is_that_of_the_noncentral_t(df: float, shift: float) -> None:
    critical = stats.t.ppf(0.975, df)
    expected = stats.nct.sf(critical, df, shift) + stats.nct.cdf(-critical, df, shift)
    assert power_of(shift, 1.0, df) == pytest.approx(expected, abs=2e-6)
    assert power_of(3 * shift, 3.0, df) == pytest.approx(expected, abs=2e-6)


@pytest.mark.parametrize("df", [1.0, 1.3, 4.0, 1000.0, math.inf])
def test_the_detectable_effect_has_80_percent_power(df: float) -> None:
    assert power_of(detectable_effect(0.5, df), 0.5, df) == pytest.approx(0.80, abs=1e-5)


def test_rounding_noise_is_no_variance() -> None:
    """Every run has the same mean, 0.3 or 0.7 of its level, so nothing scatters but rounding."""
    level = np.array([[0.3, 0.7], [0.1, 0.9]])
    values = np.broadcast_to(level[:, :, None, None] + np.zeros(7), (2, 2, 3, 7))
    components, _ = estimate_components(values)
    assert components == Components(item_first=0.0, item_second=0.0, item_both=0.0, residual=0.0, plot=0.0, run=0.0)


def test_variants_of_the_same_items_tell_no_more_than_one_of_them() -> None:
    alone = PlannedTask(items=1000, clusters=200, correlation=0.1, items_from="a")
    other = PlannedTask(items=300, clusters=300, weight=0.5)
    for name in NAMES:
        one = plan_contrast(name, [alone], 3)
        three = plan_contrast(name, [replace(alone, weight=1 / 3)] * 3, 3)
        assert (three.se_items, three.se_seeds, three.df, three.mde) == pytest.approx(
            (one.se_items, one.se_seeds, one.df, one.mde)
        )
        # Beside items of its own, the set counts as one task: half of the variance each way.
        both = plan_contrast(name, [*[replace(alone, weight=0.25)] * 2, other], 3)
        parts = [plan_contrast(name, [replace(task, weight=0.5)], 3).se_items for task in (alone, other)]
        assert both.se_items == pytest.approx(math.hypot(*parts))


def simulate(rng: np.random.Generator, task: PlannedTask, seeds: int) -> npt.NDArray[np.float64]:
    """Values with the task's components, shape (2, 2, seeds, items)."""
    c, items = task.components, task.items
    sd = {name: math.sqrt(getattr(c, name)) for name in Components.__slots__}
    y = rng.normal(0, sd["item_first"], (2, 1, 1, items)) + rng.normal(0, sd["item_second"], (1, 2, 1, items))
    y = y + rng.normal(0, sd["item_both"], (2, 2, 1, items)) + rng.normal(0, sd["residual"], (2, 2, seeds, items))
    both: npt.NDArray[np.float64] = y + rng.normal(0, sd["plot"], (2, 1, seeds, 1))
    return both + rng.normal(0, sd["run"], (2, 2, seeds, 1))


def simulated_power(contrast: str, seeds: int, items: int, draws: int) -> float:
    task = PlannedTask(items=items, clusters=items)
    effect = plan_contrast(contrast, [task], seeds).mde
    runs = Runs(
        cells=[(p, t) for p in (0, 1) for t in (0, 1) for _ in range(seeds)],
        plots=[(p, u) for p in (0, 1) for _ in (0, 1) for u in range(seeds)],
    )
    coefficients = two_by_two((0, 1), (0, 1), ("first", "second"))[contrast]
    shift = np.array([[coefficients[p, t] for t in (0, 1)] for p in (0, 1)])
    shift *= effect / float((shift**2).sum())
    rng, found = np.random.default_rng(seeds), 0
    for _ in range(draws):
        values = simulate(rng, task, seeds) + shift[:, :, None, None]
        estimate = estimate_contrast([ItemTable(values=values.reshape(4 * seeds, items))], runs, coefficients)
        found += estimate.p <= 0.05
    return found / draws


@pytest.mark.parametrize("contrast", NAMES)
def test_simulated_power_at_the_detectable_effect_is_75_to_90_percent(contrast: str) -> None:
    """400 studies: a simulation error of 2 points."""
    assert 0.75 <= simulated_power(contrast, 3, 200, 400) <= 0.90


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize("items", [200, 1000])
@pytest.mark.parametrize("contrast", NAMES)
def test_simulated_power_is_75_to_90_percent_for_many_plans(contrast: str, items: int, seeds: int) -> None:
    assert 0.75 <= simulated_power(contrast, seeds, items, 2000) <= 0.90


def four_by_two(rng: np.random.Generator, c: Components, seeds: int, items: int) -> npt.NDArray[np.float64]:
    """Values of four levels between pre-training runs, each tuned at two; shape (4, 2, seeds, items)."""
    y = rng.normal(0, math.sqrt(c.item_first), (4, 1, 1, items)) + rng.normal(
        0, math.sqrt(c.item_second), (2, 1, items)
    )
    y = y + rng.normal(0, math.sqrt(c.item_both), (4, 2, 1, items)) + rng.normal(0, math.sqrt(c.plot), (4, 1, seeds, 1))
    own = rng.normal(0, math.sqrt(c.run), (4, 2, seeds, 1)) + rng.normal(0, math.sqrt(c.residual), (4, 2, seeds, items))
    return np.asarray(y + own, dtype=np.float64)


@pytest.mark.parametrize(
    ("level", "tune", "tests"),
    [
        ((-1.0, 0.0, 1.0, 0.0), (0.5, 0.5), 3),  # a level against the reference
        ((-0.6, -0.2, 0.2, 0.6), (0.5, 0.5), 1),  # the slope
        ((0.25,) * 4, (-1.0, 1.0), 1),  # tuning
        ((-0.6, -0.2, 0.2, 0.6), (-1.0, 1.0), 1),  # its interaction with the slope
    ],
)
def test_simulated_power_of_several_levels_is_75_to_90_percent(
    level: tuple[float, ...], tune: tuple[float, ...], tests: int
) -> None:
    """400 studies of a 4 x 2 with three seeds, each with a true effect of exactly the detectable one."""
    task, shape = PlannedTask(items=200, clusters=200), Shape(between=(level,), within=(tune,), tests=tests)
    weights = np.outer(level, tune)
    shift = weights * plan_contrast(shape, [task], 3).mde / float((weights**2).sum())
    places = [(p, t, u) for p in range(4) for t in (0, 1) for u in range(3)]
    runs = Runs(cells=[(p, t) for p, t, _ in places], plots=[(p, u) for p, _, u in places])
    coefficients = {(p, t): float(weights[p, t]) for p in range(4) for t in (0, 1) if weights[p, t]}
    rng, found = np.random.default_rng(12), 0
    for _ in range(400):
        values = four_by_two(rng, task.components, 3, 200) + shift[:, :, None, None]
        found += estimate_contrast([ItemTable(values=values.reshape(24, 200))], runs, coefficients).p <= shape.alpha
    assert 0.75 <= found / 400 <= 0.90


def test_the_shapes_of_a_2x2_have_the_published_variances() -> None:
    c = Components(item_first=1.0, item_second=10.0, item_both=100.0, residual=1e3, plot=1e4, run=1e5)
    assert SHAPES["first"].variances(c, 2) == pytest.approx((102.0, 500.0, (2e4 + 1e5) / 2))
    assert SHAPES["second"].variances(c, 2) == pytest.approx((120.0, 500.0, 5e4))
    assert SHAPES["interaction"].variances(c, 2) == pytest.approx((400.0, 2000.0, 2e5))


@pytest.mark.parametrize("tests", [1, 3, 7])
def test_the_level_of_several_comparisons_is_dunnetts(tests: int) -> None:
    """The largest of several correlated normal variables is above the bound with 5%."""
    correlation = np.full((tests, tests), 0.5) + np.diag(np.full(tests, 0.5))
    bound = stats.norm.isf(dunnett_level(tests) / 2)
    p = dunnett_p(np.full(tests, bound), correlation, df=1e7)
    assert p == pytest.approx(np.full(tests, 0.05), abs=5e-4)


def test_the_needed_seeds_and_clusters_are_the_fewest() -> None:
    task, effect = PlannedTask(items=400, clusters=100, correlation=0.1), 0.05
    seeds = seeds_needed("first", effect, [task])
    assert seeds is not None
    assert plan_contrast("first", [task], seeds).power(effect) >= 0.80
    assert plan_contrast("first", [task], seeds - 1).power(effect) < 0.80
    clusters = clusters_needed("second", effect, task, 3)
    assert clusters is not None

    def power(count: int) -> float:
        larger = PlannedTask(items=4 * count, clusters=count, correlation=0.1)
        return plan_contrast("second", [larger], 3).power(effect)

    assert power(clusters) >= 0.80 > power(clusters - 1)


def test_no_number_of_items_finds_an_effect_smaller_than_the_scatter_of_runs() -> None:
    assert clusters_needed("first", 0.01, PlannedTask(items=100, clusters=100), 3) is None


def test_a_second_task_adds_items_but_not_runs() -> None:
    one = plan_contrast("first", [PlannedTask(items=300, clusters=300)], 3)
    two = plan_contrast("first", [PlannedTask(items=300, clusters=300, weight=0.5)] * 2, 3)
    assert two.se_items == pytest.approx(one.se_items / math.sqrt(2))
    assert two.se_seeds == pytest.approx(one.se_seeds)


def test_correlated_clusters_lose_items() -> None:
    task = PlannedTask(items=500, clusters=100, correlation=0.25)
    assert task.effective_items == pytest.approx(250.0)


def test_components_are_recovered_from_a_study() -> None:
    truth = Components(item_first=0.04, item_second=0.02, item_both=0.01, residual=0.1, plot=0.002, run=0.001)
    task = PlannedTask(items=4000, clusters=4000, components=truth)
    values = simulate(np.random.default_rng(11), task, 60)
    measured, correlation = estimate_components(values, np.repeat(np.arange(1000), 4))
    for name in ("item_first", "item_second", "item_both", "residual"):
        assert getattr(measured, name) == pytest.approx(getattr(truth, name), rel=0.1), name
    for name in ("plot", "run"):
        assert getattr(measured, name) == pytest.approx(getattr(truth, name), rel=0.35), name
    assert correlation < 0.02


def test_what_all_runs_of_one_size_share_is_no_scatter_of_runs() -> None:
    task = PlannedTask(items=300, clusters=300, components=Components(plot=0.01**2))
    y = simulate(np.random.default_rng(8), task, 4)
    alone, correlation = estimate_components(y)
    pooled, pooled_correlation = pooled_components([y, y + 0.3, y - 0.3])
    for name in Components.__slots__:
        assert getattr(pooled, name) == pytest.approx(getattr(alone, name), abs=1e-12), name
    assert pooled_correlation == pytest.approx(correlation)
    assert alone.plot < 0.0005
    with pytest.raises(ValueError, match="two or more of each"):
        pooled_components([y, y[:, :, :1]])


@pytest.mark.parametrize(
    ("items", "clusters", "seeds", "contrast"),
    [(10, 11, 3, "first"), (10, 1, 3, "first"), (10, 10, 1, "first"), (10, 10, 3, "third")],
)
def test_a_plan_that_is_too_small_raises(items: int, clusters: int, seeds: int, contrast: str) -> None:
    with pytest.raises(ValueError, match="give"):
        plan_contrast(contrast, [PlannedTask(items=items, clusters=clusters)], seeds)
