"""vLLM engines that several scorers use: opening one takes a minute, loading another adapter into it a moment."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.engines.vllm.client import Engines
    from harness.engines.vllm.options import Options


@dataclass
class Shared:
    """Engines in use by one scorer or several, or by none yet kept for the next."""

    engines: Engines
    key: str
    users: int = 0

    @classmethod
    def take(cls, opened: Options) -> Shared:
        """Return engines that were opened with the same options, or new ones; `give_back` when done."""
        from harness.engines.vllm.client import Engines

        shared = _open.get(opened.key)
        if shared is None or not shared.engines.alive:
            close_unused()  # they hold the memory that the new ones need
            shared = cls(Engines(opened.arguments, opened.device, opened.environments), opened.key)
            _open[opened.key] = shared
        shared.users += 1
        return shared

    def give_back(self, *, usable: bool) -> None:
        """Close the engines, unless somebody else uses them or, where they are still usable, `kept` keeps them."""
        self.users -= 1
        if not self.users and not (_keeping and usable and self.engines.alive):
            self._close()

    def _close(self) -> None:
        if _open.get(self.key) is self:
            del _open[self.key]
        self.engines.close()


_open: dict[str, Shared] = {}
_keeping: list[None] = []


@contextlib.contextmanager
def kept() -> Iterator[None]:
    """Keep engines that nobody uses until others are wanted, so that a row of adapters loads its base once."""
    _keeping.append(None)
    try:
        yield
    finally:
        _keeping.pop()
        if not _keeping:
            close_unused()


def close_unused() -> None:
    """Close the engines that are only kept, and hold the memory that another engine needs."""
    for shared in list(_open.values()):
        if not shared.users:
            shared._close()  # noqa: SLF001 - its own file
