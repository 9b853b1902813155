"""The filter that runs programs, as task YAML names it; see `harness.suite.code_filter`."""

from harness.suite.code_filter import run_tests

__all__ = ["run_tests"]
