"""A factorial study with its records: training runs with their cell and pre-training run, from a design or lineage."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from harness.checkpoints.plots import plots_of
from harness.errors import InputError
from harness.records import ModelRecords
from harness.reports.analysis.design import Design
from harness.reports.analysis.design_checks import odd_parents, used_levels
from harness.reports.analysis.parents import Chain, chain_of
from harness.reports.analysis.recipes import without_seed
from harness.reports.analysis.stages import Stage, stages_of


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainingRun:
    """One training run.

    Attributes:
        cell: Its level of each factor.
        plot: The pre-training run that it was made from; its own name if that is unknown.
        checkpoints: Its evaluated checkpoints, the last one last.
        ancestors: Names of the checkpoints that it was trained from, its parent first, as far as they are known.
    """

    cell: tuple[str, ...]
    plot: str
    checkpoints: tuple[ModelRecords, ...]
    ancestors: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Study:
    """A study.

    Attributes:
        factors: Levels by factor, the reference level first. The first two are the main factors.
        runs: The training runs.
        parents: Evaluations of ancestors, by the name that `TrainingRun.ancestors` has.
        cot: Task without chain of thought, by task with it; None to pair tasks by name.
        unknown: Number of training runs whose parents are unknown.
        notes: What the reader should know about how the design was read.
    """

    factors: Mapping[str, tuple[str, ...]]
    runs: tuple[TrainingRun, ...]
    parents: Mapping[str, ModelRecords]
    cot: Mapping[str, str] | None
    unknown: int
    notes: tuple[str, ...] = ()


def evaluated_models(study: Study) -> list[ModelRecords]:
    """Return the evaluated checkpoints of a study, ancestors first."""
    of_runs = [model for run in study.runs for model in run.checkpoints]
    return list({model.name: model for model in [*study.parents.values(), *of_runs]}.values())


@dataclass(frozen=True, kw_only=True, eq=False)
class _Evaluated:
    """One evaluated checkpoint before checkpoints are joined to training runs."""

    cell: tuple[str, ...]
    plot: str | None
    key: str
    step: float | None
    model: ModelRecords
    ancestors: tuple[str, ...]


def study_of_design(design: Design, model_of: Callable[[str], ModelRecords]) -> Study:
    """Return the study of a design file.

    Args:
        design: The file.
        model_of: Returns the loaded model of a run folder or name.
    """
    evaluated = []
    notes: list[str] = []
    design = used_levels(design, notes)
    models = [model_of(run.run) for run in design.runs]
    parents = {name: model_of(parent.run) for name, parent in design.parents.items()}
    names = {str(model.lineage[0].get("digest")): name for name, model in parents.items() if model.lineage}
    by_lineage = plots_of_models([model for run, model in zip(design.runs, models, strict=True) if run.parent is None])
    declared = [design.ancestors(run) for run in design.runs]
    by_file = iter(plots_of([(*reversed(chain), f"run {n}") for n, chain in enumerate(declared) if chain]))
    for number, (run, model, chain) in enumerate(zip(design.runs, models, declared, strict=True)):
        plot = next(by_file) if chain else by_lineage[model.name]
        same = f"{run.cell} {run.parent or plot} {run.seed}" if run.step is not None else f"run {number}"
        recorded = tuple(names.get(digest, digest) for digest in _recorded_ancestors(model))
        # The record may know the stages between a run and the ancestor that the file names.
        complete = not chain or chain[0] in recorded or not any(name in parents for name in chain)
        ancestors = recorded if recorded and complete else chain
        evaluated.append(
            _Evaluated(cell=run.cell, plot=plot, key=same, step=run.step, model=model, ancestors=ancestors)
        )
    runs, unknown = _joined(evaluated)
    cells: dict[str, list[tuple[str, ...]]] = {}
    for one in runs:
        cells.setdefault(one.plot, []).append(one.cell)
    notes += odd_parents(design.factors, cells)
    factors, runs = _main_first(design.factors, runs, design.main)
    return Study(factors=factors, runs=runs, parents=parents, cot=design.cot, unknown=unknown, notes=tuple(notes))


def _main_first(
    factors: Mapping[str, tuple[str, ...]], runs: Sequence[TrainingRun], main: Sequence[str]
) -> tuple[dict[str, tuple[str, ...]], tuple[TrainingRun, ...]]:
    """Put the main factors first, and among them those that never differ within a pre-training run.

    So the first letter of NC is pre-training's, even if a writer of YAML sorted the factors in the file.
    """
    by_plot: dict[str, list[tuple[str, ...]]] = {}
    for run in runs:
        by_plot.setdefault(run.plot, []).append(run.cell)
    names = list(factors)
    constant = [all(len({cell[at] for cell in cells}) == 1 for cells in by_plot.values()) for at in range(len(names))]
    order = sorted(range(len(names)), key=lambda at: (names[at] not in main, not constant[at]))
    reordered = tuple(replace(run, cell=tuple(run.cell[at] for at in order)) for run in runs)
    return {names[at]: factors[names[at]] for at in order}, reordered


def study_of_lineage(models: Sequence[ModelRecords]) -> Study:
    """Return the study that the lineages of the models describe.

    The models with the most stages are the arms. Each stage is a factor, named by its kind; its levels are the recipes
    that occur (the stage file without name, seed and parent). Pre-training runs are found by `checkpoints.plots`.
    Models with fewer stages are taken as evaluations of parents.

    Raises:
        InputError: A lineage is unknown, or there is nothing to compare.
    """
    chains = {model.name: stages_of(model) for model in models}
    if missing := [name for name, stages in chains.items() if not stages]:
        raise InputError(
            f"--design auto: the lineage of {', '.join(missing[:3])} is unknown; evaluate checkpoints that have a "
            "stage.json, or give a design file."
        )
    for model in models:
        root = model.lineage[-1]
        if root.get("status") == "missing":
            raise InputError(
                f"--design auto: {root.get('name')}, an ancestor of {model.name}, was missing when that was evaluated, "
                "so its recipe is unknown; evaluate again with it in place, or give a design file."
            )
    longest = max(len(stages) for stages in chains.values())
    arms = [model for model in models if len(chains[model.name]) == longest]
    names = _factor_names([chains[model.name] for model in arms])
    levels = [_levels([chains[model.name][at] for model in arms]) for at in range(longest)]
    kept = [at for at in range(longest) if len(set(levels[at].values())) > 1]
    if not kept:
        raise InputError("--design auto: all runs have the same recipe in every stage; give runs that differ in one.")
    evaluated = []
    plots = plots_of_models(arms)
    for model in arms:
        stages = chains[model.name]
        last = stages[-1]
        cell = tuple(levels[at][stages[at].recipe] for at in kept)
        plot = plots[model.name]
        key = f"{cell} {plot} {last.name} {last.seed} {last.parents}"
        above = _recorded_ancestors(model)
        evaluated.append(_Evaluated(cell=cell, plot=plot or key, key=key, step=last.step, model=model, ancestors=above))
    factors = {names[at]: tuple(sorted(set(levels[at].values()), key=_reference_first)) for at in kept}
    parents = {chains[model.name][-1].digest: model for model in models if len(chains[model.name]) < longest}
    runs, unknown = _joined(evaluated)
    read = "; ".join(f"{name}: {', '.join(words)}" for name, words in factors.items())
    note = f"The design is read from the lineage: {read}. The first level is the reference."
    return Study(factors=factors, runs=runs, parents=parents, cot=None, unknown=unknown, notes=(note,))


def _joined(evaluated: Sequence[_Evaluated]) -> tuple[tuple[TrainingRun, ...], int]:
    """Join the checkpoints of each training run; a finished checkpoint is the last. Also count unknown parents."""
    by_key: dict[str, list[_Evaluated]] = {}
    for one in evaluated:
        by_key.setdefault(one.key, []).append(one)
    runs, unknown = [], 0
    for key, members in by_key.items():
        ordered = sorted(members, key=lambda one: float("inf") if one.step is None else one.step)
        steps = [one.step for one in ordered]
        if len(set(steps)) < len(steps):
            names = ", ".join(one.model.name for one in ordered)
            raise InputError(f"{names}: the same levels, parent, seed and step; give each checkpoint once.")
        unknown += ordered[0].plot is None
        checkpoints = tuple(one.model for one in ordered)
        last = ordered[-1]
        runs.append(
            TrainingRun(cell=last.cell, plot=last.plot or key, checkpoints=checkpoints, ancestors=last.ancestors)
        )
    return tuple(runs), unknown


def plots_of_models(models: Sequence[ModelRecords]) -> dict[str, str | None]:
    """Return the pre-training run of each model by its name, from the lineage; None if unknown.

    Raises:
        RecordError: A lineage is damaged.
    """
    chains = {model.name: chain.digests for model in models if (chain := _recorded_chain(model)) is not None}
    plots = plots_of(list(chains.values()))
    return dict.fromkeys(model.name for model in models) | dict(zip(chains, plots, strict=True))


def _recorded_ancestors(model: ModelRecords) -> tuple[str, ...]:
    """Return the digests of the checkpoints that a model was trained from, its parent first; none if unknown."""
    chain = _recorded_chain(model)
    return () if chain is None else tuple(reversed(chain.digests[:-1]))


def _recorded_chain(model: ModelRecords) -> Chain | None:
    return chain_of(model) if stages_of(model) else None


def _factor_names(chains: Sequence[Sequence[Stage]]) -> list[str]:
    names: list[str] = []
    for at, stage in enumerate(chains[0]):
        kinds = {chain[at].kind for chain in chains}
        name = stage.kind if len(kinds) == 1 else f"stage {at + 1}"
        names.append(name if name not in names else f"{name} {at + 1}")
    return names


def _levels(stages: Sequence[Stage]) -> dict[str, str]:
    """Return the level of each recipe: its sources, else the stage's name without its seed, else a number."""
    recipes = {stage.recipe: stage for stage in stages}
    for label in (_sources, _name_without_seed):
        labels = {recipe: label(stage) for recipe, stage in recipes.items()}
        if all(labels.values()) and len(set(labels.values())) == len(recipes):
            return labels
    return {recipe: f"recipe {number}" for number, recipe in enumerate(recipes, start=1)}


def _sources(stage: Stage) -> str:
    return "+".join(sorted(stage.sources))


def _name_without_seed(stage: Stage) -> str:
    return without_seed(stage.name)


def _reference_first(level: str) -> tuple[int, bool, str]:
    """Sort levels: fewest sources first, then those without code, then by name."""
    return level.count("+"), "code" in level.lower(), level
