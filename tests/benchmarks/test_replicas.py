"""The pieces of the benchmark run at tiny size."""

from __future__ import annotations

from benchmarks.replicas import linear


def test_scripted_replicas_are_measured() -> None:
    row = linear(2, 320, 1)
    assert row["requests"] == 320
    assert row["one_process_requests_per_second"] < 1000
    assert 0.2 < row["share_of_linear"] < 2
