"""Right programs pass, wrong ones fail, and the verdict's detail says why."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from harness.sandbox import Limits, Program, SandboxError, Verdict, run_programs
from tests.sandbox.corpus import RIGHT, WRONG, Case

# Wall time enough for two seconds of CPU time on a busy machine.
LIMITS = Limits(cpu_seconds=2, wall_seconds=60, memory_mb=256)

pytestmark = pytest.mark.usefixtures("bubblewrap")


def run(solution: str, tests: str, setup: str = "", limits: Limits = LIMITS) -> Verdict:
    return run_programs([Program(solution, tests, setup)], limits=limits, workers=1, backend="bubblewrap")[0]


@pytest.mark.parametrize("case", RIGHT, ids=lambda case: case.name)
def test_right_program_passes(case: Case) -> None:
    verdict = run(case.solution, case.tests, limits=replace(LIMITS, memory_mb=1024))
    assert (verdict.status, verdict.detail) == ("passed", "")
    assert verdict.cpu_seconds > 0
    assert verdict.wall_seconds > 0


@pytest.mark.parametrize("case", WRONG, ids=lambda case: case.name)
def test_wrong_program_fails_and_the_detail_says_why(case: Case) -> None:
    status, _, detail = case.end.partition(": ")
    limits = replace(LIMITS, wall_seconds=2) if detail == "wall time" else LIMITS
    verdict = run(case.solution, case.tests, limits=limits)
    assert verdict.status == status, verdict
    assert detail in verdict.detail


@pytest.mark.parametrize(
    "odd", ["\ud800", "\x00", "(" * 5000, "9" * 10000], ids=["surrogate", "null", "deep", "digits"]
)
def test_text_that_is_not_python_is_an_error_in_solution_and_tests(odd: str) -> None:
    right, test = "def f(): return 1\n", "assert f() == 1\n"
    for solution, tests in ((f"{right}x = '{odd}' {odd}", test), (right, f"{test}assert {odd}")):
        assert run(solution, tests).status == "error"
    assert run(right, test).status == "passed"


def test_setup_sees_the_solution_and_the_tests_see_the_setup() -> None:
    solution = (
        "class Node:\n    def __init__(self, v): self.v, self.next = v, None\n"
        "def total(n): return n.v + (total(n.next) if n.next else 0)"
    )
    setup = "import math\nroot = Node(1)\nroot.next = Node(2)"
    assert run(solution, "assert total(root) == 3\nassert math.floor(2.5) == 2", setup).status == "passed"


def test_imports_of_the_setup_run_before_the_solution() -> None:
    assert run("def f(x: List[int]): return len(x)", "assert f([1]) == 1", "from typing import List").status == "passed"


def test_verdicts_come_in_the_order_of_the_programs_and_progress_is_reported() -> None:
    programs = [Program(f"def f(): return {n % 3}", "assert f() == 1") for n in range(60)]
    counts: list[int] = []
    verdicts = run_programs(programs, limits=LIMITS, workers=3, backend="bubblewrap", progress=counts.append)
    assert [verdict.status == "passed" for verdict in verdicts] == [n % 3 == 1 for n in range(60)]
    assert counts == sorted(counts)
    assert counts[-1] == 60


def test_an_empty_batch_gives_no_verdicts() -> None:
    assert run_programs([], backend="bubblewrap") == []


def test_two_threads_may_run_batches_at_once() -> None:
    results: list[list[Verdict]] = []
    programs = [Program("def f(): return 1", "assert f() == 1")] * 20

    def work() -> None:
        results.append(run_programs(programs, limits=LIMITS, workers=1, backend="bubblewrap"))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    work()  # reuses the workers that the threads left
    assert [{verdict.status for verdict in verdicts} for verdicts in results] == [{"passed"}] * 3


def test_a_program_leaves_nothing_behind_for_the_next() -> None:
    first = Program(
        "import builtins, math\nmath.pi = builtins.mine = 3\nopen('left', 'w').close()\ndef f(): return 1",
        "assert f() == 1",
    )
    second = Program(
        "import builtins, math, os\ndef f(): return math.pi == 3, hasattr(builtins, 'mine'), os.listdir()",
        "assert f() == (False, False, [])",
    )
    verdicts = run_programs([first, second], limits=LIMITS, workers=1, backend="bubblewrap")
    assert [verdict.status for verdict in verdicts] == ["passed", "passed"]


def test_process_limit_holds_for_processes_and_threads_together() -> None:
    count = (
        "import os, signal\ndef f():\n    n = 0\n    try:\n        while n < 100:\n"
        "            if os.fork() == 0: signal.pause()\n            n += 1\n    except OSError: pass\n    return n"
    )
    limits = replace(LIMITS, processes=5, memory_mb=1024)
    program = Program(count, "assert f() == 4")
    assert run_programs([program], limits=limits, backend="bubblewrap")[0].detail == ""


def test_any_text_gets_a_verdict_and_none_breaks_the_pool() -> None:
    texts = ["\0", "\ud800", "é" * 10, "(" * 5000, "x" * (1 << 20), "", "\r\n\t", "#" + "\n" * 10000, "f = 1"]
    programs = [
        Program(solution, tests, setup) for solution in texts for tests, setup in (("assert f", ""), ("", "f = 2"))
    ]
    programs += [Program("f = 1", text, text) for text in texts]
    programs.append(Program("f = 1", "assert f == 1"))
    verdicts = run_programs(programs, limits=LIMITS, workers=2, backend="bubblewrap")
    assert len(verdicts) == len(programs)
    assert verdicts[-1].status == "passed"


def test_a_program_whose_worker_is_killed_once_runs_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine may kill a worker for lack of memory; only the second time counts against the program."""
    from harness.sandbox.pool import Pool, Worker

    pool = Pool("bubblewrap", LIMITS)
    ended: list[int] = []
    send = Worker.send_program

    def send_and_kill_once(worker: Worker, index: int, program: Program) -> None:
        send(worker, index, program)
        if not ended:
            worker.sandbox.process.kill()
            ended.append(index)

    monkeypatch.setattr(Worker, "send_program", send_and_kill_once)
    verdict, after = pool.run(
        [
            Program("import time\ndef f(): time.sleep(1)", "assert f() is None"),
            Program("x = 1", "assert x == 1"),
        ],
        1,
    )
    pool.close()
    assert ended == [0]
    assert (verdict.status, after.status) == ("passed", "passed")


