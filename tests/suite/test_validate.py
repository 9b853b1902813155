"""`validate` over the whole suite, and which files a name stands for."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from harness.data.manifest import MismatchError
from harness.errors import TaskError
from harness.suite.catalogue import Catalogue
from harness.suite.definitions import read_folder
from harness.suite.selection import data_files_of, tasks_without_data, with_data
from harness.suite.validation import validate
from tests.conftest import HarnessCommand
from tests.synthetic import Project
from tests.tasks_for_tests import write_tasks

from .suites import ALL_TASKS, with_public_data

NAMES = [*ALL_TASKS, "reasoning", "paper", "general"]


def test_no_definition_is_wrong(synthetic_project: Project) -> None:
    findings = validate(NAMES)
    assert [f.message for f in findings if f.status != "ok"] == []
    assert len(findings) == len(NAMES)


def test_no_definition_is_wrong_over_the_public_files_and_only_others_are_absent(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The data folder as it is and an empty cache, without a network."""
    monkeypatch.setenv("HARNESS_DATA", str(data_dir))
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    findings = {finding.name: finding for finding in validate(NAMES)}
    assert [f.message for f in findings.values() if f.status == "wrong"] == []
    absent = {name for name, entry in ALL_TASKS.items() if entry.metadata.get("data")} - with_public_data()
    assert {f.name for f in findings.values() if f.status == "no data"} == absent


def test_a_group_stands_for_the_files_of_its_tasks_and_a_file_for_itself() -> None:
    catalogue = Catalogue()
    assert data_files_of(["cosqa_letter", "humaneval"], catalogue) == ["cosqa_dev", "cosqa_train", "humaneval"]
    assert set(data_files_of(["reasoning_legal"], catalogue)) == {"jec_qa_kd", "jec_qa_ca"}
    with pytest.raises(TaskError, match="Did you mean"):
        data_files_of(["cosqa_lettre"], catalogue)


def test_the_tasks_of_a_group_without_data_are_listed(synthetic_project: Project) -> None:
    shutil.rmtree(synthetic_project.data / "ekar")
    assert tasks_without_data("reasoning_analogy", Catalogue()) == {
        f"ekar_{language}_letter": [f"ekar_{language}_test", f"ekar_{language}_validation"] for language in ("en", "zh")
    }
    assert tasks_without_data("reasoning_legal", Catalogue()) == {}
    (finding,) = validate(["ekar_en_letter"])
    assert finding.status == "no data"
    assert "harness tasks fetch ekar_en_test ekar_en_validation" in finding.message


def test_a_different_data_file_is_an_error_and_its_task_is_not_left_out(synthetic_project: Project) -> None:
    synthetic_project.pin("jec_qa_kd", "jec_qa_ca")
    assert with_data(["reasoning_legal"], Catalogue())[0] == ["reasoning_legal"]
    Catalogue().load(["reasoning_legal"])
    path = synthetic_project.data / "agieval" / "jec-qa-kd.jsonl"
    path.write_text(path.read_text(encoding="utf-8").replace("A", "B", 1), encoding="utf-8")
    with pytest.raises(MismatchError, match="jec-qa-kd"):
        Catalogue().load(with_data(["reasoning_legal"], Catalogue())[0])


def _groups(folder: Path, groups: dict[str, list[str]]) -> Path:
    for name, members in groups.items():
        (folder / f"{name}.yaml").write_text(f"group: {name}\ntask: [{', '.join(members)}]\n", encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    "groups",
    [
        {"g0": ["t_choice"], **{f"g{n}": [f"g{n - 1}", f"g{n - 1}"] for n in range(1, 40)}},
        {"g0": ["t_choice"], **{f"g{n}": [f"g{n - 1}"] for n in range(1, 1200)}},
        {"g0": ["g1"], "g1": ["g2"], "g2": ["g0"]},
    ],
    ids=["each twice the one before", "a long chain", "a circle"],
)
def test_groups_without_end_are_refused_in_one_line(
    groups: dict[str, list[str]], tmp_path: Path, harness_here: HarnessCommand
) -> None:
    folder = _groups(write_tasks(tmp_path / "tasks", items=2), groups)
    done = harness_here("tasks", "list", "--include_path", folder)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert ".yaml" in done.stderr


