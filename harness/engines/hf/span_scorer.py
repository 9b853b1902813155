"""Score spans of tokens, in packs where the model allows it and in padded rows elsewhere. Knows no requests or text.

The plan of `prefix_tree` becomes a list of jobs, in the order in which they run. For a task's description T with two
subjects' examples S and U behind it:

    prefix T | prefix S (behind T) | pack, pack, ... (behind T S) | prefix U (behind T) | pack, pack, ... (behind T U)

Jobs are made only when they are about to run, because each depends on what came before: a pack needs the states of its
prefix, and its size depends on the budget, which shrinks when memory runs out. `runner` runs them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch

from harness.engines.base import Failure, Scored
from harness.engines.hf.attention import States
from harness.engines.hf.forward import Forward
from harness.engines.hf.prefix_tree import PrefixGroup, TokenSequence, TokenTree, build_trees, packs, plan
from harness.engines.hf.probe import side_by_side
from harness.engines.hf.runner import Budget, Job, Runner
from harness.engines.hf.streams import STREAMS, Streams
from harness.engines.tokens import Span

SpanScores = dict[int, Scored | Failure]


class SpanScorer:
    """Scores spans with one model.

    Args:
        forward: The model.
        budget: Most tokens and rows of logits that are computed at a time, unless a single span has more.
        longest_packed: Spans with more tokens than this are scored in rows.
    """

    def __init__(self, forward: Forward, *, budget: Budget, longest_packed: int) -> None:
        self._forward = forward
        self._longest_packed = longest_packed
        self._budget = budget
        self._runner: Runner[Scored] = Runner(budget)
        self._streams = _streams(forward) if longest_packed else None
        self._preparing = ThreadPoolExecutor(1, "preparing") if _prepares_ahead(forward) else None

    def score(self, spans: Sequence[Span]) -> Iterator[SpanScores]:
        """Score every span once; yields scores by index as they are done."""
        sequences = [TokenSequence(tokens=span.tokens, scored=len(span.targets)) for span in spans]
        short = [index for index, span in enumerate(spans) if len(span.tokens) <= self._longest_packed]
        # The number of threads may have changed since the streams were made: with a single one, nothing can be shared.
        streams = self._streams if torch.get_num_threads() > 1 else None
        n_streams = STREAMS if streams else 1
        yield from self._runner.drain(short, lambda left: self._packs(left, spans, sequences, n_streams), streams)
        long = [index for index, span in enumerate(spans) if len(span.tokens) > self._longest_packed]
        yield from self._runner.drain(long, lambda left: self._rows(left, spans))

    def _packs(
        self, left: list[int], spans: Sequence[Span], sequences: Sequence[TokenSequence], n_streams: int
    ) -> Iterator[Job[Scored]]:
        """Each group's prefix, then the packs behind it. The streams share the budget."""
        # The groups from the outermost prefix to the present one, with their states. Groups come in depth-first order,
        # so this is a stack, and states are freed as soon as nothing needs them: in the example of the module
        #   {T} -> {T, T S} -> {T, T U}    (T S is dropped when T U, whose parent is T, comes)
        line: dict[int, States | None] = {}
        for number, group in enumerate(plan(sequences, left)):
            while line and list(line)[-1] != group.parent:
                line.popitem()
            line[number] = behind = None if group.parent is None else line[group.parent]
            missing = len(group.prefix) - (behind.length if behind else 0)
            if missing:
                run = functools.partial(self._prefix, line, number, group)
                # Alone: the packs behind it read its states, so it must be done before the next job is made.
                yield Job(members=[], run=run, tokens=missing, alone=True)
            yield from self._group(group, spans, sequences, line[number], n_streams)

    def _prefix(self, line: dict[int, States | None], number: int, group: PrefixGroup) -> dict[int, Scored]:
        """Replace the parent's states, which `line` has for the group, by those of the group's own prefix."""
        behind = line[number]
        try:
            line[number] = self._forward.prefix(group.prefix[behind.length if behind else 0 :], behind=behind)
        except Exception as error:  # logged
            # The packs then run behind the parent's shorter prefix: more tokens, the same scores. If the sequences
            # themselves cause the error, it comes back there and only their requests fail.
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
        """The packs behind one prefix, whose states may be those of a shorter one (see `_prefix`)."""
        depth = states.length if states else 0
        limit = self._budget
        trees = build_trees(sequences, group.members, depth=depth, budget_tokens=limit.tokens, n_streams=n_streams)
        for pack in packs(trees, budget_tokens=limit.tokens, budget_scored=limit.scored, n_streams=n_streams):
            tokens, scored = sum(len(tree.tokens) for tree in pack), sum(tree.scored for tree in pack)
            yield Job(
                members=[index for tree in pack for index in tree.reads],
                run=self._pack(pack, spans, states),
                tokens=tokens,
                scored=scored,
                # Packs side by side each get a share of the budget; a larger one (a single long tree) runs alone.
                alone=n_streams * tokens > limit.tokens or n_streams * scored > limit.scored,
                fallback=lambda members: self._rows(members, spans),
            )

    def _pack(
        self, pack: Sequence[TokenTree], spans: Sequence[Span], states: States | None
    ) -> Callable[[], dict[int, Scored]]:
        """Return a function that runs a pack. On a GPU a thread prepares it while the previous pack runs."""
        if self._preparing is None:
            return functools.partial(self._forward.pack, pack, spans, behind=states)
        prepared = self._preparing.submit(self._forward.prepare, pack, spans, behind=states)
        return lambda: self._forward.run(prepared.result())

    def _rows(self, left: list[int], spans: Sequence[Span]) -> Iterator[Job[Scored]]:
        """Rows of similar length, longest first, so that little is padding and memory runs out early if it does."""
        # Rows padded to 300 tokens, within a budget of 1,000: [300 280 270] | [120 110 100 ...] | ...
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
    """Streams for a CPU with several threads, unless this model's scores are wrong with them."""
    if forward.device.type != "cpu" or torch.get_num_threads() == 1:
        return None
    streams = Streams()
    return streams if side_by_side(forward, streams) else None


def _prepares_ahead(forward: Forward) -> bool:
    """Whether a thread prepares packs: only with a GPU, because a CPU is busy with the model itself."""
    return forward.device.type != "cpu"


def _size(rows: list[int], spans: Sequence[Span]) -> tuple[int, int]:
    """Number of tokens, and of rows of logits, of `rows` when padded to the longest (see `Forward.plain`)."""
    longest = max(len(spans[index].tokens) for index in rows)
    first = min(len(spans[index].tokens) - len(spans[index].targets) for index in rows)
    return len(rows) * longest, len(rows) * (longest - first)
