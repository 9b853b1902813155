"""Long texts equal those of plain `generate`, whatever state a model keeps and whatever its tokenizer lacks."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as tf
from transformers import PretrainedConfig, PreTrainedTokenizerFast, set_seed

from harness.engines.base import Answer, Failure
from harness.engines.hf.generation_probe import Batching
from tests.engines.hf.families import GQA, INITIALIZER_RANGE, save_family
from tests.engines.hf.plain import greedy_texts
from tests.engines.hf.test_generate import generation, texts
from tests.engines.hf.test_packed import answers, open_packed
from tests.models import tiny_tokenizer

# Rows of several lengths, two of one length, and one of a single token.
CONTEXTS = ["a cat", "a cat sat on the mat and dog ran", "who knows", "the big red house because it", "a"]
SMALL: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 2, "state_size": 4}
HYBRID: dict[str, Any] = {
    "mamba_n_heads": 8,
    "mamba_d_head": 8,
    "mamba_d_state": 8,
    "mamba_n_groups": 1,
    "mamba_chunk_size": 8,
}
FAST = Batching(pads=True, stages=True, shares_prefixes=True)
WITH_STATES = Batching(pads=True, stages=True, shares_prefixes=False)

RECURRENT: dict[str, tuple[Callable[[], PretrainedConfig], Batching]] = {
    "recurrent gemma": (
        lambda: tf.RecurrentGemmaConfig(
            num_hidden_layers=3, hidden_size=32, intermediate_size=64, num_attention_heads=4, lru_width=32
        ),
        Batching(pads=False, stages=False, shares_prefixes=False),
    ),
    "rwkv": (
        lambda: tf.RwkvConfig(hidden_size=32, num_hidden_layers=2, context_length=96),
        Batching(pads=False, stages=False, shares_prefixes=False),
    ),
    "mamba 2": (
        lambda: tf.Mamba2Config(**SMALL, num_heads=8, head_dim=8, n_groups=1, chunk_size=8),
        Batching(pads=True, stages=False, shares_prefixes=False),
    ),
    "jamba": (
        lambda: tf.JambaConfig(
            **GQA,
            attn_layer_period=2,
            attn_layer_offset=1,
            num_experts=1,
            num_experts_per_tok=1,
            mamba_d_state=4,
            mamba_dt_rank=4,
            use_mamba_kernels=False,
        ),
        WITH_STATES,
    ),
    "bamba": (lambda: tf.BambaConfig(**GQA, attn_layer_indices=[1], **HYBRID), WITH_STATES),
    "lfm2": (lambda: tf.Lfm2Config(**GQA, layer_types=["conv", "full_attention"]), WITH_STATES),
    "llama": (lambda: tf.LlamaConfig(**GQA), FAST),
}


def save_recurrent(folder: Path, config: PretrainedConfig) -> Path:
    set_seed(0)
    tokenizer = tiny_tokenizer()
    config.vocab_size, config.initializer_range = len(tokenizer), INITIALIZER_RANGE
    config.bos_token_id, config.eos_token_id, config.pad_token_id = 0, 1, None
    model: Any = tf.AutoModelForCausalLM.from_config(config)  # type: ignore[no-untyped-call]
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("name", RECURRENT)
def test_long_texts_equal_plain_generate(name: str, tmp_path: Path) -> None:
    config, expected = RECURRENT[name]
    path = save_recurrent(tmp_path, config())
    engine = open_packed(path)
    requests = [generation(context, until=[], max_gen_toks=40) for context in CONTEXTS]
    plain = greedy_texts(lambda: opened(path), tiny_tokenizer(), CONTEXTS)
    assert len(set(plain)) > 1
    assert texts(answers(engine, requests)) == plain
    assert texts(answers(engine, requests[-1:])) == plain[-1:], "nothing is left of the texts before"
    assert engine._generator._batching == expected


def opened(path: Path) -> Any:
    model: Any = tf.AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
    return model.eval()


def save_with_tokens(folder: Path, **tokens: str) -> Path:
    """A Llama whose tokenizer has only these special tokens, and which names no end of a text."""
    save_family(folder, "llama")
    plain = PreTrainedTokenizerFast(tokenizer_object=tiny_tokenizer().backend_tokenizer, **tokens)  # type: ignore[no-untyped-call]
    for path in folder.glob("*token*"):
        path.unlink()
    plain.save_pretrained(folder)
    (folder / "generation_config.json").write_text("{}")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"eos_token_id": None}))
    return folder


TOKENIZERS: dict[str, dict[str, str]] = {
    "BOS and no EOS": {"bos_token": "<s>"},
    "neither BOS nor EOS": {},
    "EOS and no BOS": {"eos_token": "</s>"},
    "a padding token that the model has no embedding for": {"bos_token": "<s>", "pad_token": "<pad>"},
}


@pytest.mark.parametrize("name", TOKENIZERS)
def test_a_tokenizer_may_lack_special_tokens(name: str, tmp_path: Path) -> None:
    path = save_with_tokens(tmp_path, **TOKENIZERS[name])
    model, tokenizer = opened(path), tf.AutoTokenizer.from_pretrained(path)
    requests = [generation(context, until=["\n\n"], max_gen_toks=40) for context in CONTEXTS]
    assert texts(answers(open_packed(path), requests)) == greedy_texts(lambda: model, tokenizer, CONTEXTS)


def test_the_generation_config_may_name_the_end_that_the_tokenizer_lacks(tmp_path: Path) -> None:
    path = save_with_tokens(tmp_path, **TOKENIZERS["BOS and no EOS"])
    tokenizer = tf.AutoTokenizer.from_pretrained(path)
    ids = tokenizer(CONTEXTS[0], return_tensors="pt").input_ids
    eighth = int(opened(path).generate(input_ids=ids, max_new_tokens=8, do_sample=False, pad_token_id=0)[0, -1])
    (path / "generation_config.json").write_text(json.dumps({"eos_token_id": eighth}))
    model = opened(path)
    generated = answers(open_packed(path), [generation(context, until=[], max_gen_toks=40) for context in CONTEXTS])
    assert texts(generated) == greedy_texts(lambda: model, tokenizer, CONTEXTS)
    assert isinstance(generated[0], Answer)
    assert generated[0].tokens <= 8


def test_an_empty_prompt_without_any_special_token_is_a_failure(tmp_path: Path) -> None:
    path = save_with_tokens(tmp_path)
    empty, other = answers(open_packed(path), [generation("", max_gen_toks=4), generation("a cat", max_gen_toks=4)])
    assert isinstance(empty, Failure)
    assert "neither BOS nor EOS" in empty.message
    assert not isinstance(other, Failure)
