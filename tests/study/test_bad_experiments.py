"""What is wrong with an experiment is one line and exit code 2, and nothing is written."""

from __future__ import annotations

import argparse
import builtins
import re
import shutil
import socket
import sys
import time
from collections import namedtuple
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from harness import ray_cluster
from harness.cli import run_command, study_plan
from harness.errors import InputError
from harness.study.experiment import read_experiment
from harness.study.folder import StudyFolder
from harness.study.graph import build_graph
from harness.study.reporting import COMPUTED_METRICS, check_selections
from tests.conftest import HarnessCommand
from tests.study.conftest import Study


def _set(fields: dict[str, Any], path: str, value: Any) -> None:
    *parents, last = path.split(".")
    for part in parents:
        fields = fields[part]
    fields[last] = value


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("stages.base.from", "tuned", "stages.base: descends from itself (base -> tuned -> base)"),
        ("stages.tuned.from", "bsae", "stages.tuned.from: 'bsae' is neither a stage nor a checkpoint"),
        ("stages.tuned.from", "bsae", "Did you mean base?"),
        ("stages.tuned.tokenizer", "{stages.bsae}", "'bsae' is neither a stage"),
        ("stages.tuned.code", "{tuning}", "stages.tuned: {tuning} is no factor; factors are pretrain, tune, seed."),
        ("stages.base.data.code", "{pretrain.share}", "{pretrain.share}: is not filled by the level 'N'"),
        ("stages.base.stage", "fakes", "no trainer for 'fakes'"),
        ("evaluate.stages", ["tund"], "evaluate.stages: no stage 'tund'"),
        ("evaluate.flags", {"limmit": 4}, "evaluate.flags: --limmit: unknown flag. Did you mean --limit?"),
        ("evaluate.flags", {"model": "x"}, "evaluate.stages says which checkpoints"),
        ("evaluate.flags", {"metadata": {"x": "{seed}"}}, "{seed} is not filled; only stages have placeholders"),
        ("evaluate.taks", [], "evaluate.taks: unknown key; allowed are name, tasks"),
        ("evaluate.tasks", ["t_chioce"], "t_chioce"),
        ("compare.stage", "tund", "compare.stage: no stage 'tund'"),
        ("compare.contrasts", [["NC", "XX"]], "no arm 'XX'; arms are NN, NC, CN, CC"),
        ("compare.contrasts", [["NN", "NN"]], "compare.contrasts: [NN, NN] is one arm; give two arms."),
        ("compare.contrasts", [["NN", "tuned:NN"]], "[NN, tuned:NN] is one arm"),
        ("compare.tasks", ["t_chioce"], "compare.tasks: no task 't_chioce'; tasks are t_choice"),
        ("compare.design", ["pretrain", "tun"], "has no factor 'tun'"),
        (
            "compare.metric",
            "acc_nrom",
            "compare.metric: no task has 'acc_nrom'; give one of acc, acc_norm, bits_per_byte",
        ),
        ("compare.margin", 2, "less than 1 (it is 2)"),
        ("compare.margin", 0, "greater than 0 (it is 0)"),
        ("factors.dose", [1, 2], "factors.dose: no stage uses {dose}"),
        ("factors.seed", [1, 1], "seed: the level '1' appears twice"),
        ("factors.seed", [], "seed: has no levels"),
        ("factors.seed", 3, "seed: give a list of levels"),
        ("stages.base.needs", {"gpu": 1}, "needs.gpu"),
        ("name", "", "name: "),
    ],
)
def test_a_wrong_experiment_is_one_line_and_exit_code_2(
    path: str, value: Any, message: str, study: Study, harness_here: HarnessCommand, tmp_path: Path
) -> None:
    _set(study.fields, path, value)
    study.write()
    done = harness_here("run", study.path, "--output_path", tmp_path / "out", "--executor", "fork")
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "out" / "nodes").exists()


@pytest.mark.parametrize(
    ("evaluated", "compare", "message"),
    [
        ("t_generate", {}, "compare: compare-NN-base_N compares arms without a common task (t_generate; t_choice)"),
        ("t_*", {"tasks": "t_generate"}, "compare.tasks: no task 't_generate'; tasks are t_choice."),
        ("t_*", {"tasks": "t_choice"}, None),
    ],
)
def test_a_contrast_needs_a_task_on_which_both_arms_are_evaluated(
    evaluated: str, compare: dict[str, Any], message: str | None, study: Study, own_cache: Path
) -> None:
    flags = study.fields["evaluate"]["flags"]
    study.fields["evaluate"] = [
        {"name": "early", "tasks": evaluated, "stages": ["base"], "flags": flags},
        {"name": "late", "tasks": "t_choice", "stages": ["tuned"], "flags": flags},
    ]
    study.write({"compare": {"stage": "tuned", "contrasts": [["NN", "base:N"]], **compare}})
    graph = build_graph(read_experiment(study.path))
    pages = [key for key, node in graph.items() if node.label == "compare-NN-base_N"]
    with nullcontext() if message is None else pytest.raises(InputError, match=re.escape(message)):
        check_selections(graph, pages, study_plan._metrics)


