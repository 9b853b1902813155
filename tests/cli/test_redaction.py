"""Records keep the command line and the arguments, and no password or key of it."""

from __future__ import annotations

import os
import shlex
import sys
import time
from pathlib import Path

import pytest

from harness.api.arguments import call
from harness.cli import _parsed
from harness.cli.eval_spec import evaluation_spec
from harness.engines.base import Failure
from harness.redaction import without_secret_values, without_secrets
from harness.study.experiment import ExperimentSpec
from harness.trainers.stage.spec import StageSpec
from tests.conftest import ROOT, HarnessCommand
from tests.engines.service import Service
from tests.tasks_for_tests import write_tasks

HIDDEN = [
    ("token=hf_S", "token=***"),
    ("push_samples_to_hub=True,token=hf_S==,public_repo=False", "push_samples_to_hub=True,token=***,public_repo=False"),
    ("model=m,api_key=sk-S", "model=m,api_key=***"),
    ("--model_args=model=m,API_KEY='S,S',a=1", "--model_args=model=m,API_KEY=***,a=1"),
    ("hf_token=S", "hf_token=***"),
    ("secret=S,db_password=S,client_secret_key=S", "secret=***,db_password=***,client_secret_key=***"),
    ('{"api_key": "S\\"S", "n": 9}', '{"api_key": "***", "n": 9}'),
    (
        '{"header": {"Authorization": "Bearer S, S"}, "Token": 12}',
        '{"header": {"Authorization": "***"}, "Token": "***"}',
    ),
    ("header={'Authorization': 'Bearer S'},a=1", "header={'Authorization': '***'},a=1"),
]
IN_URLS = [
    ("https://ann:S@host/v1", "https://ann:***@host/v1"),
    ("base_url=https://ann:S,S@host/v1,num_concurrent=4", "base_url=https://ann:***@host/v1,num_concurrent=4"),
    ("git+https://S@host/org/name.git@v1", "git+https://***@host/org/name.git@v1"),
    ("http://ann:S:S'S@[::1]:80/v1", "http://ann:***@[::1]:80/v1"),
    ("https://h/v1?a=1&token=S&b=2#access_token=S", "https://h/v1?a=1&token=***&b=2#access_token=***"),
    ("base_url=https://h/v1?api_key=S,max_retries=3", "base_url=https://h/v1?api_key=***,max_retries=3"),
    ("https://h/c?sv=1&sig=S%3D&X-Amz-Signature=S", "https://h/c?sv=1&sig=***&X-Amz-Signature=***"),
    ('{"base_url":"http://h/v1?key=S","email":"a@b"}', '{"base_url":"http://h/v1?key=***","email":"a@b"}'),
    ("with url: /v1?api_key=S (Caused by X)", "with url: /v1?api_key=*** (Caused by X)"),
    ("https://h/?next=https://ann:S@host", "https://h/?next=https://ann:***@host"),
]
KEPT = [
    "org/name@v1", "http://host,email=a@b", '{"a":"http://host","b":"a@b"}', "https://h:80/a:b@c", "http://[::1]:80/v1",
    "https://h/v1?n_tokens=5&tokenizer=x&monkey=1", "see https://h:80, or write to a@b",
    "batch_tokens=4096", "think_end_token=</think>", "add_bos_token=True", "prefix_token_id=1", "max_gen_toks=9",
    "tokenizer=org/name", "data.budget_tokens=2000", "--think_end", "</think>", '{"eos_token": "</s>"}',
]  # fmt: skip


@pytest.mark.parametrize(("word", "kept"), HIDDEN + IN_URLS + [(word, word) for word in KEPT])
def test_values_of_secret_keys_are_hidden_and_others_are_kept(word: str, kept: str) -> None:
    assert without_secrets(word) == kept


def test_secret_values_are_hidden_at_any_depth() -> None:
    given = {"api_key": "S", "header": {"Authorization": "S", "a": 1}, "batch_tokens": 3, "think_end_token": "</t>"}
    hidden = {**given, "api_key": "***", "header": {"Authorization": "***", "a": 1}}
    assert without_secret_values(given) == hidden
    urls = {"base_url": "https://ann:S@host", "more": [{"token": "S"}, ("https://S@host", 1)]}
    assert without_secret_values(urls) == {
        "base_url": "https://ann:***@host", "more": [{"token": "***"}, ("https://***@host", 1)]
    }  # fmt: skip


