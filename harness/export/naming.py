"""The ``org/name`` under which a model is exported.

--model_id lab/code-sft                          lab/code-sft
a model of the hub                               its own id
base -> text-20 -> sft, trained here             local/base-text-20-sft-1a2b3c4d, with digits of its digest
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from harness.checkpoints.stage_manifest import recorded_parents
from harness.errors import InputError
from harness.records import ModelRecords
from harness.records.results_file import RunContents

LOCAL = "local"
MODEL_ID = "model_id"  # key of a results file in lm-eval's layout that was exported with --model_id
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+", re.ASCII)
_LONGEST_NAME = 80  # the hub allows 96
_DIGITS = 8


def check_model_id(text: str, *, flag: str = "--model_id") -> str:
    """Return an id that the hub would accept. Raises: InputError."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils._validators import validate_repo_id

    try:
        validate_repo_id(text)
    except HFValidationError:
        valid = False
    else:
        valid = HUB_ID.fullmatch(text) is not None
    if not valid:
        raise InputError(
            f"{flag} {text}: is no org/name; give letters, digits, '-', '_' and '.', such as my-lab/code-sft."
        )
    return text


def hub_id(model: ModelRecords, contents: RunContents) -> str | None:
    """Return the id of a model that was loaded from the hub; None for one from a local path, a service or a script.

    A relative path looks like an id too. So the commit must be recorded: this project records a revision only for a
    hub id, and lm-eval a `model_sha` only if the hub knows the model.
    """
    record = contents.record
    revision = contents.results["config"].get("model_sha") if record is None else record.model.get("revision")
    return _hub_name(model.source) if revision else None


def default_id(model: ModelRecords, contents: RunContents) -> str:
    """Return the hub's id of a model, else a name made from its lineage, or from its own name without a lineage.

    An export in lm-eval's layout keeps the id that ``--model_id`` gave it. It says so in `MODEL_ID`, because plain
    lm-eval's own fields may hold a relative path, which looks like an id.
    """
    given = _hub_name(str(contents.results.get(MODEL_ID, "")))
    return given or hub_id(model, contents) or local_id(model.recorded_name, model.digest, model.lineage)


def recorded_id(about: Mapping[str, Any], name: str) -> str:
    """Return the same id for a model that is being evaluated.

    Args:
        about: What `harness eval` records about it: source, revision, digest, lineage.
        name: Its name.
    """
    found = _hub_name(str(about["source"])) if about.get("revision") else None
    return found or local_id(name, str(about["digest"]), about.get("lineage") or ())


def local_id(name: str, digest: str, lineage: Sequence[Mapping[str, Any]]) -> str:
    """Return the id of a model that is not on the hub, from its lineage, or from its name without one."""
    names = _path_from_root(lineage) or [name]
    digits = digest.rpartition(":")[2][:_DIGITS] if digest.startswith("sha256:") else ""
    joined = _clean("-".join(PurePosixPath(name).name for name in names))[-_LONGEST_NAME:]
    return f"{LOCAL}/{_clean(f'{joined}-{digits}')}"


def _hub_name(source: str) -> str | None:
    name = source.partition("@")[0]
    return name if HUB_ID.fullmatch(name) else None


def _clean(text: str) -> str:
    """Return text with what the hub does not allow replaced by single hyphens."""
    return re.sub(r"[^A-Za-z0-9._]+|\.\.+", "-", text).strip("-.") or "model"


def _path_from_root(lineage: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the names of a checkpoint's ancestors and its own, oldest first, along the first parents."""
    by_digest = {link.get("digest"): link for link in lineage}
    names: list[str] = []
    link = lineage[0] if lineage else None
    while link is not None and len(names) <= len(lineage):
        manifest = link.get("manifest") or {}
        step = "" if manifest.get("finished", True) else f"-step-{manifest.get('step')}"
        names.append(f"{manifest.get('name') or link['name']}{step}")
        parents = recorded_parents(manifest)
        link = by_digest.get(parents[0]["digest"], {"name": parents[0]["name"]}) if parents else None
    return names[::-1]
