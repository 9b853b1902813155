"""Experiment trackers of `harness eval`, through lm-eval's own loggers: Weights & Biases, Trackio and the hub.

A checkpoint's step is the number of tokens that it was trained on, from its lineage; without a lineage it is the N of
``checkpoint-N``. The checkpoints of one ``--model`` folder share a run of the tracker and so make a curve::

    with open_trackers(options, sources) as trackers:    # one run per source
        for done in evaluate_all(spec):
            trackers.log(done)

Packages and the names of arguments are checked before any work. A tracker that fails later, such as for want of a
login, does not end the evaluation: the record is written first, and the errors are raised at the end. The same command
then logs again without asking the model.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from unittest import mock

from harness.checkpoints.folders import TRAINER_STEP, step_number
from harness.checkpoints.lineage import training_tokens
from harness.checkpoints.resolver import expand
from harness.errors import HarnessError, InputError, did_you_mean, one_line
from harness.evaluation.hub_tracker import check_hub, push_run
from harness.evaluation.run import DoneRun
from harness.evaluation.spec import EvaluationSpec
from harness.redaction import without_secrets


@dataclass(frozen=True, kw_only=True)
class TrackerOptions:
    """The flags of the trackers; None for a tracker that was not asked for.

    Attributes:
        wandb: Arguments of `wandb.init`, and `step`.
        wandb_config: Added to the run's configuration.
        trackio: Arguments of `trackio.init`, and `step`.
        hub: Arguments of lm-eval's `EvaluationTracker`.
        samples: Whether to log every sample, not only the results.
    """

    wandb: Mapping[str, Any] | None = None
    wandb_config: Mapping[str, Any] = field(default_factory=dict)
    trackio: Mapping[str, Any] | None = None
    hub: Mapping[str, Any] | None = None
    samples: bool = False

    @property
    def wanted(self) -> bool:
        """Whether there is a tracker at all."""
        return any(one is not None for one in (self.wandb, self.trackio, self.hub))

    @property
    def keep_samples(self) -> bool:
        """Whether a tracker needs the samples."""
        return self.wanted and (self.samples or self.hub is not None)


class _Logger(Protocol):
    """What lm-eval's loggers have in common."""

    step: int | None

    def post_init(self, results: dict[str, Any]) -> None: ...
    def log_eval_result(self) -> None: ...
    def log_eval_samples(self, samples: dict[str, Any]) -> None: ...


