"""Rank models, and mark models that cannot be told apart: records in, a `Leaderboard` out.

Models are ranked by the chance-centred mean over domains, on the tasks and items that every model answered. On other
items a difference could come from the items instead of the models.
"""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from harness.checkpoints.lineage import contamination_warnings
from harness.errors import InputError, RecordError
from harness.records import ModelRecords, naming_notes
from harness.reports.analysis.comparability import caveats_of, forced_caveats
from harness.reports.analysis.differences import CONTROLS
from harness.reports.analysis.item_units import item_units
from harness.reports.analysis.pairing import FloatArray, Paired, mismatches, pair
from harness.reports.analysis.task_notes import TaskNote, joined
from harness.reports.analysis.value_limits import are_shares
from harness.stats import Ranking, aggregate_weights, rank_models
from harness.wording import counted

# With fewer clusters than this in a task, even a model with every item right and one with none may not be told apart.
FEW_CLUSTERS = 10
SHARE_OF_ITEMS = 0.5  # with fewer common items, the answer says so


@dataclass(frozen=True, kw_only=True, eq=False)
class RankedTask:
    """A task that every model answered.

    Attributes:
        task: Its name.
        domain: Its domain.
        metric: As ``name,filter``.
        items_from: Name of its items, shared by variants of one benchmark.
        chance: Value that guessing reaches.
        counted: Whether it is part of the overall value.
        items: Items that every model answered.
        requested: Items of the model with the most items.
        paired: The values of the common items; rows in the order of `Leaderboard.models`.
        warnings: Why it would not be ranked without ``--force``.
    """

    task: str
    domain: str
    metric: str
    items_from: str
    chance: float
    counted: bool
    items: int
    requested: int
    paired: Paired
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Standing:
    """One row of the leaderboard.

    Attributes:
        model: The model.
        rank: By overall value.
        rank_range: Best and worst rank that the data allow.
        groups: Letters; models that share a letter cannot be told apart.
        tied_with_leader: Whether it cannot be told apart from the model with the highest value.
        overall: Chance-centred mean over domains.
        standard_error: Of `overall`.
        domains: Mean value by domain, not chance-centred.
        items: Items in the overall value.
        failed: Requests that failed, over all its tasks.
    """

    model: ModelRecords
    rank: int
    rank_range: tuple[int, int]
    groups: str
    tied_with_leader: bool
    overall: float
    standard_error: float
    domains: Mapping[str, float]
    items: int
    failed: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Leaderboard:
    """All models, ranked.

    Attributes:
        standings: Best model first.
        tasks: Tasks that every model answered and that can be averaged.
        domains: Domains of the tasks, those in the overall value first.
        definition: Version of the definition of the overall value.
        models: In the order of the rows in `RankedTask.paired`.
        notes: Warnings and remarks for the reader.
        caveats: What is not comparable between the models; stands above every table.
    """

    standings: tuple[Standing, ...]
    tasks: tuple[RankedTask, ...]
    domains: tuple[str, ...]
    definition: str
    models: tuple[ModelRecords, ...]
    notes: tuple[str, ...]
    caveats: tuple[str, ...] = ()


