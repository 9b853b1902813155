"""The task folder with every task loadable: real data where it is, and items of our own for what only the hub has."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from lm_eval.tasks import TaskManager

from harness.paths import tasks_dir

PAIRS = [("hen", "chick"), ("cow", "calf"), ("cat", "kitten"), ("dog", "puppy"), ("sheep", "lamb"), ("horse", "foal")]


def ekar_rows(count: int, language: str) -> list[dict[str, Any]]:
    """Analogies between animals and their young, in the form of the E-KAR card."""
    rows = []
    for n in range(count):
        first, *others = (PAIRS[(n + k) % len(PAIRS)] for k in range(5))
        right = n % 4
        texts = [f"{young}:{old}" for old, young in others]
        texts[right] = ":".join(others[right])
        rows.append(
            {
                "id": f"own{n}-{language}",
                "question": ":".join(first),
                "choices": {"label": list("ABCD"), "text": texts},
                "answerKey": "ABCD"[right],
                "explanation": [f"why {n}.{k}" for k in range(5)],
                "relation": [],
            }
        )
    return rows


def hellaswag_rows(count: int) -> list[dict[str, Any]]:
    return [
        {
            "ind": n,
            "activity_label": "Counting",
            "ctx": f"[header] How to count [title] Someone counts from {n} and",
            "endings": [f"says {n + k}." for k in range(4)],
            "label": n % 4,
            "source_id": f"own~{n}",
        }
        for n in range(count)
    ]


def ceval_rows(count: int) -> list[dict[str, Any]]:
    return [
        {"id": n, "question": f"数{n}之后是？", **{"ABCD"[k]: f"数{n + k}" for k in range(4)}, "answer": "ABCD"[1]}
        | {"explanation": "逐一数下去。" if n % 2 else ""}
        for n in range(count)
    ]


def scienceqa_rows(count: int) -> list[dict[str, Any]]:
    """Every third with an image, every fifth without a lecture, three quarters of the rest in the test split."""
    return [
        {
            "question": f"Which number follows {n}?",
            "choices": [str(n + k) for k in range(2 + n % 3)],
            "answer": 1,
            "hint": "",
            "image": "image.png" if n % 3 == 2 else None,
            "skill": f"Counting from {n % 4}",
            "lecture": "" if n % 5 == 4 else "Numbers follow each other.",
            "solution": f"One more than {n} is {n + 1}.",
            "split": "train" if n % 4 == 0 else "test",
        }
        for n in range(count)
    ]


OWN_SAMPLES: dict[str, list[dict[str, Any]]] = {
    **{f"ekar_{language}_test": ekar_rows(24, language) for language in ("en", "zh")},
    **{f"ekar_{language}_validation": ekar_rows(30, language)[24:] for language in ("en", "zh")},
    "hellaswag_val": hellaswag_rows(24),
    "hellaswag_train": hellaswag_rows(32)[24:],
    "ceval_logic_val": ceval_rows(22),
    "ceval_logic_dev": ceval_rows(27)[22:],
    "scienceqa_full": scienceqa_rows(96),
}


@pytest.fixture(scope="session")
def session_patch() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="session")
def suite_folder(tmp_path_factory: pytest.TempPathFactory, data_dir: Path, session_patch: pytest.MonkeyPatch) -> Path:
    """A copy of `tasks` whose manifest names our own samples for data that only the hub has."""
    root = tmp_path_factory.mktemp("suite")
    folder = root / "tasks"
    shutil.copytree(tasks_dir(), folder, ignore=shutil.ignore_patterns("__pycache__"))
    data = root / "data"
    data.mkdir()
    for source in data_dir.glob("*/**/*"):
        if source.is_file():
            link = data / source.relative_to(data_dir)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(source)
    manifest = yaml.safe_load((folder / "data.yaml").read_text())
    for name, rows in OWN_SAMPLES.items():
        entry = manifest["files"][name]
        entry.pop("sha256", None)
        entry["records"] = len(rows)
        path = data / entry["path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        if entry["format"] == "parquet":
            pd.DataFrame(rows).to_parquet(path)
        elif entry["format"] == "json":
            path.write_text(json.dumps({str(n): row for n, row in enumerate(rows, start=1)}), encoding="utf-8")
        else:
            path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    (folder / "data.yaml").write_text(yaml.safe_dump(manifest, allow_unicode=True))
    session_patch.setenv("HARNESS_DATA", str(data))
    session_patch.setenv("HARNESS_CACHE_DIR", str(root / "cache"))
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    return folder


@pytest.fixture(scope="session")
def manager(suite_folder: Path) -> TaskManager:
    return TaskManager(include_path=str(suite_folder), include_defaults=False)
