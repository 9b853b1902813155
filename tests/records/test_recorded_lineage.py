"""A damaged lineage in a run record is an error of one line that names the field, not a traceback of a report."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from harness.errors import RecordError
from harness.records.run_folder import read_record
from tests.records.test_run_folder import RECORD

MANIFEST: dict[str, Any] = {
    "name": "tuned", "stage": "sft", "finished": True, "step": 10, "tokens": 1000, "spec": {"seed": 0},
    "sources": [{"name": "chat", "tokens": 1000}], "parents": [{"name": "base", "digest": "sha256:2"}],
}  # fmt: skip
LINK: dict[str, Any] = {"name": "tuned", "digest": "sha256:1", "manifest": MANIFEST}


def _written(folder: Path, lineage: object) -> Path:
    record = {**RECORD, "model": {"name": "tuned", "lineage": lineage}}
    file = folder / "run_2026-01-01T00-00-00.json"
    file.write_text(json.dumps(record), encoding="utf-8")
    return file


def _with(keys: tuple[str, ...], value: object) -> list[dict[str, Any]]:
    """A lineage of one link with this value at `keys`."""
    link = copy.deepcopy(LINK)
    place = link
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    return [link]


@pytest.mark.parametrize("lineage", [[], [LINK], _with(("manifest",), None), _with(("manifest", "sources"), None)])
def test_a_lineage_is_read(tmp_path: Path, lineage: list[dict[str, Any]]) -> None:
    assert read_record(_written(tmp_path, lineage)).model["lineage"] == lineage


def test_a_manifest_of_the_first_schema_is_read(tmp_path: Path) -> None:
    older = {key: value for key, value in MANIFEST.items() if key != "parents"}
    lineage = _with(("manifest",), {**older, "parent": {"digest": "sha256:2"}})
    assert read_record(_written(tmp_path, lineage)).model["lineage"] == lineage


@pytest.mark.parametrize(
    ("lineage", "named"),
    [
        *((value, "model.lineage") for value in (3, "x", {"a": 1})),
        *(([value], "model.lineage.0") for value in ("x", 3, {}, {"name": 3})),
        *((_with(("manifest",), value), "model.lineage.0.manifest") for value in (3, "x", [1], {"a": 1})),
        *((_with(("digest",), value), "model.lineage.0.digest") for value in (3, ["x"])),
        *(
            (_with(("manifest", "sources"), value), "model.lineage.0.manifest.sources")
            for value in (3, "x", ["x"], [3], {"a": 1}, [{"tokens": 1}])
        ),
        *(
            (_with(("manifest", "parents"), value), "model.lineage.0.manifest.parents")
            for value in (3, "x", ["x"], [3], {"a": 1}, [{"name": "base"}])
        ),
        *((_with(("manifest", "tokens"), value), "model.lineage.0.manifest.tokens") for value in (["x"], {"a": 1})),
    ],
)
def test_damage_is_named(tmp_path: Path, lineage: object, named: str) -> None:
    file = _written(tmp_path, lineage)
    with pytest.raises(RecordError) as caught:
        read_record(file)
    message = str(caught.value)
    assert message.startswith(f"{file}: {named}")
    assert "\n" not in message
    assert message.endswith("the file is damaged or from another release.")
