"""Power of a comparison: the minimum detectable effect, and the number of items needed for an effect."""

from __future__ import annotations

import math

from scipy import special

from harness.stats.clustered import quantile

ALPHA = 0.05
POWER = 0.80
# Above these degrees of freedom, Student's t and the normal distribution give the same effect to three digits.
_NORMAL_FREEDOM = 1000.0


def minimum_detectable_effect(
    standard_error: float, degrees_of_freedom: float = math.inf, *, alpha: float = ALPHA, power: float = POWER
) -> float:
    """Return the smallest true difference that a two-sided test detects with the given power.

    The statistic difference / SE follows the noncentral t distribution, whose noncentrality is effect / SE. The MDE is
    SE times the noncentrality at which the statistic exceeds t_{1 - alpha/2} with probability `power`. For many degrees
    of freedom this is (z_{1 - alpha/2} + z_{power}) SE (Bloom 1995, Evaluation Review 19; Miller, arXiv 2411.00640,
    eq. 10, where SE^2 = (w^2 + s_A^2/K_A + s_B^2/K_B) / n). The sum of two t-quantiles, also found in textbooks, is too
    large or too small for few degrees of freedom.

    Raises:
        ValueError: An impossible `alpha` or `power`.
    """
    reject, find = _quantiles(degrees_of_freedom, alpha, power)
    if degrees_of_freedom > _NORMAL_FREEDOM:
        return (reject + find) * standard_error
    return _noncentrality(degrees_of_freedom, reject, power) * standard_error


def _noncentrality(degrees_of_freedom: float, critical: float, power: float) -> float:
    """Return the noncentrality at which a noncentral t variable exceeds `critical` with probability `power`."""
    low, high = 0.0, 2.0 * critical + 10.0
    while special.nctdtr(degrees_of_freedom, high, critical) > 1.0 - power:
        high *= 2.0
    for _ in range(60):
        middle = (low + high) / 2.0
        missed = special.nctdtr(degrees_of_freedom, middle, critical) > 1.0 - power
        low, high = (middle, high) if missed else (low, middle)
    return high


def minimum_detectable_effect_binary(
    items: float,
    discordant_share: float,
    degrees_of_freedom: float = math.inf,
    *,
    alpha: float = ALPHA,
    power: float = POWER,
) -> float:
    """Return the minimum detectable effect for right/wrong answers of two models to the same items.

    The smallest d with n d^2 >= (z_{1 - alpha/2} sqrt(u) + z_{power} sqrt(u - d^2))^2 (Connor 1987, Biometrics 43),
    where u is the share of items on which the models disagree. A difference of d needs at least that much disagreement,
    so u = max(discordant_share, d). Otherwise the effect would be 0 for two models that agree on every item.

    Args:
        items: Number of items, or the effective number under clustering.
        discordant_share: Share of items that exactly one model has right, 0..1.
        degrees_of_freedom: For t-quantiles with clusters; infinite for normal quantiles.
        alpha: Two-sided significance level.
        power: Probability of detecting the effect.

    Returns:
        The effect, 0..1; infinity if not even a difference of 1 is detectable.

    Raises:
        ValueError: An impossible share, `alpha` or `power`.
    """
    if not 0.0 <= discordant_share <= 1.0:
        raise ValueError(f"discordant_share is {discordant_share}; it must be between 0 and 1.")
    reject, find = _quantiles(degrees_of_freedom, alpha, power)

    def detects(effect: float) -> bool:
        disagreement = max(discordant_share, effect)
        spread = max(disagreement - effect**2, 0.0)
        return math.sqrt(items) * effect >= reject * math.sqrt(disagreement) + find * math.sqrt(spread)

    missed, detected = 0.0, 1.0
    if not detects(detected):
        return math.inf
    for _ in range(54):
        middle = (missed + detected) / 2.0
        missed, detected = (missed, middle) if detects(middle) else (middle, detected)
    return detected


def items_needed(effect: float, variance: float, *, alpha: float = ALPHA, power: float = POWER) -> int:
    """Return the number of items that a paired comparison needs to detect `effect`.

        n = (z_{1 - alpha/2} + z_{power})^2 v / effect^2

    (Miller, arXiv 2411.00640, eq. 9), with v the variance of the difference on one item: w^2 + s_A^2/K_A + s_B^2/K_B.

    Raises:
        ValueError: A zero effect, a negative variance, or an impossible `alpha` or `power`.
    """
    if effect == 0.0 or variance < 0.0:
        raise ValueError(
            f"effect is {effect} and variance {variance}; give a non-zero effect and a variance of at least 0."
        )
    reject, find = _quantiles(math.inf, alpha, power)
    return math.ceil((reject + find) ** 2 * variance / effect**2)


def _quantiles(degrees_of_freedom: float, alpha: float, power: float) -> tuple[float, float]:
    if not (0.0 < alpha < 1.0 and 0.0 < power < 1.0):
        raise ValueError(f"alpha is {alpha} and power {power}; both must be between 0 and 1.")
    return quantile(1.0 - alpha / 2.0, degrees_of_freedom), quantile(power, degrees_of_freedom)
