"""A configuration that cannot belong to the weights is refused before a model is built; real folders are not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from harness.checkpoints.fit import check_causal, check_size
from harness.checkpoints.resolver import resolve
from harness.errors import CheckpointError
from harness.plain_yaml import check_yaml
from tests.conftest import HarnessCommand
from tests.models import save_tiny_llama
from tests.tasks_for_tests import write_tasks


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return save_tiny_llama(tmp_path / "model")


def change(model: Path, **fields: object) -> None:
    path = model / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **fields}), encoding="utf-8")


@pytest.mark.parametrize(
    "fields",
    [
        {"num_hidden_layers": 10**9},
        {"num_labels": 10**9},
        {"vocab_size": 10**9},
        {"head_dim": 10**9},
        {"num_key_value_heads": 10**6},
        {"intermediate_size": 10**12},
        {"text_config": {"num_local_experts": 10**9}},
    ],
    ids=str,
)
def test_an_absurd_size_is_refused(model: Path, fields: dict[str, object]) -> None:
    change(model, **fields)
    with pytest.raises(CheckpointError, match=r"config\.json: "):
        check_size(model)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"max_position_embeddings": 10_485_760},
        {"rope_theta": 10**9},
        {"sliding_window": 10**9},
        {"num_labels": 1000},
    ],
    ids=str,
)
def test_a_size_that_real_models_have_is_not_refused(model: Path, fields: dict[str, object]) -> None:
    change(model, **fields)
    check_size(model)


def test_other_files_beside_the_weights_are_not_read(model: Path) -> None:
    (model / "consolidated.safetensors").write_text("version https://git-lfs.github.com/spec/v1\n", encoding="utf-8")
    (model / "old.bin").symlink_to(model / "nowhere")
    check_size(model)


def test_a_folders_own_code_is_neither_run_nor_asked_about(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    change(model, model_type="strange", auto_map={"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.Model"})
    (model / "evil.py").write_text("raise SystemExit('ran')\n", encoding="utf-8")

    def asked(*_: object) -> str:
        raise AssertionError("a question was asked")

    monkeypatch.setattr("builtins.input", asked)
    check_size(model)


@pytest.mark.parametrize("place", ["vocab", "added_tokens"])
def test_an_impossible_token_id_is_refused(model: Path, place: str) -> None:
    path = model / "tokenizer.json"
    content = json.loads(path.read_text("utf-8"))
    if place == "vocab":
        content["model"]["vocab"]["a"] = 10**9
    else:
        content["added_tokens"][0]["id"] = 10**9
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"tokenizer\.json: has the token id 1000000000"):
        resolve(str(model))


def test_large_numbers_that_are_no_token_ids_are_not_refused(model: Path) -> None:
    path = model / "tokenizer.json"
    content = json.loads(path.read_text("utf-8"))
    content["truncation"] = {"direction": "Right", "max_length": 10**18, "strategy": "LongestFirst", "stride": 0}
    path.write_text(json.dumps(content), encoding="utf-8")
    resolve(str(model))


@pytest.mark.parametrize("text", ["[" * 100 + "]" * 100, "a: &x [&x 1, *x]", "a: &x {b: 1}\nc: *x\nd: [*x, *x]"])
def test_yaml_that_is_only_unusual_is_read(text: str) -> None:
    check_yaml(text, yaml.SafeLoader)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[" * 200_000, "nested"),
        ("a: &a [*a]", "inside the value"),
        ("".join(f"k{n}: &k{n} [{', '.join([f'*k{n - 1}' if n else 'x'] * 9)}]\n" for n in range(9)), "aliases"),
    ],
    ids=["nested", "circular", "doubling"],
)
def test_yaml_without_end_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        check_yaml(text, yaml.SafeLoader)


@pytest.mark.parametrize(
    "name",
    [
        "LlamaForSequenceClassification",
        "BertForMaskedLM",
        "LlamaForTokenClassification",
        "Qwen2ForRewardModel",
        "InternLM2ForRewardModel",
        "Qwen2ForProcessRewardModel",
        "AutoModelForCausalLMWithValueHead",
        "LlamaModel",
    ],
)
def test_a_model_without_a_language_head_is_refused(model: Path, name: str) -> None:
    change(model, architectures=[name], tie_word_embeddings=True)
    with pytest.raises(CheckpointError, match=rf"architectures says {name}"):
        check_causal(model)


def test_an_encoder_decoder_is_refused(model: Path) -> None:
    change(model, architectures=["T5ForConditionalGeneration"], is_encoder_decoder=True)
    with pytest.raises(CheckpointError, match="is_encoder_decoder is true"):
        check_causal(model)


def test_every_causal_class_of_transformers_is_accepted(model: Path) -> None:
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    for names in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values():
        for name in [names] if isinstance(names, str) else names:
            change(model, architectures=[name])
            check_causal(model)
    change(model, architectures=["ChatGLMModel"], auto_map={"AutoModelForCausalLM": "modeling_chatglm.ChatGLM"})
    check_causal(model)


def test_a_classifier_with_tied_embeddings_is_not_scored(tmp_path: Path, harness_here: HarnessCommand) -> None:
    from transformers import AutoTokenizer, LlamaConfig, LlamaForSequenceClassification

    base = save_tiny_llama(tmp_path / "base")
    config = LlamaConfig.from_pretrained(base, tie_word_embeddings=True)
    LlamaForSequenceClassification(config).save_pretrained(tmp_path / "classifier")  # type: ignore[no-untyped-call]
    AutoTokenizer.from_pretrained(base).save_pretrained(tmp_path / "classifier")
    tasks = write_tasks(tmp_path / "tasks", items=2)
    words = ["--tasks", "t_choice", "--include_path", tasks, "--output_path", tmp_path / "runs"]
    done = harness_here("eval", "--model", tmp_path / "classifier", *words)
    assert done.returncode == 2
    assert "LlamaForSequenceClassification" in done.stderr
