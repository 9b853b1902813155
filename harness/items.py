"""Functions that make items; task files import them from here. The code is in `harness.suite.items`."""

from harness.suite.item_table import Item
from harness.suite.items import choice_item, cluster_of, lettered_requests, named_splits, reserve, splits

__all__ = ["Item", "choice_item", "cluster_of", "lettered_requests", "named_splits", "reserve", "splits"]
