"""``harness compare --design``: a factorial study as main effects, interaction and simple effects."""

from __future__ import annotations

import argparse
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import InputError, RecordError, did_you_mean
from harness.reports.commands.output import split_names

if TYPE_CHECKING:
    from harness.records import ModelRecords
    from harness.reports.analysis.design import DesignParent, DesignRun
    from harness.reports.analysis.factorial import FactorialAnalysis
    from harness.reports.analysis.matrix import Matrix
    from harness.reports.analysis.study import Study
    from harness.reports.analysis.training_curves import CurvePanel
    from harness.reports.charts.charts import Chart
    from harness.reports.charts.drawing import Drawing
    from harness.reports.commands.result import ReportResult
    from harness.reports.documents.tables import Document

AUTO = "auto"
# Flags of a comparison of models that have no meaning for a design, and their defaults.
_NOT_WITH_DESIGN = {"baseline": None, "margin": None, "doses": None, "chosen": False, "correction": "holm"}


def add_design_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument(
        "--design",
        metavar="FILE",
        help="analyse a factorial study: a YAML file with factors and runs, or auto to read them from the lineage",
    )
    parser.add_argument(
        "--last_checkpoints",
        type=int,
        metavar="K",
        help="each training run is the mean of its last K checkpoints; with --design, the default is its last one",
    )


def design_result(args: argparse.Namespace, command: str) -> ReportResult:
    """Return the analysis of the study; nothing is printed.

    Args:
        args: The parsed flags.
        command: The command line, for the page.

    Raises:
        InputError: A flag or the design is wrong.
        RecordError: A run is missing or damaged, or runs cannot be compared.
    """
    _check_flags(args)

    from harness.reports.analysis.factorial import AnalysisOptions, analyse
    from harness.reports.analysis.overlap import read_overlaps
    from harness.reports.commands.result import ReportResult
    from harness.reports.documents.factorial import factorial_document
    from harness.reports.documents.overlap_scores import factorial_with_overlap

    overlap = read_overlaps(args.overlap)
    study, notes = load_study(args)
    options = AnalysisOptions(last=args.last_checkpoints or 1, force=args.force, any_scale=args.metric is not None)
    analysis = analyse(study, options, notes)
    document = factorial_document(analysis, command)
    if overlap is not None:
        document = factorial_with_overlap(document, analysis, overlap, options)

    @functools.cache
    def matrix() -> Matrix:
        from harness.reports.analysis.study_matrix import study_matrix

        return study_matrix(analysis, force=args.force)

    @functools.cache
    def curves() -> tuple[CurvePanel, ...]:
        from harness.reports.analysis.study_curves import study_curves

        return study_curves(analysis, force=args.force)

    def page() -> str:
        from harness.reports.page.study import render_study

        return render_study(analysis, matrix(), curves(), document)

    @functools.cache
    def whole() -> Document:
        from harness.reports.analysis.recipe_graph import arms_of
        from harness.reports.analysis.study import evaluated_models
        from harness.reports.documents.lineage import with_lineage
        from harness.reports.documents.matrix import with_matrix
        from harness.reports.documents.run_tables import with_run_tables

        models = evaluated_models(study)
        tables = with_run_tables(with_matrix(document, matrix()), models, curves())
        return with_lineage(tables, models, arms_of(analysis))

    def charts() -> dict[str, Chart]:
        return _charts(analysis, curves())

    return ReportResult(document=document, page=page, charts=charts, whole=whole)


def _charts(analysis: FactorialAnalysis, curves: Sequence[CurvePanel]) -> dict[str, Chart]:
    """Return the effects, and overall and held-out loss over tokens if runs have several checkpoints."""
    from harness.reports.analysis.training_curves import LOSS_TITLE
    from harness.reports.charts.paper import fitting
    from harness.reports.charts.study_effects import draw_study_effects
    from harness.reports.charts.training_curves import draw_training_curve
    from harness.reports.documents.captions import curves_caption, effects_caption

    drawings = {"effects": fitting(lambda columns: draw_study_effects(analysis, columns))}
    captions = {"effects": effects_caption(analysis)}
    for panel in curves:
        name = "held_out_loss" if panel.title == LOSS_TITLE else "tokens"
        if name not in drawings:  # of the values, the first panel: overall
            drawings[name] = draw_training_curve(panel)
            captions[name] = curves_caption(panel)
    return drawn_charts(drawings, captions)


def _check_flags(args: argparse.Namespace) -> None:
    for name, default in _NOT_WITH_DESIGN.items():
        if getattr(args, name) != default:
            raise InputError(f"--{name}: not with --design, which has its own contrasts and families; leave it out.")
    check_last_checkpoints(args)
    if args.design == AUTO and not args.models and args.runs is None:
        raise InputError("--design auto: no runs; name run folders, or a folder of them with --runs.")
    if args.design != AUTO and args.models:
        raise InputError(
            f"{' '.join(args.models)}: the runs of a design stand in its file; name models only with --design auto."
        )


