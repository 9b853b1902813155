"""The folder of a hub id: downloaded, or read from the hub's cache where the hub cannot be reached."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.errors import whole_reason
from harness.hub_access import cache_only_without_hub


class UnavailableError(Exception):
    """A hub id is not available. The message gives only the reason; the caller adds the source and the remedy."""


def hub_folder(name: str, *, patterns: Sequence[str], revision: str | None = None) -> Path:
    """Return the local folder of a hub repository, with the files that match.

    Args:
        name: The hub id, such as ``org/name``.
        patterns: Patterns of the files to download, such as ``*.json``.
        revision: A commit, tag or branch; None for the default branch.

    Raises:
        UnavailableError: The id is wrong or unknown, or the hub cannot be reached and its cache lacks the files.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OfflineModeIsEnabled

    no_hub = ""
    try:
        with cache_only_without_hub() as no_hub:
            return Path(snapshot_download(name, revision=revision, allow_patterns=list(patterns)))
    except HFValidationError as error:
        raise UnavailableError(whole_reason(error)) from None
    except (HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled, OSError) as error:
        raise UnavailableError(no_hub or whole_reason(error)) from None
