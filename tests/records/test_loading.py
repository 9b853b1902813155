"""Runs are read anew each time, even if a folder was written again in between."""

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


def test_a_folder_written_again_with_other_clusters_has_the_new_ones(tmp_path: Path) -> None:
    """The digests of the documents are the same, and labels are kept by digest while one `read` goes on."""
    values = np.tile([0.0, 1.0], 4)
    for clusters in ("aabbccdd", "wwwwxyyz"):
        write_study_run(tmp_path, "model", {"first": RunTask(values=values, clusters=list(clusters))})
        assert clusters_in(tmp_path) == list(clusters)
        assert clusters_in(tmp_path) == list(clusters)
