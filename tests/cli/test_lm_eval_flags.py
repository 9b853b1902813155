"""Every flag of lm-eval works here, and every command of its README for hf, vllm and served models."""

from __future__ import annotations

import argparse
import json
import re
import shlex
import shutil
from collections.abc import Iterator, Sequence
from importlib.metadata import metadata
from pathlib import Path
from typing import Any

import pytest

from harness.cli import build_parser, sub_parsers
from harness.cli.eval_spec import evaluation_spec
from harness.cli.lm_eval_commands import own_command
from harness.cli.lm_eval_flags import NOTES
from harness.cli.lm_eval_model import in_own_words
from harness.errors import InputError
from tests.conftest import ROOT, HarnessCommand
from tests.tasks_for_tests import write_tasks

BASE = ["--model", "org/name", "--tasks", "t_choice"]
# A value with which each of lm-eval's flags changes the options of an evaluation.
CHANGES_OPTIONS = {
    "tasks": ["a", "b,c"],
    "model": ["org/other"],
    "model_args": ["batch_tokens=512"],
    "apply_chat_template": [],
    "limit": ["5"],
    "use_cache": ["answers.sqlite"],
    "num_fewshot": ["3"],
    "batch_size": ["4"],
    "device": ["cpu"],
    "gen_kwargs": ["temperature=0.8", "top_p=0.95", 'stop=["\\n\\n"]'],
    "output_path": ["out"],
    "samples": ['{"t_choice": [0, 2]}'],
    "system_instruction": ["Be brief."],
    "fewshot_as_multiturn": ["true", "--apply_chat_template"],
    "include_path": ["a:b"],
    "predict_only": ["--output_path", "out"],
    "seed": ["42"],
    "trust_remote_code": [],
    "confirm_run_unsafe_code": [],
    "metadata": ["max_seq_lengths=[4096,8192]"],
}
# Flags that act on what is printed; each has a test below.
CHANGES_OUTPUT = {"config", "verbosity", "write_out", "show_config"}
# Flags that print one line with their replacement: at most five.
NO_ACTION = {
    "log_samples": [],
    "cache_requests": ["refresh"],
    "max_batch_size": ["64"],
    "check_integrity": [],
}
# Flags of trackers and the hub, whose own tests are elsewhere. Those that this version lacks count as open.
TRACKERS = {"wandb_args", "wandb_config_args", "trackio_args", "hf_hub_log_args"}


def _flags(parser: argparse.ArgumentParser) -> dict[str, argparse.Action]:
    """The flags of a parser by their long name, without dashes."""
    found = {}
    for action in parser._actions:
        for name in action.option_strings:
            if name.startswith("--") and name != "--help":
                found[name.removeprefix("--")] = action
    return found


def _lm_eval_run() -> dict[str, argparse.Action]:
    from lm_eval._cli import HarnessCLI

    return _flags(HarnessCLI()._subparsers.choices["run"])


def _own() -> dict[str, argparse.Action]:
    return _flags(sub_parsers(build_parser())["eval"])


def _parsed(words: Sequence[str]) -> argparse.Namespace:
    return build_parser().parse_args(own_command(list(words)))


def test_every_flag_of_lm_eval_is_one_here_with_the_same_short_form() -> None:
    own = _own()
    for name, action in _lm_eval_run().items():
        if name in TRACKERS - own.keys():
            continue
        assert name in own, f"lm-eval's --{name} is missing"
        assert set(action.option_strings) <= set(own[name].option_strings), f"--{name} lacks a short form"


def test_every_flag_of_lm_eval_acts_or_says_what_does_instead() -> None:
    assert len(NO_ACTION) <= 5
    assert set(NO_ACTION) == set(NOTES)
    assert _lm_eval_run().keys() == CHANGES_OPTIONS.keys() | CHANGES_OUTPUT | NO_ACTION.keys() | TRACKERS


@pytest.mark.parametrize("name", CHANGES_OPTIONS)
def test_a_flag_of_lm_eval_changes_the_options(name: str) -> None:
    before = evaluation_spec(_parsed(["eval", *BASE]))
    own = _own()[name]
    for flag in own.option_strings:
        after = evaluation_spec(_parsed(["eval", *BASE, flag, *CHANGES_OPTIONS[name]]))
        assert after != before, flag


