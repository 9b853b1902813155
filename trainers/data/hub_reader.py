"""Stream a data set from the hub, at a fixed commit."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import InputError, first_line
from harness.hub_access import cache_only_without_hub
from harness.trainers.data.readers import Cursor, RawRecord


@dataclass(frozen=True, kw_only=True)
class HubReader:
    """Streams a data set through `datasets`, without downloading it whole.

    Attributes:
        name: Hub id, or a folder of data files.
        subset: The data set's configuration, where it has several.
        split: For example ``train``.
        revision: The commit, so that the data cannot change during the stage; None for a folder.
    """

    name: str
    subset: str | None = None
    split: str = "train"
    revision: str | None = None

    @property
    def files(self) -> Sequence[Path]:
        """Empty: the files are on the hub."""
        return ()

    def read(self, cursor: Cursor) -> Iterator[RawRecord]:
        """Yield the records from `cursor` on."""
        from datasets import load_dataset
        from datasets.exceptions import DatasetNotFoundError

        no_hub = ""
        try:
            with cache_only_without_hub() as no_hub:
                stream = load_dataset(self.name, self.subset, split=self.split, revision=self.revision, streaming=True)
        except (DatasetNotFoundError, ConnectionError, FileNotFoundError, ValueError) as error:
            reason = no_hub or first_line(error, max_characters=160)
            raise InputError(
                f"hub data set {self.name}: cannot be opened ({reason}); check the "
                "name, the split and your connection, or give a local path."
            ) from None
        for number, record in enumerate(stream.skip(cursor.offset), start=cursor.offset + 1):
            yield RawRecord(record, f"{self.name}, record {number}", Cursor(0, number, number))


def hub_commit(name: str, revision: str | None) -> str | None:
    """Return the commit that a hub data set's revision points to now; None for a folder.

    Raises:
        InputError: the hub does not know it, or is not reachable.
    """
    if Path(name).exists():
        return None
    from huggingface_hub import dataset_info
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

    if revision is not None and re.fullmatch(r"[0-9a-f]{40}", revision):
        return revision
    no_hub = ""
    try:
        with cache_only_without_hub() as no_hub:
            return dataset_info(name, revision=revision).sha
    except (HfHubHTTPError, HFValidationError, OfflineModeIsEnabled, OSError) as error:
        reason = no_hub or first_line(error, max_characters=160)
        raise InputError(
            f"hub data set {name}: cannot be looked up ({reason}); check the name and "
            "your connection, give a full commit as revision, or give a local path."
        ) from None
