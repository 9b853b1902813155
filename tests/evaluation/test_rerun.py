"""An evaluation whose answers are all in the journal opens nothing heavy, and writes the same record."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from harness.records.run_folder import read_record
from tests.conftest import ROOT, HarnessCommand
from tests.models import save_tiny_llama
from tests.waiting import CEILING_SECONDS

# Runs a command, then says which of the large libraries it imported.
COMMAND = """
import json, sys
from harness.cli import main
code = main(sys.argv[2:])
imported = sorted({"torch", "transformers", "datasets", "pandas", "pyarrow"} & sys.modules.keys())
open(sys.argv[1], "w").write(json.dumps(imported))
sys.exit(code)
"""
LOADER = """from harness.items import choice_item, splits

def load(**_):
    items = [
        choice_item(identity=str(n), question=f"{n} + 1?", choices=[str(n + 1), str(n)], gold=0) for n in range(6)
    ]
    return splits(test=items[2:], fewshot=items[:2])
"""
TASK = """task: own_sums
custom_dataset: !function own.load
output_type: multiple_choice
test_split: test
fewshot_split: fewshot
num_fewshot: 1
doc_to_text: "Question: {{question}}\\nAnswer:"
doc_to_target: gold
doc_to_choice: choices
process_results: !function harness.task_results.cloze
metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]
metadata: {version: 1.0}
"""


def run(tmp_path: Path, cache: Path, *words: object) -> list[str]:
    command = [sys.executable, "-c", COMMAND, str(tmp_path / "imported.json"), *map(str, words)]
    environment = dict(os.environ, HARNESS_CACHE_DIR=str(cache))
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=CEILING_SECONDS, check=False
    )
    assert done.returncode == 0, done.stderr
    imported: list[str] = json.loads((tmp_path / "imported.json").read_text())
    return imported


def results(folder: Path) -> object:
    return json.loads(next(folder.rglob("results_*.json")).read_text())["results"]


def test_a_rerun_from_the_journal_imports_neither_torch_nor_datasets(
    tmp_path: Path, own_cache: Path, harness_command: HarnessCommand
) -> None:
    model = save_tiny_llama(tmp_path / "tiny")
    tasks = tmp_path / "tasks"
    tasks.mkdir()
    (tasks / "own.py").write_text(LOADER, encoding="utf-8")
    (tasks / "own.yaml").write_text(TASK, encoding="utf-8")
    words = ["eval", "--model", model, "--include_path", tasks, "--limit", 4, "--output_path"]
    names = ["--tasks", "own_sums,mini_logic"]
    first = run(tmp_path, own_cache, *words, tmp_path / "first", *names)
    assert {"torch", "transformers"} <= set(first)
    assert run(tmp_path, own_cache, *words, tmp_path / "second", *names) == []
    record = read_record(tmp_path / "second" / "tiny")
    assert record.from_journal == 4 * 2 + 4 * 4
    assert record.engine is None
    assert results(tmp_path / "first") == results(tmp_path / "second")
