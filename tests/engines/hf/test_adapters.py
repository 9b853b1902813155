"""PEFT adapters give the scores and texts that PEFT gives on the base they were trained on."""

from __future__ import annotations

import copy
import functools
import warnings
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
import transformers as tf
from transformers import set_seed

from harness.engines.base import Answer
from harness.engines.hf.loading import HfSpec, load
from harness.errors import CheckpointError
from tests.engines.hf.families import GQA, INITIALIZER_RANGE, save_family
from tests.engines.hf.plain import greedy_texts, logprob
from tests.engines.hf.test_generate import generation, texts
from tests.engines.hf.test_packed import answers, loglikelihood, open_packed
from tests.models import tiny_tokenizer

PADDING_ROWS = 37
TOKENS = len(tiny_tokenizer())
ROWS = TOKENS + PADDING_ROWS
CONTEXTS = ["a cat sat", "the big red dog", "who knows<new0> why it"]


def save_padded(folder: Path, *, tied: bool) -> Path:
    """A Qwen2 whose embeddings have more rows than its tokenizer has tokens, as those of Qwen2.5 have."""
    set_seed(0)
    config = tf.Qwen2Config(
        **GQA,
        vocab_size=ROWS,
        tie_word_embeddings=tied,
        bos_token_id=0,
        eos_token_id=1,
        initializer_range=INITIALIZER_RANGE,
    )
    tf.AutoModelForCausalLM.from_config(config).save_pretrained(folder)  # type: ignore[no-untyped-call]
    tiny_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module", params=[True, False], ids=["tied", "untied"])
def padded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_padded(tmp_path_factory.mktemp("padded") / "base", tied=request.param)


def train(base: Path, folder: Path, config: Any, rows: int | None = None) -> Any:
    """Save an adapter with random weights for `base`, resized to `rows`; returns PEFT's model."""
    set_seed(1)
    model = tf.AutoModelForCausalLM.from_pretrained(base)
    if rows is not None:
        model.resize_token_embeddings(rows)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        adapted = peft.get_peft_model(model, config)
        for weight in adapted.parameters():
            if weight.requires_grad:
                torch.nn.init.normal_(weight, std=0.3)
        adapted.save_pretrained(folder)
    return adapted.eval()


def lora(**arguments: Any) -> Any:
    return peft.LoraConfig(**{"task_type": "CAUSAL_LM", "r": 4, **arguments})


# What the adapter holds, and the rows it was trained with; None for those of its base.
TRAINED: dict[str, tuple[Any, int | None]] = {
    "head": (lora(modules_to_save=["lm_head"]), None),
    "embeddings and head": (lora(modules_to_save=["embed_tokens", "lm_head"]), None),
    "embeddings and head of a grown base": (lora(modules_to_save=["embed_tokens", "lm_head"]), ROWS + 5),
    "embeddings and head of a base cut to its tokenizer": (lora(modules_to_save=["embed_tokens", "lm_head"]), TOKENS),
    "embeddings that PEFT saves as they were resized": (lora(), ROWS + 5),
    "trainable tokens": (lora(trainable_token_indices=[5, 6]), None),
    "trainable tokens of a grown base": (peft.TrainableTokensConfig(token_indices=[3, ROWS + 2]), ROWS + 5),
    "changes of the embeddings of a grown base": (lora(target_modules=["embed_tokens", "q_proj"]), ROWS + 5),
    "changes of the head of a grown base": (lora(target_modules=["lm_head", "q_proj"]), ROWS + 5),
}


@pytest.mark.parametrize("name", TRAINED)
def test_scores_are_those_of_the_model_that_was_trained(name: str, padded: Path, tmp_path: Path) -> None:
    config, rows = TRAINED[name]
    trained = train(padded, tmp_path / "adapter", copy.deepcopy(config), rows)  # PEFT writes into it
    tokenizer = tiny_tokenizer()
    if rows != TOKENS:
        tokenizer.add_tokens(["<new0>", "<new1>"])  # their rows are among those that padded the vocabulary
    tokenizer.save_pretrained(tmp_path / "adapter")
    engine = open_packed(padded, adapter=str(tmp_path / "adapter"), tokenizer=str(tmp_path / "adapter"))
    for context, answer in zip(
        CONTEXTS, answers(engine, [loglikelihood(context, " on the mat") for context in CONTEXTS]), strict=True
    ):
        assert isinstance(answer, Answer)
        assert answer.logprob == pytest.approx(logprob(trained, tokenizer, context, " on the mat"), abs=1e-4)


