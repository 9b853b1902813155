"""Stages learn: held-out loss falls, margins and rewards rise, on real data and (except one test) a real model.

The full sizes are marked slow; reduced versions run in CI.
"""

from __future__ import annotations

import math
from pathlib import Path
from statistics import mean
from typing import Any

import pytest
import torch

from harness.checkpoints.stage_manifest import read_manifest
from harness.trainers import dpo, grpo, sft
from harness.trainers.data.encoding import completion_encoder, preference_encoder
from harness.trainers.data.examples import IGNORED
from harness.trainers.data.formats import Format, TrainingRecord, convert
from harness.trainers.data.opening import FILE_READERS
from harness.trainers.data.readers import Cursor
from harness.trainers.data.record_fields import RecordFields
from tests.synthetic.training import write_training_data
from tests.trainers.helpers import CPU, state_of

LORA = {"r": 16}


def records_of(path: Path, form: Format, begin: int, count: int) -> list[TrainingRecord]:
    raws = list(FILE_READERS[path.suffix](path, Cursor()))[begin : begin + count]
    return [convert(form, RecordFields(raw.value, raw.where, {})) for raw in raws]


def load(base: Path, adapter: Path | None = None) -> tuple[Any, Any]:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model: Any = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    if adapter is not None:
        model = PeftModel.from_pretrained(model, adapter)
    return model.eval(), AutoTokenizer.from_pretrained(base)


@torch.no_grad()
def completion_loss(model: Any, tokenizer: Any, records: list[TrainingRecord]) -> float:
    """Mean negative log-likelihood per token of the completions, in nats."""
    encode = completion_encoder(tokenizer, max_length=512, completion_only=True)
    total = count = 0.0
    for record in records:
        encoded = encode(record, "")
        assert encoded is not None
        labels = torch.tensor([encoded.columns["labels"]])
        tokens = int((labels[:, 1:] != IGNORED).sum())
        total += float(model(input_ids=torch.tensor([encoded.columns["input_ids"]]), labels=labels).loss) * tokens
        count += tokens
    return total / count


