"""Score spans of tokens: in packs where the model can, in rows where it cannot. Requests and text are unknown here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from harness.scorers.attention import States
from harness.scorers.base import Failure, Scored
from harness.scorers.batches import Budget, Job, Runner
from harness.scorers.forward import Forward
from harness.scorers.prefix import Family, Path, Unit, packs, plan, units
from harness.scorers.streams import STREAMS, Streams
from harness.scorers.tokens import Span

Found = dict[int, Scored | Failure]


class SpanScorer:
    """Scores spans with one model.

    Args:
        forward: The model.
        budget: Tokens and rows of logits of a forward pass, at most, unless a single span has more.
        longest_packed: Spans with more tokens than this are scored in rows.
    """

    def __init__(self, forward: Forward, *, budget: Budget, longest_packed: int) -> None:
        self._forward = forward
        self._longest_packed = longest_packed
        self._budget = budget
        self._runner: Runner[Scored] = Runner(budget)
        self._streams = Streams() if forward.device.type == "cpu" and torch.get_num_threads() > 1 else None

    def score(self, spans: Sequence[Span]) -> Iterator[Found]:
        """Score every span once; yields results by index as they are done."""
        paths = [Path(tokens=span.tokens, scored=len(span.targets)) for span in spans]
        short = [index for index, span in enumerate(spans) if len(span.tokens) <= self._longest_packed]
        streams = self._streams if torch.get_num_threads() > 1 else None  # the number may change meanwhile
        abreast = STREAMS if streams else 1
        yield from self._runner.drain(short, lambda left: self._packs(left, spans, paths, abreast), streams)
        long = [index for index, span in enumerate(spans) if len(span.tokens) > self._longest_packed]
        yield from self._runner.drain(long, lambda left: self._rows(left, spans))

    def _packs(
        self, left: list[int], spans: Sequence[Span], paths: Sequence[Path], abreast: int
    ) -> Iterator[Job[Scored]]:
        """Packs of one family after the other; a prefix is computed when the first pack behind it is asked for.

        Packs that run `abreast` share the budget.
        """
        line: dict[int, States | None] = {}  # families from the first token to the present one, and their states
        for number, family in enumerate(plan(paths, left)):
            while line and list(line)[-1] != family.parent:
                line.popitem()
            behind = None if family.parent is None else line[family.parent]
            line[number] = states = self._prefix(family, behind)
            yield from self._family(family, spans, paths, states, abreast)

    def _prefix(self, family: Family, behind: States | None) -> States | None:
        """States of the family's prefix; None when it has none."""
        depth = behind.length if behind else 0
        if len(family.prefix) == depth:
            return behind
        try:
            return self._forward.prefix(family.prefix[depth:], behind=behind)
        except Exception as error:  # recorded; its members do without, meet it again and fail for themselves
            self._runner.note(error)
        return None

    def _family(
        self, family: Family, spans: Sequence[Span], paths: Sequence[Path], states: States | None, abreast: int
    ) -> Iterator[Job[Scored]]:
        tokens, scored = (max(1, limit // abreast) for limit in (self._budget.tokens, self._budget.scored))
        trees = units(paths, family.members, depth=states.length if states else 0, budget_tokens=tokens)
        for pack in packs(trees, budget_tokens=tokens, budget_scored=scored, streams=abreast):

            def run(pack: list[Unit] = pack) -> dict[int, Scored]:
                return self._forward.pack(pack, spans, behind=states)

            yield Job(
                members=[index for unit in pack for index in unit.reads],
                run=run,
                tokens=abreast * sum(len(unit.tokens) for unit in pack),
                scored=abreast * sum(unit.scored for unit in pack),
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


def _size(rows: list[int], spans: Sequence[Span]) -> tuple[int, int]:
    """Tokens and rows of logits of `rows`, padded to the longest."""
    longest = max(len(spans[index].tokens) for index in rows)
    first = min(len(spans[index].tokens) - len(spans[index].targets) for index in rows)
    return len(rows) * longest, len(rows) * (longest - first)
