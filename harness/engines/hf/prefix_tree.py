"""What to compute once: token sequences -> shared prefixes -> units -> packs under a token budget.

Pure: no tensors, no model. Three levels, from the outside in:

- a **prefix** is a run of tokens that many contexts begin with (a task's description, its few-shot examples); its
  keys and values are computed once and kept while what hangs on it is computed. Prefixes nest.
- a **unit** is one context with its continuations behind it, as a little tree: a first branch (the context and a
  continuation), and branches that start anywhere on an earlier one. Each token is computed once, whatever the number
  of sequences that it is on.
- a **pack** is some units of one prefix, as many as the budget allows, longest first.
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
# more than a unit could hold as well.
LEAST_TOKENS_SAVED = 128
LARGEST_MERGED = 512
# Packs that run side by side become smaller towards their end, so that all end at about the same time; but not smaller
# than this, where reading the weights costs more than waiting does.
SMALLEST_PACK = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
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
class Family:
    """A shared prefix and the paths that hang directly on it.

    Attributes:
        prefix: All tokens of the prefix from the very first; empty for paths that share nothing worth a pass.
        parent: Index of the family whose prefix this one continues; None when it starts at the first token.
        members: Indices of the paths, in the lexicographic order of their tokens. May be empty.
    """

    prefix: Sequence[int]
    parent: int | None
    members: list[int]


@dataclass(frozen=True, slots=True)
class Branch:
    """A run of tokens in a unit, each following the one before.

    Attributes:
        parent: Index in the unit of the token before the first one; -1 when that is the prefix's last token.
        start: Index in the unit of the first token.
        stop: Index in the unit behind the last token.
    """

    parent: int
    start: int
    stop: int


@dataclass(slots=True)
class Unit:
    """A tree of tokens, to be computed in one go behind its prefix.

    Attributes:
        depth: Tokens of the prefix.
        tokens: All tokens of the tree, parents before children.
        positions: Each token's distance from the start of its sequence, counted with the prefix.
        branches: The runs that make up the tree, in the order of `tokens`.
        reads: For each path (by its index) the indices in `tokens` of its scored positions.
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
        """Which tokens each token of the unit attends to: itself and those before it on its path; [tokens, tokens]."""
        mask = np.zeros((len(self.tokens), len(self.tokens)), dtype=np.bool_)
        for branch in self.branches:
            own = slice(branch.start, branch.stop)
            if branch.parent >= 0:
                mask[own] = mask[branch.parent]
            mask[own, own] = np.tri(branch.stop - branch.start, dtype=np.bool_)
        return mask

    def add(self, index: int, path: Path, common: int) -> None:
        """Add a path that shares its first `common` tokens with the path added before it (the prefix for the first)."""
        shared = common - self.depth
        new = len(path.tokens) - common
        assert 0 <= shared <= len(self._last), "a path shares tokens with the path added before it"
        assert self.depth <= path.first_scored, "no position of the prefix is read"
        self._last = self._last[:shared]
        if new:
            self.extend(path.tokens[common:])
        self.reads[index] = self._last[-path.scored :]

    def extend(self, tokens: Sequence[int]) -> None:
        """Add a run that nobody reads, behind all that was added before."""
        start, first = len(self.tokens), self.depth + len(self._last)
        self.branches.append(Branch(self._last[-1] if self._last else -1, start, start + len(tokens)))
        self.tokens.extend(tokens)
        self.positions.extend(range(first, first + len(tokens)))
        self._last = [*self._last, *range(start, start + len(tokens))]

    def gains(self, path: Path, common: int) -> bool:
        """Whether adding `path` here costs less than a unit of its own (see `PAIRS_PER_TOKEN`)."""
        size, trunk = len(self.tokens), min(self.trunk, common - self.depth)
        new = len(path.tokens) - common
        apart = _cost(self.depth, size, self.trunk) + _cost(self.depth, alone := len(path.tokens) - self.depth, alone)
        return _cost(self.depth, size + new, trunk) <= apart


