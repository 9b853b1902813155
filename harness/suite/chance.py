"""The expected accuracy of a guess, item by item.

- A choice among n, of which k count as right: k / n. Usually k is 1.
- A set of letters that must be exactly right (JEC-QA's ``_subset``): the guess is one letter, drawn from the n options.
  It is right for 1 / n of the items with one right option, and for none of the others. A draw among all sets would be
  right less often, so it is no fair comparison.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from harness.suite.choice_keys import CHOICES, choices_and_keys, positions

if TYPE_CHECKING:
    from lm_eval.api.task import Task

# Metrics that are 1 for an item whose most likely choice is a right one.
ACCURACIES = ("acc", "acc_norm", "acc_bytes", "acc_mutual_info")


def chance_of(task: Task, metric: str, items: Collection[int]) -> float:
    """Return the value of a task's headline metric that is expected from guessing.

    For an accuracy over choices it is computed from these items; otherwise it is the level that the task's metadata
    names, or 0.

    Args:
        task: The task.
        metric: Name of the metric, without its filter.
        items: Positions of the evaluated items.
    """
    metadata = task.get_config("metadata") or {}
    if task.OUTPUT_TYPE != CHOICES or (metric not in ACCURACIES and "chance" in metadata):
        return float(metadata.get("chance", 0.0))
    docs = task.eval_docs
    return sum(item_chance(task, docs[item]) for item in items) / len(items)


def item_chance(task: Task, doc: Mapping[str, Any]) -> float:
    """Return the probability that a guess is right for one item of choices, 0 if it has none."""
    if "subsets" in doc:
        return (len(doc["answer"]) == 1) / len(doc["choices"])
    choices, keys = choices_and_keys(task, doc)
    return len(positions(choices, keys)) / len(choices) if choices else 0.0
