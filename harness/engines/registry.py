"""Find engines by name among the installed packages' entry points; nothing is imported until its name is used."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any

from harness.engines.engine_pool import POOL
from harness.engines.kind import EngineKind
from harness.engines.spec import EngineSpec, resolve_dtype
from harness.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from harness.checkpoints.checkpoint import Checkpoint
    from harness.engines.base import Engine, Request

log = logging.getLogger(__name__)

GROUP = "harness.engines"
AUTO = "auto"
# What `auto` tries, in this order. An engine of another package is used only when the user names it.
TRIED_BY_AUTO = ("vllm", "hf")


def find_engine(name: str) -> EngineKind:
    """Return the kind of engine that ``--backend NAME`` stands for.

    An entry point is an `EngineKind`, or a function that makes one of what follows a colon in the name: for
    ``lm-eval:sglang`` the entry point ``lm-eval`` is called with ``sglang``.

    Raises:
        InputError: the name is unknown, or several packages provide it.
    """
    first, colon, rest = name.partition(":")
    loaded = _entry_point(name, first).load()
    if isinstance(loaded, EngineKind):
        if colon:
            raise InputError(f"--backend {name}: {first} takes nothing after its name; give --backend {first}.")
        return loaded
    if not rest:
        raise InputError(f"--backend {name}: needs a name after the colon; give --backend {first}:NAME.")
    kind: EngineKind = loaded(rest)
    return kind


def _entry_point(name: str, first: str) -> EntryPoint:
    points = entry_points(group=GROUP)
    named = [point for point in points if point.name == first]
    if not named:
        known = [AUTO, *sorted({point.name for point in points})]
        raise InputError(f"--backend {name}: unknown; give one of {', '.join(known)}.{did_you_mean(first, known)}")
    if len(named) > 1:
        packages = ", ".join(sorted(point.dist.name if point.dist else point.value for point in named))
        raise InputError(f"--backend {name}: provided by several packages ({packages}); uninstall all but one.")
    return named[0]


def resolve_backend(name: str, device: str = "auto", checkpoint: Checkpoint | None = None) -> str:
    """Return the backend that `name` means here: ``auto`` is vLLM where CUDA and vllm are available, otherwise ``hf``.

    Args:
        name: As given.
        device: As given; ``auto`` takes vLLM only for a CUDA device.
        checkpoint: If given, ``auto`` skips engines that cannot run it, with a warning.

    Raises:
        InputError: the name is unknown.
    """
    if name != AUTO:
        find_engine(name)
        return name
    refusals: list[str] = []
    for candidate in TRIED_BY_AUTO:
        kind = find_engine(candidate)
        if not kind.suits(device):
            continue
        refusal = kind.refusal(checkpoint) if checkpoint is not None else None
        if refusal is None:
            if refusals:
                log.warning("--backend auto uses %s: %s", candidate, refusals[0])
            return candidate
        refusals.append(refusal)
    raise InputError(f"--backend auto: {refusals[0] if refusals else 'no engine runs here'}; name a backend.")


def engine_identity(checkpoint: Checkpoint, spec: EngineSpec) -> dict[str, Any]:
    """Return what decides the answers besides the weights: engine, its version, dtype, length, own arguments.

    Device and batch size are left out: they change scores only by rounding, and a resumed run may change them.
    """
    kind = find_engine(spec.backend)
    identity: dict[str, Any] = {
        "engine": spec.backend,
        "engine_version": kind.version,
        "dtype": resolve_dtype(checkpoint, spec.dtype),
        "max_length": spec.max_length,
        "model_args": dict(spec.model_args),
    }
    if spec.trust_remote_code:
        identity["trust_remote_code"] = True
    if spec.think_end is not None:  # stop strings count after it
        identity["think_end"] = spec.think_end
    return {**identity, **kind.identity}


def open_engine(model: Checkpoint | str, spec: EngineSpec, gold: Mapping[Request, bool | str] | None = None) -> Engine:
    """Open the engine that `spec` names on a checkpoint, or on the name of a service or script.

    Args:
        model: A `Checkpoint` where the engine's kind opens checkpoints, a name where it opens services or scripts.
        spec: How to run it; its backend must not be ``auto``.
        gold: The right answers, which only scripts are given.

    Raises:
        InputError: the engine's library is missing, or it refuses the arguments.
    """
    kind = find_engine(spec.backend)
    missing = kind.missing()
    if missing is not None:
        raise InputError(f"--backend {spec.backend}: {missing}.")
    POOL.close_unused(other_than=spec.backend)
    if kind.open_checkpoint is not None:
        assert not isinstance(model, str), f"{spec.backend} opens checkpoints"
        return kind.open_checkpoint(model, spec)
    assert isinstance(model, str), f"{spec.backend} takes a name"
    if kind.open_script is not None:
        return kind.open_script(model, spec, gold or {})
    assert kind.open_service is not None, "a kind has one of the three"
    return kind.open_service(model, spec)
