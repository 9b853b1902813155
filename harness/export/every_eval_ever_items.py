"""The items of a task in Every Eval Ever's form: one JSON line per item, filter and metric.

A line is linked to one score of the aggregate file by ``evaluation_result_id``, so that an item has a line for each
metric of which it has a value; a metric over the whole corpus, such as BLEU, has none. An item whose request failed is
not among the samples; the aggregate file counts it.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from harness.metric_ranges import range_of
from harness.records import Sample, TaskRun
from harness.records.samples import iterate_samples

_CORRECTNESS = ("acc", "exact_match")  # metrics that say whether an item's answer is right


def result_id(key: str) -> str:
    """Return the id of a metric within an aggregate file: ``acc``, or ``exact_match:strict-match`` with a filter."""
    metric, _, filter_name = key.partition(",")
    return metric if filter_name in ("none", "") else f"{metric}:{filter_name}"


def item_lines(run: TaskRun, links: Mapping[str, str], model_id: str) -> Iterator[bytes]:
    """Yield the lines of a task's items.

    Args:
        run: The task.
        links: ``schema_version`` and ``evaluation_id`` of the aggregate file.
        model_id: ``org/name``.

    Raises:
        RecordError: The samples file is damaged.
    """
    for row, sample in iterate_samples(run):
        filter_name = str(row.get("filter", "none"))
        item = {
            **links,
            "model_id": model_id,
            "evaluation_name": run.task if filter_name == "none" else f"{run.task}/{filter_name}",
            "sample_id": str(row["doc_id"]),
            "sample_hash": _digest(sample.prompt, sample.target),
            "interaction_type": "single_turn",
            "input": _input(sample),
            "output": {"raw": [_output(sample)]},
            "answer_attribution": [_attribution(sample, filter_name)],
            "metadata": _metadata(row, filter_name),
        }
        for key in run.metrics:
            metric, _, of = key.partition(",")
            value = _number(row.get(metric))
            if of == filter_name and value is not None:
                score = {"score": value, "is_correct": _is_correct(row, metric, value)}
                line = {**item, "evaluation_result_id": result_id(key), "evaluation": score}
                yield (json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n").encode()


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
    return {**digests, "filter": filter_name}


def _digest(prompt: str, target: str) -> str:
    """The digest that Every Eval Ever's own converter computes, so that items of both are paired."""
    return hashlib.sha256(json.dumps({"raw": prompt, "reference": target}, sort_keys=True).encode()).hexdigest()
