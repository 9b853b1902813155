"""`validate` over the whole suite, and which files a name stands for."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from harness.data.manifest import MismatchError
from harness.errors import TaskError
from harness.suite.catalogue import Catalogue
from harness.suite.selection import data_files_of, tasks_without_data, with_data
from harness.suite.validation import validate
from tests.synthetic import Project

from .suites import TASKS, with_public_data

NAMES = [*TASKS, "reasoning", "paper", "general"]


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
    absent = {name for name, entry in TASKS.items() if entry.metadata.get("data")} - with_public_data()
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
