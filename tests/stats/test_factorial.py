"""Contrasts of a 2 x 2 with nested runs: the worked example, designs that are not balanced, and error rates."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from scipy import special
from scipy.stats import qmc

from harness.stats import compare_paired
from harness.stats.factorial import ContrastEstimate, ItemTable, Runs, estimate_contrast, run_weights, two_by_two
from harness.stats.freedom import contrast_df
from tests.factorial_example import example_tasks, expected_figures

CONTRASTS = two_by_two(("text", "code"), ("plain", "code"), ("pretrain", "tune"))
Values = npt.NDArray[np.float64]


def balanced(seeds: int) -> Runs:
    """Runs in the order of an array [pretrain, tune, seed], flattened."""
    places = [(p, t, u) for p in ("text", "code") for t in ("plain", "code") for u in range(seeds)]
    return Runs(cells=[(p, t) for p, t, _ in places], plots=[f"{p}-{u}" for p, _, u in places])


def study(draw: int, seeds: int = 3, items: int = 60, plot_sd: float = 0.3) -> Values:
    """Right and wrong answers, shape (4 x seeds, items), without any true effect."""
    rng = np.random.default_rng(draw)
    logits = rng.normal(0, 1, items) + rng.normal(0, 0.4, (2, 2, 1, items))
    logits = logits + rng.normal(0, plot_sd, (2, 1, seeds, 1)) + rng.normal(0, 0.1, (2, 2, seeds, 1))
    answers = rng.random(logits.shape) < 1 / (1 + np.exp(-logits))
    return answers.astype(np.float64).reshape(4 * seeds, items)


def test_the_worked_example_is_reproduced() -> None:
    tasks, expected = example_tasks(), expected_figures()
    seeds = next(iter(tasks.values())).values.shape[2]
    tables = {
        name: ItemTable(values=task.values.reshape(4 * seeds, -1), clusters=task.clusters)
        for name, task in tasks.items()
    }
    weights = {name: 1 / (len(tasks) * (1 - task.chance)) for name, task in tasks.items()}
    overall = [ItemTable(values=t.values, clusters=t.clusters, weight=weights[name]) for name, t in tables.items()]
    lost = []
    for (task, contrast), figures in expected.items():
        chosen = overall if task == "overall" else [tables[task]]
        estimate = estimate_contrast(chosen, balanced(seeds), CONTRASTS[contrast])
        for key in ("estimate", "se", "se_items", "se_seeds"):
            assert getattr(estimate, key) == pytest.approx(figures[key], abs=2e-6), (task, contrast, key)
        if contrast in ("NC-NN", "CC-CN") and figures["se_seeds"] == 0.0:
            # Within one level, a scatter that is small by luck is not trusted: fewer df, a wider interval.
            assert estimate.df < figures["df"] + 2e-6
            assert estimate.low < figures["low"] + 2e-6
            lost.append(figures["df"] - estimate.df)
            continue
        for key in ("df", "low", "high", "p"):
            assert getattr(estimate, key) == pytest.approx(figures[key], abs=2e-6), (task, contrast, key)
    assert max(lost) > 10.0


def test_the_order_of_runs_and_of_items_does_not_matter() -> None:
    values, runs, rng = study(1), balanced(3), np.random.default_rng(0)
    clusters = np.repeat(np.arange(20), 3)
    first = estimate_contrast([ItemTable(values=values, clusters=clusters)], runs, CONTRASTS["tune"])
    rows, items = rng.permutation(12), rng.permutation(60)
    shuffled = Runs(cells=[runs.cells[i] for i in rows], plots=[runs.plots[i] for i in rows])
    table = ItemTable(values=values[rows][:, items], clusters=clusters[items])
    second = estimate_contrast([table], shuffled, CONTRASTS["tune"])
    for key in ("estimate", "se_items", "se_seeds", "df", "p"):
        assert getattr(second, key) == pytest.approx(getattr(first, key), rel=1e-9)


def test_a_shift_of_a_pretraining_run_moves_its_main_effect_but_not_that_of_tuning() -> None:
    values, runs = study(2), balanced(3)
    shifted = values + 0.5 * np.array([plot == "code-1" for plot in runs.plots])[:, None]
    before, after = (
        {name: estimate_contrast([ItemTable(values=v)], runs, CONTRASTS[name]) for name in ("pretrain", "tune")}
        for v in (values, shifted)
    )
    for key in ("estimate", "se_items", "se_seeds", "df", "p"):
        assert getattr(after["tune"], key) == pytest.approx(getattr(before["tune"], key))
    assert after["pretrain"].estimate == pytest.approx(before["pretrain"].estimate + 0.5 / 3)
    assert after["pretrain"].se_seeds > before["pretrain"].se_seeds + 0.1


def test_tuning_runs_from_one_pretraining_run_are_not_independent() -> None:
    """Six tunings of two pre-training runs per level: their common luck is not averaged over six."""
    rng = np.random.default_rng(3)
    plots = [f"{p}-{u}" for p in ("text", "code") for _ in ("plain", "code") for u in (0, 0, 0, 1, 1, 1)]
    cells = [(p, t) for p in ("text", "code") for t in ("plain", "code") for _ in range(6)]
    luck = {"text-0": -0.2, "text-1": 0.2, "code-0": -0.2, "code-1": 0.2}
    values = rng.random((24, 400)) * 0.1 + np.array([luck[plot] for plot in plots])[:, None]
    nested = estimate_contrast([ItemTable(values=values)], Runs(cells=cells, plots=plots), CONTRASTS["pretrain"])
    alone = estimate_contrast([ItemTable(values=values)], Runs(cells=cells, plots=range(24)), CONTRASTS["pretrain"])
    # The variance of +-0.2 with two runs is 0.08; two levels, two runs each: sqrt(0.08 / 2 + 0.08 / 2).
    assert nested.se_seeds == pytest.approx(math.sqrt(0.08), rel=0.02)
    assert alone.se_seeds < 0.5 * nested.se_seeds


def test_uneven_numbers_of_runs_give_the_cell_means_and_a_positive_error() -> None:
    values, runs = study(4, seeds=4), balanced(4)
    keep = [0, 1, 2, 3, 4, 5, 8, 9, 10, 12, 13, 14, 15]  # text lost two tunings with code, code one without
    cells, plots = [runs.cells[i] for i in keep], [runs.plots[i] for i in keep]
    estimate = estimate_contrast(
        [ItemTable(values=values[keep])], Runs(cells=cells, plots=plots), CONTRASTS["interaction"]
    )
    means = {cell: values[keep][[one == cell for one in cells]].mean() for cell in set(cells)}
    expected = means["text", "plain"] - means["text", "code"] - means["code", "plain"] + means["code", "code"]
    assert estimate.estimate == pytest.approx(expected)
    assert estimate.units == "plots"
    assert 0.0 < estimate.se_items < estimate.se < 1.0


def test_one_pretraining_run_per_level_leaves_the_error_of_tuning_runs_only() -> None:
    cells = [(p, t) for p in ("text", "code") for t in ("plain", "code") for _ in range(3)]
    runs = Runs(cells=cells, plots=[p for p, _ in cells])
    estimate = estimate_contrast([ItemTable(values=study(5))], runs, CONTRASTS["tune"])
    assert estimate.units == "runs"
    assert math.isfinite(estimate.se_seeds)


def test_one_run_per_cell_gives_the_paired_difference_over_items() -> None:
    values = np.random.default_rng(6).random((4, 80))
    cells = [("text", "plain"), ("text", "code"), ("code", "plain"), ("code", "code")]
    estimate = estimate_contrast([ItemTable(values=values)], Runs(cells=cells, plots="aabb"), CONTRASTS["NC-NN"])
    paired = compare_paired(values[0], values[1])
    assert estimate.units == "none"
    assert math.isnan(estimate.se_seeds)
    assert (estimate.estimate, estimate.se) == pytest.approx((paired.difference, paired.standard_error))
    assert (estimate.low, estimate.high) == pytest.approx((paired.low, paired.high))


def test_the_overall_value_adds_up_what_one_run_does_on_all_tasks() -> None:
    """The same answers as two tasks: items halve the variance, runs do not."""
    values, runs = study(7, plot_sd=0.6), balanced(3)
    one = estimate_contrast([ItemTable(values=values)], runs, CONTRASTS["pretrain"])
    two = estimate_contrast([ItemTable(values=values, weight=0.5)] * 2, runs, CONTRASTS["pretrain"])
    assert two.estimate == pytest.approx(one.estimate)
    assert two.se_items == pytest.approx(one.se_items / math.sqrt(2))
    assert two.se_seeds > one.se_seeds


@pytest.mark.parametrize(
    ("cells", "values", "message"),
    [
        ([("text", "plain")] * 4, np.zeros((4, 5)), "has no run"),
        ([("text", "plain"), ("text", "code")] * 2, np.zeros((3, 5)), "one row for each of the 4 runs"),
        ([("text", "plain"), ("text", "code")] * 2, np.full((4, 5), math.nan), "NaN"),
        ([("text", "plain"), ("text", "code")] * 2, np.zeros((4, 1)), "at least two"),
    ],
)
def test_what_cannot_be_estimated_raises(cells: list[tuple[str, str]], values: Values, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        estimate_contrast([ItemTable(values=values)], Runs(cells=cells, plots=range(4)), CONTRASTS["NC-NN"])


def test_equal_answers_of_all_runs_have_no_p() -> None:
    values = np.tile(np.random.default_rng(8).random(30), (12, 1))
    estimate = estimate_contrast([ItemTable(values=values)], balanced(3), CONTRASTS["pretrain"])
    assert (estimate.estimate, estimate.se) == (0.0, 0.0)
    assert all(map(math.isnan, (estimate.p, estimate.low, estimate.high, estimate.mde)))


def test_equal_answers_of_single_runs_have_no_p_either() -> None:
    """One run per arm: nothing scatters, neither items nor runs."""
    values = np.random.default_rng(9).random((4, 30))
    values[1] = values[0]
    estimate = estimate_contrast([ItemTable(values=values)], balanced(1), CONTRASTS["NC-NN"])
    assert (estimate.estimate, estimate.se, estimate.units) == (0.0, 0.0, "none")
    assert estimate.df == 29.0
    assert math.isnan(estimate.p)


def test_interval_p_and_detectable_effect_agree() -> None:
    for draw in range(40):
        estimate = estimate_contrast([ItemTable(values=study(draw))], balanced(3), CONTRASTS["pretrain"])
        assert (estimate.p <= 0.05) == (not estimate.low <= 0.0 <= estimate.high)
        assert estimate.mde > estimate.high - estimate.estimate


def test_weights_of_a_contrast_sum_to_its_coefficients() -> None:
    used, weights = run_weights(balanced(3), CONTRASTS["NC-NN"])
    assert used.tolist() == [0, 1, 2, 3, 4, 5]
    assert weights == pytest.approx([-1 / 3] * 3 + [1 / 3] * 3)


def in_clusters(draw: int, seeds: int, clusters: int) -> ItemTable:
    """Items in a few clusters that react alike to the factors."""
    rng, labels = np.random.default_rng(draw), np.repeat(np.arange(clusters), 12)
    logits = rng.normal(0, 1, labels.size) + rng.normal(0, 0.8, (2, 2, 1, clusters))[..., labels]
    logits = logits + rng.normal(0, 0.1, (2, 2, seeds, 1))
    answers = rng.random(logits.shape) < 1 / (1 + np.exp(-logits))
    return ItemTable(values=answers.astype(np.float64).reshape(4 * seeds, -1), clusters=labels)


def test_one_run_per_arm_in_few_clusters_has_the_wild_bootstrap_of_a_paired_comparison() -> None:
    """The values are not 0 or 1, so that a paired comparison uses nothing but the wild bootstrap."""
    cells = [("text", "plain"), ("text", "code"), ("code", "plain"), ("code", "code")]
    for draw in range(5):
        rng, labels = np.random.default_rng(draw), np.repeat(np.arange(6), 10)
        values = rng.normal(0, 1, (4, 60)) + rng.normal(0, 1, (4, 6))[:, labels]
        contrast = estimate_contrast(
            [ItemTable(values=values, clusters=labels)], Runs(cells=cells, plots="aabb"), CONTRASTS["NC-NN"]
        )
        paired = compare_paired(values[0], values[1], labels)
        assert contrast.method == "wild"
        assert contrast.p >= paired.p - 1e-12
        assert contrast.low <= paired.low + 1e-9
        assert contrast.high >= paired.high - 1e-9


def test_the_wild_bootstrap_is_used_in_few_clusters_only() -> None:
    for clusters, method in ((4, "wild"), (9, "wild"), (10, "student-t")):
        assert estimate_contrast([in_clusters(0, 3, clusters)], balanced(3), CONTRASTS["tune"]).method == method
    both = [in_clusters(0, 3, 6), in_clusters(1, 3, 6)]
    assert estimate_contrast(both, balanced(3), CONTRASTS["tune"]).method == "student-t"


def test_in_few_clusters_p_and_interval_agree_mirror_and_do_not_depend_on_order() -> None:
    reverse = two_by_two(("text", "code"), ("code", "plain"), ("pretrain", "tune"))["tune"]
    for draw in range(8):
        table = in_clusters(draw, 3, 7)
        one = estimate_contrast([table], balanced(3), CONTRASTS["tune"])
        back = estimate_contrast([table], balanced(3), reverse)
        assert (one.p <= 0.05) == (not one.low <= 0.0 <= one.high)
        assert one.mde > max(one.high - one.estimate, one.estimate - one.low)
        assert back.p == one.p
        assert (back.low, back.high) == pytest.approx((-one.high, -one.low), abs=1e-9)
        order = np.random.default_rng(draw).permutation(table.values.shape[1])
        shuffled = ItemTable(values=table.values[:, order], clusters=np.asarray(table.clusters)[order])
        assert estimate_contrast([shuffled], balanced(3), CONTRASTS["tune"]).p == pytest.approx(one.p, abs=2e-3)


def test_true_null_hypotheses_are_seldom_rejected_in_few_clusters() -> None:
    p_values = [estimate_contrast([in_clusters(d, 3, 5)], balanced(3), CONTRASTS["pretrain"]).p for d in range(80)]
    assert np.mean(np.array(p_values) <= 0.05) <= 0.055 + 3 * math.sqrt(0.055 / 80)


def rejection_rate(items: float, component: float, groups: int, df_items: float) -> float:
    """The exact rejection rate of a true null hypothesis with ten runs per level; the part explained by items is 1.

    The estimate is normal and the variances are chi-square, here at 1,024 evenly spread points.
    """
    places = np.clip(qmc.Sobol(groups + 1, seed=1).random_base2(10).T, 1e-6, 1 - 1e-6)
    of_items = items * special.chdtri(df_items, places[0]) / df_items
    scatters = [(component + 1.0) * special.chdtri(9.0, place) / 9.0 for place in places[1:]]
    df = contrast_df(of_items, df_items, [(scatter, np.ones_like(scatter), 9.0) for scatter in scatters])
    variance = of_items + sum(np.maximum(0.0, scatter - 1.0) for scatter in scatters)
    shift = special.stdtrit(df, 0.975) * np.sqrt(variance / (items + groups * component))
    return float(np.mean(2.0 * special.ndtr(-shift)))


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("df_items", [14.0, 190.0])
def test_ten_runs_reject_about_5_percent_however_much_items_and_runs_vary(groups: int, df_items: float) -> None:
    """Whatever the ratio of the items' variance, the part of the scatter that they explain and the runs' component."""
    rates = [
        rejection_rate(ratio * groups, component, groups, df_items)
        for ratio in (1.0, 1.5, 3.0, 8.0)
        for component in (0.0, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 10.0, 50.0)
    ]
    assert min(rates) >= 0.033
    assert max(rates) <= 0.055


def rejected(seeds: int, draws: int, contrast: str) -> float:
    estimates: list[ContrastEstimate] = [
        estimate_contrast([ItemTable(values=study(1000 + i, seeds, 60))], balanced(seeds), CONTRASTS[contrast])
        for i in range(draws)
    ]
    return float(np.mean([one.p <= 0.05 for one in estimates]))


@pytest.mark.parametrize("contrast", ["pretrain", "tune", "interaction"])
def test_true_null_hypotheses_are_seldom_rejected(contrast: str) -> None:
    """0.055 plus three simulation errors of 300 draws; benchmarks/calibration.py measures it with more."""
    assert rejected(3, 300, contrast) <= 0.055 + 3 * math.sqrt(0.055 / 300)


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize("contrast", list(CONTRASTS))
def test_true_null_hypotheses_are_seldom_rejected_in_2000_studies(seeds: int, contrast: str) -> None:
    assert rejected(seeds, 2000, contrast) <= 0.055 + 2 * math.sqrt(0.055 / 2000)


def test_no_interval_or_detectable_effect_of_accuracies_is_larger_than_possible() -> None:
    """Two seeds whose luck is large: the test alone would need an effect of more than 1."""
    rng = np.random.default_rng(5)
    runs = Runs(
        cells=[(p, t) for p in (0, 1) for t in (0, 1)] * 2, plots=[(s, p) for s in (0, 1) for p in (0, 0, 1, 1)]
    )
    rates = rng.permutation([0.05, 0.2, 0.4, 0.5, 0.6, 0.7, 0.9, 0.95])
    values = (rng.random((8, 200)) < rates[:, None]).astype(float)
    for name, contrast in two_by_two((0, 1), (0, 1), ("pretrain", "tune")).items():
        most = 2.0 if name == "interaction" else 1.0
        limited, free = (
            estimate_contrast([ItemTable(values=values, span=span)], runs, contrast) for span in ((0.0, 1.0), None)
        )
        assert (limited.se, limited.p) == (free.se, free.p)
        assert (limited.low, limited.high) == (max(free.low, -most), min(free.high, most))
        assert limited.mde == (free.mde if free.mde <= most else math.inf)
        corrected = free.mde_corrected(3)
        assert limited.mde_corrected(3) == (corrected if corrected <= most else math.inf)
        assert corrected > most


def test_limits_of_an_overall_value_are_those_of_its_tasks_together() -> None:
    rng = np.random.default_rng(6)
    tables = [
        ItemTable(values=(rng.random((2, 4)) < 0.5).astype(float), weight=weight, span=(0.0, 1.0))
        for weight in (0.5, 0.75)
    ]
    one = estimate_contrast(tables, Runs(cells=["a", "b"], plots="pq"), {"a": -1.0, "b": 1.0})
    assert one.limits == (-1.25, 1.25)
    assert -1.25 <= one.low < one.high <= 1.25
