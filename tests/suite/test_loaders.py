"""What the loaders do with the oddities of the files: marks, keys, shared passages, images, several right answers."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lm_eval.tasks import TaskManager
from lm_eval.tasks._yaml_loader import load_yaml

from harness.errors import TaskError
from harness.paths import tasks_dir
from harness.suite.items import choice_item, reserve


def function(path: str) -> Callable[..., Any]:
    """A function beside a task's YAML."""
    from lm_eval.tasks._yaml_loader import _import_func_in_yml

    folder, name = path.split("/")
    found: Callable[..., Any] = _import_func_in_yml(f"utils.{name}", tasks_dir() / folder)
    return found


@pytest.mark.parametrize(
    ("options", "in_order"),
    [
        (["(A)one", "(B)two", "(C)three", "(D)four"], ["one", "two", "three", "four"]),
        (["(A)one", "(C)three", "(B)two", "(D)four"], ["one", "two", "three", "four"]),
        (["A．one", "C．three", "(B) two", "D、four"], ["one", "two", "three", "four"]),
        (["A one", "B two", "C three", "D four"], ["one", "two", "three", "four"]),
        (["A cat", "A dog", "(C)three", "(D)four"], ["A cat", "A dog", "three", "four"]),
    ],
)
def test_options_stand_in_the_order_of_their_printed_letters(options: list[str], in_order: list[str]) -> None:
    assert function("logic/options_in_order")(options) == in_order


def test_a_keyed_option_that_is_printed_third_as_b_is_the_right_one(manager: TaskManager) -> None:
    """An item on five valves: its clues can be solved, and its key is right only as the name of a printed letter."""
    task = manager.load(["logiqa_en_letter"])["tasks"]["logiqa_en_letter"]
    doc = next(d for d in task.eval_docs if d["id"] == "logiqa_en/108")
    assert "2" in doc["choices"][doc["gold"]]
    assert "3" in doc["choices"][doc["gold"]]


def test_an_item_with_a_key_out_of_range_or_an_ambiguous_one_is_refused() -> None:
    with pytest.raises(TaskError, match="key 2 is out of range"):
        choice_item(identity="x", question="?", choices=["a", "b"], gold=2)
    with pytest.raises(TaskError, match="the same text as the right one"):
        choice_item(identity="x", question="?", choices=["a", "b", "a "], gold=0)
    with pytest.raises(TaskError, match="empty"):
        choice_item(identity="x", question="?", choices=["a", " "], gold=0)


def test_no_passage_of_a_fewshot_example_is_evaluated() -> None:
    items = [
        choice_item(identity=str(n), question="?", choices=["a", "b"], gold=0, cluster=cluster)
        for n, cluster in enumerate("ppqrpqs")
    ]
    test, fewshot = reserve(items, 2)
    assert [item["id"] for item in fewshot] == ["0", "2"]
    assert [item["id"] for item in test] == ["3", "6"]


def test_jec_qa_items_keep_every_right_option(manager: TaskManager) -> None:
    task = manager.load(["jec_qa_ca_subset"])["tasks"]["jec_qa_ca_subset"]
    sizes = [len(doc["answer"]) for doc in task.eval_docs]
    assert {1, 2, 3, 4} == set(sizes)
    assert all(doc["answer"] in doc["subsets"] and len(doc["subsets"]) == 15 for doc in task.eval_docs)


def test_no_scienceqa_item_has_an_image(data_dir: Path, manager: TaskManager) -> None:
    import json

    problems = list(json.loads((data_dir / "scienceqa/problems_first_part_recovered.json").read_text()).values())
    test = [p for p in problems if p["split"] == "test"]
    assert sum(bool(p["image"]) for p in test) == 167
    task = manager.load(["scienceqa_letter"])["tasks"]["scienceqa_letter"]
    assert [d["question"] for d in task.eval_docs] == [p["question"].strip() for p in test if not p["image"]]


