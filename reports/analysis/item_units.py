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
    labels = [
        ItemLabels(docs=one.doc_hashes, positions=one.positions.tolist(), rows=one.n_rows, clusters=one.clusters)
        for one in paired
    ]
    return units_of_tasks(sets, labels)
