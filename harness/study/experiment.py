"""The experiment file: its fields and their validation. An error is one line with the field and what is allowed.

    name: quickstart
    factors: {code: {N: 0, C: 1}, seed: [0, 1, 2]}
    stages:
      base: {stage: pretrain, seed: "{seed}", data: {..., mixture: {weights: {text: 1, code: "{code}"}}}, ...}
      tuned: {file: stages/sft.yaml, from: base, seed: "{seed}"}
    evaluate: {tasks: [reasoning_mini], stages: [tuned]}
    compare: {stage: tuned}

What stands in a stage is its trainer's to check; `factors` fills its placeholders.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails

from harness.errors import InputError, SpecError, did_you_mean
from harness.redaction import without_secret_values, without_secrets
from harness.study.executors.needs import NeedsSpec
from harness.study.plain_values import check_plain
from harness.training import read_spec

Variant = Literal["direct", "cot", "cot_gen"]
# Flags of `harness eval` that the experiment sets itself, and what to set instead.
SET_BY_EXPERIMENT = {
    "model": "evaluate.stages says which checkpoints",
    "tasks": "set evaluate.tasks",
    "output_path": "give `harness run --output_path`",
    "dry_run": "give `harness run --dry_run`",
    "progress_path": "`harness status` shows the progress",
    "predict_only": "a study compares scores",
}
SET_BY_SEARCH = ("tasks", "format", "output_path", "fail_on_overlap")  # of `harness overlap`

LONGEST_VALUE = 60  # characters of a value in a message


class Section(BaseModel):
    """A section of the experiment file; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class NeedsByKind(Section):
    """What the nodes of each kind need.

    Attributes:
        train: Of a training; ``needs:`` in a stage replaces it for that stage.
        evaluate: Of an evaluation.
        report: Of a page.
    """

    train: NeedsSpec = NeedsSpec()
    evaluate: NeedsSpec = NeedsSpec()
    report: NeedsSpec = NeedsSpec()


class EvaluateSpec(Section):
    """Which checkpoints are evaluated, and on what.

    Attributes:
        name: What the nodes are called; needed where there are several such sections.
        tasks: Tasks and groups.
        stages: The stages whose checkpoints are evaluated; all when absent.
        checkpoints: ``last``, or ``all``: the states that were saved during training, too; an average has none.
        variants: ``direct`` asks the tasks as named; ``cot`` and ``cot_gen`` the tasks with this ending instead.
        flags: Further flags of ``harness eval``, such as ``{limit: 40, apply_chat_template: true}``.
    """

    name: str = Field(default="eval", min_length=1)
    tasks: tuple[str, ...] = Field(min_length=1)
    stages: tuple[str, ...] | None = Field(default=None, min_length=1)
    checkpoints: Literal["last", "all"] = "last"
    variants: tuple[Variant, ...] = Field(default=("direct",), min_length=1)
    flags: dict[str, Any] = Field(default_factory=dict)

    @field_validator("tasks", "stages", "variants", mode="before")
    @classmethod
    def _one_or_more(cls, value: object) -> object:
        return _parts(value)

    @field_validator("flags")
    @classmethod
    def _flags_of_the_experiment(cls, flags: dict[str, Any]) -> dict[str, Any]:
        flags = _with_underscores(flags)
        for flag, remedy in SET_BY_EXPERIMENT.items():
            if flag in flags:
                raise ValueError(f"{flag} cannot be given; {remedy}")
        return flags


class CompareSpec(Section):
    """The comparison of one stage's arms: the levels of its factors other than ``seed``.

    Attributes:
        name: Name of the pages; tells several such sections apart.
        stage: The stage; the last one of the file when absent.
        design: Factors of a factorial analysis, such as ``[pretrain, tune]``; the first two are the main factors, and
            the first level of each is the reference.
        contrasts: Pairs of arms, such as ``[NC, NN]``: each is compared by itself, the second being the baseline. An
            arm of another stage is ``base:N``, or ``base`` if that stage has one arm.
        tasks: Names of the tasks on the pages, or patterns such as ``mini_*``; empty for all. Tests are corrected over
            the tasks of a page.
        margin: The smallest loss that matters, such as 0.02, in the units of the metric.
        metric: Compare by another metric, such as ``gold_log_likelihood``; see ``harness compare --metric``.
    """

    name: str = Field(default="compare", min_length=1)
    stage: str | None = None
    design: tuple[str, ...] | None = Field(default=None, min_length=1)
    contrasts: tuple[tuple[str, str], ...] = ()
    tasks: tuple[str, ...] = ()
    margin: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    metric: str | None = None

    @field_validator("tasks", mode="before")
    @classmethod
    def _one_or_more(cls, value: object) -> object:
        return _parts(value)

    @model_validator(mode="after")
    def _margin_of_accuracy(self) -> CompareSpec:
        if self.margin is not None and self.margin >= 1 and (self.metric is None or self.metric.startswith("acc")):
            raise ValueError(f"margin: of accuracies it must be less than 1 (it is {self.margin:g})")
        return self


