"""The consoles for results (standard output) and notes (standard error), and settings that keep libraries quiet."""

from __future__ import annotations

import logging
import os
import sys

from rich.console import Console

WIDTH_WHEN_PIPED = 120


def stdout(*, markup: bool = False) -> Console:
    """Return the console for results. In a pipe it is 120 columns wide, so that tables are not cut off.

    Without `markup`, brackets in names are printed as they are.
    """
    width = None if sys.stdout.isatty() else WIDTH_WHEN_PIPED
    return Console(file=sys.stdout, width=width, highlight=False, markup=markup)


def stderr() -> Console:
    """Return the console for progress and notes."""
    return Console(file=sys.stderr, highlight=False, markup=False, soft_wrap=True)


# Must be set before the libraries are imported. They turn off the libraries' progress bars and messages.
SETTINGS = {
    "TQDM_DISABLE": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "TOKENIZERS_PARALLELISM": "true",
    "VLLM_LOGGING_LEVEL": "ERROR",
    # lm-eval would bootstrap in worker processes; starting them takes longer than the 1,000 resamples used here.
    "LMEVAL_DISABLE_MULTIPROC": "1",
}


def quiet_libraries() -> None:
    """Turn off libraries' progress bars and messages, except where the user has set the variable."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s", stream=sys.stderr)
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