class Trackers:
    """The open trackers of one command. `open_trackers` makes and closes it.

    Args:
        options: The flags.
        sources: The source of each model to come, in order; models of one source share a run.
    """

    def __init__(self, options: TrackerOptions, sources: Sequence[str]) -> None:
        self._options = options
        self._waiting = list(sources)
        self._open: dict[str, tuple[_Logger, Callable[[], None]]] = {}
        self.errors: list[str] = []

    def log(self, done: DoneRun) -> None:
        """Log a finished evaluation, and finish the run after the last model of its source."""
        if not self._options.wanted:
            return
        source = self._waiting.pop(0)
        if not self._open:
            self._open_runs(source)
        for flag, (logger, _) in self._open.items():
            with self._recording_errors(flag), contextlib.redirect_stdout(sys.stderr):
                step = self._given_step(flag)
                _log(logger, done, _step(done) if step is None else step, samples=self._options.samples)
        if self._options.hub is not None:
            with self._recording_errors("--hf_hub_log_args"):
                push_run(self._options.hub, done)
        if self._waiting[:1] != [source]:
            self.close()

    def _open_runs(self, source: str) -> None:
        makers = {
            "--wandb_args": (self._options.wandb, self._wandb),
            "--trackio_args": (self._options.trackio, _trackio),
        }
        for flag, (arguments, make) in makers.items():
            if arguments is None:
                continue
            named = {} if {"name", "id"} & arguments.keys() else {"name": Path(source).name}
            # Standard output is for results; trackers print to it.
            with self._recording_errors(flag), contextlib.redirect_stdout(sys.stderr):
                self._open[flag] = make({**named, **arguments})

    def _given_step(self, flag: str) -> int | None:
        arguments = self._options.wandb if flag == "--wandb_args" else self._options.trackio
        return (arguments or {}).get("step")

    def close(self) -> None:
        """Finish the open runs."""
        while self._open:
            flag, (_, finish) = self._open.popitem()
            with self._recording_errors(flag), contextlib.redirect_stdout(sys.stderr):
                finish()

    @contextlib.contextmanager
    def _recording_errors(self, flag: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # of the tracker's library; the record is written already
            self.errors.append(f"{flag}: {one_line(error, max_characters=300)}")

    def _wandb(self, arguments: dict[str, Any]) -> tuple[_Logger, Callable[[], None]]:
        from lm_eval.loggers import WandbLogger

        with mock.patch.object(sys, "argv", [sys.argv[0], *map(without_secrets, sys.argv[1:])]):  # W&B uploads it
            logger = WandbLogger(arguments, dict(self._options.wandb_config))
        return logger, logger.run.finish


def _trackio(arguments: dict[str, Any]) -> tuple[_Logger, Callable[[], None]]:
    from lm_eval.loggers import TrackioLogger

    logger = TrackioLogger(arguments)
    return logger, logger.finish


def sources_of(spec: EvaluationSpec, options: TrackerOptions) -> list[str]:
    """Return for each model of an evaluation what the user named; nothing if no tracker is wanted."""
    return [source for source in spec.models for _ in expand(source)] if options.wanted else []


@contextlib.contextmanager
def open_trackers(options: TrackerOptions, sources: Sequence[str]) -> Iterator[Trackers]:
    """Open the trackers for the models to come, and close them at the end.

    Args:
        options: The flags.
        sources: The source of each model, in the order in which they are evaluated.

    Raises:
        InputError: A package is missing, or an argument is unknown.
        HarnessError: At the end, if something could not be logged; all records are written by then.
    """
    check_trackers(options)
    trackers = Trackers(options, sources)
    try:
        yield trackers
    finally:
        trackers.close()
    if trackers.errors:
        raise HarnessError(
            f"{'; '.join(dict.fromkeys(trackers.errors))}. The records are complete; mend "
            "that, and run the same command again to log them."
        )


def check_trackers(options: TrackerOptions) -> None:
    """Check what can be known before any work. Raises: InputError."""
    trackers = (("--wandb_args", "wandb", options.wandb), ("--trackio_args", "trackio", options.trackio))
    for flag, package, arguments in trackers:
        if arguments is None:
            continue
        spec = importlib.util.find_spec(package)
        if spec is None or spec.origin is None:  # without an origin it is a folder of that name, not the package
            raise InputError(f"{flag}: the package {package} is missing; run `pip install {package}`.")
        known = [*inspect.signature(importlib.import_module(package).init).parameters, "step"]
        for name in arguments:
            if name not in known:
                raise InputError(f"{flag} {name}: no argument of {package}.init.{did_you_mean(name, known)}")
    if options.hub is not None:
        check_hub(options.hub)


def _step(done: DoneRun) -> int | None:
    """The training tokens, else the trainer's step in the name; None if neither is known."""
    model = done.record.model
    tokens = training_tokens(model.get("lineage") or ())
    return step_number(Path(model["name"]), TRAINER_STEP) if tokens is None else tokens


def _log(logger: _Logger, done: DoneRun, step: int | None, *, samples: bool) -> None:
    logger.step = step
    results = dict(done.results)
    # lm-eval's loggers look for the samples of everything that is not listed as a group.
    results["groups"] = {name: row for name, row in results["results"].items() if name not in results["configs"]}
    logger.post_init(results)
    logger.log_eval_result()
    if samples:
        logger.log_eval_samples({name: list(rows) for name, rows in done.samples.items()})
