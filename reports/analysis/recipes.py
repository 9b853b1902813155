"""What the runs of several seeds have in common: their recipe, stage by stage, and their names without the seed.

    tuned-C-0 (sft of chat, seed 0) from base-0 (pretrain on text, seed 0)   |  one recipe
    tuned-C-1 (sft of chat, seed 1) from base-1 (pretrain on text, seed 1)   |
    tuned-C-2 (sft of chat, seed 2) from base-2 (pretrain on code, seed 2)      another one

The report's pictures, the viewer's means and `--design auto` all compare recipes by this rule.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from harness.checkpoints.stage_manifest import recorded_parents

Recipe = tuple[tuple[str, ...], ...]
"""A part per checkpoint of a lineage, the evaluated one first."""

_SEED = re.compile(r"[-_. ]*(seed|s|run)?[-_. ]*(?<![-_. ]v)(?<!\d)\d+$")  # sft-v2 is a version, no seed
# Fields of a stage file that name one run or its place. `checkpoints` are the parents of an average.
_OF_ONE_RUN = frozenset({"name", "seed", "from", "output_path", "checkpoints"})


def without_seed(name: str) -> str:
    """Return a name without the number at its end: ``tuned-C`` of ``tuned-C-0``; `name` if nothing else is in it."""
    return _SEED.sub("", name) or name


def stage_recipe(manifest: Mapping[str, Any]) -> str:
    """Return what the seeds of one stage have in common: its kind, its sources, and its file without seed and places.

    Args:
        manifest: The manifest of its checkpoint, of either schema version.
    """
    settings = manifest.get("spec") or {}
    if isinstance(settings, Mapping):  # else the record is damaged, and still has its place in the pictures
        settings = {key: value for key, value in settings.items() if key not in _OF_ONE_RUN}
    sources = sorted(str(source["name"]) for source in manifest.get("sources") or ())
    parts = [manifest.get("stage"), sources, len(recorded_parents(manifest)), settings]
    return json.dumps(parts, sort_keys=True, default=str)


def link_recipe(link: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the recipe of one checkpoint of a lineage; one without a manifest is known by its digest only."""
    manifest = link.get("manifest")
    if not manifest:
        return (str(link.get("digest") or link["name"]),)
    step = "" if manifest.get("finished", True) else str(manifest["step"])
    return stage_recipe(manifest), step, without_seed(str(manifest["name"]))
