"""Names of files and folders that trainers give checkpoints."""

from __future__ import annotations

from pathlib import Path

ADAPTER_CONFIG = "adapter_config.json"
TRAINER_STEP = "checkpoint-"  # Trainer's folders: checkpoint-30
SAVED_STATES = "training"  # in a stage's folder, beside its manifest: the folder of checkpoint-N


def step_number(folder: Path, prefix: str) -> int | None:
    """Return N of a folder named ``<prefix>N``; None for another name."""
    number = folder.absolute().name.removeprefix(prefix)
    return int(number) if folder.absolute().name.startswith(prefix) and number.isdecimal() else None
