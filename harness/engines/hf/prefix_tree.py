"""Decide which tokens are computed together, so that each is computed once. Pure: no tensors, no model.

Scoring a multiple-choice item means scoring one sequence per choice, and these sequences repeat one another:

    sequence 0   Q: Is ice cold? A: yes Q: Is fire cold? A: no      <- the choice "no"
    sequence 1   Q: Is ice cold? A: yes Q: Is fire cold? A: yes
    sequence 2   Q: Is ice cold? A: yes Q: Is rain dry? A: no
                 '------ prefix -------''---- context ----''- choice

Three levels turn sequences into work, from the outside in:

- a **prefix** is what many contexts begin with (a task's description, its few-shot examples). It is computed in a pass
  of its own; its keys and values are kept while everything behind it is computed. Prefixes nest: a task's description,
  then a subject's examples.
- a **tree** is one context with its continuations behind it, here "Q: Is fire cold? A:" with the branches "no" and
  "yes". Contexts that share too little for a prefix of their own may share a tree.
- a **pack** is several trees of one prefix in one forward pass, as many as the token budget allows, longest first.

`plan` finds the prefixes, `build_trees` makes the trees behind one of them, `packs` cuts these into passes.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

# The cost of one token in the dense layers, in query-key pairs of attention: about 6 x hidden size, so this is the
# figure of a small model. It decides only how eagerly sequences are merged, never what is scored.
PAIRS_PER_TOKEN = 2048
# A prefix costs a forward pass of its own. It must save at least this many tokens ...
LEAST_TOKENS_SAVED = 128
# ... and the sequences behind it must have more tokens than this; fewer fit into one tree, which needs no extra pass.
LARGEST_MERGED = 512
# Packs that run side by side become smaller towards the end, so that the streams finish at about the same time; but
# not smaller than this: below it, reading the weights for another pass costs more than waiting does.
SMALLEST_PACK = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSequence:
    """One sequence to run: a context and, without its last token, a continuation.

    The last token is never run, because nothing is predicted from it:

        context [5, 6], continuation [7, 8, 9]  ->  tokens [5, 6, 7, 8], scored 3  (6 predicts 7, 7 -> 8, 8 -> 9)

    Attributes:
        tokens: All its tokens, those of the prefix included.
        scored: At how many of its last positions logits are read; at least 1.
    """

    tokens: Sequence[int]
    scored: int

    @property
    def first_scored(self) -> int:
        """Index of the first position that is read."""
        return len(self.tokens) - self.scored


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefixGroup:
    """A shared prefix and the sequences directly behind it; those behind a longer prefix are in that one's group.

    Attributes:
        prefix: All tokens of the prefix, its parents' included; empty for sequences that share nothing worth a pass.
        parent: Index of the group whose prefix this one continues; None for the group without a prefix.
        members: Indices of the sequences, in the lexicographic order of their tokens. May be empty.
    """

    prefix: Sequence[int]
    parent: int | None
    members: list[int]


@dataclass(frozen=True, slots=True)
class Branch:
    """Consecutive tokens of a tree, each following the one before.

    Attributes:
        parent: Index in the tree of the token that the first one follows; -1 when that is the prefix's last token.
        start: Index in the tree of the first token.
        stop: Index in the tree after the last token.
    """

    parent: int
    start: int
    stop: int


@dataclass(slots=True)
class TokenTree:
    """Sequences that share a beginning, with each shared token once; computed in one pass behind their prefix.

    Behind a prefix of 10 tokens, the context [5, 6] with the continuations [7, 8, ...] and [9, ...] makes this tree:

        tokens     5  6  7  8  9       branches   5 6 7 8 (parent -1), 9 (parent 1, the token 6)
        positions 10 11 12 13 12       reads      {0: [1, 2, 3], 1: [1, 4]}: both read at 6, which is computed once

    Attributes:
        depth: Tokens of the prefix.
        tokens: All tokens of the tree, parents before children.
        positions: Each token's position in its own sequence, counted with the prefix, for `position_ids`.
        branches: The branches that make up the tree, in the order of `tokens`.
        reads: For each sequence, by its index, the indices in `tokens` of its scored positions.
    """

    depth: int
    tokens: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    branches: list[Branch] = field(default_factory=list)
    reads: dict[int, list[int]] = field(default_factory=dict)
    # Indices in `tokens` of the sequence added last: [0, 1, 4] after the second one above. Sequences come in
    # lexicographic order, so the next one shares most with this one; no other needs to be searched.
    _last: list[int] = field(default_factory=list)

    @property
    def trunk(self) -> int:
        """Tokens before the first fork, 2 in the example: each of them attends to all tokens before it."""
        return min([self.branches[0].stop] + [branch.parent + 1 for branch in self.branches[1:]])

    @property
    def longest(self) -> int:
        """Tokens of the longest sequence, counted with the prefix."""
        return max(self.positions) + 1

    @property
    def scored(self) -> int:
        """Distinct positions that are read."""
        return len({index for read in self.reads.values() for index in read})

    def ancestors(self) -> NDArray[np.bool_]:
        """Which tokens each token of the tree attends to: itself and its ancestors; [tokens, tokens].

        In the example (1: attends), the last row copies its parent's row and adds itself:

               5 6 7 8 9
            6  1 1 0 0 0
            8  1 1 1 1 0
            9  1 1 0 0 1
        """
        mask = np.zeros((len(self.tokens), len(self.tokens)), dtype=np.bool_)
        for branch in self.branches:
            own = slice(branch.start, branch.stop)
            if branch.parent >= 0:
                mask[own] = mask[branch.parent]
            # Parents come before children, so the parent's row is complete by now.
            mask[own, own] = np.tri(branch.stop - branch.start, dtype=np.bool_)
        return mask

    def add(self, index: int, sequence: TokenSequence, common: int) -> None:
        """Add a sequence that shares its first `common` tokens with the one added before it, or with the prefix."""
        shared = common - self.depth
        new = len(sequence.tokens) - common
        assert 0 <= shared <= len(self._last), "a sequence shares tokens with the sequence added before it"
        assert self.depth <= sequence.first_scored, "no position of the prefix is read"
        self._last = self._last[:shared]
        if new:
            self.extend(sequence.tokens[common:])
        self.reads[index] = self._last[-sequence.scored :]

    def extend(self, tokens: Sequence[int]) -> None:
        """Add tokens that are not read, as a prefix's are not, after the sequence added last."""
        start, first = len(self.tokens), self.depth + len(self._last)
        self.branches.append(Branch(self._last[-1] if self._last else -1, start, start + len(tokens)))
        self.tokens.extend(tokens)
        self.positions.extend(range(first, first + len(tokens)))
        self._last = [*self._last, *range(start, start + len(tokens))]

    def gains(self, sequence: TokenSequence, common: int) -> bool:
        """Whether adding `sequence` here costs less than a tree of its own (see `PAIRS_PER_TOKEN`).

        A shared token is saved in the dense layers, but behind a fork attention computes pairs that are then masked.
        """
        size, trunk = len(self.tokens), min(self.trunk, common - self.depth)
        new = len(sequence.tokens) - common
        alone = len(sequence.tokens) - self.depth
        apart = _cost(self.depth, size, self.trunk) + _cost(self.depth, alone, alone)
        return _cost(self.depth, size + new, trunk) <= apart


