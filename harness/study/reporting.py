"""The report nodes of an experiment: command lines of `compare`, `leaderboard` and, where installed, others.

`run:KEY` stands for the folder with all records of a checkpoint, and ``DESIGN`` for the design file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points

from harness.errors import InputError, did_you_mean
from harness.study.experiment import CompareSpec, ExperimentSpec
from harness.study.nodes import Evaluation, Node, Report, Trained, digest_of
from harness.versions import installed_versions

DESIGN = "DESIGN"
SEED = "seed"


def report_nodes(spec: ExperimentSpec, trained: Trained, evaluations: Sequence[Node]) -> list[Node]:
    """Return the report nodes; none without evaluations.

    Raises:
        InputError: a section names an unknown stage, factor or arm, or a command that is not installed.
    """
    if spec.overlap is not None:
        # The place for it: a node per arm of the words ["overlap", "node:KEY", "--tasks", ...].
        _check_command("overlap", "overlap")
    if not evaluations:
        if spec.compare is not None:
            raise InputError("compare: there is nothing to compare; add an evaluate section.")
        return []
    nodes = []
    if spec.compare is not None:
        nodes += _compare_nodes(spec, spec.compare, trained, evaluations)
    if spec.report.leaderboard:
        shown = tuple(dict.fromkeys(_evaluation(node).checkpoint for node in evaluations))
        nodes.append(_node("leaderboard", Report(words=("leaderboard", "RUNS"), checkpoints=shown), evaluations, spec))
    return nodes


def _check_command(section: str, command: str) -> None:
    if not entry_points(group="harness.commands", name=command):
        raise InputError(f"{section}: this release has no `harness {command}`; remove the section.")


def _evaluation(node: Node) -> Evaluation:
    assert isinstance(node.work, Evaluation)
    return node.work


def _node(label: str, work: Report, evaluations: Sequence[Node], spec: ExperimentSpec) -> Node:
    parents = tuple(node.key for node in evaluations if _evaluation(node).checkpoint in work.checkpoints)
    inputs = {
        "words": work.words, "design": work.design, "parents": parents,
        "versions": installed_versions(["stage-harness"])["stage-harness"],
    }  # fmt: skip
    return Node(
        key=digest_of({"report": inputs}), label=label, kind="report", stage="", parents=parents, work=work,
        needs=spec.needs.report,
    )  # fmt: skip


def _compare_nodes(
    spec: ExperimentSpec, compare: CompareSpec, trained: Trained, evaluations: Sequence[Node]
) -> list[Node]:
    stage = compare.stage or list(trained)[-1]
    if stage not in trained:
        raise InputError(
            f"compare.stage: no stage {stage!r}; stages are {', '.join(trained)}.{did_you_mean(stage, trained)}"
        )
    last = [node for node in evaluations if not _evaluation(node).states]
    evaluated = {_evaluation(node).checkpoint for node in last}
    if not all(node.key in evaluated for node in trained[stage]):
        raise InputError(f"compare.stage: {stage} is not evaluated; add it to evaluate.stages.")
    arms = _arms(stage, trained)
    margin = () if compare.margin is None else ("--margin", str(compare.margin))
    nodes = []
    if compare.design is not None:
        nodes.append(_node("design", _design(spec, compare.design, stage, trained), last, spec))
    if len(arms) > 1:
        nodes.append(_node("compare", _compare(arms, list(arms), margin), last, spec))
    elif not compare.design:
        raise InputError(f"compare.stage: {stage} has one arm only; compare a stage with a factor besides {SEED}.")
    for pair in compare.contrasts:
        for arm in pair:
            if arm not in arms:
                raise InputError(f"compare.contrasts: no arm {arm!r}; arms are {', '.join(arms)}.")
        work = _compare(arms, [pair[1], pair[0]], margin)
        nodes.append(_node(f"compare-{pair[0]}-{pair[1]}", work, last, spec))
    return nodes


def _compare(arms: Mapping[str, Sequence[Node]], names: Sequence[str], options: Sequence[str]) -> Report:
    """Return the comparison of these arms, the first being the baseline."""
    shown = tuple(node.key for name in names for node in arms[name])
    words = [f"{name}={','.join(f'run:{node.key}' for node in arms[name])}" for name in names]
    return Report(words=("compare", *words, *options), checkpoints=shown)


def _arms(stage: str, trained: Trained) -> dict[str, list[Node]]:
    """Return a stage's nodes by arm: the levels of its factors other than the seed, in the order of the file."""
    arms: dict[str, list[Node]] = {}
    for node in trained[stage]:
        levels = [level for factor, level in node.cell.items() if factor != SEED]
        name = ("" if all(len(level) == 1 for level in levels) else "-").join(levels) or stage
        arms.setdefault(name, []).append(node)
    return arms


def _design(spec: ExperimentSpec, factors: Sequence[str], stage: str, trained: Trained) -> Report:
    """Return the factorial comparison, with the file that ``harness compare --design`` reads."""
    own = list(trained[stage][0].cell)
    for factor in factors:
        if factor not in own:
            hint = did_you_mean(factor, own)
            raise InputError(f"compare.design: {stage} has no factor {factor!r}; it has {', '.join(own)}.{hint}")
    missing = [factor for factor in own if factor not in (*factors, SEED)]
    if missing:
        raise InputError(f"compare.design: {stage} also has the factor {missing[0]}; add it.")
    runs = []
    for node in trained[stage]:
        row = {"run": f"run:{node.key}", **{factor: node.cell[factor] for factor in factors}}
        row |= {"parent": node.parents[0]} if node.parents else {}
        runs.append(row | ({SEED: node.cell[SEED]} if SEED in node.cell else {}))
    design = {"factors": {factor: list(spec.factors[factor]) for factor in factors}, "runs": runs}
    shown = tuple(node.key for node in trained[stage])
    return Report(words=("compare", "--design", DESIGN), checkpoints=shown, design=design)
