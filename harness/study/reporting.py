"""The report nodes of an experiment: command lines of `compare` and `leaderboard`.

`run:KEY` stands for the folder with all records of a checkpoint, and `overlap:KEY` for the file of a search.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from harness.errors import InputError, did_you_mean
from harness.study.design import design_report, varied
from harness.study.evaluations import include_paths
from harness.study.experiment import CompareSpec, ExperimentSpec
from harness.study.nodes import SEED, Evaluation, Graph, Node, Report, Trained, arms_of, digest_of, file_name
from harness.study.overlaps import overlaps_of
from harness.suite.catalogue import Catalogue
from harness.versions import installed_versions

COMPUTED_METRICS = ("gold_log_likelihood", "bits_per_byte")  # by `harness compare`, from likelihoods of answers


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
    for compare in with_members(spec):
        pages += [(label, report, last) for label, report in _comparisons(spec, compare, trained, last).items()]
    if spec.report.leaderboard:
        shown = tuple(dict.fromkeys(_evaluation(node).checkpoint for node in evaluations))
        pages.append(("leaderboard", Report(words=("leaderboard", "RUNS"), checkpoints=shown), evaluations))
    return [_node(label, _with_overlaps(report, overlaps), on, spec) for label, report, on in pages]


def with_members(spec: ExperimentSpec) -> list[CompareSpec]:
    """Return the comparisons with the tasks of a group in place of its name; lm-eval's own groups are not known."""
    if not any(compare.tasks for compare in spec.compare):
        return list(spec.compare)
    catalogue = Catalogue(list(dict.fromkeys(path for section in spec.evaluate for path in include_paths(section))))
    comparisons = []
    for compare in spec.compare:
        names = [entry.name for name in compare.tasks for entry in catalogue.tasks_below(name)]
        names += [name for name in compare.tasks if name not in catalogue.entries]
        comparisons.append(compare.model_copy(update={"tasks": tuple(dict.fromkeys(names))}))
    return comparisons


def check_selections(
    graph: Graph, keys: Collection[str], metrics_of: Callable[[Node], Mapping[str, Collection[str]]]
) -> None:
    """Check the tasks and metrics that comparisons select, before anything is trained for them.

    Args:
        graph: The graph.
        keys: Keys of the nodes to check; others than comparisons are left out.
        metrics_of: Returns the metrics that an evaluation records or `harness compare` computes, by task.

    Raises:
        InputError: no task that a page shows has the page's metric, or a page selects a task on which not all of its
            arms are evaluated.
    """
    for node in (graph[key] for key in keys):
        if not isinstance(node.work, Report) or node.work.words[0] != "compare":
            continue
        metric, tasks = (_value(node.work.words, flag) for flag in ("--metric", "--tasks"))
        sets = _sets_of_arms(node, graph)
        if metric is None and tasks is None and len({frozenset(own) for own in sets}) == 1:
            continue
        evaluated = _common_tasks(node, sets, metrics_of)
        shown: dict[str, None] = {}
        for pattern in (tasks or "*").split(","):
            matches = fnmatch.filter(evaluated, pattern)
            if not matches:
                hint = did_you_mean(pattern, evaluated)
                raise InputError(f"compare.tasks: no task {pattern!r}; tasks are {', '.join(evaluated)}.{hint}")
            shown |= dict.fromkeys(matches)
        known = sorted({name for task in shown for name in evaluated[task]})
        if metric is not None and metric not in known:
            hint = did_you_mean(metric, known)
            raise InputError(f"compare.metric: no task has {metric!r}; give one of {', '.join(known)}.{hint}")


def _sets_of_arms(page: Node, graph: Graph) -> list[dict[str, Node]]:
    """Return for each checkpoint that a page compares an evaluation of each set of tasks, by set.

    The parents in a design are left out: they are shown next to the arms where they have the same tasks.
    """
    assert isinstance(page.work, Report)
    parents = {row["name"] for row in (page.work.design or {}).get("parents", ())}
    sets: dict[str, dict[str, Node]] = {key: {} for key in page.work.checkpoints if key not in parents}
    for node in (graph[key] for key in page.parents if graph[key].kind == "evaluate"):
        if _evaluation(node).checkpoint in sets:
            sets[_evaluation(node).checkpoint][_evaluation(node).set_key] = node
    return list(sets.values())


