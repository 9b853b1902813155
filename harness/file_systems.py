"""Which file system a folder is on, and whether other machines can write to it too."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# Linux lists mount points here, one per line: "36 35 0:30 / /home rw shared:1 - nfs4 server:/home rw".
MOUNTS = Path("/proc/self/mountinfo")
# Names of file systems on the disks or in the memory of one machine. Any other may be shared: NFS, Lustre and GPFS, the
# folders that a virtual machine shares with its host (virtiofs, 9p), and whatever a FUSE program makes.
LOCAL = frozenset(
    {
        "apfs", "bcachefs", "btrfs", "erofs", "exfat", "ext2", "ext3", "ext4", "f2fs", "fuseblk", "hfs", "hfsplus",
        "jfs", "msdos", "nilfs2", "ntfs", "ntfs3", "overlay", "ramfs", "reiserfs", "rootfs", "squashfs", "tmpfs", "udf",
        "ufs", "vfat", "xfs", "zfs",
    }
)  # fmt: skip
_ESCAPE = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, kw_only=True)
class FileSystem:
    """A file system.

    Attributes:
        name: As the system calls it, such as ``ext4`` or ``nfs4``; "unknown" if it does not say.
        network: Whether other machines may share it.
    """

    name: str
    network: bool


def file_system(path: Path) -> FileSystem:
    """Return the file system of a path; if the path does not exist yet, of its nearest existing folder."""
    nearest = next(folder for folder in (path, *path.absolute().parents) if folder.exists()).resolve()
    name, longest = "unknown", -1
    for point, kind in _mounts():
        # If two file systems are mounted at the same place, the later one hides the earlier one.
        if nearest.is_relative_to(point) and len(point.parts) >= longest:
            name, longest = kind, len(point.parts)
    return FileSystem(name=name, network=name not in LOCAL)


def _mounts() -> Iterator[tuple[Path, str]]:
    """Yield each mount point with the name of its file system."""
    try:
        text = MOUNTS.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:  # no Linux
        if sys.platform == "darwin":
            yield from of_macos(subprocess.run(["/sbin/mount"], capture_output=True, text=True, check=False).stdout)
        return
    for line in text.splitlines():
        mount, dash, rest = line.partition(" - ")
        fields = mount.split(" ")
        if dash and len(fields) >= 5:
            # A program that serves a FUSE file system adds its name after a dot: fuse.sshfs, fuse.glusterfs.
            yield Path(_ESCAPE.sub(lambda match: chr(int(match[1], 8)), fields[4])), rest.split(" ")[0]


def of_macos(text: str) -> Iterator[tuple[Path, str]]:
    """Yield the mount points in the output of macOS's ``mount``: "/dev/disk3s1 on / (apfs, local, journaled)"."""
    for match in re.finditer(r"^.+? on (/.*) \((\w+)[,)]", text, re.MULTILINE):
        yield Path(match[1]), match[2]
