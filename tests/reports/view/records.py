"""Records with every outcome that the viewer shows, in lm-eval's layout, and a viewer of them."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.records import index
from harness.records.run_folder import RunRecord, TaskRecord
from harness.reports.view.index import Index
from harness.reports.view.options import Options
from harness.reports.view.pages import Pages
from harness.reports.view.preparing import prepared
from harness.reports.view.server import listening, server_of

TIME = "2025-03-04T05-06-07.000000"
CHOICES = ("red", "green", "blue")


def digest_of(task: str, number: int) -> str:
    return hashlib.sha256(f"{task} {number}".encode()).hexdigest()


def line(task: str, number: int, **fields: Any) -> dict[str, Any]:
    """One line of a samples file; `fields` replace its own."""
    digest = digest_of(task, number)
    row = {
        "doc_id": number, "doc": {"question": f"Question {number} of {task}?"}, "target": "0",
        "arguments": {"gen_args_0": {"arg_0": f"Prompt {number}", "arg_1": "{}"}}, "resps": [["yes"]],
        "filtered_resps": ["yes"], "filter": "none", "metrics": ["acc"], "doc_hash": digest, "prompt_hash": digest,
        "target_hash": digest,
    }  # fmt: skip
    return row | fields


def choice(task: str, number: int, right: bool, **fields: Any) -> dict[str, Any]:
    """An item with three choices, the first of which is right."""
    scores = [-1.0, -2.0, -3.0] if right else [-2.0, -1.0, -3.0]
    doc = {"question": f"Question {number} of {task}?", "choices": list(CHOICES), "gold": 0}
    pairs = [[str(score), "False"] for score in scores]
    asked = {f"gen_args_{k}": {"arg_0": f"Prompt {number}", "arg_1": f" {text}"} for k, text in enumerate(CHOICES)}
    answers = {"resps": [[pair] for pair in pairs], "filtered_resps": pairs, "arguments": asked, "doc": doc}
    return line(task, number, **answers, acc=float(right), **fields)


def text(task: str, number: int, words: str, right: bool, **fields: Any) -> dict[str, Any]:
    """An item with a generated text."""
    return line(task, number, **{"resps": [[words]], "filtered_resps": [words], "acc": float(right), **fields})


def program(task: str, number: int, status: str, detail: str = "") -> dict[str, Any]:
    """An item whose generated text is a program; lm-eval writes the sandbox's verdict as Python writes a dict."""
    right, solution = status == "passed", f"def answer():\n    return {number}\n"
    verdict = {"passed": [right], "status": [status], "detail": [detail], "solutions": [solution]}
    return text(task, number, f"    return {number}", right, filtered_resps=[str(verdict)])


def write_model(
    folder: Path,
    name: str,
    tasks: Mapping[str, Sequence[Mapping[str, Any]]],
    *,
    failed: Mapping[str, int] = {},
    cut: Mapping[str, int] = {},
    samples: Mapping[str, Sequence[int]] = {},
) -> Path:
    """Write a run with these lines.

    Args:
        folder: Parent of the folder of the model.
        name: Name of the model.
        tasks: Lines by task.
        failed: Failed requests by task, one per item; a task without lines is in the run record only.
        cut: Truncated requests by task, as the run record counts them.
        samples: Numbers of the requested items by task, if they are not the first ones.
    """
    place = folder / name
    place.mkdir(parents=True)
    means = {}
    for task, rows in tasks.items():
        written = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (place / f"samples_{task}_{TIME}.jsonl").write_text(written, encoding="utf-8")
        values = [row["acc"] for row in rows if "acc" in row]
        means[task] = sum(values) / len(values)
    results = {
        "results": {t: {"alias": t, "acc,none": mean, "sample_len": len(tasks[t])} for t, mean in means.items()},
        "configs": {task: {"metadata": {"version": 1, "domain": "logic", "chance": 0.0}} for task in tasks},
        "versions": dict.fromkeys(tasks, 1),
        "n-shot": dict.fromkeys(tasks, 0),
        "higher_is_better": {task: {"acc": True} for task in tasks},
        "config": {"model": "hf", "model_args": {"pretrained": name}},
        "model_name": name,
    }
    (place / f"results_{TIME}.json").write_text(json.dumps(results), encoding="utf-8")
    records = {
        task: _task_record(means[task], len(rows), failed.get(task, 0), cut.get(task, 0))
        for task, rows in tasks.items()
    }
    records |= {task: _task_record(None, 0, count, 0) for task, count in failed.items() if task not in tasks}
    digest = f"sha256:{hashlib.sha256(name.encode()).hexdigest()}"
    record = RunRecord(
        time=TIME, command="harness eval", harness_version="0.1.0",
        model={"name": name, "source": name, "kind": "hf", "digest": digest, "lineage": []},
        fingerprint={"engine": "hf", "dtype": "float32"}, engine=None, from_journal=0, restarts=0,
        prompt={"samples": samples},
        task_arguments={"tasks": list(tasks)}, tasks=records, aggregate={}, allowed_failures=9, complete=True,
        versions={},
    )  # fmt: skip
    (place / f"run_{TIME}.json").write_text(record.model_dump_json(by_alias=True), encoding="utf-8")
    return place


