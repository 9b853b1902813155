"""An installed distribution for these tests: the stage `fake`, and the executor `fork`.

`fake` trains nothing: it takes steps that can be resumed, and saves a tiny model that depends on its spec and parent.
`fork` runs a node's command in a fork of the runner, which spares the imports. Both note what they do (`observer`).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from harness.checkpoints import resolve
from harness.checkpoints.checkpoint import Checkpoint
from harness.checkpoints.identity import checkpoint_digest
from harness.checkpoints.stage_manifest import Parent, StageManifest, read_manifest, write_manifest
from harness.study.executors import Job, Options
from harness.study.executors.process import end_with, lock
from harness.study.folder import StudyFolder
from harness.study.states import node_states
from tests.study.observer import began, note

STEPS, STEP_SECONDS = 5, 0.02
WEIGHTS = "model.safetensors"


def train(spec: Mapping[str, Any], out_dir: Path) -> Checkpoint:
    """Take the steps that are left, and save a model."""
    earlier = read_manifest(out_dir)
    if earlier is not None and earlier.finished:
        return resolve(str(out_dir))
    out_dir.mkdir(parents=True, exist_ok=True)
    if spec.get("fails"):
        print("step 1\nthis stage fails", file=sys.stderr)
        raise SystemExit(3)
    if spec.get("dies_once") and not (out_dir / "died").exists():
        (out_dir / "died").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    while "waits_for" in spec and not Path(spec["waits_for"]).exists():
        time.sleep(STEP_SECONDS)
    progress = out_dir / "progress"
    for _ in range(STEPS - (len(progress.read_text()) if progress.exists() else 0)):
        time.sleep(STEP_SECONDS)
        with progress.open("a") as file:
            file.write(".")
    parents: tuple[Parent, ...] = ()
    if "from" in spec:
        parent = resolve(str(spec["from"]))
        parents = (Parent(name=parent.name, source=str(spec["from"]), digest=checkpoint_digest(parent)),)
    for state in spec.get("saves", ()):
        (out_dir / "training" / state).mkdir(parents=True, exist_ok=True)
        _save_model(out_dir / "training" / state, seed=len(state))
    what = [sorted((k, str(v)) for k, v in spec.items() if k not in ("from", "name")), [one.digest for one in parents]]
    _save_model(out_dir, seed=int(hashlib.sha256(json.dumps(what).encode()).hexdigest()[:6], 16))
    manifest = StageManifest(
        stage="fake", name=str(spec["name"]), finished=True, step=STEPS, parents=parents,
        digest=checkpoint_digest(resolve(str(out_dir))), trainer={}, arguments={}, seed=int(spec.get("seed", 0)),
        spec=dict(spec), mixture={}, budget_tokens=100, tokens=100, sequences=1, sources=(), ledger=(),
        wall_seconds=0.0, started="", device="cpu",
    )  # fmt: skip
    write_manifest(out_dir, manifest)
    checkpoint = resolve(str(out_dir))
    if spec.get("damaged"):
        (out_dir / WEIGHTS).write_bytes(b"damaged")
    note("trained", out_dir.name)
    if spec.get("fails_at_end"):
        raise SystemExit(1)
    return checkpoint


def _save_model(folder: Path, *, seed: int) -> None:
    """Save the tiny model that `install` has made, with other weights: importing transformers would take seconds."""
    template = Path(str(distribution("fakes").locate_file("template")))
    for file in template.iterdir():
        if file.name != WEIGHTS:
            shutil.copy(file, folder)
    rng = np.random.default_rng(seed)
    weights = load_file(template / WEIGHTS)
    weights = {name: weights[name] + rng.normal(0, 0.02, weights[name].shape).astype("f4") for name in sorted(weights)}
    save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})


def plan(spec: Mapping[str, Any], *, estimate: bool = False, keep: Path | None = None) -> Mapping[str, Any]:
    """Say what the trainers of this project say."""
    stage = {"parameters": spec.get("parameters", "1,000"), "steps": f"{STEPS}"}
    if estimate and keep is not None:
        if spec.get("too_large"):
            raise MemoryError("CUDA out of memory.\nTried to allocate 9 GiB")
        train({**spec, "seed": 0}, keep)
        stage["seconds per step"] = f"{STEP_SECONDS}"
        if spec.get("counts_threads"):
            import torch

            stage["seconds per step"] = f"{torch.get_num_threads()}"
    return {"spec": dict(spec), "budget": [{"tokens": "100"}], "stage": stage}


class ForkExecutor:
    """Forks for each job."""

    def __init__(self, options: Options) -> None:
        self.slots: int | None = options.jobs

    def submit(self, jobs: Sequence[Job]) -> list[int]:
        """Fork for each job."""
        return [self._fork(job) for job in jobs]

    def _fork(self, job: Job) -> int:
        """Fork; the child runs the command."""
        from harness.cli import main

        parent, child = os.getpid(), os.fork()
        if child == 0:
            end_with(parent)
            lock(job.locks)
            began(job.locks)
            with job.log.open("a") as log:
                os.dup2(log.fileno(), 1)
                os.dup2(log.fileno(), 2)
            sys.stdout, sys.stderr = (os.fdopen(number, "w", closefd=False) for number in (1, 2))  # pytest's until now
            sys.argv = ["harness", *job.words]  # pages and records show it
            code = main(job.words)
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
        return child

    def poll(self, handle: int) -> int | None:
        """Return the exit code."""
        pid, status = os.waitpid(handle, os.WNOHANG)
        return os.waitstatus_to_exitcode(status) if pid else None

    def cancel(self, handle: int) -> None:
        """Kill the fork."""
        os.kill(handle, signal.SIGKILL)
        os.waitpid(handle, 0)


class DyingExecutor(ForkExecutor):
    """Lets the first command with several evaluations die when one of them is done."""

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self._killed: int | None = None

    def _fork(self, job: Job) -> int:
        after_models = job.words.index("--tasks") if job.words[0] == "eval" else 0
        if self._killed is not None or after_models <= 3:
            return super()._fork(job)
        self._killed = super()._fork(replace(job, words=(*job.words[:3], *job.words[after_models:])))
        return self._killed

    def poll(self, handle: int) -> int | None:
        """Return the exit code, or the signal."""
        code = super().poll(handle)
        return -signal.SIGKILL if code is not None and handle == self._killed else code


class QueueExecutor(ForkExecutor):
    """Starts a job when it was polled ten times, and notes the states of all nodes just before."""

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self._study = StudyFolder(options.folder.parent)
        self._queued: list[Job] = []
        self._polls = 0
        self._started: list[int] = []

    def submit(self, jobs: Sequence[Job]) -> list[int]:
        """Queue each job; the handle is its place."""
        self._queued += jobs
        self._started += [0] * len(jobs)
        return list(range(len(self._queued) - len(jobs), len(self._queued)))

    def poll(self, handle: int) -> int | None:
        """Return the exit code."""
        if self._started[handle]:
            return super().poll(self._started[handle])
        self._polls += 1
        if self._polls % 10 == 0:
            states = {state.label: state.state for state in node_states(self._study)}
            note("leaves the queue", self._queued[handle].name, states=states, at=time.monotonic())
            self._started[handle] = self._fork(self._queued[handle])
        return None

    def cancel(self, handle: int) -> None:
        """Kill the fork, if there is one."""
        if self._started[handle]:
            super().cancel(self._started[handle])


def install(site: Path) -> Path:
    """Write the distribution; whoever has `site` on its path finds the stage and the executor."""
    from tests.models import save_tiny_llama

    site.mkdir(parents=True)
    save_tiny_llama(site / "template")
    (site / "sitecustomize.py").write_text("from tests.study.observer import observe\n\nobserve()\n")
    info = site / "fakes-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: fakes\nVersion: 1.0\n")
    module = "tests.study.package"
    (info / "entry_points.txt").write_text(
        f"[harness.trainers]\nfake = {module}:train\n\n[harness.planners]\nfake = {module}:plan\n\n"
        f"[harness.executors]\nfork = {module}:ForkExecutor\n"
        f"queue = {module}:QueueExecutor\ndying = {module}:DyingExecutor\n"
    )
    return site
