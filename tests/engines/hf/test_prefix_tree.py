"""The plan of what is computed once: nothing lost, nothing twice, every token behind its own past, budgets kept."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.engines.hf import prefix_tree as prefix
from harness.engines.hf.prefix_tree import SMALLEST_PACK, Family, Path, Unit, common_length, packs, plan, units

# Few distinct tokens and few distinct heads, so that prefixes are shared, nested, equal and cut short by one another.
TOKENS = st.lists(st.integers(0, 2), max_size=12)


@st.composite
def path_lists(draw: st.DrawFn) -> list[Path]:
    heads = draw(st.lists(TOKENS, min_size=1, max_size=4))
    paths = []
    for _ in range(draw(st.integers(0, 25))):
        head = draw(st.sampled_from(heads)) + draw(st.sampled_from(heads))
        tokens = [7, *head, *draw(TOKENS)]
        paths.append(Path(tokens=tokens, scored=draw(st.integers(1, len(tokens)))))
    return paths


@pytest.fixture(autouse=True)
def eager_prefixes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The real thresholds ask for prefixes too long to be searched for counterexamples."""
    monkeypatch.setattr(prefix, "LEAST_TOKENS_SAVED", 4)
    monkeypatch.setattr(prefix, "LARGEST_MERGED", 6)


def planned(paths: list[Path], budget: int, streams: int = 1) -> list[tuple[Family, list[Unit]]]:
    return [
        (family, units(paths, family.members, depth=len(family.prefix), budget_tokens=budget, streams=streams))
        for family in plan(paths, range(len(paths)))
    ]


def without_last_context(paths: list[Path]) -> list[Path]:
    """All but those that go on from the context of the one before, up to the last."""
    kept = list(paths)
    while len(kept) > 1:
        a, b = kept[-2:]
        if common_length(a.tokens, b.tokens) <= max(a.first_scored, b.first_scored):
            break
        kept.pop()
    return kept


def path_in_unit(unit: Unit, index: int) -> list[int]:
    """Tokens on the way from the unit's first token to `index`, found by the branches alone."""
    tokens = []
    while index >= 0:
        branch = next(branch for branch in unit.branches if branch.start <= index < branch.stop)
        tokens.append(unit.tokens[index])
        index = branch.parent if index == branch.start else index - 1
    return tokens[::-1]


@settings(deadline=None)
@given(path_lists(), st.integers(1, 60))
def test_every_path_is_in_exactly_one_unit(paths: list[Path], budget: int) -> None:
    found = [index for _, trees in planned(paths, budget) for unit in trees for index in unit.reads]
    assert sorted(found) == list(range(len(paths)))


@settings(deadline=None)
@given(path_lists(), st.integers(1, 60))
def test_every_token_stands_behind_its_own_past(paths: list[Path], budget: int) -> None:
    for family, trees in planned(paths, budget):
        for unit in trees:
            for index, read in unit.reads.items():
                path = paths[index]
                assert len(read) == path.scored
                for place, position in zip(read, range(path.first_scored, len(path.tokens)), strict=True):
                    past = [*family.prefix, *path_in_unit(unit, place)]
                    assert past == list(path.tokens[: position + 1])
                    assert unit.positions[place] == position


@settings(deadline=None)
@given(path_lists(), st.integers(1, 60))
def test_the_mask_shows_each_token_its_ancestors_alone(paths: list[Path], budget: int) -> None:
    for _, trees in planned(paths, budget):
        for unit in trees:
            mask = unit.ancestors()
            for index in range(len(unit.tokens)):
                seen = [unit.tokens[other] for other in mask[index].nonzero()[0]]
                assert seen == path_in_unit(unit, index)
            assert mask[: unit.trunk, : unit.trunk].sum() == unit.trunk * (unit.trunk + 1) // 2
            assert mask[unit.trunk :, : unit.trunk].all(), "what stands behind the trunk sees all of it"


@given(path_lists())
def test_a_prefix_continues_its_parent_and_comes_after_it(paths: list[Path]) -> None:
    families = plan(paths, range(len(paths)))
    assert families[0].parent is None
    assert not families[0].prefix
    line: list[int] = []
    for number, family in enumerate(families):
        while line and line[-1] != family.parent:
            line.pop()
        assert number == 0 or line, "everything below a family comes before its next sibling"
        line.append(number)
        if family.parent is not None:
            parent = families[family.parent].prefix
            assert len(parent) < len(family.prefix)
            assert list(family.prefix[: len(parent)]) == list(parent)


