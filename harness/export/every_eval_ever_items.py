"""The items of a task in Every Eval Ever's form: one JSON line per item and filter.

A line is linked to one score of the aggregate file by ``evaluation_result_id``: the first metric of its filter that has
a value for each item, the headline metric if it is one of them. All metrics of the item are in ``metadata``. An item
whose request failed is not among the samples; the aggregate file counts it.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from harness.export.metric_ranges import range_of
from harness.records import Sample, TaskRun
from harness.records.samples import iterate_samples

_CORRECTNESS = ("acc", "exact_match")  # metrics that say whether an item's answer is right
_NOTHING = ""


def result_id(key: str) -> str:
    """Return the id of a metric within an aggregate file: ``acc``, or ``exact_match:strict-match`` with a filter."""
    metric, _, filter_name = key.partition(",")
    return metric if filter_name in ("none", _NOTHING) else f"{metric}:{filter_name}"


def item_lines(run: TaskRun, links: Mapping[str, str], model_id: str) -> Iterator[bytes]:
    """Yield the lines of a task's items.

    Args:
        run: The task.
        links: ``schema_version`` and ``evaluation_id`` of the aggregate file.
        model_id: ``org/name``.

    Raises:
        RecordError: The samples file is damaged.
    """
    metrics = {filter_name: _item_metric(run, filter_name) for filter_name in run.samples_file.filters}
    for row, sample in iterate_samples(run):
        filter_name = str(row.get("filter", "none"))
        metric = metrics.get(filter_name, _NOTHING)
        value = _number(row.get(metric))
        if value is None:  # a metric over the whole corpus has no value per item
            continue
        line = {
            **links,
            "model_id": model_id,
            "evaluation_name": run.task if filter_name == "none" else f"{run.task}/{filter_name}",
            "evaluation_result_id": result_id(f"{metric},{filter_name}"),
            "sample_id": str(row["doc_id"]),
            "sample_hash": _digest(sample.prompt, sample.target),
            "interaction_type": "single_turn",
            "input": _input(sample),
            "output": {"raw": [_output(sample)]},
            "answer_attribution": [_attribution(sample, filter_name)],
            "evaluation": {"score": value, "is_correct": _is_correct(row, metric, value)},
            "metadata": _metadata(row, filter_name),
        }
        yield (json.dumps(line, ensure_ascii=False) + "\n").encode()


def _item_metric(run: TaskRun, filter_name: str) -> str:
    """The metric that stands for an item's score under a filter; empty if none has a value per item."""
    keys = [run.metric, *run.metrics] if run.metric.partition(",")[2] == filter_name else list(run.metrics)
    names = [key.partition(",")[0] for key in keys if key.partition(",")[2] == filter_name]
    return next((name for name in names if name in run.items.values), _NOTHING)


def _number(value: object) -> float | None:
    if isinstance(value, int | float) and math.isfinite(value):
        return float(value)
    return None


def _is_correct(row: Mapping[str, Any], metric: str, value: float) -> bool:
    """Whether the answer is right; of a log-likelihood, whether another metric of the item says so."""
    if range_of(metric).is_share:
        return value == 1.0
    return any(_number(row.get(name)) == 1.0 for name in _CORRECTNESS)


def _input(sample: Sample) -> dict[str, Any]:
    choices = {"choices": list(sample.choices)} if sample.choices else {}
    return {"raw": sample.prompt, "reference": [sample.target], **choices}


def _output(sample: Sample) -> str:
    """The generated text, or the most likely choice."""
    return sample.text if sample.chosen is None else sample.choices[sample.chosen]


def _attribution(sample: Sample, filter_name: str) -> dict[str, Any]:
    method = "highest log-likelihood" if sample.chosen is not None else filter_name
    return {
        "turn_idx": 0,
        "source": "output.raw",
        "extracted_value": sample.answer,
        "extraction_method": method,
        "is_terminal": True,
    }


def _metadata(row: Mapping[str, Any], filter_name: str) -> dict[str, str]:
    digests = {name: str(row.get(name, "")) for name in ("doc_hash", "prompt_hash", "target_hash")}
    metrics = {name: row[name] for name in row.get("metrics") or () if name in row}
    return {**digests, "filter": filter_name, "lm_eval_metrics": json.dumps(metrics, default=str)}


def _digest(prompt: str, target: str) -> str:
    """The digest that Every Eval Ever's own converter computes, so that items of both are paired."""
    return hashlib.sha256(json.dumps({"raw": prompt, "reference": target}, sort_keys=True).encode()).hexdigest()
