"""The two consoles, for results and for notes, and what keeps the libraries quiet on them."""

from __future__ import annotations

import logging
import os
import sys

from rich.console import Console

WIDTH_WHEN_PIPED = 120


def stdout(*, markup: bool = False) -> Console:
    """Return the console for results: full width when piped, so that no figure is cut.

    Without `markup`, a name with brackets is printed as it is.
    """
    width = None if sys.stdout.isatty() else WIDTH_WHEN_PIPED
    return Console(file=sys.stdout, width=width, highlight=False, markup=markup)


def stderr() -> Console:
    """Return the console for progress and notes."""
    return Console(file=sys.stderr, highlight=False, markup=False, soft_wrap=True)


# Set before the libraries are imported: their progress bars and chatter are silenced; ours says what matters.
SETTINGS = {
    "TQDM_DISABLE": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "TOKENIZERS_PARALLELISM": "true",
    "VLLM_LOGGING_LEVEL": "ERROR",
    # lm-eval bootstraps in worker processes, which costs more than the thousand resamples taken here.
    "LMEVAL_DISABLE_MULTIPROC": "1",
}


def quiet_libraries() -> None:
    """Set what the user has not set."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s", stream=sys.stderr)
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
