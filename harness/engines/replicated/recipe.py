"""Everything a replica needs to open the same engine as the others, on any machine."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass, field

from harness.checkpoints.checkpoint import Checkpoint
from harness.checkpoints.identity import checkpoint_digest, tokenizer_digest
from harness.checkpoints.resolver import resolve, resolve_on
from harness.engines.base import Engine, Request
from harness.engines.registry import open_engine
from harness.engines.spec import EngineSpec
from harness.errors import CheckpointError


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A model and its engine as plain values that can be sent to any process.

    Attributes:
        model: A checkpoint's path or hub id, or the name of a service or script.
        spec: How to run it.
        revision: Of a hub id.
        tokenizer: Folder or hub id of the tokenizer; None for the checkpoint's own.
        base: Folder or hub id of an adapter's base; None for the one that its config names.
        digests: The driver's digests of weights and tokenizer, which the replica's files must match; None if the model
            is not a checkpoint.
        gold: The right answers, for scripted models only.
    """

    model: str
    spec: EngineSpec
    revision: str | None = None
    tokenizer: str | None = None
    base: str | None = None
    digests: tuple[str, str | None] | None = None
    gold: Mapping[Request, bool | str] = field(default_factory=dict)

    def open(self) -> Engine:
        """Open the engine.

        Raises:
            CheckpointError: the checkpoint is missing on this machine, or differs from the driver's.
            HarnessError: the engine cannot be opened.
        """
        if self.digests is None:
            return open_engine(self.model, self.spec, self.gold)
        checkpoint = self._checkpoint()
        self._check(checkpoint)
        engine = open_engine(checkpoint, self.spec)
        try:
            self._check(checkpoint)  # what was loaded is what was digested
        except CheckpointError:
            engine.close()
            raise
        return engine

    def _checkpoint(self) -> Checkpoint:
        pickles = self.spec.allow_pickle
        if self.base is None:
            return resolve(self.model, revision=self.revision, allow_pickle=pickles, tokenizer=self.tokenizer)
        return resolve_on(self.base, self.model, revision=self.revision, allow_pickle=pickles, tokenizer=self.tokenizer)

    def _check(self, checkpoint: Checkpoint) -> None:
        """Check that the files on this machine match the driver's. Raises: CheckpointError: they differ."""
        assert self.digests is not None
        digests = checkpoint_digest(checkpoint), tokenizer_digest(checkpoint)
        if digests != self.digests:
            raise CheckpointError(
                f"--model {self.model}: its files on {socket.gethostname()} differ from those that this run began with "
                f"({digests[0][:19]}, not {self.digests[0][:19]}); copy the same files to every machine, and run again "
                "once nothing writes there."
            )
