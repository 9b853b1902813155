"""Plain lm-eval with our packed engine gives what it gives with its own `hf` model."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import lm_eval
import pytest
import torch
from lm_eval.tasks import TaskManager

import harness
from harness.api.engine_lm import EngineLM, _in_own_words, _spec
from harness.errors import EngineError
from tests.models import save_tiny_adapter, save_tiny_llama
from tests.tasks_for_tests import write_tasks
from tests.trainers.helpers import CHAT_TEMPLATE

ROLLING = """
task: t_rolling
dataset_path: json
dataset_kwargs: {{data_files: {{test: {folder}/items.jsonl}}}}
test_split: test
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: prompt
metric_list:
  - {{metric: word_perplexity, aggregation: weighted_perplexity, higher_is_better: false}}
"""
TASKS = ["t_choice", "t_generate", "t_rolling"]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model whose tokenizer has a chat template."""
    from transformers import AutoTokenizer

    folder = save_tiny_llama(tmp_path_factory.mktemp("model") / "tiny")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = CHAT_TEMPLATE
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_tasks(tmp_path_factory.mktemp("tasks"))
    (folder / "rolling.yaml").write_text(ROLLING.format(folder=folder), encoding="utf-8")
    return folder


def _simple_evaluate(tasks: Path, **arguments: Any) -> dict[str, Any]:
    results = lm_eval.simple_evaluate(
        tasks=TASKS,
        task_manager=TaskManager(include_path=str(tasks), include_defaults=False),
        bootstrap_iters=0,
        batch_size=4,
        **arguments,
    )
    assert results is not None
    return dict(results)


def _check_equal(mine: dict[str, Any], theirs: dict[str, Any]) -> None:
    """Log-likelihoods to 1e-3 nats; equal greedy flags, texts and prompts."""
    for task in TASKS:
        assert len(mine["samples"][task]) == len(theirs["samples"][task]) == 24
        for own, other in zip(mine["samples"][task], theirs["samples"][task], strict=True):
            assert own["prompt_hash"] == other["prompt_hash"]
            for answer, wanted in zip(own["resps"], other["resps"], strict=True):
                _check_answer(answer[0], wanted[0])


def _check_answer(answer: Any, wanted: Any) -> None:
    if isinstance(wanted, str):
        assert answer == wanted
    elif isinstance(wanted, tuple | list):
        assert float(answer[0]) == pytest.approx(float(wanted[0]), abs=1e-3)
        assert str(answer[1]) == str(wanted[1])
    else:
        assert float(answer) == pytest.approx(float(wanted), abs=1e-3)


@pytest.mark.parametrize("chat", [False, True], ids=["plain", "chat"])
def test_answers_are_those_of_lm_evals_own_model(chat: bool, tiny: Path, tasks: Path) -> None:
    more: dict[str, Any] = {"apply_chat_template": chat, "num_fewshot": 1, "fewshot_as_multiturn": chat}
    if chat:
        more["system_instruction"] = "Be brief."
    model_args = {"pretrained": str(tiny), "dtype": "float32"}
    theirs = _simple_evaluate(tasks, model="hf", model_args=model_args, device="cpu", **more)
    with_object = harness.lm_eval_models.load("hf", pretrained=tiny, dtype="float32", device="cpu")
    _check_equal(_simple_evaluate(tasks, model=with_object, **more), theirs)
    with_object.close()
    harness.lm_eval_models.register()
    harness.lm_eval_models.register()
    by_name = _simple_evaluate(tasks, model="harness-hf", model_args=model_args, device="cpu", **more)
    _check_equal(by_name, theirs)
    assert by_name["config"]["harness_engine"]["engine"] == "hf"


def test_lm_evals_cache_gets_the_answers(tiny: Path, tasks: Path, tmp_path: Path) -> None:
    more: dict[str, Any] = {"use_cache": str(tmp_path / "cache")}
    model = harness.lm_eval_models.load("hf", pretrained=tiny, dtype="float32", device="cpu")
    first = _simple_evaluate(tasks, model=model, **more)
    model.close()  # answers nothing any more
    again = _simple_evaluate(tasks, model=model, **more)
    _check_equal(again, first)


