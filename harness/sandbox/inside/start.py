"""The first process of a bubblewrap sandbox: prepares what programs will see, then becomes the server.

Programs see the host's library files. A lock on a file belongs to the file itself, so a program could hold a lock on
the host's copy. Each folder is therefore covered with an overlay of itself, whose files have identities of their own.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from . import isolation, kernel, server

# Folders of the sandbox: an empty one, the one that the interpreter's file lies in, the user's packages.
EMPTY, INTERPRETER, SITE = "/server/empty", "/server/interpreter", "/server/site"


def server_command(python: str, inside: str, call: str = f"server.main(site={SITE!r})") -> list[str]:
    """Return the command that starts a sandbox's server: no site packages, no user folder, no byte code written.

    Args:
        python: The interpreter, as the sandbox sees it.
        inside: The folder that holds the package ``inside``.
        call: What to call in one of the package's modules.
    """
    module = call.partition(".")[0]
    code = f"import sys; sys.path.insert(0, {inside!r}); from inside import {module}; del sys.path[0]; {call}"
    return [python, "-B", "-S", "-s", "-P", "-c", code]


def cover(folder: str) -> None:
    """Cover a folder with an overlay of itself. Raises: OSError if the kernel does not allow it."""
    lower = folder.replace("\\", "\\\\").replace(":", "\\:").replace(",", "\\,")
    kernel.mount("overlay", folder, "overlay", kernel.MS_RDONLY, f"lowerdir={lower}:{EMPTY}")


def cover_all(python: str, folders: Sequence[str]) -> bool:
    """Cover the libraries and the interpreter; returns whether the kernel allows it."""
    try:
        for folder in (*folders, INTERPRETER):
            cover(folder)
    except OSError:
        return False
    finally:
        covered = f"{INTERPRETER}/{Path(python).name}"
        kernel.mount(covered, python, None, kernel.MS_BIND)
        kernel.mount("tmpfs", INTERPRETER, "tmpfs", kernel.MS_RDONLY)  # programs need not see its other files
    return True


def main(python: str, folders: Sequence[str]) -> None:
    """Prepare the sandbox, then execute the server.

    Args:
        python: The interpreter's path.
        folders: The folders with the host's files, as programs see them.
    """
    kernel.unshare(kernel.CLONE_NEWNS | kernel.CLONE_NEWPID)
    server.become_first_process()
    kernel.mount("none", "/", None, kernel.MS_REC | kernel.MS_PRIVATE)
    kernel.mount("proc", "/proc", "proc", kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC)
    kernel.mount("tmpfs", "/etc", "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV)
    Path("/etc/hosts").write_text("127.0.0.1 localhost\n::1 localhost\n")
    isolation.make_read_only()
    locks = cover_all(python, folders)
    os.execv(  # noqa: S606
        python, server_command(python, "/server", f"server.main(mounts=True, locks={locks}, site={SITE!r})")
    )
