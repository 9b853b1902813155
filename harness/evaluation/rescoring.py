"""Score the answers of an old run again, after a metric, a filter or an answer key was changed.

The answers are read from the run's own samples files: neither the journal nor the weights are needed.

A record is data, and may come from a stranger: no path in it is ever opened. Folders of tasks and data, and the
checkpoint with the chat template come from the user.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.engines.base import Answer, Engine, Failure, Request
from harness.errors import MALFORMED, RecordError, TaskError, one_line
from harness.evaluation.answering import Outcome
from harness.evaluation.chat_template import ServiceMessages, Template, TokenizerChatTemplate
from harness.evaluation.evaluation import Evaluation, Start
from harness.evaluation.model_under_test import ModelUnderTest
from harness.evaluation.requests import PromptSpec, Seeds, TaskRequests, build, configure
from harness.evaluation.run import DoneRun, check_programs, finish
from harness.evaluation.samples import ENCODING_FIELDS
from harness.evaluation.spec import EvaluationSpec, options_in_force
from harness.records.run_folder import RunRecord, read_record
from harness.suite.catalogue import Catalogue


@dataclass(frozen=True, kw_only=True)
class RescoreOptions:
    """What the user says about a run to be scored again.

    Attributes:
        include_paths: Folders of task YAML; their code is run.
        data_dir: The folder with the benchmarks' data.
        model: A checkpoint with the chat template that the prompts were made with, if they were.
        tokenizer: A tokenizer with that chat template, if it is not the checkpoint's own.
        command: For the new record.
        unsafe_code: Whether programs may run without a sandbox.
    """

    include_paths: tuple[Path, ...] = ()
    data_dir: Path | None = None
    model: str | None = None
    tokenizer: str | None = None
    command: str = ""
    unsafe_code: bool = False


def rescore(folder: Path, options: RescoreOptions = RescoreOptions()) -> DoneRun:
    """Score a run's answers with today's tasks; the new run is stored next to the old one.

    Args:
        folder: A run folder, for its latest run, or a ``run_<time>.json``; or the ``--output_path`` of one model.
        options: What the user says about it.

    Raises:
        RecordError: the folder is no run, or a task's prompts are not those that were answered.
    """
    start = Start()
    folder = _run_folder(folder)
    old = read_record(folder)
    parent = folder if folder.is_dir() else folder.parent
    spec = _spec(old, parent, options)
    with options_in_force(spec):
        tasks = _catalogue(old, folder, options).load(spec.tasks, metadata=dict(spec.metadata) or None)
        configure(tasks.tasks, spec.prompt)
        notes = check_programs(tasks, spec.tasks, unsafe_code=options.unsafe_code)
        model = _model(old, spec.prompt, options)
        requests = build(tasks.tasks, spec.prompt, model.template)
        outcome = _outcome(old, parent, requests)
        if old.complete:  # its failures were allowed; an item left out takes its answered requests with it
            spec = replace(spec, allow_failures=max(old.allowed_failures, len(outcome.failures)))
        evaluation = Evaluation(
            spec=spec,
            model=model,
            tasks=tasks,
            requests=requests,
            notes=(f"scored again from the answers of run_{old.time}.json", *notes),
            start=start,
        )
        return finish(evaluation, outcome)


def _run_folder(path: Path) -> Path:
    """Return the only run folder below ``--output_path``; the path itself if it is one. Raises: RecordError."""
    if not path.is_dir() or (path / "run.json").exists():
        return path
    folders = sorted(file.parent for file in path.glob("*/run.json"))
    if len(folders) > 1:
        raise RecordError(f"{path}: holds {len(folders)} models; give one of {', '.join(map(str, folders))}.")
    return folders[0] if folders else path


def _catalogue(old: RunRecord, folder: Path, options: RescoreOptions) -> Catalogue:
    """Return the tasks that the user trusts: this project's, lm-eval's and those in `options`. Raises: RecordError."""
    catalogue = Catalogue(options.include_paths)
    files = [name for name in old.task_arguments.get("tasks", []) if Path(name).suffix == ".yaml"]
    if files:
        raise RecordError(
            f"{folder}: the run names the task file {files[0]}, and no file that a record names is opened; evaluate "
            "again with the task's name and --include_path."
        )
    folders = ", ".join(map(str, old.task_arguments.get("include_paths", [])))
    try:
        catalogue.check(old.task_arguments.get("tasks", []))
    except TaskError as error:
        if not folders or options.include_paths:
            raise
        raise RecordError(
            f"{folder}: {error} The run had --include_path {folders}; give a folder that you trust with "
            "--include_path, its code will be run."
        ) from None
    return catalogue


def _outcome(old: RunRecord, folder: Path, requests: Mapping[str, TaskRequests]) -> Outcome:
    """The old run's answers to today's requests; a request without one there has failed."""
    answers: dict[Request, Answer] = {}
    for name, task in requests.items():
        scored = old.tasks[name].items_scored if name in old.tasks else 0
        answers |= _answers(folder / f"samples_{name}_{old.time}.jsonl", name, task, scored)
    missing = Failure(reason="missing", message="not answered in the run that was rescored")
    distinct = {request for task in requests.values() for request in task.requests}
    failures = {request: missing for request in distinct if request not in answers}
    return Outcome(answers=answers, failures=failures, from_journal=0, engine=old.engine)


def _model(old: RunRecord, prompt: PromptSpec, options: RescoreOptions) -> ModelUnderTest:
    return ModelUnderTest(
        name=str(old.model["name"]),
        about={key: value for key, value in old.model.items() if key != "name"},
        fingerprint=old.fingerprint,
        open=_not_opened,
        template=_chat_template(old, prompt, options),
    )


def _not_opened(gold: Mapping[Request, bool | str], generates: bool) -> Engine:  # noqa: ARG001 - the shape of `ModelUnderTest.open`
    raise AssertionError("rescoring opens no engine")


def _spec(old: RunRecord, folder: Path, options: RescoreOptions) -> EvaluationSpec:
    try:
        seeds = {name: int(seed) for name, seed in old.prompt["seeds"].items()}
        dictionaries = {name: dict(old.prompt.get(name, {})) for name in ("gen_kwargs", "chat_template_args")}
        samples = {name: [int(one) for one in items] for name, items in old.prompt.get("samples", {}).items()}
        if not isinstance(old.fingerprint.get("engine"), str):
            raise TypeError("answerer lacks its engine")
        prompt = PromptSpec(**{**old.prompt, **dictionaries, "seeds": Seeds(**seeds), "samples": samples})
    except MALFORMED as error:
        problem = one_line(error, max_characters=100)
        raise RecordError(
            f"{folder}: the prompt in run_{old.time}.json is not what `harness eval` writes ({problem}); the file is "
            "damaged."
        ) from None
    return EvaluationSpec(
        models=(),
        tasks=tuple(old.task_arguments.get("tasks", [])),
        output=folder.parent,
        data_dir=options.data_dir,
        include_paths=options.include_paths,
        metadata=old.task_arguments["metadata"],
        prompt=prompt,
        allow_failures=old.allowed_failures,
        unsafe_code=options.unsafe_code,
        command=options.command,
    )


def _chat_template(old: RunRecord, prompt: PromptSpec, options: RescoreOptions) -> Template | None:
    if not prompt.apply_chat_template:
        return None
    if old.model.get("kind") == "service":
        return ServiceMessages(system_as_user=prompt.system_as_user)
    if options.model is None:
        raise RecordError(
            f"the prompts of this run were made with the chat template of {old.model.get('source')}; name that "
            "checkpoint with --model."
        )
    from harness.checkpoints.resolver import resolve

    checkpoint = resolve(options.model, revision=old.model.get("revision"), tokenizer=options.tokenizer)
    name = prompt.apply_chat_template if isinstance(prompt.apply_chat_template, str) else None
    return TokenizerChatTemplate(
        checkpoint.tokenizer, name=name, system_as_user=prompt.system_as_user, variables=prompt.chat_template_args
    )


def _answers(path: Path, name: str, task: TaskRequests, items_scored: int) -> dict[Request, Answer]:
    """Read the answers to a task's requests from a samples file, which must hold `items_scored` items."""
    wanted: dict[int, list[Request]] = {}
    for item, request in zip(task.items, task.requests, strict=True):
        wanted.setdefault(item, []).append(request)
    answers: dict[Request, Answer] = {}
    items = set()
    for number, row in enumerate(_rows(path), start=1):
        try:
            items.add(row["doc_id"])
            answers |= _answers_of_row(row, wanted.get(int(row["doc_id"]), []))
        except _OtherPromptError:
            raise RecordError(
                f"{path}: item {row['doc_id']} of {name} had another prompt than the task makes now; "
                "its answers cannot be scored again. Run `harness eval`."
            ) from None
        except MALFORMED as error:
            problem = f"lacks {error.args[0]}" if isinstance(error, KeyError) else f"not a sample ({one_line(error)})"
            raise RecordError(f"{path}, line {number}: {problem}; the file is damaged. Restore it.") from None
    if len(items) < items_scored:  # a lost answer would count as a failed request
        raise RecordError(
            f"{path}: holds {len(items)} of the {items_scored} items that were scored; the file is damaged."
        )
    return answers


