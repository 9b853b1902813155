"""A Ray cluster on this machine in a separate process: a head without cores, and two machines with one core each.

    python -m tests.study.ray_cluster

Prints its address. For each line with the number of a process, it removes the machine on which that process runs, as a
crash would. It ends when its standard input is closed.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.study.forks import ROOT

# A machine that is lost is noticed after half a second, not after half a minute.
QUICK = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 100, "health_check_failure_threshold": 5}


class RayCluster:
    """The cluster, seen from the tests."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.study.ray_cluster"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
        )  # fmt: skip
        self.address = self._answer()

    @property
    def pid(self) -> int:
        """The common parent of all the cluster's processes."""
        return self._process.pid

    def remove_machine_of(self, pid: int) -> None:
        """Remove the machine on which a process runs."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{pid}\n")
        self._process.stdin.flush()
        assert self._answer() == "removed"

    def _answer(self) -> str:
        assert self._process.stdout is not None
        for line in self._process.stdout:  # Ray prints notes of its own
            word, _, rest = line.strip().partition(" ")
            if word == "cluster":
                return rest
        raise AssertionError("the cluster ended")

    def close(self) -> None:
        """End the cluster."""
        self._process.communicate()


def parent_of(pid: int) -> int:
    """Return the parent of a process."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def ancestors(pid: int) -> list[int]:
    """Return a process and its ancestors."""
    pids = [pid]
    while pids[-1] > 1:
        pids.append(parent_of(pids[-1]))
    return pids


def _raylet(machine: Any) -> int:
    return int(machine.all_processes["raylet"][0].process.pid)


def _serve() -> None:
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 0, "include_dashboard": False, "_system_config": QUICK}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    machines = [cluster.add_node(num_cpus=1) for _ in range(2)]
    print("cluster", cluster.address, flush=True)
    for line in sys.stdin:
        above = ancestors(int(line))
        machine = next(one for one in machines if _raylet(one) in above)
        machines.remove(machine)
        cluster.remove_node(machine, allow_graceful=False)
        print("cluster removed", flush=True)
    cluster.shutdown()


if __name__ == "__main__":
    os.environ.pop("RAY_ADDRESS", None)
    _serve()
