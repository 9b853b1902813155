"""The filters that run programs, which task YAML refers to as ``harness.code_tasks.run_tests`` and ``run_as_written``.

The code is in `harness.suite.code_filter`.
"""

from harness.suite.code_filter import run_as_written, run_tests

__all__ = ["run_as_written", "run_tests"]
