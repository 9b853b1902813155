"""What to compute once: token sequences -> shared prefixes -> trees -> packs under a token budget.

Pure: no tensors, no model. Three levels, from the outside in:

- a **prefix** is a run of tokens that many contexts begin with (a task's description, its few-shot examples); its
  keys and values are computed once and kept while what hangs on it is computed. Prefixes nest.
- a **tree** is one context with its continuations behind it, as a little tree: a first branch (the context and a
  continuation), and branches that start anywhere on an earlier one. Each token is computed once, whatever the number
  of sequences that it is on.
- a **pack** is some trees of one prefix, as many as the budget allows, longest first.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

# What the dense layers spend on one token, counted in query-key pairs of attention: about 6 x hidden size, so this is
# a small model's figure. It decides only how eagerly sequences are merged, never what is scored.
PAIRS_PER_TOKEN = 2048
# A prefix costs a forward pass of its own, so it must save at least this many tokens, and what hangs on it must be
# more than a tree could hold as well.
LEAST_TOKENS_SAVED = 128
LARGEST_MERGED = 512
# Packs that run side by side become smaller towards their end, so that all end at about the same time; but not smaller
# than this, where reading the weights costs more than waiting does.
SMALLEST_PACK = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSequence:
    """One sequence to run.

    Attributes:
        tokens: Its tokens from the very first.
        scored: How many of its last positions are read; at least 1.
    """

    tokens: Sequence[int]
    scored: int

    @property
    def first_scored(self) -> int:
        """Index of the first position that is read."""
        return len(self.tokens) - self.scored


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefixGroup:
    """A shared prefix and the sequences that hang directly on it.

    Attributes:
        prefix: All tokens of the prefix from the very first; empty for sequences that share nothing worth a pass.
        parent: Index of the group whose prefix this one continues; None when it starts at the first token.
        members: Indices of the sequences, in the lexicographic order of their tokens. May be empty.
    """

    prefix: Sequence[int]
    parent: int | None
    members: list[int]


@dataclass(frozen=True, slots=True)
class Branch:
    """A run of tokens in a tree, each following the one before.

    Attributes:
        parent: Index in the tree of the token before the first one; -1 when that is the prefix's last token.
        start: Index in the tree of the first token.
        stop: Index in the tree behind the last token.
    """

    parent: int
    start: int
    stop: int


@dataclass(slots=True)
class TokenTree:
    """A tree of tokens, to be computed in one go behind its prefix.

    Attributes:
        depth: Tokens of the prefix.
        tokens: All tokens of the tree, parents before children.
        positions: Each token's distance from the start of its sequence, counted with the prefix.
        branches: The runs that make up the tree, in the order of `tokens`.
        reads: For each sequence (by its index) the indices in `tokens` of its scored positions.
    """

    depth: int
    tokens: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    branches: list[Branch] = field(default_factory=list)
    reads: dict[int, list[int]] = field(default_factory=dict)
    _last: list[int] = field(default_factory=list)

    @property
    def trunk(self) -> int:
        """Tokens before the first fork: each of them attends to all before it."""
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
        """Which tokens each token of the tree attends to: itself and its ancestors; [tokens, tokens]."""
        mask = np.zeros((len(self.tokens), len(self.tokens)), dtype=np.bool_)
        for branch in self.branches:
            own = slice(branch.start, branch.stop)
            if branch.parent >= 0:
                mask[own] = mask[branch.parent]
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
        """Add a run that nobody reads, behind all that was added before."""
        start, first = len(self.tokens), self.depth + len(self._last)
        self.branches.append(Branch(self._last[-1] if self._last else -1, start, start + len(tokens)))
        self.tokens.extend(tokens)
        self.positions.extend(range(first, first + len(tokens)))
        self._last = [*self._last, *range(start, start + len(tokens))]

    def gains(self, sequence: TokenSequence, common: int) -> bool:
        """Whether adding `sequence` here costs less than a tree of its own (see `PAIRS_PER_TOKEN`)."""
        size, trunk = len(self.tokens), min(self.trunk, common - self.depth)
        new = len(sequence.tokens) - common
        alone = len(sequence.tokens) - self.depth
        apart = _cost(self.depth, size, self.trunk) + _cost(self.depth, alone, alone)
        return _cost(self.depth, size + new, trunk) <= apart


def plan(sequences: Sequence[TokenSequence], among: Sequence[int]) -> list[PrefixGroup]:
    """Find the prefixes worth computing once.

    Every sequence of `among` (indices) is in one group; the first group has no prefix; the others follow their parents,
    and everything below a group comes before its next sibling.
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
        # Neighbours with the same context make one tree, and need no prefix to share it.
        contexts = 1 + int((inside <= np.maximum(limits[start : stop - 1], limits[start + 1 : stop])).sum())
        distinct = int(lengths[start:stop].sum() - inside.sum()) - depth
        if contexts == 1 or distinct <= LARGEST_MERGED or int((inside - depth).sum()) < LEAST_TOKENS_SAVED:
            positions[group].extend(range(start, stop))
            continue
        # A scored position is never in a prefix, whose logits nobody reads.
        shared = int(min(inside.min(), limits[start:stop].min()))
        saved = (contexts - 1) * (shared - depth)
        if not depth:  # behind a prefix every token takes the masked kernel, which computes the whole square
            saved -= contexts * int(((lengths[start:stop] - shared) ** 2).mean()) // (2 * PAIRS_PER_TOKEN)
        if saved >= LEAST_TOKENS_SAVED:
            groups.append(PrefixGroup(prefix=sequences[order[start]].tokens[:shared], parent=group, members=[]))
            positions.append([])
            group = len(groups) - 1
        forks = (start + 1 + np.flatnonzero(inside == inside.min())).tolist()
        stack.extend((a, b, group) for a, b in zip([start, *forks], [*forks, stop], strict=True))
    for members, found in zip(positions, groups, strict=True):
        found.members.extend(order[position] for position in sorted(members))
    return groups


