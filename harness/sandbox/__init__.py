"""Run programs that nobody trusts, and say truthfully whether they pass their tests.

What it is not: see the last part.
"""

from harness.sandbox.backends import SandboxError
from harness.sandbox.pool import run_programs
from harness.sandbox.programs import Limits, Program, Verdict

__all__ = ["Limits", "Program", "SandboxError", "Verdict", "run_programs"]
