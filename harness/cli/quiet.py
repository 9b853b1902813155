"""Silence the libraries' progress bars and chatter, before they are imported; ours says what matters."""

from __future__ import annotations

import logging
import os
import sys

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
