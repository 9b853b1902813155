"""Signal and noise of a task: does it tell models apart, compared with how much it jumps from checkpoint to checkpoint?

Heineman et al. 2025, Signal and Noise (arXiv 2508.13144): tasks with a higher ratio lead to more reliable decisions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.stats.clustered import as_values


@dataclass(frozen=True, kw_only=True, slots=True)
class SignalNoise:
    """Signal and noise of one task, both relative to the mean value.

    Attributes:
        signal: Largest difference between two models, divided by their mean.
        noise: Standard deviation over the late checkpoints of a run, divided by their mean; root mean square over runs.
        ratio: `signal` / `noise`; infinite without noise. All three are NaN if a mean is 0.
        checkpoints: Late checkpoints in all.
    """

    signal: float
    noise: float
    ratio: float
    checkpoints: int


def signal_noise(models: npt.ArrayLike, late: Sequence[npt.ArrayLike]) -> SignalNoise:
    """Return the signal-to-noise ratio of a task.

    Args:
        models: Final value of each model, at least two.
        late: For each run, its values at late checkpoints, at least two each.

    Raises:
        ValueError: Too few values, or NaN.
    """
    final = as_values(models, "models")
    runs = [as_values(values, "late checkpoints") for values in late]
    if final.size < 2 or not runs or min(run.size for run in runs) < 2:
        raise ValueError(
            f"{final.size} models and runs of {[run.size for run in runs]} checkpoints; give two or more of each."
        )
    means = [float(final.mean()), *(float(run.mean()) for run in runs)]
    if any(mean == 0.0 for mean in means):
        return SignalNoise(signal=math.nan, noise=math.nan, ratio=math.nan, checkpoints=sum(r.size for r in runs))
    signal = float(np.ptp(final)) / abs(means[0])
    relative = [float(run.std(ddof=1)) / abs(mean) for run, mean in zip(runs, means[1:], strict=True)]
    noise = math.sqrt(float(np.mean(np.square(relative))))
    ratio = signal / noise if noise > 0.0 else math.inf if signal > 0.0 else math.nan
    return SignalNoise(signal=signal, noise=noise, ratio=ratio, checkpoints=sum(run.size for run in runs))
