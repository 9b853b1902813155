"""Functions of lm-eval that run for every item, replaced by faster ones with the same results.

- `evaluate` hashes each item as ``json.dumps(doc, indent=2, ...)``. With an indent, Python's JSON encoder is not the
  one in C, which takes five times as long.
- ``doc_to_target`` reads a key such as ``"2"`` with `ast.literal_eval`, which compiles it as Python, about five times
  per item.
- A task lists its few-shot examples when it is built, even if no prompt has any. `fewshot_docs` returns a `Dataset`,
  which is slow to list; its items are read in blocks instead.
- ``process_results`` calls `np.argmax` and `softmax` on the few log-likelihoods of an item. For a tuple of four, our
  `argmax` takes half of numpy's time, and our `softmax` two thirds of lm-eval's.

All are run-time patches. `install` leaves out one that does not fit the installed version of lm-eval.
"""

from __future__ import annotations

import ast
import functools
import json
from collections.abc import Callable
from json.encoder import encode_basestring as quoted
from json.encoder import encode_basestring_ascii as quoted_ascii
from types import ModuleType
from typing import Any

import numpy as np

from harness.suite.item_table import is_dataset, rows_of

INDENT = "  "
# What `dumps` must write as `json.dumps` does.
EXAMPLES: tuple[Any, ...] = (
    {
        "id": 3,
        "text": 'a "quoted"\u2028 é',
        "choices": ["x", 1.5, None, True],
        "none": [],
        "deep": {"a": {}, "b": [[1]]},
    },
    {"odd": (1, 2), "set": {3}, 4: "key", None: float("nan")},
    [],
)


def install() -> None:
    """Put the functions in place of those that lm-eval calls, in this process."""
    from lm_eval import evaluator, utils
    from lm_eval.api import task
    from lm_eval.utils import handle_non_serializable

    options = {"indent": len(INDENT), "default": handle_non_serializable, "ensure_ascii": False}
    same = all(dumps(each, **options) == json.dumps(each, **options) for each in EXAMPLES)
    if getattr(evaluator, "json", None) is json and same:
        evaluator.json = _with(json, dumps=dumps)
    if getattr(task, "ast", None) is ast:
        task.ast = _with(ast, literal_eval=literal_eval)
    if getattr(task, "np", None) is np:
        task.np = _with(np, argmax=argmax)
    own = getattr(utils, "softmax", None)
    if callable(own) and own is not softmax and _is_softmax(own):
        utils.softmax = functools.update_wrapper(softmax, own)
    own = getattr(task.ConfigurableTask, "fewshot_docs", None)
    if own is not None and not hasattr(own, "__wrapped__"):
        task.ConfigurableTask.fewshot_docs = functools.wraps(own)(lambda self: in_blocks(own(self)))


def in_blocks(docs: Any) -> Any:
    """Return the items of a Dataset as a list; anything else as it is."""
    return list(rows_of(docs)) if is_dataset(docs) else docs


def _with(module: ModuleType, **functions: Any) -> ModuleType:
    """Return a copy of a module with these functions replaced."""
    copy = ModuleType(module.__name__)
    copy.__dict__.update(module.__dict__)
    copy.__dict__.update(functions)
    return copy


def dumps(value: Any, **options: Any) -> str:
    """Write JSON as `json.dumps` does, which is still called unless the indent is two spaces."""
    if options.keys() == {"indent", "default", "ensure_ascii"} and options["indent"] == len(INDENT):
        text = _indented(value, "\n", quoted_ascii if options["ensure_ascii"] else quoted)
        if text is not None:
            return text
    return json.dumps(value, **options)


def _indented(value: Any, line: str, quote: Callable[[str], str]) -> str | None:
    """Return the text of a value; None if it holds anything but text, numbers, lists and dictionaries by text.

    Args:
        value: The value.
        line: The line break and indent of the line that the value begins on.
        quote: Returns a text as JSON.
    """
    kind = type(value)
    if kind is str:
        return quote(value)
    if kind is int:
        return int.__repr__(value)
    if kind in (float, bool) or value is None:
        return json.dumps(value)
    inner = line + INDENT
    if kind is list:
        brackets = "[]"
        parts = [quote(each) if type(each) is str else _indented(each, inner, quote) for each in value]
    elif kind is dict and all(type(key) is str for key in value):
        brackets = "{}"
        pairs = ((quote(key), _indented(each, inner, quote)) for key, each in value.items())
        parts = [None if text is None else f"{key}: {text}" for key, text in pairs]
    else:
        return None
    texts = [part for part in parts if part is not None]
    if len(texts) < len(parts):
        return None
    return f"{brackets[0]}{inner}{f',{inner}'.join(texts)}{line}{brackets[1]}" if texts else brackets


def literal_eval(text: Any) -> Any:
    """Read a Python literal as `ast.literal_eval` does; each short whole number, such as a choice's, only once."""
    is_short_number = isinstance(text, str) and len(text) <= 4 and text.isascii() and text.isdigit()
    return _short_number(text) if is_short_number else ast.literal_eval(text)


@functools.cache
def _short_number(text: str) -> Any:
    return ast.literal_eval(text)


def argmax(values: Any, *more: Any, **options: Any) -> Any:
    """Return what `np.argmax` does: the place of the first largest value, or of the first NaN."""
    if not more and not options and type(values) is tuple and all(type(value) is float for value in values):
        total = sum(values)
        if values and total == total:  # no NaN among them
            return np.intp(values.index(max(values)))
    return np.argmax(values, *more, **options)


def softmax(scores: Any) -> Any:
    """Return what `lm_eval.utils.softmax` does, bit for bit: numpy's sums and maxima without their wrappers."""
    values = np.asarray(scores)
    powers = np.exp(values - np.maximum.reduce(values, axis=None))
    return powers / np.add.reduce(powers, axis=None)


def _is_softmax(own: Callable[[Any], Any]) -> bool:
    """Whether lm-eval's function computes the same."""
    examples = [(-3.5, -1.25, -1.25, -70.0), (0.1,), (-1e5, -2.0), (0.3, -0.7, float("-inf"))]
    return all(own(each).tobytes() == softmax(each).tobytes() for each in examples)
