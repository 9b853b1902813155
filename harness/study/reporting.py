"""The report nodes of an experiment: command lines of `compare` and `leaderboard`.

`run:KEY` stands for the folder with all records of a checkpoint, and `overlap:KEY` for the file of a search.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

from harness.errors import InputError, did_you_mean
from harness.study.design import design_report, varied
from harness.study.experiment import CompareSpec, ExperimentSpec
from harness.study.nodes import SEED, Evaluation, Graph, Node, Report, Trained, arms_of, digest_of, file_name
from harness.study.overlaps import overlaps_of
from harness.versions import installed_versions

COMPUTED_METRICS = ("gold_log_likelihood", "bits_per_byte")  # by `harness compare`, from the answers' likelihoods


def report_nodes(
    spec: ExperimentSpec, trained: Trained, evaluations: Sequence[Node], overlaps: Sequence[Node]
) -> list[Node]:
    """Return the report nodes; none without evaluations.

    Raises:
        InputError: a section names an unknown stage, factor or arm.
    """
    if not evaluations:
        if spec.compare:
            raise InputError("compare: there is nothing to compare; add an evaluate section.")
        return []
    pages: list[tuple[str, Report, Sequence[Node]]] = []
    last = [node for node in evaluations if not _evaluation(node).states]
    for compare in spec.compare:
        pages += [(label, report, last) for label, report in _comparisons(spec, compare, trained, last).items()]
    if spec.report.leaderboard:
        shown = tuple(dict.fromkeys(_evaluation(node).checkpoint for node in evaluations))
        pages.append(("leaderboard", Report(words=("leaderboard", "RUNS"), checkpoints=shown), evaluations))
    return [_node(label, _with_overlaps(report, overlaps), on, spec) for label, report, on in pages]


def check_metrics(graph: Graph, keys: Collection[str], metrics_of: Callable[[Node], Collection[str]]) -> None:
    """Check the metrics of comparisons, before anything is trained for them.

    Args:
        graph: The graph.
        keys: Keys of the nodes to check; others than comparisons are left out.
        metrics_of: Returns the names of the metrics that the tasks of an evaluation record.

    Raises:
        InputError: no task that a page shows has the page's metric.
    """
    for node in (graph[key] for key in keys):
        words = node.work.words if isinstance(node.work, Report) else ()
        metric = words[words.index("--metric") + 1] if "--metric" in words else COMPUTED_METRICS[0]
        if metric in COMPUTED_METRICS:
            continue
        evaluations = [graph[key] for key in node.parents if graph[key].kind == "evaluate"]
        one_per_set = {_evaluation(one).set_key: one for one in evaluations}.values()
        known = sorted({name for one in one_per_set for name in metrics_of(one)} | {*COMPUTED_METRICS})
        if metric not in known:
            hint = did_you_mean(metric, known)
            raise InputError(f"compare.metric: no task has {metric!r}; give one of {', '.join(known)}.{hint}")


def _evaluation(node: Node) -> Evaluation:
    assert isinstance(node.work, Evaluation)
    return node.work


def _with_overlaps(work: Report, overlaps: Sequence[Node]) -> Report:
    keys = overlaps_of(work.checkpoints, overlaps)
    words = (word for key in keys for word in ("--overlap", f"overlap:{key}"))
    return replace(work, words=(*work.words, *words), overlaps=tuple(keys))


def _node(label: str, work: Report, evaluations: Sequence[Node], spec: ExperimentSpec) -> Node:
    parents = tuple(node.key for node in evaluations if _evaluation(node).checkpoint in work.checkpoints)
    inputs = {
        "words": work.words, "design": work.design, "parents": parents,
        "versions": installed_versions(["stage-harness"])["stage-harness"],
    }  # fmt: skip
    return Node(
        key=digest_of({"report": inputs}), label=file_name(label), kind="report", stage="",
        parents=(*parents, *work.overlaps), work=work, needs=spec.needs.report,
    )  # fmt: skip


def _comparisons(
    spec: ExperimentSpec, compare: CompareSpec, trained: Trained, evaluations: Sequence[Node]
) -> dict[str, Report]:
    """Return the pages of a section, by label: the factorial analysis, all arms, then each contrast."""
    stage = compare.stage or list(trained)[-1]
    if stage not in trained:
        raise InputError(
            f"compare.stage: no stage {stage!r}; stages are {', '.join(trained)}.{did_you_mean(stage, trained)}"
        )
    evaluated = {_evaluation(node).checkpoint for node in evaluations}
    if not all(node.key in evaluated for node in trained[stage]):
        raise InputError(f"compare.stage: {stage} is not evaluated; add it to evaluate.stages.")
    arms = arms_of(trained[stage])
    metric = () if compare.metric is None else ("--metric", compare.metric)
    options = metric if compare.margin is None else (*metric, "--margin", str(compare.margin))
    pages = {}
    if compare.design is not None:
        label = "design" if compare.name == CompareSpec().name else f"{compare.name}-design"
        report = design_report(spec, compare.design, stage, trained, evaluated)
        if varied(spec, compare.design):
            pages[label] = replace(report, words=(*report.words, *metric))
    if len(arms) > 1:
        pages[compare.name] = _compare(arms, list(arms), options)
    else:
        raise InputError(f"compare.stage: {stage} has one arm only; compare a stage with a factor besides {SEED}.")
    for pair in compare.contrasts:
        for arm in pair:
            if arm not in arms:
                raise InputError(f"compare.contrasts: no arm {arm!r}; arms are {', '.join(arms)}.")
        if [pair[1], pair[0]] != list(arms):  # otherwise it is the comparison of all arms
            pages[f"{compare.name}-{pair[0]}-{pair[1]}"] = _compare(arms, [pair[1], pair[0]], options)
    return pages


def _compare(arms: Mapping[str, Sequence[Node]], names: Sequence[str], options: Sequence[str]) -> Report:
    """Return the comparison of these arms, the first being the baseline."""
    shown = tuple(node.key for name in names for node in arms[name])
    words = [f"{name}={','.join(f'run:{node.key}' for node in arms[name])}" for name in names]
    return Report(words=("compare", *words, *options), checkpoints=shown)
