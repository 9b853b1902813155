"""Answers from a script instead of a model: oracle, corrupted or uniform, with faults on purpose.

For ``--backend scripted``, dry runs and tests. An answer depends on its request alone, so runs repeat exactly.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from harness.engines.base import Answer, Batch, EngineDied, Failure, Request, loglikelihood_answer
from harness.engines.kind import EngineKind
from harness.engines.spec import EngineSpec
from harness.errors import InputError, did_you_mean

SCRIPTS = ("oracle", "corrupted", "uniform")


@dataclass(frozen=True, kw_only=True)
class Faults:
    """Faults to simulate, as shares of the requests (0 to 1) unless noted.

    Attributes:
        raises: The engine reports an error for the request.
        nan: The log-probability is NaN; a generated text is empty.
        missing: The request is never answered.
        twice: The request is answered twice in its batch.
        throws: The engine raises an unexpected exception; the whole batch is lost.
        hang: The engine never returns from the request.
        die_after: The engine dies after this many answers, each time it is opened; 0 means never.
        delay_seconds: Time that each batch takes.
        batch: Number of answers in a batch.
    """

    raises: float = 0.0
    nan: float = 0.0
    missing: float = 0.0
    twice: float = 0.0
    throws: float = 0.0
    hang: float = 0.0
    die_after: int = 0
    delay_seconds: float = 0.0
    batch: int = 16

    @classmethod
    def from_arguments(cls, arguments: Mapping[str, Any]) -> Faults:
        """Read ``--model_args``.

        Raises:
            InputError: a name is unknown or a value is not a number.
        """
        known = {field.name: field.type for field in fields(cls)}
        for name in arguments:
            if name not in known:
                raise InputError(
                    f"--model_args {name}: unknown; scripted takes {', '.join(known)}.{did_you_mean(name, known)}"
                )
        try:
            values = {name: (int if known[name] == "int" else float)(value) for name, value in arguments.items()}
        except (TypeError, ValueError):
            raise InputError(f"--model_args {dict(arguments)}: scripted takes numbers; write name=0.1.") from None
        return cls(**values)  # type: ignore[arg-type]


SHARES = ("raises", "nan", "missing", "twice", "throws", "hang")  # of `Faults`


class ScriptedEngine:
    """Answers by a script.

    Args:
        name: ``oracle`` gives right continuations log-probability -1 and others -10, and generates the right text;
            ``corrupted`` does the opposite; ``uniform`` draws from the request's own hash.
        gold: The right answers: True for a continuation that is right, a text for a generation.
        faults: Faults to simulate.
    """

    def __init__(self, name: str, gold: Mapping[Request, bool | str], faults: Faults | None = None) -> None:
        if name not in SCRIPTS:
            raise InputError(
                f"--model {name}: unknown script; give one of {', '.join(SCRIPTS)}.{did_you_mean(name, SCRIPTS)}"
            )
        self._name = name
        self._gold = gold
        self._faults = faults or Faults()
        self._has_faults = any(getattr(self._faults, name) for name in SHARES)
        self._answered = 0

    @property
    def description(self) -> dict[str, Any]:
        """Script and faults."""
        return {"backend": "scripted", "script": self._name, **vars(self._faults)}

    def answer(self, requests: Sequence[Request]) -> Iterator[Batch]:
        """Answer in order, `Faults.batch` at a time."""
        for start in range(0, len(requests), self._faults.batch):
            if self._faults.delay_seconds:
                time.sleep(self._faults.delay_seconds)
            indices = range(start, min(start + self._faults.batch, len(requests)))
            yield [(i, self._one(requests[i])) for i in self._answered_of(indices, requests)]
            self._answered += len(indices)
            if self._faults.die_after and self._answered >= self._faults.die_after:
                raise EngineDied(f"scripted death after {self._answered} answers")

    def close(self) -> None:
        """Nothing to free."""

    def _answered_of(self, indices: Sequence[int], requests: Sequence[Request]) -> Sequence[int]:
        """Return which of a batch's requests are answered. Raises: RuntimeError, if it falls on one of them."""
        if not self._has_faults:
            return indices
        if any(self._falls_on("throws", requests[i]) for i in indices):
            raise RuntimeError("scripted surprise")
        answered = [i for i in indices if not self._falls_on("missing", requests[i])]
        return answered + [i for i in answered if self._falls_on("twice", requests[i])]

    def _one(self, request: Request) -> Answer | Failure:
        if self._has_faults:
            if self._falls_on("raises", request):
                return Failure(reason="error", message="scripted error")
            if self._falls_on("hang", request):
                time.sleep(10**6)
            if self._falls_on("nan", request):
                if request.kind == "generate_until":
                    return Failure(reason="empty", message="scripted empty answer")
                return loglikelihood_answer(math.nan, is_greedy=False)
        if request.kind == "generate_until":
            return Answer(text=self._text(request), tokens=1)
        if self._name == "uniform":
            share = _share(request)
            return loglikelihood_answer(-20.0 * share - 0.01, is_greedy=share > 0.5, tokens=1)
        preferred = bool(self._gold.get(request, False)) == (self._name == "oracle")
        return loglikelihood_answer(-1.0 if preferred else -10.0, is_greedy=preferred, tokens=1)

    def _text(self, request: Request) -> str:
        gold = str(self._gold.get(request, ""))
        return gold if self._name == "oracle" else gold[::-1] + "?" if self._name == "corrupted" else "uniform"

    def _falls_on(self, fault: str, request: Request) -> bool:
        share: float = getattr(self._faults, fault)
        return share > 0.0 and _share(request, salt=fault) < share


def _share(request: Request, salt: str = "") -> float:
    """A number in [0, 1) that depends on the request alone."""
    text = f"{salt}|{request.kind}|{request.context}|{request.continuation}|{request.generation}|{request.repeat}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64


def _open(name: str, spec: EngineSpec, gold: Mapping[Request, bool | str]) -> ScriptedEngine:
    return ScriptedEngine(name, gold, Faults.from_arguments(spec.model_args))


SCRIPTED = EngineKind(version=1, open_script=_open)
