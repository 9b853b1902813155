"""Files of a hub repository: ``ORG__NAME/README.md`` with a model index, and ``ORG__NAME/.eval_results/TASK.yaml``.

The README is the model card; `model_card` writes its text. ``.eval_results`` feeds the leaderboard of a benchmark
data set (https://huggingface.co/docs/hub/eval-results). Only a task that names its benchmark in its YAML gets a file::

    metadata:
      hub_benchmark: {dataset: openai/gsm8k, task_id: gsm8k, metric: "exact_match,strict-match", percent: true}

``metric`` is the headline metric if left out, ``percent`` states the value from 0 to 100, and ``revision`` may name
the commit of the data set. A run with left-out items, because of a limit or of failed requests, is no result of the
benchmark: it gets no file, and a note says so.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import yaml

from harness.export.dataset_sources import source_of
from harness.export.estimates import estimate
from harness.export.model_card import base_models, card_text, hub_datasets, stage_kinds
from harness.export.registry import ExportFile, ExportOptions
from harness.export.runs import ExportedRun, exported_runs, malformed_is_damage
from harness.records import Records, TaskRun
from harness.records.run_folder import sanitized

if TYPE_CHECKING:
    from huggingface_hub import EvalResult, EvalResultEntry, ModelCardData

KEYS = ("dataset", "task_id", "metric", "percent", "revision")


def export(records: Records, options: ExportOptions) -> Iterator[ExportFile]:
    """Yield the model card of each model, and the benchmark results of its tasks."""
    for _, grouped in itertools.groupby(exported_runs(records, options), key=lambda run: id(run.model)):
        runs = list(grouped)
        folder = PurePosixPath(sanitized(runs[0].model_id))
        for run in runs:
            with malformed_is_damage(run.file):
                entries = {
                    name: _entry_yaml(entry) for name in run.tasks if (entry := _entry(run, name, options)) is not None
                }
            for name, text in entries.items():
                yield ExportFile(path=folder / ".eval_results" / f"{name}.yaml", content=[text])
        with malformed_is_damage(runs[0].file):
            readme = f"---\n{_card_data(runs).to_yaml()}\n---\n\n{card_text(runs)}".encode()
        yield ExportFile(path=folder / "README.md", content=[readme])


def _card_data(runs: Sequence[ExportedRun]) -> ModelCardData:
    """The metadata of the card, with the model index."""
    from huggingface_hub import ModelCardData

    model = runs[0].model
    record = runs[0].contents.record
    adapted = record is not None and "base" in record.model
    return ModelCardData(
        base_model=base_models(model.lineage) or None,
        datasets=hub_datasets(model.lineage) or None,
        library_name="peft" if adapted else "transformers",
        tags=["stage-harness", *stage_kinds(model.lineage)],
        model_name=runs[0].model_id.partition("/")[2],
        eval_results=[result for run in runs for name in run.tasks for result in _model_index(run, name)],
    )


def _model_index(run: ExportedRun, name: str) -> Iterator[EvalResult]:
    """One entry per metric of a task; interval and failures stand in the arguments of the metric."""
    from huggingface_hub import EvalResult

    task, source = run.tasks[name], source_of(run.contents, name)
    for key in task.metrics:
        figures = estimate(task, key)
        metric, _, filter_name = key.partition(",")
        arguments: dict[str, Any] = {"items": figures.items, "failed_requests": task.failed}
        if figures.error is not None:
            arguments["standard_error"] = figures.error
        if figures.low is not None:
            arguments["interval_95"] = [figures.low, figures.high]
        yield EvalResult(
            task_type="text-generation",
            task_name=task.domain,
            dataset_type=source.hub or task.items_from,
            dataset_name=name,
            dataset_config=name,  # the hub groups metrics by type and configuration of the data set
            dataset_split=source.split or None,
            dataset_args={"num_few_shot": task.num_fewshot},
            metric_type={"acc": "accuracy"}.get(metric, metric),
            metric_name=metric if filter_name == "none" else f"{metric} ({filter_name})",
            metric_value=figures.value,
            metric_args=arguments,
        )


def _entry(run: ExportedRun, name: str, options: ExportOptions) -> EvalResultEntry | None:
    """The task's result for the leaderboard of its benchmark; None without a benchmark or a whole result."""
    from huggingface_hub import EvalResultEntry

    task, config = run.tasks[name], run.contents.results["configs"].get(name) or {}
    benchmark = (config.get("metadata") or {}).get("hub_benchmark")
    if not benchmark:
        return None
    fault = _fault(benchmark, task)
    if fault:
        options.note(f"{run.model.name}, {name}: no entry for its benchmark, because hub_benchmark {fault}.")
        return None
    missing = _left_out(run, task)
    if missing:
        options.note(f"{run.model.name}, {name}: no entry for {benchmark['dataset']}, because {missing}.")
        return None
    figures = estimate(task, _metric_key(task, benchmark))
    scale = 100.0 if benchmark.get("percent") else 1.0
    date = run.contents.results.get("date")
    return EvalResultEntry(
        dataset_id=str(benchmark["dataset"]),
        task_id=str(benchmark["task_id"]),
        value=figures.value * scale,
        dataset_revision=benchmark.get("revision"),
        date=None if date is None else datetime.fromtimestamp(int(date), UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        notes=_remarks(task, [None if end is None else end * scale for end in (figures.low, figures.high)]),
    )


def _fault(benchmark: object, task: TaskRun) -> str:
    """What is wrong with a task's ``hub_benchmark``, and what is allowed; empty if nothing is."""
    if not isinstance(benchmark, Mapping):
        return f"is {benchmark!r:.60}; give a mapping such as {{dataset: org/name, task_id: main}}"
    for key in ("dataset", "task_id"):
        if not benchmark.get(key):
            return f"lacks {key}; add it to the task's YAML"
    unknown = next((key for key in benchmark if key not in KEYS), None)
    if unknown is not None:
        return f"has an unknown key {unknown!r:.60}; give {', '.join(KEYS)}"
    if _metric_key(task, benchmark) not in task.metrics:
        return f"names the metric {benchmark.get('metric')!r:.60}; give one of {', '.join(task.metrics)}"
    return ""


def _metric_key(task: TaskRun, benchmark: Mapping[str, Any]) -> str:
    """The metric that the benchmark counts, as ``name,filter``; the wanted name if the run lacks it."""
    wanted = str(benchmark.get("metric") or task.metric)
    return next((key for key in task.metrics if wanted in (key, key.partition(",")[0])), wanted)


def _left_out(run: ExportedRun, task: TaskRun) -> str:
    """Why a run does not cover the whole benchmark; empty if it does."""
    if task.failed:
        return f"{task.failed:,} requests failed"
    counts = run.contents.results.get("n-samples", {}).get(task.task, {})
    original, effective = counts.get("original"), counts.get("effective")
    if original is not None and original != effective:
        return f"only {effective:,} of {original:,} items were run"
    return ""


def _remarks(task: TaskRun, ends: Sequence[float | None]) -> str:
    low, high = ends
    interval = "" if low is None or high is None else f", 95% interval {low:.4g} to {high:.4g}"
    prompting = "" if task.prompting == "plain" else f", {task.prompting}"
    return f"{task.num_fewshot}-shot{prompting}{interval}"


def _entry_yaml(entry: EvalResultEntry) -> bytes:
    from huggingface_hub import eval_result_entries_to_yaml

    return yaml.safe_dump(eval_result_entries_to_yaml([entry]), sort_keys=False, allow_unicode=True).encode()
