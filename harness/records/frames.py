"""Records as pandas frames, for analysis in a notebook."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from harness.records.items import FloatArray
from harness.records.results_file import ModelRecords, TaskRun
from harness.stats import estimate_mean

if TYPE_CHECKING:
    import pandas as pd

RESULTS_COLUMNS = {
    "model": "name in tables",
    "task": "task",
    "domain": "reasoning domain, or `other`",
    "metric": "metric",
    "filter": "lm-eval filter of the answers",
    "headline": "whether tables show this metric for the task",
    "value": "as recorded",
    "stderr": "standard error: clustered for a mean over items, otherwise as recorded; NaN if there is none",
    "higher_is_better": "of the headline metric; NaN for others",
    "chance": "expected value of guessing",
    "items": "items requested",
    "items_scored": "items in the value",
    "failed": "requests without an answer",
    "version": "version of the task",
    "num_fewshot": "examples in the prompt",
    "engine": "engine that answered",
    "dtype": "dtype of the computation, and the quantization, such as `bfloat16 4 bit`",
    "digest": "digest of the weights",
    "time": "start of the run",
    "results": "results file",
}
ITEMS_COLUMNS = {
    "model": "name in tables",
    "task": "task",
    "filter": "lm-eval filter",
    "doc_hash": "digest of the document; pairs items of two models",
    "prompt_hash": "digest of the prompt",
    "target_hash": "digest of the expected answer",
    "cluster": "template, passage or group of the item; empty if the task has no clusters",
}
"""Followed by one column per metric, NaN for items without a value."""


def results_frame(models: Iterable[ModelRecords]) -> pd.DataFrame:
    """Return one row per model, task and metric, with the columns `RESULTS_COLUMNS`."""
    import pandas as pd

    rows = [
        {
            "model": model.name,
            "task": run.task,
            "domain": run.domain,
            "metric": key.partition(",")[0],
            "filter": key.partition(",")[2],
            "headline": key == run.metric,
            "value": value,
            "stderr": _standard_error(run, key),
            "higher_is_better": run.higher_is_better if key == run.metric else None,
            "chance": run.chance,
            "items": run.items_requested,
            "items_scored": run.items.rows(key.partition(",")[2]).size,
            "failed": run.failed,
            "version": run.version,
            "num_fewshot": run.num_fewshot,
            "engine": run.engine,
            "dtype": run.dtype,
            "digest": model.digest,
            "time": run.time,
            "results": str(run.results),
        }
        for model in models
        for run in model.tasks.values()
        for key, value in run.metrics.items()
    ]
    return pd.DataFrame(rows, columns=list(RESULTS_COLUMNS))


def averaged_items(run: TaskRun, key: str) -> tuple[FloatArray, npt.NDArray[np.str_] | None] | None:
    """Return the values of a metric whose recorded value is their mean, and their cluster labels.

    Returns:
        Values of the answered items, shape (items,), and labels of the same shape or None; None for another metric.
    """
    metric, _, filter_name = key.partition(",")
    rows = run.items.rows(filter_name)
    column = run.items.values.get(metric)
    values = np.array([]) if column is None else column[rows]
    answered = np.isfinite(values)
    recorded = run.metrics.get(key, math.nan)
    if not answered.any() or not math.isclose(float(values[answered].mean()), recorded, rel_tol=1e-9, abs_tol=1e-12):
        return None
    return values[answered], None if run.items.cluster is None else run.items.cluster[rows][answered]


def _standard_error(run: TaskRun, key: str) -> float | None:
    """Return the clustered error of a metric that is the mean of its items, otherwise the recorded one."""
    items = averaged_items(run, key)
    return run.stderrs[key] if items is None else estimate_mean(*items).standard_error


def items_frame(models: Iterable[ModelRecords]) -> pd.DataFrame:
    """Return one row per model, task, filter and item, with the columns `ITEMS_COLUMNS` and one per metric."""
    import pandas as pd

    parts = [
        pd.DataFrame(
            {
                "model": model.name,
                "task": run.task,
                "filter": run.items.filter,
                "doc_hash": run.items.doc_hash.astype(str),
                "prompt_hash": run.items.prompt_hash.astype(str),
                "target_hash": run.items.target_hash.astype(str),
                "cluster": "" if run.items.cluster is None else run.items.cluster,
                **run.items.values,
            }
        )
        for model in models
        for run in model.tasks.values()
    ]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(ITEMS_COLUMNS))
