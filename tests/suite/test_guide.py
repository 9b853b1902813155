"""The guide in docs/add_a_task.md, followed to the letter, and the tables of docs/tasks.md against the definitions."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from lm_eval.tasks import TaskManager

from harness.paths import tasks_dir
from harness.records.run_folder import read_record
from harness.suite.validation import validate
from tests.conftest import HarnessCommand

from .scripted_lm import corrupted, oracle
from .suites import ALL_TASKS
from .test_tasks import evaluate

DOCS = Path(__file__).resolve().parents[2] / "docs"
DOC = (DOCS / "tasks.md").read_text(encoding="utf-8")
GUIDE = (DOCS / "add_a_task.md").read_text(encoding="utf-8")


def _files(folder: str) -> list[tuple[str, str]]:
    """Return the files of one folder that the guide shows, each with its content."""
    return re.findall(rf"`({folder}/[\w.]+)`[^\n]*\n\n```\w+\n(.*?)```", GUIDE, re.DOTALL)


FILES = _files("colours")


def _write(files: list[tuple[str, str]], folder: Path) -> None:
    for name, text in files:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")


@pytest.mark.parametrize("name", ["sky", "doubles"])
def test_a_task_of_yaml_and_json_lines_is_valid_and_scored(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, harness_here: HarnessCommand
) -> None:
    _write(_files(name), tmp_path)
    monkeypatch.chdir(tmp_path)
    done = harness_here("tasks", "validate", name, "--include_path", name)
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, f"ok       {name}: 2 items")
    for model, value in (("oracle", 1.0), ("uniform", 0.0)):
        words = ["--tasks", name, "--include_path", name, "--output_path", "runs"]
        assert harness_here("eval", "--backend", "scripted", "--model", model, *words).returncode == 0
        assert read_record(Path("runs", model)).tasks[name].value == value


@pytest.fixture
def colours(tmp_path: Path) -> Path:
    _write(FILES, tmp_path)
    return tmp_path / "colours"


def test_the_guide_takes_one_folder_and_about_thirty_lines() -> None:
    assert [name for name, _ in FILES] == ["colours/items.jsonl", "colours/utils.py", "colours/colours_cloze.yaml"]
    assert sum(len([line for line in text.splitlines() if line.strip()]) for _, text in FILES) <= 30


def test_a_task_made_by_the_guide_is_scored_by_lm_eval(colours: Path) -> None:
    task = TaskManager(include_path=str(colours), include_defaults=False).load(["colours_cloze"])["tasks"][
        "colours_cloze"
    ]
    values, samples = evaluate(task, oracle({"colours_cloze": task}), None)
    assert values["acc"] == 1.0
    assert len(samples) == 2
    values, _ = evaluate(task, corrupted({"colours_cloze": task}), None)
    assert values["acc"] == 0.5
    assert "What colour is snow" in task.fewshot_context(task.eval_docs[0], num_fewshot=1)


def test_a_task_made_by_the_guide_is_valid(colours: Path) -> None:
    (finding,) = validate(["colours_cloze"], include_paths=[colours], run_code=True)
    assert (finding.status, finding.message) == ("ok", "2 items")


def test_what_only_this_project_reads_is_optional_in_the_users_tasks(
    colours: Path, harness_here: HarnessCommand
) -> None:
    yaml = colours / "colours_cloze.yaml"
    yaml.write_text(yaml.read_text().replace("domain: general", "kind: any").replace(", items: 2", ""))
    done = harness_here("tasks", "validate", "colours_cloze", "--include_path", colours, "--run_code")
    assert done.returncode == 0, done.stdout
    assert "ok       colours_cloze: 2 items; metadata lacks domain and items, which reports" in done.stdout


def test_validate_reports_a_wrong_key_and_a_wrong_count(colours: Path) -> None:
    items = colours / "items.jsonl"
    text = items.read_text()
    items.write_text(text.replace('"gold": 1', '"gold": 2'))
    assert "key 2 is out of range" in validate(["colours_cloze"], include_paths=[colours], run_code=True)[0].message
    items.write_text(text + text.splitlines()[-1].replace("coal", "soot") + "\n")
    assert "3 items, metadata says 2" in validate(["colours_cloze"], include_paths=[colours], run_code=True)[0].message
    items.write_text(text + text.splitlines()[0] + "\n")
    yaml = colours / "colours_cloze.yaml"
    yaml.write_text(yaml.read_text().replace("items: 2", "items: 3"))
    assert "also a few-shot example" in validate(["colours_cloze"], include_paths=[colours], run_code=True)[0].message
    whole = yaml.read_text()
    for wrong, expected in (
        (whole.replace("domain: general", "domain: colour"), "domain 'colour' is none of logic"),
        (whole.replace("version: ", "edition: "), "metadata lacks version"),
        (whole.replace("items: 3", "items: few"), "items 'few' must be a number"),
    ):
        yaml.write_text(wrong)
        assert expected in validate(["colours_cloze"], include_paths=[colours], run_code=True)[0].message


@pytest.mark.parametrize(
    ("added", "expected"),
    [
        ('answer=" "', "the answer is empty"),
        ('answer="C", subsets=["A", "B", "AB"]', "answer 'C' is none of A, B, AB"),
    ],
)
def test_validate_reports_answers_that_are_not_among_the_choices(colours: Path, added: str, expected: str) -> None:
    loader = colours / "utils.py"
    loader.write_text(
        loader.read_text().replace("splits(test=items[1:]", f"splits(test=[i | dict({added}) for i in items[1:]]")
    )
    assert expected in validate(["colours_cloze"], include_paths=[colours], run_code=True)[0].message


@pytest.mark.parametrize("name", sorted(name for name, entry in ALL_TASKS.items() if entry.metadata.get("items")))
def test_the_tables_name_every_task_with_its_items(name: str) -> None:
    rows = [line for line in DOC.splitlines() if line.startswith("| `")]
    stems = [name, name.rsplit("_", 1)[0], name.removesuffix("_cot_gen")]
    items = f"{ALL_TASKS[name].metadata['items']:,}"
    named = [row for row in rows if any(f"`{stem}`" in _spelled_out(row) for stem in stems)]
    assert any(re.search(rf"(?<![\d,]){items}(?!\d|,\d)", row) for row in named), f"{name}: no row with {items} items"


REAL = [path for path in tasks_dir().glob("*/_*.yaml") if path.parent.name != "reasoning_mini"]


@pytest.mark.parametrize("base", sorted(path.stem.removeprefix("_") for path in REAL))
def test_the_guide_says_whether_a_tasks_number_is_comparable(base: str) -> None:
    """The tasks of the base `_scienceqa_explained` are called `scienceqa_cot` and `scienceqa_paper`."""
    section = DOC.split("## Which numbers can be compared")[1].split("\n## ")[0]
    rows = [_spelled_out(line) for line in section.split("nearest task of lm-eval")[1].splitlines()]
    tasks = [name for name, entry in ALL_TASKS.items() if f"_{base}.yaml" in entry.path.read_text(encoding="utf-8")]
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row.split(" | ")[0])}
    assert tasks
    assert all(any(name == stem or name.startswith(f"{stem}_") for stem in named) for name in tasks), tasks


def _spelled_out(row: str) -> str:
    """`word_analogy_bats`, `_google` means `word_analogy_google`."""
    first = re.match(r"\| `(\w+)`", row)
    base = first[1].rsplit("_", 1)[0] if first else ""
    return re.sub(r"`(_\w+)`", lambda m: f"`{base}{m[1]}`", row)
