"""The plan of what is computed together: every sequence once, every token after its own past, within the budgets."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.engines.hf import prefix_tree as prefix
from harness.engines.hf.prefix_tree import (
    SMALLEST_PACK,
    PrefixGroup,
    TokenSequence,
    TokenTree,
    build_trees,
    common_length,
    packs,
    plan,
)

# Few distinct tokens and few distinct beginnings, so that prefixes are shared, nested, equal, and parts of others.
TOKENS = st.lists(st.integers(0, 2), max_size=12)


@st.composite
def sequence_lists(draw: st.DrawFn) -> list[TokenSequence]:
    heads = draw(st.lists(TOKENS, min_size=1, max_size=4))
    sequences = []
    for _ in range(draw(st.integers(0, 25))):
        head = draw(st.sampled_from(heads)) + draw(st.sampled_from(heads))
        tokens = [7, *head, *draw(TOKENS)]
        sequences.append(TokenSequence(tokens=tokens, scored=draw(st.integers(1, len(tokens)))))
    return sequences


@pytest.fixture(autouse=True)
def eager_prefixes(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the real thresholds, prefixes would be too long for a search for counterexamples."""
    monkeypatch.setattr(prefix, "LEAST_TOKENS_SAVED", 4)
    monkeypatch.setattr(prefix, "LARGEST_MERGED", 6)


def planned(
    sequences: list[TokenSequence], budget: int, n_streams: int = 1
) -> list[tuple[PrefixGroup, list[TokenTree]]]:
    def trees(group: PrefixGroup) -> list[TokenTree]:
        depth = len(group.prefix)
        return build_trees(sequences, group.members, depth=depth, budget_tokens=budget, n_streams=n_streams)

    return [(group, trees(group)) for group in plan(sequences, range(len(sequences)))]


def without_last_context(sequences: list[TokenSequence]) -> list[TokenSequence]:
    """All sequences except those at the end that share the context of the one before."""
    remaining = list(sequences)
    while len(remaining) > 1:
        a, b = remaining[-2:]
        if common_length(a.tokens, b.tokens) <= max(a.first_scored, b.first_scored):
            break
        remaining.pop()
    return remaining


def path_in_tree(tree: TokenTree, index: int) -> list[int]:
    """Tokens on the path from the tree's first token to `index`, according to the branches."""
    tokens = []
    while index >= 0:
        branch = next(branch for branch in tree.branches if branch.start <= index < branch.stop)
        tokens.append(tree.tokens[index])
        index = branch.parent if index == branch.start else index - 1
    return tokens[::-1]


@settings(deadline=None)
@given(sequence_lists(), st.integers(1, 60))
def test_every_sequence_is_in_exactly_one_tree(sequences: list[TokenSequence], budget: int) -> None:
    indices = [index for _, trees in planned(sequences, budget) for tree in trees for index in tree.reads]
    assert sorted(indices) == list(range(len(sequences)))


@settings(deadline=None)
@given(sequence_lists(), st.integers(1, 60))
def test_every_token_follows_the_tokens_before_it_in_its_sequence(sequences: list[TokenSequence], budget: int) -> None:
    for group, trees in planned(sequences, budget):
        for tree in trees:
            for index, read in tree.reads.items():
                sequence = sequences[index]
                assert len(read) == sequence.scored
                for place, position in zip(read, range(sequence.first_scored, len(sequence.tokens)), strict=True):
                    past = [*group.prefix, *path_in_tree(tree, place)]
                    assert past == list(sequence.tokens[: position + 1])
                    assert tree.positions[place] == position


@settings(deadline=None)
@given(sequence_lists(), st.integers(1, 60))
def test_the_mask_lets_each_token_attend_only_to_its_ancestors(sequences: list[TokenSequence], budget: int) -> None:
    for _, trees in planned(sequences, budget):
        for tree in trees:
            mask = tree.ancestors()
            for index in range(len(tree.tokens)):
                seen = [tree.tokens[other] for other in mask[index].nonzero()[0]]
                assert seen == path_in_tree(tree, index)
            assert mask[: tree.trunk, : tree.trunk].sum() == tree.trunk * (tree.trunk + 1) // 2
            assert mask[tree.trunk :, : tree.trunk].all(), "what stands behind the trunk sees all of it"


@given(sequence_lists())
def test_a_prefix_continues_its_parent_and_comes_after_it(sequences: list[TokenSequence]) -> None:
    groups = plan(sequences, range(len(sequences)))
    assert groups[0].parent is None
    assert not groups[0].prefix
    line: list[int] = []
    for number, group in enumerate(groups):
        while line and line[-1] != group.parent:
            line.pop()
        assert number == 0 or line, "everything below a group comes before its next sibling"
        line.append(number)
        if group.parent is not None:
            parent = groups[group.parent].prefix
            assert len(parent) < len(group.prefix)
            assert list(group.prefix[: len(parent)]) == list(parent)