def plan(sequences: Sequence[TokenSequence], among: Sequence[int]) -> list[PrefixGroup]:
    """Find the prefixes that are worth a forward pass.

    A stack takes ranges of the sorted sequences apart, from the whole list down to single contexts. Of five sequences
    that begin with a task's description T, four of them also with a subject's examples S,

        T S a, T S b, T S c, T S d, T e  ->  groups: [] (no members), T (parent 0; T e), T S (parent 1; the four others)

    the range of all five shares T; a fork after T leaves two ranges, of which the first shares T S. The obvious way,
    a trie over all tokens, would hold a node for each of millions of tokens; sorted neighbours need one number each.

    Args:
        sequences: All sequences.
        among: Indices of those to plan for.

    Returns:
        Groups that hold every index of `among` once. The first has no prefix; each of the others comes after its
        parent, and everything below a group comes before its next sibling, so that one line of prefixes is kept at a
        time.
    """
    order, common = _sorted_with_common(sequences, among)
    lengths = np.array([len(sequences[index].tokens) for index in order], dtype=np.int64)
    limits = np.array([sequences[index].first_scored for index in order], dtype=np.int64)
    groups = [PrefixGroup(prefix=[], parent=None, members=[])]
    positions: list[list[int]] = [[]]
    stack = [(0, len(order), 0)]  # a range of the sorted sequences, and the group it belongs to so far
    while stack:
        start, stop, group = stack.pop()
        depth = len(groups[group].prefix)
        inside = common[start + 1 : stop]
        # Neighbours that share a whole context are choices of one item: they make one tree, which needs no prefix.
        # "T S Q no", "T S Q yes" and "T S R no" are 2 contexts.
        contexts = 1 + int((inside <= np.maximum(limits[start : stop - 1], limits[start + 1 : stop])).sum())
        distinct = int(lengths[start:stop].sum() - inside.sum()) - depth
        if contexts == 1 or distinct <= LARGEST_MERGED or int((inside - depth).sum()) < LEAST_TOKENS_SAVED:
            positions[group].extend(range(start, stop))
            continue
        # No logits are read in a prefix's pass, so no scored position may be in a prefix.
        shared = int(min(inside.min(), limits[start:stop].min()))
        if _tokens_saved(lengths[start:stop], contexts, depth, shared) >= LEAST_TOKENS_SAVED:
            # The forks below hang on this longer prefix instead of the one before it.
            groups.append(PrefixGroup(prefix=sequences[order[start]].tokens[:shared], parent=group, members=[]))
            positions.append([])
            group = len(groups) - 1
        # Split where neighbours share least: common 0 3 3 5 3 within the range makes [0], [1], [2, 3], [4].
        forks = (start + 1 + np.flatnonzero(inside == inside.min())).tolist()
        stack.extend((a, b, group) for a, b in zip([start, *forks], [*forks, stop], strict=True))
    for own, prefix_group in zip(positions, groups, strict=True):
        prefix_group.members.extend(order[position] for position in sorted(own))
    return groups


