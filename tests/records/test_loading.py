"""Runs are read again each time, even if their folder was rewritten."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from harness.records import index, read
from tests.reports.study_records import RunTask, write_study_run


def clusters_in(folder: Path) -> list[str]:
    (model,) = read(index([folder])).models
    labels = model.tasks["first"].items.cluster
    assert labels is not None
    return [str(label) for label in labels]


def test_a_rewritten_folder_has_its_new_clusters(tmp_path: Path) -> None:
    """The documents have the same digests, and labels are cached by digest during one `read`."""
    values = np.tile([0.0, 1.0], 4)
    for clusters in ("aabbccdd", "wwwwxyyz"):
        write_study_run(tmp_path, "model", {"first": RunTask(values=values, clusters=list(clusters))})
        assert clusters_in(tmp_path) == list(clusters)
        assert clusters_in(tmp_path) == list(clusters)