@pytest.mark.parametrize("name", NO_ACTION)
def test_a_flag_without_an_effect_prints_one_line_that_says_what_has_it(name: str) -> None:
    before = in_own_words(_parsed(["eval", *BASE]))
    for flag in _own()[name].option_strings:
        words = in_own_words(_parsed(["eval", *BASE, flag, *NO_ACTION[name]]))
        (note,) = words.notes
        assert note.startswith(f"--{name}")
        assert "\n" not in note
        assert evaluation_spec(words.args) == evaluation_spec(before.args)


def test_the_guide_names_every_flag_of_lm_eval() -> None:
    page = (ROOT / "docs" / "from_lm_eval.md").read_text(encoding="utf-8")
    for name in _lm_eval_run().keys() - (TRACKERS - _own().keys()):
        assert f"`--{name}`" in page, name


def test_notes_are_printed_on_standard_error_and_the_run_goes_on(harness_here: HarnessCommand, tmp_path: Path) -> None:
    tasks = write_tasks(tmp_path / "tasks", items=4)
    words = ["run", "--backend", "scripted", "--model", "oracle", "--tasks", "t_choice", "--include_path", tasks]
    more = ["--log_samples", "--cache_requests", "--max_batch_size", 8, "--check_integrity", "--batch_size", "auto:4"]
    done = harness_here(*words, "--output_path", tmp_path / "out", *more)
    assert done.returncode == 0, done.stderr
    assert [line.split(":")[0] for line in done.stderr.splitlines()] == [
        "--log_samples", "--cache_requests true", "--max_batch_size 8", "--check_integrity", "--batch_size auto",
    ]  # fmt: skip


def test_verbosity_shows_messages(harness_here: HarnessCommand, tmp_path: Path) -> None:
    import logging

    tasks = write_tasks(tmp_path / "tasks", items=4)
    words = ["eval", "--backend", "scripted", "--model", "oracle", "--tasks", "t_choice", "--include_path", tasks]
    try:
        done = harness_here(*words, "--verbosity", "debug")
        assert done.returncode == 0, done.stderr
        assert {logging.getLogger(name).level for name in ("harness", "lm_eval")} == {logging.DEBUG}
        assert harness_here(*words, "-v", "loud").returncode == 2
    finally:
        logging.getLogger("harness").setLevel(logging.NOTSET)
        logging.getLogger("lm_eval").setLevel(logging.ERROR)


def test_show_config_prints_lm_evals_results(harness_here: HarnessCommand, tmp_path: Path) -> None:
    tasks = write_tasks(tmp_path / "tasks", items=4)
    words = ["eval", "--backend", "scripted", "--model", "oracle", "--tasks", "t_choice", "--include_path", tasks]
    done = harness_here(*words, "--show_config")
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout[done.stdout.index("\n{") :])
    assert printed["configs"]["t_choice"]["doc_to_text"] == "prompt"
    assert printed["results"]["t_choice"]["acc,none"] == 1.0


# lm-eval's README

NO_CHECKPOINT = "add --model_args pretrained=CKPT"  # where the README leaves it out
REFUSED = {"delta=": "add the delta to its base once", "tp_plan=": "tensor_parallel_size=N"}
FILLED = {
    "{model_name}": "org/name", "{GPUs_per_model}": "2", "{model_replicas}": "2", "{yourip}": "127.0.0.1",
    "{data_parallel_size}": "1", "{tensor_parallel_size}": "1", "{nb_of_copies_of_your_model}": "2",
}  # fmt: skip


