"""The power of a planned study as tables and sentences. All effects and errors are in points (hundredths)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.reports.analysis.counting import counted
from harness.reports.analysis.differences import OVERALL
from harness.reports.analysis.plan import ASSUMED, StudyPlan
from harness.reports.analysis.planned_contrasts import RANGE
from harness.reports.documents.tables import Column, Document, Row, Table
from harness.stats.clustered import FEW_CLUSTERS
from harness.stats.planning import PlannedTask, by_item_set, clusters_needed, plan_contrast, seeds_needed
from harness.stats.shapes import Components, Shape

SEEDS_SHOWN = (2, 3, 4, 5, 6, 8, 10, 15, 20)
POINTS = 100.0


@dataclass(frozen=True, kw_only=True)
class CurvePoint:
    """The detectable effect of a contrast, overall, with a number of seeds.

    Attributes:
        contrast: Its name.
        seeds: Pre-training runs per level.
        mde: In points.
    """

    contrast: str
    seeds: int
    mde: float


def power_document(plan: StudyPlan, command: str, notes: Sequence[str] = ()) -> Document:
    """Return the document of a plan: power and detectable effects by task, and overall by number of seeds."""
    levels = [len(own) for own in plan.main.values()]
    size = " x ".join(map(str, levels)) if len(levels) > 1 else f"{levels[0]}-level"
    tables = (_contrasts(plan), _by_seeds(plan), _components(plan))
    results = [*_results(plan), *_unit(plan)]
    return Document(
        title=f"Power of a {size} study with {plan.seeds} seeds: {', '.join(plan.main)}",
        command=command,
        tables=tables,
        notes=(*results, *_constant(plan), *_few_clusters(plan), *notes, _methods(plan)),
        n_headlines=len(results),
    )


def _rows(plan: StudyPlan) -> list[tuple[str, list[PlannedTask]]]:
    single = [(name, [one.planned]) for name, one in plan.tasks.items()]
    return [(OVERALL, plan.overall), *single]


def _contrasts(plan: StudyPlan) -> Table:
    wanted = plan.effect is not None
    columns = (
        Column(key="task", place="name", heading="task", kind="text"),
        Column(key="contrast", place="name", heading="contrast", kind="text"),
        Column(key="items", heading="n", kind="count", meaning="Items; all tasks for overall, variants once."),
        Column(
            key="clusters", place="aside", heading="clusters", kind="count", meaning="Independent clusters of items."
        ),
        Column(key="seeds", place="aside", heading="seeds", kind="count", meaning="Pre-training runs per level."),
        Column(key="se", heading="s.e.", kind="points", meaning="Expected standard error, in points."),
        Column(key="se_items", place="aside", heading="s.e. of items", kind="points", meaning="Its part from items."),
        Column(
            key="se_seeds", place="aside", heading="s.e. of runs", kind="points", meaning="Its part from training runs."
        ),
        Column(key="df", place="aside", heading="df", kind="points", meaning="Expected degrees of freedom."),
        Column(
            key="mde",
            place="keep",
            heading="detectable",
            kind="points",
            meaning="Smallest true effect found with 80% power, in points.",
        ),
        *(
            (
                Column(
                    key="effect",
                    place="aside",
                    heading="effect",
                    kind="points",
                    meaning="The effect that is wanted, in points.",
                ),
                Column(
                    key="power", place="keep", heading="power", meaning="Probability that the effect gives p <= 0.05."
                ),
                Column(
                    key="seeds_needed",
                    place="keep",
                    heading="seeds needed",
                    kind="count",
                    meaning="For 80% power, with these items.",
                ),
                Column(
                    key="items_needed",
                    place="keep",
                    heading="items needed",
                    kind="count",
                    meaning="For 80% power, with these seeds; by task only.",
                ),
            )
            if wanted
            else ()
        ),
    )
    rows = [_row(plan, task, tasks, name) for task, tasks in _rows(plan) for name in plan.contrasts]
    return Table(key="power", title="Power and detectable effects, in points", columns=columns, rows=tuple(rows))


def _row(plan: StudyPlan, task: str, tasks: Sequence[PlannedTask], name: str) -> Row:
    kind = plan.contrasts[name]
    planned = plan_contrast(kind, tasks, plan.seeds)
    sets = by_item_set(tasks)
    cells: dict[str, object] = {
        "task": task,
        "contrast": name,
        "items": sum(max(one.items for one in variants) for variants in sets),
        "clusters": sum(max(one.clusters for one in variants) for variants in sets),
        "seeds": plan.seeds,
        "se": POINTS * planned.se,
        "se_items": POINTS * planned.se_items,
        "se_seeds": POINTS * planned.se_seeds,
        "df": planned.df,
        "mde": POINTS * planned.mde,
    }
    if plan.effect is not None:
        effect = plan.effect / POINTS
        cells |= {
            "effect": plan.effect,
            "power": planned.power(effect),
            "seeds_needed": seeds_needed(kind, effect, tasks),
            "items_needed": _items_needed(kind, effect, tasks, plan.seeds),
        }
    enough = plan.effect is not None and planned.power(plan.effect / POINTS) >= 0.80
    return Row(cells=cells, tone="strong" if enough else "")


def _items_needed(kind: str | Shape, effect: float, tasks: Sequence[PlannedTask], seeds: int) -> int | None:
    """Return the items for one task; None for several tasks, which can grow in many ways."""
    if len(tasks) > 1:
        return None
    clusters = clusters_needed(kind, effect, tasks[0], seeds) if effect > 0 else None
    return None if clusters is None else max(clusters, round(clusters * tasks[0].items / tasks[0].clusters))


def mde_curve(plan: StudyPlan) -> list[CurvePoint]:
    """Return the detectable effect of each contrast, overall, by number of seeds."""
    return [
        CurvePoint(contrast=name, seeds=seeds, mde=POINTS * plan_contrast(kind, plan.overall, seeds).mde)
        for name, kind in plan.contrasts.items()
        for seeds in SEEDS_SHOWN
    ]


def _by_seeds(plan: StudyPlan) -> Table:
    columns = (
        Column(key="seeds", place="name", heading="seeds", kind="count", meaning="Pre-training runs per level."),
        *(
            Column(
                key=name,
                place="below",
                heading=name,
                kind="points",
                meaning="Smallest true effect found with 80% power, overall, in points.",
            )
            for name in plan.contrasts
        ),
    )
    curve = mde_curve(plan)
    rows = tuple(
        Row(cells={"seeds": seeds, **{one.contrast: one.mde for one in curve if one.seeds == seeds}})
        for seeds in SEEDS_SHOWN
    )
    return Table(key="by_seeds", title="Detectable effects overall by seeds, in points", columns=columns, rows=rows)


def _components(plan: StudyPlan) -> Table:
    names = list(Components.__dataclass_fields__)
    columns = (
        Column(key="task", place="name", heading="task", kind="text"),
        *(Column(key=name, place="below", heading=name, kind="text", meaning="Variance.") for name in names),
        Column(key="correlation", place="below", heading="correlation", meaning="Of items within a cluster."),
        Column(
            key="source",
            place="name",
            heading="source",
            kind="text",
            meaning="Measured in the runs of --from, or assumed: the defaults, or the plan's own.",
        ),
    )
    rows = tuple(
        Row(
            cells={
                "task": task,
                **{name: float(f"{getattr(one.planned.components, name):.3g}") for name in names},
                "correlation": one.planned.correlation,
                "source": one.source,
            }
        )
        for task, one in plan.tasks.items()
    )
    return Table(key="components", title="Variance components", columns=columns, rows=rows)


def _results(plan: StudyPlan) -> list[str]:
    planned = {name: plan_contrast(kind, plan.overall, plan.seeds) for name, kind in plan.contrasts.items()}
    listed = ", ".join(f"{name} {POINTS * one.mde:.1f}" for name, one in planned.items())
    sentences = [f"With {plan.seeds} seeds, 80% power overall needs a true effect of (points): {listed}."]
    if plan.effect is not None:
        powers = ", ".join(f"{name} {100 * one.power(plan.effect / POINTS):.0f}%" for name, one in planned.items())
        sentences.append(f"A true effect of {plan.effect:g} points is found with a power of: {powers}.")
    return sentences


def _unit(plan: StudyPlan) -> list[str]:
    """Say what a point is, and ask about an effect that looks like a share: 0.03 where 3 points are meant."""
    unit = (
        "1 point is 0.01 of a task's accuracy, and overall 0.01 of the chance-centred mean over domains, not a "
        "standard deviation: an effect of 3 points is the +0.030 of `harness compare`."
    )
    if plan.effect is None or plan.effect >= 1.0:
        return [unit]
    share = f"{plan.effect:g}"
    return [
        unit,
        f"An effect of {share} points is {plan.effect / POINTS:g}; for {share}, give {POINTS * plan.effect:g}.",
    ]


def _constant(plan: StudyPlan) -> list[str]:
    if not plan.constant:
        return []
    return [
        f"No plan for {', '.join(plan.constant)}: constant in the runs of --from (the same value in all items and "
        "runs, or in all runs of each item), so the scatter is unknown. Overall is that of the other tasks. Give "
        "components in the plan, or other runs."
    ]


def _few_clusters(plan: StudyPlan) -> list[str]:
    few = [name for name, one in plan.tasks.items() if one.planned.clusters < min(FEW_CLUSTERS, one.planned.items)]
    if not few:
        return []
    return [
        f"Fewer than {FEW_CLUSTERS} clusters ({', '.join(few)}): there a wild cluster bootstrap must also "
        "reject, so the power of these tasks is lower than shown. Add clusters."
    ]


def _sources(plan: StudyPlan) -> str:
    """Say which tasks have measured components and which have not."""
    assumed = [name for name, one in plan.tasks.items() if one.source == ASSUMED]
    if plan.measured_seeds is None:
        return "Variance components are assumed; --from RUNS measures them in earlier runs."
    if len(assumed) == len(plan.tasks):
        return f"Variance components are assumed: the runs of --from have no task of the plan ({', '.join(assumed)})."
    rest = f", except for {', '.join(assumed)}: assumed, because those runs lack this task" if assumed else ""
    runs = counted(plan.measured_seeds, "pre-training run")
    return f"Variance components are measured in the runs of --from{rest}: in {runs} per level, so they are uncertain."


def _methods(plan: StudyPlan) -> str:
    several = any(isinstance(kind, Shape) and kind.tests > 1 for kind in plan.contrasts.values())
    dunnett = "; of several levels against one reference, at Dunnett's level" if several else ""
    slopes = any(RANGE in name for name in plan.contrasts)
    ranges = " A slope is the change from the lowest to the highest level." if slopes else ""
    dashes = (
        " A dash for seeds or items means that 100 seeds or a million clusters are too few; for overall, items needed "
        "are not computed, because its tasks could grow in many ways."
        if plan.effect is not None
        else ""
    )
    return (
        f"{_sources(plan)} Power is that of one test at p <= 0.05, before correction{dunnett}.{ranges} "
        f"Standard error and degrees of freedom vary as in simulated studies.{dashes} Definitions: docs/statistics.md."
    )
