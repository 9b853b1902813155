"""The faster functions give what lm-eval's own calls give, and lm-eval calls them."""

from __future__ import annotations

import ast
import json
from typing import Any

import hypothesis
import numpy as np
import pytest
from datasets import Dataset
from hypothesis import strategies as st

from harness.suite import lm_eval_shortcuts

TEXT = st.text(st.characters())  # with halves of surrogate pairs
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | TEXT
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner) | st.dictionaries(TEXT, inner) | st.dictionaries(st.integers(), inner) | st.tuples(inner)
    ),
)


@hypothesis.given(VALUES, st.booleans())
def test_indented_json_is_that_of_the_standard_library(value: Any, ensure_ascii: bool) -> None:
    options: dict[str, Any] = {"indent": 2, "default": str, "ensure_ascii": ensure_ascii}
    assert lm_eval_shortcuts.dumps(value, **options) == json.dumps(value, **options)


@pytest.mark.parametrize("options", [{}, {"indent": 4}, {"indent": 2}, {"indent": 2, "sort_keys": True}])
def test_other_options_are_the_standard_librarys(options: dict[str, Any]) -> None:
    value = {"b": [1, "é"], "a": {}}
    assert lm_eval_shortcuts.dumps(value, **options) == json.dumps(value, **options)


@pytest.mark.parametrize("text", ["0", "12", "9999", "10000", "'a'", "[1, 'b']", "007", "²", "1.5", "", "x", 3, " 2"])
def test_literals_are_those_of_the_standard_library(text: Any) -> None:
    def outcome(read: Any) -> str:
        try:
            return repr(read(text))
        except (ValueError, SyntaxError) as error:
            return type(error).__name__

    assert outcome(lm_eval_shortcuts.literal_eval) == outcome(ast.literal_eval)


SCORES = st.lists(st.floats(), min_size=1, max_size=12).map(tuple)


@hypothesis.given(SCORES | st.lists(st.floats(), min_size=1) | SCORES.map(np.array) | st.tuples(st.integers(), SCORES))
def test_the_largest_value_is_numpys(values: Any) -> None:
    if type(values) is tuple and values and type(values[-1]) is tuple:
        values = values[-1] + (values[0] % 7,)  # a whole number among them
    ours, numpys = lm_eval_shortcuts.argmax(values), np.argmax(values)
    assert ours == numpys
    assert type(ours) is type(numpys)


@hypothesis.given(SCORES)
def test_the_softmax_is_lm_evals_bit_for_bit(values: tuple[float, ...]) -> None:
    from lm_eval import utils

    lm_eval_shortcuts.install()
    with np.errstate(all="ignore"):
        assert lm_eval_shortcuts.softmax(values).tobytes() == utils.softmax.__wrapped__(values).tobytes()


def test_a_list_is_read_anew_each_time() -> None:
    lm_eval_shortcuts.literal_eval("[1]").append(2)
    assert lm_eval_shortcuts.literal_eval("[1]") == [1]


def test_examples_are_those_of_the_dataset() -> None:
    docs = Dataset.from_list([{"q": f"{n}?", "deep": {"n": n, "all": ["x"] * (n % 3)}} for n in range(2001)])
    assert lm_eval_shortcuts.in_blocks(docs) == list(docs)
    assert lm_eval_shortcuts.in_blocks(None) is None
    assert lm_eval_shortcuts.in_blocks(docs[:2]) == docs[:2]


def test_lm_eval_calls_them(monkeypatch: pytest.MonkeyPatch) -> None:
    from lm_eval import evaluator, utils
    from lm_eval.api import task

    monkeypatch.setattr(evaluator, "json", json)
    monkeypatch.setattr(task, "ast", ast)
    monkeypatch.setattr(task, "np", np)
    lm_eval_shortcuts.install()
    lm_eval_shortcuts.install()
    assert task.ConfigurableTask.fewshot_docs.__wrapped__.__qualname__ == "ConfigurableTask.fewshot_docs"
    assert not hasattr(task.ConfigurableTask.fewshot_docs.__wrapped__, "__wrapped__")
    assert evaluator.json.dumps is lm_eval_shortcuts.dumps
    assert evaluator.json.loads is json.loads
    assert task.ast.literal_eval is lm_eval_shortcuts.literal_eval
    assert task.np.argmax is lm_eval_shortcuts.argmax
    assert task.np.nan is np.nan
    assert utils.softmax is lm_eval_shortcuts.softmax


def test_a_version_of_lm_eval_that_works_in_another_way_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from lm_eval import evaluator, utils
    from lm_eval.api import task

    other = object()
    monkeypatch.setattr(evaluator, "json", other)
    monkeypatch.setattr(task, "np", other)
    doubled = lambda scores: 2 * np.asarray(scores)  # noqa: E731 - another function, compared below
    monkeypatch.setattr(utils, "softmax", doubled)
    monkeypatch.delattr(task, "ast")
    monkeypatch.delattr(task.ConfigurableTask, "fewshot_docs")
    lm_eval_shortcuts.install()
    assert evaluator.json is other
    assert task.np is other
    assert utils.softmax is doubled
    assert not hasattr(task, "ast")
