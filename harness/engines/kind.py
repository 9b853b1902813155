"""What ``--backend NAME`` stands for: how its engines are opened, and what the journal has to know about them.

An installed package adds an engine with one `EngineKind` and one line of its pyproject.toml (docs/add_an_engine.md is
the guide):

    # my_engine.py
    def open_mine(checkpoint: Checkpoint, spec: EngineSpec) -> Engine: ...

    MINE = EngineKind(version=1, open_checkpoint=open_mine)

    # pyproject.toml
    [project.entry-points."harness.engines"]
    mine = "my_engine:MINE"

Then ``--backend mine`` works. The kind's module is imported when its name is looked up, even if all answers are in the
journal already, so it should import its libraries only when an engine is opened. `registry` looks names up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.checkpoints.checkpoint import Checkpoint
    from harness.engines.base import Engine, Request
    from harness.engines.spec import EngineSpec


@dataclass(frozen=True, kw_only=True)
class EngineKind:
    """One kind of engine. Exactly one of the three `open_...` functions is set: it says what ``--model`` names.

    Attributes:
        version: Part of the journal's key. Raise it when answers change for the same weights and requests, so that old
            journal entries are no longer used.
        open_checkpoint: Opens a checkpoint. Raises InputError for a missing library or wrong arguments.
        open_service: Opens a service by the model's name; its weights are elsewhere.
        open_script: Opens a script by its name; it is also given the right answers: True for a continuation that is
            right, a text for a generation.
        takes_chats: Whether requests must be chats, not plain prompts.
        identity: Further keys of the journal's key, such as the version of a library that decides the answers.
        refusal: Why an engine cannot run this checkpoint; None when it can. ``--backend auto`` then takes another.
        missing: What must be installed before an engine can be opened, and how; None when nothing is missing.
        suits: Whether ``--backend auto`` may take this kind on this machine for a ``--device``. Asked only of the
            kinds that auto considers.
    """

    version: int = 0
    open_checkpoint: Callable[[Checkpoint, EngineSpec], Engine] | None = None
    open_service: Callable[[str, EngineSpec], Engine] | None = None
    open_script: Callable[[str, EngineSpec, Mapping[Request, bool | str]], Engine] | None = None
    takes_chats: bool = False
    identity: Mapping[str, str] = field(default_factory=dict)
    refusal: Callable[[Checkpoint], str | None] = lambda _: None
    missing: Callable[[], str | None] = lambda: None
    suits: Callable[[str], bool] = lambda _: True

    def __post_init__(self) -> None:
        openers = (self.open_checkpoint, self.open_service, self.open_script)
        assert sum(opener is not None for opener in openers) == 1, "set one of the three open_... functions"
