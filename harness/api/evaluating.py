"""`harness.evaluate`: the command `harness eval` as a function."""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import replace
from typing import Unpack

from harness.api.arguments import call
from harness.api.evaluation_results import EvaluationResults, IncompleteEvaluation
from harness.api.flags import EvaluateFlags, Names, Place, Places, mirrors
from harness.errors import InputError


@mirrors("eval", EvaluateFlags)
def evaluate(
    *, model: Places, tasks: Names, output_path: Place | None = None, **flags: Unpack[EvaluateFlags]
) -> EvaluationResults:
    """Evaluate checkpoints on tasks and write a record of each; answers that the journal knows are reused.

    >>> import harness
    >>> results = harness.evaluate(
    ...     model="oracle", backend="scripted", tasks=["mini_logic", "mini_legal"], limit=20, output_path="runs/oracle"
    ... )
    >>> results.frame()[["task", "metric", "items", "value"]]
             task metric  items  value
    0  mini_logic    acc     20    1.0
    1  mini_legal    acc     20    1.0

    Args:
        model: One or more checkpoints: folders, .gguf files, hub ids, or what `harness.train` returns.
        tasks: Names of tasks, groups or globs.
        output_path: Folder for the records; without it none is written.
        **flags: The flags of ``harness eval``, listed below.

    Raises:
        InputError: a model, a task or a flag is wrong; the message is the command's.
        IncompleteEvaluation: more requests failed than `allow_failures`; it carries the results.
        EngineError: an engine cannot be opened, or died twice.
    """
    from harness.cli.console import EvalProgress
    from harness.cli.eval_command import evaluation_spec, progress_file
    from harness.cli.tracker_flags import tracker_options
    from harness.console import quietly
    from harness.engines.replicated.ranks import this_rank

    if this_rank(os.environ) is not None:
        raise InputError(
            "harness.evaluate: does not run under torchrun; run `torchrun -m harness eval`, or give replicas=N."
        )
    parsed = call("eval", {"model": model, "tasks": tasks, "output_path": output_path, **flags})
    with quietly():
        from harness.evaluation.run import evaluate_all
        from harness.evaluation.teams import open_team
        from harness.evaluation.trackers import open_trackers, sources_of

        options = tracker_options(parsed.args)
        spec = replace(evaluation_spec(parsed.args), command=parsed.command_line, keep_samples=options.keep_samples)
        done = []
        with (
            open_trackers(options, sources_of(spec, options)) as trackers,
            open_team(spec, None, ()) as team,
            EvalProgress(progress_file(parsed.args)) as progress,
            closing(evaluate_all(spec, progress, team)) as runs,
        ):
            for one in runs:
                trackers.log(one)
                done.append(replace(one, samples={}))
    results = EvaluationResults(
        records=tuple(one.record for one in done), files=tuple(one.path for one in done if one.path is not None)
    )
    if not results.complete:
        raise IncompleteEvaluation(results)
    return results
