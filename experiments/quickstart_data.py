"""Write the data of experiments/quickstart.yaml: from this Python's standard library and the generated tasks, offline.

    python experiments/quickstart_data.py runs/quickstart-data

text.jsonl        docstrings of the standard library, and train items of the generated tasks as text
code.jsonl        sources of the standard library
tune_text.jsonl   questions and answers of the four domains without code: the train splits
tune_code.jsonl   the same of the two code domains
tasks/            two tasks: bits per byte of docstrings and of sources from packages that are in none of the above

The same Python and the same release of this project write the same bytes.
"""

from __future__ import annotations

import argparse
import ast
import json
import sysconfig
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from harness.paths import tasks_dir
from harness.suite import generated

# Packages whose docstrings and sources are only evaluated on.
HELD_OUT = ("asyncio", "email", "json", "logging", "unittest", "xml")
TEXT_DOMAINS, CODE_DOMAINS = ("logic", "legal", "science", "analogy"), ("code_qa", "code_gen")
TRAIN_ITEMS = 1000  # of each domain
HELD_OUT_ITEMS = 150  # of each of the two tasks
SHOWN, SCORED = 200, 400  # characters of a held-out document before the scored part, and in it
LEFT_OUT = ("test", "tests", "idlelib", "lib2to3", "site-packages", "turtledemo", "__pycache__", "ensurepip")

TASK = """# Written by experiments/quickstart_data.py: bits per byte of the second part of a document, given the first.
task: {name}
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{beginning}}}}"
doc_to_choice: choices
doc_to_target: gold
target_delimiter: ""
process_results: !function harness.task_results.cloze
metric_list:
  - {{metric: bits_per_byte, aggregation: mean, higher_is_better: false}}
metadata: {{version: 1, metric: bits_per_byte, chance: 0}}
"""


def main() -> None:
    """Write the files below the folder that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args().folder
    (folder / "tasks").mkdir(parents=True, exist_ok=True)
    sources = list(_standard_library())
    seen = [(package, text) for package, text in sources if package not in HELD_OUT]
    held_out = [(package, text) for package, text in sources if package in HELD_OUT]
    world = [_as_text(item) for domain in TEXT_DOMAINS for item in _items(domain)]
    _write(folder / "text.jsonl", ({"text": text} for text in [*_docstrings(seen), *world]))
    _write(folder / "code.jsonl", ({"text": text} for _, text in seen))
    for name, domains in (("text", TEXT_DOMAINS), ("code", CODE_DOMAINS)):
        _write(folder / f"tune_{name}.jsonl", (_as_pair(item) for domain in domains for item in _items(domain)))
    _write_task(folder / "tasks", "held_out_text", _docstrings(held_out))
    _write_task(folder / "tasks", "held_out_code", (text for _, text in held_out))


def _standard_library() -> Iterator[tuple[str, str]]:
    """Yield package and source of each module."""
    root = Path(sysconfig.get_paths()["stdlib"])
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).parts
        if any(part in LEFT_OUT for part in parts) or parts[0].startswith(("config-", "_sysconfigdata")):
            continue
        try:
            yield parts[0].removesuffix(".py"), path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue


def _docstrings(modules: Iterable[tuple[str, str]]) -> Iterator[str]:
    for _, source in modules:
        try:
            tree = ast.parse(source)
        except SyntaxError:
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                text = ast.get_docstring(node)
                if text is not None and len(text) > 80:
                    yield text


def _items(domain: str) -> Iterator[Any]:
    module = generated.sibling(str(tasks_dir() / "reasoning_mini" / domain / "x"), "generator")
    yield from module.generate("train", TRAIN_ITEMS)


def _as_text(item: Any) -> str:
    return f"{item.question}\n{item.rationale}\n{item.choices[item.answer]}"


def _as_pair(item: Any) -> dict[str, str]:
    """Return the prompt of the evaluation and its answer."""
    if hasattr(item, "program_prompt"):
        return {"prompt": item.program_prompt, "completion": item.code}
    return {"prompt": f"Question: {item.question}\nAnswer:", "completion": f" {item.choices[item.answer]}"}


def _write_task(folder: Path, name: str, documents: Iterable[str]) -> None:
    long = (text.strip() for text in documents if len(text.strip()) >= SHOWN + SCORED)
    rows = (
        {"beginning": text[:SHOWN], "choices": [text[SHOWN : SHOWN + SCORED]], "gold": 0}
        for text in islice(long, HELD_OUT_ITEMS)
    )
    data = folder / f"{name}.jsonl"
    _write(data, rows)
    (folder / f"{name}.yaml").write_text(TASK.format(name=name, data=data.resolve()), encoding="utf-8")


def _write(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    if not path.exists() or path.read_text(encoding="utf-8") != text:  # an unchanged file keeps its digest in the cache
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
