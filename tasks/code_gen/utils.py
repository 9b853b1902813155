"""Loaders of the code generation tasks: MBPP (full and sanitized) and HumanEval."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.data import read
from harness.items import Item, named_splits, splits

if TYPE_CHECKING:
    from datasets import Dataset

HERE = Path(__file__).parent
# The MBPP paper's split by task id: 1-10 for prompts, 11-510 for testing, the rest for validation and training.
PROMPT_IDS = range(1, 11)
LM_EVALS_EXAMPLES = (2, 3, 4)  # task ids
PARTS = {"test": range(11, 511), "all": range(1, 975)}


def mbpp(data: list[str], part: str = "test", reserve: bool = True, **_: Any) -> dict[str, Dataset]:
    """MBPP, full or sanitized.

    Args:
        data: The data file.
        part: ``test`` (ids 11-510) or ``all``.
        reserve: Use ids 1-10 as few-shot examples and leave them out of the evaluation.
    """
    fields = {"task_id": int, "code": str, "test_list": list}
    items = {row["task_id"]: _mbpp_item(row) for row in read(data[0], HERE, fields=fields)}
    prompts = [item for number, item in items.items() if reserve and number in PROMPT_IDS]
    return splits([item for n, item in items.items() if n in PARTS[part] and item not in prompts], prompts)


def _mbpp_item(row: dict[str, Any]) -> Item:
    tests = [test.replace("\r\n", "\n") for test in row["test_list"]]
    setup = "\n".join([*row.get("test_imports", []), row.get("test_setup_code", "")]).strip()
    return {
        "id": f"mbpp/{row['task_id']}",
        "question": (row.get("text") or row["prompt"]).strip(),
        "code": row["code"].replace("\r\n", "\n"),
        "program_prompt": "",
        "entry_point": called_name(tests[0]),
        "shown_tests": "\n".join(tests),
        "tests": "\n".join(tests),
        "setup": setup,
    }


def called_name(test: str) -> str:
    """Return the function that the tests call: the first called name that is not a Python built-in."""
    own = {"assert", "set", "sorted", "tuple", "list", "str", "len", "abs", "int", "float", "round", "dict", "isclose"}
    return next(match[1] for match in re.finditer(r"\b([A-Za-z_]\w*)\s*\(", test) if match[1] not in own)


def humaneval(data: list[str], **_: Any) -> dict[str, Dataset]:
    """HumanEval: complete a function from its signature and docstring."""
    fields = {"task_id": str, "prompt": str, "entry_point": str, "canonical_solution": str, "test": str}
    items = [
        {
            "id": row["task_id"],
            "question": row["prompt"],
            "code": row["canonical_solution"],
            "program_prompt": row["prompt"],
            "entry_point": row["entry_point"],
            "tests": f"{row['test']}\ncheck({row['entry_point']})",
            "setup": "",
        }
        for row in read(data[0], HERE, fields=fields)
    ]
    return splits(items, [])


def humaneval_as_lm_eval(data: list[str], **_: Any) -> dict[str, Dataset]:
    """HumanEval's items, with the fields of a code task."""
    fields = dict.fromkeys(("task_id", "prompt", "entry_point", "canonical_solution", "test"), str)
    return named_splits(
        test=[
            {
                "id": row["task_id"],
                **{field: row[field] for field in fields},
                "program_prompt": row["prompt"],
                "tests": f"{row['test']}\ncheck({row['entry_point']})",
            }
            for row in read(data[0], HERE, fields=fields)
        ]
    )


def mbpp_as_lm_eval(data: list[str], **_: Any) -> dict[str, Dataset]:
    """MBPP's test items, with the fields of a code task, and lm-eval's three examples."""
    fields = {"task_id": int, "text": str, "code": str, "test_list": list}
    items = {
        row["task_id"]: {
            "id": f"mbpp/{row['task_id']}",
            **{field: row[field] for field in fields},
            "tests": "\n".join(row["test_list"]),
        }
        for row in read(data[0], HERE, fields=fields)
    }
    examples = [items[number] | {"is_fewshot": True} for number in LM_EVALS_EXAMPLES]
    return named_splits(test=[items[number] for number in PARTS["test"] if number in items], examples=examples)
