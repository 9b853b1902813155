"""What is wrong with the items of a task: their number, keys, answers, few-shot examples and tests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from harness.errors import TaskError, one_line
from harness.suite.chance import item_chance
from harness.suite.choice_keys import CHOICES, key_fault
from harness.suite.code_filter import run_tests, runs_programs
from harness.suite.code_items import faults_of
from harness.suite.metadata import metadata_faults

if TYPE_CHECKING:
    from lm_eval.api.task import Task

CHANCE_TOLERANCE = 1e-3


def item_faults(task: Task, metadata: Mapping[str, Any]) -> Iterator[str]:
    """Yield one sentence per fault of the evaluated items.

    Args:
        task: The task, built.
        metadata: Its metadata; `items` and `chance` are compared with the items.
    """
    docs = list(task.eval_docs)
    if metadata.get("items") is not None and len(docs) != metadata["items"]:
        yield f"{len(docs)} items, metadata says {metadata['items']}."
    if _shows_evaluated_items(task, docs):
        yield (
            "an evaluated item is also a few-shot example; set fewshot_split to a split that is not evaluated, or "
            "`fewshot_config: {sampler: first_n, samples: []}` for none."
        )
    yield from (f"{fault}." for fault in metadata_faults(task))
    yield from _field_faults(task, docs)
    with_programs = runs_programs(task)
    for number, doc in enumerate(docs):
        yield from (f"item {name_of(doc, number)}: {fault}." for fault in _doc_faults(task, doc, with_programs))
    yield from _chance_faults(task, docs, metadata)


def _field_faults(task: Task, docs: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the templates that are one word but no field: lm-eval takes the word itself as text, for every item."""
    for name in ("doc_to_text", "doc_to_target", "doc_to_choice"):
        field = getattr(task.config, name)
        if docs and isinstance(field, str) and field.isidentifier() and field not in docs[0]:
            yield f"{name}: {field!r} is no field of the items ({', '.join(docs[0])})."


def _doc_faults(task: Task, doc: Mapping[str, Any], with_programs: bool) -> Iterator[str]:
    if with_programs:
        yield from faults_of(doc)
    target = task.config.doc_to_target
    if isinstance(target, str) and target in doc and doc[target] is None and not with_programs:
        yield f"{target} is missing, so there is no right answer"
    if "answer" in doc:
        yield from _answer_faults(doc)
    if "choices" in doc and "gold" in doc:
        yield from _gold_faults(doc["choices"], doc["gold"])
    elif task.OUTPUT_TYPE == CHOICES and not callable(task.config.process_results):
        fault = key_fault(task, doc)
        if fault:
            yield fault


def reference_faults(task: Task) -> Iterator[str]:
    """Yield which reference solutions of a code task do not pass their tests. Raises: SandboxError."""
    targets = ((number, doc, task.doc_to_target(doc)) for number, doc in enumerate(task.eval_docs))
    given = [(number, doc, text) for number, doc, text in targets if isinstance(text, str) and text.strip()]
    results = run_tests([[text] for _, _, text in given], [doc for _, doc, _ in given])
    for (number, doc, _), result in zip(given, results, strict=True):
        if not result["passed"][0]:
            detail = f": {result['detail'][0]}" if result["detail"][0] else ""
            yield f"item {name_of(doc, number)}: its reference solution does not pass ({result['status'][0]}{detail})."


def wrong_keys(name: str, task: Task) -> str:
    """Return a note on the items whose key is none of their choices, which lm-eval scores as wrong; else nothing.

    Raises:
        TaskError: A key or the choices of an item cannot be rendered.
    """
    if task.OUTPUT_TYPE != CHOICES or callable(task.config.process_results):
        return ""
    faults = {}
    for number, doc in enumerate(task.eval_docs):
        try:
            fault = key_fault(task, doc)
        # Templates and functions are the task author's code and may raise anything.
        except Exception as error:
            reason = one_line(error, max_characters=200)
            raise TaskError(
                f"task {name}: item {name_of(doc, number)}: no key or choices ({type(error).__name__}: {reason}); "
                "correct the item, doc_to_target or doc_to_choice."
            ) from error
        if fault:
            faults[name_of(doc, number)] = fault
    if not faults:
        return ""
    first = next(iter(faults))
    counted = f"{len(faults)} items have" if len(faults) > 1 else "1 item has"
    return (
        f"{name}: {counted} no right choice, so every answer counts as wrong, as in lm-eval (item {first}: "
        f"{faults[first]})."
    )


def _shows_evaluated_items(task: Task, docs: Sequence[Mapping[str, Any]]) -> bool:
    """Whether an example may be an evaluated item. A task that names no examples and no number of them shows none."""
    named = task.get_config("fewshot_split") or task.get_config("num_fewshot")
    if task.get_config("num_fewshot") == 0 or not named:
        return False
    shown = {_question_of(doc) for doc in task.fewshot_docs()}
    return any(_question_of(doc) in shown for doc in docs)


def _question_of(doc: Mapping[str, Any]) -> str:
    fields = ("context", "question", "code", "call", "choices")
    return repr([doc.get(field) for field in fields] if any(field in doc for field in fields) else doc)


def name_of(doc: Mapping[str, Any], number: int) -> str:
    """Return an item's id, or its number."""
    return str(doc["id"]) if doc.get("id") is not None else str(number)


def _gold_faults(choices: Sequence[str], gold: Any) -> Iterator[str]:
    if not isinstance(gold, int) or not 0 <= gold < len(choices):
        yield f"key {gold} is out of range for {len(choices)} choices"
    elif choices.count(choices[gold]) > 1:
        yield "another choice has the same text as the right one"


def _answer_faults(doc: Mapping[str, Any]) -> Iterator[str]:
    answer = doc["answer"]
    if not str(answer).strip():
        yield "the answer is empty"
    elif "subsets" in doc and answer not in doc["subsets"]:
        yield f"answer {answer!r} is none of {', '.join(doc['subsets'])}"


def _chance_faults(task: Task, docs: Sequence[Mapping[str, Any]], metadata: Mapping[str, Any]) -> Iterator[str]:
    if "chance" not in metadata:
        return
    if task.OUTPUT_TYPE == CHOICES:
        expected = [item_chance(task, doc) for doc in docs]
    else:
        expected = [1 / len(doc["choices"]) for doc in docs if doc.get("choices") and "gold" in doc]
    mean = sum(expected) / len(expected) if expected else None
    if mean is not None and abs(mean - metadata["chance"]) > CHANCE_TOLERANCE:
        yield f"chance {metadata['chance']} should be {mean:.6g}, the expected score of a guess."