def _task_record(mean: float | None, rows: int, failed: int, cut: int) -> TaskRecord:
    return TaskRecord(
        domain="logic", chance=0.0, metric="acc,none", value=mean, stderr=0.01, interval=(0.0, 1.0),
        interval_method="wilson", items=rows + failed, items_scored=rows, asked=rows + failed, answered=rows,
        failed=failed, cut=cut, empty=0, failures={"timeout": failed} if failed else {},
    )  # fmt: skip


def write_all(folder: Path) -> Path:
    """Write two models with every outcome, and return the folder.

    ``colours`` (choices)   12 items; base is right on 0-5, code on 3-8; code's items 10 and 11 failed
    ``words`` (texts)       6 items; base and code differ on 1; item 2 cut, item 3 unparsed under code
    ``programs``            2 items; base passes both, code the first
    """
    read = json.dumps({"value": "B", "span": [17, 20], "rule": "answer"})
    base = {
        "colours": [choice("colours", n, n < 6) for n in range(12)],
        "words": [text("words", n, f"the light energy of plant {n}", True) for n in range(6)],
        "programs": [program("programs", n, "passed") for n in range(2)],
    }
    code = {
        "colours": [choice("colours", n, 3 <= n < 9) for n in range(10)],
        "words": [
            text("words", 0, "so the answer is (B), surely", True, filtered_resps=[read]),
            text("words", 1, "the dark energy of plant 1", False),
            text("words", 2, "the light energy of plant 2", True, cut_tokens=[7]),
            text("words", 3, "no idea", False, filtered_resps=["[unparsed]"], unparsed=1.0),
            text("words", 4, "逻辑 and photosynthesis", True),
            text("words", 5, "the light energy of plant 5", True),
        ],
        "programs": [program("programs", 0, "passed"), program("programs", 1, "failed", "AssertionError: got 1")],
    }  # fmt: skip
    write_model(folder, "base", base)
    write_model(folder, "code", code, failed={"colours": 2}, cut={"words": 1})
    return folder


def pages_of(*folders: Path, force: bool = False, skip_broken: bool = False) -> Pages:
    """Index records in the cache folder of the test, and return their pages."""
    records = index(folders, skip_broken=skip_broken)
    options = Options(runs=tuple(map(str, folders)), flags=(), force=force, skip_broken=skip_broken)
    return Pages(prepared(records, options), records, options)


def index_of(folder: Path) -> Index:
    return pages_of(folder).index


@contextmanager
def viewer(pages: Pages) -> Iterator[str]:
    """Serve pages from a thread; gives the address with the token."""
    with listening(0) as listener:
        server, address = server_of(pages, listener)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            yield address
        finally:
            server.should_exit = True
            thread.join(timeout=30)