class ReportSpec(Section):
    """The pages besides the comparison.

    Attributes:
        leaderboard: Also rank all evaluated checkpoints.
    """

    leaderboard: bool = True


class ExperimentSpec(Section):
    """An experiment file.

    Attributes:
        name: What a study folder is known by: a folder holds one experiment.
        factors: Levels by factor: a list of values, or a mapping from names to values.
        stages: By name: a stage file; or the fields of one, with ``file:`` to begin with those of a file.
        evaluate: One section or several.
        overlap: Options of the search for test items in what each arm was trained on; false for no search.
        compare: One comparison or several.
        report: Further pages.
        needs: What nodes need from their machine.
    """

    name: str = Field(min_length=1)
    factors: dict[str, dict[str, Any]] = Field(default_factory=dict)
    stages: dict[str, dict[str, Any]] = Field(min_length=1)
    evaluate: tuple[EvaluateSpec, ...] = ()
    overlap: dict[str, Any] | Literal[False] = Field(default_factory=dict)
    compare: tuple[CompareSpec, ...] = ()
    report: ReportSpec = ReportSpec()
    needs: NeedsByKind = NeedsByKind()

    def recorded(self) -> dict[str, Any]:
        """Return the fields as plain values, without secrets in the flags and in the settings of trainers."""
        fields = self.model_dump(mode="json")
        for section in fields["evaluate"]:
            section["flags"] = without_secret_values(section["flags"], within=without_secrets)
        for stage in fields["stages"].values():
            if isinstance(stage.get("trainer"), Mapping):
                stage["trainer"] = without_secret_values(stage["trainer"])
        return fields

    @field_validator("factors", mode="before")
    @classmethod
    def _levels_by_name(cls, factors: object) -> object:
        if not isinstance(factors, Mapping):
            return factors
        return {str(name): _levels(str(name), levels) for name, levels in factors.items()}

    @field_validator("stages", mode="before")
    @classmethod
    def _files_as_fields(cls, stages: object) -> object:
        if not isinstance(stages, Mapping):
            return stages
        return {str(name): {"file": stage} if isinstance(stage, str) else stage for name, stage in stages.items()}

    @field_validator("evaluate", "compare", mode="before")
    @classmethod
    def _one_section_or_several(cls, value: object) -> object:
        return [] if value is None else [value] if isinstance(value, Mapping) else value

    @field_validator("overlap")
    @classmethod
    def _flags_of_the_search(cls, options: dict[str, Any] | Literal[False]) -> dict[str, Any] | Literal[False]:
        options = _with_underscores(options) if options else options
        wrong = next((flag for flag in SET_BY_SEARCH if options and flag in options), None)
        if wrong is not None:
            raise ValueError(f"{wrong} cannot be given; the experiment sets it")
        return options

    @model_validator(mode="after")
    def _distinct_names(self) -> ExperimentSpec:
        kinds: dict[str, Sequence[EvaluateSpec | CompareSpec]] = {"evaluate": self.evaluate, "compare": self.compare}
        for kind, sections in kinds.items():
            names = [section.name for section in sections]
            twice = next((name for name in names if names.count(name) > 1), None)
            if twice is not None:
                raise ValueError(f"two {kind} sections have the name {twice!r}; give each its own `name`")
        return self


def _with_underscores(flags: Mapping[str, Any]) -> dict[str, Any]:
    """Return flags as the command knows them: ``output-path`` is ``output_path`` there."""
    return {name.replace("-", "_"): value for name, value in flags.items()}


def _level_name(level: object) -> str:
    """Return a level's name; ``no`` and ``yes``, which YAML reads as false and true, keep theirs as in a design."""
    return {False: "no", True: "yes"}[level] if isinstance(level, bool) else str(level)


def _parts(value: object) -> object:
    return [part.strip() for part in value.split(",")] if isinstance(value, str) else value


