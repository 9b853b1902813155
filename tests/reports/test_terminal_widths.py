"""What the most used commands show on terminals of 80, 100 and 160 columns, compared with files.

`WRITE_GOLDEN=1 python -m pytest tests/reports/test_terminal_widths.py` writes the files anew; look at each of them.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import yaml

from tests.reports.conftest import Command
from tests.reports.study_records import RunTask, write_study_run
from tests.reports.terminals import ESCAPE, printed, shown, shown_by_a_process
from tests.tasks_for_tests import CHOICE

GOLDEN = Path(__file__).parent / "terminal_golden"
WIDTHS = (80, 100, 160)
DOMAINS = {
    "ceval_logic_cloze": "logic", "lsat_lr_letter": "legal", "arc_challenge_cloze": "science", "ekar_en_cot": "analogy",
    "codeqa_python_cloze": "code_qa", "humaneval_python": "code_gen",
}  # fmt: skip
MODELS = {"Qwen3-0.6B-Base-text-then-chat": 0.30, "Qwen3-0.6B-Base-code-then-chat": 0.52, "SmolLM2-135M-chat": 0.36}


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three models with names as they are in use, on a task of each domain."""
    return write_records(tmp_path_factory.mktemp("records"), MODELS, DOMAINS)


def write_records(folder: Path, models: Mapping[str, float], domains: Mapping[str, str]) -> Path:
    """Write a run of each model with its rate of right answers, and return `folder`."""
    difficulty = np.random.default_rng(1).random((len(domains), 120))
    for number, (model, rate) in enumerate(models.items()):
        draws = np.random.default_rng([2, number]).random(difficulty.shape)
        right = (draws < rate + 0.5 * (difficulty - 0.5)).astype(np.float64)
        tasks = {task: RunTask(values=right[at], domain=domain) for at, (task, domain) in enumerate(domains.items())}
        write_study_run(folder, model, tasks)
    return folder


LONG_TASKS = {"arc_challenge_cloze_long": "science", "codeqa_python_cloze_long": "code_qa"}
LONG_MODELS = {
    f"org/Qwen3-0.6B-Base-{first}-then-{last}-step-0012000-sft": rate
    for (first, last), rate in {("text", "chat"): 0.30, ("code", "chat"): 0.52, ("code", "math"): 0.36}.items()
}