@given(path_lists())
def test_no_position_of_a_prefix_is_read(paths: list[Path]) -> None:
    for family in plan(paths, range(len(paths))):
        for index in family.members:
            assert paths[index].first_scored >= len(family.prefix)


@given(path_lists(), st.integers(1, 60), st.integers(1, 20), st.integers(1, 3))
def test_budgets_are_kept_unless_a_single_path_is_larger(
    paths: list[Path], budget: int, scored: int, streams: int
) -> None:
    for _, trees in planned(paths, budget, streams):
        for unit in trees:
            assert len(unit.tokens) <= budget or len({tuple(paths[index].tokens) for index in unit.reads}) == 1
            merged = without_last_context([paths[index] for index in unit.reads])
            distinct = {tuple(path.tokens[:n]) for path in merged for n in range(unit.depth + 1, len(path.tokens) + 1)}
            assert len(merged) == 1 or len(distinct) <= max(1, budget // streams)
        cut = list(packs(trees, budget_tokens=budget, budget_scored=scored, streams=streams))
        assert [unit for pack in cut for unit in pack] == trees
        for pack in cut:
            assert len(pack) == 1 or sum(len(unit.tokens) for unit in pack) <= max(1, budget // streams)
            assert len(pack) == 1 or sum(unit.scored for unit in pack) <= max(1, scored // streams)


def of_size(tokens: int) -> Unit:
    unit = Unit(depth=0)
    unit.extend(list(range(tokens)))
    return unit


def test_streams_end_at_about_the_same_time_without_waiting_for_one_another() -> None:
    trees = [of_size(size) for size in range(400, 100, -2)]
    ends = [0, 0]
    for pack in packs(trees, budget_tokens=4096, budget_scored=1000, streams=2):
        stream = ends.index(min(ends))  # whichever is free
        ends[stream] += sum(len(unit.tokens) for unit in pack)
    assert max(ends) - min(ends) <= SMALLEST_PACK + 400
    alone = [sum(len(unit.tokens) for unit in pack) for pack in packs(trees, budget_tokens=2048, budget_scored=1000)]
    assert max(alone) - min(alone) <= 2 * 400, "one stream's packs are of one size"


def test_a_prefix_of_a_few_long_contexts_costs_more_than_it_saves() -> None:
    """Behind a prefix attention is masked, so a long context computes twice the pairs."""
    shared = list(range(150))

    def families(contexts: int, length: int) -> int:
        long = [Path(tokens=[*shared, *([1000 + item] * length)], scored=3) for item in range(contexts)]
        return len(plan(long, range(contexts)))

    assert families(2, 900) == 1
    assert families(40, 100) == 2


@given(path_lists(), st.integers(1, 60))
def test_units_come_longest_first(paths: list[Path], budget: int) -> None:
    for _, trees in planned(paths, budget):
        sizes = [len(unit.tokens) for unit in trees]
        assert sizes == sorted(sizes, reverse=True)


def test_one_token_choices_take_no_token_beyond_the_context() -> None:
    context = list(range(100))
    paths = [Path(tokens=context, scored=1) for _ in "ABCD"]
    ((_, (unit,)),) = planned(paths, 1000)
    assert unit.tokens == context
    assert unit.scored == 1


def test_shared_examples_are_a_prefix_and_what_nests_in_them_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    task, subjects = list(range(200)), [list(range(1000, 1300)), list(range(2000, 2300))]
    paths = [
        Path(tokens=[*task, *subject, 3000 + item, *range(200), 4000 + choice, 5, 6], scored=4)
        for subject in subjects
        for item in range(3)
        for choice in range(4)
    ]
    found = planned(paths, 10_000)
    assert [(len(family.prefix), family.parent) for family, _ in found] == [(0, None), (200, 0), (500, 1), (500, 1)]
    assert [len(trees) for _, trees in found] == [0, 0, 3, 3]
    # A context's own 201 tokens once, the choices' 3 four times.
    assert {len(unit.tokens) for _, trees in found for unit in trees} == {201 + 4 * 3}


def test_contexts_that_differ_in_their_last_tokens_are_one_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    paths = [Path(tokens=[*range(60), 1000 + option, *range(20)], scored=20) for option in range(4)]
    ((_, (unit,)),) = planned(paths, 10_000)
    assert len(unit.tokens) == 60 + 4 * 21


def test_sequences_that_share_little_are_not_merged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    paths = [Path(tokens=[1, 2, 3, *range(100 * item, 100 * item + 100)], scored=5) for item in range(1, 4)]
    ((_, trees),) = planned(paths, 10_000)
    assert [len(unit.branches) for unit in trees] == [1, 1, 1]
