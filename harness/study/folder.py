"""The output folder of a study: all of its state, and the lock that one run at a time holds.

DIR/study.json              name, and the nodes of the last run
DIR/lock                    who runs it now: host, process, since
DIR/nodes/KEY/node.json     label, and what the parents were
DIR/nodes/KEY/LABEL/        the checkpoint of a training node
DIR/nodes/KEY/log           output of its command
DIR/nodes/KEY/lock          locked by its command, with the host that runs it; empty while the executor queues it
DIR/nodes/KEY/running.json, failed.json, done.json
DIR/nodes/KEY/doubted       its command has failed, and has not ended without an error since
DIR/evaluations/SET_KEY/    records of one set of tasks and flags, in `harness eval`'s layout
DIR/journal.sqlite          answers of all evaluations
DIR/report.html, ...        links to the pages of the last run
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from harness.errors import MALFORMED, InputError
from harness.study.experiment import differences
from harness.study.nodes import Graph, Node

State = Literal["running", "failed", "done"]
STATES: tuple[State, ...] = ("running", "failed", "done")
MOST_DIFFERENCES = 5  # that a message names
PATIENCE_SECONDS = 0.5  # `in_use` takes the lock for a moment


def now() -> str:
    """Return the time in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the object in a file; None if there is no file, or a kill has cut it short."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, *MALFORMED):
        return None
    return value if isinstance(value, dict) else None


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write an object, complete or not at all."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    part.replace(path)


def _of_an_early_kill(path: Path) -> bool:
    """Whether a run may have written this before it wrote `study.json`."""
    return path.name in ("lock", "costs", "executor") or path.name.startswith(".study.json.")


def _in_common(recorded: Mapping[str, Any], graph: Graph) -> bool:
    """Whether a graph and the nodes that a study recorded share a node or a label, or one of them is empty."""
    nodes = recorded.get("nodes", [])
    before = {node["key"] for node in nodes}
    for name in ("label", "present_label"):
        before |= {node[name] for node in nodes if node["kind"] == "train" and name in node}
    now = {*graph, *(node.label for node in graph.values() if node.kind == "train")}
    return not before or not now or not before.isdisjoint(now)