def test_an_adapter_is_given_as_lm_eval_takes_it(tiny: Path, tasks: Path, tmp_path: Path) -> None:
    adapter = save_tiny_adapter(tmp_path / "adapter", tiny)
    model_args = {"pretrained": str(tiny), "peft": str(adapter), "dtype": "float32"}
    theirs = _simple_evaluate(tasks, model="hf", model_args=model_args, device="cpu")
    harness.lm_eval_models.register()
    _check_equal(_simple_evaluate(tasks, model="harness-hf", model_args=model_args, device="cpu"), theirs)
    model_args["pretrained"] = str(save_tiny_llama(tmp_path / "other", seed=1))  # another base than the adapter's
    theirs = _simple_evaluate(tasks, model="hf", model_args=model_args, device="cpu")
    _check_equal(_simple_evaluate(tasks, model="harness-hf", model_args=model_args, device="cpu"), theirs)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"dtype": "float"}, {"dtype": "float32"}),
        ({"dtype": "half"}, {"dtype": "float16"}),
        ({"max_model_len": 64, "max_length": None}, {"max_length": 64}),
        (
            {
                "dtype": "float32",
                "truncation": True,
                "use_fast_tokenizer": True,
                "logits_cache": False,
                "revision": "main",
            },
            {"dtype": "float32", "model_args": {}},
        ),
    ],
)
def test_what_lm_evals_own_model_takes_is_taken(
    arguments: dict[str, Any], expected: dict[str, Any], tiny: Path
) -> None:
    given = _in_own_words(arguments)
    spec = _spec("hf", given)
    assert {name: getattr(spec, name) for name in expected} == expected
    assert "revision" not in given


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"max_model_len": 64, "max_length": 32}, "max_length=32: differs from max_length=64"),
        (
            {"use_fast_tokenizer": False},
            "use_fast_tokenizer=False: only lm-eval's own model takes this; give model='hf'",
        ),
        ({"delta": "org/delta"}, "delta=org/delta: cannot be used here; add the delta to its base once"),
    ],
)
def test_what_cannot_be_honoured_says_what_to_do(arguments: dict[str, Any], problem: str, tiny: Path) -> None:
    with pytest.raises(harness.InputError, match=re.escape(problem)):
        harness.lm_eval_models.load("hf", pretrained=tiny, **arguments)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_without_a_gpu_lm_evals_default_device_means_the_cpu(tiny: Path) -> None:
    model = harness.lm_eval_models.load("hf", pretrained=tiny, device="cuda:0")
    assert isinstance(model, EngineLM)
    assert model._description["device"] == "cpu"


@pytest.mark.slow
def test_lm_evals_command_finds_our_engines(tiny: Path, tasks: Path, tmp_path: Path) -> None:
    words = ["run", "--model", "harness-hf", "--model_args", f"pretrained={tiny},dtype=float32", "--tasks", "t_choice"]
    words += ["--include_path", str(tasks), "--limit", "2", "--batch_size", "auto"]
    done = subprocess.run(
        [sys.executable, "-m", "harness.lm_eval_models", *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "t_choice" in done.stdout
    assert "acc" in done.stdout
    words[4] = f"pretrained={tmp_path / 'gone'}"
    done = subprocess.run(
        [sys.executable, "-m", "harness.lm_eval_models", *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "no such folder or file" in done.stderr.splitlines()[-1]


def test_lm_evals_command_is_given_our_engines_and_errors_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The slow test above runs the command itself, which reads all of lm-eval's tasks first."""
    from lm_eval import __main__ as command
    from lm_eval.api.registry import get_model

    def evaluate() -> None:
        get_model("harness-vllm")
        get_model("harness-hf").create_from_arg_string(f"pretrained={tmp_path / 'gone'}", {"batch_size": 1})

    monkeypatch.setattr(command, "cli_evaluate", evaluate)
    with pytest.raises(SystemExit) as stop:
        harness.lm_eval_models.main()
    assert stop.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "no such folder or file" in line


@pytest.mark.parametrize(
    ("backend", "arguments", "message"),
    [
        ("hf", {"dtyp": "float32"}, "dtyp: no such argument"),
        ("hf", {"batch_size": "many"}, "batch_size=many"),
        ("hff", {}, "Did you mean hf"),
        ("scripted", {}, "opens no checkpoints"),
    ],
)
def test_a_wrong_argument_is_one_line(backend: str, arguments: dict[str, Any], message: str, tiny: Path) -> None:
    with pytest.raises(harness.InputError, match=message) as raised:
        harness.lm_eval_models.load(backend, pretrained=tiny, **arguments)
    assert "\n" not in str(raised.value)


def test_a_failed_request_is_an_error_never_a_score(tiny: Path) -> None:
    from lm_eval.api.instance import Instance

    model = harness.lm_eval_models.load("hf", pretrained=tiny, device="cpu", max_length=16)
    assert isinstance(model, EngineLM)
    long = Instance(request_type="loglikelihood", doc={}, arguments=("a", " cat" * 90), idx=0)
    with pytest.raises(EngineError, match=r"1 of 1 requests failed \(too_long"):
        model.loglikelihood([long])
    model.close()
