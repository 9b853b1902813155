"""Degrees of freedom of an error that items and training runs share, where the part of the runs is cut at 0.

    contrast_df(4e-4, 190.0, [(6e-4, 2e-4, 4.0), (1e-4, 2e-4, 4.0)])  # two levels of five runs each

`factorial`, `runs` and `planning` use it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import special

from harness.stats.clustered import FloatArray
from harness.stats.rounding import RELATIVE

Numbers = float | FloatArray
_NORMAL_QUANTILE = 1.96
_ALONE = 0.75
_EXPONENTS = ((2.0, 4.0, 9.0), (0.0, 1.0, 1.65))
"""k of `contrast_df` at these degrees of freedom; linear between them."""


def runs_variance(of_runs: Sequence[tuple[float, float, float]]) -> float:
    """Return the sum of scatter - explained, each cut at 0, and at a difference that is only rounding.

    Args:
        of_runs: As for `contrast_df`.
    """
    rests = ((scatter - explained, scatter) for scatter, explained, _ in of_runs)
    return sum(rest for rest, scatter in rests if rest > RELATIVE * scatter)


def contrast_df(items: Numbers, df_items: float, of_runs: Sequence[tuple[Numbers, Numbers, float]]) -> FloatArray:
    """Return the degrees of freedom of a contrast, at least 1.

    Satterthwaite's formula comes first. The component of the runs is scatter - explained, which is as uncertain as the
    scatter, even where it is cut at 0:

        df = variance^2 / (items^2 / df_items + sum scatter^2 / df)

    The cut also makes the variance too large on average, so that tests with ten runs per level would reject a true null
    hypothesis in 2.4 to 5.2% of cases, depending on how much runs scatter. The mean of the cut component is known if
    the scatter is chi-square (`_mean_after_cut`). The quantile of t is multiplied by sqrt(variance / its mean)^k, but
    not below the normal quantile, and the result is expressed in degrees of freedom. The estimated scatter of few runs
    is too uncertain for this, so k grows with its degrees of freedom: 0 at two (three runs), 1 at four, 1.65 from nine
    (ten runs). With ten runs the rejection rate is then 3.3 to 5.5% for any size of the items' variance, the part that
    they explain, and the component; a test computes it by numerical integration.

    A simple effect within one level has a single set of plots. With few runs their scatter can be small by luck, and
    the variance is then that of items alone (in 11% of studies with three runs and a large scatter). So a scatter below
    what items explain counts for three quarters as if it were explained; without this such tests reject 6.1% (three
    runs) and 10.3% (two).

    docs/statistics.md has the error rates of the whole rule.

    Args:
        items: Variance from items.
        df_items: Its degrees of freedom.
        of_runs: For each set of plots: scatter, the part that items explain, degrees of freedom.
    """
    exponent = float(np.interp(min((one[2] for one in of_runs), default=0.0), *_EXPONENTS))
    care = _ALONE * max(0.0, 1.0 - exponent) if len(of_runs) == 1 else 0.0
    # An array even where both arguments are numbers: 0 / 0 of Python floats raises, that of numpy is NaN.
    variance = np.asarray(items + sum(np.maximum(0.0, scatter - explained) for scatter, explained, _ in of_runs))
    uncertainty = items**2 / df_items + sum(
        ((1.0 - care) * scatter + care * np.maximum(scatter, explained)) ** 2 / df for scatter, explained, df in of_runs
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        df = np.where(uncertainty > 0.0, np.maximum(variance**2 / uncertainty, 1.0), df_items)
    if exponent == 0.0:
        return df
    mean = items + sum(_mean_after_cut(*one) for one in of_runs)
    shrunk = np.sqrt(np.minimum(variance / np.maximum(mean, 1e-300), 1.0)) ** exponent
    critical = np.maximum(special.stdtrit(df, 0.975) * shrunk, _NORMAL_QUANTILE)
    return np.asarray(special.stdtridf(0.975, critical), dtype=np.float64)


def _mean_after_cut(scatter: Numbers, explained: Numbers, df: float) -> FloatArray:
    """Return the mean of max(0, X - explained), where X is chi-square with mean max(scatter, explained).

    By E[X; X > e] = mean P(chi2_{df + 2} > df e / mean).
    """
    mean = np.maximum(np.maximum(scatter, explained), 1e-300)
    bound = df * explained / mean
    kept: FloatArray = mean * special.chdtrc(df + 2.0, bound) - explained * special.chdtrc(df, bound)
    return kept
