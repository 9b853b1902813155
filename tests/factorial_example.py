"""The worked 2 x 2 study of the public statistics folder: its arrays, and the figures that they must give."""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from tests.conftest import public_data


@dataclass(frozen=True, kw_only=True)
class ExampleTask:
    """One task: `values` has shape (2 pre-training, 2 tuning, runs, items)."""

    values: npt.NDArray[np.float64]
    clusters: npt.NDArray[np.int64]
    chance: float


def stats_folder() -> Path:
    """The folder of the worked example, beside the public data; without it the test is skipped, in CI it fails."""
    folder = public_data().parent / "stats"
    if not (folder / "factorial_example.npz").is_file():
        missing = f"no worked example: {folder} does not hold factorial_example.npz; name its data with HARNESS_DATA"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(missing)
    return folder


def example_tasks() -> dict[str, ExampleTask]:
    """The example's tasks by name."""
    with np.load(stats_folder() / "factorial_example.npz") as arrays:
        names = [key.removesuffix("_y") for key in arrays if key.endswith("_y")]
        return {
            name: ExampleTask(
                values=arrays[f"{name}_y"].astype(np.float64),
                clusters=arrays[f"{name}_cluster"],
                chance=float(arrays[f"{name}_chance"]),
            )
            for name in names
        }


def expected_figures() -> dict[tuple[str, str], dict[str, float]]:
    """The expected figures by task and contrast."""
    with (stats_folder() / "factorial_expected.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {
        (row["task"], row["contrast"]): {k: float(v) for k, v in row.items() if k not in ("task", "contrast")}
        for row in rows
    }
