"""The held-out loss: the right number, on records that are not trained on; keeping the best state; ending early."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import random
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest
import torch
import yaml
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer, Trainer, TrainingArguments

from harness.checkpoints.stage_manifest import StageManifest, read_manifest
from harness.errors import InputError
from harness.trainers import dpo, grpo, pretrain, sft
from harness.trainers.stage.config import ONLY_WITH, SET_BY_STAGE
from harness.trainers.stage.prepare import prepare
from tests.trainers.helpers import CPU, chat_model, documents, instructions, losses, preferences, write_jsonl
from tests.waiting import CEILING_SECONDS, wait_until

LENGTH = 64


def stage(folder: Path, name: str, **evaluate: Any) -> dict[str, Any]:
    """A stage whose held-out file has five of the training file's forty records, and four others."""
    parent = folder / "parent"
    if not parent.exists():
        chat_model(parent)
    make: Any = {"pretrain": documents, "sft": instructions, "dpo": preferences}[name]
    train, other = make(40), make(4, seed=9)
    sources = {"one": {"path": str(write_jsonl(folder / "train.jsonl", train))}}
    held_out = {"held": {"path": str(write_jsonl(folder / "held.jsonl", train[:5] + other))}}
    return {
        "stage": name, "name": f"{name}-held-out", "from": str(parent), "seed": 3,
        "data": {"budget_tokens": 1800, "sources": sources},
        "evaluate": {"sources": held_out, "every": 4, **evaluate},
        "trainer": {**CPU, "max_length": LENGTH},
    }  # fmt: skip


def trained(method: Any, spec: dict[str, Any], out: Path) -> StageManifest:
    method.train(spec, out)
    manifest = read_manifest(out)
    assert manifest is not None
    assert manifest.evaluation is not None
    return manifest


def nats_and_tokens(model: Any, rows: list[tuple[list[int], list[int]]]) -> tuple[float, int]:
    """The loss of each row alone, added up, and the number of tokens with a loss."""
    nats, tokens = 0.0, 0
    with torch.no_grad():
        for ids, labels in rows:
            count = sum(label != -100 for label in labels[1:])
            loss = model(input_ids=torch.tensor([ids]), labels=torch.tensor([labels])).loss
            nats, tokens = nats + loss.item() * count, tokens + count
    return nats, tokens


def test_the_loss_of_documents_is_that_of_each_one_alone(tmp_path: Path) -> None:
    spec = stage(tmp_path, "pretrain")
    evaluation = trained(pretrain, spec, tmp_path / "out").evaluation
    assert evaluation is not None
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "parent")
    texts = [json.loads(line)["text"] for line in (tmp_path / "held.jsonl").read_text().splitlines()]
    whole = [[*tokenizer(text)["input_ids"], tokenizer.eos_token_id] for text in texts]
    pieces = [ids[begin : begin + LENGTH] for ids in whole for begin in range(0, len(ids), LENGTH)]
    assert len(pieces) > len(whole), "a document is longer than a sequence"
    learned = sum(len(str(tokenizer.decode(p[1:], skip_special_tokens=True)).encode()) for p in pieces)
    assert evaluation["sources"]["held"]["text_bytes"] == learned
    assert evaluation["sources"]["held"]["records"] == len(texts)
    for step, folder in ((0, tmp_path / "parent"), (-1, tmp_path / "out")):
        model = AutoModelForCausalLM.from_pretrained(folder)
        nats, tokens = nats_and_tokens(model, [(ids, ids) for ids in pieces])
        measured = evaluation["curve"][step]["sources"]["held"]
        assert measured["loss"] == pytest.approx(nats / tokens, rel=1e-5)
        assert measured["bits_per_byte"] == pytest.approx(nats / math.log(2) / learned, rel=1e-5)


