"""``harness eval``: an evaluation, and its tables on the terminal.

`eval_flags` and `lm_eval_flags` declare the flags, `lm_eval_model` translates lm-eval's way to name a model, and
`eval_spec` turns the flags into options.
"""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

from harness.cli import eval_flags, lm_eval_flags
from harness.cli.eval_spec import evaluation_spec, spec_of_own_words
from harness.cli.lm_eval_model import in_own_words
from harness.cli.tracker_flags import add_tracker_flags, tracker_options
from harness.errors import InputError
from harness.evaluation.garbage import rare_collections
from harness.flags import add_wide
from harness.visible import say

if TYPE_CHECKING:
    from harness.engines.replicated.ranks import Rank
    from harness.evaluation.evaluation import Evaluation
    from harness.evaluation.progress_file import ProgressFile
    from harness.evaluation.spec import EvaluationSpec

__all__ = ["PURPOSE", "add_arguments", "evaluation_spec", "run"]

PURPOSE = "Score checkpoints on tasks and write a record; a killed run resumes."
EXAMPLES = """examples:
  harness eval --model runs/sft --tasks reasoning_mini --output_path runs/eval
  harness eval --model org/name --tasks arc_easy,hellaswag --num_fewshot 5
  harness eval --model runs/pretrain --tasks reasoning   (every checkpoint-*)
  harness run --model hf --model_args pretrained=org/name --tasks hellaswag
                                                         (as in lm-eval)
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags, with lm-eval's names where lm-eval has one."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EXAMPLES
    eval_flags.add_task_flags(parser.add_argument_group("what to evaluate"))
    eval_flags.add_prompt_flags(parser.add_argument_group("prompts"))
    eval_flags.add_engine_flags(parser.add_argument_group("engine"))
    record = parser.add_argument_group("record")
    eval_flags.add_record_flags(record)
    add_wide(record)
    add_tracker_flags(parser.add_argument_group("trackers"))
    lm_eval_flags.add_arguments(
        parser.add_argument_group(
            "lm-eval's flags that have no effect here", "Each prints a note that says what takes its place."
        )
    )


@rare_collections()  # imports, too, create many objects that stay
def run(args: argparse.Namespace) -> int:
    """Evaluate every model; returns 0, or 1 when more requests failed than --allow_failures allows."""
    from harness.console import quiet_libraries, show_messages

    quiet_libraries()
    if args.verbosity is not None:
        show_messages(args.verbosity)
    words = in_own_words(args)
    spec, rank = spec_of_own_words(words.args), _rank(words.args)
    if rank is not None and rank.number > 0:
        from harness.engines.replicated.ranks import follow

        return 0 if spec.dry_run else follow(rank, sys.argv[1:])
    for note in words.notes:
        say(note, file=sys.stderr)
    return _evaluate(spec, rank, words.args)


def _rank(args: argparse.Namespace) -> Rank | None:
    """Return the rank of this process and restrict it to its own GPU; None if it is the only process.

    Raises:
        InputError: the rank variables are wrong, or the command also asks for replicas.
    """
    from harness.engines.replicated.ranks import this_rank

    rank = this_rank(os.environ)
    if rank is None:
        return None
    for flag, value in (("--replicas", args.replicas), ("--on", args.on)):
        if value is not None:
            raise InputError(
                f"{flag} {value}: the {rank.size} ranks are the replicas already; remove {flag}, or start the command "
                "without torchrun."
            )
    from harness.engines.replicated.devices import own_gpu

    os.environ.update(own_gpu(rank.local))
    return rank


def _evaluate(spec: EvaluationSpec, rank: Rank | None, args: argparse.Namespace) -> int:
    from harness.cli.console import EvalProgress, print_config, print_failures, print_prompts, print_run
    from harness.evaluation.run import evaluate_all
    from harness.evaluation.teams import open_team
    from harness.evaluation.trackers import open_trackers, sources_of

    def begun(evaluation: Evaluation) -> None:
        if args.write_out:
            print_prompts(evaluation)

    options, file, complete = tracker_options(args), progress_file(args), True
    spec = replace(spec, keep_samples=options.keep_samples)
    with (
        open_trackers(options, sources_of(spec, options)) as trackers,
        open_team(spec, rank, sys.argv[1:]) as team,
        EvalProgress(file) as progress,
        closing(evaluate_all(spec, progress, team, begun)) as runs,
    ):
        for done in runs:
            progress.pause()
            print_run(done, dry_run=spec.dry_run, wide=args.wide)
            print_failures(done.record)
            if args.show_config:
                print_config(done)
            trackers.log(done)
            complete = complete and done.record.complete
    return 0 if complete else 1


def progress_file(args: argparse.Namespace) -> ProgressFile | None:
    """Return what writes --progress_path; None without the flag. Raises: InputError: its folder does not exist."""
    from harness.checkpoints.resolver import expand
    from harness.evaluation.progress_file import ProgressFile

    if args.progress_path is None:
        return None
    if not args.progress_path.parent.is_dir():
        raise InputError(f"--progress_path {args.progress_path}: its folder does not exist; make it, or give another.")
    return ProgressFile(args.progress_path, models=sum(len(expand(name)) for name in args.model))
