"""A stage on several devices is trained by one process per device; they end with the run and resume together."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import psutil  # type: ignore[import-untyped]
import pytest
import yaml
from safetensors.numpy import load_file

from harness.checkpoints.stage_manifest import read_manifest
from harness.engines.replicated.devices import VISIBLE
from harness.errors import InputError
from harness.study.executors import Job, Options, environment_of
from harness.study.executors.local import LocalExecutor
from harness.study.executors.needs import NeedsSpec
from harness.study.experiment import read_experiment
from harness.study.graph import build_graph
from harness.study.nodes import Graph, Training
from harness.trainers import pretrain
from tests.conftest import ROOT
from tests.trainers.helpers import CPU, instructions, write_jsonl
from tests.waiting import wait_until


def _stage(folder: Path, batch: int) -> dict[str, Any]:
    text = write_jsonl(folder / "text.jsonl", [{"text": row["output"] * 4} for row in instructions(80)])
    trainer = {**CPU, "max_length": 64, "per_device_train_batch_size": batch, "save_steps": 4,
               "lr_scheduler_type": "constant"}  # fmt: skip
    return {
        "stage": "pretrain", "name": "base", "seed": 0, "architecture": "tiny", "tokenizer": {"vocab_size": 300},
        "data": {"budget_tokens": 64 * 64, "sources": {"text": {"path": str(text)}}}, "trainer": trainer,
    }  # fmt: skip


def _graph(folder: Path, stages: Mapping[str, Any]) -> Graph:
    path = folder / "experiment.yaml"
    path.write_text(yaml.safe_dump({"name": "devices", "stages": stages, "overlap": False}))
    return build_graph(read_experiment(path))


def _processes_with(word: str) -> list[psutil.Process]:
    return [each for each in psutil.process_iter(["cmdline"]) if word in " ".join(each.info["cmdline"] or ())]


@pytest.mark.parametrize("killed", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_two_processes_train_like_one_with_twice_the_batch_and_end_with_a_killed_run(
    killed: bool, tmp_path: Path, own_cache: Path
) -> None:
    (node,) = _graph(tmp_path, {"base": _stage(tmp_path, 2) | {"needs": {"gpus": 2}}}).values()
    out = tmp_path / "out"
    checkpoint = out / "nodes" / node.key / "base"
    words = [sys.executable, "-m", "harness", "run", str(tmp_path / "experiment.yaml"), "--output_path", str(out)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    if killed:
        with subprocess.Popen(words, env=environment, cwd=ROOT, stderr=subprocess.DEVNULL) as run:
            state = checkpoint / "training" / "checkpoint-4" / "stage.json"
            wait_until(state.exists, "a state is saved", process=run)
            run.kill()
        wait_until(lambda: not _processes_with(str(checkpoint)), "all its processes end")
        assert not (checkpoint / "stage.json").exists(), "killed before the end"
    done = subprocess.run(words, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr + (out / "nodes" / node.key / "log").read_text()[-2000:]
    manifest = read_manifest(checkpoint)
    assert manifest is not None
    assert (manifest.device.rpartition(" x ")[2], manifest.resumed) == ("2", int(killed))
    pretrain.train(_stage(tmp_path, 4), tmp_path / "one")
    one, two = (load_file(place / "model.safetensors") for place in (tmp_path / "one", checkpoint))
    for name, weights in one.items():
        np.testing.assert_allclose(two[name], weights, atol=1e-4, err_msg=name)


def test_there_is_one_process_per_gpu_and_a_different_number_gives_a_different_node(
    tmp_path: Path, own_cache: Path
) -> None:
    def base(**more: Any) -> tuple[str, int]:
        (node,) = _graph(tmp_path, {"base": {**_stage(tmp_path, 2), **more}}).values()
        assert isinstance(node.work, Training)
        return node.key, node.work.processes

    (plain, processes), one, two = base(), base(needs={"gpus": 1}), base(needs={"gpus": 2})
    assert processes == 1
    assert one == (plain, 1)
    assert (two[0] != plain, two[1]) == (True, 2)


@pytest.mark.parametrize(("cpus", "processes", "threads"), [(8, 1, "8"), (8, 4, "2"), (1, 2, "1")])
def test_processes_share_the_cores_of_their_node(cpus: int, processes: int, threads: str) -> None:
    assert environment_of(NeedsSpec(cpus=cpus), processes)["OMP_NUM_THREADS"] == threads


def _job(folder: Path, number: int, gpus: int) -> Job:
    """A job that writes down the GPUs it sees, and ends when the test lets it."""
    return Job(name=f"job-{number}", words=(), locks=(), log=folder / f"{number}.log", cwd=folder,
               needs=NeedsSpec(gpus=gpus))  # fmt: skip


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> dict[str, Mapping[str, str]]:
    """The variables of the jobs whose processes were started, by name; each process sleeps."""
    environments: dict[str, Mapping[str, str]] = {}

    def start(job: Job) -> subprocess.Popen[bytes]:
        environments[job.name] = job.environment
        return subprocess.Popen(["sleep", "600"], start_new_session=True)

    monkeypatch.setattr("harness.study.executors.local.start", start)
    return environments


def _executor(gpus: list[str], jobs: int, needs: int) -> LocalExecutor:
    options = Options(folder=Path("out"), jobs=jobs, arguments={}, needs=(NeedsSpec(gpus=needs),))
    return LocalExecutor(options, gpus)


def test_local_jobs_see_as_many_gpus_as_they_need_and_no_two_the_same(
    tmp_path: Path, started: dict[str, Mapping[str, str]]
) -> None:
    executor = _executor(["4", "5", "6"], jobs=4, needs=2)
    handles = executor.submit([_job(tmp_path, number, gpus) for number, gpus in enumerate([1, 2, 2, 0])])
    assert started == {"job-0": {VISIBLE: "4"}, "job-1": {VISIBLE: "5,6"}}
    assert executor.poll(handles[2]) is None, "it waits for two GPUs, and is not overtaken"
    process = handles[1].process
    assert process is not None
    process.kill()
    process.wait()
    assert executor.poll(handles[1]) == -9
    assert started == {"job-0": {VISIBLE: "4"}, "job-1": {VISIBLE: "5,6"}, "job-2": {VISIBLE: "5,6"}, "job-3": {}}
    for handle in handles:
        executor.cancel(handle)


def test_a_machine_without_gpus_leaves_the_variables_as_they_are(
    tmp_path: Path, started: dict[str, Mapping[str, str]]
) -> None:
    executor = _executor([], jobs=1, needs=2)
    (handle,) = executor.submit([_job(tmp_path, 0, 2)])
    assert started == {"job-0": {}}
    executor.cancel(handle)


def test_a_node_that_needs_more_gpus_than_there_are_is_refused() -> None:
    with pytest.raises(InputError, match=r"needs.gpus 3: a node needs more GPUs than the 2 of this machine"):
        _executor(["0", "1"], jobs=1, needs=3)
