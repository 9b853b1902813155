"""One `harness eval`: models and tasks in, a written record for each model out.

It puts the rooms together (candidates, catalogue, requests, journal, engines, runs) and holds no rule of theirs.
Everything the user can have wrong is looked at before the first engine is opened.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from harness.checkpoints.resolver import expand
from harness.engines.vllm.engine_pool import kept
from harness.errors import InputError
from harness.evaluation.answering import Outcome, Progress, answer
from harness.evaluation.chat_template import Template
from harness.evaluation.journal import Journal, default_path
from harness.evaluation.model_under_test import ModelUnderTest, chat_template, find_model
from harness.evaluation.record import lm_eval_fields, note_cuts, run_record
from harness.evaluation.requests import PromptSpec, TaskRequests, build, configure, gold_answers
from harness.evaluation.scoring import score
from harness.evaluation.spec import EvaluationSpec
from harness.records import run_folder as runs
from harness.sandbox import SandboxError
from harness.sandbox.backends import VARIABLE as SANDBOX_VARIABLE
from harness.sandbox.backends import choose as choose_sandbox
from harness.suite.catalogue import Catalogue, LoadedTasks
from harness.suite.selection import with_data

KEYED_SCRIPTS = ("script:oracle", "script:corrupted")


@dataclass(frozen=True, kw_only=True)
class DoneRun:
    """A finished evaluation of one model.

    Attributes:
        record: The record as written.
        results: What lm-eval made of the answers.
        path: The results file; None for a dry run.
        seconds: Wall time.
    """

    record: runs.RunRecord
    results: Mapping[str, Any]
    path: Path | None
    seconds: float


def evaluate_all(spec: EvaluationSpec, progress: Progress | None = None) -> Iterator[DoneRun]:
    """Evaluate the models one after the other, yielding each when its record is written.

    Raises:
        InputError: before any work, when a model, a task, a flag or the output folder is wrong.
        EngineError: when an engine cannot be opened or dies twice.
    """
    if spec.output is not None:
        runs.check_output(spec.output)
    if spec.data_dir is not None:
        os.environ["HARNESS_DATA"] = str(spec.data_dir)
    candidates = [find_model(model, spec) for source in spec.models for model in expand(source)]
    chats = [chat_template(candidate, spec) for candidate in candidates]
    _seed(spec.prompt)
    catalogue = Catalogue(spec.include_paths)
    catalogue.check(spec.tasks)  # a name that is wrong is told before anything is fetched
    names, notes = with_data(spec.tasks, catalogue)
    loaded = catalogue.load(names, metadata=dict(spec.metadata) or None)
    configure(loaded.tasks, spec.prompt)
    notes += check_programs(loaded, spec.tasks, unsafe_code=spec.unsafe_code)
    made = runs.claim(spec.output) if spec.output is not None else []
    try:
        with kept():
            for candidate, chat in zip(candidates, chats, strict=True):
                yield _evaluate(candidate, chat, loaded, replace(spec, tasks=tuple(names)), progress, notes)
    finally:
        runs.unclaim(made)


def _evaluate(
    candidate: ModelUnderTest,
    chat: Template | None,
    loaded: LoadedTasks,
    spec: EvaluationSpec,
    progress: Progress | None,
    notes: Sequence[str],
) -> DoneRun:
    started, clock = datetime.now(), time.perf_counter()
    asked = build(loaded.tasks, spec.prompt, chat)
    # An oracle's answers depend on the keys, which the journal does not know of: they are never kept.
    gold = gold_answers(loaded.tasks, asked) if candidate.about["digest"] in KEYED_SCRIPTS else {}
    requests = [request for task in asked.values() for request in task.requests]
    with Journal(default_path() if spec.use_journal and not gold else None, candidate.answerer) as journal:
        outcome = answer(
            requests, journal, lambda: candidate.open(gold), progress, timeout_seconds=spec.engine_timeout_seconds
        )
    return finish(candidate, chat, loaded, asked, outcome, spec, started=started, clock=clock, notes=notes)


def finish(
    candidate: ModelUnderTest,
    chat: Template | None,
    loaded: LoadedTasks,
    asked: Mapping[str, TaskRequests],
    outcome: Outcome,
    spec: EvaluationSpec,
    *,
    started: datetime,
    clock: float,
    notes: Sequence[str] = (),
) -> DoneRun:
    """Score the answers, make the record and write it.

    Args:
        candidate: Who answered.
        chat: Template the prompts were rendered with.
        loaded: Tasks.
        asked: Their requests.
        outcome: What became of these.
        spec: What was asked for.
        started: Start of the run.
        clock: `time.perf_counter` then.
        notes: For the record.
    """
    results = dict(score(loaded, asked, outcome, spec.prompt, chat, unsafe_code=spec.unsafe_code))
    seconds = time.perf_counter() - clock
    record = run_record(candidate, spec, loaded, asked, outcome, results, started, notes)
    samples = results.pop("samples", {})
    note_cuts(samples, asked, outcome)
    results |= lm_eval_fields(candidate, spec, chat, samples, started, seconds)
    path = None
    if spec.output is not None:
        folder = runs.model_folder(spec.output, candidate.name, str(candidate.about["digest"]))
        path = runs.write(folder, record, results, samples)
    return DoneRun(record=record, results=results, path=path, seconds=seconds)


def check_programs(loaded: LoadedTasks, named: Sequence[str], *, unsafe_code: bool) -> list[str]:
    """See to it that programs a model wrote run in the sandbox, or nowhere, unless the user says otherwise.

    Where there is no sandbox, tasks that need one are taken out of the groups that hold them, with a note each.

    Args:
        loaded: The tasks; those that cannot run are removed.
        named: What the user asked for by name.
        unsafe_code: Whether programs may run unprotected.

    Returns:
        A note for each task left out.

    Raises:
        InputError: when a task that was asked for by name cannot run.
    """
    if unsafe_code:
        os.environ[SANDBOX_VARIABLE] = "unsafe"
    notes = []
    for name, task in list(loaded.tasks.items()):
        if getattr(task, "UNSAFE_CODE", False) and not unsafe_code:
            raise InputError(
                f"--tasks {name}: runs model-written programs without a sandbox; take this project's own task "
                "(`harness tasks list --domain code_gen`), or give --unsafe_code allow."
            )
        if (task.get_config("metadata") or {}).get("domain") != "code_gen":
            continue
        try:
            choose_sandbox(None)
        except SandboxError as error:
            if name in named or len(loaded.tasks) == 1:
                raise
            del loaded.tasks[name]
            loaded.groups.clear()
            notes.append(f"{name} left out: {error}")
    return notes


def _seed(prompt: PromptSpec) -> None:
    """Seed what tasks may draw from while they are built, as lm-eval does; engines take their seeds by request."""
    import numpy as np

    if prompt.seeds.random is not None:
        random.seed(prompt.seeds.random)
    if prompt.seeds.numpy is not None:
        np.random.seed(prompt.seeds.numpy)