@pytest.mark.parametrize("packing", [False, True])
def test_the_loss_of_answers_is_that_of_their_tokens(tmp_path: Path, packing: bool) -> None:
    spec = stage(tmp_path, "sft")
    spec["trainer"] |= {"packing": packing, "per_device_eval_batch_size": 2}
    evaluation = trained(sft, spec, tmp_path / "out").evaluation
    assert evaluation is not None
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "parent")
    rows, answers = [], 0
    for line in (tmp_path / "held.jsonl").read_text().splitlines():
        record = json.loads(line)
        asked = f"<|user|>\n{record['instruction']}{tokenizer.eos_token}\n<|assistant|>\n"
        prompt = tokenizer(asked, add_special_tokens=False)["input_ids"]
        answer = tokenizer(f"{record['output']}{tokenizer.eos_token}\n", add_special_tokens=False)["input_ids"]
        rows.append(((prompt + answer)[:LENGTH], ([-100] * len(prompt) + answer)[:LENGTH]))
        answers += len(str(tokenizer.decode(rows[-1][1][len(prompt) :], skip_special_tokens=True)).encode())
    nats, tokens = nats_and_tokens(AutoModelForCausalLM.from_pretrained(tmp_path / "parent"), rows)
    first = evaluation["curve"][0]
    assert (first["step"], first["tokens"]) == (0, 0)
    assert first["sources"]["held"]["loss"] == pytest.approx(nats / tokens, rel=1e-5)
    assert evaluation["sources"]["held"]["text_bytes"] == answers
    assert first["sources"]["held"]["bits_per_byte"] == pytest.approx(nats / math.log(2) / answers, rel=1e-5)


def test_held_out_records_are_not_trained_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = stage(tmp_path, "sft")
    held_out = prepare(sft.METHOD, spec, tmp_path / "x").held_out[0].examples
    seen: list[list[int]] = []
    original = Trainer.training_step

    def recording(self: Any, model: Any, inputs: Any, *args: Any, **more: Any) -> Any:
        kept = inputs["attention_mask"].bool()
        seen.extend(ids[mask].tolist() for ids, mask in zip(inputs["input_ids"], kept, strict=True))
        return original(self, model, inputs, *args, **more)

    monkeypatch.setattr(Trainer, "training_step", recording)
    manifest = trained(sft, spec, tmp_path / "out")
    assert len(seen) == manifest.sequences > 30
    assert not any(example["input_ids"] in seen for example in held_out)
    assert manifest.sources[0].repeats == 1, "so each record came up"
    assert manifest.sources[0].held_out >= 5


def test_a_source_that_is_held_out_whole_is_an_error(tmp_path: Path) -> None:
    spec = stage(tmp_path, "sft")
    spec["evaluate"]["sources"]["held"]["path"] = spec["data"]["sources"]["one"]["path"]
    with pytest.raises(InputError, match=r"no record of .* can be used: each is empty, wrong or held out"):
        sft.train(spec, tmp_path / "out")


