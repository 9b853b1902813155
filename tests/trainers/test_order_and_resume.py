"""Training consumes the stream in order, and a kill changes nothing.

The kills are real: SIGKILL at a random step, to a process started by the command line.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from accelerate.data_loader import IterableDatasetShard  # type: ignore[import-untyped]
from safetensors.torch import load_file
from transformers import Trainer

from harness.checkpoints.stage_manifest import read_manifest
from harness.trainers import dpo, grpo, kto, pretrain, sft
from harness.trainers.data.stream_dataset import StreamDataset, StreamLog, stream_at
from harness.trainers.stage.prepare import prepare
from harness.trainers.stage.steps import plan_steps
from tests.killing import killed_often
from tests.trainers.helpers import (
    CPU,
    chat_model,
    documents,
    instructions,
    losses,
    marked_answers,
    preferences,
    write_jsonl,
)
from tests.waiting import CEILING_SECONDS, wait_until

METHODS = {"pretrain": pretrain, "sft": sft, "dpo": dpo, "kto": kto, "grpo": grpo}
FORMS = {
    "pretrain": "text", "sft": "instruction", "dpo": "preference", "kto": "marked_answer", "grpo": "problem",
}  # fmt: skip


def records_for(stage: str, count: int, seed: int) -> list[dict[str, Any]]:
    if stage == "grpo":
        return [{"question": r["instruction"], "answer": "cat"} for r in instructions(count, seed)]
    make: Any = {"pretrain": documents, "sft": instructions, "dpo": preferences, "kto": marked_answers}[stage]
    records: list[dict[str, Any]] = make(count, seed)
    return records


def two_sources(folder: Path, stage: str, budget: int, **trainer: Any) -> dict[str, Any]:
    """A stage with two phases, two sources and a tiny parent."""
    parent = folder / "parent"
    if not parent.exists():
        chat_model(parent)
    sources = {
        name: {
            "path": str(write_jsonl(folder / f"{stage}-{name}.jsonl", records_for(stage, 50, seed))),
            "format": FORMS[stage],
        }
        for seed, name in enumerate(("text", "code"))
    }
    return {
        "stage": stage,
        "name": f"{stage}-two",
        "from": str(parent),
        "seed": 3,
        "data": {
            "budget_tokens": budget,
            "sources": sources,
            "mixture": {"schedule": "stepwise", "phases": [{"text": 1, "code": 0}, {"text": 1, "code": 3}]},
        },
        "trainer": {**CPU, **trainer},
    }


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("stage", ["pretrain", "sft"])
def test_the_batches_trained_on_are_the_stream_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str, workers: int
) -> None:
    spec = two_sources(tmp_path, stage, 64 * 92, max_length=64, dataloader_num_workers=workers)
    trained: list[list[int]] = []
    original = Trainer.training_step

    def recording(self: Any, model: Any, inputs: Any, *args: Any, **more: Any) -> Any:
        keep = inputs.get("attention_mask", torch.ones_like(inputs["input_ids"])).bool()
        trained.extend(ids[kept].tolist() for ids, kept in zip(inputs["input_ids"], keep, strict=True))
        return original(self, model, inputs, *args, **more)

    monkeypatch.setattr(Trainer, "training_step", recording)
    METHODS[stage].train(spec, tmp_path / "out")
    job = prepare(METHODS[stage].METHOD, spec, tmp_path / "elsewhere")
    streamed = list(job.mixture.stream())
    assert trained == [sequence.columns["input_ids"] for sequence in streamed]
    phases = [sequence.phase for sequence in streamed]
    assert phases == sorted(phases)
    assert set(phases) == {0, 1}
    assert not any("code" in sequence.sources for sequence in streamed if sequence.phase == 0)
    manifest = read_manifest(tmp_path / "out")
    assert manifest is not None
    assert manifest.sequences == len(trained)
    assert manifest.tokens == sum(map(len, trained)), "the ledger counts the tokens trained on"


@pytest.fixture
def sampled(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The examples of every batch that a trainer is given from now on."""
    examples: list[dict[str, Any]] = []
    original = Trainer.training_step

    def recording(self: Any, model: Any, inputs: Any, *args: Any, **more: Any) -> Any:
        examples.extend(inputs)
        return original(self, model, inputs, *args, **more)

    monkeypatch.setattr(Trainer, "training_step", recording)
    return examples


