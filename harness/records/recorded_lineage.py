"""What reports read of the lineage in a run record; the rest of it may have any form.

A link holds the manifest of its checkpoint, of either schema version, or none::

    {"name": "tuned", "digest": "sha256:1f0a...", "manifest": {
        "name": "tuned", "step": 40, "tokens": 4096,
        "sources": [{"name": "chat", "eval_data": []}], "parents": [{"digest": "sha256:77c2..."}]}}
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError


class _Read(BaseModel):
    model_config = ConfigDict(extra="ignore")


class _Source(_Read):
    name: str
    eval_data: list[str] = []


class _Parent(_Read):
    digest: str


class _HeldOut(_Read):
    eval_data: list[str] = []


class _Evaluation(_Read):
    sources: dict[str, _HeldOut] = {}


class _Manifest(_Read):
    name: str
    stage: str | None = None
    finished: bool = True
    step: int | None = None
    tokens: float | None = None
    arguments: dict[str, Any] | None = None
    sources: list[_Source] | None = None
    parents: list[_Parent] | None = None
    parent: _Parent | None = None  # of the first schema
    evaluation: _Evaluation | None = None
    inherited_eval_data: list[str] = []


class _Link(_Read):
    name: str
    digest: str | None = None
    manifest: _Manifest | None = None


_LINKS = TypeAdapter(list[_Link])


def lineage_fault(lineage: Any) -> str:
    """Return where a recorded lineage is damaged, such as ``lineage.0.name: Field required``; empty if it is not."""
    try:
        _LINKS.validate_python(lineage)
    except ValidationError as error:
        first = error.errors()[0]
        return f"{'.'.join(map(str, ('lineage', *first['loc'])))}: {first['msg']}"
    return ""