def test_values_that_a_solution_returns_are_under_its_memory_limit() -> None:
    verdict = run("def f(): return 'x'", "assert len(f() * (1 << 30)) == 1 << 30")
    assert (verdict.status, verdict.detail) == ("killed", "memory: MemoryError while the tests ran")
    assert run("def f(): return 'x'", "assert f() == 'x'").status == "passed"


def test_the_filter_of_code_tasks_returns_how_each_program_ended() -> None:
    from harness.suite.code_filter import run_tests

    doc = {"program_prompt": "", "entry_point": "f", "tests": "assert f(2) == 3", "setup": ""}
    (result,) = run_tests([["def f(x): return x + 1", "def f(x): return x", "def f(x): return 1 / 0"]], [doc])
    assert result["status"] == ["passed", "failed", "error"]
    assert result["detail"][0] == ""
    assert "f(2) == 3" in result["detail"][1]
    assert "ZeroDivisionError" in result["detail"][2]


def test_a_program_that_kills_all_it_can_is_not_run_again() -> None:
    from harness.sandbox.pool import Pool

    pool = Pool("bubblewrap", LIMITS)
    for end in ("os.kill(os.getppid(), 9)", "os.kill(-1, 9)"):
        programs = [Program(f"import os\n{end}\nx = 1", "assert x == 2"), Program("x = 1", "assert x == 1")]
        verdict, after = pool.run(programs, 1)
        assert verdict.status in ("killed", "failed"), verdict  # it is the only process that it can kill
        assert after.status == "passed"
        assert not pool.retried
    pool.close()


