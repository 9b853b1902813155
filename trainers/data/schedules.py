"""The share of each source at every point of a stage. Pure arithmetic: no data, no tokens.

Weights are shares of tokens. `cumulative` is the integral of the weights over the fraction of the budget streamed so
far; the target share within any stretch is the difference of two of its values, divided by the stretch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from harness.errors import SpecError, did_you_mean

Kind = Literal["static", "stepwise", "linear", "cosine"]
LEDGER_PHASES = 10  # a linear or cosine schedule has no phases; the ledger reports it in tenths

# Text : code in four phases, as in the study (Ma et al., ICLR 2024, arXiv 2309.16298, section on mixing).
PRESETS: dict[str, tuple[tuple[float, float], ...]] = {
    "uniform": ((5, 3),) * 4,
    "increase": ((7, 3), (7, 3), (6, 4), (5, 5)),
    "decrease": ((5, 5), (6, 4), (7, 3), (7, 3)),
}


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Shares of the sources over a stage.

    Attributes:
        kind: ``static``, ``stepwise`` (constant within equal phases), ``linear`` or ``cosine`` (from the first weights
            to the last).
        sources: Names, in the order of every weight tuple.
        weights: Shares that sum to 1: one tuple for ``static``, one per phase for ``stepwise``, otherwise
            the first and the last.
    """

    kind: Kind
    sources: tuple[str, ...]
    weights: tuple[tuple[float, ...], ...]

    @property
    def bounds(self) -> tuple[float, ...]:
        """The boundaries of the phases, as fractions of the budget, from 0 to 1."""
        phases = len(self.weights) if self.kind in ("static", "stepwise") else LEDGER_PHASES
        return tuple(phase / phases for phase in range(phases + 1))

    def cumulative(self, fraction: float) -> tuple[float, ...]:
        """Return each source's share of the whole budget within the first `fraction` of it; sums to `fraction`."""
        # Two phases 7:3 and 1:1, fraction 0.75: (0.7 + 0.5 * 0.5) / 2 = 0.475 for text, 0.275 for code.
        # A changing weight is a + (b - a) * m(x) with m from 0 to 1. `mixed` is the integral of m: m = x gives x^2/2,
        # and m = (1 - cos(pi x)) / 2 gives x/2 - sin(pi x) / (2 pi).
        if self.kind in ("linear", "cosine"):
            mixed = fraction**2 / 2 if self.kind == "linear" else fraction / 2 - math.sin(math.pi * fraction) / math.tau
            first, last = self.weights
            return tuple(a * fraction + (b - a) * mixed for a, b in zip(first, last, strict=True))
        phases = len(self.weights)
        done = min(int(fraction * phases), phases - 1)
        within = fraction * phases - done
        columns = zip(*self.weights, strict=True)
        return tuple((sum(column[:done]) + column[done] * within) / phases for column in columns)

    def target_shares(self, begin: float, end: float) -> tuple[float, ...]:
        """Return each source's share of the tokens between two fractions of the budget; sums to 1."""
        low, high = self.cumulative(begin), self.cumulative(end)
        return tuple((b - a) / (end - begin) for a, b in zip(low, high, strict=True))


def normalised(weights: Mapping[str, float], sources: Sequence[str], where: str) -> tuple[float, ...]:
    """Return shares in the order of `sources`; a source without a weight gets 0.

    Raises:
        InputError: an unknown source, a negative weight, or weights that sum to 0; the message starts with `where`.
    """
    for name, weight in weights.items():
        if name not in sources:
            raise SpecError(
                f"{where}: unknown source {name!r}; data.sources has {', '.join(sources)}.{did_you_mean(name, sources)}"
            )
        if not math.isfinite(weight) or weight < 0:
            raise SpecError(f"{where}: weight {weight} of {name!r}; it must be 0 or more.")
    total = sum(weights.values())
    if not math.isfinite(total):
        raise SpecError(f"{where}: the weights are too large to add; give smaller ones.")
    if total <= 0:
        raise SpecError(f"{where}: the weights sum to 0; give at least one source a positive weight.")
    return tuple(weights.get(name, 0.0) / total for name in sources)


def preset_phases(preset: str, sources: Sequence[str], code: str) -> list[dict[str, float]]:
    """Return the phases of one of the study's three schedules for two sources; `code` names the code source.

    Raises:
        InputError: an unknown preset, or other than two sources with `code` among them.
    """
    if preset not in PRESETS:
        raise SpecError(
            f"data.mixture.preset: {preset!r} is none of {', '.join(PRESETS)}.{did_you_mean(preset, PRESETS)}"
        )
    if len(sources) != 2 or code not in sources:
        raise SpecError(
            "data.mixture.preset: a preset mixes one text and one code source, but data.sources has "
            f"{', '.join(sources)}; give two sources and name the code source in data.mixture.code, or write phases "
            "instead."
        )
    text = next(name for name in sources if name != code)
    return [{text: weight, code: code_weight} for weight, code_weight in PRESETS[preset]]