def test_the_curve_has_the_first_step_every_fourth_and_the_last(tmp_path: Path) -> None:
    manifest = trained(dpo, stage(tmp_path, "dpo"), tmp_path / "out")
    assert manifest.evaluation is not None
    curve = manifest.evaluation["curve"]
    steps = sorted({*range(0, manifest.step + 1, 4), manifest.step})
    assert [point["step"] for point in curve] == steps
    assert curve[-1]["tokens"] == manifest.tokens
    assert curve[0]["sources"]["held"] == {"loss": pytest.approx(math.log(2), abs=1e-6)}, "DPO begins at log 2"
    lines = [json.loads(line) for line in (tmp_path / "out" / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "eval_held_loss" in line] == steps


def test_the_best_state_is_kept(tmp_path: Path) -> None:
    spec = stage(tmp_path, "sft", keep="best", every=2)
    spec["trainer"] |= {"learning_rate": 0.3, "lr_scheduler_type": "constant", "save_total_limit": 50}  # gets worse
    manifest = trained(sft, spec, tmp_path / "out")
    assert manifest.evaluation is not None
    curve = manifest.evaluation["curve"][1:]
    best = min(curve, key=lambda point: float(point["loss"]))
    assert manifest.evaluation["kept_step"] == best["step"] < manifest.step
    kept = load_file(tmp_path / "out" / "model.safetensors")
    state = load_file(tmp_path / "out" / "training" / f"checkpoint-{best['step']}" / "model.safetensors")
    assert all(torch.equal(kept[name], state[name]) for name in kept)


def test_the_best_state_is_kept_even_if_it_would_not_have_been_saved(tmp_path: Path) -> None:
    spec = stage(tmp_path, "sft", keep="best", every=1)
    # So high a rate soon loses what the first steps gained, on any processor.
    spec["trainer"] |= {"learning_rate": 0.3, "lr_scheduler_type": "constant", "save_steps": 1000}
    manifest = trained(sft, spec, tmp_path / "out")
    assert manifest.evaluation is not None
    best = min(manifest.evaluation["curve"][1:], key=lambda point: float(point["loss"]))
    assert best["step"] < manifest.step, "the last state is saved anyway"
    assert manifest.evaluation["kept_step"] == best["step"]
    rows = prepare(sft.METHOD, spec, tmp_path / "x").held_out[0].examples
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    nats, tokens = nats_and_tokens(model, [(row["input_ids"], row["labels"]) for row in rows])
    assert nats / tokens == pytest.approx(best["loss"], rel=1e-5)


def test_a_stage_that_ended_early_ends_there_again_after_a_kill(tmp_path: Path) -> None:
    spec = stage(tmp_path, "sft", patience=2, every=2)
    spec["data"]["budget_tokens"] = 20_000
    spec["trainer"] |= {"learning_rate": 0.3, "lr_scheduler_type": "constant", "save_steps": 2}
    out = tmp_path / "out"
    first = trained(sft, spec, out)
    assert any("made no progress" in note for note in first.notes)
    weights = load_file(out / "model.safetensors")
    for name in ("stage.json", "model.safetensors"):  # what a kill before the end of the saving leaves
        (out / name).unlink()
    again = trained(sft, spec, out)
    assert (again.step, again.tokens, again.resumed) == (first.step, first.tokens, 1)
    resumed = load_file(out / "model.safetensors")
    assert all(torch.equal(weights[name], resumed[name]) for name in weights)


def test_a_kill_before_the_first_state_leaves_one_first_measurement(tmp_path: Path) -> None:
    spec = stage(tmp_path, "sft")
    out = tmp_path / "out"
    sft.train(spec, out)
    for path in (out / "training").glob("checkpoint-*"):
        shutil.rmtree(path)
    for name in ("stage.json", "model.safetensors"):
        (out / name).unlink()
    sft.train(spec, out)
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines].count(0) == 1


def test_held_out_records_in_another_format_are_left_out_too(tmp_path: Path) -> None:
    spec = stage(tmp_path, "sft")
    records = [json.loads(line) for line in (tmp_path / "held.jsonl").read_text().splitlines()]
    chats = [
        {"messages": [{"role": "user", "content": r["instruction"]}, {"role": "assistant", "content": r["output"]},
                      {"role": "user", "content": "And then?"}]}
        for r in records
    ]  # fmt: skip
    spec["data"]["sources"]["chats"] = {"path": str(write_jsonl(tmp_path / "chats.jsonl", chats)), "only_last": True}
    job = prepare(sft.METHOD, spec | {"data": {**spec["data"], "when_exhausted": "end"}}, tmp_path / "x")
    with pytest.raises(InputError, match=r"chats: no record of .* can be used: each is empty, wrong or held out"):
        list(job.mixture.stream())


def test_wrong_held_out_records_are_skipped_and_counted(tmp_path: Path) -> None:
    spec = stage(tmp_path, "sft")
    spec["data"]["when_bad"] = "skip"
    lines = (tmp_path / "held.jsonl").read_text().splitlines()
    long = json.dumps({"instruction": "a cat " * 80, "output": "sat"})
    (tmp_path / "held.jsonl").write_text("\n".join(["{", *lines, long]) + "\n")
    evaluation = trained(sft, spec, tmp_path / "out").evaluation
    assert evaluation is not None
    held = evaluation["sources"]["held"]
    assert (held["skipped"], held["dropped"], held["records"]) == (1, 1, 10)
    assert held["first_skipped"] == [f"{tmp_path / 'held.jsonl'}, line 1"]


def test_dpo_logs_its_training_metrics_with_the_steps_of_training(tmp_path: Path) -> None:
    spec = stage(tmp_path, "dpo", every=2)
    spec["trainer"] |= {"logging_steps": 3}
    trained(dpo, spec, tmp_path / "out")
    lines = [json.loads(line) for line in (tmp_path / "out" / "metrics.jsonl").read_text().splitlines()]
    for line in lines:
        names = {name for name in line if name.startswith(("rewards/", "eval_rewards/"))}
        assert names
        assert all(name.startswith("eval_") == ("eval_loss" in line) for name in names), line["step"]


