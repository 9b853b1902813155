"""Which items of different tasks are the same: variants of one benchmark name their items in `metadata.items_from`."""

from __future__ import annotations

from collections.abc import Sequence

from harness.reports.analysis.pairing import Paired
from harness.stats.item_sets import ItemLabels, Units, units_of_tasks


def item_units(sets: Sequence[str], paired: Sequence[Paired]) -> list[Units]:
    """Return the independent unit of each item of each task; see `stats.item_sets.units_of_tasks`.

    Args:
        sets: For each task, the name of its item set.
        paired: For each task, its items.
    """
    return units_of_tasks(sets, [labels_of(one) for one in paired])


def labels_of(paired: Paired) -> ItemLabels:
    """Return what identifies the items of a task."""
    return ItemLabels(
        docs=paired.doc_hashes, positions=paired.positions.tolist(), rows=paired.n_rows, clusters=paired.clusters
    )
