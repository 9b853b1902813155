"""Ray and Slurm end a study with the same files as `local`, also when a worker is killed or a machine is lost."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

from harness.errors import InputError
from harness.study.executors import Job, Options
from harness.study.executors.needs import NeedsSpec
from harness.study.executors.slurm import SlurmExecutor
from tests.conftest import ROOT, HarnessCommand
from tests.study import slurm_commands
from tests.study.conftest import Study
from tests.study.contents import contents
from tests.study.observer import LOG, check_events, events
from tests.study.ray_cluster import RayCluster, parent_of
from tests.waiting import wait_until


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(LOG, str(tmp_path / "events.jsonl"))
    return tmp_path / "events.jsonl"


@pytest.fixture
def cluster(site: Path, log: Path) -> Iterator[RayCluster]:
    """A Ray cluster whose processes have this test's variables."""
    cluster = RayCluster()
    yield cluster
    cluster.close()


class Pair:
    """Two stages, one after the other, each of which waits until the test lets it go."""

    def __init__(self, study: Study, log: Path) -> None:
        self.study, self.log = study, log
        self.gates = {name: study.folder / f"go-{name}" for name in ("base-0", "tuned-0")}
        wait = {name: str(gate) for name, gate in self.gates.items()}
        study.fields |= {"factors": {"seed": [0]}, "evaluate": [], "compare": None}
        study.fields["stages"] = {
            "base": {"stage": "fake", "seed": "{seed}", "waits_for": wait["base-0"]},
            "tuned": {"stage": "fake", "seed": "{seed}", "from": "base", "waits_for": wait["tuned-0"]},
        }
        study.write()

    def begun(self, name: str) -> list[int]:
        """Return the processes in which a stage's command began."""
        noted = [event for event in events(self.log) if event["event"] == "begins" and event["name"] == name]
        return [event["pid"] for event in noted]

    def run(self, out: str, executor: list[str], disturb: dict[str, Callable[[int], None]]) -> str:
        """Run the study; disturb each stage while its first command runs. Return the run's output."""
        command = [sys.executable, "-m", "harness", "run", self.study.path, "--output_path", self.study.folder / out]
        with subprocess.Popen(
            [*map(str, command), "--executor", *executor], cwd=ROOT, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stderr is not None
            for name, gate in self.gates.items():
                wait_until(lambda name=name: self.begun(name), f"{name} begins", process=process)  # type: ignore[misc]
                disturb[name](self.begun(name)[0])
                wait_until(lambda name=name: len(self.begun(name)) > 1, f"{name} begins again", process=process)  # type: ignore[misc]
                gate.touch()
            output = process.stderr.read()
        assert process.returncode == 0, output
        return output

    def contents_with_local(self, harness_fork: HarnessCommand) -> dict[str, str | bytes]:
        """Return the files of the same study that `local` runs undisturbed."""
        done = harness_fork("run", self.study.path, "--output_path", self.study.folder / "local")
        assert done.returncode == 0, done.stderr
        return contents(self.study.folder / "local")


@pytest.fixture
def pair(study: Study, log: Path) -> Pair:
    return Pair(study, log)


def _kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def _kill_parent(pid: int) -> None:
    _kill(parent_of(pid))


def test_ray_ends_as_local_does_after_a_killed_worker_and_a_lost_machine(
    pair: Pair, cluster: RayCluster, harness_fork: HarnessCommand
) -> None:
    words = ["ray", "--ray_address", cluster.address]
    pair.run("ray", words, {"base-0": _kill_parent, "tuned-0": cluster.remove_machine_of})
    check_events(pair.log)
    assert contents(pair.study.folder / "ray") == pair.contents_with_local(harness_fork)


def test_submitit_ends_as_local_does_after_a_killed_job_and_a_killed_command(
    pair: Pair, harness_fork: HarnessCommand
) -> None:
    output = pair.run(
        "slurm", ["slurm", "--executor_args", "cluster=local"], {"base-0": _kill_parent, "tuned-0": _kill}
    )
    assert "died     base-0 (its worker or machine is lost); it is run again" in output
    assert "died     tuned-0 (signal 9); it is run again" in output
    check_events(pair.log)
    assert contents(pair.study.folder / "slurm") == pair.contents_with_local(harness_fork)


def test_slurm_gets_one_array_for_what_is_ready_together_and_old_jobs_are_cancelled(
    study: Study, site: Path, harness_fork: HarnessCommand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = slurm_commands.install(tmp_path / "slurm")
    monkeypatch.setenv("PATH", os.pathsep.join([str(commands), os.environ["PATH"]]))
    study.fields |= {"factors": {"seed": [0, 1]}, "evaluate": [], "compare": None}
    study.fields["stages"] = {
        "base": {"stage": "fake", "seed": "{seed}", "needs": {"cpus": 2, "memory_gb": 3}},
        "tuned": {"stage": "fake", "seed": "{seed}", "from": "base"},
    }
    study.write()
    (tmp_path / "out" / "executor" / "5_1").mkdir(parents=True)  # of a run that was killed
    words = ["--only", "base", "--executor", "slurm", "--executor_args", "slurm_partition=cpu"]
    done = harness_fork("run", study.path, "--output_path", tmp_path / "out", *words)
    assert done.returncode == 0, done.stderr
    (scancel, jobs), (sbatch, script) = slurm_commands.calls(commands)
    assert (scancel, jobs, sbatch) == ("scancel", "5_1", "sbatch")
    options = {line.removeprefix("#SBATCH --") for line in script.splitlines() if line.startswith("#SBATCH")}
    assert {"array=0-1%2", "cpus-per-task=2", "mem=3GB", "partition=cpu", "time=1440", "job-name=base-0"} <= options
    assert len(list((tmp_path / "out" / "nodes").glob("*/base-*/model.safetensors"))) == 2


def test_a_cluster_that_accepts_a_connection_and_says_nothing_is_one_line(
    study: Study, harness_fork: HarnessCommand, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        words = ["--executor", "ray", "--ray_address", address]
        done = harness_fork("run", study.path, "--output_path", tmp_path / "out", *words)
    assert done.returncode == 2
    assert f"--ray_address {address}: does not answer within 10 s" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_needs_that_no_ray_machine_has_are_one_line(study: Study, harness_fork: HarnessCommand, tmp_path: Path) -> None:
    study.write({"needs": {"train": {"gpus": 99}}, "evaluate": [], "compare": None})
    done = harness_fork("run", study.path, "--output_path", tmp_path / "out", "--executor", "ray")
    assert done.returncode == 2
    assert "no machine of the cluster has what a node needs (CPU 1, GPU 99)" in done.stderr
    assert "the machines have CPU " in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


OWN_CLUSTER = """
import time
from pathlib import Path
from harness.study.executors import Options
from harness.study.executors.ray import RayExecutor
executor = RayExecutor(Options(folder=Path("out"), arguments={}))
print("up", flush=True)
time.sleep(600)
"""


@pytest.mark.slow
def test_a_cluster_of_its_own_ends_with_a_killed_run(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", OWN_CLUSTER], stdout=subprocess.PIPE, text=True, cwd=ROOT) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == "up\n"
        started = psutil.Process(run.pid).children(recursive=True)
        assert len(started) > 3
        run.kill()
    _, left = psutil.wait_procs(started, timeout=20)
    assert not left


@pytest.mark.parametrize("word", ["queue=high", "factors.seed=[0]", "timeout_min=2h", "slurm_queue=a"])
def test_arguments_that_submitit_refuses_are_one_line(word: str, tmp_path: Path) -> None:
    name, _, value = word.partition("=")
    with pytest.raises(InputError, match=rf"submitit refuses them .*{name.rpartition('_')[2]}") as refusal:
        SlurmExecutor(Options(folder=tmp_path / "out", arguments={"cluster": "local", name: value}))
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "out").exists()


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of Slurm's commands."""
    commands = slurm_commands.install(tmp_path / "slurm")
    monkeypatch.setenv("PATH", os.pathsep.join([str(commands), os.environ["PATH"]]))
    monkeypatch.setattr("harness.study.executors.slurm.SECONDS_BETWEEN", 0)
    return commands


def _job(folder: Path, name: str, needs: NeedsSpec) -> Job:
    return Job(name=name, words=("--version",), locks=(), log=folder / f"{name}.log", cwd=folder, needs=needs)


def test_each_slurm_job_asks_for_its_own_needs_only(slurm: Path, tmp_path: Path) -> None:
    executor = SlurmExecutor(Options(folder=tmp_path / "executor", arguments={"mem_gb": "3.5"}))
    executor.submit([_job(tmp_path, "large", NeedsSpec(cpus=2, gpus=1)), _job(tmp_path, "small", NeedsSpec())])
    large, small = (text for _, text in slurm_commands.calls(slurm))
    assert "#SBATCH --gpus-per-node=1" in large
    assert "#SBATCH --mem=3584MB" in large
    assert "gpus-per-node" not in small


def test_a_passing_refusal_of_sbatch_ends_nothing_and_a_lasting_one_fails_its_nodes_only(
    slurm: Path, tmp_path: Path
) -> None:
    executor = SlurmExecutor(Options(folder=tmp_path / "executor", arguments={}))
    slurm_commands.refuse(slurm, times=99)
    with pytest.raises(InputError, match=r"sbatch refuses the job .*Socket timed out"):
        executor.submit([_job(tmp_path, "early", NeedsSpec())])
    slurm_commands.refuse(slurm, times=1)
    (taken,) = executor.submit([_job(tmp_path, "taken", NeedsSpec())])
    slurm_commands.refuse(slurm, times=99)
    (refused,) = executor.submit([_job(tmp_path, "refused", NeedsSpec())])
    assert executor.poll(refused) == 1
    assert "sbatch refuses the job: " in (tmp_path / "refused.log").read_text()
    executor.cancel(refused)
    wait_until(lambda: executor.poll(taken) is not None, "the job ends")
    assert executor.poll(taken) == 0