def test_evaluation_data_that_chooses_a_state_is_recorded(tmp_path: Path) -> None:
    spec = stage(tmp_path, "sft", keep="best") | {"allow_eval_data": True}
    spec["evaluate"]["sources"]["logic"] = {"task": "mini_logic", "split": "test", "limit": 3}
    spec["trainer"]["max_length"] = 1024
    manifest = trained(sft, spec, tmp_path / "out")
    assert manifest.eval_data == ("mini_logic:test",)
    with pytest.raises(InputError, match=r"evaluate.sources.logic: mini_logic is evaluation data"):
        sft.train(spec | {"allow_eval_data": False}, tmp_path / "other")


def test_a_stage_without_progress_ends_early(tmp_path: Path) -> None:
    spec = stage(tmp_path, "sft", patience=2, every=2)
    spec["data"]["budget_tokens"] = 20_000
    spec["trainer"] |= {"learning_rate": 0.3, "lr_scheduler_type": "constant"}
    manifest = trained(sft, spec, tmp_path / "out")
    assert manifest.step < prepared_steps(spec, tmp_path)
    assert manifest.sequences == 2 * manifest.step
    assert manifest.tokens == sum(row.tokens for row in manifest.ledger) < 20_000
    assert manifest.evaluation is not None
    worse = [point["loss"] for point in manifest.evaluation["curve"][1:]]
    assert min(worse) == worse[-3], "two measurements without progress"
    assert manifest.evaluation["kept_step"] == manifest.step
    digest = manifest.digest
    sft.train(spec, tmp_path / "out")
    again = read_manifest(tmp_path / "out")
    assert again is not None
    assert (again.digest, again.step) == (digest, manifest.step)


def prepared_steps(spec: dict[str, Any], folder: Path) -> int:
    from harness.trainers.stage.steps import plan_steps

    job = prepare(sft.METHOD, spec, folder / "planned")
    plan_steps(job, None)
    return job.steps


def test_measuring_does_not_change_the_training(tmp_path: Path) -> None:
    spec = stage(tmp_path, "sft")
    spec["data"]["sources"]["one"]["skip"] = 5  # those that are held out
    spec["adapter"] = {"r": 4, "dropout": 0.2}  # draws random numbers
    sft.train(spec, tmp_path / "with")
    del spec["evaluate"]
    sft.train(spec, tmp_path / "without")
    assert losses(tmp_path / "with") == losses(tmp_path / "without")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"evaluate": {"sources": {"held": {"task": "mini_logic"}}, "every": 1}},
         "evaluate.sources.held.limit: is missing; mini_logic has no end; give a number of items."),
        ({"evaluate": {"sources": {"held": {"path": "nowhere.jsonl"}}, "every": 1}},
         "evaluate.sources.held.path: nowhere.jsonl: no file of a supported kind there"),
        ({"evaluate": {"sources": {"held": {"path": "held.jsonl"}}, "every": 1, "best_on": "other"}},
         "evaluate: best_on must be one of held"),
        ({"evaluate": {"sources": {"held": {"path": "held.jsonl"}}, "evry": 1}},
         "evaluate.evry: unknown key; allowed are sources, every, keep, best_on, patience. Did you mean every?"),
        ({"evaluate": {"sources": {"held": {"path": "held.jsonl"}}, "every": 4, "keep": "best"},
          "trainer": {**CPU, "save_steps": 3}},
         "trainer.save_steps: 3 is not a multiple of evaluate.every (4)"),
        ({"evaluate": None, "trainer": {**CPU, "eval_delay": 3}},
         "trainer.eval_delay: has no effect without an evaluate section"),
        ({"trainer": {**CPU, "run_name": "x"}}, "trainer.run_name: has no effect without trainer.report_to"),
    ],
)  # fmt: skip
def test_what_cannot_be_measured_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as caught:
        sft.train(stage(tmp_path, "sft") | change, tmp_path / "out")
    assert message in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_grpo_has_no_held_out_loss(tmp_path: Path) -> None:
    spec = stage(tmp_path, "sft") | {"stage": "grpo"}
    with pytest.raises(InputError, match="evaluate: grpo has no held-out loss"):
        grpo.train(spec, tmp_path / "out")


