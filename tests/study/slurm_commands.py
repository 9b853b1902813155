"""Stand-ins for Slurm's commands on a machine without Slurm: a job is a process, and an array several.

They show which jobs this project submits with submitit; they have no queue and no limits.

    install(folder)     # writes sbatch, srun, sacct and scancel; put the folder on PATH
    calls(folder)       # [["sbatch", "..."], ["scancel", "99_0"]]
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.study.forks import ROOT

COMMANDS = ("sbatch", "srun", "sacct", "scancel")
ARRAY = re.compile(r"^#SBATCH --array=0-(\d+)", re.MULTILINE)
JOB = 7  # number of the first job


def install(folder: Path) -> Path:
    """Write the commands."""
    folder.mkdir()
    for name in COMMANDS:
        script = f"import sys; sys.path.insert(0, {str(ROOT)!r})\nfrom tests.study.slurm_commands import main\nmain()\n"
        (folder / name).write_text(f"#!{sys.executable}\n{script}")
        (folder / name).chmod(0o755)
    return folder


def refuse(folder: Path, times: int) -> None:
    """Let sbatch refuse so many jobs from now on, as a busy Slurm does."""
    (folder / "refusals").write_text("x" * times)


def calls(folder: Path) -> list[list[str]]:
    """Return the commands that were called, without queries of job states, and the text of what was submitted."""
    return [json.loads(line) for line in (folder / "calls.jsonl").read_text().splitlines()]


def main() -> None:
    """Run the command that this script is called as."""
    command, words = Path(sys.argv[0]), sys.argv[1:]
    if command.name == "sbatch":
        _refuse_if_told(command.parent / "refusals")
        text = Path(words[0]).read_text()
        _note(command.parent, ["sbatch", text])
        _submit(command.parent, Path(words[0]), text)
    elif command.name == "srun":
        python = next(place for place, word in enumerate(words) if word.endswith("python") or "/python" in word)
        os.execv(words[python], words[python:])  # noqa: S606
    elif command.name == "scancel":
        _note(command.parent, ["scancel", *words])
    else:
        print("JobID|State|NodeList")


def _refuse_if_told(file: Path) -> None:
    left = file.read_text() if file.exists() else ""
    if left:
        file.write_text(left[1:])
        sys.exit("sbatch: error: Batch job submission failed: Socket timed out on send/recv operation")


def _note(folder: Path, call: Sequence[str]) -> None:
    with (folder / "calls.jsonl").open("a") as file:
        file.write(json.dumps(call) + "\n")


def _submit(folder: Path, script: Path, text: str) -> None:
    submitted = [call for call in calls(folder) if call[0] == "sbatch"]
    number = str(JOB + len(submitted) - 1)
    environment = {
        **os.environ, "SLURM_JOB_ID": number, "SLURM_NTASKS": "1", "SLURM_JOB_NUM_NODES": "1", "SLURM_NODEID": "0",
        "SLURM_PROCID": "0", "SLURM_LOCALID": "0",
    }  # fmt: skip
    array = ARRAY.search(text)
    tasks = [{}] if array is None else [
        {"SLURM_ARRAY_JOB_ID": number, "SLURM_ARRAY_TASK_ID": str(task)} for task in range(int(array[1]) + 1)
    ]  # fmt: skip
    for task in tasks:
        subprocess.Popen(
            ["bash", str(script)], env={**environment, **task}, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
    print(f"Submitted batch job {number}")
