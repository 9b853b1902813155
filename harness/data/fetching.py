"""Fetch data files into the cache, from a pinned public address or a pinned revision on the hub.

A file appears in the cache complete and checked, or not at all. This module never changes the data folder.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
import tempfile
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from harness.data.manifest import DataFile, MismatchError, all_files, fetch_command, find
from harness.data.store import cached_data, check_count, check_digest, file_to_read, local_path
from harness.errors import TaskError, one_line
from harness.hub_access import forget_findings, why_no_hub
from harness.paths import writable_cache_dir

ProgressCallback = Callable[[str, int, int | None], None]
"""Called with the file's name, the number of bytes received, and the total number of bytes, or None if unknown."""

CHUNK_BYTES = 1 << 16
ARCHIVES = ".archives"
"""Folder in the cache for fetched archives."""
TIMEOUT_SECONDS = 20.0
_unreachable: set[str] = set()  # hosts that did not answer in this process; each is tried once


def fetch(
    names: Iterable[str], progress: ProgressCallback | None = None, *, folders: Iterable[Path] | None = None
) -> dict[str, Path]:
    """Fetch data files into the cache. Files that are already on this machine are checked, not fetched.

    Args:
        names: Names from the manifests.
        progress: Called after every chunk.
        folders: Folders to search for manifests; by default the project's own tasks.

    Returns:
        The path of each file.

    Raises:
        TaskError: A name is unknown; or, after all other files were fetched, the files that are unavailable or differ
            from the pinned ones.
    """
    folders = list(folders or ())
    files = all_files(folders)
    requested = {name: find(name, files) for name in names}
    paths: dict[str, Path] = {}
    failed: list[TaskError] = []
    for name, file in requested.items():
        try:
            name, file = file_to_read(name, files)
            path = local_path(file) or fetch_file(name, file, progress, folders=folders)
            check_digest(name, file, path)
            if not file.sha256:
                check_count(name, file, path)
            paths[name] = path
        except TaskError as error:  # fetch the others first
            failed.append(error)
    mismatch = next((error for error in failed if isinstance(error, MismatchError)), None)
    if len(failed) == 1 or mismatch is not None:
        raise mismatch or failed[0]
    if failed:
        raise TaskError(f"{len(failed)} of {len(requested)} files are unavailable: {' '.join(map(str, failed))}")
    return paths


def how_to_get(files: Mapping[str, DataFile], folders: Iterable[Path] = ()) -> str:
    """Return, as half a sentence, how a user gets these files of the manifests in `folders`."""
    known = [name for name, file in files.items() if file.url or file.hub or file.first_of]
    others = [file.path for name, file in files.items() if name not in known]
    ways = [f"run `{fetch_command(known, folders)}`"] if known else []
    ways += [f"put {', '.join(others)} into a folder and give it as --data_dir or HARNESS_DATA"] if others else []
    return "; ".join(ways)


def fetch_file(
    name: str, file: DataFile, progress: ProgressCallback | None = None, *, folders: Iterable[Path] = ()
) -> Path:
    """Fetch one file into the cache, check it, and return its path there; its manifest is in `folders`.

    Raises:
        TaskError: No source is known, it cannot be reached, or its bytes are not the pinned ones.
    """
    target = cached_data() / file.path
    remedy = (
        f"run `{fetch_command([name], folders)}` on a machine with network access, or put {file.path} into HARNESS_DATA"
    )
    if file.url is None and file.hub is None:
        raise TaskError(
            f"data file {name}: not on this machine, and no address is known for it; {how_to_get({name: file})}."
        )
    writable_cache_dir(f"the data file {name}")
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary_name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    os.close(handle)
    temporary = Path(temporary_name)
    try:
        if file.url is not None and file.member is not None:
            digest = _from_archive(name, file.url, file.member, temporary, progress, remedy)
        elif file.url is not None:
            digest = _from_url(name, file.url, temporary, progress, remedy)
        else:
            digest = _from_hub(name, file, temporary, progress, remedy)
        if file.sha256 and digest not in file.sha256:
            if file.url is not None:
                _archive_of(file.url).unlink(missing_ok=True)  # the next try fetches it again
            source = file.url or f"hub {file.hub}"
            raise MismatchError(
                f"data file {name}: {source} has sha256 {digest}, the pinned one is {' or '.join(file.sha256)}; "
                f"upstream changed: {remedy}."
            )
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    if not file.sha256:
        target.with_name(target.name + ".sha256").write_text(digest + "\n", encoding="utf-8")
    return target


