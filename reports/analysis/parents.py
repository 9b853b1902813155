"""Which pre-training run each training run comes from, read from the lineage that `harness eval` records.

A lineage is a list of links, the checkpoint first; each link has a digest and, if it was trained here, the manifest of
its stage with the digest of its parent::

    [{"digest": "t0", "manifest": {"parent": {"digest": "p0"}}}, {"digest": "p0", "manifest": {"parent": None}}]

`chain_of` reads this as p0, t0. Manifests of schema 1 have `parent`, one object or null; those of schema 2 have
`parents`, a list. `whole_plots` groups the runs of two arms by the outermost stage at which any of them differ;
`checkpoints.plots` has that rule, which designs share.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.checkpoints.plots import common_stages, stage_name
from harness.records import ModelRecords


@dataclass(frozen=True, kw_only=True)
class Chain:
    """The checkpoints from a root to a model.

    Attributes:
        digests: Root first, the model last.
        names: Their names, in the same order.
        root_is_external: Whether the root has no manifest: a published model, not a training run of the study.
    """

    digests: tuple[str, ...]
    names: tuple[str, ...]
    root_is_external: bool


@dataclass(frozen=True, kw_only=True)
class WholePlots:
    """How the runs of two arms are grouped.

    Attributes:
        names: For each run of the baseline and of the arm, its group; None if a lineage is unknown.
        separable: Whether there are two groups or more in both arms; otherwise the arms' difference cannot be separated
            from that of two training runs.
        note: A sentence for the reader; empty if every run is its own group.
    """

    names: tuple[tuple[str, ...], tuple[str, ...]] | None
    separable: bool
    note: str


def parents_of(link: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the digests of a link's parents: none for a root, several for a merge of checkpoints."""
    manifest = link.get("manifest") or {}
    parents = manifest.get("parents") or ([manifest["parent"]] if manifest.get("parent") else [])
    return tuple(str(parent["digest"]) for parent in parents)


def chain_of(model: ModelRecords) -> Chain | None:
    """Return the checkpoints that lead to a model; None if its lineage is not recorded.

    A merge of several checkpoints is one stage of its own; above it, the chain follows its first parent.
    """
    if not model.lineage:
        return None
    links = {_digest(link): link for link in model.lineage}
    digest = _digest(model.lineage[0])
    digests, names = [digest], [str(model.lineage[0].get("name", digest))]
    link: Mapping[str, Any] | None = model.lineage[0]
    while link is not None and (parents := parents_of(link)):
        digest = stage_name(parents)
        if digest in digests:
            break
        link = links.get(parents[0])
        digests.append(digest)
        names.append(str(link["name"]) if link and len(parents) == 1 else digest)
    external = link is not None and not link.get("manifest") and link.get("status", "root") == "root"
    return Chain(digests=tuple(reversed(digests)), names=tuple(reversed(names)), root_is_external=external)


def whole_plots(baseline: tuple[str, Sequence[ModelRecords]], arm: tuple[str, Sequence[ModelRecords]]) -> WholePlots:
    """Group the runs of two arms by the outermost stage at which any two of them differ.

    Example: tuned from pre-training runs p0, p0, p1 and q0, q0, q1 there are two groups in each arm. Tuned from p0, p1
    and p0, p1 the arms share their groups. All tuned from p0: each run is its own group.

    Args:
        baseline: Its name and its runs.
        arm: Its name and its runs.
    """
    sides = [[chain_of(model) for model in models] for _, models in (baseline, arm)]
    unknown = [name for (name, _), side in zip((baseline, arm), sides, strict=True) if None in side]
    known = [[stages for stages in side if stages is not None] for side in sides]
    if unknown:
        return WholePlots(
            names=None,
            separable=True,
            note=f"The lineage of {' and '.join(unknown)} is not recorded, so their runs count as independent. If runs "
            "share a pre-training run, the intervals are too narrow.",
        )
    every = [stages for side in known for stages in side]
    skipped = common_stages([stages.digests for stages in every])
    names = tuple(tuple(_at(stages, skipped) for stages in side) for side in known)
    counts = [len(set(side)) for side in names]
    # Published models are what is compared, not a sample of training runs: go on to the stages trained from them.
    if min(counts) < 2 and skipped == 0 and all(s.root_is_external for s in every) and max(counts) == 1:
        return _below_published_roots(baseline[0], arm[0], known)
    return WholePlots(
        names=(names[0], names[1]),
        separable=min(counts) >= 2,
        note=_note((baseline[0], arm[0]), (names[0], names[1]), every, skipped),
    )


def _below_published_roots(baseline: str, arm: str, known: Sequence[Sequence[Chain]]) -> WholePlots:
    """Each arm comes from one published model of its own."""
    trimmed = [[s for s in side if len(s.digests) > 1] for side in known]
    if any(len(own) < len(side) for own, side in zip(trimmed, known, strict=True)):
        return WholePlots(names=None, separable=True, note="")
    names = [tuple(s.digests[1] for s in side) for side in trimmed]
    roots = f"{known[0][0].names[0]} and {known[1][0].names[0]}"
    return WholePlots(
        names=(names[0], names[1]),
        separable=min(len(set(side)) for side in names) >= 2,
        note=f"{baseline} and {arm} were trained from {roots}; the result holds for these two models only.",
    )


def _note(
    arms: tuple[str, str], names: tuple[tuple[str, ...], tuple[str, ...]], every: Sequence[Chain], skipped: int
) -> str:
    first, second = (len(set(side)) for side in names)
    if min(first, second) < 2:
        one = arms[0] if first < 2 else arms[1]
        return (
            f"All runs of {one} come from one pre-training run, so the difference of {arms[0]} and {arms[1]} cannot be "
            "separated from that run: no interval and no p. Give two or more pre-training runs per arm."
        )
    if set(names[0]) == set(names[1]):
        return f"{arms[0]} and {arms[1]} come from the same {first} pre-training runs and are compared within each."
    if shared := set(names[0]) & set(names[1]):
        return (
            f"{arms[0]} and {arms[1]} come from {first} and {second} pre-training runs, which are the units; they "
            f"share {len(shared)} of these; the luck of shared runs cancels."
        )
    if first < len(names[0]) or second < len(names[1]):
        return (
            f"The runs of {arms[0]} and {arms[1]} come from {first} and {second} pre-training runs; these are the "
            "units, and runs that share one are averaged."
        )
    if skipped and not (skipped == 1 and every[0].root_is_external):
        return (
            f"All runs of {arms[0]} and {arms[1]} come from one checkpoint, {every[0].names[skipped - 1]}; the result "
            "holds for training from that checkpoint."
        )
    return ""


def _at(stages: Chain, skipped: int) -> str:
    return stages.digests[min(skipped, len(stages.digests) - 1)]


def _digest(link: Mapping[str, Any]) -> str:
    return str(link.get("digest") or link.get("name", ""))
