"""Records as pandas frames, for analysis in a notebook."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from harness.records.results_file import ModelRecords

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
    "stderr": "recorded standard error; NaN if there is none",
    "higher_is_better": "of the headline metric; NaN for others",
    "chance": "expected value of guessing",
    "items": "items requested",
    "items_scored": "items in the value",
    "failed": "requests without an answer",
    "version": "version of the task",
    "num_fewshot": "examples in the prompt",
    "engine": "engine that answered",
    "dtype": "dtype of the computation",
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
            "stderr": run.stderrs[key],
            "higher_is_better": run.higher_is_better if key == run.metric else None,
            "chance": run.chance,
            "items": run.items_asked,
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
