"""The possible range of a metric, by its name and its values."""

from __future__ import annotations

import math

import pytest

from harness.metric_ranges import range_of


@pytest.mark.parametrize(
    ("metric", "values", "limits"),
    [
        ("acc", [0.0, 1.0], (0.0, 1.0)),
        ("pass@10", [0.25], (0.0, 1.0)),
        ("bits_per_byte", [0.4, 3.0], (0.0, math.inf)),
        ("word_perplexity", [12.0], (1.0, math.inf)),
        ("gold_log_likelihood", [-3.0], (-math.inf, 0.0)),
        ("f1", [40.0, 80.0], (-math.inf, math.inf)),
        ("own_score", [0.5], (-math.inf, math.inf)),
    ],
)
def test_a_known_range_counts_if_all_values_are_in_it(
    metric: str, values: list[float], limits: tuple[float, float]
) -> None:
    assert range_of(metric).limits(values) == limits
