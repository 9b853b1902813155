"""What a stage must not do in silence: diverge, save a wrong merge, claim a folder in vain, ignore its tokenizer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM, TrainerState, set_seed

from harness.checkpoints.stage_manifest import read_manifest
from harness.errors import HarnessError, InputError
from harness.trainers import dpo, pretrain, sft
from harness.trainers.stage.divergence import (
    PATIENCE,
    STEPS_WITHOUT_VARIANCE,
    DivergenceError,
    NoteConstantRewards,
    StopWhenDiverged,
)
from tests.models import tiny_tokenizer
from tests.trainers.helpers import CHAT_TEMPLATE, CPU, chat_model, documents, instructions, preferences, write_jsonl


def stage(folder: Path, parent: Path | None, trainer: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    path = write_jsonl(folder / "rows.jsonl", instructions(40))
    return {
        "stage": "sft", "name": "one", "from": str(parent),
        "data": {"budget_tokens": 800, "sources": {"one": {"path": str(path), "format": "instruction"}}},
        "trainer": {**CPU, "save_steps": 2, **(trainer or {})}, **more,
    }  # fmt: skip


@pytest.mark.parametrize("trainer", [{"learning_rate": 1e36}, {"learning_rate": 1e30, "max_grad_norm": 0.0}])
def test_a_diverged_stage_ends_with_an_error_and_keeps_good_states(tmp_path: Path, trainer: dict[str, Any]) -> None:
    spec = stage(tmp_path, chat_model(tmp_path / "parent"), {"lr_scheduler_type": "constant", **trainer})
    with pytest.raises(DivergenceError, match="training diverged at step") as stopped:
        sft.train(spec, tmp_path / "out")
    assert stopped.value.exit_code == 1
    manifest = read_manifest(tmp_path / "out")
    assert manifest is None or not manifest.finished
    for state in (tmp_path / "out" / "training").glob("checkpoint-*"):
        model = AutoModelForCausalLM.from_pretrained(state)
        assert all(parameter.isfinite().all() for parameter in model.parameters())


def test_a_loss_that_is_no_number_is_borne_for_a_few_entries_only() -> None:
    state = TrainerState(global_step=7)
    callback = StopWhenDiverged()
    for _ in range(PATIENCE - 1):
        callback.on_log(None, state, None, {"loss": float("nan"), "grad_norm": 1.0})
    callback.on_log(None, state, None, {"loss": 2.0, "grad_norm": 1.0})
    for _ in range(PATIENCE - 1):
        callback.on_log(None, state, None, {"loss": 2.0, "grad_norm": float("inf")})
    with pytest.raises(DivergenceError, match=f"step 7: grad_norm inf in the last {PATIENCE} log entries"):
        callback.on_log(None, state, None, {"loss": 2.0, "grad_norm": float("inf")})


def test_rewards_that_never_differ_are_noted_once(capsys: pytest.CaptureFixture[str]) -> None:
    notes: list[str] = []
    callback = NoteConstantRewards(notes)
    for step in range(3 * STEPS_WITHOUT_VARIANCE):
        constant = 0.5 if step == STEPS_WITHOUT_VARIANCE - 1 else 1.0
        callback.on_log(None, TrainerState(global_step=step), None, {"frac_reward_zero_std": constant})
    assert len(notes) == 1
    assert "had the same reward" in capsys.readouterr().err


def tied_model(folder: Path) -> Path:
    set_seed(0)
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = CHAT_TEMPLATE
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        tie_word_embeddings=True, eos_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)  # type: ignore[no-untyped-call]
    tokenizer.save_pretrained(folder)
    return folder


def train_on_texts(folder: Path, parent: Path, adapter: dict[str, Any]) -> None:
    """Pretraining takes an adapter on any layer; TRL's SFTTrainer refuses one on the output layer."""
    path = write_jsonl(folder / "texts.jsonl", documents(40))
    spec = {
        "stage": "pretrain", "name": "p", "from": str(parent), "adapter": adapter,
        "trainer": {**CPU, "max_length": 64, "learning_rate": 0.1},
        "data": {"budget_tokens": 64 * 8, "sources": {"one": {"path": str(path), "format": "text"}}},
    }  # fmt: skip
    pretrain.train(spec, folder / "out")


