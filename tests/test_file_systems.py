"""The file system of a path is that of the longest mount point above it."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness import file_systems
from harness.file_systems import FileSystem, file_system, of_macos

TABLE = r"""22 1 0:21 / / rw,relatime - ext4 /dev/sda rw
23 22 0:22 / {0}/home rw,relatime shared:1 - nfs4 server:/home rw,vers=4.2
24 23 0:23 / {0}/home/me/local rw,relatime - xfs /dev/sdb rw
25 22 0:24 / {0}/scratch rw - lustre 10.0.0.1@tcp:/scratch rw
26 22 0:25 / {0}/work rw - tmpfs none rw
27 22 0:26 / {0}/work rw - gpfs work rw
28 22 0:27 / {0}/my\040share rw - cifs //server/share rw
29 22 0:28 / {0}/ssh rw - fuse.sshfs me@server: rw
30 22 0:29 / {0}/shared rw - virtiofs shared rw
31 22 0:30 / {0}/bucket rw - fuse.gcsfuse bucket rw
not a line
"""


@pytest.fixture
def mounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for folder in ("home/me/local", "homework", "scratch", "work", "my share", "ssh", "shared", "bucket"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "table").write_text(TABLE.format(tmp_path))
    monkeypatch.setattr(file_systems, "MOUNTS", tmp_path / "table")
    return tmp_path


@pytest.mark.parametrize(
    ("folder", "name", "network"),
    [
        ("home/me", "nfs4", True),
        ("home/not/there/yet", "nfs4", True),
        ("home/me/local", "xfs", False),
        ("homework", "ext4", False),
        ("scratch", "lustre", True),
        ("work", "gpfs", True),
        ("my share", "cifs", True),
        ("ssh", "fuse.sshfs", True),
        ("shared", "virtiofs", True),
        ("bucket", "fuse.gcsfuse", True),
    ],
)
def test_the_longest_mount_point_decides(folder: str, name: str, network: bool, mounted: Path) -> None:
    assert file_system(mounted / folder) == FileSystem(name=name, network=network)


def test_a_link_is_followed(mounted: Path) -> None:
    (mounted / "homework" / "link").symlink_to(mounted / "scratch")
    assert file_system(mounted / "homework" / "link" / "cache").name == "lustre"


@pytest.mark.parametrize(
    ("name", "network"),
    [
        ("ext4", False), ("xfs", False), ("btrfs", False), ("zfs", False), ("tmpfs", False), ("overlay", False),
        ("fuseblk", False), ("9p", True), ("fuse", True), ("fuse.mount-s3", True), ("fuse.blobfuse2", True),
        ("mmfs", True), ("acfs", True), ("vboxsf", True), ("dvs", True), ("a name of the future", True),
    ],
)  # fmt: skip
def test_only_file_systems_of_one_machine_count_as_local(
    name: str, network: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_systems, "MOUNTS", tmp_path / "table")
    (tmp_path / "table").write_text(f"22 1 0:21 / / rw - {name.replace(' ', '-')} none rw\n")
    assert file_system(tmp_path) == FileSystem(name=name.replace(" ", "-"), network=network)


def test_without_a_mount_table_a_path_counts_as_shared(mounted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_systems, "MOUNTS", mounted / "none")
    assert file_system(mounted / "scratch") == FileSystem(name="unknown", network=True)


def test_the_mount_points_of_macos() -> None:
    output = """/dev/disk3s1s1 on / (apfs, sealed, local, read-only, journaled)
map auto_home on /System/Volumes/Data/home (autofs, automounted, nobrowse)
server:/export/my (old) data on /Volumes/my (old) data (nfs, nodev, nosuid)
"""
    assert list(of_macos(output)) == [
        (Path("/"), "apfs"),
        (Path("/System/Volumes/Data/home"), "autofs"),
        (Path("/Volumes/my (old) data"), "nfs"),
    ]
