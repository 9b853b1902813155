"""Time the viewer on many records: 50 models x 20 tasks x 1,000 items, half of them choices and half generated texts.

    python -m benchmarks.view [--models 50] [--tasks 20] [--items 1000] [--folder DIR]

Writes runs with generated answers in the layout of plain lm-eval, starts `harness view` in a process of its own with
an empty cache, and asks it for pages over HTTP, as a browser would. Memory is the largest resident size of the process,
and of it with the processes it starts. Rows go to benchmarks/results/view.jsonl. At full size the records take about
2 GB.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any

from benchmarks.reports import CHOICES, DOMAINS, TIME, WORDS
from benchmarks.rows import RESULTS, record, surroundings

ANSWER_WORDS = 60
REPEATS = 5
PAGES = {
    "first_page": "/",
    "list": "/items",
    "filter_outcome": "/items?model={a}&model={b}&outcome=flipped",
    "filter_task": "/items?model={a}&model={b}&task=task_01&outcome=lost",
    "filter_four_models": "/items?model={a}&model={b}&model={c}&model={d}&outcome=wrong&page=40",
    "search_rare": "/items?model={a}&model={b}&words=needle{n}",
    "search_common": "/items?model={a}&model={b}&words=law+passage+{n}",
    "search_one_common_word": "/items?model={a}&model={b}&words={w}",
    "item": "/item?model={a}&model={b}&task=task_{t:02d}&id={id}",
    "compare": "/compare?model={a}&model={e}",
}
"""Addresses by name; every repeat asks for another model, item or word, so that nothing is answered from a cache."""


def write_runs(folder: Path, models: int, tasks: int, items: int) -> int:
    """Write the runs, and return their size in bytes. Odd tasks have choices, even ones generated texts."""
    rng = random.Random(0)
    fronts = {(t, i): _front(t, i, rng) for t in range(tasks) for i in range(items)}
    for model in range(models):
        place = folder / f"model-{model:02d}"
        place.mkdir(parents=True)
        draws, skill = random.Random(1_000 + model), model / models
        means = []
        for task in range(tasks):
            right = [draws.random() < 0.3 + 0.4 * skill for _ in range(items)]
            lines = (fronts[task, item] + _end(task, item, right[item], draws) for item in range(items))
            (place / f"samples_task_{task:02d}_{TIME}.jsonl").write_text("".join(lines), encoding="utf-8")
            means.append(sum(right) / items)
        (place / f"results_{TIME}.json").write_text(json.dumps(_results(place.name, means, items)), encoding="utf-8")
    return sum(file.stat().st_size for file in folder.rglob("*.json*"))


def digest_of(task: int, item: int) -> str:
    """Return the digest of an item's document."""
    return hashlib.sha256(f"{task} {item}".encode()).hexdigest()


def _front(task: int, item: int, rng: random.Random) -> str:
    """Return a line up to its answers: a question of 60 words, with four choices or none."""
    question = f"Item {item} of task {task}, needle{item} " + " ".join(rng.choices(WORDS, k=60))
    asked = [f" {choice}" for choice in CHOICES] if task % 2 else ['{"until": ["\\n"]}']
    row = {
        "doc_id": item,
        "doc": {"question": question, "choices": CHOICES, "answer": 1},
        "target": "1",
        "arguments": {
            f"gen_args_{k}": {"arg_0": f"{question}\nAnswer:", "arg_1": text} for k, text in enumerate(asked)
        },
    }
    return json.dumps(row)[:-1] + ", "


def _end(task: int, item: int, right: bool, draws: random.Random) -> str:
    """Return the rest of a line: log-likelihoods of the choices, or a text of 60 words."""
    if task % 2:
        scores = [[f"{draws.uniform(-20.0, -1.0):.4f}", "False"] for _ in CHOICES]
        answers: dict[str, Any] = {"resps": [[score] for score in scores], "filtered_resps": scores}
    else:
        text = " ".join(draws.choices(WORDS, k=ANSWER_WORDS))
        answers = {"resps": [[text]], "filtered_resps": [text]}
    digest = digest_of(task, item)
    hashes = dict.fromkeys(("doc_hash", "prompt_hash", "target_hash"), digest)
    return json.dumps({**answers, "filter": "none", "metrics": ["acc"], **hashes, "acc": float(right)})[1:] + "\n"


def _results(name: str, means: list[float], items: int) -> dict[str, Any]:
    tasks = {f"task_{i:02d}": value for i, value in enumerate(means)}
    metadata = {
        task: {"version": 1, "domain": DOMAINS[i % len(DOMAINS)], "chance": 0.0} for i, task in enumerate(tasks)
    }
    return {
        "results": {task: {"alias": task, "acc,none": value, "sample_len": items} for task, value in tasks.items()},
        "configs": {task: {"metadata": about} for task, about in metadata.items()},
        "versions": dict.fromkeys(tasks, 1),
        "n-shot": dict.fromkeys(tasks, 0),
        "higher_is_better": {task: {"acc": True} for task in tasks},
        "config": {"model": "hf", "model_args": {"pretrained": name}, "model_dtype": "torch.float32"},
        "model_name": name,
    }