def build_trees(
    sequences: Sequence[TokenSequence], members: Sequence[int], *, depth: int, budget_tokens: int, n_streams: int = 1
) -> list[TokenTree]:
    """Build the trees of `members` (in lexicographic order) behind a prefix of `depth` tokens; largest first.

    A tree is larger than the budget only when a single sequence is, and larger than a stream's share of it only by the
    continuations of its last context, which would be computed again otherwise.
    """
    built: list[TokenTree] = []
    for last, index in zip([None, *members], members, strict=False):
        sequence = sequences[index]
        common = depth if last is None else max(depth, common_length(sequences[last].tokens, sequence.tokens))
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
    """Cut `trees` into packs, in order; one exceeds a stream's share of a budget only when a single tree does.

    With one stream they have about as many tokens each. With several, which take a pack whenever they are free, a pack
    is half of a stream's share of what is left (guided self-scheduling, Polychronopoulos and Kuck 1987).
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
    """How many first tokens two sequences share."""
    return _common(np.asarray(a), np.asarray(b))


def _common(a: NDArray[np.integer], b: NDArray[np.integer]) -> int:
    length = min(len(a), len(b))
    differ = a[:length] != b[:length]
    return int(differ.argmax()) if differ.any() else length


def _sorted_with_common(
    sequences: Sequence[TokenSequence], among: Sequence[int]
) -> tuple[list[int], NDArray[np.int64]]:
    """Indices in lexicographic order of the tokens, and how many tokens each sequence shares with the one before it."""
    arrays = {index: np.asarray(sequences[index].tokens, dtype=">u4") for index in among}
    order = sorted(among, key=lambda index: arrays[index].tobytes())
    common = [_common(arrays[a], arrays[b]) for a, b in itertools.pairwise(order)]
    return order, np.array([0, *common][: len(order)], dtype=np.int64)


def _cost(depth: int, size: int, trunk: int) -> int:
    """Query-key pairs that a tree of `size` tokens is worth, of which `trunk` need no mask."""
    return size * PAIRS_PER_TOKEN + size * depth + trunk * trunk // 2 + (size - trunk) * size
