"""Queries that score continuations on vLLM, and which of vLLM's values are valid. Pure: no engine, no text.

A **group** is one context with all its distinct continuations. vLLM gets two rounds of queries about it. For the
context 1 2 3 with the continuations 7 8 9 and 7 8 5:

    round 1   prompt 1 2 3        log-probability of 7 after it
    round 2   prompt 1 2 3 7 8    log-probabilities of 9 and 5 after it; that of 8 from the prompt's own rows

Round 1 is left out if round 2 returns all values (see `first_round`).

In round 2 the prefix cache serves 1 2 3, to the last full block of tokens, so a context is computed once. The last
position of a prompt is always computed, so what follows a prompt is always valid. The prompt's rows are not: where the
cache served a position, nothing was computed, and vLLM 0.32 returns whatever is in that memory (other token ids, stale
values) or leaves the row out. Hence the rule of `Table.read`: a row is valid only if the position that predicts it was
not served by the cache. Above, the row of 7 is predicted at the served position of 3, so it is ignored (round 1 has its
value); the row of 8 is predicted at 7, which was computed. What one continuation lacks for this reason another may
have, since continuations that begin alike share rows; what is still missing is queried once more (see `repeats`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from harness.engines.base import Scored

# Rank in a `Reply` of a token that has the same log-probability as the most likely one. vLLM's own rank counts every
# token that is at least as likely, so it is above 1 even for the one that generation would take.
TIED = 0
# vLLM refuses longer lists of `logprob_token_ids`.
MOST_TARGETS = 128
# Up to this many missing tokens of a continuation get a query each; for more, all of it is computed with the cache off.
FEW_TOKENS = 2


@dataclass(frozen=True, slots=True)
class Group:
    """One context and its continuations, as token ids; each has at least one token.

    Attributes:
        context: The tokens before all the continuations.
        continuations: Distinct, in lexicographic order.
    """

    context: tuple[int, ...]
    continuations: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One prompt for vLLM.

    Attributes:
        group: Index of its group.
        head: The tokens that follow the group's context in the prompt.
        targets: The tokens whose log-probability after the prompt is wanted.
        cached: Whether the prefix cache may serve the beginning of the prompt.
    """

    group: int
    head: tuple[int, ...]
    targets: tuple[int, ...]
    cached: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Number of queries of a batch, and how many of them follow the two rounds, for values that are still missing."""

    queries: int
    repeated: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """vLLM's reply to a query.

    Attributes:
        behind: Log-probability of each target after the prompt.
        best: The most likely token after the prompt.
        rows: For the last ``len(rows)`` tokens of the prompt: log-probability and rank of each (1 if no other token is
            as likely, `TIED` if another is), or None where vLLM's row is about other tokens.
        cached_tokens: How many of the prompt's first tokens the prefix cache served; None when vLLM does not report it.
    """

    behind: dict[int, float]
    best: int
    rows: list[tuple[float, int] | None] = field(default_factory=list)
    cached_tokens: int | None = 0


@dataclass(slots=True)
class _Node:
    """A token of a continuation: its score, if known, and the tokens that follow it in any continuation.

    If `tied`, only its log-probability is final: the token may or may not be the one that generation would take.
    """

    known: Scored | None = None
    tied: bool = False
    after: dict[int, _Node] = field(default_factory=dict)

    def next(self, token: int) -> _Node:
        return self.after.setdefault(token, _Node())

    def learn(self, known: Scored, *, tied: bool = False) -> None:
        if self.known is None or (self.tied and not tied):
            self.known, self.tied = known, tied


class Table:
    """The known scores of one group, in a tree of its continuations' tokens.

    Continuations that begin alike share nodes, so a value learnt for one is known for the other: for 7 8 9 and 7 8 5
    the nodes are 7, then 8, then 9 and 5.
    """

    def __init__(self, group: Group) -> None:
        self._group = group
        self._root = _Node()

    def read(self, query: Query, reply: Reply) -> None:
        """Take the valid values of `reply`."""
        unread = len(query.head) - len(reply.rows)
        # If the cache was on and vLLM does not report what it served, no row can be used.
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
                node.learn(Scored(logprob, rank == 1), tied=rank == TIED)
        for target in query.targets:
            node.next(target).learn(Scored(reply.behind[target], target == reply.best))

    def score(self, continuation: Sequence[int]) -> Scored | None:
        """The continuation's score, or None when one of its tokens is not known."""
        nodes = self._nodes(continuation)
        known = [node.known for node in nodes if node.known is not None]
        if len(known) < len(nodes):
            return None
        return Scored(sum(token.logprob for token in known), all(token.is_greedy for token in known))

    def lacking(self, continuation: Sequence[int]) -> list[int]:
        """Indices of the continuation's tokens whose score is not known."""
        return [index for index, node in enumerate(self._nodes(continuation)) if node.known is None]

    def undecided(self, continuation: Sequence[int]) -> list[int]:
        """Indices of tied tokens that alone decide whether the continuation is greedy."""
        nodes = self._nodes(continuation)
        if any(node.known is not None and not node.tied and not node.known.is_greedy for node in nodes):
            return []
        return [index for index, node in enumerate(nodes) if node.tied]

    def _nodes(self, continuation: Sequence[int]) -> list[_Node]:
        node, nodes = self._root, []
        for token in continuation:
            node = node.next(token)
            nodes.append(node)
        return nodes