def _from_url(name: str, url: str, target: Path, progress: ProgressCallback | None, remedy: str) -> str:
    host = urlsplit(url).netloc
    if host and (host in _unreachable or os.environ.get("HF_HUB_OFFLINE") == "1"):
        raise TaskError(f"data file {name}: not on this machine, and {host} cannot be reached; {remedy}.")
    digest = hashlib.sha256()
    arrived = 0
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as source, target.open("wb") as sink:  # noqa: S310 - the address is pinned in a manifest
            length = source.headers.get("Content-Length")
            total = int(length) if length else None
            while chunk := source.read(CHUNK_BYTES):
                sink.write(chunk)
                digest.update(chunk)
                arrived += len(chunk)
                if progress is not None:
                    progress(name, arrived, total)
    except urllib.error.HTTPError as error:
        raise TaskError(f"data file {name}: {url} answers {error.code} {error.reason}; {remedy}.") from None
    except (urllib.error.URLError, OSError) as error:
        _unreachable.add(host)
        reason = getattr(error, "reason", error)
        raise TaskError(
            f"data file {name}: not on this machine, and {url} cannot be reached ({reason}); {remedy}."
        ) from None
    if total is not None and arrived != total:
        raise TaskError(f"data file {name}: {url} ended after {arrived} of {total} bytes; {remedy}.")
    return digest.hexdigest()


def _archive_of(url: str) -> Path:
    """Return where the archive of an address is kept: two addresses may end in the same name."""
    name = Path(urlsplit(url).path).name
    return cached_data() / ARCHIVES / f"{hashlib.sha256(url.encode()).hexdigest()[:16]}-{name}"


def _from_archive(
    name: str, url: str, member: str, target: Path, progress: ProgressCallback | None, remedy: str
) -> str:
    """Extract one file from an archive. The archive stays in the cache, because it may contain other data files."""
    archive = _archive_of(url)
    if not archive.is_file():
        archive.parent.mkdir(exist_ok=True)
        arriving = target.with_name(target.name + ".archive")
        try:
            _from_url(name, url, arriving, progress, remedy)
            arriving.replace(archive)
        finally:
            arriving.unlink(missing_ok=True)
    try:
        with tarfile.open(archive) as opened, target.open("wb") as sink:
            packed = opened.extractfile(member)
            if packed is None:
                raise KeyError(f"{member} is not a file")
            shutil.copyfileobj(packed, sink)
    except (tarfile.TarError, KeyError, OSError, EOFError, zlib.error) as error:
        archive.unlink(missing_ok=True)
        reason = one_line(error)
        raise TaskError(f"data file {name}: cannot be extracted from the archive {url} ({reason}); {remedy}.") from None
    with target.open("rb") as extracted:
        return hashlib.file_digest(extracted, "sha256").hexdigest()


def _from_hub(name: str, file: DataFile, target: Path, progress: ProgressCallback | None, remedy: str) -> str:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    assert file.hub is not None
    repo, path, revision = file.hub.repo, file.hub.file, file.hub.revision
    reason = ""
    try:
        try:
            cached = hf_hub_download(repo, path, repo_type="dataset", revision=revision, local_files_only=True)
        except LocalEntryNotFoundError:
            if reason := why_no_hub():
                raise
            cached = hf_hub_download(repo, path, repo_type="dataset", revision=revision)
    except LocalEntryNotFoundError:
        reason = reason or "the hub cannot be reached"
        raise TaskError(f"data file {name}: not on this machine, and {reason}; {remedy}.") from None
    except (HfHubHTTPError, OSError) as error:
        reason = one_line(error, max_characters=200)
        raise TaskError(f"data file {name}: the hub refuses {repo} ({reason}); {remedy}.") from None
    shutil.copyfile(cached, target)
    size = target.stat().st_size
    if progress is not None:
        progress(name, size, size)
    with target.open("rb") as copied:
        return hashlib.file_digest(copied, "sha256").hexdigest()


def forget_unreachable() -> None:
    """Try hosts again that did not answer before."""
    _unreachable.clear()
    forget_findings()
