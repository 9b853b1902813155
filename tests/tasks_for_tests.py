"""Small lm-eval tasks of each output type, with data of their own, written where a test wants them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ANIMALS = ["cat", "dog", "owl", "fox", "hen", "bee", "ant", "cow", "pig", "elk", "bat", "rat"]

CHOICE = """
task: {name}
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
output_type: multiple_choice
doc_to_text: prompt
doc_to_choice: choices
doc_to_target: answer
metric_list:
  - {{metric: acc, aggregation: mean, higher_is_better: true}}
  - {{metric: acc_norm, aggregation: mean, higher_is_better: true}}
metadata: {{version: 1, domain: {domain}, chance: 0.25}}
"""

GENERATE = """
task: {name}
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
output_type: generate_until
doc_to_text: prompt
doc_to_target: right
generation_kwargs: {{until: ["\\n"], max_gen_toks: 8, do_sample: false}}
metric_list:
  - {{metric: exact_match, aggregation: mean, higher_is_better: true}}
metadata: {{version: 1, domain: {domain}, chance: 0.0}}
"""

CODE = """
task: {name}
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
output_type: generate_until
doc_to_text: question
doc_to_target: code
generation_kwargs: {{until: ["<|end|>"], max_gen_toks: 64, do_sample: false}}
filter_list:
  - name: program
    filter:
      - {{function: custom, filter_fn: !function harness.code_tasks.run_tests}}
process_results: !function harness.task_results.programs
metric_list:
  - {{metric: pass@1, aggregation: mean, higher_is_better: true}}
metadata: {{version: 1, domain: code_gen, chance: 0.0, items: {items}}}
"""


def write_code_task(folder: Path, name: str, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Write a task whose answers are programs, with these items; returns `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    data = folder / "programs.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (folder / f"{name}.yaml").write_text(CODE.format(name=name, data=data, items=len(rows)), encoding="utf-8")
    return folder


def write_tasks(folder: Path, *, items: int = 24) -> Path:
    """Write `t_choice` and `t_generate` with `items` items each, and the group `t_all`; returns `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for index in range(items):
        choices = [ANIMALS[(index + k * 3) % len(ANIMALS)] for k in range(4)]
        question = f"Which animal is number {index}?"
        right = index % 4
        rows.append(
            {
                "question": question,
                "prompt": f"Question: {question}\nAnswer:",
                "choices": choices,
                "answer": right,
                "right": choices[right],
            }
        )
    data = folder / "items.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (folder / "choice.yaml").write_text(CHOICE.format(name="t_choice", data=data, domain="logic"), encoding="utf-8")
    (folder / "generate.yaml").write_text(
        GENERATE.format(name="t_generate", data=data, domain="code_gen"), encoding="utf-8"
    )
    (folder / "all.yaml").write_text("group: t_all\ntask: [t_choice, t_generate]\n", encoding="utf-8")
    return folder


def write_long_tasks(folder: Path, *, items: int, words: int) -> Path:
    """Write the tasks of `write_tasks` with longer prompts that share no prefix."""
    write_tasks(folder, items=items)
    rows = [json.loads(line) for line in (folder / "items.jsonl").read_text(encoding="utf-8").splitlines()]
    for number, row in enumerate(rows):
        row["prompt"] = f"{number:03} {'long ' * words}{row['prompt']}"
    (folder / "items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


def eval_words(tasks: Path, output: Path, *more: object, model: str = "uniform") -> list[str]:
    """Words of a command that evaluates a script on the tasks of `write_tasks`, as `t_all`."""
    words = ["eval", "--backend", "scripted", "--model", model, "--tasks", "t_all", "--include_path", tasks]
    return [str(word) for word in (*words, "--output_path", output, *more)]
