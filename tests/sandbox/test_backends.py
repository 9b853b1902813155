"""Which backend is used, what is refused, and that no sandbox outlives the harness."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.errors import InputError
from harness.sandbox import Limits, Program, SandboxError, run_programs, use_backend
from harness.sandbox.backends import VARIABLE, choose, container_command
from harness.sandbox.calibration import slowdown
from tests.waiting import CEILING_SECONDS, running, wait_until

GOOD = Program("def f(): return 1", "assert f() == 1")
FRESH = "from harness.sandbox import Program, run_programs\n"


def in_fresh_process(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", FRESH + code],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=CEILING_SECONDS,
    )


def test_the_error_for_an_unknown_backend_lists_the_allowed_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "jail")
    with pytest.raises(SandboxError, match=r"HARNESS_SANDBOX='jail'.*auto, bubblewrap, docker, podman, unsafe"):
        run_programs([GOOD])


def test_in_control_groups_version_2_the_nearest_group_that_delegates_the_controller_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folders of a login session: the process is in a leaf, which delegates nothing."""
    from harness.sandbox import cgroups

    monkeypatch.setattr(cgroups, "_ROOT", tmp_path)
    for path, delegated in (
        (".", "cpu memory pids"),
        ("user", "memory pids"),
        ("user/app", "pids"),
        ("user/app/x", ""),
    ):
        (tmp_path / path).mkdir(exist_ok=True)
        (tmp_path / path / "cgroup.subtree_control").write_text(delegated)
    assert cgroups.nearest_delegating("pids", "/user/app/x") == tmp_path / "user" / "app"
    assert cgroups.nearest_delegating("memory", "/user/app/x") == tmp_path / "user"
    assert cgroups.nearest_delegating("io", "/user/app/x") is None


def test_without_a_sandbox_nothing_runs_and_the_message_names_the_remedy(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    solution = f"open({str(marker)!r}, 'w')"
    code = f"run_programs([Program({solution!r}, 'assert True')], backend='auto')"
    done = in_fresh_process(code, PATH=str(tmp_path))
    assert "SandboxError: cannot run untrusted programs with bubblewrap: bwrap is not installed" in done.stderr
    assert "--unsafe_code allow" in done.stderr
    assert not marker.exists()
    assert issubclass(SandboxError, InputError)


@pytest.mark.parametrize("container_program", ["docker", "podman"])
def test_a_container_program_that_does_not_work_is_refused(container_program: str, tmp_path: Path) -> None:
    fake = tmp_path / container_program
    fake.write_text("#!/bin/sh\necho cannot connect to the daemon >&2\nexit 1\n")
    fake.chmod(0o755)
    done = in_fresh_process(
        f"run_programs([Program('', 'assert True')], backend={container_program!r})", PATH=str(tmp_path)
    )
    assert (
        f"SandboxError: cannot run untrusted programs with {container_program}: cannot connect to the daemon"
        in done.stderr
    )


def test_container_has_no_network_no_privileges_and_the_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_SANDBOX_IMAGE", "local/python")
    command = container_command("docker", "name", Limits(memory_mb=100, file_mb=7, processes=5))
    text = " ".join(command)
    for part in (
        "--network none",
        "--read-only",
        "--cap-drop ALL",
        "no-new-privileges",
        "--pids-limit 11",
        "/tmp:rw,size=7m",  # noqa: S108
        "local/python",
    ):
        assert part in text


def test_environment_variable_and_argument_choose_the_backend(monkeypatch: pytest.MonkeyPatch, bubblewrap: str) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert choose(None) == choose("auto") == bubblewrap
    monkeypatch.setenv(VARIABLE, "unsafe")
    assert choose(None) == "unsafe"
    assert choose("bubblewrap") == bubblewrap


@pytest.fixture
def host_file_seen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, bubblewrap: str) -> Callable[[], bool]:
    """Runs a program with no backend given; True if it could read a file of the host, which only `unsafe` allows."""
    assert bubblewrap == "bubblewrap"
    monkeypatch.delenv(VARIABLE, raising=False)
    (tmp_path / "secret").write_text("secret")
    program = Program(f"import os\ndef f(): return os.path.exists({str(tmp_path / 'secret')!r})", "assert f()")

    def run() -> bool:
        (verdict,) = run_programs([program], workers=1)
        assert verdict.status in ("passed", "failed"), verdict
        return verdict.status == "passed"

    return run