@pytest.fixture(scope="module")
def long_records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three models with names of 51 characters, on tasks with names of 24."""
    return write_records(tmp_path_factory.mktemp("long"), LONG_MODELS, LONG_TASKS)


@pytest.fixture
def study_folder(tmp_path: Path) -> Path:
    """A study that was killed: a node is done, one has failed and one was running."""
    folder = tmp_path / "study"
    nodes = [
        ("base-text-0", "train", []), ("base-code-0", "train", []), ("tuned-text-chat-0", "train", ["base-text-0"]),
        ("tuned-code-chat-0", "train", ["base-code-0"]), ("eval-tuned-text-chat-0", "evaluate", ["tuned-text-chat-0"]),
    ]  # fmt: skip
    fields = [{"key": label, "label": label, "kind": kind, "parents": parents} for label, kind, parents in nodes]
    states = {
        "base-text-0": ("done", {"seconds": 5400.0}), "base-code-0": ("failed", {"log": "nodes/base-code-0/log"}),
        "tuned-text-chat-0": ("running", {"since": "2026-01-01T12:00:00+00:00"}),
    }  # fmt: skip
    for label, (state, about) in states.items():
        (folder / "nodes" / label).mkdir(parents=True)
        (folder / "nodes" / label / f"{state}.json").write_text(json.dumps(about))
    (folder / "nodes" / "base-code-0" / "log").write_text("loading data\nCUDA out of memory\n")
    (folder / "study.json").write_text(json.dumps({"name": "small", "nodes": fields}))
    (folder / "lock").write_text('{"host": "node7", "pid": 41, "since": "2026-01-01T10:00:00+00:00"}')
    return folder


def riddles(folder: Path) -> Path:
    """Tasks of a domain that no other task has."""
    folder.mkdir()
    for name, description in {
        "riddles_of_the_exeter_book_cloze": "Riddles in Old English with a modern translation; the answer is one word.",
        "short_riddles": "Riddles of one sentence.",
    }.items():
        fields = yaml.safe_load(CHOICE.format(name=name, data="riddles.jsonl", domain="riddles"))
        fields["metadata"]["description"] = description
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(fields))
    return folder


@pytest.fixture
def commands(
    records: Path, report_tasks: Path, small: Path, tmp_path: Path, own_cache: Path
) -> dict[str, list[object]]:
    plan = tmp_path / "plan.yaml"
    tasks = {task: {"items": 300, "domain": domain} for task, domain in DOMAINS.items()}
    factors = {"pretrain": ["text", "code"], "tune": ["plain", "code"]}
    plan.write_text(yaml.safe_dump({"factors": factors, "seeds": 3, "effect": 4, "tasks": tasks}))
    text, code, _ = (records / model for model in MODELS)
    return {
        "eval": [
            "eval", "--backend", "scripted", "--model", "uniform", "--tasks", "t_all,mini_logic,mini_legal",
            "--no_cache", "--include_path", report_tasks, "--limit", 40, "--output_path", tmp_path / "runs",
        ],
        "compare": ["compare", text, code],
        "design": ["compare", "--design", small],
        "leaderboard": ["leaderboard", records],
        "tasks": ["tasks", "list", "--domain", "riddles", "--include_path", riddles(tmp_path / "riddles")],
        "power": ["power", plan],
    }  # fmt: skip


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ["eval", "compare", "design", "leaderboard", "tasks", "power"])
def test_a_command_shows_on_a_terminal_what_its_golden_file_has(
    name: str, width: int, commands: dict[str, list[object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    check(name, width, shown(commands[name], monkeypatch, width))


@pytest.mark.parametrize("width", WIDTHS)
def test_three_models_with_long_names_stand_above_their_rows(
    width: int, long_records: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["compare", *LONG_MODELS, "--runs", long_records]
    text = shown(words, monkeypatch, width)
    check("compare-three", width, text)
    rows = json.loads(command(*words, "--format", "json")[1])["tables"]["differences"]
    lines = text.splitlines()
    for row in rows:
        low, high = row["interval"]
        numbers = (row["task"], f"{row['mean_arm']:.3f}", f"{row['difference']:+.3f}", f"{low:.3f} to {high:.3f}")
        own = r"\s(.*\s)?".join(map(re.escape, numbers))
        assert sum(bool(re.search(own, line)) for line in lines) == 1, "on one line"


@pytest.mark.parametrize("width", WIDTHS)
def test_a_killed_study_shows_that_no_run_is_active(
    width: int, study_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check("status", width, shown(["status", study_folder], monkeypatch, width))


def test_a_process_asks_its_terminal_for_the_width(commands: dict[str, list[object]]) -> None:
    assert shown_by_a_process(commands["tasks"], 80) == (GOLDEN / "tasks-80.txt").read_text(encoding="utf-8")


def check(name: str, width: int, text: str) -> None:
    text = re.sub(r"^records: .*$", "records: DIR  (TIME)", text, flags=re.MULTILINE)
    assert "\u2026" not in text, "nothing is cut"
    assert max(map(len, text.splitlines())) <= width
    file = GOLDEN / f"{name}-{width}.txt"
    if os.environ.get("WRITE_GOLDEN") == "1":
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8")


def test_names_values_intervals_and_verdicts_are_whole_at_80_columns(
    command: Command, commands: dict[str, list[object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = json.loads(command(*commands["compare"], "--format", "json")[1])["tables"]
    lines = shown(commands["compare"], monkeypatch, 80).splitlines()
    for row in tables["differences"]:
        low, high = row["interval"]
        p = "<0.001" if row["p_corrected"] < 0.001 else f"{row['p_corrected']:.3f}"
        (line,) = (one for one in lines if one.startswith(f"{row['task']}  "))
        for text in (f"{row['difference']:+.3f}", f"{low:.3f} to {high:.3f}", p):
            assert re.search(rf"(?<=  ){re.escape(text)}(  |$)", line), line
    board = json.loads(command(*commands["leaderboard"], "--format", "json")[1])["tables"]["leaderboard"]
    text = shown(commands["leaderboard"], monkeypatch, 80)
    for row in board:
        assert len(re.findall(rf"{row['model']} ", text)) >= 2, "with the ranks, and with the domains below"
        low, high = row["interval"]
        assert re.search(rf"{row['overall']:.3f} +{re.escape(f'{low:.3f} to {high:.3f}')}  ", text)
        for domain in DOMAINS.values():
            assert f"{row[domain]:.3f}" in text


def test_wide_prints_every_column_and_a_pipe_those_that_matter(
    command: Command, commands: dict[str, list[object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    narrow = shown(commands["compare"], monkeypatch, 80)
    wide = shown([*commands["compare"], "--wide"], monkeypatch, 80)
    piped = command(*commands["compare"])[1]
    heading = next(line for line in piped.splitlines() if line.startswith("task"))
    assert heading.split()[-3:] == ["detectable", "gained", "lost"]
    assert f"domain    {heading.split()[0]}" in wide
    assert "Not shown" not in wide
    assert "Not shown, for lack of width: domain, metric; --wide shows them." in piped.splitlines()
    assert "Not shown, for lack of width: domain, metric, Qwen3-0.6B-Base-text" in narrow


def test_colours_only_where_they_are_wanted(
    command: Command, commands: dict[str, list[object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["compare", *commands["compare"][1:]]
    assert ESCAPE.search(printed(words, monkeypatch))
    assert "\x1b" not in printed(words, monkeypatch, TERM="dumb")
    wide = (GOLDEN / "leaderboard-160.txt").read_text(encoding="utf-8")
    assert printed(commands["leaderboard"], monkeypatch, TERM="dumb", COLUMNS="160") == wide, "its width is the user's"
    assert "\x1b" not in command(*words)[1]
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]m", printed(words, monkeypatch, NO_COLOR="1"))


def test_the_answer_comes_first_then_the_table_then_the_notes(
    commands: dict[str, list[object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = shown(commands["leaderboard"], monkeypatch, 160)
    places = [text.index(part) for part in ("Qwen3-0.6B-Base-code-then-chat leads", "rank  ranks", "Overall: ")]
    assert places == sorted(places)
    text = shown(commands["eval"], monkeypatch, 160)
    places = [text.index(part) for part in ("leaderboard  uniform", "95% interval", "95% intervals: ", "records: ")]
    assert places == sorted(places)
