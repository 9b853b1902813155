"""The design of a factorial study: which run has which levels, and which pre-training run it was made from.

    factors: {pretrain: [text, code], tune: [plain, code]}   # first level is the reference
    main: [pretrain, tune]                                   # optional: the main factors, else the first two
    runs:
      - {run: runs/NN-0, pretrain: text, tune: plain, parent: pre-text-0, seed: 0}
    parents:                                                 # optional: evaluations of the parents themselves
      - {run: runs/pre-text-0, name: pre-text-0}             # and their own `parent`, if there are more than two stages
    cot: {science_cot: science}                              # optional: task with chain of thought, task without

A run may name its ``step``: runs with the same levels, parent and seed are then checkpoints of one training run.
`auto_design` builds the same from the lineage of the runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from harness.errors import InputError, did_you_mean
from harness.reports.analysis.yaml_file import Place, read_yaml

KEYS = ("factors", "main", "runs", "parents", "cot")
_SCALARS = (str, int, float, bool, date)
_YAML_TRUTHS = ("on", "off", "yes", "no", "true", "false")
RUN_KEYS = ("run", "parent", "seed", "step")


@dataclass(frozen=True, kw_only=True)
class DesignRun:
    """One evaluated checkpoint.

    Attributes:
        run: Run folder, or name of a model, as in the file.
        cell: Its level of each factor, in the order of the factors.
        parent: Name of the checkpoint that it was trained from; None if the file does not say.
        seed: Its seed; empty if the file does not say.
        step: Its step, if it is one of several checkpoints of a training run.
        where: File, line and name of its entry, for messages.
    """

    run: str
    cell: tuple[str, ...]
    parent: str | None
    seed: str
    step: float | None
    where: str = field(default="", compare=False)


@dataclass(frozen=True, kw_only=True)
class DesignParent:
    """The evaluation of a parent.

    Attributes:
        run: Run folder, or name of a model, as in the file.
        parent: Name of the checkpoint that it was trained from itself; None if the file does not say.
        where: File, line and name of its entry, for messages.
    """

    run: str
    parent: str | None
    where: str = field(default="", compare=False)


@dataclass(frozen=True, kw_only=True)
class Design:
    """The whole design.

    Attributes:
        factors: Levels by factor, the reference level first.
        main: The two factors whose main effects and interaction are the primary family; one if there is one factor.
        runs: At least one.
        parents: Evaluated parents, by name.
        cot: Task without chain of thought, by task with it; None to pair tasks by their names.
    """

    factors: Mapping[str, tuple[str, ...]]
    main: tuple[str, ...]
    runs: tuple[DesignRun, ...]
    parents: Mapping[str, DesignParent]
    cot: Mapping[str, str] | None

    def ancestors(self, run: DesignRun) -> tuple[str, ...]:
        """Return the names of the checkpoints that a run was trained from, its parent first, as far as the file says.

        Raises:
            InputError: A parent comes from itself.
        """
        names: list[str] = []
        name = run.parent
        while name is not None:
            if name in names:
                raise InputError(
                    f"parents: {name} comes from itself ({' <- '.join([*names, name])}); correct a parent."
                )
            names.append(name)
            name = self.parents[name].parent if name in self.parents else None
        return tuple(names)


def read_design(path: Path) -> Design:
    """Read a design file.

    Raises:
        InputError: The file cannot be read, or a field is wrong; the message names the field and what is allowed.
    """
    place, content = read_yaml(path, "a design file with factors and runs, see docs/statistics.md")
    check_keys(place, content, KEYS)
    factors = read_factors(place, content)
    return Design(
        factors=factors,
        main=read_main(place, content, factors),
        runs=read_runs(place, content, factors),
        parents=_parents(place / "parents", content.get("parents")),
        cot=_cot(place / "cot", content.get("cot")),
    )


def read_factors(place: Place, content: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Return the factors of a design file or of a plan.

    Raises:
        InputError: There are none, or one has fewer than two levels, a level twice, or a reserved name.
    """
    factors = content.get("factors")
    if not isinstance(factors, dict) or not factors:
        raise InputError(
            f"{place / 'factors'} is {_shown(factors)}; give their levels, such as {{pretrain: [text, code]}}."
        )
    read = {}
    for name, levels in factors.items():
        where = (place / "factors").line_of(str(name))
        if not isinstance(name, str):
            raise InputError(f"{where}: factor {_shown(name)} is not text; write its name in quotes.")
        if name in RUN_KEYS or name in ("overall", "interaction", "cot"):
            raise InputError(f"{where}: factor {_shown(name)}: this name is taken; give another, such as pretrain.")
        scalars = isinstance(levels, list) and all(isinstance(level, _SCALARS) for level in levels)
        words = tuple(level_name(level) for level in levels) if scalars else ()
        if len(words) < 2 or len(set(words)) < len(words):
            raise InputError(
                f"{where}: factor {name}: levels are {_shown(levels)}; give a list of two or more words or "
                "numbers, all different."
            )
        read[name] = words
    return read


