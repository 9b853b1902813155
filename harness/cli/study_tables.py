"""A study on the terminal: its graph with the cost ahead, and the states of its nodes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from harness.console import stdout

if TYPE_CHECKING:
    from harness.study.costs import Cost
    from harness.study.folder import StudyFolder
    from harness.study.nodes import Graph
    from harness.study.states import NodeState

TONES = {"failed": "red", "blocked": "dim", "running": "bold", "done": "green", "waiting": None}
TEXTS = ("node", "kind", "after", "state")


def _table(headings: Sequence[str]) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in headings:
        table.add_column(
            heading, header_style="dim", justify="left" if heading in TEXTS else "right", no_wrap=heading == "node"
        )
    return table


def print_graph(graph: Graph, folder: StudyFolder, ahead: Mapping[str, Cost], wanted: Collection[str]) -> None:
    """Print a row per node, and the sum of what is ahead."""
    from harness.study.costs import gigabytes

    console = stdout()
    table = _table(["node", "after", "state", "tokens", "requests", "disk", "time"])
    for key, node in graph.items():
        if key not in wanted:
            continue
        parents = [folder.label(graph[parent]) for parent in node.parents]
        after = ", ".join(parents) if len(parents) < 2 else f"{len(parents)} nodes"
        cost = ahead.get(key)
        if cost is None:
            table.add_row(folder.label(node), after, "done", "", "", "", "")
            continue
        tokens = "unknown" if cost.tokens is None else f"{cost.tokens:,}" if cost.tokens else ""
        requests = f"{cost.requests:,}" if cost.requests else ""
        disk = gigabytes(cost.disk_bytes) if cost.disk_bytes else ""
        table.add_row(folder.label(node), after, "ahead", tokens, requests, disk, _duration(cost.seconds))
    console.print(table)
    console.print()
    _print_total(console, list(ahead.values()), len(wanted))


def _print_total(console: Console, costs: Sequence[Cost], nodes: int) -> None:
    from harness.study.costs import gigabytes

    tokens, requests = sum(cost.tokens or 0 for cost in costs), sum(cost.requests for cost in costs)
    console.print(
        f"{nodes - len(costs)} of {nodes} nodes are done. Ahead: {tokens:,} tokens, at most {requests:,} requests, "
        f"about {gigabytes(sum(cost.disk_bytes for cost in costs))} of disk.",
        soft_wrap=True,
    )
    times = [cost.seconds for cost in costs if cost.seconds is not None]
    unknown = sum(1 for cost in costs if cost.seconds is None)
    if times:
        console.print(
            f"Time: {_duration(sum(times))} for {len(times)} nodes, one after the other, not counting the start of "
            f"each process; the time of {unknown} nodes is not known.",
            soft_wrap=True,
        )
    elif costs:
        console.print(
            "Time: not known; remove --no_estimate to time two steps per stage and a batch of requests.",
            soft_wrap=True,
        )


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return ""
    if seconds >= 5400:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 60:.1f} min" if seconds >= 90 else f"{seconds:.0f} s"


def _speed(state: NodeState) -> str:
    if state.tokens_per_second is not None:
        return f"{state.tokens_per_second:,.0f} tokens/s"
    return "" if state.requests_per_second is None else f"{state.requests_per_second:,.1f} requests/s"


def print_states(states: Sequence[NodeState], console: Console) -> None:
    """Print a row per node, the last log lines of those that failed, and how many there are in each state."""
    table = _table(["node", "kind", "state", "speed", "left", "took"])
    for state in states:
        row = [state.label, state.kind, state.state, _speed(state), _duration(state.seconds_left)]
        row.append(_duration(state.seconds))
        table.add_row(*row, style=TONES[state.state])
    console.print(table)
    for state in states:
        if state.lines:
            console.print(f"\n{state.label} failed; the end of its log:", soft_wrap=True)
            for line in state.lines:
                console.print(f"  {line}", soft_wrap=True)
    counts = {name: sum(1 for state in states if state.state == name) for name in TONES}
    console.print("\n" + ", ".join(f"{count} {name}" for name, count in counts.items() if count))
