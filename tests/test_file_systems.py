"""The file system of a path is that of the longest mount point above it."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness import file_systems
from harness.file_systems import FileSystem, file_system

TABLE = r"""22 1 0:21 / / rw,relatime - ext4 /dev/sda rw
23 22 0:22 / {0}/home rw,relatime shared:1 - nfs4 server:/home rw,vers=4.2
24 23 0:23 / {0}/home/me/local rw,relatime - xfs /dev/sdb rw
25 22 0:24 / {0}/scratch rw - lustre 10.0.0.1@tcp:/scratch rw
26 22 0:25 / {0}/work rw - tmpfs none rw
27 22 0:26 / {0}/work rw - gpfs work rw
28 22 0:27 / {0}/my\040share rw - cifs //server/share rw
29 22 0:28 / {0}/ssh rw - fuse.sshfs me@server: rw
not a line
"""


@pytest.fixture
def mounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for folder in ("home/me/local", "homework", "scratch", "work", "my share", "ssh"):
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
    ],
)
def test_the_longest_mount_point_decides(folder: str, name: str, network: bool, mounted: Path) -> None:
    assert file_system(mounted / folder) == FileSystem(name=name, network=network)


def test_a_link_is_followed(mounted: Path) -> None:
    (mounted / "homework" / "link").symlink_to(mounted / "scratch")
    assert file_system(mounted / "homework" / "link" / "cache").name == "lustre"


def test_without_a_mount_table_a_path_counts_as_local(mounted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_systems, "MOUNTS", mounted / "none")
    assert file_system(mounted / "scratch") == FileSystem(name="unknown", network=False)
