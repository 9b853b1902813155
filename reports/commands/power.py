"""``harness power DESIGN``: what a factorial study can find, before anything is trained."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import InputError
from harness.flags import add_wide
from harness.reports.commands.output import (
    FORMATS,
    PAGES,
    add_columns_argument,
    command_line,
    output_format,
    write_document,
    write_page,
)

if TYPE_CHECKING:
    from harness.reports.analysis.plan import Measured
    from harness.reports.analysis.study import Study

PURPOSE = "Show which effects a factorial study can find with its seeds and items, before it is trained."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument("design", type=Path, metavar="DESIGN", help="a YAML file with factors, seeds and tasks")
    parser.add_argument("--items", type=int, metavar="N", help="items of each task, in place of the file's")
    parser.add_argument(
        "--clusters", type=int, metavar="N", help="independent clusters of items, in place of the file's"
    )
    parser.add_argument("--seeds", type=int, metavar="N", help="pre-training runs per level, in place of the file's")
    parser.add_argument(
        "--effect",
        type=float,
        metavar="POINTS",
        help="a true effect, to show its power and the seeds and items it needs; in points: 3 is 0.03 of accuracy",
    )
    parser.add_argument(
        "--from",
        dest="earlier",
        type=Path,
        metavar="RUNS",
        help="measure variance components in an earlier study: its design file, or its run folders with their lineage",
    )
    parser.add_argument("--force", action="store_true", help="with --from: use runs even if their prompts differ")
    parser.add_argument("--format", choices=FORMATS, help="default: the ending of --output_path, otherwise a table")
    parser.add_argument("--output_path", type=Path, metavar="FILE", help="file to write instead of standard output")
    add_columns_argument(parser)
    parser.add_argument("--charts", type=Path, metavar="DIR", help="folder in which to write the chart too")
    add_wide(parser)


def run(args: argparse.Namespace) -> int:
    """Print or write the power of the plan."""
    kind = output_format(args)
    if args.effect is not None and not 0.0 < args.effect <= 100.0:
        raise InputError(
            f"--effect {args.effect:g}: give points above 0 and at most 100, such as 3, which is 0.03 of accuracy."
        )

    from harness.reports.analysis.plan import PlanFlags, read_plan
    from harness.reports.charts.power_curve import draw_power_curve
    from harness.reports.commands.design import write_drawings
    from harness.reports.documents.power import mde_curve, power_document

    notes: list[str] = []
    measured = _measured(args, notes) if args.earlier is not None else None
    flags = PlanFlags(items=args.items, clusters=args.clusters, seeds=args.seeds, effect=args.effect)
    plan = read_plan(args.design, flags, measured)
    document = power_document(plan, command_line(), notes)
    if args.charts:
        caption = (
            "What can be found with how many seeds? Smallest true effect, overall, that a test finds with 80% power "
            "before correction, in points."
        )
        write_drawings({"power": draw_power_curve(mde_curve(plan))}, args.charts, {"power": caption})
    if kind in PAGES:
        from harness.reports.page.document import Figure, render_document

        figure = Figure(
            title="What can be found with how many seeds?",
            hint="Smallest true effect, overall, that a test finds with 80% power, in points.",
            drawing=draw_power_curve(mde_curve(plan)),
        )
        write_page(render_document(document, [figure]), kind, args.output_path)
        return 0
    write_document(document, args)
    return 0


def _measured(args: argparse.Namespace, notes: list[str]) -> Measured:
    from harness.reports.analysis.measured_components import measured_tasks

    study, skipped = _earlier_study(args)
    notes += skipped
    return measured_tasks(study, notes, force=args.force)


def _earlier_study(args: argparse.Namespace) -> tuple[Study, list[str]]:
    """Return the study of a design file, or of the lineage of run folders."""
    from harness.reports.commands.design import AUTO, load_study

    if not args.earlier.exists():
        raise InputError(f"--from {args.earlier}: does not exist; give a design file or a folder of runs.")
    design = AUTO if args.earlier.is_dir() else str(args.earlier)
    models = [str(args.earlier)] if args.earlier.is_dir() else []
    fields = {"design": design, "models": models, "runs": None, "tasks": "", "all": False, "skip_broken": False}
    return load_study(argparse.Namespace(**fields, metric=None))
