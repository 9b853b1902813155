"""`harness.train`: the command as a function."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from harness.api.arguments import call
from harness.api.flags import Options, Place, mirrors
from harness.api.values import ACCENT, STEP, altair
from harness.errors import InputError, did_you_mean
from harness.notebook import ShownTable, fragment

if TYPE_CHECKING:
    import pandas as pd
    from altair.typing import ChartType

    from harness.checkpoints.stage_manifest import StageManifest


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class StageResult:
    """A trained checkpoint. It can be given wherever a checkpoint's folder is expected.

    Attributes:
        path: Folder of the checkpoint.
        manifest: What its ``stage.json`` says; None if the trainer writes none.
        trained: False if an earlier run had finished the stage, so that nothing was trained.
    """

    path: Path
    manifest: StageManifest | None
    trained: bool

    def frame(self) -> pd.DataFrame:
        """Return what the trainer logged, a row per entry: step, tokens, loss and more."""
        import pandas as pd

        from harness.checkpoints.metrics_log import METRICS_NAME, read_metrics

        return pd.DataFrame(list(read_metrics(self.path / METRICS_NAME)))

    def tokens(self) -> pd.DataFrame:
        """Return the tokens as streamed, a row per phase and source: tokens, share, planned share."""
        import pandas as pd

        columns = ["phase", "source", "tokens", "share", "target_share"]
        rows = self.manifest.ledger if self.manifest else ()
        return pd.DataFrame([{name: getattr(row, name) for name in columns} for row in rows], columns=columns)

    def plot(self) -> ChartType:
        """Return the loss over the tokens trained on.

        Raises:
            InputError: no loss was logged, or Altair is not installed.
        """
        alt = altair()
        logged = self.frame()
        if "loss" not in logged:
            raise InputError(f"plot: {self.path}: no loss was logged; plot a checkpoint that `harness train` trained.")
        over = "tokens" if "tokens" in logged else "step"
        rows = logged[[over, "loss"]].dropna().to_dict("records")
        line = alt.Chart(alt.Data(values=rows)).mark_line(color=ACCENT, point=len(rows) == 1)
        sized = line.properties(width=420, height=12 * STEP, title=f"Loss of {self.path.name}")
        drawn: ChartType = (
            sized.encode(x=alt.X(f"{over}:Q", title=over), y=alt.Y("loss:Q", scale=alt.Scale(zero=False)))
            .configure_view(stroke=None)
            .configure_axis(grid=False)
        )
        return drawn

    def __fspath__(self) -> str:
        """Return the folder of the checkpoint."""
        return str(self.path)

    def __repr__(self) -> str:
        """Return name, tokens, steps and folder."""
        return f"StageResult {self._summary}"

    def _repr_html_(self) -> str:
        rows = self.manifest.ledger if self.manifest else ()
        table = ShownTable(
            title="Tokens as streamed",
            headings=("phase", "source", "tokens", "share", "planned"),
            numeric=(True, False, True, True, True),
            rows=tuple(
                (str(r.phase), r.source, f"{r.tokens:,}", f"{r.share:.3f}", f"{r.target_share:.3f}") for r in rows
            ),
        )
        return fragment(f"Checkpoint {self.path.name}", [table] if rows else [], [self._summary, *self._notes])

    @property
    def _summary(self) -> str:
        done = "trained" if self.trained else "finished before"
        if self.manifest is None:
            return f"{self.path} ({done})"
        one = self.manifest
        return f"{one.name}: {one.stage}, {one.tokens:,} tokens, {one.step:,} steps, {done}, in {self.path}"

    @property
    def _notes(self) -> Iterator[str]:
        if self.manifest is not None:
            yield from self.manifest.notes
            if self.manifest.eval_data:
                yield f"Trained on evaluation data: {', '.join(self.manifest.eval_data)}."


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class StagePlan:
    """What training a stage would do.

    Attributes:
        spec: The resolved stage file.
        parts: Tables by title, such as steps, parameters and memory: rows, or values by name.
    """

    spec: Mapping[str, Any]
    parts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def tables(self) -> tuple[str, ...]:
        """Titles of the tables."""
        return tuple(self.parts)

    def frame(self, table: str | None = None) -> pd.DataFrame:
        """Return a table, by default the first; its cells are texts, as the command prints them.

        Raises:
            InputError: there is no such table.
        """
        import pandas as pd

        name = next(iter(self.parts), "") if table is None else table
        if name not in self.parts:
            hint = did_you_mean(name, self.parts)
            raise InputError(f"frame {name}: no such table; give one of {', '.join(self.parts)}.{hint}")
        return pd.DataFrame(_rows(self.parts[name]))

    def __repr__(self) -> str:
        """Return the stage's name and the titles of the tables."""
        return f"StagePlan of {self.spec.get('name')}: {', '.join(self.parts)}"

    def _repr_html_(self) -> str:
        return fragment(f"Plan of {self.spec.get('name')}", [_shown(title, part) for title, part in self.parts.items()])


def _rows(part: Mapping[str, Any] | Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    if isinstance(part, Mapping):
        return [{"name": name, "value": str(value)} for name, value in part.items()]
    return [dict(row) for row in part]


def _shown(title: str, part: Mapping[str, Any] | Sequence[Mapping[str, str]]) -> ShownTable:
    rows = _rows(part)
    headings = tuple(rows[0]) if rows else ()
    cells = tuple(tuple(str(cell) for cell in row.values()) for row in rows)
    return ShownTable(title=title, headings=headings, numeric=(False,) * len(headings), rows=cells)


@overload
def train(
    stage_file: Place, *, output_path: Place, overrides: Options = (), dry_run: Literal[False] = False
) -> StageResult: ...


@overload
def train(
    stage_file: Place, *, dry_run: Literal[True], estimate: bool = False, overrides: Options = ()
) -> StagePlan: ...


@mirrors("train")
def train(
    stage_file: Place,
    *,
    output_path: Place | None = None,
    overrides: Options = (),
    dry_run: bool = False,
    estimate: bool = False,
) -> StageResult | StagePlan:
    """Train the checkpoint that a stage file describes; the same call again resumes it.

    >>> import harness
    >>> base = harness.train("stage.yaml", overrides={"data.budget_tokens": 2000}, output_path="runs/base")
    >>> base.manifest.tokens, base.manifest.stage
    (1984, 'pretrain')
    >>> harness.train("stage.yaml", dry_run=True).tables
    ('budget', 'sources', 'stage')

    Args:
        stage_file: The stage, see docs/training.md.
        output_path: Folder for the checkpoint; needed unless ``dry_run=True``.
        overrides: Fields to change: ``{"trainer.learning_rate": 1e-4}``, or words ``key=value``.
        dry_run: Return the plan, and train nothing.
        estimate: With `dry_run`: also say how long training takes, from two timed steps.

    Raises:
        InputError: the stage file or an argument is wrong; the message is the command's.
    """
    from harness.checkpoints.stage_manifest import read_manifest
    from harness.cli import train_command
    from harness.console import quietly

    given = {"output_path": output_path, "overrides": overrides, "dry_run": dry_run, "estimate": estimate}
    args = call("train", {"stage_file": stage_file, **given}).args
    train_command.check(args)
    with quietly():
        if dry_run:
            parts = dict(train_command.plan(args))
            return StagePlan(spec=parts.pop("spec"), parts=parts)
        done = train_command.train(args)
    return StageResult(path=done.folder, manifest=read_manifest(done.folder), trained=done.earlier is None)
