"""`--config FILE` of every command: the flags stand in a YAML file, and the command line wins."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness import cli
from harness.cli import _parsed, build_parser, main, sub_parsers
from harness.cli.eval_spec import evaluation_spec
from harness.records.run_folder import read_record
from tests.conftest import HarnessCommand
from tests.tasks_for_tests import eval_words, write_tasks

# The example of lm-eval's own guide to configuration files, without its trackers.
LM_EVALS = """
model: hf
model_args:
  pretrained: gpt2
  dtype: float32

tasks:
  - hellaswag
  - arc_easy

num_fewshot: 0
batch_size: auto
device: cuda:0

output_path: ./results/gpt2/
log_samples: true
"""


def _write(folder: Path, values: object) -> Path:
    file = folder / "flags.yaml"
    file.write_text(values if isinstance(values, str) else yaml.safe_dump(values), encoding="utf-8")
    return file


def _spec(*words: object) -> Any:
    return evaluation_spec(_parsed([str(word) for word in words]))


def test_lm_evals_example_means_what_its_flags_mean(tmp_path: Path) -> None:
    file = _write(tmp_path, LM_EVALS)
    words = [
        "eval",
        "--model",
        "hf",
        "--model_args",
        "pretrained=gpt2,dtype=float32",
        "--tasks",
        "hellaswag",
        "arc_easy",
    ]
    words += ["--num_fewshot", "0", "--batch_size", "auto", "--device", "cuda:0", "--output_path", "./results/gpt2/"]
    for command in (["eval", "--config"], ["run", "-C"], ["--config"]):
        assert _spec(*command, file) == _spec(*words, "--log_samples")


def test_the_command_line_wins_over_the_file(tmp_path: Path) -> None:
    file = _write(
        tmp_path,
        {
            "model": "org/a", "tasks": ["a", "b"], "limit": 7, "include_path": ["x", "y"], "gen_kwargs": {"top_p": 0.5},
            "trust_remote_code": True,
        },
    )  # fmt: skip
    spec = _spec("eval", "--config", file, "--tasks", "c", "--include_path", "z", "--gen_kwargs", "top_k=3")
    assert (spec.models, spec.tasks, spec.prompt.limit) == (("org/a",), ("c",), 7)
    assert spec.include_paths == (Path("z"),)
    assert spec.prompt.gen_kwargs == {"top_k": 3}
    assert spec.engine.trust_remote_code
    own = _spec("eval", "--config", file)
    assert (own.tasks, own.include_paths) == (("a", "b"), (Path("x"), Path("y")))


@pytest.mark.parametrize("words", [["-tc"], ["-t", "c"], ["--tasks=c"]])
def test_every_spelling_of_a_flag_wins_over_the_file(words: list[str], tmp_path: Path) -> None:
    file = _write(tmp_path, {"model": "org/a", "tasks": ["a", "b"], "limit": 7})
    spec = _spec("eval", *words, "--config", file, "-L3")
    assert (spec.tasks, spec.prompt.limit) == (("c",), 3)


def test_a_second_file_is_refused(tmp_path: Path, harness_here: HarnessCommand) -> None:
    file = _write(tmp_path, {"model": "org/a", "tasks": ["a"]})
    for words in (["--config", file, "--config", "b.yaml"], [f"-C{file}", "--config=b.yaml"]):
        done = harness_here("eval", *words)
        message = f"harness eval: --config b.yaml: a second file, after {file}; write all flags into one.\n"
        assert (done.returncode, done.stderr) == (2, message)


@pytest.mark.parametrize("flags", [("--config",), ("-C", "--compiler")])
def test_a_command_of_another_package_may_have_its_own_config(
    flags: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Other:
        PURPOSE = "Does something else."

        @staticmethod
        def add_arguments(parser: argparse.ArgumentParser) -> None:
            parser.add_argument(*flags, dest="own")

        @staticmethod
        def run(args: argparse.Namespace) -> int:
            print(args.own)
            return 0

    monkeypatch.setattr(cli, "command_names", lambda: {"other": None})
    monkeypatch.setattr(cli, "load_command", lambda _name: Other)
    assert "Does something else." in build_parser().format_help()
    assert main(["other", flags[0], "no.file"]) == 0
    assert capsys.readouterr().out == "no.file\n"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"seed": [1, None, 3, 4]}, ["--seed", "1,None,3,4"]),
        ({"seed": 42}, ["--seed", "42"]),
        ({"seed": "1,2,3,4"}, ["--seed", "1,2,3,4"]),
        ({"model_args": "dtype=float,pretrained=x/y"}, ["--model_args", "dtype=float,pretrained=x/y"]),
        ({"model_args": {"pretrained": "x/y", "logits_cache": None}}, ["--model_args", "pretrained=x/y"]),
        ({"samples": {"a": [0, 3]}}, ["--samples", '{"a": [0, 3]}']),
        ({"apply_chat_template": True}, ["--apply_chat_template"]),
        ({"apply_chat_template": "tools"}, ["--apply_chat_template", "tools"]),
        (
            {"apply_chat_template": True, "fewshot_as_multiturn": False},
            ["--apply_chat_template", "--fewshot_as_multiturn", "false"],
        ),
        ({"cache_requests": True, "trust_remote_code": False, "limit": None}, ["--cache_requests"]),
        ({"include_path": "a:b", "cache_requests": {}, "gen_kwargs": {}}, ["--include_path", "a:b"]),
        ({"metadata": {"max_seq_lengths": [4096]}}, ["--metadata", "max_seq_lengths=[4096]"]),
        ({"gen_kwargs": {"until": ["\n\n"], "temperature": 0.0}}, ["--gen_kwargs", 'until=["\\n\\n"],temperature=0.0']),
        ({"output-path": "out"}, ["--output_path", "out"]),
    ],
)
def test_a_value_means_what_the_words_of_its_flag_mean(values: object, words: list[str], tmp_path: Path) -> None:
    base = ["eval", "--tasks", "t", "--model", "hf" if "model_args" in str(values) else "org/name"]
    assert _spec(*base, "--config", _write(tmp_path, values)) == _spec(*base, *words)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"limt": 3}, "limt: not a flag of harness eval; see `harness eval --help`. Did you mean limit?"),
        ({"config": "other.yaml"}, "config: not a flag of harness eval"),
        ({"limit": "many"}, "argument --limit/-L: many: not a number"),
        ({"dtype": "float8"}, "argument --dtype: invalid choice: 'float8'"),
        ({"write_out": "yes"}, "write_out: yes: give true or false"),
        ({"limit": True}, "argument --limit/-L: true: not a number"),
        ({"model_args": []}, "argument --model_args/-a: expected at least one argument"),
        ("limit: 3\nlimit: 4\n", "the key 'limit' appears twice"),
        ("- limit\n", "is no mapping from flags to values"),
        ("3: limit\n", "is no mapping from flags to values"),
        ("limit: [\n", "not valid YAML"),
        ("metadata: {when: 2024-01-01}\n", "metadata: holds a date or a set; quote it"),
        ("a: &a [*a]\n", "not valid YAML"),
    ],
)
def test_a_wrong_file_gives_one_line_that_names_it(
    values: object, message: str, tmp_path: Path, harness_here: HarnessCommand
) -> None:
    file = _write(tmp_path, values)
    done = harness_here("eval", "--model", "oracle", "--tasks", "t", "--config", file)
    assert done.returncode == 2
    assert message in done.stderr
    assert str(file) in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_file_that_is_missing_gives_one_line(tmp_path: Path, harness_here: HarnessCommand) -> None:
    for words in (["eval", "--tasks", "t"], ["run"], []):
        done = harness_here(*words, "--config", tmp_path / "no.yaml")
        assert done.returncode == 2
        assert "no.yaml: cannot be read" in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1


def _leaves(parser: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    inner = sub_parsers(parser)
    return [leaf for each in inner.values() for leaf in _leaves(each)] or [parser]


def test_every_command_takes_a_file_of_its_flags() -> None:
    for parser in _leaves(build_parser()):
        assert {"--config", "-C"} <= set(parser._option_string_actions), parser.prog


def test_an_evaluation_from_a_file_is_the_same_as_one_from_flags(tmp_path: Path, harness_here: HarnessCommand) -> None:
    tasks = write_tasks(tmp_path / "tasks", items=4)
    values = {"backend": "scripted", "model": "uniform", "tasks": "t_all", "include_path": str(tasks), "limit": 3}
    file = _write(tmp_path, values)
    assert harness_here("eval", "--config", file, "--output_path", tmp_path / "file").returncode == 0
    assert harness_here(*eval_words(tasks, tmp_path / "flags", "--limit", 3)).returncode == 0
    records = [read_record(tmp_path / name / "uniform") for name in ("file", "flags")]
    assert records[0].tasks == records[1].tasks
    assert records[0].prompt == records[1].prompt


def test_commands_with_positional_words_and_sub_commands_take_a_file(
    tmp_path: Path, harness_here: HarnessCommand
) -> None:
    listed = harness_here("tasks", "list", "--config", _write(tmp_path, {"domain": "legal", "format": "json"}))
    assert listed.returncode == 0, listed.stderr
    assert {row["domain"] for row in json.loads(listed.stdout)} == {"legal"}
    wrong = harness_here("tasks", "list", "--config", _write(tmp_path, {"domian": "legal"}))
    assert wrong.returncode == 2
    assert "domian: not a flag of harness tasks list" in wrong.stderr
    assert "Did you mean domain?" in wrong.stderr
    tasks = write_tasks(tmp_path / "tasks", items=4)
    for model in ("oracle", "corrupted"):
        assert harness_here(*eval_words(tasks, tmp_path / "runs", model=model)).returncode == 0
    runs = [str(tmp_path / "runs" / model) for model in ("oracle", "corrupted")]
    file = _write(tmp_path, {"models": runs, "format": "json", "tasks": "t_choice"})
    compared = harness_here("compare", "--config", file)
    assert compared.returncode == 0, compared.stderr
    flags = json.loads(harness_here("compare", *runs, "--format", "json", "--tasks", "t_choice").stdout)
    assert json.loads(compared.stdout)["tables"] == flags["tables"]


def test_a_study_reads_its_flags_from_a_file(tmp_path: Path, harness_here: HarnessCommand) -> None:
    """`run --config` with no model in the file runs a study, whose file may stand there too."""
    file = _write(tmp_path, {"experiment": "nosuch.yaml", "output_path": str(tmp_path / "out"), "dry_run": True})
    for words in (["run", "--config", file], ["run", "--output_path", tmp_path / "x", "--config", file]):
        done = harness_here(*words)
        assert done.returncode == 2
        assert "nosuch.yaml" in done.stderr
        assert "harness run" in done.stderr
