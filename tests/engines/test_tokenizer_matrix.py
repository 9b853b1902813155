"""Every tokenizer and request is scored as a forward pass over token ids that are written by hand.

Three kinds of tokenizers have the same ids for the same words; each adds BOS, EOS, both or nothing. What it adds in
front is used, what it adds behind is not.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, set_seed

from harness.checkpoints.resolver import resolve
from harness.engines.base import Answer, Request
from harness.engines.hf.engine import HfEngine
from harness.engines.spec import EngineSpec
from harness.engines.tokens import Encoder
from harness.engines.vllm.engine import open_vllm
from tests.engines.hf.test_packed import answers, open_packed

UNKNOWN, BOS, EOS, A, CAT, SAT, S, CATS = range(8)
SPECIAL = ["<unk>", "<s>", "</s>"]
ADDS = {"nothing": "$A", "BOS": "<s> $A", "EOS": "$A </s>", "both": "<s> $A </s>"}
ENGINES = ("packed", "rows", "vllm")
NEW_TOKENS = 5
OTHER_LENGTHS = {"eos_token_id": EOS, "max_new_tokens": 2, "min_new_tokens": 9}  # the request decides, not this file


def _byte_level() -> Tokenizer:
    words = [*SPECIAL, "a", "Ġcat", "Ġsat", "s", "Ġcats", "Ġ", "c", "t", "Ġc", "Ġs", "at"]
    merges = [("a", "t"), ("Ġ", "c"), ("Ġ", "s"), ("Ġc", "at"), ("Ġs", "at"), ("Ġcat", "s")]
    tokenizer = Tokenizer(models.BPE({word: number for number, word in enumerate(words)}, merges, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _unigram() -> Tokenizer:
    words = [*SPECIAL, "▁a", "▁cat", "▁sat", "▁s", "▁cats", *[f"filler{n}" for n in range(6)]]
    tokenizer = Tokenizer(models.Unigram([(word, -1.0) for word in words], unk_id=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    return tokenizer


def _word_piece() -> Tokenizer:
    words = [*SPECIAL, "a", "cat", "sat", "s", "cats", *[f"filler{n}" for n in range(6)]]
    tokenizer = Tokenizer(models.WordPiece({word: number for number, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer


KINDS = {"byte-level": _byte_level, "unigram": _unigram, "WordPiece": _word_piece}


def _tokenizer(kind: str, adds: str) -> PreTrainedTokenizerFast:
    tokenizer = KINDS[kind]()
    tokenizer.add_special_tokens(SPECIAL)
    added = [("<s>", BOS), ("</s>", EOS)]
    tokenizer.post_processor = processors.TemplateProcessing(single=ADDS[adds], special_tokens=added)
    fast: Any = PreTrainedTokenizerFast
    made: PreTrainedTokenizerFast = fast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="</s>"
    )
    return made


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Path]:
    """The same model with every tokenizer."""
    set_seed(0)
    config = LlamaConfig(
        vocab_size=14, hidden_size=64, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, max_position_embeddings=64, initializer_range=0.3, bos_token_id=BOS, eos_token_id=EOS,
    )  # fmt: skip
    model: Any = LlamaForCausalLM
    llama = model(config)
    made = {}
    for kind, adds in itertools.product(KINDS, ADDS):
        folder = tmp_path_factory.mktemp(f"{kind}-{adds}")
        llama.save_pretrained(folder)
        (folder / "generation_config.json").write_text(json.dumps(OTHER_LENGTHS), encoding="utf-8")
        _tokenizer(kind, adds).save_pretrained(folder)
        made[kind, adds] = folder
    return made


@pytest.fixture(scope="module")
def vllm(folders: dict[tuple[str, str], Path]) -> Iterator[Any]:
    """One engine for all tokenizers: they share the model, and vLLM gets token ids."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        spec = EngineSpec(backend="vllm", dtype="float32", model_args={"kv_cache_memory_bytes": 64 * 2**20})
        engine = open_vllm(resolve(str(folders["byte-level", "nothing"])), spec)
        yield engine
        engine.close()


