"""What a command prints, besides the table of its run."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from pathlib import Path

import pytest

from harness.stats import estimate_mean
from tests.conftest import HarnessCommand
from tests.tasks_for_tests import write_tasks
from tests.waiting import CEILING_SECONDS

GROUP = """
group: g_mean
task: [t_choice]
aggregate_metric_list:
  - {metric: acc, aggregation: mean, weight_by_size: true}
"""


def test_the_mean_of_a_users_group_is_printed(tmp_path: Path, harness_here: HarnessCommand) -> None:
    folder = write_tasks(tmp_path / "tasks", items=6)
    (folder / "group.yaml").write_text(GROUP, encoding="utf-8")
    words = ["--tasks", "g_mean", "--include_path", folder, "--output_path", tmp_path / "runs"]
    done = harness_here("eval", "--backend", "scripted", "--model", "corrupted", *words)
    assert done.returncode == 0, done.stderr
    assert re.search(r"g_mean +acc +0\.\d{3} +0\.\d{3}", done.stdout), done.stdout


@pytest.mark.parametrize("by_size", [True, False])
def test_the_error_of_a_group_is_clustered_like_that_of_its_tasks(
    by_size: bool, tmp_path: Path, harness_here: HarnessCommand
) -> None:
    """Two tasks of 24 and 12 items, in clusters; lm-eval's error would assume independent items."""
    for name, items in (("long", 24), ("short", 12)):
        folder = write_tasks(tmp_path / "tasks" / name, items=items)
        text = (folder / "choice.yaml").read_text(encoding="utf-8").replace("t_choice", f"t_{name}")
        (folder / "choice.yaml").write_text(text.replace("domain: logic", "domain: logic, cluster: answer"))
        for other in ("generate", "all"):
            (folder / f"{other}.yaml").unlink()
    group = GROUP.replace("[t_choice]", "[t_long, t_short]").replace("true", str(by_size).lower())
    (tmp_path / "tasks" / "group.yaml").write_text(group, encoding="utf-8")
    words = ["--tasks", "g_mean", "--include_path", tmp_path / "tasks", "--output_path", tmp_path / "runs"]
    done = harness_here("eval", "--backend", "scripted", "--model", "uniform", *words)
    assert done.returncode == 0, done.stderr
    variance = 0.0
    for name, items in (("long", 24), ("short", 12)):
        (samples,) = (tmp_path / "runs").rglob(f"samples_t_{name}_*.jsonl")
        rows = [json.loads(line) for line in samples.read_text(encoding="utf-8").splitlines()]
        error = estimate_mean([row["acc"] for row in rows], [row["doc"]["answer"] for row in rows]).standard_error
        variance += (items / 36 if by_size else 0.5) ** 2 * error**2
    shown = re.search(r"g_mean +acc +0\.\d{3} +(0\.\d{3})", done.stdout)
    assert shown is not None, done.stdout
    assert float(shown[1]) == pytest.approx(math.sqrt(variance), abs=0.0006)


def test_a_metric_with_a_pool_of_processes_prints_no_traceback(tmp_path: Path) -> None:
    """lm-eval estimates the error of BLEU in a pool, whose processes end by SIGTERM."""
    folder = write_tasks(tmp_path / "tasks", items=6)
    generate = folder / "generate.yaml"
    text = generate.read_text(encoding="utf-8")
    generate.write_text(text.replace("metric: exact_match, aggregation: mean", "metric: bleu, aggregation: bleu"))
    words = ["--tasks", "t_generate", "--include_path", folder, "--output_path", tmp_path / "runs"]
    command = [sys.executable, "-m", "harness", "eval", "--backend", "scripted", "--model", "oracle", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "KeyboardInterrupt" not in done.stderr


POOLS = """
import multiprocessing, sys
from harness.cli import main
main(["tasks", "list"])
for _ in range(200):
    with multiprocessing.Pool(4) as pool:
        list(pool.imap(abs, range(2)))
"""


def test_a_pool_that_ends_before_its_processes_have_begun_ends() -> None:
    """A worker that waits for a lock when it is told to end must not wait on."""
    done = subprocess.run(
        [sys.executable, "-c", POOLS], capture_output=True, text=True, check=False, timeout=CEILING_SECONDS
    )
    assert done.returncode == 0, done.stderr