def _locked(descriptor: int) -> bool:
    """Take the lock of an open file, or return False when another process keeps it."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except OSError:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)


class StudyFolder:
    """The output folder of one experiment. Making the object neither reads nor writes anything."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the folder's lock; the system releases it when this process ends in any way.

        Raises:
            InputError: another process holds it, or the folder cannot be written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            file = (self.path / "lock").open("a+", encoding="utf-8")
        except OSError as error:
            raise InputError(
                f"--output_path {self.path}: cannot be written ({error.strerror}); give another."
            ) from None
        with file:
            if not _locked(file.fileno()):
                raise InputError(
                    f"--output_path {self.path}: is in use by {self.holder()}; wait for it, or end that process first."
                )
            file.truncate(0)
            file.write(json.dumps({"host": socket.gethostname(), "pid": os.getpid(), "since": now()}))
            file.flush()
            yield

    def holder(self) -> str:
        """Return who took the lock last: ``process 41 on host, since 2026-01-01T10:00:00+00:00``."""
        holder = read_json(self.path / "lock") or {}
        unknown = "unknown"
        return (
            f"process {holder.get('pid', unknown)} on {holder.get('host', unknown)}, since "
            f"{holder.get('since', unknown)}"
        )

    def in_use(self) -> bool:
        """Whether a run holds the lock now."""
        try:
            with (self.path / "lock").open("r", encoding="utf-8") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                return False
        except FileNotFoundError:
            return False
        except OSError:
            return True

    def check_experiment(self, name: str, experiment: Mapping[str, Any], graph: Graph) -> None:
        """Check that the folder is free, or holds this experiment, perhaps an earlier version of it.

        A version has the same name, and a node or a label in common: a stage may be renamed, or all of its fields
        changed, but not both for all stages at once.

        Args:
            name: Of the experiment.
            experiment: Its fields.
            graph: Its graph.

        Raises:
            InputError: it holds another experiment, or something else.
        """
        recorded = self.recorded()
        if recorded is not None and not (recorded.get("name") == name and _in_common(recorded, graph)):
            before = {"name": recorded.get("name"), **recorded.get("experiment", {})}
            lines = differences(before, {**experiment, "name": name})
            more = f"; {len(lines) - MOST_DIFFERENCES} more" if len(lines) > MOST_DIFFERENCES else ""
            raise InputError(
                f"--output_path {self.path}: holds another experiment ({'; '.join(lines[:MOST_DIFFERENCES])}{more}); "
                "give another folder, or correct the experiment file."
            )
        if recorded is None and self.path.is_dir() and not all(map(_of_an_early_kill, self.path.iterdir())):
            raise InputError(f"--output_path {self.path}: is not empty and holds no study; give a new folder.")
        if self.path.exists() and not self.path.is_dir():
            raise InputError(f"--output_path {self.path}: is a file; give a folder.")

    def check_labels(self, graph: Graph) -> None:
        """Check that no two nodes of a graph have one name here, where a node keeps the name it was begun under.

        Raises:
            InputError: two have.
        """
        nodes: dict[str, Node] = {}
        for node in graph.values():
            label = self.label(node)
            other = nodes.setdefault(label, node)
            if other is not node:
                renamed = node if node.label != label else other
                raise InputError(
                    f"{label}: is what an earlier run in {self.path} calls the node that is now {renamed.label}, and "
                    "another node has this name now; give that one another name, or give another --output_path."
                )

    def recorded(self) -> dict[str, Any] | None:
        """Return what the last run wrote about itself; None before the first one."""
        return read_json(self.path / "study.json")

    def record(self, name: str, experiment: Mapping[str, Any], graph: Graph) -> None:
        """Write down the experiment and its nodes, for `harness status` and for the next run.

        A node has the label under which it was begun, and the present one, which differs if its stage was renamed.
        """
        nodes = [
            {
                "key": node.key, "label": self.label(node), "present_label": node.label, "kind": node.kind,
                "parents": node.parents,
            }
            for node in graph.values()
        ]  # fmt: skip
        write_json(self.path / "study.json", {"name": name, "experiment": experiment, "nodes": nodes})

    def of(self, key: str) -> Path:
        """Return a node's folder."""
        return self.path / "nodes" / key

    def label(self, node: Node) -> str:
        """Return the label under which a node was begun: its stage may have been renamed since."""
        return str((read_json(self.of(node.key) / "node.json") or {}).get("label", node.label))

    def checkpoint(self, node: Node) -> Path:
        """Return the folder of a training node's checkpoint."""
        return self.of(node.key) / self.label(node)

    def records(self, set_key: str) -> Path:
        """Return the folder with the records of a set of tasks and flags."""
        return self.path / "evaluations" / set_key

    @property
    def journal(self) -> Path:
        """The file with the answers of all evaluations."""
        return self.path / "journal.sqlite"

    def link_pages(self, pages: Mapping[str, str]) -> dict[str, Path]:
        """Link pages, given relative to the folder, by label; remove the links of earlier runs. Return the links."""
        for link in self.path.glob("*.html"):
            if link.is_symlink() and link.readlink().parts[:1] == ("nodes",):
                link.unlink()
        links = {label: self.path / f"{label}.html" for label in pages}
        for label, link in links.items():
            link.unlink(missing_ok=True)
            link.symlink_to(pages[label])
        return links

    def claim(self, node: Node, parents: Mapping[str, Any]) -> None:
        """Make a node's folder; one that was begun from other parents is moved aside.

        Args:
            node: The node.
            parents: What its parents are, by key.
        """
        folder = self.of(node.key)
        begun = read_json(folder / "node.json")
        if begun is not None and begun.get("parents") != parents:
            count = sum(1 for _ in folder.parent.glob(f"{node.key}.replaced-*"))
            folder.rename(folder.with_name(f"{node.key}.replaced-{count + 1}"))
            begun = None
        if begun is None:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            write_json(folder / "node.json", {"label": node.label, "kind": node.kind, "parents": parents})

    def state(self, key: str, state: State) -> dict[str, Any] | None:
        """Return what is written down about a node in this state; None if it is not in it."""
        return read_json(self.of(key) / f"{state}.json")

    def set_state(self, key: str, state: State, about: Mapping[str, Any]) -> None:
        """Put a node into a state, and out of the others."""
        write_json(self.of(key) / f"{state}.json", about)
        self._leave(key, [other for other in STATES if other != state])

    def set_waiting(self, key: str) -> None:
        """Put a node that is not done back among those that wait."""
        self._leave(key, ["running", "failed"])

    def doubt(self, key: str) -> None:
        """Note that a node's command failed: output that looks complete does not count until it ends with 0."""
        if self.of(key).is_dir():
            (self.of(key) / "doubted").touch()

    def is_doubted(self, key: str) -> bool:
        """Whether a node's command failed and has not ended with 0 since."""
        return (self.of(key) / "doubted").exists()

    def trust(self, key: str) -> None:
        """Note that a node's command ended with 0."""
        (self.of(key) / "doubted").unlink(missing_ok=True)

    def _leave(self, key: str, states: Sequence[State]) -> None:
        for state in states:
            with suppress(FileNotFoundError):
                (self.of(key) / f"{state}.json").unlink()