@pytest.mark.parametrize("many", ["://", "a://b", "://a:", "?token=", "?a_", "token", "'http://a,b="])
def test_a_long_text_is_read_in_linear_time(many: str) -> None:
    start = time.process_time()
    without_secrets(many * (200_000 // len(many)))
    assert time.process_time() - start < 2


def test_the_command_and_the_function_record_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["eval", "--model", "m", "--tasks", "t", "--dry_run", "--model_args", "api_key=hf_SECRET,a=1"]
    monkeypatch.setattr(sys, "argv", ["harness", *words])
    recorded = "harness eval --model m --tasks t --dry_run --model_args api_key=***,a=1"
    assert evaluation_spec(_parsed(words)).command == shlex.join(shlex.split(recorded))
    asked = call("eval", {"model": "m", "tasks": "t", "model_args": {"api_key": "hf_SECRET"}})
    assert asked.args.model_args == ['{"api_key": "hf_SECRET"}']
    assert shlex.split(asked.command_line)[-1] == '--model_args={"api_key": "***"}'


def test_no_file_output_or_tracker_has_the_password_of_a_services_url(
    tmp_path: Path, harness_command: HarnessCommand
) -> None:
    """The service refuses one prompt, and the HTTP library's error has the URL."""
    service = Service(lambda prompt, n: (400, {}) if service.asked.total() == 3 else None)
    url = f"http://ann:SECRET1@127.0.0.1:{service.port}/v1/completions?api_key=SECRET2"
    tasks = write_tasks(tmp_path / "tasks", items=4)
    words = ["--backend", "lm-eval:local-completions", "--model", "m", "--tasks", "t_generate", "--include_path", tasks]
    words += ["--model_args", f"base_url={url},tokenizer_backend=none,num_concurrent=1", "--wandb_args", "project=p"]
    (tmp_path / "wandb").mkdir()
    offline = {"WANDB_MODE": "offline", "WANDB_SILENT": "true", "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
    places = {"HARNESS_CACHE_DIR": str(tmp_path / "cache"), "HOME": str(tmp_path)}
    try:
        done = harness_command(
            "eval", *words, "--output_path", tmp_path / "out", cwd=tmp_path, env={**offline, **places}
        )
    finally:
        service.close()
    assert done.returncode == 1, done.stderr
    assert "1 of 4 requests failed" in done.stderr
    for name in ("run.json", "results_*.json"):
        (file,) = (tmp_path / "out").rglob(name)
        assert f"http://ann:***@127.0.0.1:{service.port}/v1/completions?api_key=***" in file.read_text("utf-8"), name
    assert "SECRET" not in done.stdout + done.stderr
    written = [Path(folder) / file for folder, _, files in os.walk(tmp_path) for file in files]
    assert any(file.suffix == ".wandb" for file in written)
    assert [file for file in written if b"SECRET" in file.read_bytes()] == []


def test_messages_hide_the_password_of_a_url(harness_here: HarnessCommand) -> None:
    for words in (["--limit", "https://ann:SECRET@host"], ["--model", "https://ann:SECRET@host/org/name"]):
        done = harness_here("eval", "--model", "m", "--tasks", "mini_logic", *words)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert "https://ann:***@host" in done.stderr
        assert "SECRET" not in done.stderr
    assert Failure(reason="error", message="url: /v1?token=SECRET").message == "url: /v1?token=***"


def test_studies_and_stages_record_no_secret() -> None:
    trainer = {"hub_token": "SECRET", "eos_token": "</s>"}
    hidden = {"hub_token": "***", "eos_token": "</s>"}
    flags = {"hf_hub_log_args": ["token=SECRET,public_repo=True"], "metadata": {"url": "https://ann:SECRET@host"}}
    study = ExperimentSpec.model_validate(
        {
            "name": "s",
            "stages": {"secret": {"stage": "sft", "trainer": trainer}},
            "evaluate": {"tasks": ["mini_logic"], "flags": flags},
        }
    )
    recorded = study.recorded()
    assert recorded["stages"] == {"secret": {"stage": "sft", "trainer": hidden}}
    assert recorded["evaluate"][0]["flags"] == {
        "hf_hub_log_args": ["token=***,public_repo=True"], "metadata": {"url": "https://ann:***@host"}
    }  # fmt: skip
    data = {"budget_tokens": 1, "sources": {"secret": {"path": "a.jsonl"}}}
    stage = StageSpec.model_validate({"stage": "sft", "name": "s", "from": "m", "data": data, "trainer": trainer})
    assert stage.resolved()["trainer"] == hidden
    assert stage.resolved()["data"]["sources"]["secret"]["path"] == "a.jsonl"
    assert stage.trainer == trainer, "training uses the token"
