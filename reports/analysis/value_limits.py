"""The smallest and largest value of an item, by the metric's name; by the values only where the name says nothing.

item_limits("acc,none", values)         # (0, 1)
item_limits("bleu,none", values)        # (0, 100), even if all values lie between 0 and 1
item_limits("my_score,none", values)    # (0, 1) if all values lie there, otherwise unlimited
item_limits("my_loss,none", values, is_loss=True)    # unlimited, even if all values lie between 0 and 1
"""

from __future__ import annotations

from harness.metric_ranges import SHARE, range_of
from harness.stats.clustered import FloatArray
from harness.stats.limits import UNLIMITED, Limits


def item_limits(metric: str, values: FloatArray, *, is_loss: bool = False) -> Limits:
    """Return the smallest and the largest value of an item; infinite if it is not limited.

    Args:
        metric: As ``name,filter``.
        values: The values that items have, of any shape.
        is_loss: Whether less is better: a loss without a known name is not limited, wherever its values lie.
    """
    by_name = range_of(metric.partition(",")[0])
    if is_loss and not by_name.known:
        return UNLIMITED
    return (by_name if by_name.known else SHARE).limits(values)


def are_shares(metric: str, values: FloatArray) -> bool:
    """Return whether each item has a value from 0 to 1, and could have no other."""
    return item_limits(metric, values) == (0.0, 1.0)
