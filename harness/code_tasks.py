"""The filter that runs programs, which task YAML refers to as ``harness.code_tasks.run_tests``.

The code is in `harness.suite.code_filter`.
"""

from harness.suite.code_filter import run_tests

__all__ = ["run_tests"]
