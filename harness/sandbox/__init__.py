"""Run untrusted programs and report truthfully whether they pass their tests.

Example::

    from harness.sandbox import Program, run_programs

    (verdict,) = run_programs([Program("def double(n): return 2 * n", "assert double(2) == 4")])
    verdict.status  # "passed"

Each worker is one sandbox with three kinds of processes in it::

    host, pool.py                     sandbox: bubblewrap, docker, podman or none (backends.py)
    ┌──────────────────┐             ┌───────────────────────────────────────────────────────────┐
    │ run_programs     │   starts    │  examiner (inside/server.py): process 1, holds the tests  │
    │   Pool           │ ──────────► │    │                        ▲                             │
    │     Worker       │   Program   │    │ forks once, then       │ requests: call, getattr     │
    │     Worker       │ ──────────► │    ▼ asks for processes     │ replies: plain values       │
    │     ...          │ ◄────────── │  zygote (inside/zygote.py)  │                             │
    │                  │   Verdict   │    │                        │                             │
    └──────────────────┘             │    ▼ forks for each program ▼                             │
                                     │  solution process (inside/solution.py)                    │
                                     └───────────────────────────────────────────────────────────┘

The examiner runs the tests (inside/test_runner.py) against stand-ins for the solution's objects (inside/remote.py).
The solution's process has the solution and nothing else: no expected value, no comparison and no verdict ever reaches
it. A call of the solution's function sends plain values one way and brings plain values back (inside/wire.py). So there
is nothing to forge: a solution may patch, exit, print or raise what it likes in its own process, and an object that is
equal to everything there is equal to nothing here. After each program the zygote kills all its processes. A sandbox
that is not clean afterwards is replaced.

What it does not do:

- It does not protect from bugs of the kernel, which sandbox and host share, nor from side channels such as timing.
- It does not make weak tests strong. ``assert f(x) != y``, ``assert f(x)`` or a test that swallows every exception can
  pass without a solution. Two objects of the solution's own class are compared by its own ``__eq__``. A helper that the
  tests take from the solution's text (or from `Program.setup`) is under the solution's control.
- It does not give the tests all of Python. They can call the solution's objects and use their methods and items, but
  not operators on them, and cannot pass functions or objects of their own. Only ``assert`` statements count: unittest
  and pytest classes are not collected.
- It provides no packages, only the standard library.
- With the backend ``unsafe`` there is no sandbox. Where no control group can be made, memory is limited per process
  instead of for all processes together.
"""

from harness.sandbox.backends import SandboxError, use_backend
from harness.sandbox.pool import run_programs
from harness.sandbox.programs import Limits, Program, Verdict

__all__ = ["Limits", "Program", "SandboxError", "Verdict", "run_programs", "use_backend"]