def test_what_the_library_refuses_is_one_line(tmp_path: Path) -> None:
    spec = stage(tmp_path, tied_model(tmp_path / "parent"), adapter={"target_modules": ["lm_head"]})
    with pytest.raises(InputError, match=r"trl\.SFTTrainer refuses this stage .*lm_head") as refused:
        sft.train(spec, tmp_path / "out")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("targets", [["lm_head"], ["embed_tokens"], ["q_proj", "lm_head"], ["q_proj"]])
def test_a_merged_model_computes_what_base_and_adapter_compute(tmp_path: Path, targets: list[str]) -> None:
    from peft import PeftModel

    parent = tied_model(tmp_path / "parent")
    adapter = {"r": 4, "target_modules": targets, "merge": True}
    train_on_texts(tmp_path, parent, adapter)
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    base = AutoModelForCausalLM.from_pretrained(parent)
    ids = torch.randint(300, (2, 20), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        plain = base(ids).logits
        adapted = PeftModel.from_pretrained(base, tmp_path / "out" / "training" / "adapter").eval()
        expected = adapted(ids).logits
        found = merged(ids).logits
    assert (expected - plain).abs().max() > 1e-3, "the adapter has an effect"
    assert (found - expected).abs().max() < 1e-4
    assert merged.config.tie_word_embeddings == (targets == ["q_proj"])


def test_a_merge_that_changes_the_model_is_not_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.trainers.stage.merging._untie_if_adapted", lambda _model: None)
    adapter = {"r": 4, "target_modules": ["lm_head"], "merge": True}
    with pytest.raises(HarnessError, match=r"the model's logits differ by .* set adapter\.merge: false"):
        train_on_texts(tmp_path, tied_model(tmp_path / "parent"), adapter)
    assert not (tmp_path / "out" / "model.safetensors").exists()


def test_a_start_that_fails_leaves_the_folder_free(tmp_path: Path) -> None:
    parent = chat_model(tmp_path / "parent")
    spec = stage(tmp_path, parent, adapter={"r": 4, "target_modules": ["q_porj"]})
    with pytest.raises(InputError, match="q_porj") as refused:
        sft.train(spec, tmp_path / "out")
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "out").exists()
    spec["adapter"]["target_modules"] = ["q_proj"]
    sft.train(spec, tmp_path / "out")


def test_a_given_tokenizer_is_used_beside_a_parent(tmp_path: Path) -> None:
    parent, other = chat_model(tmp_path / "parent", chat=False), tmp_path / "other"
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = CHAT_TEMPLATE.replace("<|", "[").replace("|>", "]")
    tokenizer.add_special_tokens({"additional_special_tokens": []})
    tokenizer.save_pretrained(other)
    sft.train(stage(tmp_path, parent, tokenizer=str(other)), tmp_path / "out")
    assert "[assistant]" in AutoTokenizer.from_pretrained(tmp_path / "out").chat_template


def test_a_tokenizer_with_other_numbers_is_refused(tmp_path: Path) -> None:
    parent, other = chat_model(tmp_path / "parent"), tmp_path / "other"
    tokenizer = tiny_tokenizer()
    tokenizer.add_tokens(["newword"])
    tokenizer.save_pretrained(other)
    with pytest.raises(InputError, match=r"tokenizer: has 401 tokens|has \d+ tokens, but .* has \d+ embeddings"):
        sft.train(stage(tmp_path, parent, tokenizer=str(other)), tmp_path / "out")


