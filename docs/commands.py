"""The commands that a page shows, and a way to run them in the order written, as a reader does by copy and paste.

A page's commands stand in fences marked ``bash``. A block that tests cannot run has a comment above it with the reason:

    <!-- not run by the tests: it needs a cluster -->
    ```bash
    srun harness eval ...
    ```

If a picture of the terminal follows a block, as in ``![...](pictures/compare.svg)``, `make_pictures` draws the block
and its output there.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

BLOCK = re.compile(
    r"(?:<!-- not run by the tests: (?P<reason>[^\n]+) -->\n)?"
    r"^```bash\n(?P<commands>.*?)^```\n"
    r"(?:\n!\[[^]]*\]\((?:docs/)?pictures/(?P<picture>\w+)\.svg\))?",
    re.DOTALL | re.MULTILINE,
)
SEPARATOR = "\x1e"  # ASCII's record separator: no command prints it


@dataclass(frozen=True, kw_only=True)
class Block:
    """A block of commands.

    Attributes:
        commands: Lines for bash.
        skipped: Why tests do not run it; empty if they do.
        picture: Stem of the picture of its output; empty if there is none.
    """

    commands: str
    skipped: str = ""
    picture: str = ""


class CommandsFailedError(Exception):
    """A block ended with an exit code other than 0; the message has its commands and what was printed."""


def read_blocks(page: str) -> list[Block]:
    """Return the blocks of a page in Markdown, in order."""
    return [
        Block(commands=found["commands"], skipped=found["reason"] or "", picture=found["picture"] or "")
        for found in BLOCK.finditer(page)
    ]


def run_blocks(blocks: Sequence[Block], folder: Path, environment: Mapping[str, str] | None = None) -> list[str]:
    """Run blocks in one bash in `folder`, so that variables last, and return what each printed to standard output.

    Raises:
        CommandsFailedError: A command failed; later blocks were not run.
    """
    script = "set -euo pipefail\n" + "".join(f"{block.commands}\nprintf '{SEPARATOR}'\n" for block in blocks)
    done = subprocess.run(  # noqa: S603 - the commands of a page of this project
        ["bash", "-c", script],  # noqa: S607
        cwd=folder,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    printed = done.stdout.split(SEPARATOR)
    if done.returncode != 0:
        failed = blocks[len(printed) - 1].commands
        raise CommandsFailedError(f"exit code {done.returncode} from:\n{failed}\n{printed[-1]}\n{done.stderr}")
    return printed[:-1]


def fresh_clone(root: Path, folder: Path, environment: Path) -> Path:
    """Copy the files that git knows to `folder`, with a link to an installed environment, and return `folder`."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"],  # noqa: S607
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\0")
    for name in filter(None, listed):
        source, target = root / name, folder / name
        if not source.is_symlink() and not source.exists():
            continue  # deleted, but not committed yet
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_symlink():
            target.symlink_to(source.readlink())
        else:
            target.write_bytes(source.read_bytes())
    (folder / ".venv").symlink_to(environment)
    return folder
