"""How much of each source is asked for at every point of a stage. Pure arithmetic: no data, no tokens.

Weights are shares of tokens. `cumulative` is the integral of the weights over the fraction of the budget that has been
streamed, so the share asked for in any stretch is a difference of two of its values.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from harness.errors import InputError, did_you_mean

Kind = Literal["static", "stepwise", "linear", "cosine"]
LEDGER_PHASES = 10  # a changing schedule has no phases of its own; the ledger reports it in tenths

# Text : code in four phases, as in the study (Ma et al., ICLR 2024, arXiv 2309.16298, its section on mixing).
PRESETS: dict[str, tuple[tuple[float, float], ...]] = {
    "uniform": ((5, 3),) * 4,
    "increase": ((7, 3), (7, 3), (6, 4), (5, 5)),
    "decrease": ((5, 5), (6, 4), (7, 3), (7, 3)),
}


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Shares over the course of a stage.

    Attributes:
        kind: ``static``, ``stepwise`` (constant within equal phases), ``linear`` or ``cosine`` (from the first weights
            to the last).
        sources: Names, in the order of every weight tuple.
        weights: Shares that sum to 1: one tuple for ``static``, one a phase for ``stepwise``, first and last else.
    """

    kind: Kind
    sources: tuple[str, ...]
    weights: tuple[tuple[float, ...], ...]

    @property
    def bounds(self) -> tuple[float, ...]:
        """Where the phases begin and end, as fractions of the budget, from 0 to 1."""
        phases = len(self.weights) if self.kind in ("static", "stepwise") else LEDGER_PHASES
        return tuple(phase / phases for phase in range(phases + 1))

    def cumulative(self, fraction: float) -> tuple[float, ...]:
        """Return for each source the share of the whole budget that is asked for within the first `fraction` of it."""
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
        """Return for each source its share of the tokens between two fractions of the budget; sums to 1."""
        low, high = self.cumulative(begin), self.cumulative(end)
        return tuple((b - a) / (end - begin) for a, b in zip(low, high, strict=True))


def normalised(weights: Mapping[str, float], sources: Sequence[str], where: str) -> tuple[float, ...]:
    """Return shares in the order of `sources`; a source without a weight gets none.

    Raises:
        InputError: an unknown source, a negative weight, or weights that sum to 0; names the place.
    """
    for name, weight in weights.items():
        if name not in sources:
            raise InputError(
                f"{where}: unknown source {name!r}; data.sources has {', '.join(sources)}.{did_you_mean(name, sources)}"
            )
        if not math.isfinite(weight) or weight < 0:
            raise InputError(f"{where}: weight {weight} of {name!r} must be 0 or more.")
    total = sum(weights.values())
    if not math.isfinite(total):
        raise InputError(f"{where}: the weights are too large to be added up; give smaller ones.")
    if total <= 0:
        raise InputError(f"{where}: the weights sum to 0; give at least one source a positive weight.")
    return tuple(weights.get(name, 0.0) / total for name in sources)


def preset_phases(preset: str, sources: Sequence[str], code: str) -> list[dict[str, float]]:
    """Return the weights of one of the study's three schedules for two sources, of which `code` is the code.

    Raises:
        InputError: an unknown preset, or sources that it cannot be applied to.
    """
    if preset not in PRESETS:
        raise InputError(
            f"data.mixture.preset: {preset!r} is none of {', '.join(PRESETS)}.{did_you_mean(preset, PRESETS)}"
        )
    if len(sources) != 2 or code not in sources:
        raise InputError(
            f"data.mixture.preset: mixes a text and a code source, and data.sources has {', '.join(sources)}; "
            "name two sources and say with data.mixture.code which is the code, or write phases yourself."
        )
    text = next(name for name in sources if name != code)
    return [{text: weight, code: code_weight} for weight, code_weight in PRESETS[preset]]