def _engine(name: str, folder: Path, vllm: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    if name == "vllm":
        vllm._encoder = Encoder(AutoTokenizer.from_pretrained(folder), max_length=64)
        return vllm
    if name == "rows":
        monkeypatch.setattr("harness.engines.hf.engine.longest_packed", lambda *_: 0)
    engine = open_packed(folder)
    assert isinstance(engine, HfEngine)
    assert (engine.description["packed_up_to"] == 0) == (name == "rows")
    return engine


def _score(model: Any, context: Sequence[int], continuation: Sequence[int]) -> tuple[float, bool]:
    logits = model(torch.tensor([[*context, *continuation]])).logits[0, len(context) - 1 : -1]
    logprobs = logits.log_softmax(dim=-1)
    total = sum(float(row[token]) for row, token in zip(logprobs, continuation, strict=True))
    return total, all(int(row.argmax()) == token for row, token in zip(logprobs, continuation, strict=True))


def _generated(model: Any, prompt: Sequence[int]) -> list[int]:
    tokens = list(prompt)
    for _ in range(NEW_TOKENS):
        tokens.append(int(model(torch.tensor([tokens])).logits[0, -1].argmax()))
        if tokens[-1] == EOS:
            break
    return tokens[len(prompt) :]


SCORED = {
    # context, continuation: the ids after what the tokenizer adds in front, the ids that are scored
    ("a cat", " sat"): ([A, CAT], [SAT]),
    ("a cat ", "sat"): ([A, CAT], [SAT]),
    ("a", " cat sat"): ([A], [CAT, SAT]),
    ("a cat", " cats"): ([A, CAT], [CATS]),
}
WITH_BOS = {("<s>a cat", " sat"): ([BOS, A, CAT], [SAT])}  # as a chat template writes it: nothing is added
WITHOUT_CONTEXT = {("", "a cat"): ([BOS], [A, CAT]), ("", "<s>a cat"): ([BOS], [A, CAT])}
APART = {("a cat", "s"): ([A, CAT], [S])}  # "cats" is one token, so that nothing would be left of the continuation


@pytest.mark.parametrize("engine_name", ENGINES)
@pytest.mark.parametrize("adds", ADDS)
@pytest.mark.parametrize("kind", KINDS)
def test_answers_are_those_of_a_forward_pass_over_ids_written_by_hand(
    kind: str,
    adds: str,
    engine_name: str,
    folders: dict[tuple[str, str], Path],
    vllm: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = folders[kind, adds]
    model: Any = LlamaForCausalLM.from_pretrained(folder)
    front = [BOS] if adds in ("BOS", "both") else []
    expected = {
        **{text: (front + before, after) for text, (before, after) in {**SCORED, **APART}.items()},
        **WITH_BOS,
        **WITHOUT_CONTEXT,
    }
    requests = [Request(kind="loglikelihood", context=one, continuation=other) for one, other in expected]
    rolling = Request(kind="loglikelihood_rolling", context="", continuation="a cat sat")
    prompts = {"a cat": [*front, A, CAT], "<s>a cat": [BOS, A, CAT]}
    arguments = json.dumps({"until": [], "max_gen_toks": NEW_TOKENS})
    generations = [Request(kind="generate_until", context=text, generation=arguments) for text in prompts]
    engine = _engine(engine_name, folder, vllm, monkeypatch)
    results = answers(engine, [*requests, rolling, *generations])
    assert all(isinstance(answer, Answer) for answer in results), results
    given = [answer for answer in results if isinstance(answer, Answer)]
    with torch.no_grad():
        for answer, (text, ids) in zip(given, expected.items(), strict=False):
            logprob, greedy = _score(model, *ids)
            assert answer.logprob == pytest.approx(logprob, abs=1e-4), text
            assert answer.is_greedy == greedy, text
            assert answer.encoded_apart == (text in APART), text
            assert answer.tokens == len(ids[1])
        whole, _ = _score(model, [BOS], [*front, A, CAT, SAT])
        assert given[len(requests)].logprob == pytest.approx(whole, abs=1e-4)
        decoder = AutoTokenizer.from_pretrained(folders["byte-level", "nothing"] if engine_name == "vllm" else folder)
        for answer, prompt in zip(given[-len(prompts) :], prompts.values(), strict=True):
            new = [token for token in _generated(model, prompt) if token != EOS]
            assert answer.text == decoder.decode(new, skip_special_tokens=engine_name != "vllm")
    front_names = ["<s>"] if front else []
    behind = ["</s>"] if adds in ("EOS", "both") else []
    assert engine.description["tokens_added"] == {"in_front": front_names, "behind_not_used": behind}