def rank(models: Sequence[ModelRecords], *, force: bool = False, notes: Sequence[str] = ()) -> Leaderboard:
    """Rank models on the tasks and items that all of them answered.

    Args:
        models: Two or more.
        force: Rank runs even if their prompts differ, and add a warning.
        notes: Notes to put before those of the ranking, such as files that were skipped.

    Raises:
        InputError: There is only one model.
        RecordError: The models have no common tasks, none can be ranked, or their prompts differ (unless `force`).
    """
    if len(models) < 2:
        raise InputError(
            f"{models[0].name if models else 'no model'}: only one model; give two or more to rank. `harness eval` "
            "printed the table of a single model."
        )
    all_notes = [one for model in models for one in contamination_warnings(model.name, model.lineage)] + list(notes)
    tasks = _common_tasks(models, all_notes, force=force)
    in_overall = [task for task in tasks if task.counted]
    ranking = rank_models(
        [task.paired.values for task in in_overall],
        domains=[task.domain for task in in_overall],
        chances=[task.chance for task in in_overall],
        clusters=item_units([task.items_from for task in in_overall], [task.paired for task in in_overall]),
        item_sets=[task.items_from for task in in_overall],
    )
    all_notes += [_failed_note(model) for model in models if model.failed]
    domains = sorted({task.domain for task in tasks}, key=lambda d: (d not in {t.domain for t in in_overall}, d))
    return Leaderboard(
        standings=_standings(models, tasks, ranking, domains),
        tasks=tuple(tasks),
        domains=tuple(domains),
        definition=ranking.definition,
        models=tuple(models),
        notes=tuple(dict.fromkeys([*all_notes, *naming_notes(models)])),
        caveats=(
            *_few_common_items(models, in_overall),
            *forced_caveats([(task.task, task.warnings) for task in tasks], "ranked"),
            *caveats_of({model.name: [model] for model in models}),
        ),
    )


def _few_common_items(models: Sequence[ModelRecords], tasks: Sequence[RankedTask]) -> list[str]:
    """Return a caution if the ranks rest on fewer than half of the items, because one run has few."""
    items, requested = sum(task.items for task in tasks), sum(task.requested for task in tasks)
    if items >= SHARE_OF_ITEMS * requested:
        return []
    shortest = min(models, key=lambda model: sum(model.tasks[task.task].items_requested for task in tasks))
    return [
        f"Ranked on {items:,} of {requested:,} items, those that every model answered; {shortest.name} has the fewest. "
        "Leave it out to rank the others on more."
    ]


def _failed_note(model: ModelRecords) -> str:
    items = "its item is" if model.failed == 1 else "their items are"
    return f"{model.name}: {counted(model.failed, 'request')} failed; {items} left out, not scored 0."


def _common_tasks(models: Sequence[ModelRecords], notes: list[str], *, force: bool) -> list[RankedTask]:
    common = [task for task in models[0].tasks if all(task in model.tasks for model in models)]
    if not common:
        tasks_by_model = "; ".join(f"{model.name}: {', '.join(model.tasks)}" for model in models[:6])
        raise RecordError(
            f"no task was run by all {len(models)} models ({tasks_by_model}); leave models out or evaluate them."
        )
    tasks_by_absence: dict[str, list[str]] = {}  # key: the models without the tasks, such as "text, code"
    for absent in sorted({name for model in models for name in model.tasks} - set(common)):
        models_without = [
            f"{model.name} (every request failed)" if absent in model.unscored else model.name
            for model in models
            if absent not in model.tasks
        ]
        others = " and others" if len(models_without) > 3 else ""
        tasks_by_absence.setdefault(f"{', '.join(models_without[:3])}{others}", []).append(absent)
    notes += [f"Left out, not run by {names}: {', '.join(tasks)}." for names, tasks in tasks_by_absence.items()]
    on_tasks: list[TaskNote] = []
    ranked = [task for name in common if (task := _ranked_task(models, name, on_tasks, force=force)) is not None]
    notes += joined(on_tasks)
    if not ranked:
        raise RecordError(
            f"no task can be ranked: {' '.join(joined(on_tasks))} Give other tasks with --tasks, evaluate all "
            "models on the same items, or use `harness compare`, which takes any metric."
        )
    reasoning = any(task.domain not in CONTROLS for task in ranked)
    ranked = [replace(task, counted=task.domain not in CONTROLS or not reasoning) for task in ranked]
    return sorted(ranked, key=lambda task: (task.domain, task.task))


