"""Pushing a run to a data set of the hub through lm-eval's `EvaluationTracker`, for ``--hf_hub_log_args``."""

from __future__ import annotations

import copy
import inspect
import logging
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from harness.errors import HarnessError, InputError, did_you_mean, one_line
from harness.evaluation.run import DoneRun
from harness.records.run_folder import sanitized

PUSHES = ("push_results_to_hub", "push_samples_to_hub")
_DESCRIPTION = (
    "model_source", "system_instruction", "system_instruction_sha", "fewshot_as_multiturn", "chat_template",
    "chat_template_sha",
)  # fmt: skip


def check_hub(arguments: Mapping[str, Any]) -> None:
    """Check the arguments before any work. Raises: InputError: one is unknown, none pushes, or a token is missing."""
    from lm_eval.loggers import EvaluationTracker

    known = list(inspect.signature(EvaluationTracker).parameters)
    for name in arguments:
        if name not in known:
            raise InputError(
                f"--hf_hub_log_args {name}: no such argument; give {', '.join(known)}.{did_you_mean(name, known)}"
            )
    if not any(arguments.get(name) for name in PUSHES):
        raise InputError(
            f"--hf_hub_log_args: nothing is pushed without {PUSHES[0]}=True or {PUSHES[1]}=True; add one, or leave the "
            "flag out."
        )
    if os.environ.get("HF_HUB_OFFLINE", "0").lower() in ("1", "true", "yes", "on"):
        raise InputError("--hf_hub_log_args: HF_HUB_OFFLINE is set, so nothing can be pushed; unset it.")
    _tracker(arguments, "")


def push_run(arguments: Mapping[str, Any], done: DoneRun) -> None:
    """Push a run; lm-eval's tracker writes it into a temporary folder and uploads that.

    Raises:
        HarnessError: It was not pushed.
    """
    with _complaints() as complaints, tempfile.TemporaryDirectory() as folder:
        tracker = _tracker(arguments, folder)
        config = tracker.general_config_tracker
        vars(config).update({name: done.results.get(name) for name in _DESCRIPTION})
        config.model_name = config.model_name_sanitized = sanitized(done.record.model["name"])
        samples = {name: copy.deepcopy(list(rows)) for name, rows in done.samples.items()}  # the tracker changes them
        tracker.save_results_aggregated(results=dict(done.results), samples=samples)
        for name, rows in samples.items():
            tracker.save_results_samples(task_name=name, samples=rows)
        if not complaints and tracker.push_samples_to_hub:  # without samples lm-eval 0.4.13 cannot write the card
            tracker.recreate_metadata_card()
    if complaints:
        raise HarnessError(f"not pushed: {complaints[0]}")


def _tracker(arguments: Mapping[str, Any], folder: str) -> Any:
    from lm_eval.loggers import EvaluationTracker

    token = os.environ.get("HF_TOKEN")
    given = {**({"token": token} if token else {}), **arguments, "output_path": folder}
    try:
        return EvaluationTracker(**given)
    except (TypeError, ValueError) as error:
        reason = one_line(error, max_characters=300).replace("EvaluationTracker.__init__() ", "")
        raise InputError(f"--hf_hub_log_args: {reason}") from None


class _Collector(logging.Handler):
    """Collects the errors that lm-eval's tracker logs in place of raising them.

    It logs two messages for each::

        WARNING Could not save results aggregated
        INFO    HTTPError('401 Client Error: Unauthorized')
    """

    def __init__(self, complaints: list[str]) -> None:
        super().__init__(logging.INFO)
        self._complaints = complaints
        self._failed = False

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the message after a failure."""
        message = record.getMessage()
        if self._failed:
            self._complaints.append(message)
        self._failed = message.startswith("Could not save")


@contextmanager
def _complaints() -> Iterator[list[str]]:
    """Yield a list to which the errors of lm-eval's tracker are added within the block."""
    complaints: list[str] = []
    log, collector = logging.getLogger("lm_eval.loggers.evaluation_tracker"), _Collector(complaints)
    level, propagate = log.level, log.propagate
    log.setLevel(logging.INFO)
    log.propagate = False
    log.addHandler(collector)
    try:
        yield complaints
    finally:
        log.removeHandler(collector)
        log.setLevel(level)
        log.propagate = propagate