def _common_tasks(
    page: Node, sets: Sequence[Mapping[str, Node]], metrics_of: Callable[[Node], Mapping[str, Collection[str]]]
) -> dict[str, Collection[str]]:
    """Return the metrics of the tasks on which all arms of a page are evaluated. Raises: InputError: none is."""
    distinct = {frozenset(own): own for own in sets}.values()
    of_arms = [{task: names for one in own.values() for task, names in metrics_of(one).items()} for own in distinct]
    common = {task: names for task, names in of_arms[0].items() if all(task in own for own in of_arms)}
    if not common:
        raise InputError(
            f"compare: {page.label} compares arms without a common task "
            f"({'; '.join(', '.join(own) for own in of_arms)}); evaluate their stages on the same tasks."
        )
    return common


def _value(words: Sequence[str], flag: str) -> str | None:
    return words[words.index(flag) + 1] if flag in words else None


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
    both: tuple[str, ...] = () if compare.metric is None else ("--metric", compare.metric)
    both += ("--tasks", ",".join(compare.tasks)) if compare.tasks else ()
    options = both if compare.margin is None else (*both, "--margin", str(compare.margin))
    pages = {}
    if compare.design is not None:
        label = "design" if compare.name == CompareSpec().name else f"{compare.name}-design"
        report = design_report(spec, compare.design, stage, trained, evaluated)
        if varied(spec, compare.design):
            pages[label] = replace(report, words=(*report.words, *both))
    if len(arms) > 1:
        pages[compare.name] = _compare(arms, list(arms), options)
    elif not compare.contrasts:
        raise InputError(f"compare.stage: {stage} has one arm only; compare a stage with a factor besides {SEED}.")
    return pages | _pairs(compare, arms, _named_arms(stage, trained, evaluated), options)


@dataclass(frozen=True, kw_only=True)
class _Arm:
    """An arm that a contrast may name: its own name or ``stage:arm``.

    Attributes:
        name: ``NC`` of the compared stage, ``base:N`` of another one; ``base`` if that stage has one arm.
        full: The stage and the arm: ``tuned:NC``.
        nodes: Its nodes.
    """

    name: str
    full: str
    nodes: Sequence[Node]


def _pairs(
    compare: CompareSpec, arms: Mapping[str, list[Node]], known: Sequence[_Arm], options: Sequence[str]
) -> dict[str, Report]:
    """Return the page of each contrast, by label."""
    pages = {}
    for arm, baseline in compare.contrasts:
        pair = {name: _arm(name, known) for name in (arm, baseline)}
        if len({each.full for each in pair.values()}) == 1:
            raise InputError(f"compare.contrasts: [{arm}, {baseline}] is one arm; give two arms.")
        if [baseline, arm] != list(arms):  # otherwise it is the comparison of all arms
            nodes = {name: each.nodes for name, each in pair.items()}
            pages[f"{compare.name}-{arm}-{baseline}"] = _compare(nodes, [baseline, arm], options)
    return pages


def _arm(name: str, known: Sequence[_Arm]) -> _Arm:
    """Return the arm of this name. Raises: InputError: there is none, or there are several."""
    matches = {arm.full: arm for arm in known if name in (arm.name, arm.full)}
    if not matches:
        names = list(dict.fromkeys(arm.name for arm in known))
        raise InputError(f"compare.contrasts: no arm {name!r}; arms are {', '.join(names)}.{did_you_mean(name, names)}")
    if len(matches) > 1:
        raise InputError(f"compare.contrasts: {name!r} names several arms; write {' or '.join(matches)}.")
    return next(iter(matches.values()))


def _named_arms(stage: str, trained: Trained, evaluated: Collection[str]) -> list[_Arm]:
    """Return the arms of the compared stage and of the other evaluated stages, under each of their names."""
    named = []
    for other in (stage, *(name for name in trained if name != stage)):
        own = arms_of(trained[other])
        for arm, nodes in own.items() if all(node.key in evaluated for node in trained[other]) else ():
            full = f"{other}:{arm}"
            names = [arm] if other == stage else []
            names += [other] if len(own) == 1 else []
            named += [_Arm(name=name, full=full, nodes=nodes) for name in names or [full]]
    return named


def _compare(arms: Mapping[str, Sequence[Node]], names: Sequence[str], options: Sequence[str]) -> Report:
    """Return the comparison of these arms, the first being the baseline."""
    shown = tuple(node.key for name in names for node in arms[name])
    words = [f"{name}={','.join(f'run:{node.key}' for node in arms[name])}" for name in names]
    return Report(words=("compare", *words, *options), checkpoints=shown)
