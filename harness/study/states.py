"""The state of each node of a study, for `harness status`: read from the folder, without the experiment file."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import yaml

from harness.checkpoints.metrics_log import METRICS_NAME, read_metrics
from harness.errors import InputError
from harness.evaluation.progress_file import read_progress
from harness.study.folder import StudyFolder

LOG_LINES = 3
PROGRESS = "progress.json"  # beside the log of an evaluation


@dataclass(frozen=True, kw_only=True)
class NodeState:
    """A node as it is now.

    Attributes:
        label: What it is called.
        kind: ``train``, ``evaluate`` or ``report``.
        state: ``done``, ``running``, ``failed``, ``blocked`` by a failed ancestor, or ``waiting``.
        tokens_per_second: Of a training that runs; None before its first log entry.
        requests_per_second: Of an evaluation that runs; None before its first answers. Evaluations that share a process
            share speed and time left.
        seconds_left: Of a training or an evaluation that runs, at this speed.
        seconds: Of a node that is done.
        lines: The last lines of the log of a node that failed.
    """

    label: str
    kind: str
    state: Literal["done", "running", "failed", "blocked", "waiting"]
    tokens_per_second: float | None = None
    requests_per_second: float | None = None
    seconds_left: float | None = None
    seconds: float | None = None
    lines: tuple[str, ...] = ()


def node_states(folder: StudyFolder) -> list[NodeState]:
    """Return the nodes of the last run, parents first.

    Raises:
        InputError: the folder holds no study.
    """
    recorded = folder.recorded()
    if recorded is None:
        raise InputError(f"{folder.path}: holds no study; give the --output_path of `harness run`.")
    in_use = folder.in_use()
    states: list[NodeState] = []
    not_reachable: set[str] = set()
    for node in recorded.get("nodes", []):
        state = _state(folder, node, in_use=in_use)
        if state.state == "waiting" and not_reachable.intersection(node["parents"]):
            state = NodeState(label=state.label, kind=state.kind, state="blocked")
        if state.state in ("failed", "blocked"):
            not_reachable.add(node["key"])
        states.append(state)
    return states


def _state(folder: StudyFolder, node: Mapping[str, Any], *, in_use: bool) -> NodeState:
    key, label, kind = node["key"], node["label"], node["kind"]
    done = folder.state(key, "done")
    if done is not None:
        return NodeState(label=label, kind=kind, state="done", seconds=done.get("seconds"))
    failed = folder.state(key, "failed")
    if failed is not None:
        lines = last_lines(folder.path / str(failed.get("log")))
        return NodeState(label=label, kind=kind, state="failed", lines=lines)
    running = folder.state(key, "running") if in_use else None
    if running is not None:
        state = NodeState(label=label, kind=kind, state="running")
        return _with_progress(state, folder.of(key), folder.path / str(running.get("log", "")))
    return NodeState(label=label, kind=kind, state="waiting")


def _with_progress(state: NodeState, place: Path, log: Path) -> NodeState:
    """Return the state of a running node with its speed and the time left, as far as they are known."""
    if state.kind == "train":
        speed, left = _progress(place, state.label)
        return replace(state, tokens_per_second=speed, seconds_left=left)
    if state.kind == "evaluate":
        progress = read_progress(log.with_name(PROGRESS))
        speed, left = (_number(progress.get(name)) for name in ("requests_per_second", "seconds_left"))
        return replace(state, requests_per_second=speed, seconds_left=left)
    return state


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _progress(place: Path, label: str) -> tuple[float | None, float | None]:
    """Return tokens per second and seconds left of a training, as far as its log says."""
    last: Mapping[str, Any] = next(iter(deque(read_metrics(place / label / METRICS_NAME), maxlen=1)), {})
    speed = last.get("tokens_per_second")
    if not isinstance(speed, int | float) or speed <= 0:
        return None, None
    try:
        spec = yaml.safe_load((place / "stage.yaml").read_text(encoding="utf-8"))
        left = (int(spec["data"]["budget_tokens"]) - int(last["tokens"])) / speed
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError):
        return float(speed), None
    return float(speed), max(left, 0.0)


def last_lines(log: Path, count: int = LOG_LINES) -> tuple[str, ...]:
    """Return the last lines of a log that are not blank."""
    try:
        with log.open(encoding="utf-8", errors="replace") as file:
            return tuple(deque((line.rstrip() for line in file if line.strip()), maxlen=count))
    except OSError:
        return ()
