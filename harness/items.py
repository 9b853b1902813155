"""Items as task files make them. This is the name that task files import; the code is in `harness.suite.items`."""

from harness.suite.items import Item, choice_item, cluster_of, lettered_requests, reserve, splits

__all__ = ["Item", "choice_item", "cluster_of", "lettered_requests", "reserve", "splits"]