def check_last_checkpoints(args: argparse.Namespace) -> None:
    """Refuse a number of checkpoints below 1."""
    if args.last_checkpoints is not None and args.last_checkpoints < 1:
        raise InputError(f"--last_checkpoints {args.last_checkpoints}: give 1 or more.")


def load_study(args: argparse.Namespace) -> tuple[Study, list[str]]:
    """Return the study with its records loaded, and notes on what was left out."""
    from harness.reports.analysis.design import read_design
    from harness.reports.analysis.design_checks import check_runs
    from harness.reports.analysis.study import study_of_design, study_of_lineage

    if args.design == AUTO:
        places = [*map(Path, args.models), *([args.runs] if args.runs else [])]
        models, skipped = _read(_index(places, args), args)
        return study_of_lineage(models), skipped
    path = Path(args.design)
    design = read_design(path)
    check_runs(path, design.runs)
    finder = _Finder(path.parent, args)
    indexed: dict[str, ModelRecords] = {}
    files: set[frozenset[Path]] = set()
    entries: list[DesignRun | DesignParent] = [*design.runs, *design.parents.values()]
    for entry in entries:
        model = indexed.get(entry.run) or finder.model(entry.run, entry.where)
        indexed[entry.run], of_model = model, frozenset(run.results for run in model.tasks.values())
        if of_model in files:
            raise InputError(f"{entry.where}: run {entry.run} is named twice; give each run once.")
        files.add(of_model)
    models, skipped = _read(list(indexed.values()), args)
    if len(models) < len(indexed):
        raise RecordError(f"{path}: a run of the design is damaged ({' '.join(skipped)}) Restore it.")
    by_place = dict(zip(indexed, models, strict=True))
    return study_of_design(design, by_place.__getitem__), skipped


def _index(paths: list[Path], args: argparse.Namespace) -> list[ModelRecords]:
    from harness.records import index

    records = index(paths, tasks=split_names(args.tasks), all_runs=args.all, skip_broken=args.skip_broken)
    return list(records.models)


def _read(models: list[ModelRecords], args: argparse.Namespace) -> tuple[list[ModelRecords], list[str]]:
    """Read the items, and take the metric that the user chose."""
    from harness.records import Records, read, with_distinct_names
    from harness.reports.analysis.metric import with_metric

    loaded: list[ModelRecords] = []
    skipped: list[str] = []
    for model in with_distinct_names(models):
        records = read(Records(models=(model,), skipped=()), skip_broken=args.skip_broken)
        loaded += records.models
        skipped += records.skipped
    changed, notes = with_metric(loaded, args.metric)
    return changed, [*skipped, *notes]


class _Finder:
    """Finds the runs of a design file: relative to the file, to the working folder, or by name below ``--runs``."""

    def __init__(self, folder: Path, args: argparse.Namespace) -> None:
        self._folder, self._args = folder, args
        self._named: list[ModelRecords] | None = None

    def model(self, place: str, where: str) -> ModelRecords:
        """Return the model of a run; `where` begins a message about it.

        Raises:
            RecordError: There is none, or more than one.
        """
        for path in (self._folder / place, Path(place)):
            if path.exists():
                return self._only(place, where, _index([path], self._args))
        if self._args.runs is None:
            raise RecordError(
                f"{where}: run {place}: no such folder beside {self._args.design} or here; correct it there, or give "
                "--runs DIR to look up names."
            )
        if self._named is None:
            self._named = _index([self._args.runs], self._args)
        matches = [
            model
            for model in self._named
            if place in (model.name, model.recorded_name, *(folder.name for folder in model.folders))
        ]
        if not matches:
            known = [model.name for model in self._named]
            raise RecordError(
                f"{where}: run {place}: neither a folder nor a model below {self._args.runs}; give one of "
                f"{', '.join(known)}.{did_you_mean(place, known)}"
            )
        return self._only(place, where, matches)

    @staticmethod
    def _only(place: str, where: str, models: list[ModelRecords]) -> ModelRecords:
        if len(models) > 1:
            raise RecordError(
                f"{where}: run {place}: holds {len(models)} models ({', '.join(m.name for m in models[:4])}); name the "
                "folder of one."
            )
        return models[0]


def drawn_charts(drawings: dict[str, Drawing], captions: dict[str, str]) -> dict[str, Chart]:
    """Return drawings as charts for a paper, by name, with their captions, which begin with a question.

    Raises:
        InputError: Altair is not installed.
    """
    from harness.reports.charts.charts import Chart
    from harness.reports.charts.drawing import vega_lite
    from harness.reports.charts.paper import paper_view

    return {
        name: Chart(specification=paper_view(vega_lite(one)), caption=captions[name]) for name, one in drawings.items()
    }


def write_drawings(drawings: dict[str, Drawing], folder: Path, captions: dict[str, str]) -> None:
    """Write drawings as chart files with their captions, and log each file to standard error.

    Raises:
        InputError: The folder cannot be written, or the charts' packages are not installed.
    """
    import sys

    from harness.reports.charts import charts
    from harness.visible import say

    for path in charts.write(drawn_charts(drawings, captions), folder):
        say(f"written: {path}", file=sys.stderr)
