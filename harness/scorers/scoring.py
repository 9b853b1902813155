"""Score spans of tokens: in packs where the model can, in rows where it cannot, whatever happens on the way.

Out of memory halves the budget, for good, and cuts what is left anew; an error in a batch falls back to rows, then to
one row at a time, so that only the guilty fail. Requests and text are unknown here.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch

from harness.scorers.attention import States
from harness.scorers.base import EngineDied, Failure
from harness.scorers.forward import Forward, Scored, is_fatal, ran_out_of_memory
from harness.scorers.prefix import Family, Path, Unit, packs, plan, units
from harness.scorers.tokens import Span

logger = logging.getLogger(__name__)

Found = dict[int, Scored | Failure]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Spans that are computed together.

    Attributes:
        members: Their indices.
        tokens: Size of the forward pass.
        scored: Rows of logits that it makes.
        run: Computes them.
        packed: Whether `run` does so in a pack; else in rows.
    """

    members: list[int]
    tokens: int
    scored: int
    run: Callable[[], dict[int, Scored]]
    packed: bool


Cut = Callable[[list[int]], Iterator[Job]]


class SpanScorer:
    """Scores spans with one model.

    Args:
        forward: The model.
        budget_tokens: Tokens of a forward pass, at most, unless a single span is longer.
        budget_scored: Rows of logits of a forward pass, at most, unless a single span has more.
        longest_packed: Spans with more tokens than this are scored in rows.
    """

    def __init__(self, forward: Forward, *, budget_tokens: int, budget_scored: int, longest_packed: int) -> None:
        self._forward = forward
        self._longest_packed = longest_packed
        self._told: set[str] = set()
        self.budget_tokens = budget_tokens
        self.budget_scored = budget_scored

    def score(self, spans: Sequence[Span]) -> Iterator[Found]:
        """Score every span once; yields results by index as they are done."""
        paths = [Path(tokens=span.tokens, scored=len(span.targets)) for span in spans]
        short = [index for index, span in enumerate(spans) if len(span.tokens) <= self._longest_packed]
        families = plan(paths, short)
        line: dict[int, States | None] = {}  # the prefixes from the first token to the present family
        for number, family in enumerate(families):
            while line and list(line)[-1] != family.parent:
                line.popitem()
            line[number] = states = self._prefix(family, line)

            def cut(left: list[int], states: States | None = states) -> Iterator[Job]:
                return self._cut_packs(left, spans, paths, states)

            yield from self._drain(family.members, cut, spans)
        long = [index for index, span in enumerate(spans) if len(span.tokens) > self._longest_packed]
        yield from self._drain(long, lambda left: self._cut_rows(left, spans), spans)

    def _prefix(self, family: Family, line: dict[int, States | None]) -> States | None:
        """States of the family's prefix; None when it has none, or when they cannot be had: packs do without."""
        behind = None if family.parent is None else line[family.parent]
        if not family.prefix:
            return None
        try:
            return self._forward.prefix(family.prefix[behind.length if behind else 0 :], behind=behind)
        except Exception as error:  # recorded; the members meet it again, one by one, and fail for themselves
            self._note(error, "a prefix is computed again for each context")
        return None

    def _drain(self, members: list[int], cut: Cut, spans: Sequence[Span]) -> Iterator[Found]:
        """Run the jobs that `cut` makes of `members`, cutting what is left anew when memory ran out."""
        left = members
        while left:
            done: set[int] = set()
            for job in cut(left):
                found = self._attempt(job, spans)
                if found is None:
                    break
                done.update(found)
                yield found
            left = [index for index in left if index not in done]

    def _attempt(self, job: Job, spans: Sequence[Span]) -> Found | None:
        """Run a job; None when it ran out of memory and is to be cut smaller."""
        try:
            return dict(job.run())
        except Exception as error:  # recorded as failures when it stays with a single span
            self._note(error, "in rows" if job.packed else "one by one")
            exhausted, message = ran_out_of_memory(error), _line(error)
        if exhausted and len(job.members) > 1:
            self._halve(job)
            return None
        if exhausted:
            return {job.members[0]: Failure(reason="out_of_memory", message=message)}
        if not job.packed and len(job.members) == 1:
            return {job.members[0]: Failure(reason="error", message=message)}
        found: Found = {}
        groups = [job.members] if job.packed else [[index] for index in job.members]
        for group in groups:
            for part in self._drain(group, lambda left: self._cut_rows(left, spans), spans):
                found |= part
        return found

    def _halve(self, job: Job) -> None:
        self.budget_tokens = max(1, min(self.budget_tokens, job.tokens) // 2)
        self.budget_scored = max(1, min(self.budget_scored, job.scored) // 2)
        logger.warning("out of memory: going on with %d tokens at a time", self.budget_tokens)
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _cut_packs(
        self, left: list[int], spans: Sequence[Span], paths: Sequence[Path], states: States | None
    ) -> Iterator[Job]:
        depth = states.length if states else 0
        trees = units(paths, left, depth=depth, budget_tokens=self.budget_tokens)
        for pack in packs(trees, budget_tokens=self.budget_tokens, budget_scored=self.budget_scored):

            def run(pack: list[Unit] = pack) -> dict[int, Scored]:
                return self._forward.pack(pack, spans, behind=states)

            yield Job(
                members=[index for unit in pack for index in unit.reads],
                tokens=sum(len(unit.tokens) for unit in pack),
                scored=sum(unit.scored for unit in pack),
                run=run,
                packed=True,
            )

    def _cut_rows(self, left: list[int], spans: Sequence[Span]) -> Iterator[Job]:
        """Rows of similar length, longest first."""
        rows: list[int] = []
        for index in sorted(left, key=lambda index: -len(spans[index].tokens)):
            if rows and not self._fits([*rows, index], spans):
                yield self._row_job(rows, spans)
                rows = []
            rows.append(index)
        if rows:
            yield self._row_job(rows, spans)

    def _fits(self, rows: list[int], spans: Sequence[Span]) -> bool:
        tokens, scored = _size(rows, spans)
        return tokens <= self.budget_tokens and scored <= self.budget_scored

    def _row_job(self, rows: list[int], spans: Sequence[Span]) -> Job:
        def run() -> dict[int, Scored]:
            return dict(zip(rows, self._forward.plain([spans[index] for index in rows]), strict=True))

        tokens, scored = _size(rows, spans)
        return Job(members=rows, tokens=tokens, scored=scored, run=run, packed=False)

    def _note(self, error: Exception, remedy: str) -> None:
        """Tell each kind of error once; raises `EngineDied` when nothing can be computed any more."""
        if is_fatal(error):
            raise EngineDied(_line(error)) from error
        if not ran_out_of_memory(error) and (line := _line(error)) not in self._told:
            self._told.add(line)
            logger.warning("a batch failed and is tried again %s: %s", remedy, line)


def _size(rows: list[int], spans: Sequence[Span]) -> tuple[int, int]:
    """Tokens and rows of logits of `rows`, padded to the longest."""
    longest = max(len(spans[index].tokens) for index in rows)
    first = min(len(spans[index].tokens) - len(spans[index].targets) for index in rows)
    return len(rows) * longest, len(rows) * (longest - first)


def _line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
