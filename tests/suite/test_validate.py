"""`validate` over the whole suite, and which files a name stands for."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import TaskError
from harness.suite.catalogue import Catalogue
from harness.suite.selection import data_files_of, tasks_without_data
from harness.suite.validation import validate

from .conftest import OWN_SAMPLES
from .test_tasks import TASKS


@pytest.fixture
def real_data(data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data folder as it is and an empty cache, without a network."""
    monkeypatch.setenv("HARNESS_DATA", str(data_dir))
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return data_dir


def test_no_definition_is_wrong_and_only_the_hubs_data_is_absent(real_data: Path) -> None:
    findings = {finding.name: finding for finding in validate([*TASKS, "reasoning", "paper", "general"])}
    assert [f.message for f in findings.values() if f.status == "wrong"] == []
    hub_only = {name for name, entry in TASKS.items() if set(entry.metadata.get("data", ())) & OWN_SAMPLES.keys()}
    assert {f.name for f in findings.values() if f.status == "no data"} == hub_only
    assert "harness tasks fetch ekar_en_test ekar_en_validation" in findings["ekar_en_letter"].message


def test_a_group_stands_for_the_files_of_its_tasks_and_a_file_for_itself(real_data: Path) -> None:
    catalogue = Catalogue()
    assert data_files_of(["cosqa_letter", "humaneval"], catalogue) == ["cosqa_dev", "cosqa_train", "humaneval"]
    assert set(data_files_of(["reasoning_legal"], catalogue)) == {"jec_qa_kd", "jec_qa_ca"}
    with pytest.raises(TaskError, match="Did you mean"):
        data_files_of(["cosqa_lettre"], catalogue)


def test_the_tasks_of_a_group_whose_data_is_absent_are_told(real_data: Path) -> None:
    assert tasks_without_data("reasoning_analogy", Catalogue()) == {
        f"ekar_{language}_letter": [f"ekar_{language}_test", f"ekar_{language}_validation"] for language in ("en", "zh")
    }
    assert tasks_without_data("reasoning_legal", Catalogue()) == {}


def test_a_data_file_that_is_another_is_an_error_and_its_task_is_not_left_out(
    suite_folder: Path, data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from harness.data.manifest import MismatchError
    from harness.suite.catalogue import Catalogue
    from harness.suite.selection import with_data

    folder = tmp_path / "data" / "agieval"
    folder.mkdir(parents=True)
    for name in ("jec-qa-kd.jsonl", "jec-qa-ca.jsonl"):
        (folder / name).write_bytes((data_dir / "agieval" / name).read_bytes())
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path / "data"))
    assert with_data(["reasoning_legal"], Catalogue())[0] == ["reasoning_legal"]
    changed = (folder / "jec-qa-kd.jsonl").read_text().replace("A", "B", 1)
    (folder / "jec-qa-kd.jsonl").write_text(changed)
    with pytest.raises(MismatchError, match="jec-qa-kd"):
        Catalogue().load(with_data(["reasoning_legal"], Catalogue())[0])
