"""What the loaders do with the oddities of the files: marks, keys, shared passages, images, several right answers."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from harness.errors import TaskError
from harness.paths import tasks_dir
from harness.suite.catalogue import Catalogue
from harness.suite.items import choice_item, reserve
from tests.synthetic import FILES, Project, code, general, legal

from .suites import Suite, on_both


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
def test_options_are_sorted_by_their_printed_letters(options: list[str], in_order: list[str]) -> None:
    assert function("logic/options_in_order")(options) == in_order


def test_a_keyed_option_that_is_printed_third_as_b_is_the_right_one(public: Suite) -> None:
    """An item on five valves: its clues can be solved, and its key is right only as the name of a printed letter."""
    task = public.load("logiqa_en_letter")
    doc = next(d for d in task.eval_docs if d["id"] == "logiqa_en/108")
    assert "2" in doc["choices"][doc["gold"]]
    assert "3" in doc["choices"][doc["gold"]]


@pytest.mark.parametrize(("language", "first"), [("en", r"(\w+) came before"), ("zh", r"。(\w\w)比")])
def test_the_key_is_right_however_the_options_are_marked(language: str, first: str, synthetic: Suite) -> None:
    """The clues of the synthetic items are solved anew. Options are marked in three ways, or printed A, C, B, D."""
    marks = {tuple(option[:2] for option in row["options"]) for row in FILES[f"logiqa_{language}"]()}
    assert len(marks) == 4
    docs = list(synthetic.load(f"logiqa_{language}_letter").eval_docs)
    asked = [doc for doc in docs if "first" in doc["question"] or "第一" in doc["question"]]
    assert len(asked) == 61
    for doc in asked:
        found = re.search(first, doc["context"])
        assert found is not None
        assert doc["choices"][doc["gold"]].startswith(found[1]), doc["id"]
        assert all(choice[0] not in "(AB" or choice[:3] in ("Ada", "Bel") for choice in doc["choices"])


def test_a_key_out_of_range_or_an_ambiguous_item_raises_an_error() -> None:
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


@on_both(["jec_qa_ca_subset", "jec_qa_kd_subset"])
def test_jec_qa_items_keep_every_right_option(suite: Suite, name: str) -> None:
    task = suite.load(name)
    sizes = [len(doc["answer"]) for doc in task.eval_docs]
    assert {1, 2, 3, 4} == set(sizes)
    assert all(doc["answer"] in doc["subsets"] and len(doc["subsets"]) == 15 for doc in task.eval_docs)


def test_jec_qa_keys_are_read_whole_and_doubtful_items_are_left_out(synthetic: Suite) -> None:
    """What the synthetic items claim can be checked by counting goats."""
    for name in ("jec_qa_ca_subset", "jec_qa_kd_subset"):
        docs = {doc["id"]: doc for doc in synthetic.load(name).eval_docs}
        for doc in docs.values():
            goats, *claims = (int(re.findall(r"(\d+)只", text)[0]) for text in (doc["question"], *doc["choices"]))
            true = "".join(letter for letter, claim in zip("ABCD", claims, strict=True) if goats > claim)
            assert doc["answer"] == true, doc["id"]
            assert doc["gold"] == "ABCD".index(true[0])
    assert f"jec_qa_kd/{legal.NO_KEY}" not in docs
    assert f"jec_qa_kd/{legal.KEYED_TWICE}" not in docs
    assert "jec_qa_kd/22" in docs


@on_both(["scienceqa_letter"])
def test_no_scienceqa_item_has_an_image(suite: Suite, name: str) -> None:
    problems = json.loads((suite.data / "scienceqa/problems_first_part_recovered.json").read_text(encoding="utf-8"))
    test = [p for p in problems.values() if p["split"] == "test"]
    assert sum(bool(p["image"]) for p in test) == {"synthetic": 36, "public": 167}[suite.kind]
    task = suite.load(name)
    assert [d["question"] for d in task.eval_docs] == [p["question"].strip() for p in test if not p["image"]]
    shown = {doc["question"] for doc in task.fewshot_docs()}
    train = [p for p in problems.values() if p["split"] == "train" and not p["image"]]
    assert shown == {p["question"].strip() for p in train[:5]}


def test_the_studys_scienceqa_items_have_lecture_and_solution(synthetic: Suite) -> None:
    docs = synthetic.load("scienceqa_paper").eval_docs
    assert all(doc["lecture"] and doc["rationale"] for doc in docs)
    assert len(docs) < len(synthetic.load("scienceqa_letter").eval_docs)


def test_the_first_part_of_scienceqa_is_read_from_the_whole_where_it_is_not_here(synthetic_project: Project) -> None:
    (synthetic_project.data / "scienceqa" / "problems_first_part_recovered.json").unlink()
    task = Catalogue().load(["scienceqa_letter"]).tasks["scienceqa_letter"]
    assert len(task.eval_docs) == 108


def test_a_question_with_its_answer_twice_among_the_choices_is_no_example(synthetic: Suite) -> None:
    for name, kind in (("c3_dialogue_letter", "d"), ("c3_mixed_letter", "m")):
        shown = [doc["cluster"] for doc in synthetic.load(name).fewshot_docs()]
        assert shown == [f"{kind}-{100 + n}" for n in range(6) if n != general.AMBIGUOUS]


def test_cosqa_examples_are_right_and_wrong_in_turn_and_no_dev_function(synthetic: Suite) -> None:
    task = synthetic.load("cosqa_letter")
    shown = list(task.fewshot_docs())
    assert [doc["gold"] for doc in shown] == [0, 1] * 5
    assert not {doc["cluster"] for doc in shown} & {doc["cluster"] for doc in task.eval_docs}
    assert any("sum_with" in row["code"] for row in FILES["cosqa_train"]()), "train holds functions of dev"


def test_what_a_call_returns_is_asked_only_where_it_can_be_known(synthetic: Suite) -> None:
    """Left out: a call on what was set up before, an answer too long, and for the choices two calls with one value."""
    written = {doc["id"] for doc in synthetic.load("code_output_gen").eval_docs}
    chosen = {doc["id"] for doc in synthetic.load("code_output_letter").eval_docs}
    everything = {f"mbpp/{number}" for number in code.TEST_IDS}
    assert everything - written == {f"mbpp/{code.SET_UP}", f"mbpp/{code.LONG}"}
    assert written - chosen == {f"mbpp/{number}" for number in code.TEST_IDS if number % 4 == 0}
    assert all("\r" not in doc["code"] for doc in synthetic.load("code_output_gen").eval_docs)
    shown = [doc["id"] for doc in synthetic.load("code_output_gen").fewshot_docs()]
    assert f"mbpp/{code.UNREADABLE}" not in shown
    assert len(shown) == 9


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
    synthetic_project: Project,
) -> None:
    changed = synthetic_project.data / path
    changed.write_text(changed.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    with pytest.raises(TaskError, match=f"{changed.name}, {expected}"):
        Catalogue().load([task])
