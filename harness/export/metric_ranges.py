"""The possible values of lm-eval's metrics and of this project's, for formats that ask for a minimum and a maximum.

The names and ranges follow lm-eval 0.4.13 (`lm_eval/api/metrics.py`); sacrebleu's scores are percentages.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

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


def range_of(metric: str) -> MetricRange:
    """Return the range of a metric by its name without the filter, such as ``acc`` or ``pass@10``."""
    if metric in _SHARES or metric.startswith("pass@"):
        return MetricRange(low=0.0, high=1.0, unit="proportion")
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
