"""``harness tasks list|show|fetch|validate``: the tasks, their data, and checks of their definitions."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.cli.flag_values import names
from harness.cli.task_tables import FORMATS, print_tasks
from harness.errors import InputError, did_you_mean
from harness.flags import add_wide
from harness.paths import check_data_dir, split_folders, use_data_dir
from harness.visible import say

if TYPE_CHECKING:
    from harness.suite.catalogue import Catalogue
    from harness.suite.definitions import Entry


PURPOSE = "List, show, validate and fetch tasks."
KINDS = ("task", "group", "tag")
STATUSES = ("ok", "known", "no data", "not run", "wrong")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the sub-commands."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="list the project's tasks and groups, and those in --include_path")
    listing.add_argument("--domain", metavar="NAME", help="list only this domain")
    listing.add_argument("--kind", choices=KINDS, help="list only tasks, groups or tags")
    listing.add_argument("--lm_eval", action="store_true", help="also list lm-eval's own (takes seconds)")
    show = actions.add_parser("show", help="show a task: its file, fields and first prompt")
    show.add_argument("name", metavar="NAME", help="a task, a group, a pattern or a YAML file")
    fetch = actions.add_parser("fetch", help="fetch the data of tasks or groups into the cache, and check it")
    fetch.add_argument("names", nargs="+", metavar="NAME", help="tasks, groups or data files")
    validate = actions.add_parser(
        "validate",
        help="check definitions, data, answer keys and tests, offline",
        epilog="Exit code 2 if a definition is wrong, 1 if a task that you name could not be checked, otherwise 0.",
    )
    validate.add_argument("names", nargs="*", metavar="NAME", help="tasks or groups (default: all)")
    validate.add_argument(
        "--tasks",
        "-t",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAMES",
        help="names of tasks or groups, separated by commas",
    )
    for action in (show, fetch, validate):
        action.add_argument("--data_dir", type=Path, metavar="DIR", help="benchmark data (HARNESS_DATA)")
    for action in (listing, show, fetch, validate):
        action.add_argument(
            "--include_path",
            type=split_folders,
            action="extend",
            default=[],
            metavar="DIR",
            help="folder of task YAML files, or several as a:b; repeatable",
        )
    for action in (show, validate):
        action.add_argument("--run_code", action="store_true", help="run the Python of --include_path, as `eval` does")
    add_wide(listing)
    listing.add_argument("--format", choices=FORMATS, default="table", help="table (default), md or json")
    show.add_argument("--format", choices=("table", "json"), default="table", help="table (default) or json")


def run(args: argparse.Namespace) -> int:
    """Run one action."""
    folder: Path | None = getattr(args, "data_dir", None)
    check_data_dir(folder)
    with use_data_dir(folder):
        return {"list": _list, "show": _show, "fetch": _fetch, "validate": _validate}[args.action](args)


def _list(args: argparse.Namespace) -> int:
    from harness.suite.catalogue import Catalogue

    catalogue = Catalogue(args.include_path)
    entries = [entry for entry in catalogue.entries.values() if args.domain in (None, entry.domain)]
    if args.domain is not None and not entries:
        domains = sorted({e.domain for e in catalogue.entries.values() if e.domain})
        hint = did_you_mean(args.domain, domains)
        raise InputError(f"--domain {args.domain}: no task of this domain; give one of {', '.join(domains)}.{hint}")
    rows = [_summary(e) for e in sorted(entries, key=lambda e: (e.kind != "group", e.domain, e.name))]
    rows += [_plain(name, "tag", "this project's or yours") for name in _tags(entries)]
    if args.lm_eval:
        rows += [_plain(name, kind, "lm-eval's") for name, kind in catalogue.lm_eval_kinds().items()]
    print_tasks([row for row in rows if args.kind in (None, row["kind"])], args.format, wide=args.wide)
    if catalogue.skipped_files():
        say(catalogue.skipped_files().strip(), file=sys.stderr)
    return 0


def _tags(entries: Sequence[Entry]) -> list[str]:
    """Return the tags of tasks, with which they can be named together."""
    found = [entry.config.get("tag") or [] for entry in entries]
    return sorted({str(tag) for tags in found for tag in ([tags] if isinstance(tags, str) else tags)})


def _plain(name: str, kind: str, about: str) -> dict[str, str]:
    return {"name": name, "kind": kind, "domain": "", "output_type": "", "about": about, "path": ""}


def _summary(entry: Entry) -> dict[str, str]:
    about = ", ".join(entry.members) if entry.kind == "group" else str(entry.metadata.get("description", ""))
    return {
        "name": entry.name,
        "kind": entry.kind,
        "domain": entry.domain,
        "output_type": str(entry.config.get("output_type", "")),
        "about": about,
        "path": str(entry.path),
    }


def _show(args: argparse.Namespace) -> int:
    from harness.console import quiet_libraries
    from harness.suite.catalogue import Catalogue

    quiet_libraries()
    from harness.suite.consent import CodeNotRunError, no_code_of_others

    catalogue = Catalogue(args.include_path)
    try:
        with no_code_of_others(not args.run_code):
            shown = _built(args.name, catalogue)
    except CodeNotRunError as refused:
        shown = _not_built(args.name, catalogue, refused.code)
    _print_tasks(shown, args.format)
    return 0


def _built(name: str, catalogue: Catalogue) -> list[dict[str, Any]]:
    """Build a task, or the tasks of a group or pattern, and return what there is to show of each."""
    from harness.evaluation.requests import PromptSpec, build, configure

    loaded = catalogue.load([name])
    spec = PromptSpec(limit=1)
    configure(loaded.tasks, spec)
    requests = build(loaded.tasks, spec, None)
    return [
        {
            "name": name,
            "path": str(catalogue.entries[name].path) if name in catalogue.entries else "lm-eval",
            "items": len(task.eval_docs),
            "output_type": task.OUTPUT_TYPE,
            "metadata": task.get_config("metadata"),
            "prompt": requests[name].requests[0].context,
            "continuations": [r.continuation for r in requests[name].requests if r.kind == "loglikelihood"],
        }
        for name, task in loaded.tasks.items()
    ]


def _not_built(name: str, catalogue: Catalogue, code: str) -> list[dict[str, Any]]:
    """Return what the files say about a task, or about all tasks of a group or pattern, one of which needs `code`."""
    return [
        {
            "name": entry.name,
            "path": str(entry.path),
            "output_type": entry.config.get("output_type", ""),
            "metadata": entry.metadata,
            "not run": f"{', '.join(entry.code) or code}; add --run_code if you trust it",
        }
        for entry in catalogue.described(name)
    ]


def _print_tasks(tasks: list[dict[str, Any]], format_name: str) -> None:
    if format_name == "json":
        print(json.dumps(tasks, indent=2, ensure_ascii=False, default=str))
        return
    for task in tasks:
        for key in ("name", "path", "items", "output_type", "metadata", "not run"):
            if key in task:
                say(f"{key}: {task[key]}")
        if "prompt" in task:
            say(f"prompt:\n{task['prompt']}")
        for continuation in task.get("continuations", []):
            say(f"continuation: {continuation!r}")
        say()


def _fetch(args: argparse.Namespace) -> int:
    from harness.cli.console import FetchProgress
    from harness.data.fetching import fetch
    from harness.paths import tasks_dir
    from harness.suite.catalogue import Catalogue
    from harness.suite.selection import data_files_of

    files = data_files_of(args.names, Catalogue(args.include_path))
    with FetchProgress() as progress:
        paths = fetch(files, progress.advance, folders=[tasks_dir(), *args.include_path])
    for name, path in paths.items():
        say(f"{name}: {path}")
    if not files:
        say("nothing to fetch: these tasks need no data files")
    return 0


def _validate(args: argparse.Namespace) -> int:
    from harness.console import quiet_libraries

    quiet_libraries()
    from harness.suite.validation import validate

    wanted = [*args.names, *(names("--tasks", args.tasks) if args.tasks else [])]
    findings = validate(wanted or None, include_paths=args.include_path, run_code=args.run_code)
    for finding in findings:
        say(f"{finding.status:8} {finding.name}: {finding.message}")
        for fault in finding.more:
            say(f"{'':8} {fault}")
    counts = {status: sum(finding.status == status for finding in findings) for status in STATUSES}
    say(", ".join(f"{count} {status}" for status, count in counts.items() if count or status != "known"))
    if any(f.status == "wrong" for f in findings):
        return 2
    return 1 if wanted and any(finding.status not in ("ok", "known") for finding in findings) else 0
