"""A dry run says what a study will cost and what it can find, before anything is spent; it leaves nothing behind."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from harness.cli import study_plan
from harness.study import starts
from harness.study.costs import Cost, Costs
from harness.study.experiment import read_experiment
from harness.study.folder import StudyFolder
from harness.study.graph import build_graph
from harness.study.timing import Timings
from tests.conftest import HarnessCommand
from tests.study import package
from tests.study.conftest import Study
from tests.trainers.helpers import CPU, instructions, write_jsonl
from tests.waiting import CEILING_SECONDS


def _real_stages(folder: Path) -> dict[str, Any]:
    """A model from scratch and its tuning, by the project's own trainers."""
    texts = [{"text": f"{row['instruction']} {row['output']}"} for row in instructions(60)]
    text, tune = write_jsonl(folder / "text.jsonl", texts), write_jsonl(folder / "tune.jsonl", instructions(60))
    base = {
        "stage": "pretrain", "seed": "{seed}", "architecture": "tiny", "tokenizer": {"vocab_size": 300},
        "data": {"budget_tokens": 2000, "sources": {"text": {"path": str(text)}}},
        "trainer": {**CPU, "max_length": 64},
    }  # fmt: skip
    tuned = {
        "stage": "sft", "seed": "{seed}", "from": "base", "trainer": {**CPU, "max_length": 64},
        "data": {"budget_tokens": 2000, "sources": {"tune": {"path": str(tune)}}},
    }  # fmt: skip
    return {"base": base, "tuned": tuned}


