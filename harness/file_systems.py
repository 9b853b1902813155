"""Which file system a folder is on, and whether other machines can write to it too."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

# Linux lists mount points here, one per line: "36 35 0:30 / /home rw shared:1 - nfs4 server:/home rw".
MOUNTS = Path("/proc/self/mountinfo")
# Names that Linux gives to file systems that several machines share.
NETWORK = frozenset(
    {
        "9p", "afs", "beegfs", "beegfs_nodev", "ceph", "cifs", "gfs2", "glusterfs", "gpfs", "juicefs", "lustre", "nfs",
        "nfs4", "ocfs2", "orangefs", "panfs", "pvfs2", "rclone", "s3fs", "smb2", "smb3", "smbfs", "sshfs", "wekafs",
    }
)  # fmt: skip
_ESCAPE = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, kw_only=True)
class FileSystem:
    """A file system.

    Attributes:
        name: As Linux calls it, such as ``ext4`` or ``nfs4``; "unknown" on other systems.
        network: Whether other machines may share it.
    """

    name: str
    network: bool


def file_system(path: Path) -> FileSystem:
    """Return the file system of a path; if the path does not exist yet, of its nearest existing folder."""
    nearest = next(folder for folder in (path, *path.absolute().parents) if folder.exists()).resolve()
    try:
        lines = MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:  # no Linux
        return FileSystem(name="unknown", network=False)
    name, longest = "unknown", -1
    for line in lines:
        mount, dash, rest = line.partition(" - ")
        fields = mount.split(" ")
        if not dash or len(fields) < 5:
            continue
        point = Path(_ESCAPE.sub(lambda match: chr(int(match[1], 8)), fields[4]))
        # If two file systems are mounted at the same place, the later one hides the earlier one.
        if nearest.is_relative_to(point) and len(point.parts) >= longest:
            name, longest = rest.split(" ")[0], len(point.parts)
    # FUSE adds the name of the program after a dot: fuse.sshfs, fuse.glusterfs.
    return FileSystem(name=name, network=name.removeprefix("fuse.") in NETWORK)
