"""Evaluation records: finding and loading runs that this harness or plain lm-eval wrote.

    from harness.records import load, results_frame

    records = load([Path("runs")])
    results_frame(records.models)  # one row per model, task and metric

`load` finds the runs below some folders and reads one value per item; `frames` converts them to pandas tables;
`samples` reads prompts and answers of single items; `run_folder` writes a run. Nothing here computes statistics.
"""

from harness.records.frames import items_frame, results_frame
from harness.records.items import ItemTable
from harness.records.loading import Records, index, load, read
from harness.records.naming import naming_notes, with_distinct_names
from harness.records.results_file import ModelRecords, TaskRun
from harness.records.samples import Sample, read_samples

__all__ = [
    "ItemTable",
    "ModelRecords",
    "Records",
    "Sample",
    "TaskRun",
    "index",
    "items_frame",
    "load",
    "naming_notes",
    "read",
    "read_samples",
    "results_frame",
    "with_distinct_names",
]
