"""Score spans of tokens: in packs where the model can, in rows where it cannot. Requests and text are unknown here."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence

import torch

from harness.engines.base import Failure, Scored
from harness.engines.hf.attention import States
from harness.engines.hf.forward import Forward
from harness.engines.hf.prefix_tree import PrefixGroup, TokenSequence, build_trees, packs, plan
from harness.engines.hf.probe import side_by_side
from harness.engines.hf.runner import Budget, Job, Runner
from harness.engines.hf.streams import STREAMS, Streams
from harness.engines.tokens import Span

Found = dict[int, Scored | Failure]


class SpanScorer:
    """Scores spans with one model.

    Args:
        forward: The model.
        budget: Tokens and rows of logits that are computed at a time, at most, unless a single span has more.
        longest_packed: Spans with more tokens than this are scored in rows.
    """

    def __init__(self, forward: Forward, *, budget: Budget, longest_packed: int) -> None:
        self._forward = forward
        self._longest_packed = longest_packed
        self._budget = budget
        self._runner: Runner[Scored] = Runner(budget)
        self._streams = _streams(forward) if longest_packed else None

    def score(self, spans: Sequence[Span]) -> Iterator[Found]:
        """Score every span once; yields results by index as they are done."""
        sequences = [TokenSequence(tokens=span.tokens, scored=len(span.targets)) for span in spans]
        short = [index for index, span in enumerate(spans) if len(span.tokens) <= self._longest_packed]
        streams = self._streams if torch.get_num_threads() > 1 else None  # the number may change meanwhile
        n_streams = STREAMS if streams else 1
        yield from self._runner.drain(short, lambda left: self._packs(left, spans, sequences, n_streams), streams)
        long = [index for index, span in enumerate(spans) if len(span.tokens) > self._longest_packed]
        yield from self._runner.drain(long, lambda left: self._rows(left, spans))

    def _packs(
        self, left: list[int], spans: Sequence[Span], sequences: Sequence[TokenSequence], n_streams: int
    ) -> Iterator[Job[Scored]]:
        """Each group's prefix, then the packs behind it. Packs that run `n_streams` share the budget."""
        line: dict[int, States | None] = {}  # groups from the first token to the present one, and their states
        for number, group in enumerate(plan(sequences, left)):
            while line and list(line)[-1] != group.parent:
                line.popitem()
            line[number] = behind = None if group.parent is None else line[group.parent]
            missing = len(group.prefix) - (behind.length if behind else 0)
            if missing:
                run = functools.partial(self._prefix, line, number, group)
                yield Job(members=[], run=run, tokens=missing, alone=True)
            yield from self._group(group, spans, sequences, line[number], n_streams)

    def _prefix(self, line: dict[int, States | None], number: int, group: PrefixGroup) -> dict[int, Scored]:
        """Put the states of the group's prefix in the place of its parent's."""
        behind = line[number]
        try:
            line[number] = self._forward.prefix(group.prefix[behind.length if behind else 0 :], behind=behind)
        except Exception as error:  # recorded; its members do without, meet it again and fail for themselves
            self._runner.note(error)
        return {}

    def _group(
        self,
        group: PrefixGroup,
        spans: Sequence[Span],
        sequences: Sequence[TokenSequence],
        states: States | None,
        n_streams: int,
    ) -> Iterator[Job[Scored]]:
        depth = states.length if states else 0
        limit = self._budget
        trees = build_trees(sequences, group.members, depth=depth, budget_tokens=limit.tokens, n_streams=n_streams)
        for pack in packs(trees, budget_tokens=limit.tokens, budget_scored=limit.scored, n_streams=n_streams):
            tokens, scored = sum(len(tree.tokens) for tree in pack), sum(tree.scored for tree in pack)
            yield Job(
                members=[index for tree in pack for index in tree.reads],
                run=functools.partial(self._forward.pack, pack, spans, behind=states),
                tokens=tokens,
                scored=scored,
                alone=n_streams * tokens > limit.tokens or n_streams * scored > limit.scored,
                fallback=lambda members: self._rows(members, spans),
            )

    def _rows(self, left: list[int], spans: Sequence[Span]) -> Iterator[Job[Scored]]:
        """Rows of similar length, longest first."""
        rows: list[int] = []
        for index in sorted(left, key=lambda index: -len(spans[index].tokens)):
            tokens, scored = _size([*rows, index], spans)
            if rows and (tokens > self._budget.tokens or scored > self._budget.scored):
                yield self._row_job(rows, spans)
                rows = []
            rows.append(index)
        if rows:
            yield self._row_job(rows, spans)

    def _row_job(self, rows: list[int], spans: Sequence[Span]) -> Job[Scored]:
        def run() -> dict[int, Scored]:
            return dict(zip(rows, self._forward.plain([spans[index] for index in rows]), strict=True))

        tokens, scored = _size(rows, spans)
        return Job(members=rows, run=run, tokens=tokens, scored=scored)


def _streams(forward: Forward) -> Streams | None:
    """On a CPU with threads to share, for a model that bears it."""
    if forward.device.type != "cpu" or torch.get_num_threads() == 1:
        return None
    streams = Streams()
    return streams if side_by_side(forward, streams) else None


def _size(rows: list[int], spans: Sequence[Span]) -> tuple[int, int]:
    """Tokens and rows of logits of `rows`, padded to the longest."""
    longest = max(len(spans[index].tokens) for index in rows)
    first = min(len(spans[index].tokens) - len(spans[index].targets) for index in rows)
    return len(rows) * longest, len(rows) * (longest - first)