@given(sequence_lists())
def test_no_position_of_a_prefix_is_read(sequences: list[TokenSequence]) -> None:
    for group in plan(sequences, range(len(sequences))):
        for index in group.members:
            assert sequences[index].first_scored >= len(group.prefix)


@given(sequence_lists(), st.integers(1, 60), st.integers(1, 20), st.integers(1, 3))
def test_packs_stay_within_the_budget_unless_a_single_sequence_is_larger(
    sequences: list[TokenSequence], budget: int, scored: int, n_streams: int
) -> None:
    for _, trees in planned(sequences, budget, n_streams):
        for tree in trees:
            assert len(tree.tokens) <= budget or len({tuple(sequences[index].tokens) for index in tree.reads}) == 1
            merged = without_last_context([sequences[index] for index in tree.reads])
            distinct = {
                tuple(sequence.tokens[:n])
                for sequence in merged
                for n in range(tree.depth + 1, len(sequence.tokens) + 1)
            }
            assert len(merged) == 1 or len(distinct) <= max(1, budget // n_streams)
        cut = list(packs(trees, budget_tokens=budget, budget_scored=scored, n_streams=n_streams))
        assert [tree for pack in cut for tree in pack] == trees
        for pack in cut:
            assert len(pack) == 1 or sum(len(tree.tokens) for tree in pack) <= max(1, budget // n_streams)
            assert len(pack) == 1 or sum(tree.scored for tree in pack) <= max(1, scored // n_streams)


def of_size(tokens: int) -> TokenTree:
    tree = TokenTree(depth=0)
    tree.extend(list(range(tokens)))
    return tree


def test_streams_end_at_about_the_same_time_without_waiting_for_one_another() -> None:
    trees = [of_size(size) for size in range(400, 100, -2)]
    ends = [0, 0]
    for pack in packs(trees, budget_tokens=4096, budget_scored=1000, n_streams=2):
        stream = ends.index(min(ends))  # whichever is free
        ends[stream] += sum(len(tree.tokens) for tree in pack)
    assert max(ends) - min(ends) <= SMALLEST_PACK + 400
    alone = [sum(len(tree.tokens) for tree in pack) for pack in packs(trees, budget_tokens=2048, budget_scored=1000)]
    assert max(alone) - min(alone) <= 2 * 400, "one stream's packs are of one size"


def test_a_prefix_of_a_few_long_contexts_costs_more_than_it_saves() -> None:
    """Behind a prefix attention is masked, so a long context computes twice the pairs."""
    shared = list(range(150))

    def groups(contexts: int, length: int) -> int:
        long = [TokenSequence(tokens=[*shared, *([1000 + item] * length)], scored=3) for item in range(contexts)]
        return len(plan(long, range(contexts)))

    assert groups(2, 900) == 1
    assert groups(40, 100) == 2


@given(sequence_lists(), st.integers(1, 60))
def test_trees_come_longest_first(sequences: list[TokenSequence], budget: int) -> None:
    for _, trees in planned(sequences, budget):
        sizes = [len(tree.tokens) for tree in trees]
        assert sizes == sorted(sizes, reverse=True)


def test_one_token_choices_add_no_token_to_the_context() -> None:
    context = list(range(100))
    sequences = [TokenSequence(tokens=context, scored=1) for _ in "ABCD"]
    ((_, (tree,)),) = planned(sequences, 1000)
    assert tree.tokens == context
    assert tree.scored == 1


def test_shared_examples_are_a_prefix_and_prefixes_nest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    task, subjects = list(range(200)), [list(range(1000, 1300)), list(range(2000, 2300))]
    sequences = [
        TokenSequence(tokens=[*task, *subject, 3000 + item, *range(200), 4000 + choice, 5, 6], scored=4)
        for subject in subjects
        for item in range(3)
        for choice in range(4)
    ]
    groups = planned(sequences, 10_000)
    assert [(len(group.prefix), group.parent) for group, _ in groups] == [(0, None), (200, 0), (500, 1), (500, 1)]
    assert [len(trees) for _, trees in groups] == [0, 0, 3, 3]
    # A context's own 201 tokens once, the choices' 3 four times.
    assert {len(tree.tokens) for _, trees in groups for tree in trees} == {201 + 4 * 3}


def test_contexts_that_differ_in_their_last_tokens_are_one_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    sequences = [TokenSequence(tokens=[*range(60), 1000 + option, *range(20)], scored=20) for option in range(4)]
    ((_, (tree,)),) = planned(sequences, 10_000)
    assert len(tree.tokens) == 60 + 4 * 21


def test_sequences_that_share_little_are_not_merged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    sequences = [
        TokenSequence(tokens=[1, 2, 3, *range(100 * item, 100 * item + 100)], scored=5) for item in range(1, 4)
    ]
    ((_, trees),) = planned(sequences, 10_000)
    assert [len(tree.branches) for tree in trees] == [1, 1, 1]
