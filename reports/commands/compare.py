"""``harness compare A B [...]``: which differences are real."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import InputError, RecordError, did_you_mean
from harness.reports.commands.output import (
    add_output_arguments,
    chosen_format,
    command_line,
    names,
    put,
    view_options,
    write,
    write_charts,
)

if TYPE_CHECKING:
    from harness.records import ModelRecords, Records
    from harness.reports.analysis.differences import Arm


PURPOSE = "Say which differences between models are real, task by task."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument(
        "models",
        nargs="+",
        metavar="MODEL",
        help="a run folder, or a model or stage name within --runs; several seeds of one recipe: NAME=run1,run2",
    )
    parser.add_argument("--runs", type=Path, metavar="DIR", help="where model and stage names are looked up")
    parser.add_argument("--baseline", metavar="MODEL", help="the one that the others are compared with; default: first")
    parser.add_argument(
        "--chosen",
        action="store_true",
        help="the first was chosen for these very numbers, as a leader is: correct p for every pair of models",
    )
    parser.add_argument("--margin", type=float, help="test that no task got worse by this much, such as 0.02")
    parser.add_argument(
        "--doses",
        metavar="NUMBERS",
        help="a number for each model, such as its share of code (0,0.3,0.5): the slope over it, and its p",
    )
    parser.add_argument(
        "--correction",
        choices=("holm", "bh"),
        default="holm",
        help="for many tests: Holm (default) or Benjamini-Hochberg",
    )
    add_output_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Compare and print."""
    kind = chosen_format(args)
    if args.margin is not None and not 0.0 < args.margin < 1.0:
        raise InputError(f"--margin {args.margin}: give the loss that would matter, between 0 and 1, such as 0.02.")
    if args.doses is not None and args.baseline is not None:
        raise InputError(f"--doses {args.doses}: are in the order of the models; name the baseline first, not apart.")

    from harness.reports.analysis.comparison import compare
    from harness.reports.documents.comparison import comparison_document

    arms, skipped = _arms(args)
    comparison = compare(
        arms,
        margin=args.margin,
        correction=args.correction,
        force=args.force,
        notes=skipped,
        doses=_doses(args.doses),
        chosen=args.chosen,
    )
    document = comparison_document(comparison, command_line())
    if kind == "html" or args.charts:
        from harness.reports.page.html import render
        from harness.reports.page.report import comparison_report

        report = comparison_report(
            comparison,
            document,
            force=args.force,
            options=view_options(args),
            compare_options=_own_options(args),
        )
        if args.charts:
            write_charts(report, args.charts)
        if kind == "html":
            put(render(report), args.output_path)
            return 0
    write(document, args)
    return 0


def _own_options(args: argparse.Namespace) -> list[str]:
    given = {"--margin": args.margin, "--doses": args.doses}
    options = [part for flag, value in given.items() if value is not None for part in (flag, str(value))]
    options += ["--correction", args.correction] if args.correction != "holm" else []
    return [*options, *(["--chosen"] if args.chosen else [])]


def _doses(text: str | None) -> list[float]:
    try:
        return [float(part) for part in names(text or "")]
    except ValueError:
        raise InputError(f"--doses {text}: give numbers separated by commas, one a model, such as 0,0.3,0.5.") from None


def _arms(args: argparse.Namespace) -> tuple[list[Arm], list[str]]:
    """Find, load and name the arms, the baseline first; and say what was left out as broken."""
    from harness.reports.analysis.differences import Arm

    found = _Finder(args)
    asked = [_named(word) for word in args.models]
    if args.baseline is not None:
        asked = _baseline_first(asked, args.baseline)
    models, skipped = _loaded([found.model(place) for _, places in asked for place in places], args)
    arms, at = [], 0
    for name, places in asked:
        of_arm = models[at : at + len(places)]
        at += len(places)
        arms.append(Arm(name=name or of_arm[0].name, models=tuple(of_arm)))
    called = [arm.name for arm in arms]
    twice = next((name for name in called if called.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"{twice}: two arms have this name; give each its own with NAME=run1,run2.")
    return arms, [*found.skipped, *skipped]


def _loaded(models: list[ModelRecords], args: argparse.Namespace) -> tuple[list[ModelRecords], list[str]]:
    from harness.records import Records, read, with_distinct_names

    files = [frozenset(run.results for run in model.tasks.values()) for model in models]
    if len(set(files)) < len(files):
        raise InputError(f"{' '.join(args.models)}: the same run is named twice; give different models.")
    loaded: list[ModelRecords] = []
    skipped: list[str] = []
    for model in with_distinct_names(models):
        records = read(Records(models=(model,), skipped=()), skip_broken=args.skip_broken)
        loaded += records.models
        skipped += records.skipped
    return loaded, skipped


def _named(word: str) -> tuple[str, list[str]]:
    """``NAME=run1,run2`` as name and places; a folder that holds an equals sign is a folder."""
    name, equals, places = word.partition("=")
    if not equals or Path(word).exists():
        return "", [word]
    listed = list(names(places))
    if not name or not listed:
        raise InputError(f"{word}: give NAME=run1,run2, the runs of one recipe with different seeds.")
    return name, listed


def _baseline_first(asked: list[tuple[str, list[str]]], baseline: str) -> list[tuple[str, list[str]]]:
    first = [one for one in asked if baseline == one[0] or (not one[0] and baseline in one[1])]
    if not first:
        return [_named(baseline), *asked]
    return [*first, *(one for one in asked if one not in first)]


class _Finder:
    """Looks up run folders, and model and stage names below ``--runs``."""

    def __init__(self, args: argparse.Namespace) -> None:
        self._args = args
        self._records: Records | None = None
        self.skipped: tuple[str, ...] = ()

    def model(self, place: str) -> ModelRecords:
        """Return the one model at a folder or of a name.

        Raises:
            RecordError: none, or more than one.
        """
        path, runs = Path(place), self._args.runs
        found = self._named(place) if runs is not None else []
        if not found and path.exists():
            found = list(self._index([path]).models)
        elif not found and runs is None:
            raise RecordError(f"{place}: no such run folder; give one, or --runs DIR to look up a model or stage name.")
        if not found:
            known = [model.name for model in self._records.models] if self._records else []
            raise RecordError(
                f"{place}: no folder, and no model or stage of that name below {runs}; there are "
                f"{', '.join(known)}.{did_you_mean(place, known)}"
            )
        if len(found) > 1:
            raise RecordError(f"{place}: holds {len(found)} models; give one of {', '.join(m.name for m in found)}.")
        return found[0]

    def _named(self, name: str) -> list[ModelRecords]:
        """The models of a name below ``--runs``, or else of the stage of that name."""
        if self._records is None:
            self._records = self._index([self._args.runs])
        found = [model for model in self._records.models if _is_named(model, name)]
        return found or [model for model in self._records.models if _is_stage(model, name)]

    def _index(self, paths: list[Path]) -> Records:
        from harness.records import index

        args = self._args
        records = index(paths, tasks=names(args.tasks), all_runs=args.all, skip_broken=args.skip_broken)
        self.skipped = tuple(dict.fromkeys((*self.skipped, *records.skipped)))
        return records


def _is_named(model: ModelRecords, name: str) -> bool:
    """Whether a model has this name or lies in a folder of this name; that goes before a stage's name."""
    return name in (model.name, model.recorded_name, *(folder.name for folder in model.folders))


def _is_stage(model: ModelRecords, name: str) -> bool:
    manifest = model.lineage[0].get("manifest") if model.lineage else None
    return manifest is not None and manifest["name"] == name
