"""The possible values of lm-eval's metrics and of this project's, for intervals and for formats that ask for them.

    range_of("acc").limits([1.0, 0.0])              # (0, 1): an interval of an accuracy ends there
    range_of("bits_per_byte").limits([0.8, 1.2])    # (0, inf)

The names and ranges follow lm-eval 0.4.13 (`lm_eval/api/metrics.py`); sacrebleu's scores are percentages.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_SHARES = frozenset(
    {
        "acc", "acc_bytes", "acc_mutual_info", "acc_norm", "em", "exact_match", "f1", "mc1", "mc2", "unparsed",
    }
)  # fmt: skip
_ABOVE_ZERO = frozenset({"bits_per_byte", "brier_score", "ter"})
_ABOVE_ONE = frozenset({"byte_perplexity", "perplexity", "word_perplexity"})
_PERCENT = frozenset({"bleu", "chrf"})


@dataclass(frozen=True, kw_only=True)
class MetricRange:
    """The possible values of a metric.

    Attributes:
        low: Smallest value; minus infinity if there is none or it is unknown.
        high: Largest value; infinity if there is none or it is unknown.
        unit: ``proportion``, ``percent``, ``nats``, ``bits`` or ``points``.
        known: Whether the range follows from the metric's name.
    """

    low: float
    high: float
    unit: str
    known: bool = True

    @property
    def is_share(self) -> bool:
        """Whether values are from 0 to 1."""
        return (self.low, self.high) == (0.0, 1.0)

    def limits(self, values: Sequence[float] | npt.NDArray[np.float64]) -> tuple[float, float]:
        """Return the smallest and the largest possible mean of `values`.

        A task may use a metric's name for another scale, such as an ``f1`` from 0 to 100. So the range counts only if
        all values are in it; otherwise both ends are infinite.
        """
        column = np.asarray(values, dtype=np.float64)
        inside = bool(((column >= self.low) & (column <= self.high)).all())
        return (self.low, self.high) if inside else (-math.inf, math.inf)


SHARE = MetricRange(low=0.0, high=1.0, unit="proportion")


def range_of(metric: str) -> MetricRange:
    """Return the range of a metric by its name without the filter, such as ``acc`` or ``pass@10``."""
    if metric in _SHARES or metric.startswith("pass@"):
        return SHARE
    if metric == "mcc":
        return MetricRange(low=-1.0, high=1.0, unit="points")
    if metric in _PERCENT:
        return MetricRange(low=0.0, high=100.0, unit="percent")
    if metric in _ABOVE_ONE:
        return MetricRange(low=1.0, high=math.inf, unit="points")
    if metric in _ABOVE_ZERO:
        return MetricRange(low=0.0, high=math.inf, unit="bits" if metric.startswith("bits") else "points")
    if metric.endswith(("logprob", "log_likelihood")):
        return MetricRange(low=-math.inf, high=0.0, unit="nats")
    return MetricRange(low=-math.inf, high=math.inf, unit="points", known=False)