def test_other_held_out_records_are_another_stage(tmp_path: Path) -> None:
    spec = stage(tmp_path, "sft")
    sft.train(spec, tmp_path / "out")
    write_jsonl(tmp_path / "held.jsonl", instructions(3, seed=4))
    with pytest.raises(InputError, match="holds another stage"):
        sft.train(spec, tmp_path / "out")


# Fields of the library's configuration that a stage file may give. A new field of the library fails the test below:
# find out whether it has an effect here, and add it to this list or to those of `config`.
TAKES_EFFECT = """
    adam_beta1 adam_beta2 adam_epsilon average_tokens_across_devices bf16 dataloader_in_order
    dataloader_multiprocessing_context dataloader_num_workers dataloader_persistent_workers dataloader_pin_memory
    dataloader_prefetch_factor ddp_backend ddp_broadcast_buffers ddp_bucket_cap_mb ddp_find_unused_parameters
    ddp_static_graph ddp_timeout debug deepspeed enable_jit_checkpoint fp16 fsdp fsdp_config full_determinism
    gradient_accumulation_steps gradient_checkpointing gradient_checkpointing_kwargs include_num_input_tokens_seen
    label_smoothing_factor learning_rate liger_kernel_config log_level log_level_replica log_on_each_node
    logging_first_step logging_nan_inf_filter logging_steps logging_strategy lr_scheduler_kwargs lr_scheduler_type
    max_grad_norm neftune_noise_alpha optim optim_args optim_target_modules parallelism_config
    per_device_train_batch_size report_to save_on_each_node save_steps save_total_limit skip_memory_metrics tf32
    torch_compile torch_compile_backend torch_compile_mode torch_empty_cache_steps use_cache use_cpu use_liger_kernel
    warmup_steps weight_decay
"""


def test_no_field_of_the_library_is_accepted_without_effect() -> None:
    fields = {field.name for field in dataclasses.fields(TrainingArguments) if field.init}
    assert fields - {*SET_BY_STAGE, *ONLY_WITH} == set(TAKES_EFFECT.split())


def launched(stage_file: Path, out: Path, cache: Path) -> subprocess.Popen[str]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    # "--multi_gpu" starts several processes; the stage file keeps them on the CPU.
    words = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2",
             "--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no",
             "--main_process_ip", "127.0.0.1", "--main_process_port", str(port),
             "-m", "harness", "train", str(stage_file), "--output_path", str(out)]  # fmt: skip
    environment = {**os.environ, "HARNESS_CACHE_DIR": str(cache), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_two_processes_measure_like_one_and_resume_after_a_kill(tmp_path: Path, own_cache: Path) -> None:
    spec = stage(tmp_path, "sft", keep="best", every=3)
    spec["data"]["budget_tokens"] = 3000
    spec["trainer"] |= {"save_steps": 3, "lr_scheduler_type": "constant"}
    stage_file = tmp_path / "stage.yaml"
    stage_file.write_text(yaml.safe_dump(spec), encoding="utf-8")
    out = tmp_path / "two"
    process = launched(stage_file, out, own_cache)
    wait_until(lambda: (out / "training" / "checkpoint-3" / "stage.json").exists(), "a state is saved", process=process)
    time.sleep(random.uniform(0, 0.2))
    launcher = psutil.Process(process.pid)
    for each in (launcher, *launcher.children(recursive=True)):
        each.kill()
    process.communicate()
    assert not (out / "stage.json").exists(), "killed before the end"
    process = launched(stage_file, out, own_cache)
    output, _ = process.communicate(timeout=CEILING_SECONDS)
    assert process.returncode == 0, output[-2000:]
    assert "held out, held: loss " in output
    spec["trainer"]["per_device_train_batch_size"] = 4
    one = trained(sft, spec, tmp_path / "one").evaluation
    manifest = read_manifest(out)
    assert manifest is not None
    assert (manifest.resumed, manifest.device.rpartition(" x ")[2]) == (1, "2")
    assert manifest.evaluation is not None
    assert one is not None
    two = {point["step"]: point["loss"] for point in manifest.evaluation["curve"]}
    assert len(two) > 4
    same = {point["step"]: point["loss"] for point in one["curve"] if point["step"] % 3 == 0}
    assert {step: two[step] for step in same} == pytest.approx(same, abs=1e-4)