@pytest.mark.parametrize(
    ("test", "read"),
    [
        ("assert f(1, 'a') == [1, 2]", ("f(1, 'a')", "[1, 2]")),
        ('assert f("x")=="y"', ("f('x')", "'y'")),
        ("assert f(1) == g(2)", None),
        ("assert set(f(1)) == {1}", ("set(f(1))", "{1}")),
        ("assert f(1)", None),
        ("assert (", None),
    ],
)
def test_an_asserted_call_is_read_with_its_value(test: str, read: tuple[str, str] | None) -> None:
    assert function("code_qa/asserted_call")(test) == read


PATTERN_CASES = {
    "en": [
        ("The answer is (B).", "B"),
        ("First (A) looks right. But no: the answer is (C)", "C"),
        ("Answer: D", "D"),
        ("The answer is **(A)**", "A"),
        ("the answer is B because of that", "B"),
        ("The answer is A bird in the hand", "[unparsed]"),
        ("The answer is a bird", "[unparsed]"),
        ("The answer is C as the second clue says", "C"),
        ("I do not know", "[unparsed]"),
        ("The answer is (A). No, the answer is (B).", "B"),
    ],
    "zh": [
        ("所以答案是（B）。", "B"),
        ("答案：C", "C"),
        ("答案为 D", "D"),
        ("选不出来", "[unparsed]"),
        ("答案是（A）", "A"),
        ("答案选C", "C"),
        ("答案应为C。", "C"),
        ("综上，故选：D", "D"),
        ("所以选 B。", "B"),
        ("答案A不正确", "[unparsed]"),
        ("答案是B。A项不对。", "B"),
    ],
}


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("3 + 4 = 7\n#### 7", "7"),
        ("Answer: 42", "42"),
        ("So the answer is $1,250.50.", "1,250.50"),
        ("The answer is 3. No: answer: -4", "-4"),
        ("7 apples", "[unparsed]"),
    ],
)
def test_the_last_stated_number_is_read(text: str, number: str) -> None:
    from lm_eval.filters.extraction import RegexFilter

    stated = load_yaml(tasks_dir() / "general" / "gsm8k_cot_gen.yaml")["filter_list"][0]["filter"][0]
    stated = {key: value for key, value in stated.items() if key != "function"}
    assert RegexFilter(**stated).apply([[text]], [{}]) == [[number]]


@pytest.mark.parametrize(
    ("language", "text", "letter"), [(lang, *case) for lang, cases in PATTERN_CASES.items() for case in cases]
)
def test_the_last_stated_answer_is_read_and_nothing_else(language: str, text: str, letter: str) -> None:
    from lm_eval.filters.extraction import RegexFilter

    stated = load_yaml(tasks_dir() / "_variants" / f"cot_gen_{language}.yaml")["filter_list"][0]["filter"][0]
    stated = {key: value for key, value in stated.items() if key != "function"}
    assert RegexFilter(**stated).apply([[text]], [{}]) == [[letter]]


@pytest.mark.parametrize(
    ("task", "path", "old", "new", "expected"),
    [
        (
            "c3_mixed_letter",
            "c3/c3-m-dev.json",
            '"answer"',
            '"reply"',
            r"record 1: cannot be converted to an item \(KeyError: 'answer'",
        ),
        (
            "word_analogy_sat_cloze",
            "word_analogy/analogy.prediction.json",
            '"stem"',
            '"root"',
            "sat/test/0: field 'stem' is missing",
        ),
    ],
)
def test_the_error_of_a_wrong_record_outside_a_table_names_place_and_field(
    task: str,
    path: str,
    old: str,
    new: str,
    expected: str,
    suite_folder: Path,
    data_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import yaml

    from harness.suite.catalogue import Catalogue

    tasks = shutil.copytree(suite_folder, tmp_path / "tasks")
    manifest = yaml.safe_load((tasks / "data.yaml").read_text())
    for entry in manifest["files"].values():
        if entry["path"] == path:
            entry.pop("sha256")
    (tasks / "data.yaml").write_text(yaml.safe_dump(manifest, allow_unicode=True))
    for source in (data_dir / path).parent.iterdir():
        target = tmp_path / "data" / source.relative_to(data_dir)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(source.read_text(encoding="utf-8"), encoding="utf-8")
    changed = tmp_path / "data" / path
    changed.write_text(changed.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path / "data"))
    with pytest.raises(TaskError, match=f"{changed.name}, {expected}"):
        Catalogue([tasks]).load([task])