def test_use_backend_holds_inside_its_block_only(host_file_seen: Callable[[], bool]) -> None:
    before = dict(os.environ)
    with use_backend("unsafe"):
        assert choose(None) == "unsafe"
        assert host_file_seen()
    assert choose(None) == "bubblewrap"
    assert not host_file_seen()
    assert dict(os.environ) == before
    assert VARIABLE not in os.environ


def test_no_warm_worker_serves_another_backend(host_file_seen: Callable[[], bool]) -> None:
    """Workers stay warm between batches; each change of backend must replace them, in either direction."""
    seen = [host_file_seen()]
    for _ in range(2):
        with use_backend("unsafe"):
            seen += [host_file_seen(), host_file_seen()]
        seen += [host_file_seen(), host_file_seen()]
    assert seen == [False, True, True, False, False, True, True, False, False]


def test_a_thread_started_inside_the_block_does_not_inherit_unsafe(host_file_seen: Callable[[], bool]) -> None:
    """It may outlive the block. Nor does a thread that enters the block change the backend of the others."""
    seen: dict[str, bool] = {}
    entered, leave = threading.Event(), threading.Event()

    def enter_and_wait() -> None:
        with use_backend("unsafe"):
            entered.set()
            leave.wait(60)
            seen["own block"] = host_file_seen()

    with use_backend("unsafe"):
        inherits_nothing = threading.Thread(target=lambda: seen.update({"no block": host_file_seen()}))
        inherits_nothing.start()
        inherits_nothing.join()
    other = threading.Thread(target=enter_and_wait)
    other.start()
    assert entered.wait(60)
    seen["another thread in a block"] = host_file_seen()
    leave.set()
    other.join()
    assert seen == {"no block": False, "another thread in a block": False, "own block": True}


def test_use_backend_precedence(monkeypatch: pytest.MonkeyPatch, bubblewrap: str) -> None:
    monkeypatch.setenv(VARIABLE, "unsafe")
    with use_backend("auto"):
        assert choose(None) == bubblewrap  # the block overrides the environment
        assert choose("unsafe") == "unsafe"  # the argument overrides the block
        with use_backend("unsafe"), use_backend(None):
            assert choose(None) == "unsafe"
        assert choose(None) == bubblewrap
    with use_backend(None):
        assert choose(None) == "unsafe"  # no override: the environment decides