def test_an_estimate_times_each_stage_and_a_batch_before_any_checkpoint_exists(
    study: Study, harness_fork: HarnessCommand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setenv("TMPDIR", str(place))
    study.fields["stages"] = _real_stages(tmp_path)
    study.write({"factors": {"seed": [0, 1]}, "compare": None, "overlap": False, "report": {"leaderboard": False}})
    done = harness_fork("run", study.path, "--output_path", tmp_path / "out", "--dry_run")
    assert done.returncode == 0, done.stderr
    assert "not timed" not in done.stderr
    timed = [line.split()[1] for line in done.stderr.splitlines() if line.startswith("timing")]
    assert sorted(timed) == ["base", "eval", "tuned"]
    rows = {line.split()[0]: line for line in done.stdout.splitlines() if re.match(r"(base|tuned|eval)", line)}
    assert len(rows) == 6
    assert all(re.search(r" \d+ s$", row) for row in rows.values()), done.stdout
    assert "for 6 nodes, one after the other, with the start of each process." in done.stdout
    assert not (tmp_path / "out").exists()
    assert not list(place.glob("harness-timing-*"))


def test_each_process_adds_its_start_once(study: Study, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainings have a process each; evaluations of the same tasks share one. Pages are not timed."""
    monkeypatch.setattr(starts, "seconds_to_start", {"train": 10.0, "evaluate": 7.0}.__getitem__)
    graph = build_graph(read_experiment(study.write()))
    costs = {key: Cost(seconds=None if node.kind == "report" else 1.0) for key, node in graph.items()}
    added = {graph[key].label: cost.seconds for key, cost in starts.with_starts(graph, costs).items()}
    assert [added[f"base-{arm}-{seed}"] for arm in "NC" for seed in (0, 1)] == [11.0] * 4
    assert sorted(seconds or 0.0 for label, seconds in added.items() if label.startswith("eval-")) == [1.0] * 7 + [8.0]
    assert added["compare"] is None


def test_the_start_of_a_process_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starts, "LIBRARIES", {"train": "import time; time.sleep(0.3)"})
    starts.seconds_to_start.cache_clear()
    assert 0.3 < starts.seconds_to_start("train") < 0.3 + CEILING_SECONDS
    assert starts.seconds_to_start("report") == 0.0
    starts.seconds_to_start.cache_clear()


def test_a_wrong_task_of_a_comparison_is_found_before_a_stage_is_planned(
    study: Study, harness_here: HarnessCommand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planning builds models, which takes minutes where they are large."""
    planned: list[str] = []
    monkeypatch.setattr(package, "plan", lambda spec: planned.append(spec["name"]))
    study.write({"compare": {"stage": "tuned", "tasks": ["t_chioce"]}})
    done = harness_here("run", study.path, "--output_path", tmp_path / "out", "--dry_run", "--no_estimate")
    assert done.returncode == 2
    assert "compare.tasks: no task 't_chioce'; tasks are t_choice. Did you mean t_choice?" in done.stderr
    assert planned == []


def _timings(study: Study, measure: Callable[[], float]) -> tuple[list[float | None], dict[str, str]]:
    """Time `base` and the evaluation of `tuned`, with one step and one request; return seconds, and what failed."""
    graph = build_graph(read_experiment(study.write()))
    nodes = {node.label: node for node in graph.values()}
    folder = StudyFolder(study.folder / "out")
    with Timings(graph, folder, {}, lambda _node, _checkpoint: measure()) as timings:
        timed = [
            timings.timed(nodes["base-N-0"], Cost(steps=1)).seconds,
            timings.timed(nodes["eval-tuned-N-N-0"], Cost(requests=1)).seconds,
        ]
    return timed, timings.failed


def test_timed_steps_and_batches_have_the_threads_of_their_nodes(study: Study, own_cache: Path) -> None:
    before = torch.get_num_threads()
    study.fields["needs"] = {"train": {"cpus": before + 1}, "evaluate": {"cpus": before + 2}}
    study.fields["stages"]["base"]["counts_threads"] = True
    assert _timings(study, torch.get_num_threads) == ([before + 1, before + 2], {})
    assert torch.get_num_threads() == before


def test_any_error_of_a_timed_step_or_batch_is_named(study: Study, own_cache: Path) -> None:
    def fail() -> float:
        raise RuntimeError("no kernel\nfor this device")

    assert _timings(study, fail)[1] == {"eval": "no kernel for this device"}
    study.fields["stages"]["base"]["too_large"] = True
    assert _timings(study, fail) == ([None, None], {"base": "CUDA out of memory. Tried to allocate 9 GiB"})


@pytest.mark.parametrize(("amounts", "plans"), [(["1,000", "1,000"], 2 + 4), (["1,000", "2,000"], 4 + 8)])
def test_seeds_that_differ_in_more_than_their_seed_are_planned_one_by_one(
    amounts: list[str], plans: int, study: Study, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study.fields["factors"]["seed"] = {f"{n}": {"number": n, "amount": amount} for n, amount in enumerate(amounts)}
    study.fields["stages"]["base"] |= {"seed": "{seed.number}", "parameters": "{seed.amount}"}
    study.fields["stages"]["tuned"]["seed"] = "{seed.number}"
    planned: list[str] = []
    plan = package.plan

    def count(spec: Mapping[str, Any]) -> Mapping[str, Any]:
        planned.append(spec["name"])
        return plan(spec)

    monkeypatch.setattr(package, "plan", count)
    graph = build_graph(read_experiment(study.write()))
    costs = Costs(graph, StudyFolder(study.folder / "out"), {}, lambda _: 0, writes=False)
    disk = {node.label: costs.of(node).disk_bytes for node in graph.values() if node.kind == "train"}
    assert len(planned) == plans
    # Weights, and two states with Adam's two moments: 4 bytes x (1 + 2 x 3) for each parameter.
    assert [disk[f"base-N-{n}"] for n in range(2)] == [28 * int(amount.replace(",", "")) for amount in amounts]


@pytest.mark.parametrize(
    ("trainer", "states"),
    [
        ({}, 2),
        ({"save_steps": 2, "save_total_limit": 4}, 4),
        ({"save_steps": 3, "save_total_limit": None}, 6),  # after 3, 6, ... 15 steps, and at the end
        ({"save_steps": 0.5, "save_total_limit": None}, 2),
    ],
)
def test_requests_for_all_checkpoints_count_each_saved_state(
    trainer: dict[str, Any], states: int, study: Study, own_cache: Path
) -> None:
    base = _real_stages(study.folder)["base"]
    base["trainer"] |= {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 1, **trainer}
    study.fields["stages"] = {"base": base | {"seed": 0}}
    study.fields["evaluate"] |= {"stages": ["base"], "checkpoints": "all"}
    study.write({"factors": {}, "compare": None, "overlap": False})
    graph = build_graph(read_experiment(study.path))
    costs = Costs(graph, StudyFolder(study.folder / "out"), {}, lambda _: 10, writes=False)
    cost = {node.label: costs.of(node) for node in graph.values()}
    assert cost["base"].steps == 16, "32 sequences of 64 tokens"
    assert cost["eval-base"].requests == 10
    assert cost["eval-base-states"].requests == 10 * states


def test_stages_below_an_average_are_planned_by_their_budget(
    study: Study, harness_fork: HarnessCommand, tmp_path: Path
) -> None:
    """`average`, and trainers of other packages, cannot say what their model will be."""
    tuned = _real_stages(tmp_path)["tuned"]
    study.fields["stages"] = {
        "base": {"stage": "fake", "seed": "{seed}"},
        "merged": {"stage": "average", "checkpoints": ["{stages.base}"]},
        "tuned": {**tuned, "from": "merged"},
        "late": {**tuned, "from": "tuned", "data": {**tuned["data"], "budget_tokens": 3000}},
    }
    study.fields["evaluate"]["stages"] = ["base"]
    study.write({"factors": {"seed": [0]}, "compare": None, "overlap": False, "report": {"leaderboard": False}})
    done = harness_fork("run", study.path, "--output_path", tmp_path / "out", "--dry_run", "--no_estimate")
    assert done.returncode == 0, done.stderr
    rows = {line.split()[0]: line for line in done.stdout.splitlines() if line.startswith(("tuned-0", "late-0"))}
    assert "2,000" in rows["tuned-0"].split()
    assert "3,000" in rows["late-0"].split()


def test_a_dry_run_ends_with_what_harness_power_says(
    study: Study, harness_fork: HarnessCommand, tmp_path: Path
) -> None:
    task = yaml.safe_load((study.tasks / "choice.yaml").read_text())
    variant = {**task, "task": "t_letter", "metadata": {**task["metadata"], "items_from": "t_choice"}}
    (study.tasks / "letter.yaml").write_text(yaml.safe_dump(variant))
    study.write({"evaluate": {**study.fields["evaluate"], "tasks": ["t_choice", "t_letter"]}})
    done = harness_fork("run", study.path, "--output_path", tmp_path / "out", "--dry_run", "--no_estimate")
    assert done.returncode == 0, done.stderr
    size = {"items": 6, "chance": 0.25, "domain": "logic"}
    plan = {
        "factors": {"pretrain": ["N", "C"], "tune": ["N", "C"]}, "seeds": 2,
        "tasks": {"t_choice": size, "t_letter": {**size, "items_from": "t_choice"}},
    }  # fmt: skip
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(plan))
    power = harness_fork("power", tmp_path / "plan.yaml").stdout
    tables = [line for line in power.splitlines() if re.search(r"\d", line) and "plan.yaml" not in line]
    assert len(tables) > 3
    assert set(tables) <= set(done.stdout.splitlines())
    words = ["--output_path", tmp_path / "out", "--dry_run", "--no_estimate"]
    assert "power" not in harness_fork("run", study.write({"compare": None}), *words).stdout


def _power_of(study: Study, monkeypatch: pytest.MonkeyPatch) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the plans that a dry run passes to `harness power`, and the lines about them."""
    plans: list[dict[str, Any]] = []
    lines: list[str] = []
    monkeypatch.setattr(study_plan, "_print_plan", lambda plan: plans.append(yaml.safe_load(plan)))
    monkeypatch.setattr(study_plan, "say", lambda line, file: lines.append(line.strip()))
    spec = read_experiment(study.path)
    graph, printed = build_graph(spec), list[str]()
    for compare in spec.compare:
        study_plan._print_power(compare.stage or "", compare, graph, printed)
    return plans, lines


def test_a_plan_has_the_factors_of_the_compared_stage_only(
    study: Study, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`base` does not use `tune`; without a seed it has one run per arm."""
    study.fields["evaluate"]["stages"] = ["base", "tuned"]
    study.write({"compare": [{"name": "base", "stage": "base"}, {"name": "tuned", "stage": "tuned"}]})
    plans, _ = _power_of(study, monkeypatch)
    assert [list(plan["factors"]) for plan in plans] == [["pretrain"], ["pretrain", "tune"]]
    study.fields["stages"]["base"]["seed"] = 0
    study.write({"compare": {"stage": "base"}})
    assert _power_of(study, monkeypatch) == (
        [], ["base: power with these seeds and items is not known: the factor seed has fewer than 2 levels."]
    )  # fmt: skip


def test_a_plan_has_the_tasks_of_its_comparison_and_is_printed_once(
    study: Study, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study.fields["evaluate"]["tasks"] = ["t_choice", "t_generate"]
    sections: list[dict[str, Any]] = [
        {"name": "one", "tasks": "t_ch*"}, {"name": "same", "tasks": "t_choice"}, {"name": "all"},
        {"name": "nats", "tasks": "t_choice", "metric": "gold_log_likelihood"},
        {"name": "arms", "tasks": "t_choice", "contrasts": [["NC", "NN"]]},
    ]  # fmt: skip
    study.write({"compare": [{"stage": "tuned", **section} for section in sections]})
    plans, lines = _power_of(study, monkeypatch)
    assert [list(plan["tasks"]) for plan in plans] == [["t_choice"], ["t_choice", "t_generate"]]
    assert lines[-1] == "nats compares by gold_log_likelihood; this power is of accuracies."


def test_a_contrast_of_stages_without_factors_needs_no_plan(
    study: Study, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study.fields["stages"] = {"base": {"stage": "fake"}, "tuned": {"stage": "fake", "from": "base"}}
    study.fields["evaluate"]["stages"] = ["base", "tuned"]
    study.write({"factors": {}, "compare": {"stage": "tuned", "contrasts": [["tuned", "base"]]}})
    assert _power_of(study, monkeypatch) == ([], [])


def test_a_dry_run_says_how_many_items_are_looked_for_in_the_training_data(
    study: Study, harness_fork: HarnessCommand, tmp_path: Path
) -> None:
    """All items of a task, also where its evaluation has a limit; and nothing where there is no search."""
    study.fields["stages"] = _real_stages(tmp_path)
    study.fields["evaluate"]["flags"]["limit"] = 2
    study.write({"factors": {"seed": [0]}, "compare": None})
    words = ["--output_path", tmp_path / "out", "--dry_run", "--no_estimate"]
    printed = harness_fork("run", study.path, *words).stdout
    assert "Overlap: the training data of 1 arm will be searched for 6 items of 1 task: t_choice." in printed
    assert "Overlap" not in harness_fork("run", study.path, *words, "overlap=false").stdout


def test_no_estimate_without_a_dry_run_is_refused(study: Study, harness_fork: HarnessCommand, tmp_path: Path) -> None:
    done = harness_fork("run", study.path, "--output_path", tmp_path / "out", "--no_estimate")
    assert done.returncode == 2
    assert "--no_estimate: belongs to --dry_run" in done.stderr
