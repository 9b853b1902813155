"""Records keep the command line and the arguments, and no password or key of it."""

from __future__ import annotations

import shlex
import sys

import pytest

from harness.api.arguments import call
from harness.cli import _parsed
from harness.cli.eval_spec import evaluation_spec
from harness.recorded_command import without_secret_values, without_secrets

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
KEPT = [
    "batch_tokens=4096", "think_end_token=</think>", "add_bos_token=True", "prefix_token_id=1", "max_gen_toks=9",
    "tokenizer=org/name", "data.budget_tokens=2000", "--think_end", "</think>", '{"eos_token": "</s>"}',
]  # fmt: skip


@pytest.mark.parametrize(("word", "kept"), HIDDEN + [(word, word) for word in KEPT])
def test_values_of_secret_keys_are_hidden_and_others_are_kept(word: str, kept: str) -> None:
    assert without_secrets(word) == kept


def test_secret_values_are_hidden_at_any_depth() -> None:
    given = {"api_key": "S", "header": {"Authorization": "S", "a": 1}, "batch_tokens": 3, "think_end_token": "</t>"}
    hidden = {**given, "api_key": "***", "header": {"Authorization": "***", "a": 1}}
    assert without_secret_values(given) == hidden


def test_the_command_and_the_function_record_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["eval", "--model", "m", "--tasks", "t", "--dry_run", "--model_args", "api_key=hf_SECRET,a=1"]
    monkeypatch.setattr(sys, "argv", ["harness", *words])
    recorded = "harness eval --model m --tasks t --dry_run --model_args api_key=***,a=1"
    assert evaluation_spec(_parsed(words)).command == shlex.join(shlex.split(recorded))
    asked = call("eval", {"model": "m", "tasks": "t", "model_args": {"api_key": "hf_SECRET"}})
    assert asked.args.model_args == ['{"api_key": "hf_SECRET"}']
    assert shlex.split(asked.command_line)[-1] == '--model_args={"api_key": "***"}'
