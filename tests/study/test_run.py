"""A run does what is not done, a failure stops its descendants only, and the folder belongs to one run at a time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.checkpoints.stage_manifest import read_manifest
from harness.evaluation.progress_file import ProgressFile
from harness.records.run_folder import read_record
from harness.study.commands import Commands
from harness.study.executors import Job
from harness.study.experiment import read_experiment
from harness.study.folder import StudyFolder
from harness.study.graph import build_graph
from harness.study.runner import Runner
from harness.study.states import PROGRESS, node_states
from tests.conftest import HarnessCommand
from tests.study import package
from tests.study.conftest import Study
from tests.study.observer import LOG, check_events, events


@pytest.fixture
def harness_here(harness_fork: HarnessCommand) -> HarnessCommand:
    """Run `harness` in a fork of a process that has imported it."""
    return harness_fork


@pytest.fixture
def small(study: Study) -> Study:
    """One arm pair with one seed: 1 + 2 checkpoints."""
    study.fields["factors"] = {"tune": {"N": 0, "C": 1}, "seed": [0]}
    study.fields["stages"]["base"]["data"]["code"] = 0
    study.write()
    return study


def _run(harness_here: HarnessCommand, study: Study, *words: object) -> subprocess.CompletedProcess[str]:
    return harness_here("run", study.path, "--output_path", study.folder / "out", "--executor", "fork", *words)


def _begun(log: Path) -> list[str]:
    events = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    return [event["name"] for event in events if event["event"] == "begins"]


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(LOG, str(tmp_path / "events.jsonl"))
    return tmp_path / "events.jsonl"


def test_a_study_ends_with_its_report_and_a_rerun_runs_nothing(
    small: Study, harness_here: HarnessCommand, log: Path
) -> None:
    done = _run(harness_here, small)
    assert done.returncode == 0, done.stderr
    page = Path(done.stdout.splitlines()[-1])
    assert page == small.folder / "out" / "compare.html"
    assert "C against N" in page.read_text()
    # Evaluations share a process.
    assert _begun(log) == ["base-0", "tuned-N-0", "tuned-C-0", "eval-tuned-N-0", "compare", "leaderboard"]
    log.unlink()
    again = _run(harness_here, small)
    assert again.returncode == 0
    assert "7 of 7 nodes were done before" in again.stderr
    assert _begun(log) == []
    # A renamed stage runs nothing either.
    small.fields["stages"]["renamed"] = small.fields["stages"].pop("tuned")
    small.fields["evaluate"]["stages"] = ["renamed"]
    small.write({"compare": {"stage": "renamed"}})
    assert _run(harness_here, small).returncode == 0
    assert _begun(log) == []
    # A changed learning rate runs that stage, and what follows from it.
    small.fields["stages"]["renamed"]["learning_rate"] = 0.2
    small.write()
    changed = _run(harness_here, small)
    assert changed.returncode == 0
    assert "changed  stages.renamed.learning_rate: 0.2 instead of 0.1" in changed.stderr
    assert _begun(log) == ["renamed-N-0", "renamed-C-0", "eval-renamed-N-0", "compare", "leaderboard"]


def test_links_to_pages_that_are_no_longer_in_the_experiment_are_removed(
    small: Study, harness_here: HarnessCommand
) -> None:
    """Only links made by a run are removed; the page itself stays."""
    out = small.folder / "out"
    assert _run(harness_here, small).returncode == 0
    page = (out / "compare.html").resolve()
    (out / "notes.html").write_text("mine")
    (out / "mine.html").symlink_to(out / "notes.html")
    small.write({"compare": {"stage": "tuned", "name": "arms"}, "report": {"leaderboard": False}})
    assert _run(harness_here, small).returncode == 0
    assert sorted(path.name for path in out.glob("*.html")) == ["arms.html", "mine.html", "notes.html"]
    assert page.is_file()


def test_saved_states_are_evaluated_too(small: Study, harness_here: HarnessCommand) -> None:
    """Those with a number of steps: `checkpoint-best` is one of them again."""
    small.fields["stages"] = {
        "base": {"stage": "fake", "data": {}, "saves": ["checkpoint-5", "checkpoint-10", "checkpoint-best"]}
    }
    small.fields["evaluate"] |= {"stages": ["base"], "checkpoints": "all"}
    small.write({"factors": {}, "compare": None})
    done = _run(harness_here, small)
    assert done.returncode == 0, done.stderr
    places = [
        Path(read_record(run.parent).model["source"]) for run in (small.folder / "out").glob("evaluations/*/*/run.json")
    ]
    assert sorted(place.name for place in places) == ["base", "checkpoint-10", "checkpoint-5"]
    assert "4 of 4 nodes were done before" in _run(harness_here, small).stderr


def test_a_name_that_an_earlier_run_gave_to_another_node_is_refused(small: Study, harness_here: HarnessCommand) -> None:
    small.write({"factors": {"tune": {"N": 0}, "seed": [0]}, "evaluate": [], "compare": None})
    folder, earlier = StudyFolder(small.folder / "out"), build_graph(read_experiment(small.path, []))
    for node in earlier.values():
        folder.claim(node, {})
    folder.record("small", {}, earlier)
    small.write({"factors": {"tune": {"old": 0, "N": 1}, "seed": [0]}})
    done = _run(harness_here, small)
    assert done.returncode == 2
    assert "tuned-N-0: is what an earlier run in" in done.stderr
    assert "calls the node that is now tuned-old-0" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    small.write({"factors": {"tune": {"old": 0, "new": 1}, "seed": [0]}})
    folder.check_labels(build_graph(read_experiment(small.path, [])))


def test_reports_read_the_records_of_a_checkpoint_from_a_folder_of_its_own(study: Study) -> None:
    graph = build_graph(read_experiment(study.path, []))
    folder = StudyFolder(study.folder / "out")
    for node in graph.values():  # begun under one name
        if node.kind != "report":
            folder.claim(replace(node, label="same"), {})
    page = next(node for node in graph.values() if node.label == "compare")
    folder.claim(page, {})
    runs = [word for word in Commands(graph, folder).of([page], {key: [] for key in page.parents}) if "=" in word]
    places = [place for word in runs for place in word.partition("=")[2].split(",")]
    assert len(places) == 8
    assert len(set(places)) == 8


def test_a_changed_metric_scores_again_without_inference(small: Study, harness_here: HarnessCommand, log: Path) -> None:
    small.write({"compare": None})
    assert _run(harness_here, small).returncode == 0
    log.unlink()
    file = small.tasks / "choice.yaml"
    file.write_text(file.read_text().replace("  - {metric: acc_norm, aggregation: mean, higher_is_better: true}\n", ""))
    done = _run(harness_here, small)
    assert done.returncode == 0, done.stderr
    assert _begun(log) == ["eval-tuned-N-0", "leaderboard"]
    runs = sorted((small.folder / "out" / "evaluations").glob("*/*/run.json"), key=lambda path: path.stat().st_mtime)
    for run in runs[-2:]:
        assert read_record(run.parent).from_journal == 24
        assert read_record(run.parent).engine is None


def test_all_state_is_in_the_output_folder(
    small: Study, harness_here: HarnessCommand, log: Path, own_cache: Path
) -> None:
    """A moved folder is done, and scores a changed metric from its answers; a deleted one leaves no answers behind."""
    small.write({"compare": None})
    out, moved = small.folder / "out", small.folder / "elsewhere" / "moved"
    assert _run(harness_here, small).returncode == 0
    assert not list(own_cache.rglob("journal*"))
    moved.parent.mkdir()
    out.rename(moved)
    log.unlink()
    links = [path for path in moved.glob("nodes/*/runs/**/*") if path.is_symlink()]
    assert len(links) > 1
    assert all(link.resolve(strict=True).is_relative_to(moved.resolve()) for link in links)
    again = harness_here("run", small.path, "--output_path", moved, "--executor", "fork")
    assert again.returncode == 0, again.stderr
    assert _begun(log) == []
    file = small.tasks / "choice.yaml"
    file.write_text(file.read_text().replace("  - {metric: acc_norm, aggregation: mean, higher_is_better: true}\n", ""))
    for place, known in ((moved, 24), (out, 0)):
        done = harness_here("run", small.path, "--output_path", place, "--executor", "fork")
        assert done.returncode == 0, done.stderr
        last = max(place.glob("evaluations/*/*/run.json"), key=lambda path: path.stat().st_mtime)
        assert read_record(last.parent).from_journal == known


@pytest.mark.parametrize("flags", [{"use_cache": "answers.sqlite"}, {"no_cache": True}])
def test_an_experiment_may_name_another_journal_or_none(small: Study, flags: dict[str, Any]) -> None:
    before = build_graph(read_experiment(small.path))
    small.fields["evaluate"]["flags"] |= flags
    graph = build_graph(read_experiment(small.write()))
    assert set(graph) == set(before), "no answer depends on where it is kept"
    node = next(node for node in graph.values() if node.kind == "evaluate")
    words = Commands(graph, StudyFolder(small.folder / "out")).of([node], {})
    assert [word for word in words if word.endswith("_cache")] == [f"--{name}" for name in flags]


def test_a_failed_node_fails_its_descendants_only(small: Study, harness_here: HarnessCommand) -> None:
    small.fields["stages"]["tuned"]["fails"] = "{tune}"
    small.fields["evaluate"]["stages"] = ["base", "tuned"]
    small.write()
    done = _run(harness_here, small)
    assert done.returncode == 1
    assert "failed   tuned-C-0: exit code 1" in done.stderr
    assert "done     eval-base-0" in done.stderr
    assert "done     eval-tuned-N-0" in done.stderr
    status = harness_here("status", small.folder / "out")
    assert status.returncode == 1
    assert "this stage fails" in status.stdout
    assert "5 nodes wait" not in done.stderr
    states = {line.split()[0]: line.split()[2] for line in status.stdout.splitlines() if line.count("  ") > 1}
    assert states["tuned-C-0"] == "failed"
    assert states["eval-tuned-C-0"] == "blocked"
    assert states["compare"] == "blocked"
    assert states["eval-tuned-N-0"] == "done"
    # It is tried again by the next run.
    small.fields["stages"]["tuned"]["fails"] = 0
    small.write()
    assert _run(harness_here, small).returncode == 0


def test_a_training_that_fails_after_writing_its_checkpoint_counts_as_failed(
    small: Study, harness_here: HarnessCommand, log: Path
) -> None:
    small.fields["stages"]["base"]["fails_at_end"] = True
    small.write({"evaluate": [], "compare": None})
    done = _run(harness_here, small)
    assert done.returncode == 1
    assert "failed   base-0: exit code 1" in done.stderr
    assert _begun(log) == ["base-0"]
    log.unlink()
    done = _run(harness_here, small)
    assert done.returncode == 0, done.stderr
    assert _begun(log) == ["base-0", "tuned-N-0", "tuned-C-0"]
    assert [event["name"] for event in events(log) if event["event"] == "trained"] == ["tuned-N-0", "tuned-C-0"]


def test_a_failed_training_stays_in_doubt_when_the_next_run_is_killed(study: Study, own_cache: Path) -> None:
    """Its checkpoint is complete, so only the noted failure says that something is wrong with it."""
    study.fields["stages"] = {"base": {"stage": "fake"}}
    study.write({"factors": {}, "evaluate": [], "compare": None})
    graph, folder = build_graph(read_experiment(study.path)), StudyFolder(study.folder / "out")
    (node,) = graph.values()

    class Ends:
        """Writes the checkpoint, and ends with a code."""

        slots: int | None = 1

        def __init__(self, code: int) -> None:
            self.code = code

        def submit(self, jobs: Sequence[Job]) -> list[int]:
            if self.code == 99:
                raise KeyboardInterrupt
            package.train({"name": "base"}, folder.checkpoint(node))
            return [0 for _ in jobs]

        def poll(self, _handle: int) -> int:
            return self.code

        def cancel(self, _handle: int) -> None: ...

    assert not Runner(graph, folder, Ends(1)).run()
    with pytest.raises(KeyboardInterrupt):
        Runner(graph, folder, Ends(99)).run()
    assert not Runner(graph, folder, Ends(-9)).run(), "a signal says nothing about the earlier error"
    assert Runner(graph, folder, Ends(0)).run()
    assert not folder.is_doubted(node.key)


def test_a_damaged_checkpoint_fails_its_own_evaluation_only(small: Study, harness_here: HarnessCommand) -> None:
    small.fields["evaluate"]["stages"] = ["base", "tuned"]
    small.fields["stages"]["tuned"]["damaged"] = "{tune}"
    factors = {"tune": {"damaged": 1, "whole": 0}, "seed": [0]}
    small.write({"factors": factors, "compare": None, "report": {"leaderboard": False}})
    done = _run(harness_here, small)
    assert done.returncode == 1
    states = {state.label: state.state for state in node_states(StudyFolder(small.folder / "out"))}
    evaluations = {label: state for label, state in states.items() if label.startswith("eval-")}
    assert evaluations == {
        "eval-base-0": "done", "eval-tuned-damaged-0": "failed", "eval-tuned-whole-0": "done",
    }, done.stderr  # fmt: skip


def test_a_shared_process_that_dies_repeats_no_finished_evaluation(
    small: Study, harness_here: HarnessCommand, log: Path
) -> None:
    small.write({"compare": None, "report": {"leaderboard": False}})
    done = _run(harness_here, small, "--executor", "dying")
    assert done.returncode == 0, done.stderr
    assert "died     eval-tuned-N-0 (signal 9); it is run again" in done.stderr
    check_events(log)
    evaluated = [event["nodes"] for event in events(log) if event["name"].startswith("eval-")]
    assert evaluated == [["eval-tuned-N-0", "eval-tuned-C-0"], ["eval-tuned-C-0"]]


def test_a_queued_node_waits_and_its_time_counts_from_its_start(
    small: Study, harness_here: HarnessCommand, log: Path
) -> None:
    done = _run(harness_here, small, "--only", "base-0", "--executor", "queue")
    after = time.monotonic()
    assert done.returncode == 0, done.stderr
    (queued,) = (event for event in events(log) if event["event"] == "leaves the queue")
    assert queued["states"]["base-0"] == "waiting"
    folder = StudyFolder(small.folder / "out")
    (base,) = (node for node in (folder.recorded() or {})["nodes"] if node["label"] == "base-0")
    seconds = (folder.state(base["key"], "done") or {})["seconds"]
    assert 0 < seconds < after - queued["at"]


def test_only_runs_a_node_and_what_it_needs(small: Study, harness_here: HarnessCommand, log: Path) -> None:
    done = _run(harness_here, small, "--only", "tuned-C-0")
    assert done.returncode == 0, done.stderr
    assert _begun(log) == ["base-0", "tuned-C-0"]
    status = harness_here("status", small.folder / "out").stdout
    assert "2 done, 5 waiting" in status


def test_a_second_run_says_who_holds_the_folder(small: Study, harness_here: HarnessCommand) -> None:
    code = (
        "import sys, time; from pathlib import Path; from harness.study.folder import StudyFolder\n"
        f"with StudyFolder(Path({str(small.folder / 'out')!r})).held(): print('held', flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        done = _run(harness_here, small)
        holder.kill()
    assert done.returncode == 2
    assert f"is in use by process {holder.pid} on {os.uname().nodename}, since 20" in done.stderr
    assert not StudyFolder(small.folder / "out").in_use(), "the lock ends with its holder"


def test_status_says_whether_a_run_is_active(small: Study, harness_here: HarnessCommand) -> None:
    folder = StudyFolder(small.folder / "out")
    code = (
        "import sys, time; from pathlib import Path; from harness.study.folder import StudyFolder\n"
        f"with StudyFolder(Path({str(folder.path)!r})).held(): print('held', flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        graph = build_graph(read_experiment(small.path))
        folder.record("small", {}, graph)
        first = next(iter(graph.values()))
        folder.claim(first, {})
        folder.set_state(first.key, "running", {"since": "now"})
        active = harness_here("status", folder.path).stdout.splitlines()
        holder.kill()
        holder.wait()
    place = f"process {holder.pid} on {os.uname().nodename}, since 20"
    assert active[0] == "1 running, 6 waiting"
    assert active[1].startswith(f"Run by {place}")
    killed = harness_here("status", folder.path).stdout.splitlines()
    assert killed[0] == "7 waiting"
    assert killed[1].startswith(f"No run is active (the last one was {place}")
    assert killed[1].endswith("; the same `harness run` command resumes.")


def test_a_dry_run_shows_graph_and_cost_and_writes_nothing(small: Study, harness_here: HarnessCommand) -> None:
    done = _run(harness_here, small, "--dry_run", "factors.seed=[0,1]", "--no_estimate")
    assert done.returncode == 0, done.stderr
    assert not (small.folder / "out").exists()
    assert "tuned-C-1" in done.stdout
    assert "0 of 12 nodes are done. Ahead: 600 tokens, at most 96 requests" in done.stdout
    assert "Time: not known; remove --no_estimate" in done.stdout
    assert _run(harness_here, small).returncode == 0
    done = _run(harness_here, small, "--dry_run", "factors.seed=[0,1]", "--no_estimate")
    assert "5 of 12 nodes are done. Ahead: 300 tokens, at most 48 requests" in done.stdout
    assert "Time: " in done.stdout


def test_a_parent_that_was_made_again_with_other_weights_is_passed_on(
    small: Study, harness_here: HarnessCommand, log: Path
) -> None:
    assert _run(harness_here, small, "--only", "tuned-C-0").returncode == 0
    folder = StudyFolder(small.folder / "out")
    base = next(node for node in (folder.recorded() or {})["nodes"] if node["label"] == "base-0")
    about = folder.state(base["key"], "done")
    assert about is not None
    manifest = next(folder.of(base["key"]).glob("*/stage.json"))
    other = "sha256:" + "0" * 64
    manifest.write_text(manifest.read_text().replace(about["outcome"]["digest"], other))
    folder.set_state(base["key"], "done", about | {"outcome": {"digest": other}})
    log.unlink()
    _run(harness_here, small, "--only", "tuned-C-0")
    assert _begun(log) == ["tuned-C-0"]
    assert len(list((folder.path / "nodes").glob("*.replaced-1"))) == 1


@pytest.mark.parametrize(
    "executor",
    [
        ["local"],
        pytest.param(["slurm", "--executor_args", "cluster=local"], marks=pytest.mark.slow),
        pytest.param(["ray"], marks=pytest.mark.slow),
    ],
)
def test_a_command_that_dies_by_a_signal_is_run_again(
    executor: list[str], small: Study, harness_here: HarnessCommand
) -> None:
    small.fields["stages"]["base"]["dies_once"] = True
    small.write()
    out = small.folder / "out"
    done = harness_here("run", small.path, "--output_path", out, "--only", "base", "--executor", *executor)
    assert done.returncode == 0, done.stderr
    assert "died     base-0" in done.stderr
    assert list(out.glob("nodes/*/base-0/model.safetensors"))


def test_status_shows_speed_and_time_left_of_a_training(small: Study, harness_here: HarnessCommand) -> None:
    folder = StudyFolder(small.folder / "out")
    with folder.held():
        folder.record("small", {}, {})
        fields: dict[str, Any] = {
            "name": "small",
            "nodes": [{"key": "k", "label": "a", "kind": "train", "parents": []}],
        }
        (folder.path / "study.json").write_text(json.dumps(fields))
        (folder.of("k") / "a").mkdir(parents=True)
        folder.set_state("k", "running", {"since": "now"})
        (folder.of("k") / "stage.yaml").write_text("data: {budget_tokens: 1000}\n")
        entry = {"step": 3, "tokens": 400, "tokens_per_second": 50.0}
        (folder.of("k") / "a" / "metrics.jsonl").write_text(json.dumps(entry) + "\n")
        # A child does not inherit the lock, so this is another process's view.
        shown = subprocess.run(
            [sys.executable, "-m", "harness", "status", str(folder.path)], capture_output=True, text=True, check=False
        ).stdout
    assert "running  50 tokens/s  12 s" in shown
    assert "waiting" in harness_here("status", folder.path).stdout, "without a run, nothing is running"


def test_status_shows_speed_and_time_left_of_evaluations_that_share_a_process(small: Study) -> None:
    folder = StudyFolder(small.folder / "out")
    graph = build_graph(read_experiment(small.path))
    evaluations = [node for node in graph.values() if node.kind == "evaluate"]
    folder.path.mkdir()
    folder.record("small", {}, graph)
    for node in evaluations:
        folder.claim(node, {})
        log = str((folder.of(evaluations[0].key) / "log").relative_to(folder.path))
        folder.set_state(node.key, "running", {"since": "now", "log": log})
    words = Commands(graph, folder).of(evaluations, {})
    file = ProgressFile(Path(words[words.index("--progress_path") + 1]), models=2)
    with folder.held(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(StudyFolder, "in_use", lambda _: True)
        seconds = iter((0.0, 1.0, 3.0))
        patch.setattr("harness.evaluation.progress_file.time.monotonic", lambda: next(seconds))
        file.start(total=100, known=20)
        assert {state.requests_per_second for state in node_states(folder)} == {None}
        for count in (10, 30, 30):  # the first ten arrive when the engine is open, and do not count
            file.advance(count)
        states = {state.label: state for state in node_states(folder) if state.kind == "evaluate"}
    assert [state.requests_per_second for state in states.values()] == [20.0, 20.0]
    assert [state.seconds_left for state in states.values()] == [5.5, 5.5], "10 of this model and 100 of the next"


def test_the_progress_of_an_earlier_attempt_is_not_shown(study: Study, own_cache: Path) -> None:
    study.fields["stages"] = {"base": {"stage": "fake"}}
    study.fields["evaluate"]["stages"] = ["base"]
    study.write({"factors": {}, "compare": None, "report": {"leaderboard": False}})
    graph, folder = build_graph(read_experiment(study.path)), StudyFolder(study.folder / "out")
    train, evaluate = graph.values()
    folder.claim(train, {})
    package.train({"name": "base"}, folder.checkpoint(train))
    digest = {"digest": (read_manifest(folder.checkpoint(train)) or pytest.fail("no manifest")).digest}
    folder.set_state(train.key, "done", {"outcome": digest, "parents": {}})
    folder.claim(evaluate, {train.key: digest})
    progress = folder.of(evaluate.key) / PROGRESS
    progress.write_text('{"requests_per_second": 3.0}')

    class Looks:
        """Looks for the file when a job is submitted."""

        slots: int | None = 1

        def submit(self, jobs: Sequence[Job]) -> list[int]:
            assert [job.words[0] for job in jobs] == ["eval"]
            assert not progress.exists()
            raise KeyboardInterrupt

        def poll(self, _handle: int) -> int:
            return 1

        def cancel(self, _handle: int) -> None: ...

    with pytest.raises(KeyboardInterrupt):
        Runner(graph, folder, Looks()).run()


def test_status_of_a_folder_without_a_study_is_refused(harness_here: HarnessCommand, tmp_path: Path) -> None:
    done = harness_here("status", tmp_path)
    assert done.returncode == 2
    assert "holds no study" in done.stderr
