"""A small 2 x 2 study of run folders, with or without a lineage, and the contrasts that `harness compare` prints."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tests.reports.conftest import Command
from tests.reports.study_records import RunTask, write_design, write_study_run

FACTORS = {"pretrain": ["text", "code"], "tune": ["plain", "code"]}
Values = npt.NDArray[np.float64]


def rows_of(command: Command, *words: object) -> dict[tuple[str, str], dict[str, Any]]:
    """The contrasts by task and name."""
    code, out, err = command("compare", *words, "--format", "json")
    assert (code, err) == (0, ""), err
    rows = json.loads(out)["tables"]["contrasts"]
    return {(row["task"], row["contrast"]): row for row in rows}


def answers(cell: tuple[int, int], seed: int, items: int = 40, gain: float = 0.0) -> Values:
    """Right and wrong answers of one run; runs share the difficulty of items, and `gain` raises their rate."""
    difficulty = np.random.default_rng(99).random(items)
    rng = np.random.default_rng([*cell, seed])
    return (rng.random(items) < 0.2 + 0.6 * difficulty + gain).astype(np.float64)


def write_study(folder: Path, seeds: int = 2, parents: bool = True, lineages: Mapping[str, Any] | None = None) -> Path:
    """A 2 x 2 in which code at both stages gains 20 points each; returns the design file."""
    runs = []
    for p, pretrain in enumerate(FACTORS["pretrain"]):
        for t, tune in enumerate(FACTORS["tune"]):
            for seed in range(seeds):
                name = f"{'NC'[p]}{'NC'[t]}-{seed}"
                tasks = {
                    "first": RunTask(
                        values=answers((p, t), seed, gain=0.2 * (p + t) - 0.2), clusters=np.repeat(range(20), 2)
                    ),
                    "second": RunTask(values=answers((p, t), 50 + seed), domain="legal"),
                }
                write_study_run(folder / "runs", name, tasks, (lineages or {}).get(name, ()))
                entry = {"run": f"runs/{name}", "pretrain": pretrain, "tune": tune, "seed": seed}
                runs.append(entry | ({"parent": f"pre-{pretrain}-{seed}"} if parents else {}))
    return write_design(folder / "design.yaml", FACTORS, runs)


def manifest(stage: str, name: str, parent: Mapping[str, str] | None, seed: int, sources: list[str]) -> dict[str, Any]:
    """A manifest as run.json holds it; schema 2 lists parents."""
    own = {"stage": stage, "name": name, "seed": seed, "finished": True, "step": 10, "spec": {"stage": stage}}
    own["sources"] = [{"name": source} for source in sources]
    return own | ({"parent": parent} if stage == "pretrain" else {"parents": [parent] if parent else []})


def lineage(p: int, t: int, seed: int) -> list[dict[str, Any]]:
    pre = {"name": f"pre-{p}-{seed}", "digest": f"sha256:pre{p}{seed}", "location": "x", "status": "verified"}
    own = {"name": f"tuned-{p}{t}-{seed}", "digest": f"sha256:tuned{p}{t}{seed}", "location": "x", "status": "verified"}
    pre_sources, tune_sources = [["text"], ["text", "code"]][p], [["chat"], ["chat", "code"]][t]
    parent = {"name": pre["name"], "digest": pre["digest"]}
    return [
        own | {"manifest": manifest("sft", own["name"], parent, seed, tune_sources)},
        pre | {"manifest": manifest("pretrain", pre["name"], None, seed, pre_sources)},
    ]
