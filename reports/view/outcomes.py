"""What became of each item under each model, as one byte per answer, and the filters over it.

The lower four bits are one of the codes below, the upper ones are flags::

    0x02           right
    0x21           wrong, because no answer could be read from the text (UNPARSED)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Codes: TypeAlias = npt.NDArray[np.uint8]
Values: TypeAlias = npt.NDArray[np.float64]
Mask: TypeAlias = npt.NDArray[np.bool_]

ABSENT, WRONG, RIGHT, BETWEEN, FAILED, UNSCORED = range(6)
CODE = 0x0F
CUT, UNPARSED = 0x10, 0x20

WORDS = MappingProxyType(
    {
        ABSENT: "not asked",
        WRONG: "wrong",
        RIGHT: "right",
        BETWEEN: "between",
        FAILED: "failed",
        UNSCORED: "no value",
    }
)


def codes_of(values: Values, *, higher_is_better: bool) -> Codes:
    """Return the codes of answers with these values, without flags.

    A metric on another scale than 0 to 1, such as a log-likelihood, is neither right nor wrong, but `BETWEEN`.

    Args:
        values: Headline metric of each answer; NaN for an answer without a value.
        higher_is_better: Whether 1 is right.
    """
    known = np.isfinite(values)
    codes = np.where(known, BETWEEN, UNSCORED).astype(np.uint8)
    if higher_is_better and ((values[known] >= 0.0) & (values[known] <= 1.0)).all():
        codes[values == 0.0] = WRONG
        codes[values == 1.0] = RIGHT
    return codes


def _is(code: int) -> Callable[[Codes, Values], Mask]:
    return lambda codes, _: codes & CODE == code


def _flagged(flag: int) -> Callable[[Codes, Values], Mask]:
    return lambda codes, _: codes & flag > 0


def _all(condition: Callable[[Codes, Values], Mask]) -> Callable[[Codes, Values], Mask]:
    return lambda codes, values: np.asarray(condition(codes, values).all(axis=0))


def _any(condition: Callable[[Codes, Values], Mask]) -> Callable[[Codes, Values], Mask]:
    return lambda codes, values: np.asarray(condition(codes, values).any(axis=0))


def _gained(_: Codes, values: Values) -> Mask:
    """Whether some other model is better than the first; a comparison with NaN is false."""
    return np.asarray((values[1:] > values[0]).any(axis=0))


def _lost(_: Codes, values: Values) -> Mask:
    return np.asarray((values[1:] < values[0]).any(axis=0))


def _flipped(codes: Codes, values: Values) -> Mask:
    return _gained(codes, values) | _lost(codes, values)


# What a reader can ask for. A mask takes codes and values, shape (models, items), with the values turned so that more
# is better, and returns one truth value per item.
MASKS: Mapping[str, Callable[[Codes, Values], Mask]] = MappingProxyType(
    {
        "right": _all(_is(RIGHT)),
        "flipped": _flipped,
        "gained": _gained,
        "lost": _lost,
        "wrong": _all(_is(WRONG)),
        "between": _any(_is(BETWEEN)),
        "failed": _any(_is(FAILED)),
        "cut": _any(_flagged(CUT)),
        "unparsed": _any(_flagged(UNPARSED)),
        "unscored": _any(_is(UNSCORED)),
    }
)
_OF_SEVERAL = ("flipped", "gained", "lost")
_MEANINGS = MappingProxyType(
    {
        "flipped": "the models' values differ",
        "gained": "better than under the first model",
        "lost": "worse than under the first model",
        "between": "a value that is neither 0 nor 1",
        "failed": "a request has no answer, so the item is left out and not scored 0",
        "cut": "the input was longer than the model's context and was cut on the left",
        "unparsed": "no answer could be read from the generated text",
        "unscored": "answered, but without a value, such as a program whose tests cannot run",
    }
)


def outcomes_for(n_models: int) -> dict[str, tuple[str, str]]:
    """Return the outcomes that can be asked for, each with its label and its meaning."""
    several = {2: "both "}.get(n_models, "all ") if n_models > 1 else ""
    labels = {"right": f"{several}right", "wrong": f"{several}wrong", "unscored": "no value"}
    names = [name for name in MASKS if n_models > 1 or name not in _OF_SEVERAL]
    return {name: (labels.get(name, name), _MEANINGS.get(name, "")) for name in names}
