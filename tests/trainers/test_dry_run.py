"""`harness train --dry_run` finds what would fail, with a tiny model of the same kind, before a parent exists."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from transformers import CONFIG_MAPPING

from harness.cli import main
from harness.trainers import pretrain
from harness.trainers.stage.prepare import prepare
from harness.trainers.stage.twins import count_parameters, empty_model, new_model, table_of_positions, tiny_twin
from tests.trainers.helpers import CPU, chat_model, documents, instructions, marked_answers, preferences, write_jsonl
from tests.waiting import CEILING_SECONDS

RECORDS: dict[str, Any] = {"pretrain": documents, "sft": instructions, "dpo": preferences, "kto": marked_answers}


def stage(folder: Path, name: str = "sft", **changes: Any) -> dict[str, Any]:
    parent = folder / "parent"
    if not parent.exists():
        chat_model(parent)
    if name == "grpo":
        records: list[dict[str, Any]] = [{"question": r["instruction"], "answer": "cat"} for r in instructions(30)]
    else:
        records = RECORDS[name](30)
    path = write_jsonl(folder / f"{name}.jsonl", records)
    return {
        "stage": name, "name": "one", "from": str(parent), "trainer": CPU,
        "data": {"budget_tokens": 1500, "sources": {"one": {"path": str(path)}}},
    } | changes  # fmt: skip


def dry_run(folder: Path, spec: dict[str, Any], *flags: str) -> int:
    path = folder / "stage.yaml"
    path.write_text(yaml.safe_dump(spec), encoding="utf-8")
    return main(["train", str(path), "--dry_run", *flags])


@pytest.mark.parametrize("name", ["pretrain", "sft", "dpo", "kto", "grpo"])
@pytest.mark.parametrize("adapter", [None, {"r": 4}], ids=["full weights", "lora"])
def test_a_dry_run_takes_a_step_and_leaves_nothing(
    tmp_path: Path, own_cache: Path, capfd: pytest.CaptureFixture[str], name: str, adapter: dict[str, Any] | None
) -> None:
    more = {"num_generations": 2, "max_completion_length": 40} if name == "grpo" else {"max_length": 64}
    spec = stage(tmp_path, name, adapter=adapter, trainer={**CPU, **more})

    def files() -> list[Path]:
        return sorted(path for path in tmp_path.rglob("*") if own_cache not in path.parents)

    before = files()
    assert dry_run(tmp_path, spec) == 0
    printed = capfd.readouterr().out
    assert "works with a tiny model of this kind" in printed
    assert "'loss'" not in printed
    assert files() == sorted([*before, tmp_path / "stage.yaml"])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"adapter": {"target_modules": ["q_prj"]}}, "q_prj"),
        ({"stage": "dpo", "adapter": {"target_modules": ["q_proj", "lm_head"]}}, "lm_head"),
        ({"trainer": {**CPU, "report_to": "comet_ml"}}, "CometCallback requires comet-ml"),
        ({"trainer": {**CPU, "optim": "adamw_bnb_8bit"}}, "bitsandbytes"),
        ({"trainer": {**CPU, "tf32": True}}, "--tf32 requires"),
        ({"chat_template": "broken.jinja"}, "No user query found"),
        (
            {"architecture": {"model_type": "llama", "hidden_size": 30, "num_attention_heads": 4}},
            "hidden size (30) is not a multiple",
        ),
    ],
    ids=["target modules", "lm_head", "report_to", "optimizer", "cuda", "template", "architecture"],
)
def test_what_would_fail_is_one_line(
    tmp_path: Path, own_cache: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, Any], said: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    Path("broken.jinja").write_text("{{ raise_exception('No user query found') }}", encoding="utf-8")
    spec = stage(tmp_path, changes.get("stage", "sft"), **changes)
    for words in (["--dry_run"], ["--output_path", "out"]):
        Path("stage.yaml").write_text(yaml.safe_dump(spec), encoding="utf-8")
        assert main(["train", "stage.yaml", *words]) == 2
        (line,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith("harness train: ")]
        assert said in line
        assert not Path("out").exists()


def test_a_new_architecture_that_cannot_be_built_is_one_line(
    tmp_path: Path, own_cache: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    spec = stage(tmp_path, "pretrain", tokenizer=str(tmp_path / "parent"))
    del spec["from"]
    spec["architecture"] = {"model_type": "llama", "hidden_size": 30, "num_attention_heads": 4, "num_hidden_layers": 1}
    assert dry_run(tmp_path, spec) == 2
    assert (
        "architecture: transformers refuses it (ValueError: The hidden size (30) is not a multiple"
        in capfd.readouterr().err
    )


def test_a_text_longer_than_the_table_of_positions(
    tmp_path: Path, own_cache: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    architecture = {"model_type": "gpt2", "n_positions": 64, "n_embd": 32, "n_layer": 1, "n_head": 2}
    spec = stage(tmp_path, "pretrain", tokenizer=str(tmp_path / "parent"), architecture=architecture)
    del spec["from"]
    assert dry_run(tmp_path, spec) == 2
    message = "trainer.max_length: 1024 is more than the 64 positions of this gpt2 model; give 64 or less."
    assert message in capfd.readouterr().err
    assert dry_run(tmp_path, spec, "trainer.max_length=64") == 0


def test_a_prompt_that_leaves_no_room_for_an_answer(tmp_path: Path, own_cache: Path) -> None:
    from harness.errors import InputError
    from harness.trainers import grpo, pretrain

    architecture = {"model_type": "gpt2", "n_positions": 64, "n_embd": 32, "n_layer": 1, "n_head": 2}
    base = stage(tmp_path, "pretrain", tokenizer=str(tmp_path / "parent"), architecture=architecture)
    del base["from"]
    pretrain.train(base | {"trainer": {**CPU, "max_length": 64}}, tmp_path / "base")
    more = {"num_generations": 2, "max_completion_length": 60}
    spec = stage(tmp_path, "grpo", trainer={**CPU, **more}, chat_template="plain") | {"from": str(tmp_path / "base")}
    with pytest.raises(InputError, match=r"grpo.jsonl, line \d+: the prompt has \d+ tokens, .* the 64 positions"):
        grpo.train(spec, tmp_path / "out")


def test_a_child_is_planned_before_its_parent_exists(
    tmp_path: Path, own_cache: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    base = stage(tmp_path, "pretrain", architecture="tiny", tokenizer={"vocab_size": 300})
    base["trainer"] = {**CPU, "max_length": 64}
    del base["from"]
    Path("base.yaml").write_text(yaml.safe_dump(base), encoding="utf-8")
    tuned = stage(tmp_path, "sft", chat_template="plain") | {"from": "base.yaml"}
    Path("tuned.yaml").write_text(yaml.safe_dump(tuned), encoding="utf-8")
    Path("spread.yaml").write_text(yaml.safe_dump(base | {"trainer": {**base["trainer"], "deepspeed": DEEPSPEED}}))
    assert dry_run(tmp_path, tuned | {"from": "spread.yaml"}) == 0
    last = stage(tmp_path, "dpo", adapter={"r": 4}) | {"from": "tuned.yaml"}
    assert dry_run(tmp_path, last) == 0
    printed = capfd.readouterr().out
    parameters = count_parameters(prepare(pretrain.METHOD, base, tmp_path / "x").model_config)
    assert f"{parameters:,}" in printed, "the first stage's architecture"
    assert "works with a tiny model" in printed
    assert dry_run(tmp_path, last, "--estimate") == 2
    assert "--estimate: needs the parent itself" in capfd.readouterr().err
    assert main(["train", "stage.yaml", "--output_path", "out"]) == 2
    assert "from: tuned.yaml is a stage file; train it first" in capfd.readouterr().err
    for named, said in (
        ("tunedd.yaml", "Did you mean tuned.yaml"),
        (str(tmp_path / "parnt"), "Did you mean parent"),
    ):
        assert dry_run(tmp_path, last | {"from": named}) == 2
        assert said in capfd.readouterr().err
    Path("base.yaml").write_text(yaml.safe_dump(base | {"name": ""}), encoding="utf-8")
    assert dry_run(tmp_path, last) == 2
    assert "from: tuned.yaml: from: base.yaml: name:" in capfd.readouterr().err
    Path("base.yaml").write_text(yaml.safe_dump(tuned | {"from": "tuned.yaml"}), encoding="utf-8")
    assert dry_run(tmp_path, last) == 2
    assert "leads back to itself" in capfd.readouterr().err


def test_an_estimate_times_steps_of_the_model_itself(
    tmp_path: Path, own_cache: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert dry_run(tmp_path, stage(tmp_path), "--estimate") == 0
    (line,) = [line for line in capfd.readouterr().out.splitlines() if "time (estimate)" in line]
    assert "minutes, from 2 timed steps" in line
    assert main(["train", str(tmp_path / "stage.yaml"), "--output_path", str(tmp_path / "out"), "--estimate"]) == 2
    assert "--estimate: belongs to --dry_run" in capfd.readouterr().err


def test_a_stage_with_a_held_out_loss_is_planned_and_timed(
    tmp_path: Path, own_cache: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    held_out = {"path": str(write_jsonl(tmp_path / "held.jsonl", instructions(4, seed=9)))}
    spec = stage(tmp_path, evaluate={"sources": {"held": held_out}, "every": 5, "keep": "best", "patience": 2})
    spec["trainer"] = {**CPU, "per_device_eval_batch_size": 4, "eval_on_start": False, "eval_delay": 1}
    assert dry_run(tmp_path, spec, "--estimate") == 0
    assert "held out" in capfd.readouterr().out


@pytest.mark.parametrize("field", [{"lr_scheduler_type": "cosine_with_min_lr"}, {"lr_scheduler_type": "no_such"}])
def test_a_learning_rate_schedule_that_fails_leaves_the_folder_free(
    tmp_path: Path, own_cache: Path, capfd: pytest.CaptureFixture[str], field: dict[str, Any]
) -> None:
    path = tmp_path / "stage.yaml"
    path.write_text(yaml.safe_dump(stage(tmp_path, trainer={**CPU, **field})), encoding="utf-8")
    assert main(["train", str(path), "--output_path", str(tmp_path / "out")]) == 2
    assert not (tmp_path / "out").exists()


DEEPSPEED: dict[str, Any] = {
    "zero_optimization": {"stage": 3}, "bf16": {"enabled": "auto"}, "train_batch_size": "auto",
    "train_micro_batch_size_per_gpu": "auto", "gradient_accumulation_steps": "auto",
    "optimizer": {"type": "AdamW", "params": {"lr": "auto"}},
}  # fmt: skip


@pytest.mark.parametrize(
    ("trainer", "said"),
    [
        ({"fsdp": True, "fsdp_config": {"transformer_layer_cls_to_wrap": ["LlamaDecoderLayer"]}}, ""),
        ({"fsdp": "full_shrd"}, "Unknown `fsdp` option: full_shrd"),
        ({"deepspeed": DEEPSPEED}, ""),
        ({"deepspeed": "ds.json"}, ""),
        ({"deepspeed": "nowhere.json"}, "trainer.deepspeed: "),
        ({"deepspeed": {**DEEPSPEED, "optimizer": {"type": "AdamW", "params": {"lr": 0.5}}}}, "lr=0.5"),
    ],
    ids=["fsdp", "unknown option", "deepspeed", "deepspeed file", "no file", "another learning rate"],
)
def test_configurations_of_several_devices_are_read_and_planned(
    tmp_path: Path, own_cache: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    trainer: dict[str, Any], said: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    Path("ds.json").write_text(json.dumps(DEEPSPEED), encoding="utf-8")
    code = dry_run(tmp_path, stage(tmp_path, trainer={**CPU, **trainer}))
    printed = capfd.readouterr()
    assert (code, said in printed.err) == (2 if said else 0, True)
    assert said or "works with a tiny model" in printed.out
    if "deepspeed" in trainer:
        assert main(["train", "stage.yaml", "--output_path", "out"]) == 2
        assert "trainer.deepspeed: works under a launcher only; run accelerate launch" in capfd.readouterr().err


def test_standard_output_has_the_plan_alone(tmp_path: Path, own_cache: Path) -> None:
    """DeepSpeed, where it is installed, writes there as soon as it is imported."""
    path = tmp_path / "stage.yaml"
    path.write_text(yaml.safe_dump(stage(tmp_path)), encoding="utf-8")
    words = [sys.executable, "-m", "harness", "train", str(path), "--dry_run"]
    environment = {**os.environ, "HARNESS_CACHE_DIR": str(own_cache)}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True, timeout=CEILING_SECONDS)
    assert done.stdout.startswith("stage: sft\n")


def test_the_plan_says_what_happens_to_records(
    tmp_path: Path, own_cache: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    turns = [{"role": "user", "content": "a cat"}, {"role": "assistant", "content": "sat"}]
    lines = [json.dumps({"messages": [*turns, turns[0]]})] * 3 + ["{", json.dumps({"messages": turns})]
    (tmp_path / "few.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    spec = stage(tmp_path)
    spec["data"] = {"budget_tokens": 300, "when_bad": "skip", "sources": {"few": {"path": str(tmp_path / "few.jsonl")}}}
    assert dry_run(tmp_path, spec) == 0
    out = capfd.readouterr().out.splitlines()
    place = next(index for index, line in enumerate(out) if line.startswith("source") and "repeats" in line)
    names, values = out[place].split(), out[place + 1].split()
    row = dict(zip([*names[:-4], "held out", "without answer"], values, strict=True))
    assert row["format"] == "chat"
    assert int(row["repeats"]) > 1
    assert (row["skipped"], row["without answer"]) == ("1", "3"), "each counts once, however often it comes up"


@pytest.mark.parametrize("model_type", ["llama", "gpt2", "mixtral", "mamba", "jamba", "gpt_oss", "gemma3_text", "opt"])
def test_a_twin_is_small_and_of_the_same_kind(model_type: str) -> None:
    config = CONFIG_MAPPING[model_type]()
    twin = tiny_twin(config)
    assert twin is not None
    assert type(new_model(twin)) is type(empty_model(config))
    assert twin.model_type == model_type
    assert twin.get_text_config().vocab_size == config.get_text_config().vocab_size
    assert count_parameters(twin) < count_parameters(config) / 10


@pytest.mark.parametrize(
    ("model_type", "positions"), [("gpt2", 1024), ("opt", 2048), ("gpt_neo", 2048), ("llama", None), ("bloom", None)]
)
def test_only_tables_of_positions_limit_a_text(model_type: str, positions: int | None) -> None:
    assert table_of_positions(CONFIG_MAPPING[model_type]()) == positions