def test_use_backend_is_restored_after_an_exception_and_refuses_unknown_names(
    monkeypatch: pytest.MonkeyPatch, bubblewrap: str
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.raises(RuntimeError), use_backend("unsafe"):
        raise RuntimeError
    with pytest.raises(SandboxError, match=r"backend='jail'.*auto, bubblewrap"), use_backend("jail"):
        pytest.fail("the block must not run")
    assert choose(None) == bubblewrap


def test_the_filter_of_code_tasks_takes_the_backend_of_the_block(
    host_file_seen: Callable[[], bool], tmp_path: Path
) -> None:
    """lm-eval calls the filter without arguments of ours; the evaluation sets the backend around it."""
    from harness.suite.code_filter import run_tests

    solution = f"import os\ndef f(): return os.path.exists({str(tmp_path / 'secret')!r})"
    doc = {"program_prompt": "", "entry_point": "f", "tests": "assert f()", "setup": ""}
    with use_backend("unsafe"):
        assert run_tests([[solution]], [doc])[0]["passed"] == [True]
    assert run_tests([[solution]], [doc])[0]["passed"] == [False]


def test_unsafe_warns_what_is_not_protected_and_still_gives_verdicts() -> None:
    code = (
        "print([v.status for v in run_programs([Program('def f(): return 1', 'assert f() == 1'),"
        " Program('def f(): return 2', 'assert f() == 1')])])"
    )
    done = in_fresh_process(code, HARNESS_SANDBOX="unsafe")
    assert done.stdout.strip() == "['passed', 'failed']"
    for word in ("UNPROTECTED", "files", "network", "processes"):
        assert word in done.stderr


def test_unsafe_programs_cannot_signal_the_users_processes() -> None:
    """They have their own process namespace, in which no pid names a process outside. This test sends no signal."""
    program = Program("import os\ndef parents(): return os.getppid()", "assert parents() == 0")
    assert run_programs([program], backend="unsafe")[0].detail == ""


def test_no_sandbox_outlives_a_killed_harness(bubblewrap: str) -> None:
    code = (
        f"import os, sys\nprint(os.getpid(), flush=True)\n"
        f"run_programs([Program('import time; time.sleep(600)', 'assert True')] * 2, workers=2, backend={bubblewrap!r})"
    )
    victim = subprocess.Popen([sys.executable, "-c", FRESH + code], stdout=subprocess.PIPE, text=True)
    children: set[int] = set()

    def all_started() -> bool:
        children.clear()
        children.update(descendants(victim.pid))
        return len(children) >= 2 * 5  # each worker: bubblewrap, its first process, server, examiner, program

    wait_until(all_started, "the sandboxes have started", process=victim)
    victim.send_signal(signal.SIGKILL)
    victim.communicate()
    wait_until(lambda: not any(map(running, children)), "every process of the sandboxes has ended")


def descendants(pid: int) -> set[int]:
    try:
        lists = [(task / "children").read_text() for task in Path(f"/proc/{pid}/task").iterdir()]
    except OSError:
        return set()
    children = {int(word) for words in lists for word in words.split()}
    return children.union(*(descendants(child) for child in children))


def test_time_limits_are_stretched_and_never_shortened() -> None:
    assert slowdown() >= 1
    assert slowdown() == slowdown()


def test_what_the_starting_process_ignores_or_blocks_does_not_reach_programs(bubblewrap: str) -> None:
    """The C library keeps signal 32 for itself, but other code may ignore it by a system call."""
    code = (
        "import ctypes, os, signal\n"
        "number = {'x86_64': 13, 'aarch64': 134}[os.uname().machine]\n"
        "ignored = (ctypes.c_ulong * 4)(1, 0, 0, 0)\n"
        "for name in (32, 33): assert ctypes.CDLL(None).syscall(number, name, ignored, None, 8) == 0\n"
        "for name in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):\n"
        "    signal.signal(name, signal.SIG_IGN)\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1, signal.SIGWINCH, signal.SIGALRM])\n"
        "os.umask(0o777)\n"
        "os.nice(3)\n"
        "program = Program('x = 1', 'assert x == 1')\n"
        f"print([v.status for v in run_programs([program] * 3, backend={bubblewrap!r})])"
    )
    done = in_fresh_process(code)
    assert done.stdout.strip() == "['passed', 'passed', 'passed']", done.stderr


@pytest.mark.parametrize("name", ["environment", "with a space, and é"])
def test_programs_run_from_a_virtual_environment_anywhere_and_see_nothing_of_it(
    name: str, tmp_path: Path, bubblewrap: str
) -> None:
    """Also below /tmp, where programs have a folder of their own."""
    environment = tmp_path / name
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    folder = str(environment)
    solution = f"import os\ndef f(): return os.path.exists({folder!r})"
    code = (
        f"program = Program({solution!r}, 'assert f() is False')\n"
        f"print([v.status + v.detail for v in run_programs([program] * 2, backend={bubblewrap!r})])"
    )
    done = subprocess.run(
        [environment / "bin" / "python", "-c", FRESH + code],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=CEILING_SECONDS,
    )
    assert done.stdout.strip() == "['passed', 'passed']", done.stderr
