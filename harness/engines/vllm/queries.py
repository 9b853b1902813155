"""What vLLM is asked to score, and when what it says can be believed. Pure: no engine, no text.

A **group** is one context with all its distinct continuations. vLLM is asked about it in two rounds:

1. the context alone, and the log-probabilities of every continuation's first token behind it;
2. the context with each continuation but for its last token: the log-probabilities of the tokens inside come from the
   prompt's rows, that of the last token from the position where vLLM would generate.

The last position of a prompt is always computed, so round 1 and the last tokens need no care. The rows do: where the
prefix cache served a position, nothing was computed, and vLLM 0.32 gives whatever lay in that memory (other token
ids, stale values) or leaves the row out. Hence the one rule of `Table.read`: a row counts only when the position that
predicts it lies behind the cached ones. What one continuation lacks for that reason another may know (two that begin
alike share the rows of what they share); what nobody knows is asked again (see `again`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from harness.engines.base import Scored

# vLLM refuses longer lists of `logprob_token_ids`.
MOST_TARGETS = 128
# So many tokens of a continuation are asked for one by one before all of it is computed with the cache off.
FEW_TOKENS = 2


@dataclass(frozen=True, slots=True)
class Group:
    """One context and its continuations, as token ids; each context has at least one token, as has each continuation.

    Attributes:
        context: What all continuations follow.
        continuations: Distinct, in lexicographic order.
    """

    context: tuple[int, ...]
    continuations: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One prompt for vLLM.

    Attributes:
        group: Index of the group it belongs to.
        head: What follows the group's context in the prompt.
        targets: Tokens whose log-probability behind the prompt is wanted.
        cached: Whether the prefix cache may serve the prompt's beginning.
    """

    group: int
    head: tuple[int, ...]
    targets: tuple[int, ...]
    cached: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What vLLM said to a query.

    Attributes:
        behind: Log-probability of each target behind the prompt.
        best: The most likely token behind the prompt.
        rows: For the last ``len(rows)`` tokens of the prompt: log-probability and rank of each, or None where vLLM's
            row is about other tokens.
        cached_tokens: How many of the prompt's first tokens the prefix cache served; None when vLLM does not say.
    """

    behind: dict[int, float]
    best: int
    rows: list[tuple[float, int] | None] = field(default_factory=list)
    cached_tokens: int | None = 0


@dataclass(slots=True)
class _Node:
    """A token of a continuation: what is known of it, and the tokens that follow it in some continuation."""

    known: Scored | None = None
    after: dict[int, _Node] = field(default_factory=dict)

    def next(self, token: int) -> _Node:
        return self.after.setdefault(token, _Node())

    def learn(self, known: Scored) -> None:
        if self.known is None:
            self.known = known


class Table:
    """What is known of one group: a tree of its continuations' tokens."""

    def __init__(self, group: Group) -> None:
        self._group = group
        self._root = _Node()

    def read(self, query: Query, reply: Reply) -> None:
        """Take what can be believed of `reply`."""
        unread = len(query.head) - len(reply.rows)
        # With the cache on and no word of what it served, no row can be told from garbage.
        served = reply.cached_tokens
        if served is None and not query.cached:
            served = 0
        node = self._root
        for index, token in enumerate(query.head):
            node = node.next(token)
            row = reply.rows[index - unread] if index >= unread else None
            predicted_at = len(self._group.context) + index - 1
            if row is not None and served is not None and predicted_at >= served:
                logprob, rank = row
                node.learn(Scored(logprob, rank == 1))
        for target in query.targets:
            node.next(target).learn(Scored(reply.behind[target], target == reply.best))

    def score(self, continuation: Sequence[int]) -> Scored | None:
        """The continuation's score, or None when something of it is not known."""
        known = self._known(continuation)
        found = [own for own in known if own is not None]
        if len(found) < len(known):
            return None
        return Scored(sum(own.logprob for own in found), all(own.is_greedy for own in found))

    def lacking(self, continuation: Sequence[int]) -> list[int]:
        """Which of the continuation's tokens, by index, nothing is known of."""
        return [index for index, own in enumerate(self._known(continuation)) if own is None]

    def _known(self, continuation: Sequence[int]) -> list[Scored | None]:
        node, known = self._root, []
        for token in continuation:
            node = node.next(token)
            known.append(node.known)
        return known


