"""Looking at a stranger's tasks runs none of their Python, wherever the files hide it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import HarnessCommand
from tests.tasks_for_tests import GENERATE, write_tasks

# How a folder hides its code, and the name that is looked at. `hook` leaves a mark when its module is imported.
HIDDEN: dict[str, tuple[dict[str, str], str]] = {
    "in the open": ({"a.yaml": "{task}process_docs: !function evil.f\n"}, "a"),
    "in an include that is overridden": (
        {"_base.yaml": "process_docs: !function evil.f\n", "a.yaml": "include: _base.yaml\n{task}process_docs: null\n"},
        "a",
    ),
    "under a key that comes twice": (
        {"a.yaml": "{task}process_docs: !function evil.f\nprocess_docs: null\n"},
        "a",
    ),
    "as a key": ({"a.yaml": "{task}dataset_name: {{? !function evil.f : x}}\n"}, "a"),
    "in a set": ({"a.yaml": "{task}tag: !!set {{? !function evil.f}}\n"}, "a"),
    "in a member of a group": (
        {
            "a.yaml": "{task}",
            "g.yaml": "group: g\ntask: [{{task: a, process_docs: !function evil.f}}]\n",
        },
        "g",
    ),
    "in a group, by a pattern": (
        {"a.yaml": "{task}process_docs: !function evil.f\n", "g.yaml": "group: gg\ntask: [a]\n"},
        "g*",
    ),
    "in the manifest of data files": ({"data.yaml": "{task}process_docs: !function evil.f\n"}, "a"),
    "as a metric": ({"a.yaml": "{task}metric_list: [{{metric: FOLDER/evil.py}}]\n"}, "a"),
    "under the name of a function of this project": (
        {
            "a.yaml": "{task}process_docs: !function harness.code_tasks.run_tests\n",
            "harness/code_tasks.py": "exec(open('FOLDER/evil.py').read())\nrun_tests = f\n",
        },
        "a",
    ),
    "as a module of this project": (
        {
            "a.yaml": "{task}process_docs: !function harness.suite.evil.f\n",
            "harness/suite/evil.py": "exec(open('FOLDER/evil.py').read())\n",
        },
        "a",
    ),
    "as a class": ({"a.yaml": "task: a\nclass: !function evil.f\n"}, "a"),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "strange"
    folder.mkdir()
    mark = tmp_path / "ran"
    code = f"open({str(mark)!r}, 'w').close()\ndef f(*a, **k): return a[0] if a else None\n"
    (folder / "evil.py").write_text(code, encoding="utf-8")
    return folder


@pytest.mark.parametrize("how", HIDDEN)
def test_looking_runs_nothing(how: str, folder: Path, tmp_path: Path, harness_here: HarnessCommand) -> None:
    files, name = HIDDEN[how]
    data = write_tasks(tmp_path / "tasks", items=2) / "items.jsonl"
    for file, text in files.items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        task = GENERATE.format(name="a", data=data, domain="logic")
        (folder / file).write_text(text.format(task=task).replace("FOLDER", str(folder)), encoding="utf-8")
    last = folder / sorted(file for file in files if file.endswith(".yaml"))[-1]
    for words in (["tasks", "list"], ["tasks", "show", name], ["tasks", "show", last], ["tasks", "validate", "a"]):
        done = harness_here(*words, "--include_path", folder)
        assert not (tmp_path / "ran").exists(), words
        assert "Traceback" not in done.stderr


def test_consent_runs_it(folder: Path, tmp_path: Path, harness_here: HarnessCommand) -> None:
    data = write_tasks(tmp_path / "tasks", items=2) / "items.jsonl"
    text = f"{GENERATE.format(name='a', data=data, domain='logic')}process_docs: !function evil.f\n"
    (folder / "a.yaml").write_text(text, encoding="utf-8")
    seen = harness_here("tasks", "show", "a", "--include_path", folder)
    assert "not run: !function evil.f; add --run_code" in seen.stdout
    run = harness_here("tasks", "show", "a", "--include_path", folder, "--run_code")
    assert "prompt:" in run.stdout
    assert (tmp_path / "ran").exists()


def test_this_projects_and_lm_evals_own_code_needs_no_consent(harness_here: HarnessCommand) -> None:
    done = harness_here("tasks", "show", "mini_logic")
    assert done.returncode == 0
    assert "prompt:" in done.stdout
