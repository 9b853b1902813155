"""Several levels of a factor against their reference: Dunnett's p from the items and runs that the levels share.

    contrasts = [{"ref": -1.0, "low": 1.0}, {"ref": -1.0, "high": 1.0}]
    estimates = [estimate_contrast(tables, runs, one) for one in contrasts]
    levels_p(tables, runs, contrasts, estimates)  # 0.021, 0.34

`families` has Dunnett's p of given t-values, `factorial` estimates one contrast.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import special

from harness.stats.factorial import Contrast, ContrastEstimate, ItemTable, Runs, estimate_contrast
from harness.stats.families import dunnett_p


def levels_p(
    tables: Sequence[ItemTable], runs: Runs, contrasts: Sequence[Contrast], estimates: Sequence[ContrastEstimate]
) -> list[float]:
    """Return p of each contrast, corrected for their number (Dunnett 1955); never below its uncorrected p.

    Dunnett's p belongs to the t-value whose two-sided p is the contrast's own, because in few clusters or with few
    differing items another test than Student's sets that p.

    Contrasts without a standard error, where all items agree, count by Bonferroni.

    Args:
        tables: As for `estimate_contrast`.
        runs: As for `estimate_contrast`.
        contrasts: Each level minus the reference.
        estimates: Of the contrasts, each with a p.
    """
    known = [at for at, one in enumerate(estimates) if one.se > 0.0]
    by_count = [min(1.0, one.p * len(estimates)) for one in estimates]
    if not known:
        return by_count
    joint = _joint_p(tables, runs, [contrasts[at] for at in known], [estimates[at] for at in known])
    tied = len(known) < len(estimates)
    for at, p in zip(known, joint, strict=True):
        by_count[at] = min(1.0, p * len(estimates) / len(known)) if tied else p
    return by_count


def _joint_p(
    tables: Sequence[ItemTable], runs: Runs, contrasts: Sequence[Contrast], estimates: Sequence[ContrastEstimate]
) -> list[float]:
    correlation = np.eye(len(contrasts))
    for row in range(len(contrasts)):
        for column in range(row):
            pair = (contrasts[row], contrasts[column])
            errors = (estimates[row].se, estimates[column].se)
            correlation[row, column] = correlation[column, row] = _correlation(pair, errors, tables, runs)
    joint = []
    for position, one in enumerate(estimates):
        t = [float(special.stdtrit(one.df, other.p / 2.0)) for other in estimates]
        joint.append(max(float(dunnett_p(t, correlation, one.df)[position]), one.p))
    return joint


def _correlation(
    pair: tuple[Contrast, Contrast], errors: tuple[float, float], tables: Sequence[ItemTable], runs: Runs
) -> float:
    """Return the correlation of two contrasts from the variance of their sum: items and runs are shared."""
    one, two = pair
    both = {cell: one.get(cell, 0.0) + two.get(cell, 0.0) for cell in {**one, **two}}
    variance = estimate_contrast(tables, runs, both).se ** 2
    shared = (variance - errors[0] ** 2 - errors[1] ** 2) / (2.0 * errors[0] * errors[1])
    return float(np.clip(shared, -0.999, 0.999))
