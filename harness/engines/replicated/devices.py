"""Which devices each replica of this machine gets.

4 GPUs, 4 replicas   CUDA_VISIBLE_DEVICES=0 | 1 | 2 | 3
4 GPUs, 2 replicas   CUDA_VISIBLE_DEVICES=0,1 | 2,3      for vLLM with tensor_parallel_size=2
8 cores, 2 replicas  OMP_NUM_THREADS=4 | 4
"""

from __future__ import annotations

import math
import os
import sys
from typing import Literal

from harness.engines.spec import EngineSpec
from harness.errors import InputError

AUTO: Literal["auto"] = "auto"
CORES_PER_REPLICA = 8  # for `auto` without a GPU; more threads per engine gain little
# vLLM's arguments that spread one model over several GPUs: the product of their values is its number of GPUs.
GPU_FACTORS = ("tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size", "prefill_context_parallel_size")
VISIBLE, THREADS = "CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS"


def environments(count: int | Literal["auto"], spec: EngineSpec, *, loads_weights: bool) -> list[dict[str, str]]:
    """Return the environment variables of each replica's process.

    Args:
        count: Number of replicas; ``auto`` is one for each GPU, or for each 8 cores.
        spec: How to run the model.
        loads_weights: Whether the engine computes on this machine; services and scripts need no devices.

    Raises:
        InputError: there are not enough devices.
    """
    if not loads_weights:
        return [{} for _ in range(1 if count == AUTO else count)]
    if ":" in spec.device:
        raise InputError(f"--device {spec.device}: each replica has its own device; give {spec.device.split(':')[0]}.")
    gpus = visible_gpus() if spec.device in ("auto", "cuda") else []
    if not gpus:
        return _threads(count)
    per_replica = gpus_per_replica(spec)
    most = len(gpus) // per_replica
    wanted = max(1, most) if count == AUTO else count
    if wanted > most:
        remedy = f"at most {most}" if most else f"a smaller {_largest_factor(spec)} in --model_args"
        raise InputError(
            f"--replicas {count}: needs {wanted * per_replica} GPUs, and this machine has {len(gpus)}; give {remedy}."
        )
    share = len(gpus) // wanted
    return [{VISIBLE: ",".join(gpus[place * share : (place + 1) * share])} for place in range(wanted)]


def gpus_per_replica(spec: EngineSpec) -> int:
    """Return how many GPUs one replica takes. Raises: InputError: a factor is not a positive whole number."""
    for name in GPU_FACTORS:
        value = spec.model_args.get(name, 1)
        if not str(value).isdigit() or int(value) < 1:
            raise InputError(f"--model_args {name}={value}: give a whole number of 1 or more.")
    return math.prod(int(spec.model_args.get(name, 1)) for name in GPU_FACTORS)


def _largest_factor(spec: EngineSpec) -> str:
    return max(GPU_FACTORS, key=lambda name: int(spec.model_args.get(name, 1)))


def _threads(count: int | Literal["auto"]) -> list[dict[str, str]]:
    """Return the thread variables of each replica: its share of the cores, unless the user has set OMP_NUM_THREADS."""
    cores = available_cores()
    wanted = max(1, cores // CORES_PER_REPLICA) if count == AUTO else count
    if wanted > cores:
        raise InputError(f"--replicas {count}: this process may use {cores} cores; give at most {cores}.")
    given = {} if os.environ.get(THREADS) else {THREADS: str(cores // wanted)}
    return [given for _ in range(wanted)]


def available_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def visible_gpus() -> list[str]:
    """Return the GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    named = os.environ.get(VISIBLE)
    if named is not None:
        return [name for name in named.split(",") if name.strip() not in ("", "-1")]
    import torch

    return [str(number) for number in range(torch.cuda.device_count())]


def own_gpu(local_rank: int) -> dict[str, str]:
    """Return the variables that restrict a rank to its own GPU; empty if it sees at most one GPU."""
    gpus = visible_gpus()
    return {VISIBLE: gpus[local_rank % len(gpus)]} if len(gpus) > 1 else {}
