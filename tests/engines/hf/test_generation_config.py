"""The request decides how long a text is and where it stops, whatever the checkpoint's generation_config.json says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from harness.engines.sampling_fields import SAMPLING_FIELDS
from tests.engines.hf.test_generate import CONTEXTS, generation, texts
from tests.engines.hf.test_packed import answers, open_packed
from tests.models import save_tiny_llama

NEW = 40  # more than two stages

# Fields that have no effect, each with a value that would change the text.
IGNORED: dict[str, Any] = {
    "max_new_tokens": 5, "max_length": 7, "min_new_tokens": 60, "min_length": 60, "num_beams": 3,
    "forced_eos_token_id": 1, "forced_bos_token_id": 5, "stop_strings": ["a", "e"], "cache_implementation": "static",
    "num_return_sequences": 1, "length_penalty": 2.0, "early_stopping": True, "begin_suppress_tokens": [5, 6, 7],
    "exponential_decay_length_penalty": [2, 1.5], "do_sample": True, "temperature": 5.0, "max_time": 0.0,
    "penalty_alpha": 0.6, "prompt_lookup_num_tokens": 3, "use_cache": False,
}  # fmt: skip
# Sampling fields that change a greedy text, as they do in lm-eval.
APPLIED: dict[str, Any] = {
    "repetition_penalty": 1.8, "no_repeat_ngram_size": 2, "suppress_tokens": [40, 41, 42, 43, 44, 45, 46, 47, 48],
    "bad_words_ids": [[260], [261], [262]],
}  # fmt: skip


def _greedy(path: Path, **fields: Any) -> list[str]:
    """The texts of one pass of transformers' `generate` per context, with nothing of the checkpoint's file."""
    (path / "generation_config.json").unlink(missing_ok=True)
    model: Any = AutoModelForCausalLM.from_pretrained(path)
    tokenizer = AutoTokenizer.from_pretrained(path)
    found = []
    for context in CONTEXTS:
        ids = torch.tensor([tokenizer(context).input_ids])
        arguments = {"do_sample": False, "max_new_tokens": NEW, "pad_token_id": 1, **fields}
        new = model.generate(ids, **arguments)[0, ids.shape[1] :]
        found.append(str(tokenizer.decode(new, skip_special_tokens=True)))
    return found


@pytest.fixture
def path(tmp_path: Path) -> Path:
    folder = save_tiny_llama(tmp_path / "model")
    (folder / "generation_config.json").unlink(missing_ok=True)
    return folder


def _texts(path: Path, fields: dict[str, Any], **more: Any) -> list[str]:
    (path / "generation_config.json").write_text(json.dumps(fields), encoding="utf-8")
    requests = [generation(context, until=[], max_gen_toks=NEW, **more) for context in CONTEXTS]
    return texts(answers(open_packed(path), requests))


@pytest.mark.parametrize("field", IGNORED)
def test_the_checkpoints_length_and_stopping_have_no_effect(field: str, path: Path) -> None:
    expected = _greedy(path)
    assert _texts(path, {field: IGNORED[field]}) == expected


@pytest.mark.parametrize("field", APPLIED)
def test_the_checkpoints_sampling_fields_apply_in_stages_as_in_one_pass(field: str, path: Path) -> None:
    assert field in SAMPLING_FIELDS
    plain = _greedy(path)
    expected = _greedy(path, **{field: APPLIED[field]})
    assert expected != plain, "a field that changes nothing shows nothing"
    assert _texts(path, {field: APPLIED[field]}) == expected


def test_the_request_comes_before_the_checkpoint(path: Path) -> None:
    expected = _greedy(path, repetition_penalty=1.2)
    assert _texts(path, {"repetition_penalty": 1.8}, repetition_penalty=1.2) == expected


def test_the_checkpoints_end_tokens_end_a_text(path: Path) -> None:
    (plain,) = texts(answers(open_packed(path), [generation("a cat", until=[], max_gen_toks=NEW)]))
    tokenizer = AutoTokenizer.from_pretrained(path)
    model: Any = AutoModelForCausalLM.from_pretrained(path)
    ids = torch.tensor([tokenizer("a cat").input_ids])
    new = model.generate(ids, do_sample=False, max_new_tokens=NEW, pad_token_id=1)[0, ids.shape[1] :].tolist()
    end = new[20]
    ended = _texts(path, {"eos_token_id": [1, end]})[0]
    assert ended == tokenizer.decode(new[: new.index(end) + 1], skip_special_tokens=True)
    assert plain.startswith(ended)
