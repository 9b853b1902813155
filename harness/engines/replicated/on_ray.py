"""Replicas on a Ray cluster: each is an actor, which Ray places where its GPU or its cores are free."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Literal

from harness.engines.replicated.devices import gpus_per_replica
from harness.engines.replicated.team import Replica, ReplicaDied
from harness.engines.replicated.worker import Reply, Worker
from harness.engines.spec import EngineSpec
from harness.errors import InputError, one_line
from harness.ray_cluster import open_cluster

log = logging.getLogger(__name__)

# Prefixes of the environment variables that an actor gets from the driver, even if its own machine sets them: caches,
# tokens and addresses of the hub and of services, and settings of the libraries.
FORWARDED_PREFIXES = ("HARNESS_", "HF_", "OPENAI_", "VLLM_", "OMP_NUM_THREADS")
OF_ONE_MACHINE = ("VLLM_HOST_IP", "VLLM_HOST_PORT")
SECONDS_UNTIL_NOTE = 60.0
Machines = Sequence[Mapping[str, float]]


class OnRay:
    """One actor per place; an actor that died or lost its machine is replaced.

    Args:
        address: Of the cluster; None starts one of this machine alone.
        count: Number of replicas; ``auto`` is one for each GPU of the cluster, or for each machine.
        spec: How to run the model.

    Raises:
        InputError: ray is not installed, the cluster does not answer, or it has too few GPUs or cores.
    """

    def __init__(self, address: str | None, count: int | Literal["auto"], spec: EngineSpec) -> None:
        self._ray = open_cluster(address, user="--on ray", flag="--on ray:")
        machines = [machine["Resources"] for machine in self._ray.nodes() if machine["Alive"]]
        number, self._needs = placed(count, machines, spec)
        self.turns = [threading.Lock() for _ in range(number)]
        self._changing = threading.Lock()
        self._running: dict[int, _Actor] = {}
        self._closed = False

    def launch(self, place: int) -> Replica | None:
        """Return the actor of a place; create it if there is none. Ray starts it as soon as it has resources for it."""
        with self._changing:
            if self._closed:
                return None
            if place not in self._running:
                self._running[place] = _Actor(self._ray, place, self._needs)
            return self._running[place]

    def renew(self, place: int) -> None:
        """End the actor of a place."""
        with self._changing:
            actor = self._running.pop(place, None)
        if actor is not None:
            actor.kill()

    def abandon(self, place: int) -> None:
        """End the actor of a place, even if it is working or has not started yet."""
        self.renew(place)

    def close(self, exit_code: int = 0) -> None:  # noqa: ARG002 - the shape of `Team`
        """End all actors, and leave the cluster."""
        with self._changing:
            self._closed = True
            running, self._running = self._running, {}
        for actor in running.values():
            actor.kill()
        self._ray.shutdown()


def placed(count: int | Literal["auto"], machines: Machines, spec: EngineSpec) -> tuple[int, dict[str, int]]:
    """Return the number of replicas, and what each takes on its machine: numbers of GPUs and of cores.

    Without GPUs, each replica gets the largest number of cores with which all replicas still fit on the machines.

    Raises:
        InputError: the cluster has too few GPUs or cores.
    """
    gpus = [int(machine.get("GPU", 0)) for machine in machines]
    cores = [int(machine.get("CPU", 0)) for machine in machines]
    if sum(gpus) and spec.device != "cpu":
        per_replica = gpus_per_replica(spec)
        most = sum(of_machine // per_replica for of_machine in gpus)
        wanted = most if count == "auto" else count
        if 0 < wanted <= most:
            return wanted, {"num_cpus": 1, "num_gpus": per_replica}
        if not most:
            raise InputError(
                f"--model_args: a replica takes {per_replica} GPUs of one machine, and the largest machine of the "
                f"cluster has {max(gpus)}; give a smaller tensor_parallel_size, pipeline_parallel_size or "
                "data_parallel_size."
            )
        raise InputError(f"--replicas {count}: the cluster has GPUs for {most}; give at most {most}.")
    wanted = max(1, sum(of_machine > 0 for of_machine in cores)) if count == "auto" else count
    per_replica = max(cores, default=0)
    while per_replica and sum(of_machine // per_replica for of_machine in cores) < wanted:
        per_replica -= 1
    if not per_replica:
        raise InputError(f"--replicas {count}: the cluster has {sum(cores)} cores; give at most {sum(cores)}.")
    return wanted, {"num_cpus": per_replica, "num_gpus": 0}


def passed_on(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the driver's variables that each actor gets. Ray sets OMP_NUM_THREADS to `num_cpus` if it is not set."""
    return {
        name: value
        for name, value in environment.items()
        if name.startswith(FORWARDED_PREFIXES) and name not in OF_ONE_MACHINE
    }


class _Actor:
    """A replica on the cluster."""

    def __init__(self, ray: Any, place: int, needs: Mapping[str, int]) -> None:
        self._ray = ray
        self._place = place
        remote = ray.remote(RemoteWorker).options(**needs, max_restarts=0, name=f"replica {place}")
        self._actor = remote.remote(passed_on(os.environ))

    def call(self, name: str, *arguments: Any) -> Iterator[Reply]:
        """Call a method; yields the replies as they arrive. Raises: ReplicaDied: the actor or its machine is lost."""
        ray = self._ray
        try:
            references = self._actor.call.options(num_returns="streaming").remote(name, *arguments)
            if name == "open" and not ray.wait([references], timeout=SECONDS_UNTIL_NOTE)[0]:
                log.warning("replica %d is not open yet; the cluster may have no room for it", self._place)
            for reference in references:
                reply: Reply = ray.get(reference)
                yield reply
        except ray.exceptions.RayError as error:
            raise ReplicaDied(one_line(error, max_characters=200)) from error

    def kill(self) -> None:
        """End the actor."""
        with suppress(self._ray.exceptions.RayError, ValueError):
            self._ray.kill(self._actor)


class RemoteWorker:
    """A `Worker` whose process has the driver's variables.

    Args:
        environment: The variables, which are set before any library is imported that reads them.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        os.environ.update(environment)
        from harness.console import quiet_libraries

        quiet_libraries()
        self._worker = Worker()

    def call(self, name: str, *arguments: Any) -> Iterator[Reply]:
        """Call a method of the worker."""
        yield from self._worker.call(name, *arguments)
