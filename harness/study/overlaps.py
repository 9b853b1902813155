"""The overlap nodes of an experiment: for each arm, a search for test items in what its checkpoints were trained on.

An arm's search covers the checkpoints of all its seeds and their ancestors, and the tasks that its stage is evaluated
on. Reports read its result and show scores with and without the items that it found.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from harness.errors import InputError
from harness.study.evaluations import flag_words
from harness.study.experiment import ExperimentSpec
from harness.study.inputs import is_own_trainer
from harness.study.nodes import Evaluation, Node, Overlap, Trained, Training, arms_of, digest_of
from harness.versions import installed_versions

FLAGS_OF_TASKS = ("--include_path", "--data_dir")  # of `harness eval` that `harness overlap` needs too


def overlap_nodes(spec: ExperimentSpec, trained: Trained, evaluations: Sequence[Node]) -> list[Node]:
    """Return the overlap nodes of all evaluated arms whose training data can be searched.

    Trainers of other packages are left out: only they know what they read.

    Raises:
        InputError: options are given, but there is nothing to search.
    """
    if spec.overlap is False:
        return []
    by_key = {node.key: node for nodes in trained.values() for node in nodes}
    nodes = []
    for stage, of_stage in trained.items():
        works = [node.work for node in evaluations if node.stage == stage and isinstance(node.work, Evaluation)]
        for arm in arms_of(of_stage).values() if works else ():
            searched = list(dict.fromkeys(node.key for node in _lineages(arm, by_key) if _is_searchable(node)))
            if searched:
                nodes.append(_node(arm, searched, works, spec))
    if spec.overlap and not nodes:
        raise InputError("overlap: no evaluated stage reads data that can be searched; remove the section.")
    return nodes


def overlaps_of(checkpoints: Sequence[str], overlaps: Sequence[Node]) -> list[str]:
    """Return the keys of the searches that cover these checkpoints, given by key."""
    shown = set(checkpoints)
    return [node.key for node in overlaps if isinstance(node.work, Overlap) and shown.intersection(node.work.arm)]


def _lineages(arm: Sequence[Node], by_key: Mapping[str, Node]) -> Iterator[Node]:
    """Yield the checkpoints of an arm and their ancestors, parents first."""
    for node in arm:
        yield from _lineages([by_key[parent] for parent in node.parents], by_key)
        yield node


def _is_searchable(node: Node) -> bool:
    assert isinstance(node.work, Training)
    data = node.work.spec.get("data")
    return isinstance(data, Mapping) and "sources" in data and is_own_trainer(str(node.work.spec["stage"]))


def _node(arm: Sequence[Node], searched: Sequence[str], works: Sequence[Evaluation], spec: ExperimentSpec) -> Node:
    assert spec.overlap is not False
    tasks = dict.fromkeys(task for work in works for task in work.tasks)
    pairs = dict.fromkeys(pair for work in works for pair in zip(work.flags, work.flags[1:], strict=False))
    flags = [word for pair in pairs if pair[0] in FLAGS_OF_TASKS for word in pair]
    words = ("--tasks", ",".join(tasks), *flags, *flag_words(spec.overlap))
    # All items of the tasks are looked for, whatever the limit and the other flags of their evaluations.
    inputs = {
        "words": words, "checkpoints": list(searched), "definitions": sorted({work.definitions for work in works}),
        "versions": installed_versions(["stage-harness"])["stage-harness"],
    }  # fmt: skip
    label = f"overlap-{arm[0].alike}"
    return Node(
        key=digest_of({"overlap": inputs}), label=label, kind="overlap", stage="", parents=tuple(searched),
        work=Overlap(arm=tuple(node.key for node in arm), checkpoints=tuple(searched), words=words),
        needs=spec.needs.report, alike=label,
    )  # fmt: skip