def _tokens_saved(lengths: NDArray[np.int64], contexts: int, depth: int, shared: int) -> int:
    """What a prefix of `shared` tokens saves, in tokens, over one of `depth`, for sequences of these lengths."""
    saved = (contexts - 1) * (shared - depth)
    if not depth:
        # Without a prefix, a tree's trunk takes the causal kernel, which skips half of the square of queries and keys.
        # Behind a prefix every token is masked and the whole square is computed: a cost, here in tokens.
        saved -= contexts * int(((lengths - shared) ** 2).mean()) // (2 * PAIRS_PER_TOKEN)
    return saved


def build_trees(
    sequences: Sequence[TokenSequence], members: Sequence[int], *, depth: int, budget_tokens: int, n_streams: int = 1
) -> list[TokenTree]:
    """Build the trees of `members` (in lexicographic order) behind a prefix of `depth` tokens; largest first.

    A tree exceeds the budget only when a single sequence does. It exceeds a stream's share of the budget only by the
    continuations of its last context: in a tree of their own they would need that context computed again.
    """
    built: list[TokenTree] = []
    for last, index in zip([None, *members], members, strict=False):
        sequence = sequences[index]
        common = depth if last is None else max(depth, common_length(sequences[last].tokens, sequence.tokens))
        # Choices of one context share its last token, where scoring begins: 5 6 7 8 and 5 6 9 share 2 tokens, and are
        # scored from position 1 on.
        one_context = last is not None and common > max(sequences[last].first_scored, sequence.first_scored)
        limit = budget_tokens if one_context else budget_tokens // n_streams
        fits = built and len(built[-1].tokens) + len(sequence.tokens) - common <= limit
        if common == depth or not fits or not built[-1].gains(sequence, common):
            built.append(TokenTree(depth=depth))
            common = depth
        built[-1].add(index, sequence, common)
    return sorted(built, key=lambda tree: -len(tree.tokens))


def packs(
    trees: Sequence[TokenTree], *, budget_tokens: int, budget_scored: int, n_streams: int = 1
) -> Iterator[list[TokenTree]]:
    """Cut `trees` into packs, in order; a pack exceeds a stream's share of a budget only when a single tree does.

    With one stream all packs have about the same number of tokens. Several streams each take the next pack when they
    are free; a pack is then half of a stream's share of what is left (guided self-scheduling, Polychronopoulos and
    Kuck 1987). With two streams and 8,192 tokens left, the next packs have about 2,048, 1,536, 1,152, ... tokens.
    """
    budget_tokens, budget_scored = max(1, budget_tokens // n_streams), max(1, budget_scored // n_streams)
    left = sum(len(tree.tokens) for tree in trees)
    even = left / max(1, math.ceil(left / budget_tokens))
    pack: list[TokenTree] = []
    tokens = scored = 0
    for tree in trees:
        aim = even if n_streams == 1 else max(SMALLEST_PACK, left / (2 * n_streams))
        full = tokens >= aim or tokens + len(tree.tokens) > budget_tokens or scored + tree.scored > budget_scored
        if pack and full:
            yield pack
            left -= tokens
            pack, tokens, scored = [], 0, 0
        pack.append(tree)
        tokens += len(tree.tokens)
        scored += tree.scored
    if pack:
        yield pack


def common_length(a: Sequence[int], b: Sequence[int]) -> int:
    """Number of tokens that two sequences share at their beginning."""
    return _common(np.asarray(a), np.asarray(b))


def _common(a: NDArray[np.integer], b: NDArray[np.integer]) -> int:
    length = min(len(a), len(b))
    differ = a[:length] != b[:length]
    return int(differ.argmax()) if differ.any() else length


def _sorted_with_common(
    sequences: Sequence[TokenSequence], among: Sequence[int]
) -> tuple[list[int], NDArray[np.int64]]:
    """Indices in lexicographic order of the tokens, and how many tokens each sequence shares with the one before it."""
    # Big-endian bytes compare as the tokens do, and comparing bytes is much faster than comparing lists of integers:
    # [1, 2] is 00000001 00000002, which sorts before [1, 256], 00000001 00000100. (Little-endian 256 would come first.)
    arrays = {index: np.asarray(sequences[index].tokens, dtype=">u4") for index in among}
    order = sorted(among, key=lambda index: arrays[index].tobytes())
    common = [_common(arrays[a], arrays[b]) for a, b in itertools.pairwise(order)]
    return order, np.array([0, *common][: len(order)], dtype=np.int64)


def _cost(depth: int, size: int, trunk: int) -> int:
    """Cost, in query-key pairs, of a tree of `size` tokens whose first `trunk` need no mask.

    Dense layers, attention to the prefix, the causal half of the trunk's square, and whole rows for the other tokens.
    """
    return size * PAIRS_PER_TOKEN + size * depth + trunk * trunk // 2 + (size - trunk) * size
