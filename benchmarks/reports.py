"""Time reports on many records, and measure the page: 50 models x 20 tasks x 1,000 items.

    python benchmarks/reports.py [--models 50] [--tasks 20] [--items 1000] [--folder DIR]

Writes runs with generated answers in the layout of plain lm-eval, then times each command in a process of its own, as a
user would run it. Rows go to benchmarks/results/reports.jsonl. At full size the records take about 2.5 GB.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results" / "reports.jsonl"
TIME = "2025-01-01T00-00-00.000000"
DOMAINS = ("logic", "legal", "science", "analogy", "code_qa")
WORDS = (
    "if",
    "the",
    "and",
    "of",
    "a",
    "model",
    "answer",
    "question",
    "which",
    "true",
    "rule",
    "passage",
    "reason",
    "law",
)
CHOICES = ("one", "two", "three", "four")


def write_runs(folder: Path, models: int, tasks: int, items: int, prefix: str = "") -> int:
    """Write the runs, and return their size in bytes; the names of models and tasks begin with `prefix`."""
    rng = random.Random(0)
    difficulty = {(t, i): rng.gauss(0.0, 1.0) for t in range(tasks) for i in range(items)}
    fronts = {key: _front(key, random.Random(f"{key}")) for key in difficulty}
    for model in range(models):
        name = f"{prefix}model-{model:02d}"
        place = folder / name
        place.mkdir(parents=True)
        skill, draws = model / models - 0.5, random.Random(1_000 + model)
        right = {key: float(skill + draws.gauss(0.0, 1.0) > hard) for key, hard in difficulty.items()}
        for task in range(tasks):
            lines = [fronts[task, item] + f'"acc": {right[task, item]}}}\n' for item in range(items)]
            (place / f"samples_{prefix}task_{task:02d}_{TIME}.jsonl").write_text("".join(lines), encoding="utf-8")
        means = [sum(right[task, item] for item in range(items)) / items for task in range(tasks)]
        (place / f"results_{TIME}.json").write_text(json.dumps(_results(name, means, items, prefix)), encoding="utf-8")
    return sum(file.stat().st_size for file in folder.rglob("*.json*"))


def _front(key: tuple[int, int], rng: random.Random) -> str:
    """Return a line up to its metrics: about 1.5 kB, typical of an item with four short choices."""
    question = f"Item {key} " + " ".join(rng.choices(WORDS, k=60))
    digest = hashlib.sha256(question.encode()).hexdigest()
    row = {
        "doc_id": key[1],
        "doc": {"question": question, "choices": CHOICES, "answer": 1},
        "target": "1",
        "arguments": {
            f"gen_args_{i}": {"arg_0": f"{question}\nAnswer:", "arg_1": f" {choice}"}
            for i, choice in enumerate(CHOICES)
        },
        "resps": [[["-10.5", "False"]]] * 4,
        "filtered_resps": [["-10.5", "False"]] * 4,
        "filter": "none",
        "metrics": ["acc"],
        "doc_hash": digest,
        "prompt_hash": digest,
        "target_hash": digest,
    }
    return json.dumps(row)[:-1] + ", "


def _results(name: str, means: list[float], items: int, prefix: str) -> dict[str, Any]:
    tasks = {f"{prefix}task_{i:02d}": value for i, value in enumerate(means)}
    metadata = [{"version": 1, "domain": DOMAINS[i % len(DOMAINS)], "chance": 0.25} for i in range(len(means))]
    return {
        "results": {task: {"alias": task, "acc,none": value, "sample_len": items} for task, value in tasks.items()},
        "configs": {t: {"output_type": "multiple_choice", "metadata": m} for t, m in zip(tasks, metadata, strict=True)},
        "versions": dict.fromkeys(tasks, 1),
        "n-shot": dict.fromkeys(tasks, 0),
        "higher_is_better": {task: {"acc": True} for task in tasks},
        "n-samples": {task: {"original": items, "effective": items} for task in tasks},
        "config": {"model": "hf", "model_args": {"pretrained": name}, "model_dtype": "torch.float32"},
        "model_name": name,
    }


def timed(name: str, *words: object) -> dict[str, float]:
    """Run `harness` twice in a process of its own, and return wall and processor seconds of the faster run."""
    command = [sys.executable, "-m", "harness", *map(str, words)]
    taken = []
    for _ in range(2):
        before, start = os.times(), time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=Path(__file__).parent.parent)
        wall, after = time.perf_counter() - start, os.times()
        spent = after.children_user - before.children_user + after.children_system - before.children_system
        taken.append((round(wall, 2), round(spent, 2)))
    wall, spent = min(taken)
    return {f"{name}_seconds": wall, f"{name}_processor_seconds": spent}


def interactive(page: Path) -> float | None:
    """Return seconds until a headless Chromium has loaded the page and run its script; None without a browser."""
    browser, driver_path = shutil.which("chromium"), shutil.which("chromedriver")
    if not (browser and driver_path):
        return None
    from selenium import webdriver
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service

    options = Options()
    options.binary_location = browser
    profile = tempfile.mkdtemp()
    for flag in ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", f"--user-data-dir={profile}"):
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=Service(driver_path))
    try:
        driver.get("about:blank")
        driver.get(page.as_uri())
        script = "const [t] = performance.getEntriesByType('navigation'); return t.loadEventEnd - t.startTime"
        return round(float(driver.execute_script(script)) / 1000, 2)
    finally:
        driver.quit()
        shutil.rmtree(profile, ignore_errors=True)


def main() -> None:
    """Write the runs, time the commands, and append the row of results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("models", 50), ("tasks", 20), ("items", 1000)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--folder", type=Path, help="where to write the runs; they are removed afterwards")
    args = parser.parse_args()
    folder = Path(tempfile.mkdtemp(dir=args.folder))
    try:
        size = write_runs(folder / "runs", args.models, args.tasks, args.items)
        page = folder / "board.html"
        row = {
            "models": args.models,
            "tasks": args.tasks,
            "items": args.items,
            "records_gigabytes": round(size / 1e9, 2),
            **timed("leaderboard", "leaderboard", folder / "runs"),
            **timed("compare", "compare", folder / "runs/model-00", folder / "runs/model-01"),
            **timed("html", "leaderboard", folder / "runs", "--output_path", page),
            "html_interactive_seconds": interactive(page),
            "html_megabytes": round(page.stat().st_size / 1e6, 2),
            "cores": len(os.sched_getaffinity(0)),
            "load": round(os.getloadavg()[0], 1),
            "python": platform.python_version(),
        }
    finally:
        shutil.rmtree(folder)
    print(json.dumps(row, indent=1))
    RESULTS.parent.mkdir(exist_ok=True)
    with RESULTS.open("a", encoding="utf-8") as out:
        out.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
