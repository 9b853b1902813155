"""``harness compare A B [...]``: which differences between models are real."""

from __future__ import annotations

import argparse
import functools
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import InputError
from harness.reports.commands.design import add_design_arguments, check_last_checkpoints, design_result
from harness.reports.commands.model_finder import ModelFinder
from harness.reports.commands.output import (
    add_output_arguments,
    command_line,
    output_format,
    report_charts,
    split_names,
    view_options,
)

if TYPE_CHECKING:
    from harness.records import ModelRecords
    from harness.reports.analysis.differences import Arm, Comparison
    from harness.reports.commands.result import ReportResult
    from harness.reports.documents.tables import Document
    from harness.reports.page.report import Report

PURPOSE = "Show which differences between models are real, task by task."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument(
        "models",
        nargs="*",
        metavar="MODEL",
        help="a run folder, or the name of a model or stage below --runs; several seeds of one recipe: NAME=run1,run2",
    )
    parser.add_argument(
        "--runs", type=Path, metavar="DIR", help="folder in which names of models and stages are looked up"
    )
    parser.add_argument("--baseline", metavar="MODEL", help="model to compare the others with; default: the first")
    parser.add_argument(
        "--chosen",
        action="store_true",
        help="correct p for every pair of models, because the first was chosen by its values, like a leader",
    )
    parser.add_argument(
        "--margin",
        type=float,
        help="test whether a loss this large, in the metric's units, is ruled out by task and overall, such as 0.02",
    )
    parser.add_argument(
        "--doses",
        metavar="NUMBERS",
        help="a number for each model, such as its share of code (0,0.3,0.5), to estimate the slope over it",
    )
    parser.add_argument(
        "--correction",
        choices=("holm", "bh"),
        default="holm",
        help="for multiple tests: Holm (default) or Benjamini-Hochberg",
    )
    parser.add_argument(
        "--metric",
        metavar="NAME",
        help="compare by another metric: gold_log_likelihood, bits_per_byte, or a recorded one such as acc_norm",
    )
    add_design_arguments(parser)
    add_output_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Compare the models, and print or write the result."""
    result(args, command_line()).show(args)
    return 0


def result(args: argparse.Namespace, command: str) -> ReportResult:
    """Return the comparison of the models, or the analysis of a design; nothing is printed.

    Args:
        args: The parsed flags.
        command: The command line, for the page.

    Raises:
        InputError: a flag is wrong.
        RecordError: a run is missing or damaged, or runs cannot be compared.
    """
    output_format(args)  # raises
    if args.design is not None:
        return design_result(args, command)
    _check_flags(args)

    from harness.reports.analysis.comparison import compare
    from harness.reports.analysis.overlap import read_overlaps
    from harness.reports.documents.comparison import comparison_document
    from harness.reports.documents.overlap_scores import comparison_with_overlap

    overlap = read_overlaps(args.overlap)
    arms, skipped = _arms(args)
    _check_possible(args.margin, arms)
    comparison = compare(
        arms,
        margin=args.margin,
        correction=args.correction,
        force=args.force,
        notes=skipped,
        doses=_doses(args.doses),
        chosen=args.chosen,
        any_scale=args.metric is not None,
    )
    document = comparison_document(comparison, command)
    if overlap is not None:
        document = comparison_with_overlap(document, comparison, overlap, force=args.force, chosen=args.chosen)
    return _result(comparison, document, args)


def _result(comparison: Comparison, document: Document, args: argparse.Namespace) -> ReportResult:
    from harness.reports.commands.result import ReportResult

    @functools.cache
    def report() -> Report:
        from harness.reports.page.report import comparison_report

        options, compare_options = view_options(args), _compare_options(args)
        return comparison_report(
            comparison, document, force=args.force, options=options, compare_options=compare_options
        )

    def page() -> str:
        from harness.reports.page.html import render

        return render(report())

    @functools.cache
    def whole() -> Document:
        from harness.reports.analysis.training_curves import curves_of
        from harness.reports.documents.lineage import with_lineage
        from harness.reports.documents.matrix import with_matrix
        from harness.reports.documents.run_tables import with_run_tables

        models, estimates = report().models, report().estimates
        curves = curves_of(models, estimates) if estimates else ()
        tables = with_run_tables(with_matrix(document, report().matrix), models, curves)
        return with_lineage(tables, models, report().design)

    return ReportResult(document=document, page=page, charts=lambda: report_charts(report()), whole=whole)


def _check_flags(args: argparse.Namespace) -> None:
    if not args.models:
        raise InputError("no models; give two or more to compare, or --design FILE for a factorial study.")
    check_last_checkpoints(args)
    if args.margin is not None and not 0.0 < args.margin < math.inf:
        raise InputError(f"--margin {args.margin}: give the smallest loss that matters, above 0, such as 0.02.")
    if args.doses is not None and args.baseline is not None:
        raise InputError(
            f"--doses {args.doses}: doses follow the order of the models; name the baseline first, not with --baseline."
        )


def _check_possible(margin: float | None, arms: Sequence[Arm]) -> None:
    """Refuse a margin of 1 or more if a task's values lie between 0 and 1: it could never be inferior."""
    if margin is None or margin < 1.0:
        return
    from harness.reports.analysis.metric import limited_tasks

    limited = limited_tasks([model for arm in arms for model in arm.models])
    if limited:
        raise InputError(
            f"--margin {margin}: the values of {', '.join(limited)} lie between 0 and 1; give a margin below 1, such "
            "as 0.02, or choose other tasks with --tasks or another --metric."
        )