def test_grpo_samples_the_prompts_in_the_order_of_the_stream(tmp_path: Path, sampled: list[dict[str, Any]]) -> None:
    spec = two_sources(tmp_path, "grpo", 1500, num_generations=2, max_completion_length=2)
    grpo.train(spec, tmp_path / "out")
    streamed = [s.columns["prompt"] for s in prepare(grpo.METHOD, spec, tmp_path / "elsewhere").mixture.stream()]
    prompts = [example["prompt"] for example in sampled]
    assert [next(group) for _, group in itertools.groupby(prompts, key=json.dumps)] == streamed[: len(sampled) // 2]


def test_grpo_asks_a_chat_model_for_answers_and_programs_in_one_batch(
    tmp_path: Path, sampled: list[dict[str, Any]]
) -> None:
    program = {"prompt": "def f():\n", "tests": "assert f() == 1", "entry_point": "f", "setup": ""}
    path = write_jsonl(tmp_path / "both.jsonl", [{"question": "a cat?", "answer": "cat"}, program] * 4)
    spec = {
        "stage": "grpo", "name": "both", "from": str(chat_model(tmp_path / "parent")),
        "data": {"budget_tokens": 60, "shuffle": False, "sources": {"one": {"path": str(path), "format": "problem"}}},
        "trainer": {**CPU, "num_generations": 2, "per_device_train_batch_size": 4, "max_completion_length": 4},
    }  # fmt: skip
    grpo.train(spec, tmp_path / "out")
    begun = {example["prompt"][0]["content"]: example["begun"] for example in sampled}
    assert begun == {"a cat?": "", "def f():\n": "def f():\n"}


def test_devices_share_the_stream_without_changing_it(tmp_path: Path) -> None:
    job = prepare(pretrain.METHOD, two_sources(tmp_path, "pretrain", 64 * 48, max_length=64), tmp_path / "out")
    plan_steps(job, None)
    whole = [s.columns["input_ids"] for s in job.mixture.stream()]
    shards = []
    for rank in range(2):
        dataset = StreamDataset(job.mixture, job.n_sequences, StreamLog(tmp_path / "log.jsonl"), writes=False)
        shard = IterableDatasetShard(dataset, batch_size=4, num_processes=2, process_index=rank)
        shards.append([row["input_ids"] for row in shard])
    together = []
    for begin in range(0, len(shards[0]), 4):
        together += shards[0][begin : begin + 4] + shards[1][begin : begin + 4]
    assert together == whole


def test_two_processes_train_like_one_with_twice_the_batch(tmp_path: Path, own_cache: Path) -> None:
    """The same stage file under a launcher: both processes read the stream, one of them writes and prints."""
    more: dict[str, Any] = {"max_length": 64, "save_steps": 5, "lr_scheduler_type": "constant"}
    spec = two_sources(tmp_path, "sft", 3000, **more)
    stage_file = tmp_path / "stage.yaml"
    stage_file.write_text(yaml.safe_dump(spec), encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0)) as free:  # the default port may be in use, by another test run for one
        port = free.getsockname()[1]
    launch = ["-m", "torch.distributed.run", "--nproc_per_node", "2", "--master_addr", "127.0.0.1"]
    launch += ["--master_port", str(port)]
    done = subprocess.run(
        [sys.executable, *launch, "-m", "harness", "train", str(stage_file), "--output_path", str(tmp_path / "two")],
        env={**os.environ, "HARNESS_CACHE_DIR": str(own_cache), "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, check=False, timeout=CEILING_SECONDS,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count(" sequences, ") == 1, done.stdout
    spec["trainer"]["per_device_train_batch_size"] = 4
    sft.train(spec, tmp_path / "one")
    one, two = (read_manifest(tmp_path / name) for name in ("one", "two"))
    assert one is not None
    assert two is not None
    assert two.device.endswith("x 2")
    assert two.sequences == one.sequences // 4 * 4, "a partial last batch is left out"
    assert two.sequences == 4 * two.step
    alone, together = losses(tmp_path / "one"), losses(tmp_path / "two")
    assert len(together) == two.step > 10
    assert together == pytest.approx(alone[: two.step], abs=1e-4)


def test_resuming_reads_the_stream_only_from_the_last_log_entry(tmp_path: Path) -> None:
    job = prepare(sft.METHOD, two_sources(tmp_path, "sft", 20_000), tmp_path / "out")
    plan_steps(job, log := StreamLog(tmp_path / "log.jsonl"))
    whole = [s.columns["input_ids"] for s in job.mixture.stream()]
    dataset = StreamDataset(job.mixture, job.n_sequences, log)
    dataset.n_skipped = skipped = job.n_sequences - 70
    rows = [row["input_ids"] for row in dataset]
    assert len(rows) == len(whole)
    assert rows[skipped:] == whole[skipped:]
    entry = log.last(skipped)
    assert entry is not None
    assert skipped - 64 < entry["index"] <= skipped
    assert stream_at(job.mixture, log, skipped).index == skipped


def test_the_recent_states_equal_the_streams_and_are_few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.trainers.data.stream_dataset.STATES_KEPT", 8)
    job = prepare(sft.METHOD, two_sources(tmp_path, "sft", 3000, max_length=64), tmp_path / "out")
    log = StreamLog(tmp_path / "log.jsonl")
    dataset = StreamDataset(job.mixture, 40, log)
    assert len(list(dataset)) == 40
    assert list(dataset.recent_states) == list(range(33, 41))
    for index in dataset.recent_states:
        assert dataset.recent_states[index] == stream_at(job.mixture, log, index).state()


def test_a_log_entry_cut_short_by_a_kill_is_skipped(tmp_path: Path) -> None:
    log = StreamLog(tmp_path / "log.jsonl")
    log.append({"index": 64})
    with log.path.open("a") as file:
        file.write('{"index": 12')
    log.append({"index": 128})
    assert [entry["index"] for entry in log.entries()] == [64, 128]
    assert log.last() == {"index": 128}


def test_a_partial_last_batch_and_accumulation_are_trained_on(tmp_path: Path) -> None:
    spec = two_sources(
        tmp_path, "pretrain", 64 * 21, max_length=64, per_device_train_batch_size=4, gradient_accumulation_steps=4
    )
    pretrain.train(spec, tmp_path / "out")
    manifest = read_manifest(tmp_path / "out")
    assert manifest is not None
    assert (manifest.sequences, manifest.step, manifest.tokens) == (21, 2, 64 * 21)


@pytest.mark.parametrize("stage", sorted(METHODS))
def test_a_stage_killed_after_its_last_state_takes_no_further_step(tmp_path: Path, own_cache: Path, stage: str) -> None:
    more = {"num_generations": 2, "max_completion_length": 4} if stage == "grpo" else {"max_length": 64}
    spec = two_sources(tmp_path, stage, 800 if stage == "grpo" else 64 * 12, save_steps=1, **more)
    out = tmp_path / "out"
    METHODS[stage].train(spec, out)
    expected = read_manifest(out)
    assert expected is not None
    assert (out / "training" / f"checkpoint-{expected.step}").is_dir()
    weights = load_file(out / "model.safetensors")
    for name in ("stage.json", "model.safetensors"):  # what a kill before the end of the saving leaves
        (out / name).unlink()
    METHODS[stage].train(spec, out)
    manifest = read_manifest(out)
    assert manifest is not None
    assert (manifest.step, manifest.ledger, manifest.resumed) == (expected.step, expected.ledger, 1)
    again = load_file(out / "model.safetensors")
    assert all(torch.equal(weights[key], again[key]) for key in weights)


def start(stage_file: Path, out: Path, cache: Path) -> subprocess.Popen[bytes]:
    env = {**os.environ, "HARNESS_CACHE_DIR": str(cache), "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-m", "harness", "train", str(stage_file), "--output_path", str(out)]
    return subprocess.Popen(words, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def finish(process: subprocess.Popen[bytes]) -> None:
    output, _ = process.communicate(timeout=CEILING_SECONDS)
    assert process.returncode == 0, output.decode()


def kill_after(process: subprocess.Popen[bytes], out: Path, step: int) -> None:
    """SIGKILL once the state of `step` begins to be written, wherever that is then."""

    def begun() -> bool:  # a later state counts too: only the last three stay
        states = (out / "training").glob("checkpoint-*")
        return any(int(state.name.partition("-")[2]) >= step for state in states)

    wait_until(begun, f"the state of step {step} is being written", process=process, interval_seconds=0.002)
    time.sleep(random.uniform(0, 0.3))
    process.send_signal(signal.SIGKILL)
    process.communicate()


@pytest.mark.parametrize(
    ("stage", "budget", "more"),
    [
        ("pretrain", 64 * 2 * 60, {}),
        ("sft", 6000, {"adapter": {"r": 4, "dropout": 0.2}}),
        pytest.param("dpo", 12_000, {"adapter": {"r": 4, "dropout": 0.2}}, marks=pytest.mark.slow),
        pytest.param("kto", 6000, {"adapter": {"r": 4, "dropout": 0.2}}, marks=pytest.mark.slow),
        pytest.param("grpo", 2500, {}, marks=pytest.mark.slow),
        pytest.param("grpo", 1500, {"trainer": {"num_iterations": 2, "save_steps": 2}}, marks=pytest.mark.slow),
    ],
    ids=["pretrain", "sft", "dpo", "kto", "grpo", "grpo, two steps per generation"],
)
def test_a_stage_killed_at_a_random_step_ends_with_the_same_weights(
    tmp_path: Path, own_cache: Path, stage: str, budget: int, more: dict[str, Any]
) -> None:
    trainer = {"num_generations": 2, "max_completion_length": 4} if stage == "grpo" else {"max_length": 64}
    trainer |= {"save_steps": 1, "save_total_limit": 3, **more.pop("trainer", {})}
    spec = two_sources(tmp_path, stage, budget, **trainer) | more
    stage_file = tmp_path / "stage.yaml"
    stage_file.write_text(yaml.safe_dump(spec), encoding="utf-8")
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    finish(start(stage_file, whole, own_cache))
    expected = read_manifest(whole)
    assert expected is not None
    every = trainer["save_steps"]
    step = random.randint(2, expected.step // 2) // every * every
    kill_after(start(stage_file, killed, own_cache), killed, step)
    assert not (killed / "stage.json").exists(), "killed before the end"
    finish(start(stage_file, killed, own_cache))
    manifest = read_manifest(killed)
    assert manifest is not None
    assert manifest.resumed == 1, f"killed after step {step}"
    name = "adapter_model.safetensors" if more else "model.safetensors"
    first, second = load_file(whole / name), load_file(killed / name)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[key], second[key]) for key in first), f"killed after step {step}"
    assert manifest.ledger == expected.ledger
    assert [source.model_dump() for source in manifest.sources] == [s.model_dump() for s in expected.sources]


@pytest.mark.slow  # reduced twin: the test above
@pytest.mark.parametrize("stage", sorted(METHODS))
def test_a_stage_killed_eight_times_at_random_moments_ends_with_the_same_weights(
    tmp_path: Path, own_cache: Path, stage: str
) -> None:
    trainer = {"num_generations": 2, "max_completion_length": 4} if stage == "grpo" else {"max_length": 64}
    spec = two_sources(tmp_path, stage, 2500 if stage == "grpo" else 24_000, **trainer, save_steps=2)
    stage_file = tmp_path / "stage.yaml"
    stage_file.write_text(yaml.safe_dump(spec), encoding="utf-8")
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    began = time.monotonic()
    assert killed_often(["train", stage_file, "--output_path", whole], kills=0, longest=0, cache=own_cache) == [0]
    longest = (time.monotonic() - began) / 8  # killed in the first half, so that most kills meet a run
    codes = killed_often(["train", stage_file, "--output_path", killed], kills=8, longest=longest, cache=own_cache)
    assert codes[-1] == 0
    assert codes.count(-signal.SIGKILL) >= 5, codes
    expected, manifest = read_manifest(whole), read_manifest(killed)
    assert expected is not None
    assert manifest is not None
    first, second = load_file(whole / "model.safetensors"), load_file(killed / "model.safetensors")
    assert all(torch.equal(first[key], second[key]) for key in first), codes
    assert (manifest.ledger, manifest.sources, manifest.digest) == (
        expected.ledger, expected.sources, expected.digest,
    )  # fmt: skip