@pytest.mark.parametrize("how", ["file", "plain"])
def test_a_base_model_gets_a_chat_template(tmp_path: Path, how: str) -> None:
    parent = chat_model(tmp_path / "parent", chat=False)
    file = tmp_path / "template.jinja"
    file.write_text(CHAT_TEMPLATE, encoding="utf-8")
    given = str(file) if how == "file" else how
    sft.train(stage(tmp_path, parent, chat_template=given), tmp_path / "out")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    text = tokenizer.apply_chat_template([{"role": "user", "content": "a"}], tokenize=False, add_generation_prompt=True)
    assert text == "<|user|>\na</s>\n<|assistant|>\n"


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ("qwen3", r"qwen3 ends an answer with '<\|im_end\|>', but this tokenizer ends a text with '</s>'"),
        ("quen3", r"'quen3' is neither a file nor a known template; .* Did you mean"),
    ],
)
def test_a_template_that_does_not_fit_is_refused(tmp_path: Path, given: str, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        sft.train(stage(tmp_path, chat_model(tmp_path / "parent"), chat_template=given), tmp_path / "out")


def test_packed_documents_begin_as_the_tokenizer_begins_texts(tmp_path: Path) -> None:
    from tokenizers.processors import TemplateProcessing

    parent = chat_model(tmp_path / "parent", chat=False)
    tokenizer = AutoTokenizer.from_pretrained(parent)
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<s> $A", pair="<s> $A $B", special_tokens=[("<s>", tokenizer.bos_token_id)]
    )
    tokenizer.save_pretrained(parent)
    (tmp_path / "long.txt").write_text("a cat sat on the mat. " * 4000, encoding="utf-8")  # read in two pieces
    spec: dict[str, Any] = {
        "stage": "pretrain", "name": "p", "from": str(parent), "trainer": {**CPU, "max_length": 64},
        "data": {"budget_tokens": 64 * 6, "shuffle": False,
                 "sources": {"one": {"path": str(write_jsonl(tmp_path / "d.jsonl", documents(60))), "format": "text"}}},
    }  # fmt: skip
    from harness.trainers.stage.prepare import prepare

    job = prepare(pretrain.METHOD, spec, tmp_path / "unused")
    ids = [token for example in job.mixture.stream() for token in example.columns["input_ids"]]
    begins = [place for place, token in enumerate(ids) if token == tokenizer.bos_token_id]
    ends = [place for place, token in enumerate(ids) if token == tokenizer.eos_token_id]
    assert begins == [0, *(place + 1 for place in ends if place + 1 < len(ids))]
    pretrain.train(spec, tmp_path / "out")
    manifest = json.loads((tmp_path / "out" / "stage.json").read_text(encoding="utf-8"))
    assert manifest["mixture"]["document_begins_with"] == ["<s>"]
    spec["data"]["sources"] = {"one": {"path": str(tmp_path / "long.txt")}}
    spec["data"]["budget_tokens"] = 64 * 500
    long = prepare(pretrain.METHOD, spec, tmp_path / "unused").mixture.stream()
    assert sum(example.columns["input_ids"].count(tokenizer.bos_token_id) for example in long) == 1


def test_dpo_learns_the_answers_of_ultrafeedback_alone(tmp_path: Path) -> None:
    from harness.trainers.stage.prepare import prepare

    parent = chat_model(tmp_path / "parent")
    rows = [
        {
            "prompt": row["prompt"],
            "chosen": [{"role": "user", "content": row["prompt"]}, {"role": "assistant", "content": row["chosen"]}],
            "rejected": [{"role": "user", "content": row["prompt"]}, {"role": "assistant", "content": row["rejected"]}],
        }
        for row in preferences(4)
    ]
    path = write_jsonl(tmp_path / "rows.jsonl", rows)
    spec = {
        "stage": "dpo", "name": "d", "from": str(parent), "trainer": CPU,
        "data": {"budget_tokens": 400, "shuffle": False, "when_exhausted": "end",
                 "sources": {"one": {"path": str(path), "format": "preference"}}},
    }  # fmt: skip
    tokenizer = AutoTokenizer.from_pretrained(parent)
    for example, row in zip(prepare(dpo.METHOD, spec, tmp_path / "x").mixture.stream(), preferences(4), strict=False):
        assert tokenizer.decode(example.columns["chosen_ids"]) == f"{row['chosen']}</s>\n"
        assert tokenizer.decode(example.columns["rejected_ids"]) == f"{row['rejected']}</s>\n"
        assert tokenizer.decode(example.columns["prompt_ids"]) == f"<|user|>\n{row['prompt']}</s>\n<|assistant|>\n"


