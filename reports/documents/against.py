"""The models of a leaderboard against one of them: a table below the ranks, and a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from harness.reports.analysis.differences import OVERALL, Comparison, DomainDifference
from harness.reports.analysis.leaderboard import Leaderboard
from harness.reports.documents.captions import overall_caption
from harness.reports.documents.comparison import CORRECTION_NAMES, MEANINGS
from harness.reports.documents.tables import Column, Document, Row, Table
from harness.wording import counted

MOST_NAMED = 5  # models in the sentence
KEYS = ("difference", "standard_error", "interval", "p", "p_corrected", "detectable")


def with_differences(document: Document, board: Leaderboard, comparison: Comparison) -> Document:
    """Return the document of a leaderboard with each model's difference from the baseline after the ranks.

    Args:
        document: The document.
        board: The ranks, whose order the rows have.
        comparison: All models against the baseline.
    """
    parts = {name: _overall(comparison.overall.get(name, ())) for name in (arm.name for arm in comparison.arms[1:])}
    parts = {row.model.name: parts[row.model.name] for row in board.standings if row.model.name in parts}
    baseline = comparison.arms[0].name
    rows = tuple(
        Row(cells=_cells(name, part), tone="strong" if part is not None and part.significant else "muted")
        for name, part in parts.items()
    )
    table = Table(
        key="against",
        title=f"Overall value against {baseline}",
        columns=_columns(),
        rows=rows,
        caption=overall_caption(comparison, domains=False),
    )
    lead, *notes = document.notes
    own = [note for note in comparison.notes if note not in notes]
    return replace(
        document,
        tables=(document.tables[0], table, *document.tables[1:]),
        notes=(lead, _result(baseline, parts, comparison), *notes, *own, _method(baseline, comparison)),
        n_headlines=2,
    )


def _overall(parts: Sequence[DomainDifference]) -> DomainDifference | None:
    return next((part for part in parts if part.domain == OVERALL), None)


def _columns() -> tuple[Column, ...]:
    return (
        Column(key="model", place="name", heading="model", kind="text"),
        Column(
            key="difference",
            place="keep",
            heading="difference",
            kind="difference",
            meaning="Overall value of the model minus that of the baseline, over the items that both answered.",
        ),
        Column(key="standard_error", heading="s.e.", meaning=MEANINGS["mean_error"]),
        Column(
            key="interval",
            place="keep",
            heading="95% interval",
            kind="interval",
            meaning="Combined from the intervals of the tasks.",
        ),
        Column(key="p", heading="p", kind="p", meaning="Two-sided; agrees with the interval."),
        Column(key="p_corrected", place="keep", heading="p corr.", kind="p", meaning=MEANINGS["p_corrected"]),
        Column(key="detectable", heading="detectable", meaning=MEANINGS["detectable_corrected"]),
    )


def _cells(name: str, part: DomainDifference | None) -> dict[str, object]:
    return {"model": name, **({} if part is None else {key: getattr(part, key) for key in KEYS})}


def _result(baseline: str, parts: dict[str, DomainDifference | None], comparison: Comparison) -> str:
    differing = [
        f"{name} ({part.difference:+.3f})" for name, part in parts.items() if part is not None and part.significant
    ]
    correction = CORRECTION_NAMES[comparison.correction]
    if not differing:
        return f"No overall value differs from that of {baseline} after {correction}'s correction."
    more = f" and {len(differing) - MOST_NAMED} more" if len(differing) > MOST_NAMED else ""
    models = counted(len(parts), "model")
    return (
        f"{len(differing)} of {models} {'differs' if len(differing) == 1 else 'differ'} overall from {baseline} after "
        f"{correction}'s correction: {', '.join(differing[:MOST_NAMED])}{more}."
    )


def _method(baseline: str, comparison: Comparison) -> str:
    return (
        f"Against {baseline}, p corr. is corrected for {counted(comparison.tests, 'test')}, overall values first; "
        f"`harness compare --baseline {baseline}` shows the tasks."
    )
