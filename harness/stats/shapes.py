"""The shape of a planned contrast: how it weights the levels of each factor, and what variance that leaves.

    SHAPES["first"]                                            # a 2 x 2: main effect of the pre-training factor
    Shape(between=((-1.0, 1.0, 0.0),), within=((0.5, 0.5),))   # level 1 of three against level 0, mean of two tunings

Each level of a factor *between* has its own pre-training runs. For a factor *within*, the same pre-training runs are
tuned at all of its levels. `planning` computes power from a shape.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize, special

from harness.stats.power import ALPHA

FIRST, SECOND, INTERACTION = "first", "second", "interaction"
Weights = tuple[float, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Components:
    """Variances of one task, on the scale of its metric (accuracy from 0 to 1).

    The defaults are stated assumptions for zero-shot accuracy of small models; `estimate_components` measures them.

    Attributes:
        item_first: Item x a factor of pre-training: how differently items react to each of its levels.
        item_second: Item x a factor of tuning.
        item_both: Item x two factors.
        residual: One answer of one run, beyond the variances above.
        plot: Between pre-training runs of one level: the default is 1 point, squared.
        run: Between tuning runs from one pre-training run: the default is 0.5 points, squared.
    """

    item_first: float = 0.01
    item_second: float = 0.01
    item_both: float = 0.005
    residual: float = 0.13
    plot: float = 0.01**2
    run: float = 0.005**2


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """A contrast as the product of weights of the levels of each factor.

    Attributes:
        between: Level weights of each factor whose levels have their own pre-training runs.
        within: Level weights of each factor at whose levels the same pre-training runs are tuned.
        tests: How many levels are compared with the same reference, this one among them.
    """

    between: tuple[Weights, ...]
    within: tuple[Weights, ...]
    tests: int = 1

    @property
    def alpha(self) -> float:
        """Significance level of the test: 5%, or less for one of several levels."""
        return dunnett_level(self.tests)

    @property
    def shares(self) -> tuple[float, ...]:
        """Share of each combination of *between* levels in the scatter of runs; the shares sum to 1."""
        products = functools.reduce(np.multiply.outer, map(np.asarray, self.between), np.array(1.0))
        squares = np.ravel(products) ** 2
        return tuple((squares[squares > 0.0] / squares.sum()).tolist())

    def variances(self, c: Components, seeds: int) -> tuple[float, float, float]:
        """Return the variances of one item (systematic, residual) and of the runs' part.

        With weights w of each factor, its sum of squares q and the square of its sum s:

            items: sum over factors f of item_f q_f prod s_others
                   + sum over pairs f, g of item_both q_f q_g prod s_others
            runs:  (plot x prod q_between prod s_within + run x prod of all q) / S

        Args:
            c: Variance components.
            seeds: S, pre-training runs at each combination of the levels between them.
        """
        factors = [*self.between, *self.within]
        q, s = [sum(w * w for w in one) for one in factors], [sum(one) ** 2 for one in factors]
        of_factor = [c.item_first] * len(self.between) + [c.item_second] * len(self.within)

        def others(*own: int) -> float:
            return math.prod(s[k] for k in range(len(factors)) if k not in own)

        systematic = sum(item * q[k] * others(k) for k, item in enumerate(of_factor))
        systematic += sum(c.item_both * q[k] * q[m] * others(k, m) for k in range(len(factors)) for m in range(k))
        n_between, runs = len(self.between), math.prod(q)
        of_plots = math.prod(q[:n_between]) * math.prod(s[n_between:])
        return systematic, c.residual * runs / seeds, (c.plot * of_plots + c.run * runs) / seeds


DIFFERENCE: Weights = (-1.0, 1.0)
SHAPES = {
    FIRST: Shape(between=(DIFFERENCE,), within=((0.5, 0.5),)),
    SECOND: Shape(between=((0.5, 0.5),), within=(DIFFERENCE,)),
    INTERACTION: Shape(between=(DIFFERENCE,), within=(DIFFERENCE,)),
}
"""The contrasts of a 2 x 2."""


def mean_of(levels: int) -> Weights:
    """Return the weights of the mean over the levels of a factor."""
    return (1.0 / levels,) * levels


@functools.cache
def dunnett_level(tests: int) -> float:
    """Return the level of each of several comparisons with one reference, of which 5% reject any by chance.

    With equal variances, comparisons with a shared reference have a correlation of 1/2 (Dunnett 1955, JASA 50). For two
    or more, the bound c of the largest normal statistic solves

        E[(Phi(sqrt(2) c + Z) - Phi(-sqrt(2) c + Z))^tests] = 0.95
    """
    if tests < 2:
        return ALPHA
    places, weights = np.polynomial.hermite_e.hermegauss(80)
    weights = weights / weights.sum()

    def missing(bound: float) -> float:
        reach = math.sqrt(2.0) * bound
        inside = special.ndtr(reach + places) - special.ndtr(-reach + places)
        return float(weights @ inside**tests) - (1.0 - ALPHA)

    return 2.0 * float(special.ndtr(-optimize.brentq(missing, 1.0, 8.0)))


def shapes_of(contrasts: Sequence[str | Shape]) -> list[Shape]:
    """Return the shapes of contrasts of a 2 x 2 by name, and of others.

    Raises:
        ValueError: There is no such name.
    """
    unknown = [one for one in contrasts if isinstance(one, str) and one not in SHAPES]
    if unknown:
        raise ValueError(f"contrast {unknown[0]!r}: give one of {', '.join(SHAPES)}, or a Shape.")
    return [SHAPES[one] if isinstance(one, str) else one for one in contrasts]
