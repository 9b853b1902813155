"""Our trainers add data order, budget and manifest only: losses equal those of the bare libraries.

The bare trainers get raw records in file order and do their own templates, tokens, labels and packing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer, Trainer, TrainingArguments

from harness.trainers import dpo, grpo, kto, pretrain, sft
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

STEPS = 20
BARE = {**CPU, "bf16": False, "max_steps": STEPS, "seed": 5, "save_strategy": "no", "report_to": "none",
        "disable_tqdm": True, "dataloader_pin_memory": False, "train_sampling_strategy": "sequential"}  # fmt: skip


def stage(name: str, parent: Path, source: dict[str, Any], trainer: dict[str, Any], **more: Any) -> dict[str, Any]:
    data = {"budget_tokens": 10**6, "when_exhausted": "end", "shuffle": False, "sources": {"one": source}}
    return {
        "stage": name, "name": f"{name}-test", "from": str(parent), "seed": 5,
        "data": data, "trainer": {**CPU, "save_steps": 20, **trainer}, **more,
    }  # fmt: skip


def bare_losses(trainer: Any) -> list[float]:
    trainer.train()
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


@pytest.mark.parametrize("chat", [True, False], ids=["chat template", "plain text"])
def test_sft_matches_the_losses_of_the_bare_sft_trainer(tmp_path: Path, chat: bool) -> None:
    from trl import SFTConfig, SFTTrainer

    parent = chat_model(tmp_path / "parent", chat=chat)
    raw: list[Any]
    records = instructions(2 * STEPS)
    if chat:
        source = {"path": str(write_jsonl(tmp_path / "data.jsonl", records)), "format": "instruction"}
        raw = [
            {
                "prompt": [{"role": "user", "content": r["instruction"]}],
                "completion": [{"role": "assistant", "content": r["output"]}],
            }
            for r in records
        ]
    else:
        raw = [{"prompt": r["instruction"] + " ", "completion": r["output"]} for r in records]
        source = {"path": str(write_jsonl(tmp_path / "data.jsonl", raw)), "format": "completion"}
    sft.train(stage("sft", parent, source, {"max_length": 56}), tmp_path / "ours")
    ours = losses(tmp_path / "ours")
    bare = SFTTrainer(
        model=AutoModelForCausalLM.from_pretrained(parent),
        args=SFTConfig(output_dir=str(tmp_path / "bare"), max_length=56, **BARE),
        train_dataset=Dataset.from_list(raw),
        processing_class=AutoTokenizer.from_pretrained(parent),
    )
    assert len(ours) == STEPS
    assert ours == pytest.approx(bare_losses(bare), abs=1e-6)


def test_lora_sft_matches_the_losses_of_the_bare_sft_trainer(tmp_path: Path) -> None:
    from peft import LoraConfig
    from trl import SFTConfig, SFTTrainer

    parent = chat_model(tmp_path / "parent")
    records = instructions(2 * STEPS)
    source = {"path": str(write_jsonl(tmp_path / "data.jsonl", records)), "format": "instruction"}
    adapter = {"r": 4, "dropout": 0.1}
    sft.train(stage("sft", parent, source, {"learning_rate": 1e-2}, adapter=adapter), tmp_path / "ours")
    raw = [
        {
            "prompt": [{"role": "user", "content": r["instruction"]}],
            "completion": [{"role": "assistant", "content": r["output"]}],
        }
        for r in records
    ]
    bare = SFTTrainer(
        model=AutoModelForCausalLM.from_pretrained(parent),
        args=SFTConfig(output_dir=str(tmp_path / "bare"), **{**BARE, "learning_rate": 1e-2}),
        train_dataset=Dataset.from_list(raw),
        processing_class=AutoTokenizer.from_pretrained(parent),
        peft_config=LoraConfig(task_type="CAUSAL_LM", r=4, lora_alpha=8, lora_dropout=0.1, target_modules="all-linear"),
    )
    assert losses(tmp_path / "ours") == pytest.approx(bare_losses(bare), abs=1e-6)


@pytest.mark.parametrize("adapter", [None, {"r": 4}], ids=["full weights", "lora"])
def test_dpo_matches_the_losses_of_the_bare_dpo_trainer(tmp_path: Path, adapter: dict[str, Any] | None) -> None:
    from peft import LoraConfig
    from trl import DPOConfig, DPOTrainer

    parent = chat_model(tmp_path / "parent")
    records = preferences(2 * STEPS)
    source = {"path": str(write_jsonl(tmp_path / "data.jsonl", records)), "format": "preference"}
    dpo.train(stage("dpo", parent, source, {"learning_rate": 1e-2}, adapter=adapter), tmp_path / "ours")
    raw = [
        {
            "prompt": [{"role": "user", "content": r["prompt"]}],
            "chosen": [{"role": "assistant", "content": r["chosen"]}],
            "rejected": [{"role": "assistant", "content": r["rejected"]}],
        }
        for r in records
    ]
    bare = DPOTrainer(
        model=AutoModelForCausalLM.from_pretrained(parent),
        args=DPOConfig(output_dir=str(tmp_path / "bare"), **{**BARE, "learning_rate": 1e-2}),
        train_dataset=Dataset.from_list(raw),
        processing_class=AutoTokenizer.from_pretrained(parent),
        peft_config=LoraConfig(task_type="CAUSAL_LM", r=4, lora_alpha=8, target_modules="all-linear")
        if adapter
        else None,
    )
    ours = losses(tmp_path / "ours")
    assert ours == pytest.approx(bare_losses(bare), abs=1e-6)
    assert min(ours) < 0.69, "the loss falls, so the comparison is not of two constants"


@pytest.mark.parametrize("adapter", [None, {"r": 4}], ids=["full weights", "lora"])
def test_kto_matches_the_losses_of_the_bare_kto_trainer(tmp_path: Path, adapter: dict[str, Any] | None) -> None:
    from peft import LoraConfig
    from trl import KTOConfig, KTOTrainer

    parent = chat_model(tmp_path / "parent")
    records = marked_answers(4 * STEPS)
    source = {"path": str(write_jsonl(tmp_path / "data.jsonl", records))}
    more = {"learning_rate": 1e-2, "per_device_train_batch_size": 4, "max_length": 48}
    kto.train(stage("kto", parent, source, more, adapter=adapter), tmp_path / "ours")
    raw = [
        {
            "prompt": [{"role": "user", "content": r["instruction"]}],
            "completion": [{"role": "assistant", "content": r["output"]}],
            "label": r["label"],
        }
        for r in records
    ]
    bare = KTOTrainer(
        model=AutoModelForCausalLM.from_pretrained(parent),
        args=KTOConfig(output_dir=str(tmp_path / "bare"), **{**BARE, **more}),
        train_dataset=Dataset.from_list(raw),
        processing_class=AutoTokenizer.from_pretrained(parent),
        peft_config=LoraConfig(task_type="CAUSAL_LM", r=4, lora_alpha=8, target_modules="all-linear")
        if adapter
        else None,
    )
    ours = losses(tmp_path / "ours")
    assert len(ours) == STEPS
    assert ours == pytest.approx(bare_losses(bare), abs=1e-6)
    assert ours[0] == pytest.approx(0.5), "model and reference are the same at first"
    assert max(ours) - min(ours) > 0.01, "the comparison is not of two constants"


def test_pretrain_matches_the_losses_of_the_bare_trainer_on_documents_packed_by_hand(tmp_path: Path) -> None:
    parent, length = chat_model(tmp_path / "parent"), 48
    tokenizer = AutoTokenizer.from_pretrained(parent)
    rows: list[dict[str, list[int]]] = []
    row: dict[str, list[int]] = {"input_ids": [], "labels": [], "position_ids": []}
    records = documents(120)
    for record in records:
        ids = [*tokenizer(record["text"])["input_ids"], tokenizer.eos_token_id]
        begin = 0
        while begin < len(ids):
            piece = ids[begin : begin + length - len(row["input_ids"])]
            row["input_ids"] += piece
            row["labels"] += [-100, *piece[1:]]
            row["position_ids"] += range(len(piece))
            begin += len(piece)
            if len(row["input_ids"]) == length:
                rows.append(row)
                row = {"input_ids": [], "labels": [], "position_ids": []}
    rows = rows[: 2 * STEPS]
    spec = stage("pretrain", parent, {"path": str(write_jsonl(tmp_path / "data.jsonl", records)), "format": "text"},
                 {"max_length": length})  # fmt: skip
    spec["data"]["budget_tokens"] = 2 * STEPS * length
    pretrain.train(spec, tmp_path / "ours")
    bare = Trainer(
        model=AutoModelForCausalLM.from_pretrained(parent),
        args=TrainingArguments(output_dir=str(tmp_path / "bare"), **BARE),
        train_dataset=Dataset.from_list(rows),
        data_collator=lambda batch: {
            "use_cache": False,
            **{key: torch.tensor([row[key] for row in batch]) for key in batch[0]},
        },
    )
    ours = losses(tmp_path / "ours")
    assert len(ours) == STEPS
    assert ours == pytest.approx(bare_losses(bare), abs=1e-6)


def test_a_packed_document_has_the_same_loss_as_alone(tmp_path: Path) -> None:
    from harness.trainers.pretrain import PackedCollator

    model = AutoModelForCausalLM.from_pretrained(chat_model(tmp_path / "parent"))
    first, second = list(range(5, 25)), list(range(60, 90))
    packed = {
        "input_ids": first + second,
        "labels": [-100, *first[1:], -100, *second[1:]],
        "seq_lengths": [len(first), len(second)],
    }
    together = model(**PackedCollator()([packed])).loss * (len(first) + len(second) - 2)
    alone = [
        model(input_ids=torch.tensor([ids]), labels=torch.tensor([ids])).loss * (len(ids) - 1)
        for ids in (first, second)
    ]
    assert together.item() == pytest.approx(sum(loss.item() for loss in alone), rel=1e-6)


def test_grpo_matches_the_losses_of_the_bare_grpo_trainer(tmp_path: Path) -> None:
    from trl import GRPOConfig, GRPOTrainer

    parent = chat_model(tmp_path / "parent")
    records = [
        {"question": r["instruction"], "answer": "e"} for r in instructions(STEPS)
    ]  # a random model sometimes produces an e
    settings = {"max_completion_length": 6, "num_generations": 4, "per_device_train_batch_size": 4, "temperature": 1.0,
                "learning_rate": 1e-2}  # fmt: skip
    source = {"path": str(write_jsonl(tmp_path / "data.jsonl", records)), "format": "problem"}
    import harness.trainers.rewards

    seen: list[list[float]] = [[], []]

    def reward(side: int) -> Any:
        def length(completions: list[Any], **_: Any) -> list[float]:
            seen[side].extend(values := [float(len(c[-1]["content"])) for c in completions])
            return values

        return length

    original = harness.trainers.rewards.verified
    harness.trainers.rewards.verified = reward(0)  # a dense reward, so that losses are not all zero
    try:
        grpo.train(stage("grpo", parent, source, settings), tmp_path / "ours")
    finally:
        harness.trainers.rewards.verified = original
    bare = GRPOTrainer(
        model=AutoModelForCausalLM.from_pretrained(parent),
        reward_funcs=reward(1),
        args=GRPOConfig(output_dir=str(tmp_path / "bare"), shuffle_dataset=False, **{**BARE, **settings}),
        train_dataset=Dataset.from_list([{"prompt": [{"role": "user", "content": r["question"]}]} for r in records]),
        processing_class=AutoTokenizer.from_pretrained(parent),
    )
    ours = losses(tmp_path / "ours")
    assert len(ours) == STEPS
    assert ours == pytest.approx(bare_losses(bare), abs=1e-6)
    assert seen[0] == seen[1], "both sides sampled the same answers"
    assert any(abs(loss) > 1e-6 for loss in ours)


def test_grpo_does_not_depend_on_how_its_batch_is_accumulated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def length(completions: list[Any], **_: Any) -> list[float]:
        return [float(len(completion[-1]["content"])) for completion in completions]

    monkeypatch.setattr("harness.trainers.rewards.verified", length)  # a dense reward, so that losses are not all zero
    parent = chat_model(tmp_path / "parent")
    records = [{"question": r["instruction"], "answer": "e"} for r in instructions(20)]
    source = {"path": str(write_jsonl(tmp_path / "data.jsonl", records)), "format": "problem"}
    by_size = []
    for batch, accumulate in ((1, 8), (8, 1)):
        settings = {"per_device_train_batch_size": batch, "gradient_accumulation_steps": accumulate,
                    "num_generations": 4, "max_completion_length": 6}  # fmt: skip
        grpo.train(stage("grpo", parent, source, settings), tmp_path / f"{batch}x{accumulate}")
        by_size.append(losses(tmp_path / f"{batch}x{accumulate}"))
    assert len(by_size[0]) == len(by_size[1]) == 10
    assert by_size[0] == pytest.approx(by_size[1], abs=1e-4)
    assert any(abs(loss) > 1e-6 for loss in by_size[0])


@pytest.mark.parametrize("name", ["pretrain", "sft", "dpo"])
def test_batch_of_one_accumulated_eight_times_equals_a_batch_of_eight(tmp_path: Path, name: str) -> None:
    parent = chat_model(tmp_path / "parent")
    records: Any = {"pretrain": documents, "sft": instructions, "dpo": preferences}[name](120)
    form = {"pretrain": "text", "sft": "instruction", "dpo": "preference"}[name]
    source = {"path": str(write_jsonl(tmp_path / "data.jsonl", records)), "format": form}
    by_size = []
    for batch, accumulate in ((1, 8), (8, 1)):
        trainer = {"per_device_train_batch_size": batch, "gradient_accumulation_steps": accumulate, "max_length": 64}
        module = {"pretrain": pretrain, "sft": sft, "dpo": dpo}[name]
        module.train(stage(name, parent, source, trainer), tmp_path / f"{batch}x{accumulate}")
        by_size.append(losses(tmp_path / f"{batch}x{accumulate}"))
    assert len(by_size[0]) == len(by_size[1]) >= 10
    assert by_size[0] == pytest.approx(by_size[1], abs=1e-4)
