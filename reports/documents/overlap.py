"""The overlap of tasks with training data as tables: by task and source, then the items."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

from harness.overlap.index import LEAST_CHARACTERS, LEAST_WORDS, MOST_ITEMS, ItemIndex
from harness.overlap.scanning import ItemOverlap, SourceOverlap
from harness.reports.documents.tables import Column, Document, Row, Table

ALL_SOURCES = "all sources"
EXAMPLES = 3  # per task and source, where not all items are shown
LONGEST_SHOWN = 100  # characters of an example, where not all items are shown


def overlap_document(
    index: ItemIndex, overlaps: Sequence[SourceOverlap], command: str, *, whole: bool, min_share: float = 0.0
) -> Document:
    """Return the document of a search.

    Args:
        index: The items that were looked for.
        overlaps: What was found in each source.
        command: The command line.
        whole: Whether to list every overlapping item, as JSON does, instead of a few examples.
        min_share: Share of an item's n-grams that must stand in a source; with 0, any n-gram is enough.
    """
    tables = [
        _by_task(index, overlaps, min_share),
        _by_checkpoint(index, overlaps),
        _items(index, overlaps, whole=whole),
    ]
    return Document(
        title="Overlap of tasks with training data",
        command=command,
        tables=tuple(table for table in tables if table.rows or whole),
        notes=tuple(_notes(index, overlaps, min_share)),
    )


def _by_task(index: ItemIndex, overlaps: Sequence[SourceOverlap], min_share: float) -> Table:
    needed = f"with at least {100 * min_share:g}% of their n-grams" if min_share else "with an n-gram"
    columns = (
        Column(key="task", place="name", heading="task", kind="text"),
        Column(key="source", place="name", heading="source", kind="text"),
        Column(key="items", heading="items", kind="count", meaning="Items that the task evaluates."),
        Column(key="searched", heading="searched", kind="count", meaning="Items that can be looked for."),
        Column(
            key="overlapping",
            place="keep",
            heading="overlapping",
            kind="count",
            meaning=f"Items {needed} in the source.",
        ),
        Column(key="share", place="keep", heading="share", meaning="Overlapping items per item searched."),
    )
    by_source = {_name(overlap): {found.item for found in overlap.items} for overlap in overlaps}
    if len(by_source) > 1:
        by_source[ALL_SOURCES] = set[int]().union(*by_source.values())
    rows = []
    for task, group in groupby(range(len(index.items)), key=lambda number: index.items[number].task):
        numbers = list(group)
        searched = sum(index.ngrams[number] > 0 for number in numbers)
        for source, found in by_source.items():
            count = len(found.intersection(numbers))
            cells = {
                "task": task, "source": source, "items": len(numbers), "searched": int(searched), "overlapping": count,
                "share": count / searched if searched else None,
            }  # fmt: skip
            rows.append(Row(cells=cells, tone="warning" if count else ""))
    return Table(key="overlap", title="Overlap by task and source", columns=columns, rows=tuple(rows))


def _by_checkpoint(index: ItemIndex, overlaps: Sequence[SourceOverlap]) -> Table:
    """Return a table of how many items had been streamed when each state of a stage was saved."""
    columns = (
        Column(key="stage", place="name", heading="stage", kind="text", meaning="The stage's output folder."),
        Column(
            key="step",
            place="name",
            heading="step",
            kind="count",
            meaning="Of a saved state, or of the finished checkpoint.",
        ),
        Column(key="sequences", heading="sequences", kind="count", meaning="Sequences that it was trained on."),
        Column(key="task", place="name", heading="task", kind="text"),
        Column(
            key="overlapping",
            place="keep",
            heading="overlapping",
            kind="count",
            meaning="Overlapping items in those sequences.",
        ),
    )
    tasks = list(dict.fromkeys(item.task for item in index.items))
    checkpoints: dict[str, tuple[tuple[int, int], ...]] = {}
    streamed: dict[tuple[str, str], dict[int, int]] = {}  # by stage and task: the first sequence with each item
    for overlap in overlaps:
        history = overlap.stream.history
        if history is None:
            continue
        checkpoints[history.stage] = history.checkpoints
        for found in overlap.items:
            first = streamed.setdefault((history.stage, index.items[found.item].task), {})
            if found.sequence is not None:
                first[found.item] = min(found.sequence, first.get(found.item, found.sequence))
    rows = [
        Row(
            cells={
                "stage": stage, "step": step, "sequences": sequences, "task": task,
                "overlapping": sum(first <= sequences for first in streamed.get((stage, task), {}).values()),
            }
        )
        for stage, states in checkpoints.items()
        for step, sequences in states
        for task in tasks
        if (stage, task) in streamed
    ]  # fmt: skip
    return Table(key="checkpoints", title="Overlap by checkpoint", columns=columns, rows=tuple(rows))


def _items(index: ItemIndex, overlaps: Sequence[SourceOverlap], *, whole: bool) -> Table:
    columns = (
        Column(key="task", place="name", heading="task", kind="text"),
        Column(key="item", place="name", heading="item", kind="text", meaning="The item's id, or its number."),
        Column(key="doc_hash", heading="doc_hash", kind="text", meaning="As in samples files.", raw=True),
        Column(key="source", heading="source", kind="text"),
        Column(key="ngrams", heading="n-grams", kind="count", meaning="N-grams of the item that stand in the source."),
        Column(key="share", place="keep", heading="share", meaning="The same, per n-gram of the item."),
        Column(key="where", place="fold", heading="where", kind="text", meaning="Where the first of them stands."),
        Column(key="text", place="fold", heading="text", kind="text", meaning="The first of them, as it stands there."),
        Column(key="stage", heading="stage", kind="text", meaning="Output folder of the stage that read it.", raw=True),
        Column(
            key="sequence",
            heading="sequence",
            kind="count",
            meaning="Number of training sequences after which it had been read.",
            raw=True,
        ),
    )
    rows = [
        Row(cells=_item_cells(index, overlap, found, whole=whole))
        for overlap in overlaps
        for _, group in groupby(overlap.items, key=lambda found: index.items[found.item].task)
        for found in (list(group) if whole else _clearest(index, group))
    ]
    return Table(key="items", title="Overlapping items", columns=columns, rows=tuple(rows))


def _clearest(index: ItemIndex, group: Iterable[ItemOverlap]) -> list[ItemOverlap]:
    """Return the items of which the largest share stands in the source."""
    return sorted(group, key=lambda found: -found.ngrams / int(index.ngrams[found.item]))[:EXAMPLES]


def _item_cells(index: ItemIndex, overlap: SourceOverlap, found: ItemOverlap, *, whole: bool) -> dict[str, Any]:
    item = index.items[found.item]
    return {
        "task": item.task,
        "item": item.name,
        "doc_hash": item.doc_hash,
        "source": _name(overlap),
        "ngrams": found.ngrams,
        "share": found.ngrams / int(index.ngrams[found.item]),
        "where": found.where,
        "text": found.text if whole or len(found.text) <= LONGEST_SHOWN else f"{found.text[:LONGEST_SHOWN]} ...",
        "stage": overlap.stream.history.stage if overlap.stream.history is not None else None,
        "sequence": found.sequence,
    }


def _name(overlap: SourceOverlap) -> str:
    return overlap.stream.name


def _notes(index: ItemIndex, overlaps: Sequence[SourceOverlap], min_share: float) -> list[str]:
    found = {found.item for overlap in overlaps for found in overlap.items}
    left_out = int((index.ngrams == 0).sum())
    stands = "an n-gram of the item stands in the training data"
    if min_share:
        stands = f"at least {100 * min_share:g}% of the item's n-grams stand in one source of the training data"
    notes = [
        f"{len(found):,} of {len(index.items):,} items overlap: {stands} "
        f"({index.sizes.words} words; {index.sizes.characters} characters for code and Chinese), whatever the case, "
        "punctuation and white space."
    ]
    if left_out:
        notes.append(
            f"{left_out:,} items cannot be looked for: they have fewer than {LEAST_WORDS} words ({LEAST_CHARACTERS} "
            f"characters), or only wording that more than {MOST_ITEMS} items of the task share."
        )
    for overlap in overlaps:
        read = f"{overlap.characters:,} characters were read"
        part = f", {overlap.stream.note}" if overlap.stream.note else ""
        notes.append(f"{overlap.stream.name}: {read}{part}.")
    return notes