def test_an_adapter_that_changes_nothing_scores_as_its_base(padded: Path, tmp_path: Path) -> None:
    base = tf.AutoModelForCausalLM.from_pretrained(padded)
    peft.get_peft_model(base, lora()).save_pretrained(tmp_path)
    requests = [loglikelihood(context, " on the mat") for context in CONTEXTS]
    assert answers(open_packed(padded, adapter=str(tmp_path)), requests) == answers(open_packed(padded), requests)


def test_tokens_without_saved_embeddings_get_the_same_ones_each_time(padded: Path, tmp_path: Path) -> None:
    train(padded, tmp_path, lora())
    tokenizer = tiny_tokenizer()
    tokenizer.add_tokens([f"<new{number}>" for number in range(PADDING_ROWS + 3)])
    tokenizer.save_pretrained(tmp_path)
    spec = HfSpec(path=str(padded), adapter=str(tmp_path), tokenizer=str(tmp_path), dtype="float32", device="cpu")
    models: list[Any] = [load(spec).model for _ in range(2)]
    first, second = (model.get_input_embeddings().weight for model in models)
    assert len(first) == ROWS + 3
    assert torch.equal(first, second)


def test_the_error_of_an_adapter_has_the_whole_reason(padded: Path, tmp_path: Path) -> None:
    """PEFT and torch give the reason in the second line."""
    other = tmp_path / "other"
    set_seed(0)
    narrow = tf.Qwen2Config(**{**GQA, "hidden_size": 16}, vocab_size=ROWS)
    tf.AutoModelForCausalLM.from_config(narrow).save_pretrained(other)  # type: ignore[no-untyped-call]
    train(other, tmp_path / "adapter", lora())
    with pytest.raises(CheckpointError, match=r"size mismatch.*shape torch.Size\(\[4, 16\]\)") as caught:
        open_packed(padded, adapter=str(tmp_path / "adapter"))
    assert "\n" not in str(caught.value)


VIRTUAL = {"task_type": "CAUSAL_LM", "num_virtual_tokens": 5}
PROMPT_LEARNING: dict[str, Any] = {
    "prefix tuning": peft.PrefixTuningConfig(**VIRTUAL),
    "prefix tuning with a projection": peft.PrefixTuningConfig(
        **VIRTUAL, prefix_projection=True, encoder_hidden_size=16
    ),
    "prompt tuning": peft.PromptTuningConfig(**VIRTUAL),
    "p-tuning": peft.PromptEncoderConfig(**VIRTUAL, encoder_hidden_size=16),
}
PROMPTS = ["a cat", "a cat sat on the mat and dog ran", "who knows", "the big red house because it was not cold"]


@pytest.mark.parametrize(
    ("family", "name"), [*(("llama", name) for name in PROMPT_LEARNING), ("gpt2", "prefix tuning")]
)
def test_prompt_learning_gives_pefts_scores_and_texts(family: str, name: str, tmp_path: Path) -> None:
    base = save_family(tmp_path / "base", family)
    train(base, tmp_path / "adapter", copy.deepcopy(PROMPT_LEARNING[name]))

    def reopened() -> Any:
        model = tf.AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
        return peft.PeftModel.from_pretrained(model, tmp_path / "adapter").eval()

    tokenizer, once = tiny_tokenizer(), functools.cache(reopened)
    engine = open_packed(base, adapter=str(tmp_path / "adapter"))
    generated = answers(engine, [generation(context, until=[], max_gen_toks=40) for context in PROMPTS])
    assert texts(generated) == greedy_texts(once, tokenizer, PROMPTS)
    for context, answer in zip(
        PROMPTS, answers(engine, [loglikelihood(prompt, " who knows") for prompt in PROMPTS]), strict=True
    ):
        assert isinstance(answer, Answer)
        assert answer.logprob == pytest.approx(logprob(once(), tokenizer, context, " who knows"), abs=1e-4)


def test_virtual_tokens_take_room_in_the_context(tmp_path: Path) -> None:
    """A prompt as long as the context would need positions that GPT-2 does not have."""
    base = save_family(tmp_path / "base", "gpt2", max_length=32)
    train(base, tmp_path / "adapter", copy.deepcopy(PROMPT_LEARNING["prompt tuning"]))
    engine = open_packed(base, adapter=str(tmp_path / "adapter"))
    (answer,) = answers(engine, [loglikelihood("a cat sat " * 30, "on")])
    assert isinstance(answer, Answer)
    assert engine.description["max_length"] == 32 - 5
