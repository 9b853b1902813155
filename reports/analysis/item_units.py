"""Which items of different tasks are the same: variants of one benchmark name their items in `metadata.items_from`."""

from __future__ import annotations

from collections.abc import Sequence

from harness.reports.analysis.pairing import Paired
from harness.stats.clustered import cluster_codes
from harness.stats.item_sets import Units, shared_units


def item_units(sets: Sequence[str], paired: Sequence[Paired]) -> list[Units]:
    """Return the independent unit of each item of each task; tasks of one item set share their units.

    Items correspond if they have the same document. If variants share no document, as two languages do, items at the
    same position correspond, provided that the variants have equally many. Otherwise no unit is shared, which counts as
    full correlation.

    Args:
        sets: For each task, the name of its item set.
        paired: For each task, its items.
    """
    units: list[Units] = [
        None if one.clusters is None else cluster_codes(one.clusters, one.values.shape[1]) for one in paired
    ]
    for name in dict.fromkeys(sets):
        members = [index for index, one in enumerate(sets) if one == name]
        if len(members) > 1:
            keys = _keys([paired[index] for index in members])
            shared = shared_units(keys, [paired[index].clusters for index in members])
            for index, own in zip(members, shared, strict=True):
                units[index] = own
    return units


def _keys(variants: Sequence[Paired]) -> list[list[object]]:
    documents = [list(_numbered(one.doc_hashes)) for one in variants]
    if len(set().union(*documents)) < sum(len(set(one)) for one in documents):
        return [list(one) for one in documents]
    if len({one.n_rows for one in variants}) == 1:
        return [list(one.positions.tolist()) for one in variants]
    return [[(variant, item) for item in range(len(one))] for variant, one in enumerate(documents)]


def _numbered(hashes: Sequence[bytes]) -> list[tuple[bytes, int]]:
    """Each document with how often it came before: two copies in one task are two items."""
    counts: dict[bytes, int] = {}
    numbered = []
    for digest in hashes:
        counts[digest] = counts.get(digest, -1) + 1
        numbered.append((digest, counts[digest]))
    return numbered
