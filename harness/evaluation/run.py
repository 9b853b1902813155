"""One `harness eval`: models and tasks in, a written record per model out.

Everything that can be wrong in the user's input is checked before the first engine is opened.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness.checkpoints.resolver import expand
from harness.engines.base import Engine
from harness.engines.engine_pool import POOL
from harness.engines.replicated.engine import ReplicatedEngine
from harness.engines.replicated.team import Team
from harness.errors import InputError
from harness.evaluation.answering import Outcome, Progress, answer
from harness.evaluation.evaluation import Evaluation
from harness.evaluation.garbage import rare_collections
from harness.evaluation.group_errors import group_errors
from harness.evaluation.journal import Journal, default_path
from harness.evaluation.model_under_test import find_model, with_template
from harness.evaluation.record import lm_eval_fields, run_record
from harness.evaluation.requests import (
    PromptSpec,
    check_samples,
    configure,
    gold_answers,
    with_evaluated_examples,
    without_examples,
    without_scores,
)
from harness.evaluation.scoring import score
from harness.evaluation.spec import EvaluationSpec, options_in_force
from harness.records import run_folder
from harness.records.run_files import RunFiles
from harness.sandbox import SandboxError
from harness.sandbox.backends import choose
from harness.suite.catalogue import Catalogue, LoadedTasks
from harness.suite.code_filter import check_code_items, runs_programs
from harness.suite.item_faults import wrong_keys
from harness.suite.metadata import check_metadata
from harness.suite.selection import ALL, with_data, with_files

NO_SCORES = "only the answers are recorded (--predict_only); `harness rescore` scores them."
KEYED_SCRIPTS = ("script:oracle", "script:corrupted")


@dataclass(frozen=True, kw_only=True)
class DoneRun:
    """A finished evaluation of one model.

    Attributes:
        record: The record as written.
        results: lm-eval's results.
        path: The results file; None for a dry run.
        seconds: Wall time.
        group_errors: Clustered errors of the means that groups define, by group and ``metric,filter``.
        samples: lm-eval's samples by task; empty unless the options keep them.
    """

    record: run_folder.RunRecord
    results: Mapping[str, Any]
    path: Path | None
    seconds: float
    group_errors: Mapping[str, Mapping[str, float]]
    samples: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict, repr=False)


def evaluate_all(
    spec: EvaluationSpec,
    progress: Progress | None = None,
    team: Team | None = None,
    begun: Callable[[Evaluation], None] | None = None,
) -> Generator[DoneRun, None, None]:
    """Evaluate the models one after the other, yielding each when its record is written.

    Close it when it is left early: an engine may be open for the next model.

    Args:
        spec: The options.
        progress: Shown to the user.
        team: The replicas that answer; None opens the engine in this process.
        begun: Called for each model when its prompts are rendered, before the first is answered.

    Raises:
        InputError: before any work, when a model, a task, a flag or the output folder is wrong.
        EngineError: an engine cannot be opened, or dies twice.
    """
    output = None if spec.output is None else run_folder.folder_of(spec.output)
    if output is not None:
        run_folder.check_output(output)
    models = [find_model(name, spec) for source in spec.models for name in expand(source)]
    models = [with_template(model, spec) for model in models]
    with options_in_force(spec):
        names, tasks, notes = load_tasks(spec)
    runnable = replace(spec, tasks=tuple(names))
    made = run_folder.claim(output) if output is not None else []
    try:
        with POOL.keep_open():
            for model in models:
                # Not around the yield: the caller's code must not run under this evaluation's options.
                with options_in_force(spec), rare_collections():
                    evaluation = Evaluation.begin(runnable, model, tasks, tuple(notes))
                    if begun is not None:
                        begun(evaluation)
                    done = _evaluate(evaluation, progress, team)
                yield done
    finally:
        run_folder.unclaim(made)


def load_tasks(spec: EvaluationSpec) -> tuple[list[str], LoadedTasks, list[str]]:
    """Return the names that can run here, their task objects, and a note per task left out."""
    _seed(spec.prompt)
    catalogue = Catalogue(spec.include_paths)
    wanted = with_files(spec.tasks, catalogue)
    catalogue.check([name for name in wanted if name != ALL])  # a wrong name is an error before anything is fetched
    names, notes = with_data(wanted, catalogue)
    tasks = catalogue.load(names, metadata=dict(spec.metadata) or None)
    check_samples(tasks.tasks, spec.prompt)
    configure(tasks.tasks, spec.prompt)
    notes += without_examples(tasks.tasks, spec.prompt) + with_evaluated_examples(tasks.tasks)
    for name, task in tasks.tasks.items():
        check_metadata(name, task)
    if spec.predict_only:  # no program is run
        without_scores(tasks.tasks)
        notes.append(NO_SCORES)
    else:
        notes += check_programs(tasks, spec.tasks, unsafe_code=spec.unsafe_code, unsafe_tasks=spec.unsafe_tasks)
    notes += filter(None, (wrong_keys(name, task) for name, task in tasks.tasks.items()))
    notes += filter(None, [catalogue.skipped_files().strip()])
    notes += [f"{each} replaces a task of the same name." for each in catalogue.replaced(tasks.tasks)]
    return names, tasks, notes


def _evaluate(evaluation: Evaluation, progress: Progress | None, team: Team | None) -> DoneRun:
    spec, model = evaluation.spec, evaluation.model
    # An oracle's answers depend on the answer keys, which are no part of a journal key: they are never kept.
    gold = gold_answers(evaluation.tasks.tasks, evaluation.requests) if model.about["digest"] in KEYED_SCRIPTS else {}
    requests = [request for task in evaluation.requests.values() for request in task.requests]
    # Nor are those of a service without an output folder, which would tell one model behind its name from the next.
    unknown = model.about["kind"] == "service" and spec.output is None
    path = (spec.journal or default_path()) if spec.use_journal and not gold and not unknown else None
    with Journal(path, model.fingerprint, model.name) as journal:
        generates = any(request.kind == "generate_until" for request in requests)

        def open_it() -> Engine:
            if team is None:
                return model.open(gold, generates)
            assert model.recipe is not None, "only a rescored model has none"
            spec = replace(model.recipe.spec, generates=generates)
            return ReplicatedEngine(team, replace(model.recipe, spec=spec, gold=gold))

        outcome = answer(requests, journal, open_it, progress, timeout_seconds=spec.engine_timeout_seconds)
    return finish(evaluation, outcome)


@rare_collections()  # for `rescore` too
def finish(evaluation: Evaluation, outcome: Outcome) -> DoneRun:
    """Score the answers, make the record and write it.

    Raises:
        TaskError: a function of a task raises.
        InputError: the output folder cannot be written.
        HarnessError: the disk is full.
    """
    spec, model = evaluation.spec, evaluation.model
    samples: dict[str, list[dict[str, Any]]] = {}
    with ExitStack() as stack:
        files = None
        if spec.output is not None:
            files = stack.enter_context(RunFiles(spec.output, model.name, str(model.about["digest"])))

        def keep(task: str, rows: list[dict[str, Any]]) -> None:
            if files is not None:
                files.add_samples(task, rows)
            if spec.keep_samples:
                samples.setdefault(task, []).extend(rows)

        scores = score(evaluation, outcome, keep)
        seconds = time.perf_counter() - evaluation.start.clock
        record = run_record(evaluation, outcome, scores)
        results = {**scores.results, **lm_eval_fields(evaluation, scores, seconds)}
        path = None if files is None else files.finish(record, results)
    errors = group_errors(evaluation.tasks, scores)
    return DoneRun(record=record, results=results, path=path, seconds=seconds, group_errors=errors, samples=samples)


def check_programs(
    tasks: LoadedTasks, named: Sequence[str], *, unsafe_code: bool, unsafe_tasks: bool = False
) -> list[str]:
    """Require a sandbox for model-written programs, unless the user allows them to run without one.

    Where no sandbox works, the tasks that need one are removed from `tasks` and from the groups that hold them.

    Args:
        tasks: The tasks; those that cannot run are removed.
        named: The names that the user gave.
        unsafe_code: Whether programs may run without a sandbox.
        unsafe_tasks: Whether those of lm-eval's tasks may that have none.

    Returns:
        A note per task left out.

    Raises:
        InputError: a task that the user named cannot run.
    """
    notes = []
    for name, task in list(tasks.tasks.items()):
        if getattr(task, "UNSAFE_CODE", False) and not (unsafe_code or unsafe_tasks):
            raise InputError(
                f"task {name}: runs model-written programs without a sandbox; take this project's own task "
                "(`harness tasks list --domain code_gen`), or give --confirm_run_unsafe_code."
            )
        if runs_programs(task):
            check_code_items(name, task)
        elif (task.get_config("metadata") or {}).get("domain") != "code_gen":
            continue
        try:
            choose("unsafe" if unsafe_code else None)
        except SandboxError as error:
            if name in named or len(tasks.tasks) == 1:
                raise
            del tasks.tasks[name]
            tasks.groups.clear()
            notes.append(f"{name} left out: {error}")
    return notes


def _seed(prompt: PromptSpec) -> None:
    """Seed the generators that tasks may draw from while they are built, as lm-eval does.

    Engines take their seeds from each request.
    """
    import numpy as np

    if prompt.seeds.random is not None:
        random.seed(prompt.seeds.random)
    if prompt.seeds.numpy is not None:
        np.random.seed(prompt.seeds.numpy)
