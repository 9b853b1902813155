"""The versioned aggregate, rank intervals, and groups of models without a significant difference."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.stats import AGGREGATE, aggregate, aggregate_weights, rank_models


def test_aggregate_by_hand() -> None:
    """Domain x: (0.5 - 0.25) / 0.75 = 1/3 and (0.6 - 0.5) / 0.5 = 1/5, mean 4/15; y: 0.3; macro mean 17/60."""
    total = aggregate([0.5, 0.6, 0.3], [0.01, 0.02, 0.03], ["x", "x", "y"], [0.25, 0.5, 0.0])
    assert total.definition == AGGREGATE == "macro-chance-centred/2"
    assert total.mean == pytest.approx((0.55 + 0.3) / 2)
    assert total.centred == pytest.approx(17 / 60)
    assert total.mean_error == pytest.approx(math.sqrt((0.01**2 + 0.02**2) / 16 + 0.03**2 / 4))
    assert total.centred_error == pytest.approx(math.sqrt(((0.01 / 0.75) ** 2 + (0.02 / 0.5) ** 2) / 16 + 0.03**2 / 4))
    assert [(d.domain, d.tasks) for d in total.domains] == [("x", 2), ("y", 1)]


def test_centred_guessing_is_zero_perfect_is_one_and_worse_than_guessing_is_negative() -> None:
    def centred(value: float) -> float:
        return aggregate([value] * 2, [0.0] * 2, ["x", "y"], [0.25] * 2).centred

    assert (centred(0.25), centred(1.0)) == (0.0, 1.0)
    assert centred(0.1) < 0


def test_weights_give_the_centred_aggregate() -> None:
    domains, chances = ["x", "y", "x", "z"], np.array([0.25, 0.5, 0.2, 0.0])
    values = np.array([0.4, 0.6, 0.7, 0.2])
    weights = aggregate_weights(domains, chances)
    expected = aggregate(values, np.zeros(4), domains, chances).centred
    assert float(weights @ (values - chances)) == pytest.approx(expected)


def test_unknown_errors_give_nan_and_invalid_chances_raise_an_error() -> None:
    assert math.isnan(aggregate([0.5, 0.5], [0.1, math.nan], ["x", "x"], [0.0, 0.0]).centred_error)
    for chance in (1.0, -0.1):
        with pytest.raises(ValueError, match="below 1"):
            aggregate([0.5], [0.1], ["x"], [chance])
    with pytest.raises(ValueError, match="one of each per task"):
        aggregate([0.5, 0.6], [0.1, 0.1], ["x"], [0.0])


def abilities(levels: list[float], items: int, tasks: int, draw: int) -> list[npt.NDArray[np.float64]]:
    rng = np.random.default_rng(draw)
    return [(rng.random((len(levels), items)) < np.array(levels)[:, None]).astype(float) for _ in range(tasks)]


def test_models_far_apart_have_rank_intervals_of_one_rank() -> None:
    ranking = rank_models(abilities([0.2, 0.8, 0.5], 400, 3, 1))
    assert ranking.ranks.tolist() == ranking.rank_low.tolist() == ranking.rank_high.tolist() == [3, 1, 2]
    assert ranking.groups == ((1,), (2,), (0,))
    assert ranking.tied_with_leader.tolist() == [False, True, False]


def test_models_of_equal_ability_share_one_group() -> None:
    ranking = rank_models(abilities([0.5] * 6, 200, 2, 2))
    assert ranking.rank_low.tolist() == [1] * 6
    assert ranking.rank_high.tolist() == [6] * 6
    assert ranking.tied_with_leader.all()
    assert [sorted(group) for group in ranking.groups] == [list(range(6))]


def test_a_chain_of_close_neighbours_gives_overlapping_groups() -> None:
    ranking = rank_models(abilities([0.40, 0.46, 0.52], 500, 1, 3))
    assert ranking.differ[0, 2]
    assert not ranking.differ[0, 1]
    assert not ranking.differ[1, 2]
    assert ranking.groups == ((2, 1), (1, 0))


def test_identical_models_never_differ_and_share_a_rank() -> None:
    table = abilities([0.3, 0.6], 300, 1, 4)[0]
    ranking = rank_models([np.vstack([table, table[1]])])
    assert ranking.ranks.tolist() == [3, 1, 1]
    assert not ranking.differ[1, 2]
    assert ranking.differ[0, 1]


def test_standard_errors_equal_those_of_the_aggregate() -> None:
    tables = abilities([0.3, 0.6], 800, 3, 5)
    domains, chances = ["x", "x", "y"], [0.25, 0.0, 0.2]
    ranking = rank_models(tables, domains=domains, chances=chances)
    for model in range(2):
        values = [table[model].mean() for table in tables]
        errors = [table[model].std(ddof=1) / math.sqrt(800) for table in tables]
        expected = aggregate(values, errors, domains, chances)
        assert ranking.values[model] == pytest.approx(expected.centred)
        assert ranking.standard_errors[model] == pytest.approx(expected.centred_error, rel=1e-9)


def test_variants_whose_items_do_not_correspond_count_as_fully_correlated() -> None:
    """Two disjoint sets of units of one item set: the errors add, and models differ no sooner than on one of them."""
    first, second = abilities([0.3, 0.6], 120, 2, 6)
    units = [np.arange(120), np.arange(500, 620)]
    whole = rank_models([first, second], domains=["x", "x"], clusters=units, item_sets=["s", "s"])
    alone = [rank_models([table]) for table in (first, second)]
    assert whole.standard_errors == pytest.approx((alone[0].standard_errors + alone[1].standard_errors) / 2)
    close = abilities([0.45, 0.55], 120, 40, 7)
    for one, two in zip(close[::2], close[1::2], strict=True):
        joined = rank_models([one, two], domains=["x", "x"], clusters=units, item_sets=["s", "s"])
        apart = rank_models([one, two], domains=["x", "x"])
        assert joined.differ[0, 1] <= apart.differ[0, 1]


def test_copied_items_in_clusters_do_not_make_models_differ() -> None:
    # 26 against 33 right of 60: nothing to be sure of, and copying every item 20 times adds nothing.
    table = np.array([[1.0] * 20 + [0.0] * 34 + [1.0] * 6, [1.0] * 20 + [1.0] * 13 + [0.0] * 27])
    copies = np.repeat(table, 20, axis=1)
    assert rank_models([copies]).differ[0, 1]
    assert not rank_models([copies], clusters=[np.repeat(np.arange(60), 20)]).differ[0, 1]


def test_pairs_are_corrected_for_their_number() -> None:
    """Twelve equal models make 66 pairs; in 95% of leaderboards none of them may differ significantly."""
    false_alarms = [
        rank_models(abilities([0.5] * 12, 150, 2, 100 + draw), draws=1000).differ.any() for draw in range(400)
    ]
    assert np.mean(false_alarms) <= 0.05 + 2.6 * math.sqrt(0.05 * 0.95 / 400)


@settings(max_examples=40, deadline=None)
@given(levels=st.lists(st.floats(0.05, 0.95), min_size=1, max_size=7), draw=st.integers(0, 1000))
def test_rank_is_within_its_interval_and_groups_cover_all_models(levels: list[float], draw: int) -> None:
    ranking = rank_models(abilities(levels, 40, 2, draw), draws=100)
    assert ((ranking.rank_low <= ranking.ranks) & (ranking.ranks <= ranking.rank_high)).all()
    assert (ranking.rank_low >= 1).all()
    assert (ranking.rank_high <= len(levels)).all()
    assert set().union(*map(set, ranking.groups)) == set(range(len(levels)))
    for group in ranking.groups:
        assert not ranking.differ[np.ix_(group, group)].any()


def test_different_numbers_of_models_and_nan_raise_an_error() -> None:
    with pytest.raises(ValueError, match=r"\[2, 3\] models"):
        rank_models([np.zeros((2, 5)), np.zeros((3, 5))])
    with pytest.raises(ValueError, match=r"scores\[1\] holds 1 NaN"):
        rank_models([np.zeros((1, 2)), np.array([[0.0, math.nan]])])
    with pytest.raises(ValueError, match="at least one task"):
        rank_models([])


def test_always_wrong_and_always_right_differ() -> None:
    """Neither answers vary, so only the errors of a model that is the other tell how sure that is."""
    ranking = rank_models([np.stack([np.zeros(100), np.ones(100)])])
    assert ranking.differ[0, 1]
    assert (ranking.rank_low.tolist(), ranking.rank_high.tolist()) == ([2, 1], [2, 1])


def test_no_models_differ_on_two_items() -> None:
    assert not rank_models([np.stack([np.zeros(2), np.ones(2)])]).differ.any()


def test_no_models_differ_on_one_large_cluster() -> None:
    scores, clusters = np.stack([np.zeros(40), np.r_[np.ones(20), np.zeros(20)]]), np.repeat([0, 1], 20)
    assert not rank_models([scores], clusters=[clusters]).differ.any()


def test_at_most_five_percent_of_boards_of_equal_models_have_a_false_difference() -> None:
    rng = np.random.default_rng(3)
    boards = [(rng.random((6, 100)) < 0.6).astype(float) for _ in range(400)]
    false = np.mean([rank_models([board], draws=1_000).differ.any() for board in boards])
    assert false < 0.05 + 3 * (0.05 * 0.95 / 400) ** 0.5
