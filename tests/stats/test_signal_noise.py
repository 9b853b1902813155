"""Signal and noise of a task over late checkpoints."""

from __future__ import annotations

import math

import pytest

from harness.stats.signal_noise import signal_noise


def test_signal_is_the_largest_relative_difference_and_noise_the_relative_spread() -> None:
    result = signal_noise([0.4, 0.5, 0.6], [[0.38, 0.40, 0.42], [0.57, 0.60, 0.63]])
    assert result.signal == pytest.approx(0.2 / 0.5)
    assert result.noise == pytest.approx(0.05)  # both runs: a standard deviation of 5% of their mean
    assert result.ratio == pytest.approx(8.0)
    assert result.checkpoints == 6


def test_a_scale_factor_changes_nothing() -> None:
    one, two = signal_noise([0.2, 0.3], [[0.2, 0.21]]), signal_noise([-2.0, -3.0], [[-2.0, -2.1]])
    assert (one.signal, one.noise) == pytest.approx((two.signal, two.noise))


def test_without_noise_the_ratio_is_infinite_and_at_a_mean_of_0_unknown() -> None:
    assert signal_noise([0.2, 0.3], [[0.2, 0.2]]).ratio == math.inf
    assert math.isnan(signal_noise([0.0, 0.0], [[0.1, 0.2]]).ratio)


@pytest.mark.parametrize(("models", "late"), [([0.5], [[0.1, 0.2]]), ([0.5, 0.6], []), ([0.5, 0.6], [[0.1]])])
def test_too_few_values_raise(models: list[float], late: list[list[float]]) -> None:
    with pytest.raises(ValueError, match="two or more of each"):
        signal_noise(models, late)