def _readme_commands() -> Iterator[str]:
    """The README's commands that evaluate with hf, vllm or a completions service, without their launcher."""
    text = str(metadata("lm_eval").get_payload() or metadata("lm_eval")["Description"])  # type: ignore[attr-defined]
    for block in re.findall(r"^```(?:bash|sh)\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        for line in re.sub(r"\\\s*\n", " ", block).splitlines():
            match = re.search(r"\blm[_-]eval\s+(.*--model (?:hf|vllm|local-completions|openai-completions)\b.*)", line)
            if match:
                command = " ".join(match[1].split()).rstrip("\\ ")
                for name, value in FILLED.items():
                    command = command.replace(name, value)
                yield command


COMMANDS = list(dict.fromkeys(_readme_commands()))


def test_the_readme_still_has_its_commands() -> None:
    assert len(COMMANDS) >= 15


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_of_lm_evals_readme_has_a_meaning(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = _without_missing_trackers(shlex.split(command.replace("/path/to/gguf_folder", str(tmp_path))))
    expected = next((message for part, message in REFUSED.items() if part in command), None)
    if "--model hf" in command and "pretrained=" not in command:
        expected = NO_CHECKPOINT
    if expected is not None:
        with pytest.raises(InputError, match=re.escape(expected)):
            evaluation_spec(_parsed(words))
        return
    spec = evaluation_spec(_parsed(words))
    assert spec.models
    assert spec.engine.backend.removeprefix("lm-eval:") in command
    assert not {"pretrained", "model", "peft", "tokenizer", "dtype"} & spec.engine.model_args.keys()


def _without_missing_trackers(words: list[str]) -> list[str]:
    """Leave out the flags of trackers that this version lacks."""
    missing = {f"--{name}" for name in TRACKERS - _own().keys()}
    kept: list[str] = []
    skipping = False
    for word in words:
        skipping = word in missing or (skipping and not word.startswith("-"))
        kept += [] if skipping else [word]
    return kept


@pytest.mark.parametrize(
    ("words", "own"),
    [
        ("--model hf --tasks a", "eval --model hf --tasks a"),
        ("run -M hf -t a", "eval -M hf -t a"),
        ("ls tasks", "tasks list --lm_eval"),
        ("ls groups --include_path a:b", "tasks list --lm_eval --kind group --include_path a:b"),
        ("ls subtasks", "tasks list --lm_eval --kind task"),
        ("ls tags", "tasks list --lm_eval --kind tag"),
        ("ls", "tasks list"),
        ("validate --tasks a,b", "tasks validate --tasks a,b"),
        ("run study.yaml --output_path out", "run study.yaml --output_path out"),
        ("--version", "--version"),
        ("", ""),
    ],
)
def test_lm_evals_commands_are_words_here(words: str, own: str) -> None:
    assert own_command(words.split()) == own.split()


@pytest.fixture
def few_tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let lm-eval index two of its folders: all of them take 15 seconds."""
    from lm_eval.tasks import manager

    own = Path(manager.__file__).parent
    for name in ("hellaswag", "kormedmcqa"):
        shutil.copytree(own / name, tmp_path / "few" / name)
    monkeypatch.setattr(manager, "__file__", str(tmp_path / "few" / "manager.py"))


@pytest.mark.usefixtures("few_tasks")
def test_ls_and_validate_run(harness_here: HarnessCommand, tmp_path: Path) -> None:
    _check_ls_and_validate(harness_here, tmp_path, group="kormedmcqa")


@pytest.mark.slow
def test_ls_and_validate_run_over_all_of_lm_evals_tasks(harness_here: HarnessCommand, tmp_path: Path) -> None:
    _check_ls_and_validate(harness_here, tmp_path, group="mmlu")


def _check_ls_and_validate(harness_here: HarnessCommand, tmp_path: Path, *, group: str) -> None:
    first, second = write_tasks(tmp_path / "a", items=4), tmp_path / "b"
    second.mkdir()
    text = (first / "choice.yaml").read_text(encoding="utf-8")
    (second / "more.yaml").write_text(text.replace("t_choice", "t_more") + "tag: t_tag\n", encoding="utf-8")
    done = harness_here("ls", "groups", "--include_path", f"{first}:{second}", "--format", "json")
    assert done.returncode == 0, done.stderr
    names = {row["name"]: row["kind"] for row in json.loads(done.stdout)}
    assert names["t_all"] == names[group] == "group"
    assert set(names.values()) == {"group"}
    done = harness_here("validate", "--tasks", "t_choice,t_more,hellaswag", "--include_path", f"{first}:{second}")
    assert done.stdout.count("\n") == 4, done.stdout
    assert "known    hellaswag" in done.stdout
    unknown = harness_here("validate", "-t", "hellaswagg")
    assert unknown.returncode == 2
    assert "Did you mean" in unknown.stderr


def test_a_repeated_flag_adds_pairs_as_in_lm_eval() -> None:
    spec: Any = evaluation_spec(
        _parsed(["eval", *BASE, "--gen_kwargs", "a=1,stop=['x', 'y']", "--gen_kwargs", '{"b": null}', "c=true"])
    )
    assert spec.prompt.gen_kwargs == {"a": 1, "stop": ["x", "y"], "b": None, "c": True}
