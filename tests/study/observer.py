"""Records what the commands of a study do, with any executor: each logs when it begins, and some are killed.

A process that becomes a node's command first imports `sitecustomize`, which `package.install` writes and which calls
`observe`. This module imports the standard library only, because every Python process of a study pays for it.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

LOG = "STUDY_TEST_LOG"  # file for events, one JSON object per line
KILLS = "STUDY_TEST_KILLS"  # SEED/SECONDS: the first command of each job is killed at a random moment within SECONDS


def note(event: str, name: str, **more: Any) -> None:
    """Append an event to the log."""
    if LOG in os.environ:
        with Path(os.environ[LOG]).open("a", encoding="utf-8") as log:
            log.write(json.dumps({"event": event, "name": name, "pid": os.getpid(), **more}) + "\n")


def events(log: Path | None = None) -> list[dict[str, Any]]:
    """Return the logged events."""
    path = log or Path(os.environ.get(LOG, ""))
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


def observe() -> None:
    """Note that a node's command begins in this process, if that is what it is: it has the locks of its nodes open."""
    if LOG not in os.environ or sys.orig_argv[1:3] != ["-m", "harness"]:
        return
    places = [file.readlink() for file in Path("/proc/self/fd").iterdir() if file.is_symlink()]
    locks = [path for path in places if path.name == "lock" and path.parent.parent.name == "nodes"]
    if locks:
        began(locks)


def began(locks: Sequence[Path]) -> None:
    """Note a command that holds these locks: which of its nodes are done, and who else runs one of them."""
    nodes = [json.loads((path.parent / "node.json").read_text())["label"] for path in locks]
    done = [node for node, path in zip(nodes, locks, strict=True) if (path.parent / "done.json").exists()]
    earlier = [event for event in events() if event["event"] == "begins" and set(event["nodes"]) & set(nodes)]
    alive = [event["pid"] for event in earlier if event["pid"] != os.getpid() and _lives(event["pid"])]
    note("begins", nodes[0], nodes=nodes, done=done, alive=alive)
    if KILLS in os.environ and not earlier:
        seed, seconds = os.environ[KILLS].split("/")
        moment = random.Random(f"{seed}/{nodes[0]}").uniform(0, float(seconds))
        timer = threading.Timer(moment, lambda: os.kill(os.getpid(), signal.SIGKILL))
        timer.daemon = True
        timer.start()


def _lives(pid: int) -> bool:
    """Whether a process still runs; one that is about to end has already closed its files, and with them its locks."""
    for _ in range(40):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return False
        if state in "ZX":
            return False
        time.sleep(0.05)
    return True


def check_events(log: Path) -> None:
    """Check that no node ran twice at once, and that nothing finished was repeated."""
    noted = events(log)
    for event in noted:
        assert not event.get("done"), f"{event['name']}: began although it was done"
        assert not event.get("alive"), f"{event['name']}: began while it ran"
    trained = [event["name"] for event in noted if event["event"] == "trained"]
    assert len(set(trained)) == len(trained), "a stage was trained twice"
