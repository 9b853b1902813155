"""Where the items of a task come from: a data set of the hub, addresses, or neither.

It is read from the task's configuration in the record, in this order:

    metadata: {source_url: https://...}       what the task's author states
    metadata: {data: [arc_easy]}              the addresses of these data files in this project's data.yaml
    dataset_path: allenai/ai2_arc             a data set of the hub

Local files and generated items have neither.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from harness.data.manifest import all_files
from harness.records.results_file import RunContents

# Names of `datasets` for files of a format, which are no data set.
_BUILDERS = frozenset({"arrow", "audiofolder", "csv", "imagefolder", "json", "pandas", "parquet", "text", "webdataset"})
_HUB_DATASET = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class DatasetSource:
    """The source of a task's items.

    Attributes:
        hub: Id of a data set on the hub; empty if it is none.
        config: Its configuration; empty for the default one.
        split: The split of the items.
        urls: Addresses of the items; empty if none is known.
    """

    hub: str = ""
    config: str = ""
    split: str = ""
    urls: tuple[str, ...] = ()


def source_of(contents: RunContents, task: str) -> DatasetSource:
    """Return the source of a task's items."""
    config: dict[str, Any] = contents.results["configs"].get(task) or {}
    given = config.get("metadata")
    metadata: dict[str, Any] = given if isinstance(given, dict) else {}
    stated = metadata.get("source_url")
    if stated:
        return DatasetSource(urls=tuple(map(str, stated)) if isinstance(stated, list) else (str(stated),))
    path = str(config.get("dataset_path") or "")
    if path and path not in _BUILDERS and _HUB_DATASET.fullmatch(path):
        split = config.get("test_split") or config.get("validation_split") or ""
        return DatasetSource(hub=path, config=str(config.get("dataset_name") or ""), split=str(split))
    names = metadata.get("data")
    if isinstance(names, list):
        return DatasetSource(urls=_addresses(names))
    return DatasetSource()


def _addresses(names: list[Any]) -> tuple[str, ...]:
    """The addresses of data files that this release's manifest knows."""
    files = all_files()
    known = [files[name] for name in map(str, names) if name in files]
    addresses = (
        file.url
        if file.url is not None
        else f"https://huggingface.co/datasets/{file.hub.repo}/blob/{file.hub.revision}/{file.hub.file}"
        if file.hub is not None
        else None
        for file in known
    )
    return tuple(dict.fromkeys(filter(None, addresses)))