def first_round(groups: Sequence[Group], *, block_tokens: int) -> Iterator[Query]:
    """The contexts alone: one query each, or more when there are more first tokens than vLLM takes targets.

    A context gets none if round 2 returns all its values: each continuation has a query there, and the context's last
    position is in a block that it fills only in part, so no earlier context can have put it into the cache. vLLM shares
    the full blocks of prompts that it starts at the same time, so the context is still computed once.

    Args:
        groups: The groups.
        block_tokens: Tokens that vLLM caches together. A wrong number costs queries, never a score.
    """
    for number, group in enumerate(groups):
        ends_block = len(group.context) % block_tokens == 0
        if ends_block or any(len(continuation) == 1 for continuation in group.continuations):
            yield from _queries(number, (), {continuation[0] for continuation in group.continuations})


def second_round(groups: Sequence[Group]) -> Iterator[Query]:
    """Continuations of two or more tokens, without their last; those that differ only in the last make one query."""
    for number, group in enumerate(groups):
        heads: dict[tuple[int, ...], set[int]] = {}
        for continuation in group.continuations:
            if len(continuation) > 1:
                heads.setdefault(continuation[:-1], set()).add(continuation[-1])
        for head, targets in heads.items():
            yield from _queries(number, head, targets)


def repeats(groups: Sequence[Group], tables: Sequence[Table]) -> Iterator[Query]:
    """Queries for what the two rounds left unknown.

    When the cache served 7 8 of the continuation 7 8 9 6, because a sibling had filled a block with them, the row of 9
    is invalid. A few such tokens get a query each, here the prompt ... 7 8 with the target 9: its last position is
    always computed. For more, the whole continuation is computed with the cache off.
    """
    for number, (group, table) in enumerate(zip(groups, tables, strict=True)):
        queries: dict[Query, None] = {}  # a set that keeps its order
        for continuation in group.continuations:
            lacking = table.lacking(continuation)
            if len(lacking) > FEW_TOKENS:
                queries[Query(group=number, head=continuation[:-1], targets=continuation[-1:], cached=False)] = None
            else:
                single = [Query(group=number, head=continuation[:i], targets=(continuation[i],)) for i in lacking]
                queries |= dict.fromkeys(single)
        yield from queries


def ties(groups: Sequence[Group], tables: Sequence[Table]) -> Iterator[Query]:
    """Queries for tokens whose tie decides a greedy flag: the last position says which token generation would take."""
    for number, (group, table) in enumerate(zip(groups, tables, strict=True)):
        queries: dict[Query, None] = {}
        for continuation in group.continuations:
            for index in table.undecided(continuation):
                queries[Query(group=number, head=continuation[:index], targets=(continuation[index],))] = None
        yield from queries


def _queries(group: int, head: tuple[int, ...], targets: Iterable[int]) -> Iterator[Query]:
    ordered = tuple(sorted(targets))
    for start in range(0, len(ordered), MOST_TARGETS):
        yield Query(group=group, head=head, targets=ordered[start : start + MOST_TARGETS])


def group_by_context(pairs: Iterable[tuple[Sequence[int], Sequence[int]]], *, most_tokens: int) -> list[Group]:
    """Group (context, continuation) pairs, ordered so that groups with a common beginning are neighbours.

    The order and repetitions of `pairs` do not matter. A context whose continuations together exceed `most_tokens`
    makes several groups.
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
    """Cut ordered groups into batches that compute about `budget_tokens` each; a batch has at least one group."""
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
    """Cut ordered groups into `count` parts of similar work; neighbours stay together, parts may be empty."""
    weights = [len(group.context) + sum(map(len, group.continuations)) for group in groups]
    total, done = sum(weights), 0
    parts: list[list[Group]] = [[] for _ in range(count)]
    for group, weight in zip(groups, weights, strict=True):
        parts[min(count - 1, count * done // total)].append(group)
        done += weight
    return parts


def _common(a: Sequence[int], b: Sequence[int]) -> int:
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
