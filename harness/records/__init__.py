"""Evaluation records, found and loaded for whoever compares: ours and those that plain lm-eval wrote, alike.

`load` finds the runs below some folders and reads one value an item; `frames` turns them into pandas tables; `samples`
reads prompts and answers of single items. Nothing here computes a statistic or writes a file.
"""

from harness.records.frames import items_frame, results_frame
from harness.records.items import ItemTable
from harness.records.loading import Records, index, load, read, with_distinct_names
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
    "read",
    "read_samples",
    "results_frame",
    "with_distinct_names",
]
