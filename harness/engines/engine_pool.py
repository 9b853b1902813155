"""Engines that stay open between models, because opening one takes a minute and changing its adapter a moment.

An engine that can serve several checkpoints asks the pool for what is expensive to open:

    pooled = POOL.take("vllm", key, lambda: Engines(...))   # opened now, or by an earlier model with the same key
    pooled.engine.score(...)
    pooled.release(usable=True)                             # closed now, or kept for the next model with this key

Only one key's engines are kept at a time: a different one needs their memory, so they are closed first.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar


class Closeable(Protocol):
    """What the pool holds."""

    @property
    def alive(self) -> bool:
        """Whether it can still be used."""

    def close(self) -> None:
        """Free its memory."""


EngineType = TypeVar("EngineType", bound=Closeable)


@dataclass(eq=False)
class PooledEngine(Generic[EngineType]):
    """An open engine with the number of its users; kept open without any inside `EnginePool.keep_open`."""

    pool: EnginePool
    backend: str
    key: str
    engine: EngineType
    users: int = 0

    def release(self, *, usable: bool) -> None:
        """Say that one user is done; closes the engine when nobody else uses it and nobody will.

        Args:
            usable: False after the engine failed or was left in the middle of something: it is never used again.
        """
        self.users -= 1
        if not self.users and not (self.pool.keeps_open and usable and self.engine.alive):
            self.close()

    def close(self) -> None:
        """Close the engine and forget it."""
        if self.pool.open.get((self.backend, self.key)) is self:
            del self.pool.open[self.backend, self.key]
        self.engine.close()


@dataclass
class EnginePool:
    """Open engines by backend and key.

    Attributes:
        open: What is open now.
        keeping: How many `keep_open` blocks are entered.
    """

    open: dict[tuple[str, str], PooledEngine[Any]] = field(default_factory=dict)
    keeping: int = 0

    @property
    def keeps_open(self) -> bool:
        """Whether engines without users stay open for the next model."""
        return self.keeping > 0

    def take(self, backend: str, key: str, opener: Callable[[], EngineType]) -> PooledEngine[EngineType]:
        """Return the engine with this key, opening it if there is none; `PooledEngine.release` it when done."""
        pooled = self.open.get((backend, key))
        if pooled is None or not pooled.engine.alive:
            self.close_unused()  # they hold the memory that the new one needs
            pooled = self.open[backend, key] = PooledEngine(self, backend, key, opener())
        pooled.users += 1
        return pooled

    @contextlib.contextmanager
    def keep_open(self) -> Iterator[None]:
        """Keep engines without users open until another is wanted: several adapters then load their base once."""
        self.keeping += 1
        try:
            yield
        finally:
            self.keeping -= 1
            if not self.keeping:
                self.close_unused()

    def close_unused(self, *, other_than: str | None = None) -> None:
        """Close the engines without users, except those of the backend `other_than`, which may go on with them."""
        for pooled in list(self.open.values()):
            if not pooled.users and pooled.backend != other_than:
                pooled.close()


POOL = EnginePool()