def test_a_tag_of_the_users_own_is_a_name(tmp_path: Path, harness_here: HarnessCommand) -> None:
    folder = write_tasks(tmp_path / "tasks", items=2)
    choice = folder / "choice.yaml"
    choice.write_text(choice.read_text(encoding="utf-8") + "tag: my_own_tag\n", encoding="utf-8")
    _groups(folder, {"mine": ["my_own_tag"]})
    for name in ("my_own_tag", "mine"):
        done = harness_here("tasks", "show", name, "--include_path", folder)
        assert done.returncode == 0, done.stderr
        assert "name: t_choice" in done.stdout


@pytest.mark.parametrize(
    "text",
    ['{"prompt": "a", "right": "b"}\n\n{"prompt": "c", "right": "d"}\n', '[{"prompt": "a", "right": "b"}]'],
    ids=["a blank line", "a list"],
)
def test_json_that_the_library_reads_is_not_refused(text: str, tmp_path: Path, harness_here: HarnessCommand) -> None:
    folder = write_tasks(tmp_path / "tasks", items=2)
    (folder / "items.jsonl").write_text(text, encoding="utf-8")
    done = harness_here("tasks", "show", "t_generate", "--include_path", folder)
    assert done.returncode == 0, done.stderr


def test_validate_names_the_line_of_a_data_file_that_is_cut_off(tmp_path: Path, harness_here: HarnessCommand) -> None:
    folder = write_tasks(tmp_path / "tasks", items=2)
    choice = folder / "choice.yaml"
    text = choice.read_text(encoding="utf-8").replace(
        "version: 1,", "version: 1, items: 2, description: x, cluster: x,"
    )
    choice.write_text(text, encoding="utf-8")
    with (folder / "items.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"prompt": "cut')
    done = harness_here("tasks", "validate", "t_choice", "--include_path", folder)
    assert done.returncode == 2
    assert "items.jsonl, line 3: not JSON" in done.stdout
    assert not done.stderr


def test_a_pattern_that_matches_nothing_needs_no_index(
    harness_here: HarnessCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Catalogue, "_full_manager", lambda *_: pytest.fail("the index of lm-eval was built"))
    done = harness_here("tasks", "show", "no_such_*")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)


def test_a_task_whose_python_exits_is_a_failure(tmp_path: Path, harness_here: HarnessCommand) -> None:
    folder = write_tasks(tmp_path / "tasks", items=2)
    (folder / "leaves.py").write_text("import sys\ndef f(*_): sys.exit(0)\n", encoding="utf-8")
    with (folder / "generate.yaml").open("a", encoding="utf-8") as file:
        file.write("process_results: !function leaves.f\n")
    words = ["--tasks", "t_generate", "--include_path", folder, "--output_path", tmp_path / "runs"]
    done = harness_here("eval", "--backend", "scripted", "--model", "oracle", *words)
    assert done.returncode == 1
    assert "called sys.exit(0) before the work was done" in done.stderr
    assert not list((tmp_path / "runs").rglob("results_*.json"))


@pytest.mark.parametrize(
    ("files", "read"),
    [
        ({f"_{n}": [f"_{n - 1}", f"_{n - 1}"] if n else [] for n in range(40)}, True),
        ({f"_{n}": [f"_{n - 1}"] if n else [] for n in range(1200)}, False),
        ({"_0": ["_1"], "_1": ["_0"]}, False),
    ],
    ids=["each includes one twice", "a long chain", "a circle"],
)
def test_includes_are_read_once_and_end(files: dict[str, list[str]], read: bool, tmp_path: Path) -> None:
    for name, includes in files.items():
        listed = ", ".join(f"{included}.yaml" for included in includes)
        (tmp_path / f"{name}.yaml").write_text(f"include: [{listed}]\nmetadata: {{a: 1}}\n", encoding="utf-8")
    if read:
        assert read_folder(tmp_path) == {}
    else:
        with pytest.raises(TaskError, match=r"_\d+\.yaml: includes itself, or is included over more than 50 levels"):
            read_folder(tmp_path)