def _ranked_task(models: Sequence[ModelRecords], name: str, notes: list[TaskNote], *, force: bool) -> RankedTask | None:
    runs = {model.name: model.tasks[name] for model in models}
    listed = list(runs.values())
    paired = pair(listed) if all(run.is_mean for run in listed) else None
    reasons = mismatches(runs, paired)
    if reasons and not force:
        raise RecordError(
            f"{name}: the runs cannot be compared: {'; '.join(reasons)}. Evaluate all with the same settings, leave "
            "the task out with --tasks, or give --force to rank them anyway."
        )
    first, metric = listed[0], listed[0].metric.removesuffix(",none")
    if paired is None:
        notes.append(_left_out(name, f"{metric} is not a mean over items in every run"))
        return None
    values, items = paired.values, paired.values.shape[1]
    if not first.higher_is_better or not are_shares(first.metric, values):
        notes.append(_left_out(name, f"{metric} is not on a scale from 0 to 1 where more is better"))
        return None
    if items < 2 or (paired.clusters is not None and len(set(paired.clusters.tolist())) < 2):
        notes.append(
            _left_out(name, f"the models have {'fewer than two items or clusters' if items else 'no item'} in common")
        )
        return None
    clusters = None if paired.clusters is None else len(set(paired.clusters.tolist()))
    if clusters is not None and clusters < FEW_CLUSTERS:
        counts = f"{items} items in {clusters} clusters"
        few = "so few clusters tell hardly any models apart"
        notes.append(TaskNote(task=name, alone=f"{name}: {counts}; {few}.", shared=few.capitalize(), counts=counts))
    requested = max(run.items_requested for run in listed)
    if items < requested:
        counts, which = f"{items} of {requested}", "items that every model answered"
        alone = f"{name}: ranked on the {counts} {which}."
        notes.append(TaskNote(task=name, alone=alone, shared=f"Ranked on the {which}", counts=counts))
    return RankedTask(
        task=name,
        domain=first.domain,
        metric=first.metric,
        items_from=first.items_from,
        chance=first.chance,
        counted=True,
        items=items,
        requested=requested,
        paired=paired,
        warnings=tuple(reasons),
    )


def _left_out(task: str, why: str) -> TaskNote:
    return TaskNote(task=task, alone=f"{task} is left out: {why}.", shared=f"Left out, because {why}")


def _standings(
    models: Sequence[ModelRecords], tasks: Sequence[RankedTask], ranking: Ranking, domains: Sequence[str]
) -> tuple[Standing, ...]:
    means = {domain: _domain_means(tasks, domain) for domain in domains}
    letters = _letters(ranking.groups, len(models))
    items = sum(task.items for task in tasks if task.counted)
    rows = [
        Standing(
            model=model,
            rank=int(ranking.ranks[i]),
            rank_range=(int(ranking.rank_low[i]), int(ranking.rank_high[i])),
            groups=letters[i],
            tied_with_leader=bool(ranking.tied_with_leader[i]),
            overall=float(ranking.values[i]),
            standard_error=float(ranking.standard_errors[i]),
            domains={domain: float(means[domain][i]) for domain in domains},
            items=items,
            failed=model.failed,
        )
        for i, model in enumerate(models)
    ]
    return tuple(sorted(rows, key=lambda row: (row.rank, row.model.name)))


def _domain_means(tasks: Sequence[RankedTask], domain: str) -> FloatArray:
    members = [task for task in tasks if task.domain == domain]
    weights = aggregate_weights([domain] * len(members), np.zeros(len(members)), [one.items_from for one in members])
    return np.asarray(weights @ np.stack([one.paired.values.mean(axis=1) for one in members]), dtype=np.float64)


def _letters(groups: Sequence[Sequence[int]], models: int) -> list[str]:
    """Return the letters of each model's groups: a, b, ... z, aa, ab, ..."""
    letters_by_model: list[list[str]] = [[] for _ in range(models)]
    alphabet = string.ascii_lowercase
    for number, group in enumerate(groups):
        letter = alphabet[number] if number < 26 else alphabet[number // 26 - 1] + alphabet[number % 26]
        for model in group:
            letters_by_model[model].append(letter)
    # "ab" is groups a and b; with more than 26 groups, "a ab" is groups a and ab.
    return [(" " if any(len(x) > 1 for x in one) else "").join(one) for one in letters_by_model]
