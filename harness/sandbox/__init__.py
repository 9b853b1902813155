"""Run programs that nobody trusts, and say truthfully whether they pass their tests.

How it works. Each worker is one sandbox with two processes of its own: the *examiner*, its first, which holds the
tests, and the *keeper*, a warm interpreter that forks one process a program for the solution. The solution's process
has the solution and nothing else: no expected value, no comparison and no verdict ever reaches it. The examiner runs
the tests; a call of the solution's function sends plain values one way and brings plain values back. So there is
nothing to forge: a solution may patch, exit, print or raise whatever it likes in its own process, and an object that is
equal to everything arrives as something that is equal to nothing. After each program the keeper kills all that is
left; a worker that was harmed is thrown away.

What it is not:

- No defence against bugs of the kernel, which sandbox and host share, nor against side channels such as timing.
- No judge of weak tests. ``assert f(x) != y``, ``assert f(x)`` or a test that swallows every exception can be met
  without solving the task. Two objects of the solution's own class are compared by its own ``__eq__``. A helper that
  the tests take from the solution's text (or from `Program.setup`) is under the solution's control.
- No full Python between tests and solution: the tests can call the solution's objects and use their methods and items,
  but not operators on them, and cannot hand over functions or objects of their own. The tests' ``assert`` statements
  are what counts: unittest and pytest classes are not collected.
- No packages: the standard library only.
- No sandbox at all with the backend ``unsafe``, and no bound on all processes' memory together where no control group
  can be made: each process is then bound for itself.
"""

from harness.sandbox.backends import SandboxError, use_backend
from harness.sandbox.pool import run_programs
from harness.sandbox.programs import Limits, Program, Verdict

__all__ = ["Limits", "Program", "SandboxError", "Verdict", "run_programs", "use_backend"]