@torch.no_grad()
def preference(model: Any, tokenizer: Any, record: TrainingRecord, max_length: int) -> float:
    """log p(chosen) - log p(rejected), in nats."""
    encoded = preference_encoder(tokenizer, max_length=max_length)(record, "")
    assert encoded is not None
    prompt = encoded.columns["prompt_ids"]
    values = []
    for answer in ("chosen_ids", "rejected_ids"):
        ids = torch.tensor([prompt + encoded.columns[answer]])[:, :max_length]
        logprobs = model(input_ids=ids).logits[0, :-1].log_softmax(-1)
        chosen = logprobs.gather(1, ids[0, 1:, None])[:, 0]
        values.append(float(chosen[len(prompt) - 1 :].sum()))
    return values[0] - values[1]


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A data folder with synthetic training files."""
    write_training_data(tmp_path / "data")
    return tmp_path / "data"


# The full versions train on the public files: what is learned there is less uniform.
@pytest.mark.parametrize(
    ("folder", "records", "held_out"), [("written", 24, 8), pytest.param("data_dir", 160, 40, marks=pytest.mark.slow)]
)
def test_lora_sft_on_code_lowers_the_loss_on_other_code(
    tmp_path: Path, smollm2: Path, request: pytest.FixtureRequest, folder: str, records: int, held_out: int
) -> None:
    path = request.getfixturevalue(folder) / "code_alpaca" / "code_alpaca_2k.json"
    spec = {
        "stage": "sft", "name": "code", "from": str(smollm2), "adapter": LORA,
        "data": {
            "budget_tokens": 10**6, "when_exhausted": "end",
            "sources": {"code": {"path": str(path), "format": "instruction", "limit": records}},
        },
        "trainer": {**CPU, "learning_rate": 5e-4, "per_device_train_batch_size": 4, "max_length": 512},
    }  # fmt: skip
    sft.train(spec, tmp_path / "out")
    manifest = read_manifest(tmp_path / "out")
    assert manifest is not None
    assert manifest.sequences == records
    others = records_of(path, "instruction", 1000, held_out)
    before, after = (completion_loss(*load(smollm2, adapter), others) for adapter in (None, tmp_path / "out"))
    print(f"sft on {records} records: held-out loss {before:.4f} -> {after:.4f}, {manifest.wall_seconds:.0f} s")
    assert after < before - 0.01


@pytest.mark.parametrize(
    ("folder", "pairs", "held_out", "length"),
    # Eight steps are sure to raise the margin on the training pairs; on other pairs it takes the fifty.
    [
        pytest.param("written", 16, 0, 96, id="learned"),
        pytest.param("data_dir", 100, 50, 192, marks=pytest.mark.slow, id="others"),
    ],
)
def test_dpo_raises_the_margin(
    tmp_path: Path,
    smollm2: Path,
    request: pytest.FixtureRequest,
    folder: str,
    pairs: int,
    held_out: int,
    length: int,
) -> None:
    path = request.getfixturevalue(folder) / "llama_factory" / "dpo_en_demo.json"
    spec = {
        "stage": "dpo", "name": "preferred", "from": str(smollm2), "adapter": LORA,
        "data": {
            "budget_tokens": 10**6, "when_exhausted": "end",
            "sources": {"pairs": {"path": str(path), "format": "preference", "limit": pairs}},
        },
        "trainer": {**CPU, "learning_rate": 2e-4, "per_device_train_batch_size": 2, "max_length": length},
    }  # fmt: skip
    dpo.train(spec, tmp_path / "out")
    manifest = read_manifest(tmp_path / "out")
    assert manifest is not None
    candidates = records_of(path, "preference", pairs, 6 * held_out) if held_out else []
    measured = candidates or records_of(path, "preference", 0, pairs)
    reference, tokenizer = load(smollm2)
    fits = preference_encoder(tokenizer, max_length=length // 2)
    measured = [record for record in measured if fits(record, "") is not None][: held_out or pairs]
    before = [preference(reference, tokenizer, record, length) for record in measured]
    tuned, _ = load(smollm2, tmp_path / "out")
    after = [preference(tuned, tokenizer, record, length) for record in measured]
    margins = [a - b for a, b in zip(after, before, strict=True)]
    margin = f"margin of {len(measured)} {'others' if held_out else 'of them'} 0 -> {mean(margins):.3f} nats"
    print(f"dpo on {pairs} pairs: {margin}, {manifest.wall_seconds:.0f} s")
    assert len(measured) == held_out or (not held_out and measured)
    assert mean(margins) > 0


def load_tokenizer(folder: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)


def rewards_of(checkpoint: Path) -> list[float]:
    return [entry["reward"] for entry in state_of(checkpoint)["log_history"] if "reward" in entry]


def test_grpo_of_a_tiny_model_raises_its_reward_on_a_task_over_40_steps(tmp_path: Path) -> None:
    """An untrained model first learns what an answer looks like: a single letter."""
    spec: dict[str, Any] = {
        "stage": "grpo", "name": "tiny", "from": str(tiny_answerer(tmp_path / "parent")),
        "data": {"budget_tokens": 10**6, "sources": {"analogy": {"task": "mini_analogy"}}},
        "trainer": {
            **CPU, "learning_rate": 1e-2, "per_device_train_batch_size": 128, "num_generations": 32,
            "max_completion_length": 1, "beta": 0.0,
        },
    }  # fmt: skip
    spec["data"]["budget_tokens"] = prompt_tokens(spec, tmp_path, prompts=4 * 40)
    grpo.train(spec, tmp_path / "out")
    rewards = rewards_of(tmp_path / "out")
    print(f"grpo over {len(rewards)} steps: reward {mean(rewards[:5]):.3f} -> {mean(rewards[-5:]):.3f}")
    assert len(rewards) == 40
    assert mean(rewards[-5:]) > mean(rewards[:5]) + 0.1


def tiny_answerer(folder: Path) -> Path:
    """A tiny model with one token per character, so that chance produces letters."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, set_seed

    characters = [chr(code) for code in range(32, 91)] + ["\n"]
    vocabulary = {token: index for index, token in enumerate(["<end>", "<unk>", *characters])}
    raw = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    raw.decoder = decoders.Fuse()
    fast: Any = PreTrainedTokenizerFast
    tokenizer = fast(tokenizer_object=raw, eos_token="<end>", pad_token="<end>", unk_token="<unk>")
    set_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
        max_position_embeddings=2048, eos_token_id=0, pad_token_id=0, bos_token_id=0,
    )  # fmt: skip
    llama: Any = LlamaForCausalLM
    llama(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def prompt_tokens(spec: dict[str, Any], folder: Path, *, prompts: int) -> int:
    """Tokens of the stream's first prompts: the budget for that many."""
    from itertools import islice

    from harness.trainers.stage.prepare import prepare

    return sum(s.tokens for s in islice(prepare(grpo.METHOD, spec, folder / "counted").mixture.stream(), prompts))


@pytest.mark.parametrize("steps", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_grpo_of_a_real_model_is_rewarded_by_the_sandbox(tmp_path: Path, smollm2: Path, steps: int) -> None:
    spec: dict[str, Any] = {
        "stage": "grpo", "name": "programs", "from": str(smollm2), "adapter": LORA,
        "data": {"budget_tokens": 10**6, "sources": {"code": {"task": "mini_code_gen"}}},
        "trainer": {
            **CPU, "learning_rate": 1e-4, "per_device_train_batch_size": 8, "num_generations": 4,
            "max_completion_length": 64,
        },
    }  # fmt: skip
    spec["data"]["budget_tokens"] = prompt_tokens(spec, tmp_path, prompts=2 * steps)
    grpo.train(spec, tmp_path / "out")
    manifest = read_manifest(tmp_path / "out")
    assert manifest is not None
    rewards = rewards_of(tmp_path / "out")
    print(f"grpo with the sandbox: rewards {rewards}, {manifest.wall_seconds:.0f} s")
    assert manifest.step == len(rewards) == steps
    assert all(0 <= reward <= 1 and math.isfinite(reward) for reward in rewards)


def test_the_sandbox_rewards_right_programs_only() -> None:
    from itertools import islice

    from harness.trainers.data.opening import open_source
    from harness.trainers.data.spec import SourceSpec
    from harness.trainers.rewards import verified

    source = open_source("one", SourceSpec(task="mini_code_gen"), stage="grpo", rationale="omit", seed=None)
    raws = list(islice(source.reader.read(Cursor()), 4))
    records = list(map(source.convert, raws))
    prompts = [record["prompt"] for record in records] * 2
    completions = [record["solution"] for record in records] + [raw.value["wrong"][0] for raw in raws]
    columns = {name: [record[name] for record in records] * 2 for name in ("tests", "setup", "entry_point")}
    rewards = verified(completions, answer=[""] * 8, letters=[""] * 8, begun=prompts, **columns)
    assert rewards == [1.0] * 4 + [0.0] * 4


@pytest.mark.parametrize(
    ("text", "right", "letters", "reward"),
    [
        ("B", "B", "ABCD", 1.0),
        ("The answer is (B).", "B", "ABCD", 1.0),
        ("The answer is B, I think.", "B", "ABCD", 1.0),
        ("A or B\nAnswer: C", "B", "ABCD", 0.0),
        ("", "B", "ABCD", 0.0),
        ("Banana", "B", "ABCD", 0.0),
        ("because\n\n42", "42", "", 1.0),
        ("Answer: 1,042.", "1042", "", 1.0),
        ("Answer: 10,42", "1042", "", 0.0),
        ("3.140", "3.14", "", 1.0),
        ("3 14", "3.14", "", 0.0),
        ("-3", "3", "", 0.0),
        ("0.5.", ".5", "", 1.0),
        ("5", ".5", "", 0.0),
        ("...", ".", "", 0.0),
        ("NaN", "nan", "", 1.0),
        ("Answer: blue house", "Blue House", "", 1.0),
        ("x", "x", "", 1.0),
        ("答案：是。", "是", "", 0.0),
        ("是。", "是", "", 1.0),
        ("", "42", "", 0.0),
    ],
)
def test_an_answer_is_read_from_the_last_line(text: str, right: str, letters: str, reward: float) -> None:
    from harness.trainers.rewards import verified

    given = [[{"role": "assistant", "content": text}]]
    columns = {
        "answer": [right],
        "letters": [letters],
        "tests": [""],
        "setup": [""],
        "entry_point": [""],
        "begun": [""],
    }
    assert verified(given, **columns) == [reward]
