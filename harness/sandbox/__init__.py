"""Run untrusted programs and report truthfully whether they pass their tests.

Example::

    from harness.sandbox import Program, run_programs

    (verdict,) = run_programs([Program("def double(n): return 2 * n", "assert double(2) == 4")])
    verdict.status  # "passed"

Each worker is one sandbox; each program gets two fresh processes in it::

    host, pool.py                     sandbox: bubblewrap, docker, podman or none (backends.py)
    ┌──────────────────┐             ┌───────────────────────────────────────────────────────────────┐
    │ run_programs     │   starts    │  server (inside/server.py): a warm interpreter, reads nothing │
    │   Pool           │ ──────────► │    │ forks for each program                                   │
    │     Worker       │             │    ├──► examiner (inside/examiner.py): runs the tests         │
    │     Worker       │   Program   │    │      │             ▲                                     │
    │     ...          │ ──────────────────────► │ calls       │ plain values                        │
    │                  │   Verdict   │    │      ▼             │                                     │
    │                  │ ◄────────── │    └──► solution (inside/solution.py): in its own namespaces  │
    └──────────────────┘             └───────────────────────────────────────────────────────────────┘

The examiner runs the tests (inside/test_runner.py) against stand-ins for the solution's objects (inside/remote.py).
The solution's process has the solution and nothing else: no expected value, no comparison and no verdict ever reaches
it. A call of the solution's function sends plain values one way and brings plain values back (inside/wire.py). So there
is nothing to forge: a solution may patch, exit, print or raise what it likes in its own process, and an object that is
equal to everything there is equal to nothing here.

A verdict depends on the program alone. The solution's process sees no other process of the sandbox
(inside/isolation.py), its folders are empty, and it starts only if its limits, priority, signals and so on are as they
must be (inside/clean_state.py). A sandbox in which they are not is replaced before it gets a program.

docs/sandbox.md says what the sandbox does not do.
"""

from harness.sandbox.backends import SandboxError, use_backend
from harness.sandbox.pool import run_programs
from harness.sandbox.programs import Limits, Program, Verdict

__all__ = ["Limits", "Program", "SandboxError", "Verdict", "run_programs", "use_backend"]