def _levels(factor: str, levels: object) -> dict[str, Any]:
    # [0, 1]  ->  {"0": 0, "1": 1}
    if isinstance(levels, Mapping):
        named = [(_level_name(name), value) for name, value in levels.items()]
    elif isinstance(levels, list):
        named = [(_level_name(value), value) for value in levels]
    else:
        raise ValueError(f"{factor}: give a list of levels, or a mapping from names to values")
    names = [name for name, _ in named]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"{factor}: the level {twice!r} appears twice; give each level once")
    if not named:
        raise ValueError(f"{factor}: has no levels; give at least one, or remove the factor")
    return dict(named)


def read_experiment(path: Path, overrides: Sequence[str] = ()) -> ExperimentSpec:
    """Read an experiment file, with the stage files that it names, and apply ``key=value`` overrides.

    Raises:
        InputError: a file is missing or no YAML, a key is unknown, no text or given twice, or a value is not allowed.
    """
    fields = read_spec(path, overrides, kind="an experiment file with name and stages, see docs/study_file.md")
    check_plain(path, fields)
    try:
        spec = ExperimentSpec.model_validate(fields)
    except ValidationError as error:
        # An unknown key first: it may be a field that is missing, misspelt.
        faults = sorted(error.errors(), key=lambda fault: fault["type"] != "extra_forbidden")
        raise InputError(f"{path}: {_message(faults[0])}") from None
    stages = {name: _with_file(name, stage, path) for name, stage in spec.stages.items()}
    return spec.model_copy(update={"stages": stages})


def _with_file(name: str, stage: Mapping[str, Any], experiment: Path) -> dict[str, Any]:
    """Return a stage's fields on top of those of the stage file that ``file:`` names, relative to the experiment's."""
    if "file" not in stage:
        return dict(stage)
    if not isinstance(stage["file"], str):
        raise InputError(f"{experiment}: stages.{name}.file: {stage['file']!r}; give the path of a stage file.")
    file = experiment.parent / stage["file"]
    base = read_spec(file, (), kind=f"a stage file for stages.{name}.file, relative to {experiment.parent}")
    check_plain(file, base)
    return _merged(base, {key: value for key, value in stage.items() if key != "file"})


def _merged(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in change.items():
        under = merged.get(key)
        merged[key] = _merged(under, value) if isinstance(under, Mapping) and isinstance(value, Mapping) else value
    return merged


SECTIONS: dict[str, type[BaseModel]] = {
    "": ExperimentSpec, "evaluate": EvaluateSpec, "compare": CompareSpec, "report": ReportSpec, "needs": NeedsByKind,
    "needs.train": NeedsSpec, "needs.evaluate": NeedsSpec, "needs.report": NeedsSpec,
}  # fmt: skip


def _message(fault: ErrorDetails) -> str:
    path = [str(part) for part in fault["loc"] if not isinstance(part, int)]
    where = ".".join(path)
    if fault["type"] == "extra_forbidden":
        known = list(SECTIONS[".".join(path[:-1])].model_fields)
        return f"{where}: unknown key; allowed are {', '.join(known)}.{did_you_mean(path[-1], known)}"
    if fault["type"] == "missing":
        return f"{where}: is missing; see docs/study_file.md for the experiment file."
    given = "" if isinstance(fault["input"], Mapping) else f" (it is {fault['input']!r})"
    return f"{where or 'experiment file'}: {fault['msg'].removeprefix('Value error, ')}{given}."


def needs_of(stage: Mapping[str, Any], default: NeedsSpec) -> tuple[dict[str, Any], NeedsSpec]:
    """Return a stage's fields without ``needs``, and what it needs.

    Raises:
        SpecError: ``needs`` has an unknown key or a wrong value.
    """
    fields = {key: value for key, value in stage.items() if key != "needs"}
    if "needs" not in stage:
        return fields, default
    try:
        return fields, NeedsSpec.model_validate(stage["needs"])
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise SpecError(
            f"needs.{where}: {error.errors()[0]['msg']}; a stage's needs are {', '.join(NeedsSpec.model_fields)}."
        ) from None


def differences(recorded: Any, current: Any, place: str = "") -> list[str]:
    """Return how an experiment differs from the one that a folder had.

    ``stages.tuned.seed: 1 instead of 0``, ``stages.late: added``, ``factors.tune: removed``
    """
    if isinstance(recorded, Mapping) and isinstance(current, Mapping):
        lines = []
        for key in [*recorded, *(key for key in current if key not in recorded)]:
            where = f"{place}.{key}".removeprefix(".")
            if key in recorded and key in current:
                lines += differences(recorded[key], current[key], where)
            else:
                lines.append(f"{where}: {'added' if key in current else 'removed'}")
        return lines
    return [] if recorded == current else [f"{place}: {_short(current)} instead of {_short(recorded)}"]


def _short(value: Any) -> str:
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}..."