class _OtherPromptError(Exception):
    """A request of today's task is not among those of the sample."""


def _answers_of_row(row: dict[str, Any], wanted: Sequence[Request]) -> dict[Request, Answer]:
    replies = dict(_replies(row))
    answers = {}
    for request in wanted:
        reply = replies.get((request.context, request.continuation or request.generation))
        if reply is None:
            raise _OtherPromptError
        repeats, encoding = reply
        answers[request] = replace(_answer(request, repeats), **encoding)
    return answers


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                try:
                    yield json.loads(line)
                except MALFORMED as error:
                    problem = one_line(error, max_characters=100)
                    raise RecordError(f"{path}, line {number}: not JSON ({problem}); the file is damaged.") from None
    except FileNotFoundError:
        return  # no item of this task was scored
    except (OSError, UnicodeDecodeError) as error:
        raise RecordError(f"{path}: cannot be read ({one_line(error, max_characters=100)}); restore it.") from None


def _replies(row: dict[str, Any]) -> Iterator[tuple[tuple[str, str], tuple[list[Any], dict[str, Any]]]]:
    """Yield ``(context, continuation or generation arguments), (answer per repeat, encoding)`` per request.

    The sample of a two-choice item holds, among other keys::

        "arguments": {"gen_args_0": {"arg_0": "2 + 2 =", "arg_1": " 4"}, "gen_args_1": {"arg_0": ..., "arg_1": " 5"}}
        "resps": [[["-0.1", "True"]], [["-4.2", "False"]]]
    """
    encodings: list[dict[str, Any]] = [{} for _ in row["resps"]]
    for field in ENCODING_FIELDS:
        for encoding, value in zip(encodings, row.get(field) or (), strict=bool(row.get(field))):
            encoding[field] = value
    for arguments, repeats, encoding in zip(row["arguments"].values(), row["resps"], encodings, strict=True):
        first, second = arguments["arg_0"], arguments.get("arg_1")
        if second is None:  # a rolling log-likelihood has no context
            key = ("", first)
        elif isinstance(second, str):
            key = (first, second)
        else:
            key = (first, json.dumps(second, sort_keys=True, ensure_ascii=False, default=str))
        yield key, (repeats, encoding)


def _answer(request: Request, repeats: list[Any]) -> Answer:
    reply = repeats[request.repeat]
    if request.kind == "generate_until":
        return Answer(text=reply)
    if request.kind == "loglikelihood_rolling":
        return Answer(logprob=float(reply))
    return Answer(logprob=float(reply[0]), is_greedy=reply[1] == "True")
