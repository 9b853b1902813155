"""The stages that made a checkpoint, read from the lineage in its record, whatever the manifest's schema.

Schema 1 has one ``parent`` (an object or null), schema 2 a list of ``parents``::

    {"stage": "sft", "parent": {"name": "pre-text-0", "digest": "sha256:..."}}
    {"stage": "average", "parents": [{"name": "a", "digest": "..."}, {"name": "b", "digest": "..."}]}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.errors import MALFORMED, RecordError, one_line
from harness.records import ModelRecords
from harness.reports.analysis.recipes import stage_recipe


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One trained stage of a lineage.

    Attributes:
        kind: ``pretrain``, ``sft``, ...
        name: Its name in the stage file.
        digest: Digest of the checkpoint that it made; empty if not recorded.
        parents: Digests of the checkpoints that it started from; empty for training from scratch.
        seed: Its seed.
        step: Optimizer steps of an unfinished checkpoint; None for a finished stage.
        spec: The stage file as it was run.
        sources: Names of its data sources.
        tokens: Tokens trained on; 0 if not recorded.
        recipe: What it has in common with the same stage of other seeds; see `recipes.stage_recipe`.
    """

    kind: str
    name: str
    digest: str
    parents: tuple[str, ...]
    seed: int
    step: int | None
    spec: Mapping[str, Any]
    sources: tuple[str, ...]
    tokens: int
    recipe: str


def stages_of(model: ModelRecords) -> tuple[Stage, ...]:
    """Return the stages that made a model, the oldest first; empty if its record has no lineage.

    Raises:
        RecordError: The lineage is damaged.
    """
    try:
        links = [link for link in model.lineage if link.get("manifest")]
        return tuple(_stage(link) for link in reversed(links))
    except MALFORMED as error:
        reason = one_line(error, max_characters=100)
        raise RecordError(
            f"{model.name}: the lineage in its run.json is damaged ({reason}); evaluate it again, or name its parent "
            "in the design file."
        ) from None


def _stage(link: Mapping[str, Any]) -> Stage:
    manifest = link["manifest"]
    return Stage(
        kind=str(manifest["stage"]),
        name=str(manifest["name"]),
        digest=str(link.get("digest") or ""),
        parents=tuple(str(parent["digest"]) for parent in _parents(manifest)),
        seed=int(manifest.get("seed", 0)),
        step=None if manifest.get("finished", True) else int(manifest["step"]),
        spec=dict(manifest.get("spec") or {}),
        sources=tuple(str(source["name"]) for source in manifest.get("sources") or ()),
        tokens=int(manifest.get("tokens") or 0),
        recipe=stage_recipe(manifest),
    )


def _parents(manifest: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    if manifest.get("parents"):
        return list(manifest["parents"])
    return [manifest["parent"]] if manifest.get("parent") else []
