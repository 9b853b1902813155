"""`harness completion bash` works in a real bash: commands, sub-commands, flags, choices and paths are completed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import HarnessCommand

# What bash does on the tab key: it sets COMP_WORDS and COMP_CWORD and calls the function that `complete` registered.
PRESS_TAB = r"""
source "$1"; shift
function_name=$(complete -p harness | sed -E 's/.*-F ([^ ]+) .*/\1/')
COMP_WORDS=("$@"); COMP_CWORD=$(( $# - 1 )); COMPREPLY=()
"$function_name" harness "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
printf '%s\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def script(tmp_path: Path, harness_here: HarnessCommand) -> Path:
    done = harness_here("completion", "bash")
    assert done.returncode == 0, done.stderr
    file = tmp_path / "completion.sh"
    file.write_text(done.stdout, encoding="utf-8")
    return file


def test_bash_completes_commands_flags_choices_and_paths(script: Path, tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkfile.yaml").touch()

    def press_tab(*words: str) -> set[str]:
        done = subprocess.run(
            ["bash", "--norc", "-c", PRESS_TAB, "bash", str(script), "harness", *words],
            capture_output=True, text=True, check=False, cwd=tmp_path,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert not done.stderr
        return {line.strip() for line in done.stdout.splitlines() if line.strip()}

    assert press_tab("ev") == {"eval"}
    assert {"eval", "compare", "run", "tasks", "completion"} <= press_tab("")
    assert press_tab("tasks", "val") == {"validate"}
    assert press_tab("eval", "--num") == {"--num_fewshot"}
    assert {"--config", "--model", "--tasks", "--samples"} <= press_tab("eval", "--")
    assert press_tab("tasks", "list", "--form") == {"--format"}
    assert press_tab("eval", "--dtype", "bf") == {"bfloat16"}
    assert press_tab("completion", "z") == {"zsh"}
    assert press_tab("eval", "--output_path", "check") == {"checkpoints"}, "a folder is wanted"
    assert press_tab("eval", "--config", "check") == {"checkpoints", "checkfile.yaml"}
    assert press_tab("run", "check") == {"checkpoints", "checkfile.yaml"}


def test_zsh_gets_a_script_of_its_own(tmp_path: Path, harness_here: HarnessCommand) -> None:
    done = harness_here("completion", "zsh")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("#compdef harness")
    for part in ("--num_fewshot", "validate", "bfloat16"):
        assert part in done.stdout
    zsh = shutil.which("zsh")
    if zsh is not None:
        file = tmp_path / "_harness"
        file.write_text(done.stdout, encoding="utf-8")
        subprocess.run([zsh, "-n", str(file)], check=True)


def test_another_shell_is_refused(harness_here: HarnessCommand) -> None:
    done = harness_here("completion", "fish")
    assert done.returncode == 2
    assert "'bash', 'zsh'" in done.stderr
