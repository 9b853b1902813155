"""`harness.run`: the command as a function."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Unpack, overload

from harness.api.arguments import call
from harness.api.flags import Place, RunFlags, mirrors
from harness.api.loading import LoadedRecords, load
from harness.errors import HarnessError
from harness.notebook import ShownTable, fragment

if TYPE_CHECKING:
    import pandas as pd
    from altair.typing import ChartType

    from harness.cli.study_work import PreparedStudy
    from harness.study.costs import Cost
    from harness.study.states import NodeState

TONES = {"failed": "warning", "blocked": "muted"}


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Study:
    """A study that has run.

    Attributes:
        path: Its folder.
        pages: The pages of its reports, by label; the main one is the last.
        nodes: Its nodes, parents first.
    """

    path: Path
    pages: Mapping[str, Path]
    nodes: tuple[NodeState, ...]

    def frame(self) -> pd.DataFrame:
        """Return one row per node: label, kind, state, seconds."""
        import pandas as pd

        columns = ["label", "kind", "state", "seconds"]
        return pd.DataFrame([{name: getattr(node, name) for name in columns} for node in self.nodes], columns=columns)

    def records(self) -> LoadedRecords:
        """Return the records of all evaluations.

        Raises:
            RecordError: there are none, or one is damaged.
        """
        return load(self.path / "evaluations")

    def plot(self) -> ChartType:
        """Return the values of all checkpoints with their 95% intervals, one panel per checkpoint."""
        return self.records().plot()

    def __repr__(self) -> str:
        """Return the folder, the number of nodes, and the pages."""
        return "\n".join([f"Study of {len(self.nodes)} nodes in {self.path}", *map(str, self.pages.values())])

    def _repr_html_(self) -> str:
        rows = tuple(
            (node.label, node.kind, node.state, "" if node.seconds is None else f"{node.seconds:,.0f}")
            for node in self.nodes
        )
        headings, numeric = ("node", "kind", "state", "seconds"), (False, False, False, True)
        tones = tuple(TONES.get(node.state, "") for node in self.nodes)
        table = ShownTable(title="", headings=headings, numeric=numeric, rows=rows, tones=tones)
        return fragment(f"Study in {self.path}", [table], [f"{label}: {page}" for label, page in self.pages.items()])


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class StudyPlan:
    """What a study would do.

    Attributes:
        rows: Its nodes, parents first: label, after, state, tokens, requests, disk_bytes, seconds.
        notes: Nodes whose time could not be estimated.
    """

    rows: tuple[Mapping[str, Any], ...]
    notes: tuple[str, ...]

    def frame(self) -> pd.DataFrame:
        """Return one row per node; cost columns are empty for nodes that are done."""
        import pandas as pd

        return pd.DataFrame([dict(row) for row in self.rows], columns=list(PLAN_COLUMNS))

    def __repr__(self) -> str:
        """Return how many nodes are ahead."""
        ahead = sum(row["state"] == "ahead" for row in self.rows)
        return f"StudyPlan of {len(self.rows)} nodes, {ahead} of them ahead"

    def _repr_html_(self) -> str:
        cells = tuple(tuple(_cell(row[name]) for name in PLAN_COLUMNS) for row in self.rows)
        numeric = (False,) * 3 + (True,) * 4
        return fragment(
            repr(self), [ShownTable(title="", headings=PLAN_COLUMNS, numeric=numeric, rows=cells)], self.notes
        )


PLAN_COLUMNS = ("label", "after", "state", "tokens", "requests", "disk_bytes", "seconds")


def _cell(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(value) if len(value) < 3 else f"{len(value)} nodes"
    return "" if value is None else f"{value:,.0f}" if isinstance(value, int | float) else str(value)


@overload
def run(
    experiment: Place, *, output_path: Place, dry_run: Literal[False] = False, **flags: Unpack[RunFlags]
) -> Study: ...


@overload
def run(experiment: Place, *, output_path: Place, dry_run: Literal[True], **flags: Unpack[RunFlags]) -> StudyPlan: ...


@mirrors("run", RunFlags)
def run(
    experiment: Place, *, output_path: Place, dry_run: bool = False, **flags: Unpack[RunFlags]
) -> Study | StudyPlan:
    """Run a study from its experiment file: train, evaluate and compare; the same call again resumes it.

    >>> import harness
    >>> plan = harness.run("study.yaml", output_path="runs/study", dry_run=True, no_estimate=True)
    >>> plan.frame()[["label", "state", "tokens"]]
              label  state  tokens
    0        base-0  ahead    1984
    1        base-1  ahead    1984
    2   eval-base-0  ahead       0
    3   eval-base-1  ahead       0
    4  overlap-base  ahead       0
    5   leaderboard  ahead       0

    Args:
        experiment: The experiment file, see docs/study_file.md.
        output_path: Folder of the study.
        dry_run: Return the nodes and their costs, and run nothing.
        **flags: The flags of ``harness run``, listed below.

    Raises:
        InputError: the experiment file or a flag is wrong; the message is the command's.
        HarnessError: a node failed; what is done is kept, and the same call resumes.
    """
    from harness.cli.run_command import checked_words
    from harness.cli.study_work import read_study, run_study
    from harness.console import quietly
    from harness.study.states import node_states

    args = call("run", {"experiment": experiment, "output_path": output_path, "dry_run": dry_run, **flags}).args
    file, changes = checked_words(args)
    with quietly():
        study = read_study(file, changes, args)
        if dry_run:
            return _plan(study, estimate=args.no_estimate is None)
        end = run_study(study, args, notify=lambda _line: None)
    if end.fault:
        raise HarnessError(end.fault)
    pages = {label: Path(page) for label, page in end.pages.items()}
    return Study(path=study.folder.path, pages=pages, nodes=tuple(node_states(study.folder)))


def _plan(study: PreparedStudy, *, estimate: bool) -> StudyPlan:
    from harness.cli.study_plan import planned_costs

    notes: list[str] = []
    place = study.folder, study.wanted
    ahead = planned_costs(study.graph, place, estimate=estimate, notify=notes.append)
    label = study.folder.label
    rows = [
        {
            "label": label(node),
            "after": tuple(label(study.graph[parent]) for parent in node.parents),
            "state": "ahead" if key in ahead else "done",
            **_costs(ahead.get(key)),
        }
        for key, node in study.graph.items()
        if key in study.wanted
    ]
    return StudyPlan(rows=tuple(rows), notes=tuple(line for line in notes if ": not timed: " in line))


def _costs(cost: Cost | None) -> dict[str, float | None]:
    if cost is None:
        return dict.fromkeys(PLAN_COLUMNS[3:])
    return {
        "tokens": cost.tokens, "requests": cost.requests, "disk_bytes": cost.disk_bytes, "seconds": cost.seconds
    }  # fmt: skip