def read_runs(place: Place, content: Mapping[str, Any], factors: Mapping[str, Sequence[str]]) -> tuple[DesignRun, ...]:
    """Return the runs of a design file.

    Raises:
        InputError: There are none, or a field of one is wrong.
    """
    runs = content.get("runs")
    if not isinstance(runs, list) or not runs:
        raise InputError(f"{place / 'runs'} is {_shown(runs)}; give a list of runs, each with run and its levels.")
    return tuple(_run(place / "runs" / number, entry, factors) for number, entry in enumerate(runs))


def read_main(place: Place, content: Mapping[str, Any], factors: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Return the main factors of a design file or of a plan: those that it names, else the first two.

    Raises:
        InputError: It names other than two different factors.
    """
    main = content.get("main")
    if main is None:
        return tuple(factors)[:2]
    names = [name for name in main if isinstance(name, str)] if isinstance(main, list) else []
    if len(names) != 2 or main != names or len({*names} & {*factors}) < 2:
        raise InputError(f"{place / 'main'} is {_shown(main)}; give two different factors of {', '.join(factors)}.")
    return tuple(names)


def level_name(level: object) -> str:
    """Return a level as text: YAML reads ``no`` as false and ``0.30`` as a number."""
    if isinstance(level, bool):
        return "yes" if level else "no"
    return f"{level:.12g}" if isinstance(level, float) else str(level)


def _run(where: Place, entry: object, factors: Mapping[str, Sequence[str]]) -> DesignRun:
    if not isinstance(entry, dict):
        raise InputError(f"{where}: is {_shown(entry)}; give a mapping with run and a level of each factor.")
    check_keys(where, entry, (*RUN_KEYS, *factors))
    if not isinstance(entry.get("run"), str) or not entry["run"]:
        raise InputError(
            f"{where.on_line_of('run')}: run is {_shown(entry.get('run'))}; give a run folder or the name of a model."
        )
    for name, levels in factors.items():
        level = level_name(entry[name]) if name in entry else None
        if level not in levels:
            problem = "is missing" if level is None else f"{level!r:.40} is no level of {name}"
            hint = did_you_mean(level or "", levels) or _quotes(level, levels)
            raise InputError(f"{where / name}: {problem}; give one of {', '.join(levels)}.{hint}")
    step = entry.get("step")
    if step is not None and (isinstance(step, bool) or not isinstance(step, int | float)):
        raise InputError(f"{where / 'step'}: {_shown(step)} is no number; give the checkpoint's optimizer step.")
    for key in ("parent", "seed"):
        if not isinstance(entry.get(key), (*_SCALARS, type(None))) or entry.get(key) == "":
            raise InputError(f"{where / key}: is {_shown(entry[key])}; give one name or number, or leave it out.")
    return DesignRun(
        run=entry["run"],
        cell=tuple(level_name(entry[name]) for name in factors),
        parent=None if entry.get("parent") is None else str(entry["parent"]),
        seed="" if entry.get("seed") is None else str(entry["seed"]),
        step=step,
        where=where.on_line_of("run"),
    )


def _quotes(level: str | None, levels: Sequence[str]) -> str:
    """Return the remedy for ``on`` in quotes at one place and without at another."""
    if level is None or level.lower() not in _YAML_TRUTHS or not {"yes", "no"} & set(levels):
        return ""
    return " Without quotes, YAML reads on, yes and true as yes, and off, no and false as no; use quotes everywhere."


def _parents(where: Place, entries: object) -> dict[str, DesignParent]:
    if entries is None:
        return {}
    if not isinstance(entries, list):
        raise InputError(f"{where} is {_shown(entries)}; give a list of mappings, each with run and name.")
    parents: dict[str, DesignParent] = {}
    for number, entry in enumerate(entries):
        name, parent = _parent(where / number, entry)
        if name in parents:
            raise InputError(f"{where / number}: the name {name!r:.40} is given twice; give each parent once.")
        parents[name] = parent
    return parents


def _parent(where: Place, entry: object) -> tuple[str, DesignParent]:
    if not isinstance(entry, dict) or not all(isinstance(entry.get(key), str) for key in ("run", "name")):
        raise InputError(f"{where}: is {_shown(entry)}; give run and name, the name that runs have as their parent.")
    check_keys(where, entry, ("run", "name", "parent"))
    above = entry.get("parent")
    return entry["name"], DesignParent(
        run=entry["run"], parent=None if above is None else str(above), where=where.on_line_of("run")
    )


def _cot(where: Place, pairs: object) -> dict[str, str] | None:
    if pairs is None:
        return None
    if not isinstance(pairs, dict) or not all(isinstance(word, str) for pair in pairs.items() for word in pair):
        raise InputError(f"{where} is {_shown(pairs)}; give the task without by the task with, {{a_cot: a}}.")
    return dict(pairs)


def check_keys(where: Place, content: Mapping[Any, Any], allowed: Sequence[str]) -> None:
    """Raise InputError on the first key that is not allowed."""
    unknown = next((key for key in content if key not in allowed), None)
    if unknown is not None:
        hint = did_you_mean(str(unknown), allowed)
        raise InputError(
            f"{where.on_line_of(str(unknown))}: {_shown(unknown)} is unknown; give only {', '.join(allowed)}.{hint}"
        )


def _shown(value: object) -> str:
    return "missing" if value is None else f"{value!r:.60}"
