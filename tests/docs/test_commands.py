"""The commands of the README and of the tutorial run in the order written, in a fresh clone.

The full version runs the tutorial as it stands and holds it to what the page says; its reduced version asks for few
items and trains on few tokens.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from docs.commands import Block, CommandsFailedError, fresh_clone, read_blocks, run_blocks
from docs.make_pictures import draw, run_tutorial
from tests.conftest import ROOT
from tests.docs.forked_harness import forked_harness
from tests.models import save_tiny_llama

README = (ROOT / "README.md").read_text(encoding="utf-8")
TUTORIAL = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
INSTALLS = "it installs the environment in which they run"
MODEL = "$(python experiments/reference_model.py)"
REDUCED = {
    "--limit 60": "--limit 2",
    "budget_tokens: 8_000": "budget_tokens: 1500",
    "--tasks reasoning_mini": "--tasks mini_logic,mini_code_qa",
}
NAME = "SmolLM2-135M-Instruct.Q4_1"  # as tables show it


@pytest.fixture(scope="module")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with forked_harness(tmp_path_factory.mktemp("forks")) as environment:
        yield environment


@pytest.fixture
def tiny_model(tmp_path: Path) -> str:
    """A tiny model with random weights and the name of the real one."""
    return str(save_tiny_llama(tmp_path / NAME))


@pytest.fixture
def clone(tmp_path: Path, own_cache: Path) -> Path:
    return fresh_clone(ROOT, tmp_path / "clone", Path(sys.prefix))


def _run(page: str, clone: Path, changes: Mapping[str, str], environment: Mapping[str, str]) -> list[str]:
    """Run the blocks of a page with each key of `changes` replaced; each must occur."""
    for old in changes:
        assert old in page, f"the page has no {old!r}"
    blocks = [block for block in read_blocks(page) if not block.skipped]
    for old, new in changes.items():
        blocks = [replace(block, commands=block.commands.replace(old, new)) for block in blocks]
    return run_blocks(blocks, clone, environment)


def test_only_the_installation_is_skipped() -> None:
    skipped = [block.skipped for page in (README, TUTORIAL) for block in read_blocks(page) if block.skipped]
    assert skipped == [INSTALLS, INSTALLS]
    assert len(read_blocks(README)) + len(read_blocks(TUTORIAL)) > 8


def test_no_command_of_the_pages_stands_outside_a_block() -> None:
    for page in (README, TUTORIAL):
        assert "```sh\n" not in page
        assert "```console" not in page


def test_the_commands_of_the_readme_run_with_a_tiny_model(
    clone: Path, forks: Mapping[str, str], tiny_model: str
) -> None:
    printed = _run(README, clone, {MODEL: tiny_model, "--limit 40": "--limit 2"}, forks)
    assert "mini_legal" in printed[-1]
    assert (clone / "runs" / "board.html").is_file()


def test_the_commands_of_the_tutorial_run_with_a_tiny_model(
    clone: Path, forks: Mapping[str, str], tiny_model: str
) -> None:
    data = clone / "experiments" / "quickstart_data.py"
    data.write_text(data.read_text(encoding="utf-8").replace("TRAIN_ITEMS = 1000", "TRAIN_ITEMS = 50"))
    _run(TUTORIAL, clone, {MODEL: tiny_model, **REDUCED}, forks)
    report = (clone / "runs" / "tutorial" / "report.html").read_text(encoding="utf-8")
    assert "mini_code_qa" in report


@pytest.mark.slow
def test_the_commands_of_the_readme_run(clone: Path) -> None:
    assert "mini_legal" in _run(README, clone, {}, {})[-1]


@pytest.mark.slow
def test_the_tutorial_finds_what_its_page_says_and_its_pictures_are_drawn(tmp_path: Path, own_cache: Path) -> None:
    clone, printed = run_tutorial(tmp_path / "clone")
    draw(clone, printed, tmp_path / "pictures")
    drawn = {path.name for path in (tmp_path / "pictures").iterdir()}
    assert drawn == {path.name for path in (ROOT / "docs" / "pictures").iterdir()}
    _check_verdicts(clone)


def _check_verdicts(clone: Path) -> None:
    """Hold a finished tutorial to the verdicts of its page."""
    compare = "harness compare {} --runs runs/tutorial/eval {} --format json\n"
    blocks = [
        Block(commands=". .venv/bin/activate\n"),
        Block(commands=compare.format(f"{NAME} text code", "")),
        Block(commands=compare.format(f"{NAME} text code", "--metric bits_per_byte")),
        Block(commands=compare.format("text code", "--metric bits_per_byte")),
    ]
    _, accuracy, helped, between = (json.loads(text or "{}") for text in run_blocks(blocks, clone))
    assert all(row["p_corrected"] > 0.05 for row in accuracy["tables"]["differences"])
    overall = [row for row in helped["tables"]["overall"] if row["domain"] == "overall"]
    assert [(row["difference"] < 0, row["p_corrected"] < 0.05) for row in overall] == [(True, True)] * 2
    rows = {row["task"]: row for row in between["tables"]["differences"]}
    better = {
        "mini_analogy": True,
        "mini_code_qa": True,
        "mini_legal": False,
        "mini_logic": False,
        "mini_science": False,
    }
    assert {task: row["difference"] < 0 for task, row in rows.items()} == better
    assert all(rows[task]["p_corrected"] < 0.05 for task in better if task != "mini_logic")  # there it is 0.048


def test_a_command_that_fails_is_named_with_what_it_printed(tmp_path: Path) -> None:
    blocks = [
        Block(commands="echo first\n"),
        Block(commands="echo second; ls missing\n"),
        Block(commands="echo third\n"),
    ]
    with pytest.raises(
        CommandsFailedError, match=r"(?s)exit code 2 from:\necho second; ls missing\n.*second\n.*missing"
    ):
        run_blocks(blocks, tmp_path)
    assert run_blocks(blocks[:1], tmp_path) == ["first\n"]