@dataclass
class Memory:
    """The largest resident size of a process, and of it with its children, sampled every 50 ms.

    Attributes:
        own: Bytes of the process.
        together: Bytes of it and of its children; a page that several of them share counts once in all.
    """

    pid: int
    own: int = 0
    together: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)

    def watch(self) -> None:
        """Sample until `stop`."""
        while not self._stop.wait(0.05):
            children = Path(f"/proc/{self.pid}/task/{self.pid}/children")
            try:
                pids = [self.pid, *map(int, children.read_text().split())]
            except OSError:
                continue
            self.own = max(self.own, _kilobytes(self.pid, "Rss") * 1024)
            self.together = max(self.together, sum(_kilobytes(pid, "Pss") for pid in pids) * 1024)

    def stop(self) -> None:
        """End `watch`."""
        self._stop.set()


def _kilobytes(pid: int, field_name: str) -> int:
    """Return a size of a process: Rss, or Pss, which divides shared pages among the processes that share them."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:  # it has ended
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{field_name}:")), 0)


@contextmanager
def viewer(runs: Path, cache: Path) -> Iterator[tuple[str, float, Memory]]:
    """Start the viewer; gives its address, the seconds until it answered, and its memory."""
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "harness", "view", str(runs), "--port", "0"],
        env={**os.environ, "HARNESS_CACHE_DIR": str(cache)},
        stdout=subprocess.PIPE,
        text=True,
    )
    memory = Memory(process.pid)
    watcher = threading.Thread(target=memory.watch, daemon=True)
    watcher.start()
    assert process.stdout is not None
    try:
        address = process.stdout.readline().strip()
        assert address, "the viewer ended"
        yield address, time.perf_counter() - start, memory
    finally:
        memory.stop()
        watcher.join()
        process.send_signal(signal.SIGINT)
        process.wait(timeout=60)


def timed_pages(address: str, models: int, tasks: int, items: int) -> dict[str, float]:
    """Return milliseconds per page: the first request alone, of the others the slowest of a few."""
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
    base = address.partition("/?")[0]

    def ask(path: str) -> float:
        start = time.perf_counter()
        with opener.open(base + path, timeout=600) as answer:
            assert answer.status == 200
            answer.read()
        return (time.perf_counter() - start) * 1000

    first = ask(address.removeprefix(base))  # with the token; what follows has the cookie
    taken: dict[str, list[float]] = {}
    for repeat in range(REPEATS):
        names = {key: f"model-{(repeat * 5 + at) % models:02d}" for at, key in enumerate("abcde")}
        task, item = repeat % tasks, (repeat * 7) % items
        values = {**names, "n": item, "t": task, "w": WORDS[repeat], "id": digest_of(task, item)[:16]}
        for name, path in PAGES.items():
            taken.setdefault(name, []).append(ask(path.format(**values)))
    slowest = {f"{name}_milliseconds": round(max(times), 1) for name, times in taken.items()}
    return {
        "first_request_milliseconds": round(first, 1),
        **slowest,
        "item_median_milliseconds": round(statistics.median(taken["item"]), 1),
    }


def measured(runs: Path, cache: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Start the viewer without and with an index, and return the row."""
    with viewer(runs, cache) as (address, seconds, memory):
        building = {"index_seconds": round(seconds, 1), "index_megabytes_of_memory": round(memory.own / 1e6)}
        building["index_megabytes_of_memory_with_children"] = round(memory.together / 1e6)
        timed = timed_pages(address, args.models, args.tasks, args.items)
        after = round(memory.own / 1e6)
    size = sum(file.stat().st_size for file in (cache / "view").iterdir())
    with viewer(runs, cache) as (address, seconds, memory):
        again = timed_pages(address, args.models, args.tasks, args.items)
        reopened = {
            "reopened_seconds": round(seconds, 1),
            "reopened_first_request_milliseconds": again["first_request_milliseconds"],
            "reopened_megabytes_of_memory": round(memory.own / 1e6),
        }
    return {**building, **timed, "megabytes_of_memory": after, "index_gigabytes": round(size / 1e9, 2), **reopened}


def main() -> None:
    """Write the runs, time the viewer, and append the row of results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("models", 50), ("tasks", 20), ("items", 1000)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--folder", type=Path, help="where to write the runs; they are removed afterwards")
    args = parser.parse_args()
    folder = Path(tempfile.mkdtemp(dir=args.folder))
    try:
        size = write_runs(folder / "runs", args.models, args.tasks, args.items)
        shape = {name: getattr(args, name) for name in ("models", "tasks", "items")}
        row = {**shape, "records_gigabytes": round(size / 1e9, 2), **measured(folder / "runs", folder / "cache", args)}
    finally:
        shutil.rmtree(folder)
    record({**row, "load": round(os.getloadavg()[0], 1), **surroundings()}, RESULTS / "view.jsonl")


if __name__ == "__main__":
    main()
