"""The `data:` section of a stage file: sources, mixture and budget, validated."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from harness.errors import SpecError
from harness.trainers.data.formats import FORMAT_NAMES, Format
from harness.trainers.data.record_fields import Rationale
from harness.trainers.data.schedules import Kind, Schedule, normalised, preset_phases


class Section(BaseModel):
    """A section of the stage file; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class SourceSpec(Section):
    """Where a source's records are, and how they are read.

    Attributes:
        path: File, folder or glob: JSONL (.jsonl, .gz and .zst too), a JSON list (.json), Parquet, tables (.csv,
            .tsv), text (.txt, .md), Python trees. Searched in the working folder, then in HARNESS_DATA.
        hub: A data set on the hub instead, streamed.
        subset: Configuration of the hub data set.
        split: Split of the hub data set.
        revision: Commit, tag or branch of the hub data set; the default branch when absent.
        task: A generated task of this project instead, for example ``mini_logic``; its train split.
        format: Format of the records; guessed from the first records when absent.
        fields: A format's field name -> the file's; or the file's -> ``ignore``.
        columns: Names of the columns of .csv or .tsv files without a row of names.
        only_last: Learn only the last answer of a conversation.
        skip: Records to leave out at the beginning.
        limit: Records to use after those; all when absent.
    """

    path: str | None = None
    hub: str | None = None
    subset: str | None = None
    split: str = "train"
    revision: str | None = None
    task: str | None = None
    format: Format | None = None
    fields: dict[str, str] = Field(default_factory=dict)
    skip: int = Field(default=0, ge=0)
    limit: int | None = Field(default=None, gt=0)
    columns: tuple[str, ...] = ()
    only_last: bool = False

    @field_validator("format", mode="before")
    @classmethod
    def _usual_name(cls, value: object) -> object:
        return FORMAT_NAMES.get(value, value) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _one_place(self) -> SourceSpec:
        if sum(place is not None for place in (self.path, self.hub, self.task)) != 1:
            raise ValueError("give exactly one of path, hub and task")
        misplaced = {"subset": self.hub is None, "revision": self.hub is None, "split": self.path is not None}
        for field, has_no_meaning in misplaced.items():
            if field in self.model_fields_set and has_no_meaning:
                raise ValueError(f"{field} belongs to a hub data set; remove it")
        return self

    @property
    def location(self) -> str:
        """Path, hub id or task, as the stage file says."""
        return self.path or self.hub or self.task or ""


class MixtureSpec(Section):
    """The schedule of the sources' shares; see `schedules`.

    Attributes:
        schedule: How the shares change over the stage.
        weights: For ``static``: share of each source, constant.
        phases: For ``stepwise``: shares in each of several phases of equal length.
        preset: For ``stepwise``: the study's phases instead: ``uniform``, ``increase`` or ``decrease``.
        start: For ``linear`` and ``cosine``: shares at the beginning.
        end: For ``linear`` and ``cosine``: shares at the end.
        code: Name of the code source, for a preset.
    """

    schedule: Kind = "static"
    weights: dict[str, float] | None = None
    phases: list[dict[str, float]] | None = None
    preset: str | None = None
    code: str = "code"
    start: dict[str, float] | None = None
    end: dict[str, float] | None = None

    @model_validator(mode="after")
    def _fields_fit_the_schedule(self) -> MixtureSpec:
        own = {"static": {"weights"}, "stepwise": {"phases", "preset", "code"}}.get(self.schedule, {"start", "end"})
        others = sorted(self.model_fields_set - own - {"schedule"})
        if others:
            raise ValueError(
                f"{others[0]} does not belong to a {self.schedule} schedule; remove it, or change `schedule`"
            )
        if self.preset is not None and self.phases is not None:
            raise ValueError("give either preset or phases")
        return self


class DataSpec(Section):
    """The data of a stage.

    Attributes:
        budget_tokens: Tokens to stream; determines the number of steps.
        num_train_epochs: Instead, how often every record is streamed; may be a fraction.
        sources: By name.
        mixture: Shares; equal when absent.
        when_exhausted: Repeat a source that runs out (counted in the manifest), or end the stage.
        when_bad: Stop at a record that is wrong, or skip it; skipped records are counted, and the first ten are named.
        shuffle: Whether the records of a source are shuffled with the seed.
        rationale: Whether a record's rationale is omitted, put into the prompt, or learned before the answer.
    """

    budget_tokens: int | None = Field(default=None, gt=0)
    num_train_epochs: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    sources: dict[str, SourceSpec] = Field(min_length=1)
    mixture: MixtureSpec | None = None
    when_exhausted: Literal["repeat", "end"] = "repeat"
    when_bad: Literal["stop", "skip"] = "stop"
    shuffle: bool = True
    rationale: Rationale = "omit"

    @model_validator(mode="after")
    def _one_budget(self) -> DataSpec:
        if (self.budget_tokens is None) == (self.num_train_epochs is None):
            raise ValueError("give budget_tokens, or num_train_epochs instead")
        if self.num_train_epochs is None:
            return self
        if self.mixture is not None:
            raise ValueError("num_train_epochs streams every record equally often; give budget_tokens for a mixture")
        if self.num_train_epochs > 1 and self.when_exhausted == "end":
            raise ValueError(f"{self.num_train_epochs:g} epochs need `when_exhausted: repeat`")
        return self


def read_schedule(data: DataSpec) -> Schedule:
    """Return the schedule that the mixture describes; equal shares when it is absent.

    Raises:
        InputError: unknown sources, weights that are negative or sum to 0, or a schedule without its weights.
    """
    names = tuple(data.sources)
    mixture = data.mixture or MixtureSpec(weights=dict.fromkeys(names, 1.0))
    where = "data.mixture"
    if mixture.schedule == "static":
        rows: dict[str, dict[str, float] | None] = {f"{where}.weights": mixture.weights}
    elif mixture.schedule == "stepwise":
        phases = preset_phases(mixture.preset, names, mixture.code) if mixture.preset else mixture.phases or []
        rows = {f"{where}.phases[{index}]": phase for index, phase in enumerate(phases)} or {f"{where}.phases": None}
    else:
        rows = {f"{where}.start": mixture.start, f"{where}.end": mixture.end}
    missing = next((place for place, weights in rows.items() if weights is None), None)
    if missing is not None:
        raise SpecError(f"{missing}: is missing; a {mixture.schedule} schedule needs it.")
    return Schedule(
        kind=mixture.schedule,
        sources=names,
        weights=tuple(normalised(weights or {}, names, place) for place, weights in rows.items()),
    )