@pytest.mark.parametrize("metric", COMPUTED_METRICS)
def test_a_task_that_only_generates_has_no_likelihoods_to_compare(metric: str, study: Study, own_cache: Path) -> None:
    study.fields["evaluate"]["tasks"] = "t_generate"
    study.write({"compare": {"stage": "tuned", "metric": metric}})
    graph = build_graph(read_experiment(study.path))
    with pytest.raises(InputError, match=f"no task has '{metric}'; give one of exact_match"):
        check_selections(graph, graph, study_plan._metrics)


def test_a_name_that_appears_twice_is_refused(study: Study, harness_here: HarnessCommand, tmp_path: Path) -> None:
    study.path.write_text(study.path.read_text() + "name: again\n")
    done = harness_here("run", study.path, "--output_path", tmp_path / "out")
    assert done.returncode == 2
    assert "the key 'name' appears twice" in done.stderr


def test_two_nodes_of_one_label_are_refused(study: Study, harness_here: HarnessCommand, tmp_path: Path) -> None:
    study.fields["stages"]["base-N"] = {"stage": "fake", "seed": "{seed}", "other": 1}
    study.write()
    done = harness_here("run", study.path, "--output_path", tmp_path / "out")
    assert done.returncode == 2
    assert "base-N-0: two nodes have this name" in done.stderr


def test_a_search_where_nothing_can_be_searched_is_refused(
    study: Study, harness_here: HarnessCommand, tmp_path: Path
) -> None:
    """Only the trainer of another package knows what it reads."""
    study.write({"overlap": {"min_share": 0.7}})
    done = harness_here("run", study.path, "--output_path", tmp_path / "out")
    assert done.returncode == 2
    assert "overlap: no evaluated stage reads data that can be searched" in done.stderr


def test_a_folder_of_another_experiment_is_refused(study: Study, harness_here: HarnessCommand, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "study.json").write_text('{"name": "large", "nodes": []}')
    done = harness_here("run", study.path, "--output_path", tmp_path / "out")
    assert done.returncode == 2
    assert "holds another experiment (name: 'small' instead of 'large'; factors: added; " in done.stderr
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").touch()
    done = harness_here("run", study.path, "--output_path", tmp_path / "full")
    assert done.returncode == 2
    assert "is not empty and holds no study" in done.stderr


def test_an_experiment_with_the_same_name_and_other_stages_is_refused_with_the_differences(
    study: Study, harness_here: HarnessCommand, tmp_path: Path
) -> None:
    """A copied experiment file that kept its name; nothing in the folder changes."""
    graph, folder = build_graph(read_experiment(study.path)), StudyFolder(tmp_path / "out")
    folder.path.mkdir()
    folder.record("small", read_experiment(study.path).model_dump(mode="json"), graph)
    before = (folder.path / "study.json").read_bytes()
    study.fields["stages"] = {"first": study.fields["stages"]["base"] | {"other": 1}}
    study.fields["evaluate"]["stages"] = ["first"]
    study.write({"factors": {"pretrain": {"N": 0, "C": 1}, "seed": [0, 1]}, "compare": None})
    done = harness_here("run", study.path, "--output_path", folder.path)
    assert done.returncode == 2
    assert (
        "holds another experiment (factors.tune: removed; stages.base: removed; stages.tuned: removed; "
        "stages.first: added; " in done.stderr
    )
    assert len(done.stderr.strip().splitlines()) == 1
    assert (folder.path / "study.json").read_bytes() == before


def test_too_little_disk_is_refused_ahead(
    study: Study, harness_here: HarnessCommand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(2_000_000, 0, 2_000_000))
    study.fields["stages"]["tuned"]["parameters"] = "100,000"
    study.write()
    done = harness_here("run", study.path, "--output_path", tmp_path / "out", "--dry_run", "--no_estimate")
    assert done.returncode == 2
    # 8 x (1 + 2 x 3) x 100,000 x 4 bytes for the weights, and 0.5 MB for the others and the samples
    assert "too little disk: the study needs about 22.9 MB more and 2.0 MB are free" in done.stderr


