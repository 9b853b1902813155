"""A study on the terminal: its graph with the cost ahead, and the states of its nodes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from rich.console import Console

from harness.console import print_sentence, stdout
from harness.terminal_table import TableColumn, TableRow, TerminalTable, print_table
from harness.wording import counted

if TYPE_CHECKING:
    from harness.study.costs import Cost
    from harness.study.folder import StudyFolder
    from harness.study.nodes import Graph, Node
    from harness.study.states import NodeState

TONES = {"failed": "red", "blocked": "dim", "running": "bold", "done": "green", "waiting": None}

GRAPH_COLUMNS = (
    TableColumn(heading="node", place="name"),
    TableColumn(heading="after", place="aside"),
    TableColumn(heading="state", place="keep"),
    TableColumn(heading="tokens", numbers=True),
    TableColumn(heading="requests", numbers=True),
    TableColumn(heading="disk", numbers=True),
    TableColumn(heading="time", numbers=True, place="keep"),
)
STATE_COLUMNS = (
    TableColumn(heading="node", place="name"),
    TableColumn(heading="kind", place="aside"),
    TableColumn(heading="state", place="keep"),
    TableColumn(heading="speed", numbers=True),
    TableColumn(heading="left", numbers=True, place="keep"),
    TableColumn(heading="took", numbers=True, place="keep"),
)


def print_graph(
    graph: Graph, folder: StudyFolder, ahead: Mapping[str, Cost], wanted: Collection[str], *, wide: bool
) -> None:
    """Print the sum of what is ahead, and a row per node."""
    console = stdout()
    _print_total(console, list(ahead.values()), len(wanted))
    console.print()
    rows = tuple(_graph_row(node, graph, folder, ahead.get(key)) for key, node in graph.items() if key in wanted)
    print_table(TerminalTable(columns=GRAPH_COLUMNS, rows=rows), console, wide=wide)


def _graph_row(node: Node, graph: Graph, folder: StudyFolder, cost: Cost | None) -> TableRow:
    from harness.study.costs import gigabytes

    parents = [folder.label(graph[parent]) for parent in node.parents]
    after = ", ".join(parents) if len(parents) < 2 else f"{len(parents)} nodes"
    if cost is None:
        return TableRow(cells=(folder.label(node), after, "done", "", "", "", ""))
    tokens = "unknown" if cost.tokens is None else f"{cost.tokens:,}" if cost.tokens else ""
    requests = f"{cost.requests:,}" if cost.requests else ""
    disk = gigabytes(cost.disk_bytes) if cost.disk_bytes else ""
    return TableRow(cells=(folder.label(node), after, "ahead", tokens, requests, disk, _duration(cost.seconds)))


def _print_total(console: Console, costs: Sequence[Cost], nodes: int) -> None:
    from harness.study.costs import gigabytes

    tokens, requests = sum(cost.tokens or 0 for cost in costs), sum(cost.requests for cost in costs)
    done = nodes - len(costs)
    print_sentence(
        console,
        f"{done} of {counted(nodes, 'node')} {'is' if done == 1 else 'are'} done. Ahead: {counted(tokens, 'token')}, "
        f"at most {counted(requests, 'request')}, about {gigabytes(sum(cost.disk_bytes for cost in costs))} of disk.",
    )
    if costs:
        print_sentence(console, _time_ahead(costs))


def _time_ahead(costs: Sequence[Cost]) -> str:
    times = [cost.seconds for cost in costs if cost.seconds is not None]
    unknown = len(costs) - len(times)
    if not times:
        return "Time: not known; remove --no_estimate to time two steps per stage and a batch of requests."
    rest = f"; the time of {counted(unknown, 'node')} is not known" if unknown else ""
    return (
        f"Time: {_duration(sum(times))} for {counted(len(times), 'node')}, one after the other, with the start of each "
        f"process{rest}."
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


def print_states(states: Sequence[NodeState], run: str, console: Console, *, wide: bool) -> None:
    """Print how many nodes are in each state, a row per node, and the last log lines of those that failed.

    Args:
        states: The nodes.
        run: A sentence on the run that works on them; may be empty.
        console: Where to print.
        wide: Print every column, however narrow the terminal is.
    """
    counts = {name: sum(1 for state in states if state.state == name) for name in TONES}
    console.print(", ".join(f"{count} {name}" for name, count in counts.items() if count), style="bold")
    if run:
        print_sentence(console, run)
    console.print()
    rows = tuple(
        TableRow(
            cells=(
                state.label, state.kind, state.state, _speed(state), _duration(state.seconds_left),
                _duration(state.seconds),
            ),
            style=TONES[state.state],
        )
        for state in states
    )  # fmt: skip
    print_table(TerminalTable(columns=STATE_COLUMNS, rows=rows), console, wide=wide)
    for state in states:
        if state.lines:
            console.print(f"\n{state.label} failed; the end of its log:", soft_wrap=True)
            for line in state.lines:
                console.print(f"  {line}", soft_wrap=True)
