"""Score the answers of an old run again: after a metric, a filter or a key was changed, without asking anything.

The answers come from the run's own samples files, so that neither the journal nor the weights are needed.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from harness.engines.base import Answer, Engine, Failure, Request
from harness.errors import RecordError
from harness.evaluation.answering import Outcome
from harness.evaluation.chat_template import ServiceMessages, Template, TokenizerChatTemplate
from harness.evaluation.model_under_test import ModelUnderTest
from harness.evaluation.requests import PromptSpec, Seeds, TaskRequests, build, configure
from harness.evaluation.run import DoneRun, check_programs, finish
from harness.evaluation.spec import EvaluationSpec
from harness.records import run_folder as runs
from harness.suite.catalogue import Catalogue


def rescore(folder: Path, *, command: str = "", unsafe_code: bool = False) -> DoneRun:
    """Score a run's answers with today's tasks and write the result beside it, as a run of its own.

    Raises:
        RecordError: when the folder is no run, or a task's prompts are no longer those that were answered.
    """
    started, clock = datetime.now(), time.perf_counter()
    old = runs.read_record(folder)
    if old.asked_for.get("data_dir"):
        os.environ.setdefault("HARNESS_DATA", str(old.asked_for["data_dir"]))
    parent = folder if folder.is_dir() else folder.parent
    spec = _spec(old, parent, command=command, unsafe_code=unsafe_code)
    loaded = Catalogue(spec.include_paths).load(spec.tasks, metadata=dict(spec.metadata) or None)
    configure(loaded.tasks, spec.prompt)
    more_notes = check_programs(loaded, spec.tasks, unsafe_code=unsafe_code)
    chat = _chat_template(old, spec.prompt)
    asked = build(loaded.tasks, spec.prompt, chat)
    answers: dict[Request, Answer] = {}
    for name, task_asked in asked.items():
        scored = old.tasks[name].items_scored if name in old.tasks else 0
        answers |= _answers(parent / f"samples_{name}_{old.time}.jsonl", name, task_asked, scored)
    lost = Failure(reason="missing", message="not answered in the run that was rescored")
    requests = {request for task_asked in asked.values() for request in task_asked.requests}
    failures = {request: lost for request in requests if request not in answers}
    outcome = Outcome(answers=answers, failures=failures, from_journal=len(answers), engine=old.engine)
    candidate = ModelUnderTest(
        name=str(old.model["name"]),
        about={key: value for key, value in old.model.items() if key != "name"},
        answerer=old.answerer,
        open=_not_opened,
    )
    notes = [f"scored again from the answers of run_{old.time}.json", *more_notes]
    if old.complete:  # the failures were allowed then; items left out take their answered requests with them
        spec = replace(spec, allow_failures=max(old.allowed_failures, len(failures)))
    return finish(candidate, chat, loaded, asked, outcome, spec, started=started, clock=clock, notes=notes)


def _not_opened(gold: Mapping[Request, bool | str]) -> Engine:  # noqa: ARG001 - the shape of `ModelUnderTest.open`
    raise AssertionError("rescoring asks nothing")


def _spec(old: runs.RunRecord, folder: Path, *, command: str, unsafe_code: bool) -> EvaluationSpec:
    prompt = {**old.prompt, "seeds": Seeds(**old.prompt["seeds"])}
    return EvaluationSpec(
        models=(),
        tasks=tuple(old.asked_for["tasks"]),
        output=folder.parent,
        include_paths=tuple(Path(path) for path in old.asked_for["include_paths"]),
        metadata=old.asked_for["metadata"],
        prompt=PromptSpec(**prompt),
        allow_failures=old.allowed_failures,
        unsafe_code=unsafe_code,
        command=command,
    )


def _chat_template(old: runs.RunRecord, prompt: PromptSpec) -> Template | None:
    if not prompt.apply_chat_template:
        return None
    if old.model.get("kind") == "service":
        return ServiceMessages()
    from harness.checkpoints.resolver import resolve

    checkpoint = resolve(str(old.model["source"]), revision=old.model.get("revision"))
    name = prompt.apply_chat_template if isinstance(prompt.apply_chat_template, str) else None
    return TokenizerChatTemplate(checkpoint.tokenizer, name=name)


def _answers(path: Path, task: str, asked: TaskRequests, scored: int) -> dict[Request, Answer]:
    """Pair the requests of the items in a samples file, `scored` in number, with what was answered there."""
    wanted: dict[int, list[Request]] = {}
    for item, request in zip(asked.items, asked.requests, strict=True):
        wanted.setdefault(item, []).append(request)
    found: dict[Request, Answer] = {}
    items = set()
    for number, row in enumerate(_rows(path), start=1):
        try:
            items.add(row["doc_id"])
            found |= _of_row(row, wanted.get(int(row["doc_id"]), []))
        except _OtherPromptError:
            raise RecordError(
                f"{path}: item {row['doc_id']} of {task} was asked with another prompt than today's task makes; "
                "its answers cannot be scored again. Run `harness eval`."
            ) from None
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            raise RecordError(
                f"{path}, line {number}: not a sample ({type(error).__name__}: {error}); the file is damaged."
            ) from None
    if len(items) < scored:  # or lost answers would pass for failed requests
        raise RecordError(f"{path}: holds {len(items)} of the {scored} items that were scored; the file is damaged.")
    return found


class _OtherPromptError(Exception):
    """A request of today's task is not among those of the sample."""


def _of_row(row: dict[str, Any], wanted: Sequence[Request]) -> dict[Request, Answer]:
    said = dict(_said(row))
    found = {}
    for request in wanted:
        answered = said.get((request.context, request.continuation or request.generation))
        if answered is None:
            raise _OtherPromptError
        texts, cut = answered
        found[request] = replace(_answer(request, texts), cut_tokens=cut)
    return found


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                try:
                    yield json.loads(line)
                except json.JSONDecodeError as error:
                    raise RecordError(f"{path}, line {number}: not JSON ({error.msg}); the file is damaged.") from None
    except FileNotFoundError:
        return  # no item of this task could be scored then


def _said(row: dict[str, Any]) -> Iterator[tuple[tuple[str, str], tuple[list[Any], int]]]:
    """Yield ``(context, continuation or generation arguments), (answers, tokens cut)`` for each request of a sample."""
    cuts = row.get("cut_tokens") or [0] * len(row["resps"])
    for arguments, answers, cut in zip(row["arguments"].values(), row["resps"], cuts, strict=True):
        texts = (answers, cut)
        first, second = arguments["arg_0"], arguments.get("arg_1")
        if second is None:
            yield ("", first), texts
        elif isinstance(second, str):
            yield (first, second), texts
        else:
            yield (first, json.dumps(second, sort_keys=True, ensure_ascii=False, default=str)), texts


def _answer(request: Request, texts: list[Any]) -> Answer:
    said = texts[request.repeat]
    if request.kind == "generate_until":
        return Answer(text=said)
    if request.kind == "loglikelihood_rolling":
        return Answer(logprob=float(said))
    return Answer(logprob=float(said[0]), is_greedy=said[1] == "True")