@pytest.mark.parametrize(("executor", "package"), [("slurm", "submitit"), ("ray", "ray")])
def test_an_executor_that_is_not_installed_names_the_extra(
    executor: str,
    package: str,
    study: Study,
    harness_here: HarnessCommand,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import importlib.util

    find, load = importlib.util.find_spec, builtins.__import__

    def refuse(name: str, *rest: Any, **more: Any) -> Any:
        if name == package:
            raise ImportError(name)
        return load(name, *rest, **more)

    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == package else find(name, *rest))
    monkeypatch.setattr(builtins, "__import__", refuse)
    monkeypatch.delitem(sys.modules, package, raising=False)
    done = harness_here("run", study.path, "--output_path", tmp_path / "out", "--executor", executor)
    assert done.returncode == 2
    assert f"stage-harness[{executor}]" in done.stderr


def test_a_cluster_that_does_not_answer_is_one_line(
    study: Study, harness_here: HarnessCommand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{closed.getsockname()[1]}"
        done = harness_here(
            "run", study.path, "--output_path", tmp_path / "out", "--executor", "ray", "--ray_address", address
        )
    assert done.returncode == 2
    assert f"--ray_address {address}: does not answer within 10 s" in done.stderr


def test_a_cluster_that_connects_late_has_only_the_rest_of_the_time_to_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_cluster, "SECONDS_TO_ANSWER", 2.0)
    connect, left = socket.create_connection, list[float]()

    def late(*words: Any, **more: Any) -> socket.socket:
        time.sleep(0.5)
        return connect(*words, **more)

    monkeypatch.setattr(socket, "create_connection", late)

    def silent_probe(_address: str, seconds: float) -> str:
        left.append(seconds)
        return "no answer"

    monkeypatch.setattr(ray_cluster, "_probe", silent_probe)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(InputError, match=r"does not answer within 2 s \(no answer\)"):
            ray_cluster._check_answers(f"127.0.0.1:{silent.getsockname()[1]}", "--ray_address ")
    assert left[0] <= 1.5


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--executor", "lokal"], "Did you mean local?"),
        (["--jobs", "0"], "--jobs 0: give a whole number of 1 or more"),
        (["--jobs", "two"], "--jobs two: give a whole number of 1 or more"),
        (["--only", "tunde"], "--only tunde: matches no node"),
        (["--executor_args", "gpu"], "not key=value"),
        (["--executor_args", "a=b"], "the local executor has none"),
        (["nam.e"], "give key=value"),
    ],
)
def test_wrong_flags_are_one_line(
    words: list[str], message: str, study: Study, harness_here: HarnessCommand, tmp_path: Path
) -> None:
    done = harness_here("run", study.path, "--output_path", tmp_path / "out", *words)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr


@pytest.mark.parametrize(
    ("words", "changes"),
    [
        ("--output_path out study.yaml", []),
        ("--output_path out study.yaml a=1 --no_estimate b=2", ["a=1", "b=2"]),
        ("study.yaml --output_path out --dry_run --no_estimate b=2", ["b=2"]),
        ("--dry_run study.yaml", []),
        ("--dry_run a=1 study.yaml b=2", ["a=1", "b=2"]),
        ("--executor_args x=1 study.yaml --jobs 2 c=3", ["c=3"]),
        ("a=1 study.yaml --output_path out b=2", ["a=1", "b=2"]),
    ],
)
def test_the_experiment_file_may_come_after_flags(words: str, changes: list[str]) -> None:
    parser = argparse.ArgumentParser()
    run_command.add_arguments(parser)
    assert run_command._experiment(parser.parse_args(words.split())) == (Path("study.yaml"), changes)


@pytest.mark.parametrize("words", [["--dry_run"], ["--output_path", "out", "a=1"]])
def test_a_run_without_an_experiment_file_is_refused(words: list[str], harness_here: HarnessCommand) -> None:
    done = harness_here("run", *words)
    assert done.returncode == 2
    assert "EXPERIMENT.yaml: is missing; give the file of a study" in done.stderr


@pytest.mark.parametrize("flag", ["--model", "-M", "--tasks", "-t", "--model_args", "-a", "--model=oracle"])
def test_run_with_a_model_or_tasks_and_no_experiment_is_eval(flag: str) -> None:
    from harness.cli.lm_eval_commands import own_command

    for words in ([flag, "oracle", "--limit", "2"], ["--limit", "2", flag]):
        assert own_command(["run", *words]) == ["eval", *words]
    for words in (["study.yaml", flag, "oracle"], ["--output_path", "out", "study.yaml"]):
        assert own_command(["run", *words]) == ["run", *words]


def test_run_with_a_model_evaluates_it(harness_here: HarnessCommand, tmp_path: Path) -> None:
    words = ["--backend", "scripted", "--model", "oracle", "--tasks", "mini_logic", "--limit", "2"]
    done = harness_here("run", *words, "--output_path", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "1.000" in done.stdout