def plan(paths: Sequence[Path], among: Sequence[int]) -> list[Family]:
    """Find the prefixes worth computing once.

    Every path of `among` (indices) is in one family; the first family has no prefix; the others follow their parents,
    and everything below a family comes before its next sibling.
    """
    order, common = _sorted_with_common(paths, among)
    lengths = np.array([len(paths[index].tokens) for index in order], dtype=np.int64)
    limits = np.array([paths[index].first_scored for index in order], dtype=np.int64)
    families = [Family(prefix=[], parent=None, members=[])]
    positions: list[list[int]] = [[]]
    stack = [(0, len(order), 0)]  # a range of the sorted paths, and the family it belongs to so far
    while stack:
        start, stop, family = stack.pop()
        depth = len(families[family].prefix)
        inside = common[start + 1 : stop]
        # Neighbours with the same context make one unit, and need no prefix to share it.
        contexts = 1 + int((inside <= np.maximum(limits[start : stop - 1], limits[start + 1 : stop])).sum())
        distinct = int(lengths[start:stop].sum() - inside.sum()) - depth
        if contexts == 1 or distinct <= LARGEST_MERGED or int((inside - depth).sum()) < LEAST_TOKENS_SAVED:
            positions[family].extend(range(start, stop))
            continue
        # A scored position is never in a prefix, whose logits nobody reads.
        shared = int(min(inside.min(), limits[start:stop].min()))
        saved = (contexts - 1) * (shared - depth)
        if not depth:  # behind a prefix every token takes the masked kernel, which computes the whole square
            saved -= contexts * int(((lengths[start:stop] - shared) ** 2).mean()) // (2 * PAIRS_PER_TOKEN)
        if saved >= LEAST_TOKENS_SAVED:
            families.append(Family(prefix=paths[order[start]].tokens[:shared], parent=family, members=[]))
            positions.append([])
            family = len(families) - 1
        forks = (start + 1 + np.flatnonzero(inside == inside.min())).tolist()
        stack.extend((a, b, family) for a, b in zip([start, *forks], [*forks, stop], strict=True))
    for members, found in zip(positions, families, strict=True):
        found.members.extend(order[position] for position in sorted(members))
    return families


def units(
    paths: Sequence[Path], members: Sequence[int], *, depth: int, budget_tokens: int, streams: int = 1
) -> list[Unit]:
    """Build the units of `members` (in lexicographic order) behind a prefix of `depth` tokens; largest first.

    A unit is larger than the budget only when a single path is, and larger than a stream's share of it only by the
    continuations of its last context, which would be computed again otherwise.
    """
    built: list[Unit] = []
    for last, index in zip([None, *members], members, strict=False):
        path = paths[index]
        common = depth if last is None else max(depth, common_length(paths[last].tokens, path.tokens))
        one_context = last is not None and common > max(paths[last].first_scored, path.first_scored)
        limit = budget_tokens if one_context else budget_tokens // streams
        fits = built and len(built[-1].tokens) + len(path.tokens) - common <= limit
        if common == depth or not fits or not built[-1].gains(path, common):
            built.append(Unit(depth=depth))
            common = depth
        built[-1].add(index, path, common)
    return sorted(built, key=lambda unit: -len(unit.tokens))


def packs(units: Sequence[Unit], *, budget_tokens: int, budget_scored: int, streams: int = 1) -> Iterator[list[Unit]]:
    """Cut `units` into packs, in order; one exceeds a stream's share of a budget only when a single unit does.

    With one stream they have about as many tokens each. With several, which take a pack whenever they are free, a pack
    is half of a stream's share of what is left (guided self-scheduling, Polychronopoulos and Kuck 1987).
    """
    budget_tokens, budget_scored = max(1, budget_tokens // streams), max(1, budget_scored // streams)
    left = sum(len(unit.tokens) for unit in units)
    even = left / max(1, math.ceil(left / budget_tokens))
    pack: list[Unit] = []
    tokens = scored = 0
    for unit in units:
        aim = even if streams == 1 else max(SMALLEST_PACK, left / (2 * streams))
        full = tokens >= aim or tokens + len(unit.tokens) > budget_tokens or scored + unit.scored > budget_scored
        if pack and full:
            yield pack
            left -= tokens
            pack, tokens, scored = [], 0, 0
        pack.append(unit)
        tokens += len(unit.tokens)
        scored += unit.scored
    if pack:
        yield pack


def common_length(a: Sequence[int], b: Sequence[int]) -> int:
    """How many first tokens two sequences share."""
    return _common(np.asarray(a), np.asarray(b))


def _common(a: NDArray[np.integer], b: NDArray[np.integer]) -> int:
    length = min(len(a), len(b))
    differ = a[:length] != b[:length]
    return int(differ.argmax()) if differ.any() else length


def _sorted_with_common(paths: Sequence[Path], among: Sequence[int]) -> tuple[list[int], NDArray[np.int64]]:
    """Indices in lexicographic order of the tokens, and how many tokens each path shares with the one before it."""
    arrays = {index: np.asarray(paths[index].tokens, dtype=">u4") for index in among}
    order = sorted(among, key=lambda index: arrays[index].tobytes())
    common = [_common(arrays[a], arrays[b]) for a, b in itertools.pairwise(order)]
    return order, np.array([0, *common][: len(order)], dtype=np.int64)


def _cost(depth: int, size: int, trunk: int) -> int:
    """Query-key pairs that a unit of `size` tokens is worth, of which `trunk` need no mask."""
    return size * PAIRS_PER_TOKEN + size * depth + trunk * trunk // 2 + (size - trunk) * size
