"""Uploading an export to a model repository of the hub. It is the only part of an export that uses the network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.errors import HarnessError, InputError, one_line


def check_online(repository: str) -> None:
    """Refuse a push where the hub is turned off. Raises: InputError."""
    from huggingface_hub import constants

    if constants.is_offline_mode():
        raise InputError(
            f"--push_to {repository}: HF_HUB_OFFLINE is set, so nothing can be uploaded; unset it, or leave --push_to "
            "out and upload the files later."
        )


def push(files: Sequence[Path], folder: Path, repository: str) -> str:
    """Upload the files of one model to its repository, in one commit; the repository is created if it is missing.

    Args:
        files: The files, all below ``folder/ORG__NAME``.
        folder: The output folder.
        repository: ``org/name``.

    Returns:
        The address of the commit.

    Raises:
        HarnessError: The hub refused them, or cannot be reached. The files stay where they are.
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    operations = [
        CommitOperationAdd(path_in_repo=file.relative_to(folder).relative_to(_own_folder(folder, file)).as_posix(),
                           path_or_fileobj=file)
        for file in files
    ]  # fmt: skip
    api = HfApi()
    try:
        api.create_repo(repository, exist_ok=True)
        commit = api.create_commit(repository, operations, commit_message="Add evaluation results")
    except Exception as error:  # of the hub, the connection, or the account; the client's releases differ in classes
        raise HarnessError(
            f"--push_to {repository}: not uploaded ({one_line(error, max_characters=200)}); the files are in {folder}. "
            "Check `hf auth login`, the name and the connection, and run the same command again."
        ) from error
    return str(commit.commit_url)


def _own_folder(folder: Path, file: Path) -> Path:
    """The first folder below `folder` that holds the file: that of its model."""
    return Path(file.relative_to(folder).parts[0])
