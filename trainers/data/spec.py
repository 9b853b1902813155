"""The `data:` part of a stage file: sources, mixture, budget; checked."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from harness.errors import InputError
from harness.trainers.data.records import Format, Rationale
from harness.trainers.data.schedules import Kind, Schedule, normalised, preset_phases


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class SourceSpec(Section):
    """Where one source's records are, and how they are read.

    Attributes:
        path: File, folder or glob: JSONL (.jsonl, .gz too), a JSON list (.json), Parquet, text (.txt, .md), Python
            trees. Looked for from the working folder, then in the data folder (HARNESS_DATA).
        hub: A data set on the hub instead, streamed; `subset`, `split` and `revision` belong to it.
        task: One of this project's own generated tasks instead, for example ``mini_logic``; its train split.
        format: What the records are; guessed for text and Python files.
        fields: A format's field name -> the file's.
        skip: Records of the source that are left out at its beginning.
        limit: Records that are used after those; all when absent.
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

    @model_validator(mode="after")
    def _one_place(self) -> SourceSpec:
        if sum(place is not None for place in (self.path, self.hub, self.task)) != 1:
            raise ValueError("give exactly one of path, hub and task")
        wrong = {"subset": self.hub is None, "revision": self.hub is None, "split": self.path is not None}
        for field, has_no_meaning in wrong.items():
            if field in self.model_fields_set and has_no_meaning:
                raise ValueError(f"{field} belongs to a hub data set; remove it")
        return self

    @property
    def location(self) -> str:
        """What the user named."""
        return self.path or self.hub or self.task or ""


class MixtureSpec(Section):
    """How the sources are mixed; see `schedules`.

    Attributes:
        schedule: ``static`` (with `weights`), ``stepwise`` (with `phases`, or a `preset` of the study), ``linear`` or
            ``cosine`` (from `start` to `end`).
        code: Which source is the code, for a preset.
    """

    schedule: Kind = "static"
    weights: dict[str, float] | None = None
    phases: list[dict[str, float]] | None = None
    preset: str | None = None
    code: str = "code"
    start: dict[str, float] | None = None
    end: dict[str, float] | None = None

    @model_validator(mode="after")
    def _of_its_schedule(self) -> MixtureSpec:
        own = {"static": {"weights"}, "stepwise": {"phases", "preset", "code"}}.get(self.schedule, {"start", "end"})
        others = sorted(self.model_fields_set - own - {"schedule"})
        if others:
            raise ValueError(f"{others[0]} has no part in a {self.schedule} schedule; remove it, or name another")
        if self.preset is not None and self.phases is not None:
            raise ValueError("give either preset or phases")
        return self


class DataSpec(Section):
    """The data of a stage.

    Attributes:
        budget_tokens: Tokens to be streamed; decides the number of steps.
        sources: By name.
        mixture: Shares; equal when absent.
        when_exhausted: Begin a source that runs out anew (counted in the manifest), or end the stage.
        shuffle: Whether the records of a source are put in an order drawn from the seed.
        rationale: Whether a record's rationale is left out, given in the prompt, or learned before the answer.
    """

    budget_tokens: int = Field(gt=0)
    sources: dict[str, SourceSpec] = Field(min_length=1)
    mixture: MixtureSpec | None = None
    when_exhausted: Literal["repeat", "end"] = "repeat"
    shuffle: bool = True
    rationale: Rationale = "omit"


def read_schedule(data: DataSpec) -> Schedule:
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
        raise InputError(f"{missing}: is missing; a {mixture.schedule} schedule needs it.")
    return Schedule(
        kind=mixture.schedule,
        sources=names,
        weights=tuple(normalised(weights or {}, names, place) for place, weights in rows.items()),
    )