def _compare_options(args: argparse.Namespace) -> list[str]:
    last = args.last_checkpoints
    given = {"--last_checkpoints": last, "--margin": args.margin, "--doses": args.doses, "--metric": args.metric}
    options = [part for flag, value in given.items() if value is not None for part in (flag, str(value))]
    options += ["--correction", args.correction] if args.correction != "holm" else []
    return [*options, *(["--chosen"] if args.chosen else [])]


def _doses(text: str | None) -> list[float]:
    try:
        return [float(part) for part in split_names(text or "")]
    except ValueError:
        raise InputError(
            f"--doses {text}: give numbers separated by commas, one per model, such as 0,0.3,0.5."
        ) from None


def _arms(args: argparse.Namespace) -> tuple[list[Arm], list[str]]:
    """Return the arms, the baseline first, and notes on damaged files that were left out."""
    from harness.reports.analysis.checkpoints import mean_notes
    from harness.reports.analysis.differences import Arm
    from harness.reports.analysis.metric import with_metric

    finder = ModelFinder(args)
    named_places = [_parse_arm(word) for word in args.models]
    if args.baseline is not None:
        named_places = _baseline_first(named_places, args.baseline)
    several = args.last_checkpoints is not None
    matches = [[one for place in places for one in finder.models(place, several=several)] for _, places in named_places]
    models, skipped = _loaded([model for own in matches for model in own], args)
    models, without_metric = with_metric(models, args.metric)
    # The models of all arms were loaded as one list; each arm takes as many of them as it has matches:
    #     A=run1,run2 B   ->   models [m1, m2, m3]   ->   A: m1, m2   B: m3
    left, arms, averages = iter(models), [], []
    for (name, _), own in zip(named_places, matches, strict=True):
        arm_models, runs = _training_runs([next(left) for _ in own], args)
        arms.append(Arm(name=name or arm_models[0].name, models=tuple(arm_models)))
        averages += runs
    arm_names = [arm.name for arm in arms]
    duplicate = next((name for name in arm_names if arm_names.count(name) > 1), None)
    if duplicate is not None:
        raise InputError(f"{duplicate}: two arms have this name; give each its own with NAME=run1,run2.")
    return arms, [*finder.skipped, *skipped, *without_metric, *mean_notes(averages)]


def _training_runs(
    models: list[ModelRecords], args: argparse.Namespace
) -> tuple[list[ModelRecords], list[tuple[ModelRecords, ...]]]:
    """Return one model per training run, the mean of its last checkpoints, and these; else the models themselves."""
    if args.last_checkpoints is None:
        return models, []
    from harness.reports.analysis.checkpoints import averaged, last_of, training_runs

    runs = [last_of(run, args.last_checkpoints) for run in training_runs(models)]
    return [averaged(run, force=args.force) for run in runs], runs


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


def _parse_arm(word: str) -> tuple[str, list[str]]:
    """Split ``NAME=run1,run2`` into name and places. An existing path is one place, even with an equals sign in it."""
    name, equals, places = word.partition("=")
    if not equals or _exists(word):
        return "", [word]
    listed = _split_places(places)
    if not name or not listed:
        raise InputError(f"{word}: give NAME=run1,run2, the runs of one recipe with different seeds.")
    return name, listed


def _split_places(text: str) -> list[str]:
    """Split places at commas, but not an existing path: ``runs/a,x-0,runs/b`` is ``runs/a,x-0`` and ``runs/b``."""
    parts, places = text.split(","), []
    while parts:
        paths = [",".join(parts[:end]) for end in range(1, len(parts) + 1)]
        place = next(filter(_exists, paths), paths[0])
        places.append(place)
        del parts[: place.count(",") + 1]
    return [stripped for place in places if (stripped := place.strip())]


def _exists(word: str) -> bool:
    return os.path.exists(word)  # noqa: PTH110 - false for a word too long for a path, too


def _baseline_first(named_places: list[tuple[str, list[str]]], baseline: str) -> list[tuple[str, list[str]]]:
    first = [one for one in named_places if baseline == one[0] or (not one[0] and baseline in one[1])]
    if not first:
        return [_parse_arm(baseline), *named_places]
    return [*first, *(one for one in named_places if one not in first)]