def test_a_module_that_the_tests_use_is_never_the_solutions() -> None:
    """MBPP 596 measures sizes with `sys`, which its tests do not import."""
    fake = "class sys:\n    getsizeof = staticmethod(lambda x: 0)\ndef f(x): return 0\n"
    assert run(fake, "assert f((1, 2)) == sys.getsizeof((1, 2))").status == "failed"
    assert (
        run("import sys\ndef f(x): return sys.getsizeof(x)", "assert f(2.5) == sys.getsizeof(2.5)").status == "passed"
    )


def test_what_the_tests_cannot_pass_is_unsupported_and_not_a_failure() -> None:
    verdict = run("def f(lock): return lock", "import threading\nassert f(threading.Lock()) is None")
    assert (verdict.status, verdict.detail) == (
        "unsupported",
        "the tests pass the solution a lock, which cannot be passed",
    )


def test_unsupported_programs_are_left_out_of_pass_at_k() -> None:
    from harness.suite.process_results import programs

    result = {"passed": [True, False, False], "status": ["passed", "failed", "unsupported"], "solutions": ["", "", ""]}
    assert programs({}, [result]) == {"pass@1": 0.5}
    assert programs({}, [{"passed": [False], "status": ["unsupported"], "solutions": [""]}]) == {}


def test_packages_of_the_users_folder_can_be_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.py").write_text("def double(n): return 2 * n\n")
    program = Program("import mine\ndef f(n): return mine.double(n)", "import mine\nassert f(2) == mine.double(2) == 4")
    write = Program("import mine\ndef f(): open(mine.__file__, 'a')", "try: f()\nexcept OSError: assert True")
    assert run_programs([program], limits=LIMITS, backend="bubblewrap")[0].status == "error"
    monkeypatch.setenv("HARNESS_SANDBOX_SITE", str(tmp_path))
    verdicts = run_programs([program, write], limits=LIMITS, backend="bubblewrap")
    assert [verdict.status for verdict in verdicts] == ["passed", "passed"]
    monkeypatch.setenv("HARNESS_SANDBOX_SITE", str(tmp_path / "absent"))
    with pytest.raises(SandboxError, match=r"HARNESS_SANDBOX_SITE='.*absent' is not a folder"):
        run_programs([program], limits=LIMITS, backend="bubblewrap")


def test_numpy_arrays_cross_by_value(monkeypatch: pytest.MonkeyPatch) -> None:
    numpy = pytest.importorskip("numpy")
    monkeypatch.setenv("HARNESS_SANDBOX_SITE", str(Path(numpy.__file__).parent.parent))
    solution = "import numpy as np\ndef f(n): return np.arange(n) * 2.0\ndef g(a):\n    a[0] = 9\n    return a.sum()"
    tests = (
        "import numpy as np\nassert np.allclose(f(3), [0, 2, 4])\na = np.array([1, 2])\n"
        "assert g(a) == 11 and isinstance(g(a), np.integer)\nassert a[0] == 9"
    )
    assert run(solution, tests, limits=replace(LIMITS, cpu_seconds=20, memory_mb=2048)).detail == ""


def test_a_worker_that_is_not_clean_is_replaced_before_it_gets_a_program(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its message arrives in place of "ready". Without any clean worker, the error says what was wrong."""
    from harness.sandbox.pool import Pool, Worker

    pool = Pool("bubblewrap", LIMITS)
    good = Program("x = 1", "assert x == 1")
    receive = Worker.messages
    unclean = [{"unclean": "niceness is 5 instead of 0"}]
    left = [2]

    def dirty_at_first(worker: Worker) -> list[object] | None:
        messages = receive(worker)
        if messages and "ready" in messages[0] and left[0]:
            left[0] -= 1
            return list(unclean)
        return messages

    monkeypatch.setattr(Worker, "messages", dirty_at_first)
    assert [verdict.status for verdict in pool.run([good] * 3, 1)] == ["passed"] * 3
    assert "niceness is 5 instead of 0" in caplog.text
    left[0] = 1000
    with pytest.raises(SandboxError, match="no clean sandbox: niceness is 5 instead of 0"):
        Pool("bubblewrap", LIMITS).run([good], 1)
    pool.close()