def first_round(groups: Sequence[Group]) -> Iterator[Query]:
    """The contexts alone; one query each, unless a context has more first tokens than vLLM takes targets."""
    for number, group in enumerate(groups):
        yield from _queries(number, (), {continuation[0] for continuation in group.continuations})


def second_round(groups: Sequence[Group]) -> Iterator[Query]:
    """Continuations of two tokens and more; those that differ in their last token alone make one query."""
    for number, group in enumerate(groups):
        heads: dict[tuple[int, ...], set[int]] = {}
        for continuation in group.continuations:
            if len(continuation) > 1:
                heads.setdefault(continuation[:-1], set()).add(continuation[-1])
        for head, targets in heads.items():
            yield from _queries(number, head, targets)


def again(groups: Sequence[Group], tables: Sequence[Table]) -> Iterator[Query]:
    """What must be asked again.

    Where siblings part at the end of a block that the cache served, one token is lacking: it is asked for as what
    follows the tokens before it, which the cache may serve. Where more is, all is computed with the cache off.
    """
    for number, (group, table) in enumerate(zip(groups, tables, strict=True)):
        asked: dict[Query, None] = {}
        for continuation in group.continuations:
            lacking = table.lacking(continuation)
            if len(lacking) > FEW_TOKENS:
                asked[Query(group=number, head=continuation[:-1], targets=continuation[-1:], cached=False)] = None
            else:
                parts = [Query(group=number, head=continuation[:i], targets=(continuation[i],)) for i in lacking]
                asked |= dict.fromkeys(parts)
        yield from asked


def _queries(group: int, head: tuple[int, ...], targets: Iterable[int]) -> Iterator[Query]:
    ordered = tuple(sorted(targets))
    for start in range(0, len(ordered), MOST_TARGETS):
        yield Query(group=group, head=head, targets=ordered[start : start + MOST_TARGETS])


def group_by_context(pairs: Iterable[tuple[Sequence[int], Sequence[int]]], *, most_tokens: int) -> list[Group]:
    """Group (context, continuation) pairs, ordered so that groups with a common beginning are neighbours.

    The result does not depend on the order of `pairs`, nor on repetitions. A context whose continuations together
    exceed `most_tokens` makes several groups.
    """
    together: dict[tuple[int, ...], set[tuple[int, ...]]] = {}
    for context, continuation in pairs:
        together.setdefault(tuple(context), set()).add(tuple(continuation))
    groups: list[Group] = []
    for context in sorted(together):
        part: list[tuple[int, ...]] = []
        tokens = 0
        for continuation in sorted(together[context]):
            if part and tokens + len(continuation) > most_tokens:
                groups.append(Group(context, tuple(part)))
                part, tokens = [], 0
            part.append(continuation)
            tokens += len(continuation)
        groups.append(Group(context, tuple(part)))
    return groups


def batches(groups: Sequence[Group], *, budget_tokens: int) -> Iterator[list[Group]]:
    """Cut ordered groups into runs that compute about `budget_tokens` each; a run has at least one group."""
    run: list[Group] = []
    tokens = 0
    before: tuple[int, ...] = ()
    for group in groups:
        new = len(group.context) - _common(before, group.context) + sum(map(len, group.continuations))
        if run and tokens + new > budget_tokens:
            yield run
            run, tokens = [], 0
        run.append(group)
        tokens += new
        before = group.context
    if run:
        yield run


def shares(groups: Sequence[Group], count: int) -> list[list[Group]]:
    """Cut ordered groups into `count` runs of similar work, neighbours staying together; runs may be empty."""
    weights = [len(group.context) + sum(map(len, group.continuations)) for group in groups]
    total, done = sum(weights), 0
    parts: list[list[Group]] = [[] for _ in range(count)]
    for group, weight in zip(groups, weights, strict=True):
        parts[min(count - 1, count * done // total)].append(group)
        done += weight
    return parts


def _common(a: Sequence[int], b: Sequence[int]) -> int:
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