def small(model_type: str, **more: Any) -> dict[str, Any]:
    return {"model_type": model_type, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, **more}


APART: list[dict[str, Any]] = [
    small("llama", intermediate_size=64),
    small("gpt_neox", intermediate_size=64),
    small("qwen3", intermediate_size=64, num_key_value_heads=2, head_dim=8),
]
TOGETHER: list[dict[str, Any]] = [
    {"model_type": "mamba", "hidden_size": 32, "num_hidden_layers": 2, "state_size": 8},
    {"model_type": "opt", "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "ffn_dim": 64,
     "word_embed_proj_dim": 32},
    {"model_type": "bloom", "hidden_size": 32, "n_layer": 2, "n_head": 4},
    {"model_type": "mpt", "d_model": 32, "n_layers": 2, "n_heads": 4, "max_seq_len": 128},
    small("falcon", alibi=True, new_decoder_architecture=False),
]  # fmt: skip


def pretraining(folder: Path, architecture: dict[str, Any], **trainer: Any) -> dict[str, Any]:
    tiny_tokenizer().save_pretrained(folder / "tokenizer")
    path = write_jsonl(folder / "texts.jsonl", documents(30))
    return {
        "stage": "pretrain", "name": "p", "architecture": architecture, "tokenizer": str(folder / "tokenizer"),
        "trainer": {**CPU, "max_length": 64, **trainer},
        "data": {"budget_tokens": 64 * 4, "sources": {"one": {"path": str(path), "format": "text"}}},
    }  # fmt: skip


def model_type(architecture: dict[str, Any]) -> str:
    return str(architecture["model_type"])


@pytest.mark.parametrize("architecture", APART, ids=model_type)
def test_models_that_keep_packed_documents_apart_are_trained(tmp_path: Path, architecture: dict[str, Any]) -> None:
    pretrain.train(pretraining(tmp_path, architecture), tmp_path / "out")


@pytest.mark.parametrize("architecture", TOGETHER, ids=model_type)
def test_models_whose_packed_documents_see_each_other_are_refused(tmp_path: Path, architecture: dict[str, Any]) -> None:
    named = f"in a {model_type(architecture)} model the documents of a packed sequence see each other; set trainer.sepa"
    with pytest.raises(InputError, match=named):
        pretrain.train(pretraining(tmp_path, architecture), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    pretrain.train(pretraining(tmp_path, architecture, separate_documents=False), tmp_path / "out")


def test_the_course_of_training_is_written_and_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import yaml

    from harness.cli import main

    monkeypatch.chdir(tmp_path)
    spec = stage(tmp_path, chat_model(tmp_path / "parent"))
    Path("stage.yaml").write_text(yaml.safe_dump(spec), encoding="utf-8")
    assert main(["train", "stage.yaml", "--output_path", "out"]) == 0
    printed = capsys.readouterr()
    lines = Path("out/metrics.jsonl").read_text(encoding="utf-8").splitlines()
    entries = [json.loads(line) for line in lines if "loss" in json.loads(line)]
    manifest = read_manifest(Path("out"))
    assert manifest is not None
    assert [entry["step"] for entry in entries] == list(range(1, manifest.step + 1))
    assert entries[-1]["tokens"] == manifest.tokens
    assert {"loss", "learning_rate", "grad_norm", "tokens_per_second"} <= entries[-1].keys()
    assert printed.err.count("\nstep ") + printed.err.startswith("step ") >= manifest.step
    best = min(entries, key=lambda entry: entry["loss"])
    first, last = (f"{entries[place]['loss']:.4g}" for place in (0, -1))
    assert f"loss {first} at first, {last} at last, best {best['loss']:.4g} at step " in printed.out
