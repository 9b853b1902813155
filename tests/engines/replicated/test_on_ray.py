"""Replicas on a Ray cluster write the same bytes as one process, even if one is killed and a machine is lost."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from harness.engines.replicated.on_ray import passed_on, placed
from harness.engines.spec import EngineSpec
from harness.errors import InputError
from tests.conftest import ROOT, HarnessCommand
from tests.engines.replicated.noting import BATCH, NOTES, TOGETHER, install, noted
from tests.evaluation.contents import without_times
from tests.study.ray_cluster import RayCluster, ancestors
from tests.tasks_for_tests import write_long_tasks
from tests.waiting import CEILING_SECONDS, wait_until

CPU, CUDA = EngineSpec(device="cpu"), EngineSpec()
ONE, TWO, GPUS = {"CPU": 1.0}, {"CPU": 8.0}, {"CPU": 32.0, "GPU": 4.0}


@pytest.mark.parametrize(
    ("count", "machines", "spec", "number", "needs"),
    [
        ("auto", [ONE, ONE], CUDA, 2, {"num_cpus": 1, "num_gpus": 0}),
        (4, [TWO, TWO], CUDA, 4, {"num_cpus": 4, "num_gpus": 0}),
        (3, [ONE, TWO], CUDA, 3, {"num_cpus": 2, "num_gpus": 0}),
        ("auto", [{"CPU": 0.0}, TWO], CUDA, 1, {"num_cpus": 8, "num_gpus": 0}),
        ("auto", [GPUS, GPUS], CUDA, 8, {"num_cpus": 1, "num_gpus": 1}),
        ("auto", [GPUS], EngineSpec(model_args={"tensor_parallel_size": 2}), 2, {"num_cpus": 1, "num_gpus": 2}),
        ("auto", [GPUS], EngineSpec(model_args={"pipeline_parallel_size": 4}), 1, {"num_cpus": 1, "num_gpus": 4}),
        (2, [GPUS], CPU, 2, {"num_cpus": 16, "num_gpus": 0}),
    ],
)
def test_each_replica_gets_its_share_of_the_cluster(
    count: int, machines: list[dict[str, float]], spec: EngineSpec, number: int, needs: dict[str, int]
) -> None:
    assert placed(count, machines, spec) == (number, needs)


@pytest.mark.parametrize(("count", "machines"), [(9, [TWO]), (5, [GPUS]), (1, [{"CPU": 0.0}])])
def test_a_cluster_that_is_too_small_gives_one_clear_error(count: int, machines: list[dict[str, float]]) -> None:
    with pytest.raises(InputError, match=f"--replicas {count}: the cluster has .*give at most"):
        placed(count, machines, CUDA)


def test_a_model_that_fits_on_no_machine_gives_one_clear_error() -> None:
    with pytest.raises(
        InputError, match=r"a replica takes 8 GPUs of one machine, and the largest machine .* has 4; give"
    ):
        placed("auto", [GPUS, GPUS], EngineSpec(model_args={"tensor_parallel_size": 4, "data_parallel_size": 2}))


def test_actors_get_the_drivers_tokens_and_settings() -> None:
    given = ["HF_TOKEN", "HF_ENDPOINT", "HF_HOME", "OPENAI_API_KEY", "VLLM_USE_V2_MODEL_RUNNER", "HARNESS_CACHE_DIR"]
    kept = ["PATH", "HOME", "VLLM_HOST_IP", "CUDA_VISIBLE_DEVICES", "RAY_ADDRESS", "HFX"]
    environment = dict.fromkeys([*given, *kept, "OMP_NUM_THREADS"], "value")
    assert passed_on(environment).keys() == {*given, "OMP_NUM_THREADS"}


@pytest.fixture
def cluster(tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RayCluster]:
    """Two machines with one core each, on which the engine `noting` is installed."""
    monkeypatch.setenv(NOTES, str(tmp_path / "notes"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(install(tmp_path / "site")), str(ROOT)]))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    cluster = RayCluster()
    yield cluster
    cluster.close()


def _replicas(cluster: RayCluster) -> set[int]:
    """The processes of this cluster's replicas."""
    found = set()
    for place in Path("/proc").glob("[0-9]*"):
        try:
            is_one = (place / "cmdline").read_bytes().startswith(b"ray::RemoteWorker")
            if is_one and cluster.pid in ancestors(int(place.name)):
                found.add(int(place.name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def _answered(cache: Path) -> int:
    try:
        with closing(sqlite3.connect(f"file:{cache / 'journal.sqlite'}?mode=ro", uri=True)) as journal:
            return int(journal.execute("SELECT COUNT(*) FROM answers").fetchone()[0])
    except sqlite3.Error:
        return 0


def _disturbed(cluster: RayCluster, cache: Path, words: list[object]) -> str:
    """Run on the cluster; kill a replica, and when another has taken its place, remove the other machine."""
    command = [sys.executable, "-m", "harness", *words, "--on", f"ray:{cluster.address}", "--replicas", 2]
    with subprocess.Popen(
        list(map(str, command)), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:

        def wait_for(happened: Callable[[], object], what: str) -> None:
            wait_until(happened, what, process=process)

        wait_for(lambda: _answered(cache) and len(_replicas(cluster)) == 2, "two replicas answer")
        first = _replicas(cluster)
        victim, other = sorted(first)
        os.kill(victim, signal.SIGKILL)
        wait_for(lambda: _replicas(cluster) - first, "the killed one is replaced")
        cluster.remove_machine_of(other)
        _, err = process.communicate(timeout=CEILING_SECONDS)
    assert process.returncode == 0, err
    assert err.count("its requests are sent again") == 2, err
    return err


def test_a_killed_replica_and_a_lost_machine_change_no_byte(
    cluster: RayCluster, tmp_path: Path, own_cache: Path, harness_command: HarnessCommand
) -> None:
    tasks = write_long_tasks(tmp_path / "tasks", items=150, words=100)
    words = ["eval", "--backend", "noting", "--model", "any", "--tasks", "t_choice", "--include_path", tasks]
    words += ["--model_args", "seconds=0.1", "--output_path"]
    _disturbed(cluster, own_cache, [*words, tmp_path / "ray"])
    # A replica that dies may lose the batch that it is sending, and one that it has just answered.
    assert 0 <= len(noted(tmp_path / "notes")) - 600 <= 2 * 2 * BATCH
    one = harness_command(*words, tmp_path / "one", "--no_cache", env={TOGETHER: "1"})
    assert one.returncode == 0, one.stderr
    assert without_times(tmp_path / "ray" / "any") == without_times(tmp_path / "one" / "any")


@pytest.mark.slow  # reduced twin: the test above
def test_the_real_model_gives_the_same_bytes(
    smollm2: Path, cluster: RayCluster, tmp_path: Path, own_cache: Path, harness_command: HarnessCommand
) -> None:
    tasks = write_long_tasks(tmp_path / "tasks", items=300, words=60)
    words = ["eval", "--model", smollm2, "--dtype", "float32", "--tasks", "t_choice", "--include_path", tasks]
    words += ["--output_path"]
    _disturbed(cluster, own_cache, [*words, tmp_path / "ray"])
    one = harness_command(*words, tmp_path / "one", "--no_cache", "--replicas", 1)
    assert one.returncode == 0, one.stderr
    assert without_times(tmp_path / "ray") == without_times(tmp_path / "one")
