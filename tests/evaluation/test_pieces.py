"""A large task that goes through lm-eval in pieces has the samples and the results that it has as a whole."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.engines.base import Failure, Request
from harness.evaluation import pieces
from harness.evaluation.answering import Outcome
from harness.evaluation.evaluation import Evaluation
from harness.evaluation.requests import PromptSpec, gold_answers
from harness.evaluation.rescoring import RescoreOptions, rescore
from harness.evaluation.run import evaluate_all
from harness.evaluation.scoring import Scores, score
from harness.evaluation.spec import EvaluationSpec
from harness.suite.catalogue import Catalogue
from tests.evaluation.test_frozen import KINDS, SAMPLERS, begin, scripted_answer, write_task

FILTERS = """filter_list:
  - name: first letter
    filter:
      - {function: regex, regex_pattern: "^(.)"}
      - {function: take_first}
"""


def _scored(evaluation: Evaluation, failing: set[Request]) -> tuple[Scores, str]:
    """The scores of an evaluation, and all of its samples as text."""
    requests = [request for task in evaluation.requests.values() for request in task.requests]
    answers = {request: scripted_answer(request) for request in requests if request not in failing}
    failures = dict.fromkeys(failing, Failure(reason="error", message="made to fail"))
    lines: list[str] = []
    scores = score(
        evaluation,
        Outcome(answers=answers, failures=failures),
        lambda _, rows: lines.extend(json.dumps(row, default=repr) for row in rows),
    )
    return scores, "\n".join(lines)


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("kind", KINDS)
def test_pieces_give_what_the_whole_gives(
    kind: str, sampler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_task(tmp_path / "tasks", kind, sampler)
    if kind == "generate_until":
        (folder / "task.yaml").write_text((folder / "task.yaml").read_text() + FILTERS, encoding="utf-8")
    whole = begin(folder, tmp_path, kind)
    monkeypatch.setattr(pieces, "LARGE", 5)
    monkeypatch.setattr(pieces, "ITEMS", 5)
    parts = begin(folder, tmp_path, kind)
    one, other = whole.requests["frozen"], parts.requests["frozen"]
    assert isinstance(other.instances, pieces.Forms)
    assert (one.requests, one.items) == (other.requests, other.items)
    assert gold_answers(whole.tasks.tasks, whole.requests) == gold_answers(parts.tasks.tasks, parts.requests)
    few = set(random.Random(kind).sample(one.requests, 2))
    for failing in (set(), few, set(one.requests)):
        assert _scored(whole, failing) == _scored(parts, failing)


def test_a_limit_ends_within_a_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_task(tmp_path / "tasks", "multiple_choice", "first")
    monkeypatch.setattr(pieces, "LARGE", 5)
    monkeypatch.setattr(pieces, "ITEMS", 5)
    evaluation = begin(folder, tmp_path, "multiple_choice", limit=7)
    built = evaluation.requests["frozen"]
    assert isinstance(built.instances, pieces.Forms)
    assert set(built.items) == set(range(7))
    assert len(_scored(evaluation, set())[0].items["frozen"]) == 7


def test_an_item_without_choices_moves_no_answer_to_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_task(tmp_path / "tasks", "multiple_choice", "first")
    rows = [json.loads(line) for line in (folder / "test.jsonl").read_text().splitlines()]
    rows[3]["choices"] = []
    (folder / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    whole = begin(folder, tmp_path, "multiple_choice")
    monkeypatch.setattr(pieces, "LARGE", 5)
    monkeypatch.setattr(pieces, "ITEMS", 5)
    parts = begin(folder, tmp_path, "multiple_choice")
    assert isinstance(parts.requests["frozen"].instances, pieces.Forms)
    assert _scored(whole, set()) == _scored(parts, set())


@pytest.mark.parametrize(
    "lines",
    [
        "process_results: !function own.changes\n",
        "filter_list: [{name: own, filter: [{function: custom, filter_fn: !function own.all_at_once}]}]\n",
        "filter_list: [{name: a, filter: [{function: take_first}]}, {name: b, filter: [{function: take_first}]}]\n",
    ],
)
def test_a_task_whose_pieces_could_differ_stays_whole(
    lines: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_task(tmp_path / "tasks", "multiple_choice", "first")
    (folder / "own.py").write_text(
        "def changes(doc, results):\n    return {'acc': 0}\n\n\ndef all_at_once(resps, docs):\n    return resps\n",
        encoding="utf-8",
    )
    (folder / "task.yaml").write_text((folder / "task.yaml").read_text() + lines, encoding="utf-8")
    monkeypatch.setattr(pieces, "LARGE", 5)
    monkeypatch.setattr(pieces, "ITEMS", 5)
    task = Catalogue([folder]).load(["frozen"]).tasks["frozen"]
    assert not pieces.can_be_divided(task, 12)


def _files(folder: Path) -> dict[str, Any]:
    """What the latest run in a folder says about values: lm-eval's results by task, and every sample."""
    results = json.loads(max(folder.glob("results_*.json")).read_text())
    samples = {path.name.split("_20")[0]: path.read_text() for path in sorted(folder.glob("samples_*"))}
    return {"results": results["results"], "hashes": results["task_hashes"], **samples}


def _run(output: Path, tasks: Path, **options: Any) -> dict[str, Any]:
    """Evaluate two scripts one after the other; returns what each wrote."""
    spec = EvaluationSpec(
        models=("corrupted", "oracle"),
        tasks=("frozen",),
        include_paths=(tasks,),
        output=output,
        prompt=PromptSpec(num_fewshot=2),
        **options,
    )
    done = list(evaluate_all(replace(spec, engine=replace(spec.engine, backend="scripted"))))
    return {one.record.model["name"]: _files(output / one.record.model["name"]) for one in done}


def _again(output: Path, tasks: Path) -> dict[str, Any]:
    """Evaluate, then score the answers of each run again."""
    _run(output, tasks)
    for path in output.iterdir():
        rescore(path, RescoreOptions(include_paths=(tasks,)))
    return {path.name: _files(path) for path in output.iterdir()}


@pytest.mark.parametrize(
    "run",
    [_run, _again, lambda output, tasks: _run(output, tasks, predict_only=True)],
    ids=["several models", "scored again", "answers alone"],
)
@pytest.mark.parametrize("kind", ["multiple_choice", "generate_until"])
def test_records_of_runs_in_pieces_are_those_of_whole_ones(
    kind: str, run: Callable[[Path, Path], dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = write_task(tmp_path / "tasks", kind, "first")
    whole = run(tmp_path / "whole", tasks)
    assert whole.keys() == {"corrupted", "oracle"}
    assert whole["oracle"] != whole["corrupted"]
    monkeypatch.setattr(pieces, "LARGE", 5)
    monkeypatch.setattr(pieces, "ITEMS", 5)
    assert run(tmp_path / "parts", tasks) == whole
